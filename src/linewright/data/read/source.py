"""Sources: files and queries become tables, exactly as they are."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import polars as pl

from linewright.data.read.batches import BATCH, Batch, Held, Part, Ragged, refuse_patterns, sound
from linewright.data.read.reader import reader_of
from linewright.data.spec import SourceSpec

_POINT = r"^[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?$"
_COMMA = _POINT.replace(r"\.", ",")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the rows of one source come from; nothing is in memory yet."""

    name: str
    columns: tuple[str, ...]
    """Names of the columns, in order."""
    is_text: bool
    """Whether text may stand for other types: in all but Parquet, whose types are to be trusted."""
    parts: tuple[Part, ...]
    """What holds the rows, in order."""
    missing: tuple[str, ...]
    """Texts that mean "no value"."""
    decimal: str = "."
    """What numbers have before their decimals, as they are spelled in the files."""
    file_names: tuple[str, ...] = ()
    """Names of the files, where they are several; each is one part."""
    _counted: dict[int, tuple[int, int]] = field(
        default_factory=dict[int, tuple[int, int]], init=False, repr=False, compare=False
    )
    """How many rows a part has, by its number, once it was read to its end: see `_counts`."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows, cleaned, some at a time: at least one batch, and the same ones at each call.

        A batch is made of about 16 MiB of text. Memory is bounded by a few of them, but for a query, whose rows are one
        batch.
        """
        for number, part in enumerate(self.parts):
            rows = ragged = 0
            for batch in part.batches():
                with sound(part.where, self.file_names[number] if self.file_names else self.name):
                    frame = clean(batch.frame.select(self.columns), self.missing)
                    frame = with_points(frame) if self.decimal == "," else frame
                yield Batch(frame=frame, ragged=batch.ragged)
                rows, ragged = rows + frame.height, ragged + len(batch.ragged)
            self._counted[number] = rows, ragged

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return the line of the file at which each of these rows (from 0, over all batches) starts.

        `None` where there is no line. The files are read once more for it.
        """
        return self._find(rows, is_ragged=False)

    def ragged_lines(self) -> list[int | None]:
        """Return the line of the file at which each ragged row starts."""
        return self._find(range(sum(ragged for _, ragged in self._counts)), is_ragged=True)

    def ragged_before(self) -> list[int]:
        """Return how many rows that are not ragged stand before each ragged row; nothing where that cannot be told."""
        before: list[int] = []
        first = 0
        for part, counts in zip(self.parts, self._counts, strict=True):
            seen = [0, 0]
            for _, many, ragged in part.starts():
                before += [first + seen[False]] * many if ragged else []
                seen[ragged] += many
            if tuple(seen) != counts:
                return []
            first += counts[False]
        return before

    def files(self, rows: Sequence[int]) -> list[str | None]:
        """Return the name of the file that each of these rows stands in; `None` where the source is one file."""
        return self._files(rows, is_ragged=False)

    def ragged_files(self) -> list[str | None]:
        """Return the name of the file that each ragged row stands in; `None` where the source is one file."""
        return self._files(range(sum(ragged for _, ragged in self._counts)), is_ragged=True)

    def _files(self, rows: Sequence[int], *, is_ragged: bool) -> list[str | None]:
        if not self.file_names:
            return [None] * len(rows)
        ends = list(accumulate(counts[is_ragged] for counts in self._counts))
        return [self.file_names[bisect_right(ends, row)] for row in rows]

    @property
    def _counts(self) -> list[tuple[int, int]]:
        """How many rows each part has: those with one field a column, and ragged ones."""
        if len(self._counted) < len(self.parts):
            deque(self.batches(), maxlen=0)
        return [self._counted[number] for number in range(len(self.parts))]

    def _find(self, rows: Sequence[int], *, is_ragged: bool) -> list[int | None]:
        wanted = sorted(rows)
        lines: dict[int, int] = {}
        first = 0
        for part, counts in zip(self.parts, self._counts, strict=True):
            inside = [row - first for row in wanted if first <= row < first + counts[is_ragged]]
            found = _scan(part, inside, counts, is_ragged=is_ragged) if inside else {}
            lines |= {first + row: line for row, line in found.items()}
            first += counts[is_ragged]
        return [lines.get(row) for row in rows]


def _scan(part: Part, rows: Sequence[int], counts: tuple[int, int], *, is_ragged: bool) -> dict[int, int]:
    """Return the line of each of these rows, in ascending order, of a part."""
    seen = [0, 0]
    lines: dict[int, int] = {}
    for line, many, ragged in part.starts():
        first = seen[ragged]
        seen[ragged] += many
        if ragged is is_ragged:
            some = rows[bisect_left(rows, first) : bisect_left(rows, first + many)]
            lines |= {row: line + row - first for row in some}
    # Two readers have seen the file; where they do not agree on its rows, no number is better than a wrong one.
    return lines if tuple(seen) == counts else {}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One source as it was found, in memory: nothing parsed, nothing dropped."""

    name: str
    frame: pl.DataFrame
    is_text: bool
    """Whether text may stand for other types: in all but Parquet, whose types are to be trusted."""
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

    def ragged_before(self) -> list[int]:
        """Return how many rows that are not ragged stand before each ragged row; nothing where that cannot be told."""
        return self.source.ragged_before() if self.source else []

    def files(self, rows: Sequence[int]) -> list[str | None]:
        """Return the name of the file that each of these rows stands in; `None` where the source is one file."""
        return self.source.files(rows) if self.source else [None] * len(rows)

    def ragged_files(self) -> list[str | None]:
        """Return the name of the file that each ragged row stands in; `None` where the source is one file."""
        return self.source.ragged_files() if self.source else [None] * len(self.ragged)

    @cached_property
    def _lines(self) -> list[int | None]:
        everyone = range(self.frame.height)
        return self.source.lines(everyone) if self.source else [None] * len(everyone)


def open_source(name: str, spec: SourceSpec, root: Path, *, size: int = BATCH) -> Source:
    r"""Open a source to read it in batches.

    CSV fields are text; blanks around names and values are removed, and the spellings of `missing` become null, in
    Parquet's text too. Numbers that are not a number (NaN) are null. In SQLite text an empty value is null.

    Examples
    --------
    >>> import tempfile
    >>> from linewright.data.spec import FileSource
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id, colour\n1, red\n2,\n")
    >>> source = open_source("a", FileSource(file="a.csv"), folder)
    >>> source.columns, [batch.frame.rows() for batch in source.batches()]
    (('id', 'colour'), [[('1', 'red'), ('2', None)]])
    """
    source = reader_of(spec).open(name, spec, root, size=size)
    refuse_patterns(source.columns, f"sources.{name}")
    return source


def read_source(name: str, spec: SourceSpec, root: Path) -> Raw:
    """Read a source into memory, all batches of `open_source` in one table."""
    return whole(open_source(name, spec, root))


def whole(source: Source) -> Raw:
    """Return all rows of a source, in memory."""
    held, frames, ragged = Held(source.parts[0].where), list[pl.DataFrame](), list[Ragged]()
    for batch in source.batches():
        frames.append(held(batch.frame))
        ragged += batch.ragged
    return Raw(
        name=source.name,
        frame=pl.concat(frames, rechunk=True),
        is_text=source.is_text,
        ragged=tuple(ragged),
        source=source,
    )


def clean(frame: pl.DataFrame, missing: tuple[str, ...]) -> pl.DataFrame:
    """Return a table whose texts have no blanks around them, and no value where one is spelled as missing."""
    # Category and Enum are spellings of text; NaN is how pandas writes a missing number.
    frame = frame.with_columns(
        pl.col(pl.Categorical, pl.Enum).cast(pl.String), pl.col(pl.Float32, pl.Float64).fill_nan(None)
    )
    text = pl.col(pl.String)
    # Two steps, or polars would strip each text twice.
    frame = frame.with_columns(text.str.strip_chars())
    return frame.with_columns(pl.when(~text.is_in(list(missing))).then(text)).rechunk()


def with_points(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose numbers with a decimal comma have a point instead.

    A number with a point gets a comma: what it means beside decimal commas is not known, so it shall not read as one.

    Examples
    --------
    >>> with_points(pl.DataFrame({"x": ["1,5", "-,25", "7", "1.234", "1.234,5", "31.12.2024", "a,b"]}))["x"].to_list()
    ['1.5', '-.25', '7', '1,234', '1.234,5', '31.12.2024', 'a,b']
    """
    text = pl.col(pl.String)
    return frame.with_columns(
        pl.when(text.str.contains(_COMMA))
        .then(text.str.replace(",", ".", literal=True))
        .when(text.str.contains(_POINT))
        .then(text.str.replace(".", ",", literal=True))
        .otherwise(text)
    )
