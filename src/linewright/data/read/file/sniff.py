"""How a file of data is to be read, found by looking at it: separator, encoding, and what is written for "no value"."""

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import polars as pl

from linewright.data.read.file.compression import Unpackable, open_unpacked
from linewright.data.read.file.encoding import refuse_foreign
from linewright.data.read.file.excel_file import is_excel
from linewright.data.read.file.json_lines import looks_like_json_lines
from linewright.data.read.file.parquet_file import PARQUET
from linewright.data.spec import NUMBERS, TIMES, FileLimits, FileSource
from linewright.data.types import cast, infer_most
from linewright.errors import RequestError

_BLOCK = 1 << 16
_RATIO = FileLimits().ratio
_LINES = 50
_SEPARATORS = ",;\t|"
_MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "?")
_RARE = 0.1
_WITH_COMMAS = r"^[+-]?([0-9]+|[0-9]*,[0-9]+([eE][+-]?[0-9]+)?)$"
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
_MISSING_AMONG_NUMBERS = ("None", "none", "-", "--", ".", "unknown", "missing")


def sniff(path: Path, written: str) -> FileSource:
    r"""Return how a file is to be read; `missing` is left to `missing_spellings`.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> _ = file.write_bytes("name;town\nJosé;Köln\n".encode("cp1252"))
    >>> found = sniff(file, "a.csv")
    >>> found.separator, found.encoding
    (';', 'cp1252')
    """
    try:
        if is_excel(path):
            return FileSource(file=written)
        with open_unpacked(path, _RATIO) as file:
            head = file.read(_BLOCK)
        if head.startswith(PARQUET):
            return FileSource(file=written)
        refuse_foreign(head, "--data", path.name)
        encoding = _encoding(path, head)
    except Unpackable as error:
        raise RequestError(error.what, where="--data", found=path.name, hint=error.hint) from error
    except OSError as error:
        raise RequestError(
            f"the file cannot be read: {error.strerror or error}", where="--data", found=path.name
        ) from error
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    separator = "," if looks_like_json_lines(text) else _separator(text)
    return FileSource(file=written, encoding=encoding, separator=separator)


def first_fields(path: Path, spec: FileSource) -> tuple[str, ...]:
    """Return the fields of the first line of a CSV file; none of another file."""
    if is_excel(path):
        return ()
    with open_unpacked(path, _RATIO) as file:
        head = file.read(_BLOCK)
    text = head.decode(spec.encoding, "replace").lstrip("\ufeff")
    if head.startswith(PARQUET) or looks_like_json_lines(text):
        return ()
    rows = csv.reader(io.StringIO(text), delimiter=spec.separator)
    return tuple(field.strip() for field in next((row for row in rows if row), []))


def names_apart(fields: Sequence[str]) -> tuple[str, ...]:
    """Return names for columns of which some have the same: each but the first gets its number.

    Examples
    --------
    >>> names_apart(["id", "score", "score", "score_2", "score"])
    ('id', 'score', 'score_3', 'score_2', 'score_4')
    """
    names: list[str] = []
    for field in fields:
        name, number = field, 1
        while field and (name in names or (number > 1 and name in fields)):
            number += 1
            name = f"{field}_{number}"
        names.append(name)
    return tuple(names)


def looks_like_data(fields: Sequence[str]) -> bool:
    """Return whether a first line holds numbers only, so that it is no header.

    Years may name columns, and whole numbers from 0 on do where a program has named them.

    Examples
    --------
    >>> looks_like_data(["5.1", "3.5", "0"]), looks_like_data(["2019", "2020"]), looks_like_data(["id", "1"])
    (True, False, False)
    """
    numbers = cast(pl.Series(fields, dtype=pl.String).str.replace(",", "."), "number")
    if not fields or numbers.null_count():
        return False
    years = numbers.is_between(1900, 2100).all() and numbers.n_unique() == len(fields)
    return not years and numbers.to_list() != list(range(int(numbers[0]), int(numbers[0]) + len(fields)))


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    part = _undecodable(path, "utf-8")
    if part is None:
        return "utf-8"
    # By name: most files are UTF-8, and most commands that import this module guess nothing.
    likely: str = import_module("linewright.data.read.file.guess_encoding").likely_encoding(part)
    return next((one for one in (likely, "cp1252") if _undecodable(path, one) is None), "latin-1")


def _undecodable(path: Path, encoding: str) -> bytes | None:
    """Return the first part of a file that is not in an encoding; `None` where all of it is."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_unpacked(path, _RATIO) as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return bytes(error.object)
    return None


def _separator(head: str) -> str:
    """Return the separator that cuts the first lines into most fields, as many in each."""

    def fields(separator: str) -> int:
        try:
            rows = [row for row in csv.reader(io.StringIO(head), delimiter=separator) if row]
        except csv.Error:
            return 0
        complete = rows[: min(_LINES, max(1, len(rows) - 1))]  # the last line of the head may be cut
        widths = [len(row) for row in complete]
        return widths[0] if widths and widths.count(widths[0]) > len(widths) / 2 else 0

    return max(_SEPARATORS, key=fields)


def missing_spellings(frame: pl.DataFrame, label: str) -> Mapping[str, int]:
    """Return the spellings that mean "no value", with the number of columns that have each.

    "NA" and its like count wherever they stand, "None", "-" and words only in a column that holds numbers or times
    otherwise. A spelling that the label has among other words may be one of its classes; it counts only if at most a tenth
    of the rows have it there and a column of numbers or times has it too.

    Examples
    --------
    >>> frame = pl.DataFrame({"age": ["31", "NA", "47"], "fence": ["None", "wood", "NA"], "sold": ["1", "0", "1"]})
    >>> missing_spellings(frame, "sold")
    {'NA': 2}
    """
    texts = [column for column in frame.iter_columns() if column.dtype == pl.String]
    answers = next((column for column in texts if column.name == label), pl.Series(dtype=pl.String))
    found: dict[str, int] = {}
    words = [*_MISSING, *_MISSING_AMONG_NUMBERS]
    # Most columns have none of them: each is asked about all at once, before it is asked about each.
    has_some = frame.select(pl.col(pl.String).is_in(words).any())
    suspected = [column for column in texts if has_some[column.name].item()]
    for word in words:
        everywhere = word in _MISSING
        has = [column for column in suspected if (column == word).any()]
        is_rare = (answers == word).sum() <= _RARE * len(answers)
        witnesses = has if everywhere and is_rare else [answers]
        if (answers == word).any() and not any(_is_odd_one(column, word, found) for column in witnesses):
            continue
        if count := sum(everywhere or _is_odd_one(column, word, found) for column in has):
            found[word] = count
    return found


class Commas(NamedTuple):
    """Columns that hold whole numbers and numbers with a comma, and nothing else."""

    decimal: tuple[str, ...]
    """Those whose comma can only stand before decimals."""
    doubtful: Mapping[str, str]
    """A value of each column whose comma may part thousands as well: 1,234."""


def commas(frame: pl.DataFrame) -> Commas:
    """Find the columns whose numbers have commas.

    Beside a column of numbers with points, no comma is certain to be a decimal one.

    Examples
    --------
    >>> commas(pl.DataFrame({"price": ["1,5", "2", "NA"], "rows": ["1,234", "7", "12,000"], "place": ["a,b", "1,5", None]}))
    Commas(decimal=('price',), doubtful={'rows': '1,234'})
    """
    decimal: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    for column in (column for column in frame.iter_columns() if column.dtype == pl.String):
        values = _without_missing(column)
        found = values.filter(values.str.contains(",", literal=True))
        if found.len() and values.str.contains(_WITH_COMMAS).all():
            (doubtful if found.str.contains(_THOUSANDS).all() else decimal)[column.name] = found[0]
    if decimal and any(map(_has_points, frame.iter_columns())):
        return Commas((), decimal | doubtful)
    return Commas(tuple(decimal), doubtful)


def _without_missing(column: pl.Series) -> pl.Series:
    return column.drop_nulls().filter(~column.drop_nulls().is_in([*_MISSING, *_MISSING_AMONG_NUMBERS]))


def _has_points(column: pl.Series) -> bool:
    if column.dtype != pl.String:
        return False
    values = _without_missing(column)
    return infer_most(values).type == "number" and bool(values.str.contains(".", literal=True).any())


def means_missing(text: str, *, among_numbers: bool) -> bool:
    """Return whether a text is a usual spelling of "no value"; "None", "-" and words are so only among numbers.

    Examples
    --------
    >>> means_missing("NA", among_numbers=False), means_missing("-", among_numbers=False)
    (True, False)
    """
    return text in _MISSING or (among_numbers and text in _MISSING_AMONG_NUMBERS)


def _is_odd_one(column: pl.Series, word: str, missing: Mapping[str, int]) -> bool:
    rest = column.filter(~column.is_in([word, *missing]))
    return len(rest.drop_nulls()) > 0 and infer_most(rest).type in NUMBERS | TIMES
