"""Rows that are sent to a source: what they may be."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from linewright.errors import RequestError
from linewright.serve.rows.body.reader import checked_shape, in_rows
from linewright.serve.rows.body.scalars import INT64, MAX_TEXT, kind_of, shown, spell, spell_all
from linewright.store.pushed_rows import Columns, ColumnValue, NewRow, NewRows, RowShape
from linewright.text.column_names import is_column_pattern

ROWS_FORM = '{"rows": [{"COLUMN": VALUE, ...}]}'
KNOWN = "known"
"""Column of a source that says when a row came."""
_PLAIN = "a text, a finite number, true, false or null"
_MOST_COLUMNS, _MOST_NAME = 1_000, 200
_ENCODER = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="sorted")


class PushRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that brings rows of a source."""

    rows: list[dict[str, Any]]
    new_columns: bool = False
    """Whether the rows say which columns there are from now on: they may have new ones, and lack those that each row had."""


def to_new_rows(rows: Sequence[Mapping[str, Any]], columns: Columns, *, new_columns: bool = False) -> NewRows:
    """Return rows as they are kept.

    Examples
    --------
    >>> to_new_rows([{"id": 7, "amount": 1.5}], Columns("id")).rows[0][:2]
    ('7', '{"id":7,"amount":1.5}')
    """
    values = dict[tuple[str, type], ColumnValue]()
    new = [_new_row(number, row, columns, values) for number, row in enumerate(checked_shape(rows))]
    shapes = dict[frozenset[str], RowShape]()
    for number, row in enumerate(rows):
        names = frozenset(row)
        if names not in shapes:
            shapes[names] = RowShape(f"rows[{number}]", names)
    return NewRows(
        new,
        list(values.values()),
        list(shapes.values()),
        new_columns,
        texts=partial(_texts_of, rows),
    )


def _texts_of(rows: Sequence[Mapping[str, Any]], column: str) -> list[str | None]:
    return spell_all([row.get(column) for row in rows])


def _new_row(
    number: int, row: Mapping[str, Any], columns: Columns, values: dict[tuple[str, type], ColumnValue]
) -> NewRow:
    """Return a row as it is kept, and add to the first values of each column, by its name and their type."""
    _check_names(number, row)
    for name, value in row.items():
        if not _is_plain(value):
            raise RequestError(
                "this value cannot be kept", where=in_rows(number, name), found=shown(value), allowed=_PLAIN
            )
        if (name, type(value)) not in values:
            kind = kind_of(value).removeprefix("a ")
            values[name, type(value)] = ColumnValue(name, kind, in_rows(number, name), shown(value))
    key = spell(row.get(columns.key))
    if key is None:
        raise RequestError(
            "a row does not say what it is about",
            where=in_rows(number, columns.key),
            allowed="a value of the source's key in each row",
        )
    if columns.time is not None and not _is_time(row.get(columns.time)):
        raise RequestError(
            "a row does not say when it happened",
            where=in_rows(number, columns.time),
            found=shown(row.get(columns.time)),
            allowed='ISO 8601, e.g. "2026-01-31T12:00:00Z"',
        )
    return NewRow(key, _ENCODER.encode(row).decode(), sha256(_SORTED.encode(row)).digest())


def _check_names(number: int, row: Mapping[str, Any]) -> None:
    if len(row) > _MOST_COLUMNS:
        raise RequestError(
            "too many columns",
            where=in_rows(number, ""),
            found=len(row),
            allowed=f"at most {_MOST_COLUMNS:,}",
        )
    for name in row:
        if name == KNOWN:
            raise RequestError(
                f"a column of this name cannot be sent: {KNOWN!r} says when a row came",
                where=in_rows(number, name),
                hint="give it another name",
            )
        if is_column_pattern(name):
            raise RequestError(
                "a column of this name cannot be sent: it stands for other columns",
                where=in_rows(number, name),
                hint="give it another name",
            )
        if not name.strip() or name != name.strip() or len(name) > _MOST_NAME or not name.isprintable():
            raise RequestError(
                "this cannot be the name of a column",
                where=in_rows(number, ""),
                found=shown(name),
                allowed=f"1 to {_MOST_NAME} printable characters, without blanks around them",
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -INT64 <= value < INT64
    return value is None or (isinstance(value, str) and len(value) <= MAX_TEXT)


def _is_time(value: object) -> bool:
    try:
        datetime.fromisoformat(value.strip() if isinstance(value, str) else kind_of(value))
    except ValueError:
        return False
    return True
