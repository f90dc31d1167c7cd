"""Strict reading of JSON rows into columns: the same meaning that the CSV reader gives to a row of the table.

Blanks around a text are removed, and the texts that mean "no value" in the source mean it here. Nothing is guessed: a value of another type, a
column that the contract does not name, or a number that is not finite is refused with its place.
"""

import json
from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

from linewright.errors import RequestError, Terminal
from linewright.features.encode import Columns, Values
from linewright.model.facts import RequestColumn
from linewright.serve.rows.body.request_columns import HOW_LISTS_ARE_SENT, Needs
from linewright.serve.rows.body.scalars import as_number, kind_of, shown
from linewright.serve.rows.body.typed import Row, column_of
from linewright.serve.rows.body.values import KINDS, Excess, check_all_carried, check_carried

MAX_ROWS = 10_000
TIMES = frozenset({"date", "datetime"})
MAX_MISTAKES = 20
_MOST_REPEATED = 40
"""Characters of a text that a hint says again."""

T = TypeVar("T")
Place = Callable[[int, str], str]
"""Names the place of a value, from its row (0 is the first) and column."""


@contextmanager
def placed(place: Place) -> Generator[None]:
    """Name the place of a value that turns out to be wrong when it is encoded."""
    try:
        yield
    except RequestError as error:
        if not error.details.keys() >= {"row", "column"}:
            raise
        error.where = place(error.details["row"], error.details["column"])
        raise


def in_rows(row: int, column: str) -> str:
    """Name a place in a list of rows.

    Examples
    --------
    >>> in_rows(3, "Age"), in_rows(3, "")
    ('rows[3].Age', 'rows[3]')
    """
    return f"rows[{row}].{column[:100]}" if column else f"rows[{row}]"


class RowReader:
    """Reads rows of one model's table.

    Examples
    --------
    >>> reader = RowReader([RequestColumn(name="Age", type="integer", nullable=False)])
    >>> reader.read([{"Age": 41}, {"Age": 17.0}])["Age"].values.tolist()
    [41.0, 17.0]
    >>> reader.read([{"Age": "old"}])
    Traceback (most recent call last):
        ...
    linewright.errors.RequestError: rows[0].Age: not a value of this column: found 'old', allowed: an integer
    """

    def __init__(
        self, columns: Sequence[RequestColumn], *, missing: Sequence[str] = ("",), needs: Needs | None = None
    ) -> None:
        self._needs = needs
        self._known = {column.name: column for column in columns}
        none = frozenset(missing)
        self.missing = none
        self._features = [(column, converter(column, none)) for column in columns if column.role == "feature"]
        self._carried = [column.name for column in columns if column.role != "feature"]

    def read(self, rows: object, *, place: Place = in_rows) -> Columns:
        """Return the feature columns of `rows`, which is a list of at least 1 and at most 10,000 objects."""
        return self.read_as(self._columns, rows, place)

    def read_as(
        self, convert: Callable[[list[dict[str, Any]]], T], rows: object, place: Place = in_rows
    ) -> T:
        """Return what `convert` makes of rows whose columns are known; where it raises `ValueError`, say what is wrong."""
        checked = checked_shape(rows)
        try:
            self._check(checked)
            with placed(place):
                return convert(checked)
        except (ValueError, TypeError, OverflowError):
            wrong = sum(map(self._is_wrong, checked))
            raise _refusal(self._mistakes(checked, place), wrong=wrong, of=len(checked)) from None

    def _check(self, rows: list[dict[str, Any]]) -> None:
        if not self._known.keys() >= set[str]().union(*rows):
            raise ValueError
        if self._needs is not None and any(map(self._needs.lacks, rows)):
            raise ValueError
        self.check_carried(rows)

    def check_carried(self, rows: Sequence[Row]) -> None:
        """Refuse, with `ValueError`, rows whose carried columns hold what cannot be kept."""
        for name in self._carried:
            check_all_carried(column_of(rows, name))

    def _columns(self, rows: list[dict[str, Any]]) -> Columns:
        return self.columns(rows, self._known)

    def columns(self, rows: Sequence[Row], names: Container[str]) -> Columns:
        """Return some of the feature columns of rows; raise `ValueError` for a value that a column cannot take."""
        columns: dict[str, Values] = {}
        for column, convert in self._features:
            name = column.name
            if name not in names:
                continue
            values = list(map(convert, column_of(rows, name)))
            if not column.nullable and None in values:
                raise ValueError
            columns[name] = KINDS[column.type].to_column(values)
        return columns

    def _mistakes(self, rows: list[dict[str, Any]], place: Place) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number, row in enumerate(rows):
            for column, mistake in self._mistakes_of(row):
                found.append({"where": place(number, column), **mistake})
                if len(found) == MAX_MISTAKES:
                    return found
        return found

    def _is_wrong(self, row: dict[str, Any]) -> bool:
        # Names first: which known one an unknown one is like takes long, and there may be 10,000 rows.
        return not self._known.keys() >= row.keys() or next(self._mistakes_of(row), None) is not None

    def _mistakes_of(self, row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in [name for name in row if name not in self._known]:
            yield name, _unknown(name, self._known)
        for name in self._carried:
            try:
                check_carried(row.get(name))
            except ValueError as error:
                yield name, _mistake("not a value of this column", row[name], str(error))
        lacks = () if self._needs is None else self._needs.lacks(row)
        gone: list[tuple[str, dict[str, Any]]] = [
            (name, _mistake("the column is needed", None, self._allowed(name), self._needs.why(name)))
            for name in lacks
            if self._needs is not None
        ]
        for column, convert in self._features:
            allowed = KINDS[column.type].allowed
            try:
                missing = convert(row.get(column.name)) is None
            except (ValueError, TypeError, OverflowError) as error:
                because = str(error) if isinstance(error, Excess) else allowed
                value = row[column.name]
                hint = _right_form(value, column)
                yield column.name, _mistake("not a value of this column", value, because, hint)
                continue
            if missing and not column.nullable and (column.name in row or self._needs is None):
                what = "a value is needed" if column.name in row else "the column is needed"
                gone.append(
                    (column.name, _mistake(what, None, allowed, HOW_LISTS_ARE_SENT.get(column.type, "")))
                )
        yield from gone  # behind what is there and wrong: many columns may be left out

    def _allowed(self, name: str) -> str:
        return KINDS[self._known[name].type].allowed


def checked_shape(rows: object) -> list[dict[str, Any]]:
    """Return rows if they are a list of at least 1 and at most 10,000 objects."""
    if not isinstance(rows, list):
        raise RequestError(
            "rows is not a list", where="rows", found=kind_of(rows), allowed="a list of objects"
        )
    if not rows or len(rows) > MAX_ROWS:
        raise RequestError(
            "too many rows" if rows else "there are no rows",
            where="rows",
            found=len(rows),
            allowed=f"1 to {MAX_ROWS:,} rows",
            hint="send them in several requests" if rows else "",
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(
                "not an object",
                where=in_rows(number, ""),
                found=kind_of(row),
                allowed="an object {column: value}",
            )
    return rows


def converter(column: RequestColumn, missing: frozenset[str]) -> Callable[[object], Any]:
    """Return what reads a JSON value of a column: to `None` where it is missing, with a `ValueError` where it cannot be."""
    kind = KINDS.get(column.type)
    if kind is None:
        raise Terminal(
            "this endpoint cannot read the column",
            where=column.name,
            found=column.type,
            allowed=", ".join(KINDS),
        )
    read = partial(kind.read, form=column.format) if column.type in TIMES else kind.read
    return lambda value: None if type(value) is str and value.strip() in missing else read(value)


def _mistake(message: str, value: object, allowed: str, hint: str = "") -> dict[str, Any]:
    return {"message": message, "found": shown(value), "allowed": allowed, "hint": hint}


def _right_form(value: object, column: RequestColumn) -> str:
    """Return what to send instead of a value that a column cannot take, where that can be said."""
    match column.type:
        case "integer" | "number":
            return as_number(value)
        case "boolean" if isinstance(value, (str, int, float)):
            return "send true or false, without quotes"
        case "list" | "numbers" if isinstance(value, str):
            if value.lstrip().startswith("["):
                return "not a JSON list; send the list itself, without quotes around it"
            return (
                "send a list, e.g. [1, 2.5]"
                if column.type == "numbers"
                else f"send a list: [{_quoted(value)}]"
            )
        case "date" | "datetime" if isinstance(value, str):
            example = "2026-01-31" if column.type == "date" else "2026-01-31T12:00:00Z"
            form = f"{column.format}, or " if column.format else ""
            return f'send it as {form}ISO 8601, e.g. "{example}"'
        case _:
            return ""


def _quoted(value: str) -> str:
    return json.dumps(value if len(value) <= _MOST_REPEATED else "…", ensure_ascii=False)


def _unknown(name: str, known: Mapping[str, RequestColumn]) -> dict[str, Any]:
    near = get_close_matches(name, known, n=1) if len(name) <= 100 else []
    return {
        "message": "the contract has no such column",
        "found": name[:100],
        "allowed": ", ".join(known)[:1000],
        "hint": f"did you mean {near[0]!r}?" if near else "",
    }


def _refusal(mistakes: list[dict[str, Any]], *, wrong: int = 1, of: int = 1) -> RequestError:
    first = mistakes[0]
    others = f" ({wrong:,} of {of:,} rows are wrong)" if wrong > 1 else ""
    return RequestError(
        f"{first['message']}{others}",
        where=first["where"],
        found=first["found"],
        allowed=first["allowed"],
        hint=first["hint"],
        details={"errors": mistakes, "wrong_rows": wrong},
    )


def check_known(names: Sequence[str], columns: Sequence[RequestColumn], place: Callable[[str], str]) -> None:
    """Refuse the first name that is no column, with the nearest one that is.

    Examples
    --------
    >>> check_known(["Aeg"], [RequestColumn(name="Age", type="integer")], "inputs[{}]".format)
    Traceback (most recent call last):
        ...
    linewright.errors.RequestError: inputs[Aeg]: the contract has no such column: found 'Aeg', allowed: Age. Next: did you mean 'Age'?
    """
    known = {column.name: column for column in columns}
    for name in names:
        if name not in known:
            raise _refusal([{"where": place(name), **_unknown(name, known)}])


def to_schema(
    columns: Sequence[RequestColumn],
    *,
    title: str,
    time: RequestColumn | None = None,
    needs: Needs | None = None,
) -> dict[str, Any]:
    """Return the JSON Schema of a row, in the plainest form of each value.

    Examples
    --------
    >>> to_schema([RequestColumn(name="Age", type="integer", nullable=False)], title="A row")["properties"]
    {'Age': {'type': 'integer', 'minimum': -9223372036854775808, 'maximum': 9223372036854775807}}
    """
    required = (
        [column.name for column in columns if column.role == "feature" and not column.nullable]
        if needs is None
        else [name for name in needs.required if name not in needs.reads]
    )
    made = (
        {} if needs is None else {name: needs.reads[name] for name in needs.required if name in needs.reads}
    )
    either = [
        {"anyOf": [{"required": [name]}, {"required": list(reads)}]} for name, reads in made.items() if reads
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {
            column.name: _described(
                _time_property(column) if column == time else _property(column), column, needs
            )
            for column in columns
        },
        "required": required,
        "additionalProperties": False,
        **({"allOf": either} if either else {}),
    }


def _described(schema: dict[str, Any], column: RequestColumn, needs: Needs | None) -> dict[str, Any]:
    """Say of a column's schema what `table.sql` has to do with it."""
    if needs is None:
        return schema
    says = [schema["description"]] if "description" in schema else []
    if reads := needs.reads.get(column.name):
        says = [f"made of {', '.join(reads)} by table.sql; taken as it is where the row has it"]
    elif column.name in needs.must_be_sent:
        says.append(f"must be sent: {needs.must_be_sent[column.name]}")
    return {**schema, "description": "; ".join(says)} if says else schema


def _time_property(column: RequestColumn) -> dict[str, Any]:
    schema, says = (
        dict(KINDS[column.type].schema),
        "when it happened; the time of the answer counts without it",
    )
    if column.format is not None:
        schema.pop("format", None)
        says += f"; strptime format {column.format}, or ISO 8601"
    return {**schema, "type": [schema["type"], "null"], "description": says}


def _property(column: RequestColumn) -> dict[str, Any]:
    if column.role == "source":
        plain = KINDS[column.type].schema
        return {**plain, "type": [plain["type"], "null"], "description": "of the source; table.sql reads it"}
    if column.role != "feature":
        return {
            "type": ["string", "number", "boolean", "null"],
            "description": "may be present; the model does not use it",
        }
    schema = dict(KINDS[column.type].schema)
    if column.format is not None:
        schema.pop("format", None)
        schema["description"] = f"strptime format {column.format}, or ISO 8601"
    if column.nullable:
        return {**schema, "type": [schema["type"], "null"]}
    # A blank text is a missing value, so where one is needed the text has more than blanks.
    return {**schema, "pattern": r"\S"} if column.type in {"category", "text"} else schema
