"""T-SQL as DuckDB carries it out, for a server of tests; what is no T-SQL is refused, even if DuckDB knew it."""

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

_SPELLED = re.compile(r"convert\((nvarchar\(\w+\)), (\[[^\]]*\]), (?:3|121)\)")
"""With 17 digits of a float, or all parts of a time: so does a cast of DuckDB."""
_NONE = frozenset({"LIMIT", "LEAST", "GREATEST", "ILIKE", "REGEXP", "TRUE", "FALSE", "||", "::", "NULLS"})
"""What SQL Server 2019 has not."""
_TYPES = {
    "FLOAT": "DOUBLE",
    "BIT": "BOOLEAN",
    "MONEY": "DECIMAL(19, 4)",
    "SMALLMONEY": "DECIMAL(10, 4)",
    "DATETIME": "TIMESTAMP",
    "DATETIME2": "TIMESTAMP",
    "SMALLDATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP",
}
_TEXTS = frozenset({"VARCHAR", "NVARCHAR", "CHAR", "NCHAR", "TEXT"})
MACROS = (
    "create macro datalength(x) as 2 * length(x)",
    "create macro switchoffset(x, zone) as x",
    "create macro db_id() as 5",
    "create macro schema_name() as 'dbo'",
    "create macro hash_start(x) as cast('0x' || substring(sha256(x), 2, 15) as bigint)",
)
"""Functions of T-SQL. The last one stands for `cast(substring(hashbytes('SHA2_256', x), 1, 8) as bigint)`, without its highest bits."""


class TSqlError(Exception):
    """What SQL Server refuses."""

    def __init__(self, number: int, message: str, severity: int = 15) -> None:
        super().__init__(message)
        self.number, self.message, self.severity = number, message, severity


def to_duckdb(sql: str, **databases: int) -> Iterator[str]:
    """Give the statements of a batch.

    Parameters
    ----------
    databases
        What the row of ``sys.databases`` has beside its number.
    """
    _refuse_foreign(sql)
    try:
        parsed = sqlglot.parse(_SPELLED.sub(r"cast(\2 as \1)", sql), read="tsql")
    except SqlglotError as error:
        raise TSqlError(102, f"Incorrect syntax: {str(error).splitlines()[0]}") from None
    for tree in parsed:
        if tree is None:
            continue
        _refuse_inner_order(tree)
        row = exp.select(
            *(
                exp.alias_(exp.Literal.number(value), name)
                for name, value in {"database_id": 5, **databases}.items()
            )
        ).subquery("d")
        for node in reversed([*tree.walk()]):
            if (changed := _changed(node, row)) is not node:
                node.replace(changed)
        yield tree.sql("duckdb")


def _refuse_foreign(sql: str) -> None:
    try:
        tokens = sqlglot.tokenize(sql, read="tsql")
    except SqlglotError as error:
        raise TSqlError(102, f"Incorrect syntax: {error}") from None
    for token in tokens:
        is_quoted = token.token_type in {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.IDENTIFIER}
        if not is_quoted and (token.text.upper() in _NONE or "`" in token.text):
            raise TSqlError(102, f"Incorrect syntax near '{token.text}'.")


def _refuse_inner_order(tree: exp.Expression) -> None:
    for query in tree.find_all(exp.Select, exp.SetOperation):
        if not isinstance(query.parent, exp.Subquery | exp.CTE):
            continue
        is_limited = query.args.get("limit") or query.args.get("offset")
        if query.args.get("order") and not is_limited:
            message = "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified."
            raise TSqlError(1033, message)
        if query.args.get("with_") or query.args.get("with"):
            raise TSqlError(156, "Incorrect syntax near the keyword 'with'.")


def _changed(node: exp.Expression, databases: exp.Expression) -> exp.Expression:
    match node:
        case exp.National():
            return exp.Literal.string(node.this)
        case exp.DataType() if node.this.name in _TEXTS:
            return exp.DataType.build("TEXT")
        case exp.DataType() if node.this.name in _TYPES:
            return exp.DataType.build(_TYPES[node.this.name], dialect="duckdb")
        case exp.Collate():
            return node.this
        case exp.Like() if "[" in node.expression.name:
            pattern = node.expression.name.replace("%", ".*")
            found = exp.func("regexp_full_match", node.this, exp.Literal.string(pattern))
            return exp.not_(found) if node.args.get("negate") else found
        case exp.Add() if _is_text(node):
            return exp.DPipe(this=node.this, expression=node.expression, safe=False)
        case exp.Cast() if isinstance(node.this, exp.Substring) and node.this.this.find(exp.SHA2):
            return exp.func("hash_start", node.find(exp.SHA2).this)
        case exp.Table() if (node.db.lower(), node.name.lower()) == ("sys", "databases"):
            return databases.copy()
    return node


def _is_text(node: exp.Expression) -> bool:
    """Return whether a sum is one of texts: one of its parts is a text that is written."""
    if isinstance(node, exp.Add):
        return _is_text(node.this) or _is_text(node.expression)
    if isinstance(node, exp.Cast | exp.TryCast):
        return node.to.this.name == "TEXT"
    return isinstance(node, exp.DPipe) or (isinstance(node, exp.Literal) and node.is_string)
