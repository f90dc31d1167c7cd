"""Rows decoded straight into the fields of a type that is made for a line, where each value has the usual form of its column.

To make a dict of each row, and to look each column up in it again, is most of what many rows cost beside the model. What is not
usual (a number as a text, a column that nobody knows) is not refused here but left to those who read any row, and say what is wrong.
"""

from collections.abc import Container, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, cast

import msgspec
from msgspec import NODEFAULT

from linewright.model.facts import RequestColumn

MOST_COLUMNS = 256
"""Of a table that is wider: a field that does not come in its order is looked for among all of them."""
MOST_KEPT = 256
"""Types of tables that are kept."""
_USUAL: dict[str, Any] = {
    "number": int | float | None,
    "integer": int | float | None,
    "boolean": bool | None,
    "category": str | None,
    "text": str | None,
    "date": str | None,
    "datetime": str | None,
    "list": list[str] | None,
    "numbers": list[int | float | None] | None,
}
"""By column type, what a JSON value of it usually is."""
_CARRIED = bool | int | float | str | None


class Row(Protocol):
    """One row of a request: a dict, or a `TypedRow`."""

    def get(self, name: str, /) -> Any:
        """Return the JSON value of a column, `None` where the row leaves it out."""
        ...


class TypedRow(msgspec.Struct, gc=False):
    """A row whose columns are the fields of its type."""

    fields: ClassVar[dict[str, str]] = {}
    """By name of a column."""

    def get(self, name: str, /) -> Any:
        """Return the JSON value of a column, `None` where the row leaves it out."""
        return getattr(self, self.fields.get(name, ""), None)


class TypedBody(Protocol):
    """The body of a request for predictions."""

    rows: list[TypedRow]
    explain: bool
    durable: bool


class Unusual(Exception):  # noqa: N818 -- reads as what happened
    """Typed rows hold a value that has to be looked at by those who read any row."""


class TypedBodies:
    """Reads bodies of requests to one model's table.

    Examples
    --------
    >>> bodies = TypedBodies([RequestColumn(name="Age", type="integer"), RequestColumn(name="Make", type="category")])
    >>> read = bodies.read(b'{"rows": [{"Age": 41, "Make": "Fiat"}, {"Make": null}]}')
    >>> column_of(read.rows, "Age"), read.rows[0].get("Make")
    ([41, None], 'Fiat')
    >>> bodies.read(b'{"rows": [{"Age": "41"}]}') is None
    True
    """

    def __init__(self, columns: Sequence[RequestColumn], needed: Container[str] = ()) -> None:
        fields = {column.name: f"c{number}" for number, column in enumerate(columns)}
        self.row_type = msgspec.defstruct(
            "Row",
            [
                (fields[column.name], _type_of(column), NODEFAULT if column.name in needed else None)
                for column in columns
            ],
            bases=(TypedRow,),
            namespace={"fields": fields},
            rename={field: name for name, field in fields.items()},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        rows = list[self.row_type]  # type: ignore[name-defined]
        body = [("rows", rows), ("explain", bool, False), ("durable", bool, False)]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Body", body, forbid_unknown_fields=True))

    def read(self, body: bytes) -> TypedBody | None:
        """Return a body; `None` where its form is not the usual one, whether it is wrong or not."""
        try:
            read = cast("TypedBody", self._decoder.decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return read if read.rows else None


@lru_cache(maxsize=MOST_KEPT)
def typed_bodies(
    columns: tuple[RequestColumn, ...], needed: frozenset[str] = frozenset()
) -> TypedBodies | None:
    """Return what reads such rows; `None` where no type can be made for them.

    Types are kept: one is a few kilobytes in a circle, which would stay in memory each time that a model is let go and loaded again.
    """
    if len(columns) > MOST_COLUMNS or any(column.type not in _USUAL for column in columns):
        return None
    try:
        return TypedBodies(columns, needed)
    except ValueError:  # names of fields may hold no quotes
        return None


def _type_of(column: RequestColumn) -> Any:
    return _USUAL[column.type] if column.role == "feature" else _CARRIED


def column_of(rows: Sequence[Row], name: str) -> list[Any]:
    """Return the values of a column of rows of one type.

    Examples
    --------
    >>> column_of([{"Age": 41}, {}], "Age")
    [41, None]
    """
    first = rows[0] if rows else None
    if isinstance(first, TypedRow):
        field = first.fields.get(name)
        return [None] * len(rows) if field is None else list(map(attrgetter(field), rows))
    return [row.get(name) for row in rows]
