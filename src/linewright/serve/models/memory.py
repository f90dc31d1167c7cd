"""How much memory loaded models may take, what one takes, and which give way when there is no more.

Nothing here loads or lets go of a model: `pointer.Lines` does, and asks here whose turn it is.
"""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from linewright.engine.machine import memory
from linewright.errors import RequestError
from linewright.model.facts import Package

SHARE = 0.5
"""Of the memory that this process could have, what loaded models may take where nobody says how much."""
SMALLEST = 2**20
"""Bytes; less would hold no model."""
_BASE, _GRAPH, _PACKAGE = 64 * 2**10, 8, 14
"""What a loaded model takes: bytes for any, and for each byte of its graph and of its package. `benchmarks/model_memory.py` measures it."""
_UNITS = {
    "": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]i?B)?")


def to_bytes(text: str, *, where: str = "model memory") -> int:
    """Return a size in bytes.

    Examples
    --------
    >>> to_bytes("2GiB"), to_bytes("1.5 MB")
    (2147483648, 1500000)
    >>> to_bytes("much")
    Traceback (most recent call last):
        ...
    linewright.errors.RequestError: model memory: not a size: found 'much', allowed: at least 1MiB, e.g. 512MiB or 2GiB
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2] or "") if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < SMALLEST:
        raise RequestError(
            "not a size" if match is None or unit is None else "too small",
            where=where,
            found=text[:100],
            allowed="at least 1MiB, e.g. 512MiB or 2GiB",
        )
    return size


def usual_budget(root: Path = Path("/"), *, share: float = SHARE) -> int:
    """Return a share of what the machine has, or of what its control group or its limits allow where that is less: in bytes."""
    return max(int(share * memory(root)), SMALLEST)


def cost_of(package: Package) -> int:
    """Estimate what a loaded model takes, in bytes: by the size of its graph, and of its package (columns, levels).

    It is meant to be too large rather than too small; see `docs/decisions/0022-models-within-a-budget.md`.
    """
    return _BASE + _GRAPH * package.graph_bytes + _PACKAGE * len(msgspec.json.encode(package))


def give_back() -> None:
    """Have the C library give what was freed to the system, where it can: threads do not share what each has freed."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Memory:
    """What the models of each line take, and which line was asked last. Used by one thread at a time.

    Examples
    --------
    >>> memory = Memory(100)
    >>> for line in ("a", "b", "c"):
    ...     memory.note(line, 30)
    >>> memory.use("a")
    >>> memory.to_let_go(30), memory.to_let_go(90)
    (['b'], None)
    >>> memory.release("a")
    True
    >>> memory.to_let_go(90)
    ['b', 'c', 'a']
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.used = budget, 0
        self._sizes: dict[str, int] = {}
        """By line that has models in memory; those not asked for the longest time come first."""
        self._uses: dict[str, int] = {}
        """Requests that a line is answering, or that wait for its models."""

    def note(self, line: str, size: int) -> None:
        """Note what the models of a line take from now on; 0 where none is loaded."""
        self.used += size - self._sizes.get(line, 0)
        if size:
            self._sizes[line] = size
        else:
            self._sizes.pop(line, None)

    def has_room(self, size: int) -> bool:
        """Whether so much more fits without anything being let go."""
        return self.used + size <= self.budget

    def use(self, line: str) -> None:
        """Keep a line from being let go until `release`; from now on it is the one that was asked last."""
        self._uses[line] = self._uses.get(line, 0) + 1
        if (size := self._sizes.pop(line, None)) is not None:
            self._sizes[line] = size

    def release(self, line: str) -> bool:
        """Take back one `use`; return whether it was the last."""
        left = self._uses.pop(line) - 1
        if left:
            self._uses[line] = left
        return not left

    def to_let_go(self, size: int, *, besides: str = "") -> list[str] | None:
        """Return whose models have to go before `size` more bytes fit, the one not asked for the longest time first."""
        left, lines = self.used, list[str]()
        for line, taken in self._sizes.items():
            if left + size <= self.budget:
                break
            if line != besides and line not in self._uses:
                lines.append(line)
                left -= taken
        others = left - self._sizes.get(besides, 0)
        return lines if left + size <= self.budget or others <= 0 else None
