"""Which columns that `table.sql` makes follow from one row of the line's first source, and how.

A column follows from the row where its expression reads that row alone: it has no window, aggregate or subquery, reads no other
source, and each function in it is listed. Which rows the SQL chooses (WHERE, LIMIT, DISTINCT) and their order say nothing about a
row's columns. What is found is tried on rows of the source before it is believed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb
import msgspec
import polars as pl

from linewright.data.facts import MustBeSent, NotDerived, RawColumn, RowExpression, RowSql
from linewright.data.table.expressions import (
    Evaluator,
    Failed,
    Node,
    Refused,
    again,
    connect,
    parsed,
    quoted,
    rendered,
    statement_of,
)
from linewright.data.table.json_values import to_json
from linewright.errors import SpecError

_TRIED = 1_000
"""Rows of the source, evenly chosen, that expressions are tried on."""
_TYPE_OF: Mapping[pl.DataType, str] = {
    pl.Boolean(): "BOOLEAN",
    pl.Int8(): "TINYINT",
    pl.Int16(): "SMALLINT",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.UInt8(): "UTINYINT",
    pl.UInt16(): "USMALLINT",
    pl.UInt32(): "UINTEGER",
    pl.UInt64(): "UBIGINT",
    pl.Float32(): "FLOAT",
    pl.Float64(): "DOUBLE",
    pl.String(): "VARCHAR",
    pl.Date(): "DATE",
    pl.Datetime("us"): "TIMESTAMP",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}
_CLOCK = frozenset(["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"])
"""Functions that are written as columns are."""
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_TIMES = {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
_FITS: Mapping[str, frozenset[str]] = {
    "integer": frozenset({*_INTEGERS, "FLOAT", "DOUBLE", "DECIMAL"}),
    "number": frozenset({*_INTEGERS, "FLOAT", "DOUBLE", "DECIMAL"}),
    "boolean": frozenset({*_INTEGERS, "BOOLEAN"}),
    "category": frozenset({*_INTEGERS, "BOOLEAN", "VARCHAR"}),
    "text": frozenset({*_INTEGERS, "BOOLEAN", "VARCHAR"}),
    "date": frozenset(_TIMES),
    "datetime": frozenset(_TIMES),
}
"""By type of a column of the table, the types of SQL that a request can be given in to the bit."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A column of the table, as the line has it."""

    name: str
    type: str
    """One of `data.spec.ColumnType`."""
    is_zoned: bool
    """Whether a time of it without a zone is not UTC."""
    is_feature: bool


class Reader(Protocol):
    """Puts columns in the types of the table."""

    def of_request(self, name: str, values: Sequence[Any]) -> pl.Series:
        """Return the JSON values of a column as those of a request are read."""
        ...

    def of_table(self, found: pl.DataFrame) -> pl.DataFrame:
        """Return columns that SQL gave."""
        ...

    def carried_out(self, sql: str, source: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what SQL gives over rows of a source."""
        ...


def row_sql_of(
    sql: str,
    frames: Mapping[str, pl.DataFrame],
    table: pl.DataFrame,
    wanted: Sequence[Wanted],
    reader: Reader,
    *,
    missing: Callable[[str], tuple[str, ...]],
) -> RowSql:
    """Return what of a line's SQL can be carried out on one row."""
    with connect() as connection:
        node = parsed(connection, sql)
        items = _items(node, frames) if node is not None else None
        if items is None:
            return RowSql(source="", must_be_sent=_must_be_sent(wanted, {}, default="form"))
        found = _found(connection, items, wanted)
    rows = RowSql(
        source=items.source,
        missing=missing(items.source),
        columns=tuple(
            RawColumn(name=name, type=kind)
            for name, kind in items.types.items()
            if any(name in one.reads for one in found.expressions)
        ),
        expressions=tuple(found.expressions),
    )
    source = frames[items.source]
    is_aligned = items.is_aligned and table.height == source.height
    wrong = _wrong(rows, source, table if is_aligned else None, wanted, reader)
    found.refused |= dict.fromkeys(wrong, "tried")
    kept = tuple(one for one in rows.expressions if one.name not in wrong)
    read = {name for one in kept for name in one.reads}
    derived = {one.name for one in kept} | found.same
    left = [one for one in wanted if one.name not in derived]
    return RowSql(
        source=rows.source,
        missing=rows.missing,
        columns=tuple(one for one in rows.columns if one.name in read),
        expressions=kept,
        must_be_sent=_must_be_sent(left, found.refused, default="form" if items.is_alone else "source"),
    )


def _must_be_sent(
    wanted: Sequence[Wanted], because: Mapping[str, NotDerived], *, default: NotDerived
) -> tuple[MustBeSent, ...]:
    return tuple(
        MustBeSent(name=one.name, because=because.get(one.name, default)) for one in wanted if one.is_feature
    )


@dataclass(frozen=True, kw_only=True)
class _Items:
    """What a SELECT gives, and what it gives it of."""

    source: str
    aliases: frozenset[str]
    """Names that the SELECT knows the source by, in small letters."""
    names: Mapping[str, str]
    """By name in small letters, the columns of the source."""
    types: Mapping[str, str]
    """Of those of its columns that a request can give."""
    is_alone: bool
    """Whether it is the only source."""
    is_aligned: bool
    """Whether row i of the table is row i of the source."""
    items: Sequence[Node]


def _items(node: Node, frames: Mapping[str, pl.DataFrame]) -> _Items | None:
    first = node["from_table"]
    while first.get("type") == "JOIN":
        first = first["left"]
    source = {name.lower(): name for name in frames}.get(str(first.get("table_name", "")).lower())
    is_grouped = node.get("group_expressions") or node.get("group_sets") or node.get("having")
    has_parts = (node.get("cte_map") or {}).get("map") or first.get("column_name_alias")
    if first.get("type") != "BASE_TABLE" or source is None or is_grouped or has_parts:
        return None
    frame = frames[source]
    names = {name.lower(): name for name in frame.columns}
    if len(names) < frame.width:
        return None  # two columns that SQL takes for one
    is_alone = node["from_table"]["type"] == "BASE_TABLE"
    chooses = node.get("where_clause") or node.get("modifiers") or node.get("qualify") or node.get("sample")
    return _Items(
        source=source,
        aliases=frozenset({source.lower(), str(first.get("alias", "")).lower()} - {""}),
        names=names,
        types={name: _TYPE_OF[kind] for name, kind in frame.schema.items() if kind in _TYPE_OF},
        is_alone=is_alone,
        is_aligned=is_alone and not chooses,
        items=node["select_list"],
    )


@dataclass
class _Found:
    same: set[str] = field(default_factory=set[str])
    """Columns of the table that are columns of the source."""
    expressions: list[RowExpression] = field(default_factory=list[RowExpression])
    refused: dict[str, NotDerived] = field(default_factory=dict[str, NotDerived])


def _found(connection: duckdb.DuckDBPyConnection, items: _Items, wanted: Sequence[Wanted]) -> _Found:
    found, named = _Found(), list(_named(items))
    found.same = {name for name, node in named if node is None} & {one.name for one in wanted}
    # A request can say one thing by a name. What the table means by it counts, so that the source's column of that name is not there.
    taken = {one.name for one in wanted} - found.same
    columns, told = {one.name: one for one in wanted}, dict[str, tuple[str, tuple[str, ...]]]()
    for name, node in named:
        if node is None:
            continue
        try:
            sql, reads = _rendered(node, items, taken, told)
            told[name.lower()] = sql, reads
            if name in items.names.values():
                found.refused[name] = "name"
            elif name in columns:
                bare = RowExpression(name=name, sql=sql, reads=reads, type="")
                found.expressions.append(_typed(connection, bare, items, columns[name]))
        except Refused as error:
            found.refused[name] = error.because
    return found


def _named(items: _Items) -> Iterator[tuple[str, Node | None]]:
    """Give the columns of the SELECT that have a name, with what they are of; `None` is the source's column of that name."""
    for item in items.items:
        if item["class"] != "STAR":
            name = item.get("alias") or (item["class"] == "COLUMN_REF" and item["column_names"][-1])
            is_same = item["class"] == "COLUMN_REF" and _column(item["column_names"], items) == name
            if name:
                yield name, None if is_same else item
        elif (
            not item.get("columns")
            and not item.get("rename_list")
            and str(item.get("relation_name", "")).lower() in {"", *items.aliases}
        ):
            yield from _of_star(item, items)


def _of_star(item: Node, items: _Items) -> Iterator[tuple[str, Node | None]]:
    excluded = {str(name).lower() for name in item.get("exclude_list") or ()}
    if item.get("qualified_exclude_list"):
        return
    replaced = {str(one["key"]).lower(): one["value"] for one in item.get("replace_list") or ()}
    for small, name in items.names.items():
        if small not in excluded:
            yield name, replaced.get(small)


def _column(names: Sequence[str], items: _Items) -> str | None:
    """Return the source's column that a name refers to; `None` where it refers to something else."""
    if len(names) == 1 or (len(names) == 2 and names[0].lower() in items.aliases):
        return items.names.get(names[-1].lower())
    return None


def _rendered(
    node: Node, items: _Items, taken: set[str], told: Mapping[str, tuple[str, tuple[str, ...]]]
) -> tuple[str, tuple[str, ...]]:
    """Return an expression with the columns that it reads; what was named before it is put in its place."""
    reads = dict[str, None]()

    def scope(names: Sequence[str]) -> str:
        name = _column(names, items)
        if name is None:
            sql, its_reads = told.get(names[0].lower() if len(names) == 1 else "", ("", ()))
            if not sql:
                raise Refused("function" if names[-1].lower() in _CLOCK else "source")
            reads.update(dict.fromkeys(its_reads))
            return sql
        if name in taken:
            raise Refused("name")
        if name not in items.types:
            raise Refused("type")
        reads[name] = None
        return quoted(name)

    sql = rendered(node, scope)
    return sql, tuple(reads)


def _typed(
    connection: duckdb.DuckDBPyConnection, bare: RowExpression, items: _Items, wanted: Wanted
) -> RowExpression:
    """Return an expression with its type; refuse one that is not the same when it is read again, or does not fit."""
    if again(connection, bare.sql, bare.reads) != bare.sql:
        raise Refused("form")
    types = {one: items.types[one] for one in bare.reads}
    try:
        given = [[None]] * max(1, len(types))
        kind = str(connection.execute(statement_of([bare], types), given).description[0][1])
    except duckdb.Error as error:
        raise Refused("form") from error
    fits = kind.partition("(")[0] in _FITS.get(wanted.type, frozenset())
    is_local = wanted.is_zoned and wanted.type == "datetime" and kind != "TIMESTAMP WITH TIME ZONE"
    if not fits or is_local:
        raise Refused("type")
    return msgspec.structs.replace(bare, type=kind)


def _wrong(
    rows: RowSql, frame: pl.DataFrame, table: pl.DataFrame | None, wanted: Sequence[Wanted], reader: Reader
) -> set[str]:
    """Return the expressions that do not give what the table has: to the bit, as a request would be read."""
    types = {one.name: one.type for one in wanted}
    places = pl.Series(range(0, frame.height, max(1, frame.height // _TRIED)), dtype=pl.UInt32)
    tried, evaluator, wrong = frame[places], Evaluator(rows), set[str]()
    for one in rows.expressions:
        try:
            columns = {name: _values(tried[name]) for name in one.reads}
            told = evaluator.evaluate([one.name], columns, tried.height)
            if table is None:
                sql = f"SELECT {one.sql} AS {quoted(one.name)} FROM {quoted(rows.source)}"  # noqa: S608 -- rendered, and quoted
                expected = reader.carried_out(sql, rows.source, tried)
            else:
                expected = table[places].select(one.name)
        except (Failed, SpecError):
            wrong.add(one.name)
            continue
        read = reader.of_request(one.name, [to_json(value, types[one.name]) for (value,) in told])
        if not read.equals(reader.of_table(expected)[one.name], null_equal=True):
            wrong.add(one.name)
    return wrong


def _values(column: pl.Series) -> list[Any]:
    """Return values as DuckDB is given them: times without a zone."""
    is_zoned = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone
    return (column.dt.replace_time_zone(None) if is_zoned else column).to_list()
