"""Sources: files and queries become tables, exactly as they are, and a digest of what they hold."""

import hashlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from linewright.data.batch import BATCH, Batch, Part, Ragged
from linewright.data.csvfile import open_csv
from linewright.data.near import near_file
from linewright.data.parquetfile import PARQUET, open_parquet
from linewright.data.spec import FileSource, SourceSpec, SqliteSource
from linewright.data.sqlitefile import read_query, run_query
from linewright.errors import RequestError
from linewright.store.values import digest_of

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the rows of one source come from; nothing is in memory yet."""

    name: str
    columns: tuple[str, ...]
    """Names of the columns, in order."""
    is_text: bool
    """Whether text may stand for other types: CSV and SQLite, which have no types of their own to trust."""
    parts: tuple[Part, ...]
    """What holds the rows, in order."""
    missing: tuple[str, ...]
    """Texts that mean "no value"."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows, cleaned, some at a time: at least one batch, and the same ones at each call.

        A batch is made of about 16 MiB of text. Memory is bounded by a few of them, but for a query, whose rows are one
        batch.

        Raises
        ------
        SpecError, RequestError
            Saying what is wrong with the rows, when they are come to.
        """
        for part in self.parts:
            for batch in part.batches():
                yield Batch(frame=clean(batch.frame, self.missing), ragged=batch.ragged)

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return the line of the file at which each of these rows (from 0, over all batches) starts.

        `None` where there is no line. The files are read once more for it.
        """
        return self._find(rows, is_ragged=False)

    def ragged_lines(self) -> list[int | None]:
        """Return the line of the file at which each ragged row starts."""
        return self._find(range(sum(ragged for _, ragged in self._counts)), is_ragged=True)

    @cached_property
    def _counts(self) -> tuple[tuple[int, int], ...]:
        """How many rows each part has: those with one field a column, and ragged ones."""
        counts: list[tuple[int, int]] = []
        for part in self.parts:
            seen = [(batch.frame.height, len(batch.ragged)) for batch in part.batches()]
            counts.append((sum(rows for rows, _ in seen), sum(ragged for _, ragged in seen)))
        return tuple(counts)

    def _find(self, rows: Sequence[int], *, is_ragged: bool) -> list[int | None]:
        wanted = set(rows)
        lines: dict[int, int] = {}
        first = 0
        for part, counts in zip(self.parts, self._counts, strict=True):
            inside = {row - first for row in wanted if first <= row < first + counts[is_ragged]}
            found = _scan(part, inside, counts, is_ragged=is_ragged) if inside else {}
            lines |= {first + row: line for row, line in found.items()}
            first += counts[is_ragged]
        return [lines.get(row) for row in rows]


def _scan(part: Part, rows: Container[int], counts: tuple[int, int], *, is_ragged: bool) -> dict[int, int]:
    """Return the line of each of these rows of a part."""
    seen = [0, 0]
    lines: dict[int, int] = {}
    for line, ragged in part.starts():
        if ragged is is_ragged and seen[ragged] in rows:
            lines[seen[ragged]] = line
        seen[ragged] += 1
    # Two readers have seen the file; where they do not agree on its rows, no number is better than a wrong one.
    return lines if tuple(seen) == counts else {}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One source as it was found, in memory: nothing parsed, nothing dropped."""

    name: str
    frame: pl.DataFrame
    is_text: bool
    """Whether text may stand for other types: CSV and SQLite, which have no types of their own to trust."""
    ragged: tuple[Ragged, ...] = ()
    """Rows of a CSV file whose number of fields is not that of the header, in order."""
    source: Source | None = None
    """Where the rows came from, to find line numbers in."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.frame.columns)

    @property
    def rows(self) -> int:
        """How many rows the source has, ragged ones too."""
        return self.frame.height + len(self.ragged)

    def batches(self) -> Iterator[Batch]:
        """Give the rows, as `Source` does, in one batch."""
        yield Batch(frame=self.frame, ragged=self.ragged)

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return the line of the file at which each of these rows (from 0) starts; `None` where there is no line."""
        return [self._lines[row] for row in rows]

    def ragged_lines(self) -> list[int | None]:
        """Return the line of the file at which each ragged row starts."""
        return self.source.ragged_lines() if self.source else [None] * len(self.ragged)

    @cached_property
    def _lines(self) -> list[int | None]:
        everyone = range(self.frame.height)
        return self.source.lines(everyone) if self.source else [None] * len(everyone)


def open_source(name: str, spec: SourceSpec, root: Path, *, size: int = BATCH) -> Source:
    r"""Open a source to read it in batches.

    CSV fields are text; blanks around names and values are removed, and the spellings of `missing` become null, in
    Parquet's text too. Numbers that are not a number (NaN) are null. In SQLite text an empty value is null.

    Parameters
    ----------
    name
        The source's name in the line file.
    spec
        Where it is and how to read it.
    root
        Folder that relative paths start from.
    size
        How many bytes of text a batch is made of, about; no row may be longer.

    Returns
    -------
    Source

    Raises
    ------
    SpecError, RequestError
        Saying what is wrong with the file or the query, and what to do.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id, colour\n1, red\n2,\n")
    >>> source = open_source("a", FileSource(file="a.csv"), folder)
    >>> source.columns, [batch.frame.rows() for batch in source.batches()]
    (('id', 'colour'), [[('1', 'red'), ('2', None)]])
    """
    where = f"sources.{name}"
    if not isinstance(spec, SqliteSource):
        return _open_file(name, _existing(spec.file, root, f"{where}.file"), spec, where, size)
    query = read_query(_existing(spec.sqlite, root, f"{where}.sqlite"), spec, where)
    return Source(name=name, columns=query.columns, is_text=True, parts=(query,), missing=("",))


def read_source(name: str, spec: SourceSpec, root: Path) -> Raw:
    """Read a source into memory, all batches of `open_source` in one table."""
    return whole(open_source(name, spec, root))


def whole(source: Source) -> Raw:
    """Return all rows of a source, in memory."""
    batches = list(source.batches())
    return Raw(
        name=source.name,
        frame=pl.concat([batch.frame for batch in batches], rechunk=True),
        is_text=source.is_text,
        ragged=tuple(row for batch in batches for row in batch.ragged),
        source=source,
    )


def read_file(spec: FileSource) -> Raw:
    """Read a file that is no source of a line, like `read_source`; messages name the file.

    Raises
    ------
    SpecError, RequestError
        Saying what is wrong with the file, and what to do.
    """
    path = Path(spec.file)
    if not path.is_file():
        raise RequestError(
            "this is not a file" if path.exists() else "there is no such file",
            where=spec.file,
            allowed="a CSV, CSV.gz or Parquet file",
            hint=near_file(path),
        )
    return whole(_open_file(path.name, path, spec, spec.file))


def _open_file(name: str, path: Path, spec: FileSource, where: str, size: int = BATCH) -> Source:
    is_parquet = _is_parquet(path)
    part = open_parquet(path, where, size=size) if is_parquet else open_csv(path, spec, where, size=size)
    return Source(
        name=name, columns=part.columns, is_text=not is_parquet, parts=(part,), missing=spec.missing
    )


def fingerprint(spec: SourceSpec, root: Path, where: str = "sources") -> str:
    """Return a digest of what a source holds and how it is read; where it lies does not matter.

    Files are hashed as they are, in blocks; of a database, the rows of the query.

    Raises
    ------
    SpecError, RequestError
        If it cannot be read.
    """
    hashed = hashlib.sha256()
    if isinstance(spec, SqliteSource):
        path = _existing(spec.sqlite, root, f"{where}.sqlite")
        with run_query(path, spec, where) as cursor:
            hashed.update(ascii([column[0] for column in cursor.description]).encode())
            for row in cursor:
                hashed.update(ascii(row).encode())
        return digest_of({"rows": hashed.hexdigest()})
    with _existing(spec.file, root, f"{where}.file").open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return digest_of({"bytes": hashed.hexdigest(), **spec.model_dump(mode="json", exclude={"file"})})


def _existing(written: str, root: Path, where: str) -> Path:
    path = root / written
    if path.is_file():
        return path
    if path.exists():
        raise RequestError("this is not a file", where=where, found=written, allowed="a file")
    hint = near_file(path, written=written) or f"paths start from {root}"
    raise RequestError("there is no such file", where=where, found=written, hint=hint)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == PARQUET


def clean(frame: pl.DataFrame, missing: tuple[str, ...]) -> pl.DataFrame:
    """Return a table whose texts have no blanks around them, and no value where one is spelled as missing."""
    # Category and Enum are spellings of text; NaN is how pandas writes a missing number.
    frame = frame.with_columns(
        pl.col(pl.Categorical, pl.Enum).cast(pl.String), pl.col(pl.Float32, pl.Float64).fill_nan(None)
    )
    text = pl.col(pl.String).str.strip_chars()
    return frame.with_columns(pl.when(~text.is_in(list(missing))).then(text)).rechunk()
