"""Rows that are gathered bit by bit: in memory while they are few, else in files that are mapped, not read."""

import tempfile
from collections import deque
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa

from linewright.data.read.batches import size_of

_HELD = 1 << 28
"""Bytes that are held in memory before they go to a file."""


def scratch_of(root: Path) -> Path:
    """Return the folder for what is larger than memory, and is gone after use: in the factory's state if it has one."""
    state = root / ".linewright"
    return state / "scratch" if state.is_dir() else Path(tempfile.gettempdir())


class Spool:
    """Rows of one schema, in the order in which they were added.

    Parameters
    ----------
    folder
        Where files may lie; they are as large as the rows. `None` keeps all rows in memory.
    held
        Bytes that are held in memory before they go to a file.

    Examples
    --------
    >>> spool = Spool(None)
    >>> spool.add(pl.DataFrame({"x": [1, 2]}))
    >>> spool.add(pl.DataFrame({"x": [3]}))
    >>> spool.filter(pl.Series([True, False, True]))
    >>> spool.frame()["x"].to_list()
    [1, 3]
    """

    def __init__(self, folder: Path | None, *, held: int = _HELD) -> None:
        self._folder, self._most = folder, held
        self._mapped: list[pl.DataFrame] = []
        self._held: list[pl.DataFrame] = []
        self._bytes = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows at the end."""
        self._held.append(rows)
        self._bytes += size_of(rows)
        if self._folder is not None and self._bytes > self._most:
            self._mapped.append(_mapped(pl.concat(self._held, rechunk=True), self._folder))
            self._held, self._bytes = [], 0

    def filter(self, is_kept: pl.Series) -> None:
        """Keep only these of the rows; no more of them come into memory than before."""
        parts = deque([*self._mapped, *self._held])
        self._mapped, self._held, self._bytes = [], [], 0
        start = 0
        while parts:
            rows = parts.popleft()
            self.add(rows.filter(is_kept.slice(start, rows.height)))
            start += rows.height

    def frame(self) -> pl.DataFrame:
        """Return all rows. What lies in files is read as it is used, and needs no memory of its own."""
        parts = [*self._mapped, *([pl.concat(self._held, rechunk=True)] if self._held else [])]
        return pl.concat(parts, rechunk=False) if parts else pl.DataFrame()


def _mapped(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Write rows to a file and return them from there; the file has no name any more and goes with the last use."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".arrow") as file:
        # One record batch, so that a column stays one piece and rows can be taken from it in any order.
        rows.write_ipc(file.name, record_batch_size=rows.height)
        with pa.memory_map(file.name) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
    return cast("pl.DataFrame", pl.from_arrow(table))
