"""What databases write alike in SQL, and what each kind writes in its own way: names, texts, conditions, a query around another one."""

import re
from datetime import UTC, datetime, timedelta

from linewright.data.read.sql.column_types import ColumnType
from linewright.text.quoting import double_quoted

ROW = "linewright_q"
"""Name of a query in the query around it."""
_MARGIN = 1e-6
"""How far below a number a database starts to give rows, as a share of the number."""


class SqlDialect:
    """The SQL of one kind of database; it has no state."""

    plain = r"[A-Za-z_][A-Za-z0-9_]*"
    """Names of tables that need no quotes."""
    keeps_order = True
    """Whether the rows of a query with a condition around it are in the order of that query."""

    def column(self, name: str) -> str:
        """Return the name of a column as SQL has it, in quotes."""
        return double_quoted(name)

    def quoted(self, table: str) -> str:
        """Return the name of a table, which may have a schema before a dot, as SQL has it: in quotes if it needs them."""
        parts = table.split(".", 1)
        return ".".join(part if re.fullmatch(self.plain, part) else self.column(part) for part in parts)

    def literal(self, text: str) -> str:
        """Return a text in quotes."""
        return "'{}'".format(text.replace("'", "''"))

    def moment(self, at: datetime, of: ColumnType) -> str:
        """Return a time in UTC as what a column of this type is compared to."""
        return f"'{at.date().isoformat() if of.kind == 'date' else at.isoformat(sep=' ')}'"

    def text_since(self, name: str, least: str) -> str:
        """Return the condition for texts from a value on, in the order of bytes, and for all that do not begin with a mark of ASCII.

        Blanks before a text are removed later, so that it may come to stand behind the value.
        """
        raise NotImplementedError

    def wrapped(self, query: str, condition: str = "", *, gives: str = "*", group: str = "") -> str:
        """Return a query over the rows of another one, which is called `ROW`: those of which a condition holds."""
        inner = query.strip().rstrip(";")
        where = f" where {condition}" if condition else ""
        groups = f" group by {group}" if group else ""
        return f"select {gives} from (\n{inner}\n) as {ROW}{where}{groups}"  # noqa: S608 -- no `Database` trusts a query

    def since(
        self,
        query: str,
        column: str,
        of: ColumnType,
        value: float | str | datetime,
        *,
        keeps_order: bool = True,
    ) -> str:
        """Return a query for rows of another one, at least those from a value of a column on and those without a value there.

        It may return the query as it is, for instance if it could not keep the order of the rows and should.
        """
        if keeps_order and not self.keeps_order and re.search(r"\border\s+by\b", query, re.IGNORECASE):
            return query
        name = self.column(column)
        condition = self._condition_since(name, of, value)
        return self.wrapped(query, f"{condition} or {name} is null") if condition else query

    def _condition_since(self, name: str, of: ColumnType, value: float | str | datetime) -> str | None:
        match of.kind, value:
            case (("integer" | "unsigned"), int() | float()):
                return f"{name} >= {value!r}"
            case (("decimal" | "number"), int() | float()):
                # Short floats, and sums of many digits, are read a little larger than the database compares them.
                return f"{name} >= {value - abs(value) * _MARGIN!r}"
            case (("date" | "datetime" | "instant"), datetime()):
                return f"{name} >= {self.moment(value, of)}"
            case (("date" | "datetime" | "instant"), str()):
                try:
                    at = datetime.fromisoformat(value)
                    # Times are compared as texts, whatever their zones are.
                    at = (at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at) - timedelta(days=1)
                except (ValueError, OverflowError):
                    return None
                return f"{name} >= {self.moment(at, of)}"
            case "text", str() if "\0" not in value:
                return self.text_since(name, value)
            case _:
                return None
