"""Expressions of SQL that read one row: rendered from an allow-list, and evaluated by a DuckDB that sees values and nothing else.

An endpoint evaluates what a package brings, so nothing is run as it is written: an expression is parsed, each of its parts has to
be one that is listed here, and what is run is rendered from the parts. Chance, the clock, files, other rows and other tables are
not listed. An endpoint imports this module where a line needs it, and nothing heavy comes along but DuckDB itself.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from linewright.data.facts import NotDerived, RowExpression, RowSql
from linewright.errors import Corrupt

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "threads": 1,
    "memory_limit": "256MB",  # a request of 10 MB, some of its columns several times
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TYPES = _words(
    """
    BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE VARCHAR DATE
    TIMESTAMP
    """
) | {"TIMESTAMP WITH TIME ZONE"}
"""Types that a column of a source may have."""
_CAST_TO = TYPES | _words(
    """
    BOOL INT INT2 INT4 INT8 HUGEINT FLOAT4 FLOAT8 REAL DECIMAL NUMERIC TEXT STRING CHAR BPCHAR DATETIME
    TIMESTAMPTZ INTERVAL
    """
)
_OPERATORS = _words("+ - * / // % ** ^ & | << >> ~ || ~~ !~~ ~~* !~~* ~~~ ^@")
_FUNCTIONS = _words(
    """
    abs acos acosh add asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees divide even exp floor
    fmod gcd greatest isfinite isinf isnan lcm least ln log log10 log2 mod multiply pi pow power radians round
    round_even sign signbit sin sinh sqrt subtract tan tanh trunc xor bit_count if ifnull nullif ascii
    bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein ends_with hamming
    ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity lcase left len length levenshtein
    like_escape lower lpad ltrim md5 mismatches nfc_normalize not_ilike_escape not_like_escape octet_length ord
    overlay position prefix regexp_extract regexp_full_match regexp_matches regexp_replace replace reverse right
    rpad rtrim sha1 sha256 split split_part starts_with str_split string_split strip_accents strlen strpos
    substr substring suffix translate trim ucase unicode upper list_value list_contains list_extract
    list_position array_length century date_add date_diff date_part date_sub date_trunc datediff datepart
    datesub datetrunc day dayname dayofmonth dayofweek dayofyear decade epoch epoch_ms epoch_us era hour isodow
    isoyear julian last_day make_date make_timestamp microsecond millennium millisecond minute month monthname
    quarter second strftime strptime time_bucket to_days to_hours to_microseconds to_milliseconds to_minutes
    to_months to_quarters to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year
    yearweek
    """
)
_COMPARISONS: Mapping[str, str] = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_DISTINCT_FROM": "IS DISTINCT FROM",
    "COMPARE_NOT_DISTINCT_FROM": "IS NOT DISTINCT FROM",
}
_NUMBER = re.compile(r"-?[0-9][0-9_]*(\.[0-9_]*)?([eE][+-]?[0-9]+)?|-?\.[0-9]+([eE][+-]?[0-9]+)?")
_MOST_DEEP = 100
"""Expressions within expressions; far below where Python's own stack ends."""
_ROW = " row"
"""Name of a column that expressions without columns are evaluated over; names of sources have no blank before them."""

Node = Mapping[str, Any]
Of = Callable[[Node], str]
"""Renders an expression within another one."""
Scope = Callable[[Sequence[str]], str]
"""Renders the column that a name, with its table or without, refers to; raises `Refused` where it is none of the row."""


class Refused(ValueError):  # noqa: N818 -- reads as what happened
    """An expression does not surely follow from the row alone."""

    def __init__(self, because: NotDerived) -> None:
        self.because: NotDerived = because
        super().__init__(because)


class Failed(ValueError):  # noqa: N818 -- reads as what happened
    """DuckDB cannot evaluate an expression of some values; its text says why."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in memory that reaches nothing: no files, no network, no extensions, times in UTC."""
    connection = duckdb.connect(":memory:", config=_CONFIG)
    connection.execute("SET TimeZone='UTC'")
    # Planning is most of what one row costs, and there is little to plan: without it a third less.
    connection.execute("PRAGMA disable_optimizer")
    connection.execute("SET lock_configuration=true")
    return connection


def parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Node | None:
    """Return the one SELECT that a text is, as DuckDB's parser has it; `None` where it is anything else."""
    found = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    read = json.loads(found[0]) if found else {}
    statements = read.get("statements") or []
    node = statements[0].get("node") if not read.get("error") and len(statements) == 1 else None
    return node if node is not None and node.get("type") == "SELECT_NODE" else None


def quoted(name: str) -> str:
    """Return a name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def rendered(node: Node, scope: Scope, depth: int = 0) -> str:
    """Return an expression as SQL, of parts that are listed."""
    if depth > _MOST_DEEP:
        raise Refused("form")

    def of(child: Node) -> str:
        return rendered(child, scope, depth + 1)

    kind = node.get("class", "")
    if kind == "COLUMN_REF":
        return scope(node["column_names"])
    if kind not in _FORMS:
        raise Refused(_OTHERS.get(kind, "form"))
    return _FORMS[kind](node, of)


def _literal(node: Node, _of: Of) -> str:
    return _constant(node.get("literal") or {})


def _constant(literal: Node) -> str:
    text = literal.get("text")
    match literal.get("kind"):
        case "STRING" if isinstance(text, str):
            return "'" + text.replace("'", "''") + "'"
        case "INTEGER" | "NUMERIC" if isinstance(text, str) and _NUMBER.fullmatch(text):
            return text
        case "BOOLEAN" if text in {"true", "false"}:
            return text
        case "NULL_LITERAL":
            return "NULL"
        case _:
            raise Refused("form")


def _cast(node: Node, of: Of) -> str:
    word = "TRY_CAST" if node["try_cast"] else "CAST"
    return f"{word}({of(node['child'])} AS {_type(node.get('type_expr') or {})})"


def _case(node: Node, of: Of) -> str:
    whens = [f"WHEN {of(one['when_expr'])} THEN {of(one['then_expr'])}" for one in node["case_checks"]]
    return f"CASE {' '.join(whens)} ELSE {of(node['else_expr'])} END"


def _comparison(node: Node, of: Of) -> str:
    if node["type"] not in _COMPARISONS:
        raise Refused("form")
    return f"({of(node['left'])} {_COMPARISONS[node['type']]} {of(node['right'])})"


def _conjunction(node: Node, of: Of) -> str:
    word = str(node["type"]).removeprefix("CONJUNCTION_")
    if word not in {"AND", "OR"}:
        raise Refused("form")
    return "(" + f" {word} ".join(map(of, node["children"])) + ")"


def _between(node: Node, of: Of) -> str:
    if node["type"] != "COMPARE_BETWEEN":
        raise Refused("form")
    return f"({of(node['input'])} BETWEEN {of(node['lower'])} AND {of(node['upper'])})"


def _function(node: Node, of: Of) -> str:
    name, arguments = str(node["function_name"]).lower(), node.get("arguments") or []
    is_more = node.get("filter") or node.get("distinct") or node["order_bys"]["orders"] or node.get("schema")
    if is_more or any(one.get("name") for one in arguments):
        raise Refused("form")
    given = [of(one["expression"]) for one in arguments]
    if name in _OPERATORS and len(given) in {1, 2}:
        return f"({given[0]} {name} {given[1]})" if len(given) == 2 else f"({name} {given[0]})"
    if name in _FUNCTIONS:
        return f"{name}({', '.join(given)})"
    raise Refused("function")


def _operator(node: Node, of: Of) -> str:
    given = [of(one) for one in node["children"]]
    match node["type"], given:
        case "OPERATOR_NOT", [one]:
            return f"(NOT {one})"
        case "OPERATOR_IS_NULL", [one]:
            return f"({one} IS NULL)"
        case "OPERATOR_IS_NOT_NULL", [one]:
            return f"({one} IS NOT NULL)"
        case "OPERATOR_COALESCE", [_, *_]:
            return f"coalesce({', '.join(given)})"
        case "COMPARE_IN", [one, _, *_]:
            return f"({one} IN ({', '.join(given[1:])}))"
        case "ARRAY_EXTRACT", [one, place]:
            return f"{one}[{place}]"
        case _:
            raise Refused("form")


def _type(node: Node) -> str:
    name, sizes = str(node.get("type_name")).upper(), node.get("children") or []
    if name not in _CAST_TO or any((one.get("literal") or {}).get("kind") != "INTEGER" for one in sizes):
        raise Refused("form")
    given = ", ".join(_constant(one["literal"]) for one in sizes)
    return f"{name}({given})" if given else name


_FORMS: Mapping[str, Callable[[Node, Of], str]] = {
    "CONSTANT": _literal,
    "FUNCTION": _function,
    "CAST": _cast,
    "CASE": _case,
    "COMPARISON": _comparison,
    "CONJUNCTION": _conjunction,
    "BETWEEN": _between,
    "OPERATOR": _operator,
}
"""By class of DuckDB's parser, what renders it."""
_OTHERS: Mapping[str, NotDerived] = {"SUBQUERY": "source", "WINDOW": "rows"}
"""Classes whose reason is known."""


def again(connection: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[str]) -> str | None:
    """Return a rendered expression as it is rendered once more; `None` where it is refused, or is no expression."""

    def scope(names: Sequence[str]) -> str:
        if len(names) != 1 or names[0] not in columns:
            raise Refused("source")
        return quoted(names[0])

    try:
        node = parsed(connection, f"SELECT {sql}")
        items = (node or {}).get("select_list") or []
        return rendered(items[0], scope) if len(items) == 1 and not items[0].get("alias") else None
    except (Refused, duckdb.Error):
        return None


class Evaluator:
    """Evaluates what of `table.sql` follows from one row. Safe to use from several threads."""

    def __init__(self, rows: RowSql) -> None:
        self._types = {column.name: column.type for column in rows.columns}
        self._expressions = {one.name: one for one in rows.expressions}
        self._local = threading.local()
        for one in rows.expressions:
            if again(self._connection(), one.sql, one.reads) != one.sql:
                raise Corrupt("no expression that reads one row", where=one.name, found=one.sql[:200])
            for name in one.reads:
                if self._types.get(name) not in TYPES:
                    raise Corrupt("no type of a source's column", where=name, found=self._types.get(name))

    def evaluate(
        self, names: Sequence[str], columns: Mapping[str, Sequence[Any]], n: int
    ) -> list[tuple[Any, ...]]:
        """Return the values of some expressions, one tuple a row."""
        reads = self.reads(names)
        given: list[Sequence[Any]] = [columns[name] for name in reads] or [[None] * n]
        try:
            return self._connection().execute(self._statement(tuple(names)), given).fetchall()
        except (duckdb.Error, OverflowError, UnicodeError) as error:
            raise Failed(" ".join(str(error).split())[:300]) from error

    def reads(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that some expressions read, each once."""
        return tuple(dict.fromkeys(name for each in names for name in self._expressions[each].reads))

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Return the connection of this thread: a cursor of another one would not have its settings, such as the zone."""
        if not hasattr(self._local, "connection"):
            self._local.connection, self._local.statements = connect(), dict[tuple[str, ...], Any]()
        return self._local.connection

    def _statement(self, names: tuple[str, ...]) -> Any:
        statements = self._local.statements
        if names not in statements:
            sql = statement_of(
                [self._expressions[name] for name in names],
                {name: self._types[name] for name in self.reads(names)},
            )
            statements[names] = self._connection().extract_statements(sql)[0]
        return statements[names]


def statement_of(expressions: Sequence[RowExpression], types: Mapping[str, str]) -> str:
    """Return the SELECT of some expressions, with one list of values as parameter for each column."""
    columns = [f"{_column(kind)} AS {quoted(name)}" for name, kind in types.items()]
    source = ", ".join(columns) or f"{_column('BIGINT')} AS {quoted(_ROW)}"
    # Expressions are rendered from the list, types are listed, and names are quoted.
    return f"SELECT {', '.join(map(_told, expressions))} FROM (SELECT {source})"  # noqa: S608


def _column(kind: str) -> str:
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CAST(unnest(CAST(? AS TIMESTAMP[])) AS {kind})"
    return f"unnest(CAST(? AS {kind}[]))"


def _told(one: RowExpression) -> str:
    # Times come without a zone: the session's is UTC.
    return f"CAST({one.sql} AS TIMESTAMP)" if one.type == "TIMESTAMP WITH TIME ZONE" else one.sql
