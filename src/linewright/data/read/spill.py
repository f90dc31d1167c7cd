"""Rows that are gathered bit by bit: in memory while they are few, else in files that are mapped, not read."""

import ctypes
import mmap
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import polars as pl
import pyarrow as pa

from linewright.data.read.batches import size_of

_HELD = 1 << 23
_LAST = 4
"""Parts whose memory is freed again as the next one is asked for."""


def scratch_of(root: Path) -> Path:
    """Return the folder for what is larger than memory, and is gone after use: in the factory's state if it has one."""
    state = root / ".linewright"
    return state / "scratch" if state.is_dir() else Path(tempfile.gettempdir())


class RowParts(Protocol):
    """Rows that can be had a part at a time, again and again, each part small enough to be held in memory."""

    @property
    def height(self) -> int:
        """How many rows there are."""
        ...

    def parts(self) -> Iterator[pl.DataFrame]:
        """Give all rows in order; without a row, perhaps none."""
        ...


@dataclass(frozen=True)
class DerivedRows:
    """Rows that are made of others whenever they are asked for."""

    of: RowParts
    change: Callable[[pl.DataFrame], pl.DataFrame]
    """Returns as many rows as it is given."""

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.of.height

    def parts(self) -> Iterator[pl.DataFrame]:
        """Give all rows in order."""
        return map(self.change, self.of.parts())


def is_ascending(rows: RowParts, name: str) -> bool:
    """Return whether each value of a column is above the one before it; a column without nulls."""
    before: pl.Series | None = None
    for part in rows.parts():
        values = part[name] if before is None else pl.concat([before, part[name]])
        if not (values.slice(1) > values.head(max(len(values) - 1, 0))).all():
            return False
        before = values.tail(1)
    return True


class Spool:
    """Rows of one schema, in the order in which they were added.

    Examples
    --------
    >>> spool = Spool(None)
    >>> spool.add(pl.DataFrame({"x": [1, 2]}))
    >>> spool.add(pl.DataFrame({"x": [3]}))
    >>> spool.filter(pl.Series([True, False, True]))
    >>> spool.frame()["x"].to_list()
    [1, 3]
    """

    def __init__(self, folder: Path | None, *, held: int | None = None) -> None:
        self._folder, self._most = folder, _HELD if held is None else held
        self._mapped: list[_Mapped] = []
        self._held: list[pl.DataFrame] = []
        self._bytes = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows at the end."""
        self._held.append(rows)
        self._bytes += size_of(rows)
        if self._folder is not None and self._bytes > self._most:
            whole = pl.concat(self._held, rechunk=True)
            self._held, self._bytes = [], 0
            self._mapped.append(_mapped(whole, self._folder))

    def filter(self, is_kept: pl.Series) -> None:
        """Keep only these of the rows; no more of them come into memory than before."""
        start = 0
        for rows in self._taken():
            self.add(rows.filter(is_kept.slice(start, rows.height)))
            start += rows.height

    @property
    def height(self) -> int:
        """How many rows there are."""
        return sum(one.table.num_rows for one in self._mapped) + sum(rows.height for rows in self._held)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Give all rows, a part at a time; the memory of each part goes as the next one is asked for."""
        mapped = tuple(self._mapped)
        for number, one in enumerate(mapped):
            yield one.rows
            # Who asks may still use some of the last ones, and so have them back for a while.
            for other in mapped[max(number + 1 - _LAST, 0) : number + 1]:
                _free_pages(other.file)
        if self._held:
            self._held = [pl.concat(self._held, rechunk=True)]
            yield self._held[0]

    def sort(self, name: str) -> None:
        """Put the rows in the order of a column without nulls; no more of them come into memory than a few parts."""
        runs = self._sorted_runs(name)
        pivots = [run.frame()[name].gather_every(max(1, run.height // (2 * len(runs)))) for run in runs]
        starts = [0] * len(runs)
        for pivot in (*_thinned(pivots), None):
            found: list[pl.DataFrame] = []
            for number, run in enumerate(runs):
                rows = run.frame()
                stop = rows.height if pivot is None else _places_up_to(rows[name], pivot)
                found.append(rows.slice(starts[number], stop - starts[number]))
                starts[number] = stop
            if found:
                self.add(_in_order(pl.concat(found), name))
            for run in runs:
                run.release()

    def _sorted_runs(self, name: str) -> list["Spool"]:
        """Return the parts, each in order, and have none of them any more; what is in order already is not written again."""
        many = len(self._mapped) + bool(self._held)
        runs: list[Spool] = []
        for one, rows in zip((*self._mapped, None), self._taken(), strict=False):
            run = Spool(self._folder if many > 1 else None, held=0)
            if one is not None and rows[name].is_sorted():
                run._mapped.append(one)
            else:
                run.add(_in_order(rows, name))
            runs.append(run)
        return runs

    def _taken(self) -> Iterator[pl.DataFrame]:
        """Give the parts, and have none of them any more."""
        mapped, held = deque(self._mapped), self._held
        self._mapped, self._held, self._bytes = [], [], 0
        while mapped:
            yield mapped.popleft().rows
        if held:
            yield pl.concat(held, rechunk=True)

    def frame(self) -> pl.DataFrame:
        """Return all rows. What lies in files is read as it is used, and needs no memory of its own."""
        parts = [
            *(one.rows for one in self._mapped),
            *([pl.concat(self._held, rechunk=True)] if self._held else []),
        ]
        return pl.concat(parts, rechunk=False) if parts else pl.DataFrame()

    def release(self) -> None:
        """Free the memory that rows in files have come to take; they are read again as they are used."""
        for one in self._mapped:
            _free_pages(one.file)


def _in_order(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows if rows[name].is_sorted() else rows.sort(name, maintain_order=True)


def _thinned(values: Sequence[pl.Series]) -> Sequence[Any]:
    """Return some of the values, ascending, about twice as many as there are series."""
    if len(values) < 2:
        return ()
    ascending = pl.concat(values).sort()
    return (
        ascending.gather_every(max(1, len(ascending) // (2 * len(values))))
        .unique(maintain_order=True)
        .to_list()
    )


def _places_up_to(ascending: pl.Series, value: Any) -> int:
    return int(ascending.search_sorted(value, side="right"))


class _Mapped(NamedTuple):
    """Rows that lie in a file."""

    table: pa.Table
    file: Any
    """The whole file, mapped: a `pyarrow.Buffer`."""

    @property
    def rows(self) -> pl.DataFrame:
        """The rows, where they lie; but for decimals, of which polars makes a copy each time."""
        return cast("pl.DataFrame", pl.from_arrow(self.table))


def _mapped(rows: pl.DataFrame, folder: Path) -> _Mapped:
    """Write rows to a file and return them from there; the file never has a name, so it goes with the last use or with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # One record batch, so that a column stays one piece and rows can be taken from it in any order.
        rows.write_ipc(file, record_batch_size=rows.height)
        file.flush()
        content = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return _Mapped(table=pa.ipc.open_file(content).read_all(), file=content)


def _free_pages(content: Any) -> None:
    """Tell the system that the pages of a mapped file need not be in memory; where it takes no advice, they stay."""
    if _ADVISE is not None and content.size:
        _ADVISE(ctypes.c_void_p(content.address), ctypes.c_size_t(content.size), mmap.MADV_DONTNEED)


_ADVISE = getattr(ctypes.CDLL(None), "madvise", None) if hasattr(mmap, "MADV_DONTNEED") else None
