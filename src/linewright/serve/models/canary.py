"""Which rows a canary answers, and when an endpoint has had enough of a candidate that is tried."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import median
from threading import Lock

from linewright.serve.models.state import Canary, Shadow

FAILURES = 3
"""Requests that a candidate may fail before it is taken out of service; the champion answers those too."""
SAMPLE = 100
"""Requests over which the times of a candidate and of its champion are compared."""
SLOWER = 5.0
SLOWER_BY_S = 0.005
"""A candidate is too slow whose median time for a row is more than so many times the champion's, and so much longer."""


def is_canary(salt: str, unit: str, share: float) -> bool:
    """Return whether the rows of a unit are the canary's: for ever the same, and with a larger share still.

    Parameters
    ----------
    salt
        Of the canary, so that another one gets other units.
    share
        From 0 to 1.

    Examples
    --------
    >>> units = [str(number) for number in range(10_000)]
    >>> sum(is_canary("a", unit, 0.25) for unit in units)
    2493
    >>> all(is_canary("a", unit, 0.5) for unit in units if is_canary("a", unit, 0.25))
    True
    """
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest) < share * 2**64


@dataclass
class _Seen:
    failures: int = 0
    tried_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=SAMPLE))
    champion_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=SAMPLE))


class Guard:
    """Counts what candidates do that are tried beside the champion. Safe to use from several threads.

    Parameters
    ----------
    drop
        Called with line, package and reason when a candidate must go.
    """

    def __init__(self, drop: Callable[[str, str, str], None] = lambda _line, _package, _why: None) -> None:
        self._drop, self._lock = drop, Lock()
        self._seen: dict[tuple[str, str], _Seen] = {}

    def failed(self, line: str, tried: Canary | Shadow, because: str) -> None:
        """Note that a candidate could not answer."""
        with self._lock:
            seen = self._of(line, tried)
            seen.failures += 1
            is_enough = seen.failures >= FAILURES
        if is_enough:
            self._drop(line, tried.arm.package, f"{because} ({FAILURES} requests failed)")

    def took(
        self, line: str, tried: Canary | Shadow, rows: int, seconds: float, *, champion: bool = False
    ) -> None:
        """Note how much processor time rows took, by the candidate or by the champion beside it."""
        with self._lock:
            seen = self._of(line, tried)
            (seen.champion_s if champion else seen.tried_s).append(seconds / rows)
            if len(seen.tried_s) < SAMPLE or len(seen.champion_s) < SAMPLE:
                return
            slow, usual = median(seen.tried_s), median(seen.champion_s)
            seen.tried_s.clear()
        if slow > SLOWER * usual and slow > usual + SLOWER_BY_S:
            why = f"it takes {slow * 1e3:.3g} ms a row, the champion {usual * 1e3:.3g} ms"
            self._drop(line, tried.arm.package, why)

    def _of(self, line: str, tried: Canary | Shadow) -> _Seen:
        key = (line, tried.arm.package)
        if key not in self._seen:
            for old in [one for one in self._seen if one[0] == line]:
                del self._seen[old]
            self._seen[key] = _Seen()
        return self._seen[key]
