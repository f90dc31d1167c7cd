"""Learn an encoder from training rows.

What becomes of each type of column:

- integer, number: `Number`
- boolean: `Boolean`
- category: `Category`, and `Frequency` beside it where more than 30 levels occur at least twice
- date, datetime: month, day and weekday (of times also hour, its waves and minute) as `DatePart` where they vary, `Elapsed`
  days since the first training row, and `Elapsed` days between each pair of such columns, at most 6 pairs
- text: what it looks like, up to 32 directions of its grams and up to 256 of its words as `TextPart` (see `features.text`)
- file, a picture: what it looks like and what a backbone makes of it, as `PicturePart`
- list: nothing; it is kept in the table and not used by the model

What two numbers are together (`Arithmetic`) is added where training finds it of use (`model.train.feature_pairs`).

A column is dropped where it says the same in every training row.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import combinations, islice
from typing import assert_never

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.data.facts import Column
from linewright.errors import SpecError
from linewright.features.encode import MISSING, Columns, Instants, Levels, Numbers, Reader, Values, encode
from linewright.features.facts import (
    Boolean,
    Category,
    DatePart,
    Elapsed,
    Encoder,
    Encoding,
    Frequency,
    Number,
    Picture,
    PicturePart,
    SentenceEncoder,
    Text,
    TextPart,
)
from linewright.features.text import TextReader

MOST_LEVELS = 1_000
FREQUENCY_ABOVE = 30
MOST_PAIRS = 6
MOST_COMPARED = 20_000
"""Different texts that are asked whether a number of theirs varies."""
DATE_PARTS = ("month", "day", "weekday")
TIME_PARTS = ("month", "day", "weekday", "hour", "minute", "hour_sin", "hour_cos", "hour_sin2", "hour_cos2")

_UNUSED = ("list",)
# RFC 8785 numbers are doubles; an origin outside would make the package's JSON inexact.
_LARGEST_ORIGIN = 2**53 - 1


def to_columns(frame: pl.DataFrame, names: Sequence[str]) -> Columns:
    """Return columns of `frame` in the form that `encode` reads.

    Examples
    --------
    >>> columns = to_columns(pl.DataFrame({"make": ["Opel", None, "Fiat", "Opel"]}), ["make"])
    >>> columns["make"].levels, columns["make"].codes.tolist()
    (['Fiat', 'Opel'], [1, -1, 0, 1])
    """
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise SpecError(
            "the table lacks a column", found=absent[0], allowed=", ".join(map(repr, frame.columns))
        )
    return {name: _to_values(frame.get_column(name)) for name in names}


def _to_values(series: pl.Series) -> Values:
    dtype = series.dtype
    if dtype.is_numeric() or isinstance(dtype, (pl.Boolean, pl.Null)):
        return Numbers(values=series.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return _to_levels(series.cast(pl.String))
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return Instants(micros=_to_micros(series))
    raise SpecError(
        "no feature can be made of this column",
        where=f"column {series.name!r}",
        found=str(dtype),
        allowed="numbers, booleans, strings, dates, times",
        hint="exclude it, or cast it in `table.sql`",
    )


def _to_levels(series: pl.Series) -> Levels:
    levels = series.drop_nulls().unique().sort()
    codes = series.cast(pl.Enum(levels)).to_physical().cast(pl.Int32).fill_null(-1)
    return Levels(codes=codes.to_numpy(), levels=levels.to_list())


def _to_micros(series: pl.Series) -> NDArray[np.int64]:
    # The physical number of a time with a zone is that of UTC already.
    micros = series.cast(pl.Datetime("us")) if series.dtype == pl.Date else series.dt.cast_time_unit("us")
    return micros.to_physical().fill_null(MISSING).to_numpy()


Look = Callable[[str], tuple[Picture, Reader]]
"""Returns how the pictures of a column become numbers, and what reads them."""
FindEncoder = Callable[[Text], tuple[SentenceEncoder, Reader]]
"""Returns the encoder of sentences that reads a column of texts, and what reads them by it and by their grams."""


def learn(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    look: Look | None = None,
    find_encoder: FindEncoder | None = None,
) -> Encoder:
    """Learn how to encode `columns` from training rows.

    Examples
    --------
    >>> frame = pl.DataFrame({"age": [31, 47, None], "make": ["Fiat", "Fiat", "Opel"], "country": ["FR", "FR", "FR"]})
    >>> types = {"age": "integer", "make": "category", "country": "category"}
    >>> encoder = learn(frame, [Column(name=name, type=kind) for name, kind in types.items()])
    >>> encoder.names, encoder.encodings[1].levels
    (('age', 'make'), ('Fiat',))
    """
    values = to_columns(frame, [column.name for column in columns if column.type not in _UNUSED])
    used = [column for column in columns if column.name in values and not _is_empty(values[column.name])]
    texts: list[Text] = []
    pictures: list[Picture] = []
    sentences: list[SentenceEncoder] = []
    encodings: list[Encoding] = []
    for column in used:
        of = values[column.name]
        if column.type == "text" and isinstance(of, Levels):
            texts.append(_learn_text(column.name, of.levels, rows=frame.height))
            reader: Reader = TextReader(texts[-1])
            if find_encoder is not None:
                encoder, reader = find_encoder(texts[-1])
                sentences.append(encoder)
            encodings += _varied(column.name, TextPart, reader, of)
        elif column.type == "file" and isinstance(of, Levels) and look is not None:
            picture, reader = look(column.name)
            pictures.append(picture)
            encodings += _varied(column.name, PicturePart, reader, of)
        else:
            encodings += [e for e in _candidates(column, values) if _varies(e, values)]
    kept = {encoding.column for encoding in encodings}
    encodings += _pairs([c.name for c in used if c.name in kept and c.type in ("date", "datetime")], values)
    if not encodings:
        raise _nothing_left(columns, frame.height, values)
    read = {encoding.column for encoding in encodings}
    return Encoder(
        encodings=tuple(encodings),
        texts=tuple(text for text in texts if text.column in read),
        pictures=tuple(one for one in pictures if one.column in read),
        sentences=tuple(one for one in sentences if one.column in read),
    )


def _learn_text(column: str, texts: Sequence[str], *, rows: int) -> Text:
    # By name: it needs scipy, which commands that only look do not wait for.
    return import_module("linewright.features.learn_text").learn_text(column, texts, rows=rows)


def _varied(
    name: str, part_of: type[TextPart] | type[PicturePart], reader: Reader, column: Levels
) -> list[Encoding]:
    """Return the numbers that vary, from value to value or for what is missing."""
    numbers = reader.read(column.levels[:: 1 + len(column.levels) // MOST_COMPARED])
    if (column.codes == -1).any():
        numbers = np.concatenate([numbers, reader.missing])
    return [
        part_of(column=name, part=part) for part, found in enumerate(numbers.T) if len(np.unique(found)) > 1
    ]


def _candidates(column: Column, values: Columns) -> list[Encoding]:
    name, of = column.name, values[column.name]
    match column.type, of:
        case (("integer" | "number"), Numbers()):
            return [Number(column=name)]
        case "boolean", Numbers():
            return [Boolean(column=name)]
        case "category", Levels():
            return _category(name, of)
        case "date", Instants():
            return _moments(name, of, DATE_PARTS)
        case "datetime", Instants():
            return _moments(name, of, TIME_PARTS)
        case kind, _:
            raise SpecError(
                "the values are not of the column's type",
                where=f"column {name!r}",
                found=type(of).__name__.lower(),
                allowed=kind,
                hint="correct `contract.columns`, or cast it in `table.sql`",
            )


def _category(name: str, column: Levels) -> list[Encoding]:
    n = max(len(column.codes), 1)
    # One more at the front, so that missing (-1) counts too.
    counts = np.bincount(column.codes + 1, minlength=len(column.levels) + 1).tolist()
    by_level = {level: count for level, count in zip(column.levels, counts[1:], strict=True) if count > 1}
    levels = tuple(sorted(by_level, key=lambda level: (-by_level[level], level))[:MOST_LEVELS])
    category = Category(column=name, levels=levels)
    if len(levels) <= FREQUENCY_ABOVE:
        return [category]
    shares = tuple(by_level[level] / n for level in levels)
    return [category, Frequency(column=name, levels=levels, shares=shares, missing=counts[0] / n)]


def _moments(name: str, column: Instants, parts: Sequence[str]) -> list[Encoding]:
    first = int(column.micros[column.micros != MISSING].min())
    origin = max(-_LARGEST_ORIGIN, min(first, _LARGEST_ORIGIN))
    return [*(DatePart(column=name, part=part) for part in parts), Elapsed(column=name, origin=origin)]


def _varies(encoding: Encoding, values: Columns) -> bool:
    encoded = encode(Encoder(encodings=(encoding,)), values)[:, 0]
    known = encoded[~np.isnan(encoded)]
    if not len(known):
        return False
    # Being missing is a value of its own, said once a column: parts of a date need not repeat it.
    says_missing = len(known) < len(encoded) and not isinstance(encoding, DatePart)
    return says_missing or bool(known.min() < known.max())


def _pairs(moments: Sequence[str], values: Columns) -> Iterator[Encoding]:
    pairs = (Elapsed(column=later, since=earlier) for earlier, later in combinations(moments, 2))
    return islice((pair for pair in pairs if _varies(pair, values)), MOST_PAIRS)


def _nothing_left(columns: Sequence[Column], rows: int, values: Columns) -> SpecError:
    reasons = {column.name: _why_dropped(column, values) for column in columns} if rows else {}
    said = "; ".join(f"{name!r}: {why}" for name, why in reasons.items())
    return SpecError(
        "no feature is left to learn from",
        where="table",
        found=said or ("no training rows" if not rows else "no feature columns"),
        hint="bring columns that differ from row to row, or exclude fewer",
        details={"dropped": reasons},
    )


def _why_dropped(column: Column, values: Columns) -> str:
    if column.type in _UNUSED:
        return f"{column.type} columns are not used yet"
    of = values[column.name]
    if _is_empty(of):
        return "missing in every training row"
    if column.type == "text" and isinstance(of, Levels) and len(of.levels) > 1:
        return "too few texts have words in common"
    if isinstance(of, Levels) and len(of.levels) > 1:
        return "no value occurs twice"
    return "the same in every training row"


def _is_empty(values: Values) -> bool:
    match values:
        case Numbers():
            return bool(np.isnan(values.values).all())
        case Levels():
            return bool((values.codes == -1).all())
        case Instants():
            return bool((values.micros == MISSING).all())
        case _:
            assert_never(values)
