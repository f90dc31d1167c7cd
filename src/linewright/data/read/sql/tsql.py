"""The SQL of SQL Server, and what of it only reads."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import NamedTuple

from linewright.data.read.sql.column_types import ColumnType
from linewright.data.read.sql.dialect import SqlDialect

_PART = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|\[(?:[^\]]|\]\])*\])|(?P<skipped>--[^\n]*|\s+)"""
    r"|(?P<number>0[xX][0-9a-fA-F]*|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]*)?)"
    r"|(?P<word>[A-Za-z_@#][A-Za-z0-9_@#]*)|(?P<comment>/\*)|(?P<mark>.)",
    re.DOTALL | re.ASCII,
)
_IN_COMMENT = re.compile(r"/\*|\*/")
_OTHER_ENDS = re.compile("\r(?!\n)|[\x0b\x0c\x85\u2028\u2029]")
"""What might end a comment of one line for the server and does not here."""
_WRITES = frozenset(
    """
    into insert update delete merge truncate create alter drop grant revoke deny exec execute declare set use begin commit rollback
    save transaction waitfor kill shutdown dbcc backup restore bulk print raiserror throw if while goto return reconfigure checkpoint
    writetext updatetext readtext open close deallocate openquery openrowset opendatasource send receive updlock xlock tablockx
    """.split()  # noqa: SIM905 -- words, not a list
)
"""No name of a SELECT is one of these without brackets, nearly all are reserved; a statement needs no semicolon before it."""
_READS = frozenset({("merge", "join"), ("merge", "union"), ("use", "hint"), ("use", "plan")})
"""Words of hints."""
_SURROGATES = "\ud800"
_LOW = "".join(map(chr, range(ord("!") + 1)))
"""Letters before which there is only a blank, or less."""
_DIGEST_MASK = 2**59 - 1
"""Such numbers have at most 18 digits, so that a sum of many has 38: a sum of BIGINT would have to be one."""


class _Token(NamedTuple):
    text: str
    """A word in small letters, or a mark."""
    start: int
    depth: int
    """How many brackets it is in."""


def _tokens(sql: str) -> Iterator[_Token]:
    """Give words and marks outside of quotes and comments."""
    depth = position = 0
    while found := _PART.match(sql, position):
        position = found.end()
        if found["comment"]:
            position = _comment_end(sql, position)
        elif found["word"]:
            yield _Token(found["word"].lower(), found.start(), depth)
        elif found["mark"]:
            depth -= found["mark"] == ")"
            yield _Token(found["mark"], found.start(), depth)
            depth += found["mark"] == "("
        elif (found["skipped"] or "").startswith("--") and _OTHER_ENDS.search(found[0]):
            raise ValueError("a comment holds a control character")
        elif found["quoted"]:
            yield _Token("''", found.start(), depth)


def _comment_end(sql: str, position: int) -> int:
    """Return the end of a comment; comments may be in comments."""
    depth = 1
    while depth:
        found = _IN_COMMENT.search(sql, position)
        if found is None:
            raise ValueError("a comment does not end")
        depth += 1 if found[0] == "/*" else -1
        position = found.end()
    return position


def require_select(sql: str) -> None:
    """Refuse what is not one SELECT that writes nothing: a transaction of this server is never for reading alone.

    Examples
    --------
    >>> require_select("select [update], 'drop table t' as x from t -- delete")
    >>> require_select("select 1 as x delete from t")
    Traceback (most recent call last):
        ...
    ValueError: this is not one SELECT that writes nothing: 'delete' is a word of it, and no name in brackets
    """
    words = [one.text for one in _tokens(sql.strip().rstrip(";"))]
    if ";" in words or "\0" in words:
        raise ValueError("only one statement may be sent")
    if next((word for word in words if word != "("), "") not in {"select", "with"}:
        raise ValueError("this is not one SELECT that writes nothing")
    for word, after in pairwise([*words, ""]):
        if (word in _WRITES and (word, after) not in _READS) or (word, after) == ("next", "value"):
            raise ValueError(
                f"this is not one SELECT that writes nothing: {word!r} is a word of it, and no name in brackets"
            )


class _Parts(NamedTuple):
    """A query as it can stand in another one."""

    tables: str
    """Its common tables with their WITH, which come before all."""
    rows: str
    """Without an order that a query in a query may not have."""
    hints: str
    """Its OPTION, which comes after all."""


def _parts(query: str) -> _Parts:
    try:
        outside = [one for one in _tokens(query) if one.depth == 0]
    except ValueError:
        return _Parts("", query, "")  # `require_select` says so
    start, end, hints = 0, len(query), len(query)
    if outside and outside[0].text == "with":
        start = next((one.start for one in outside if one.text == "select"), 0)
    for one, after in pairwise(outside):
        if (one.text, after.text) == ("order", "by"):
            end = one.start
        elif (one.text, after.text) == ("option", "("):
            hints = one.start
    is_limited = any(
        one.text in {"top", "offset"} or (one.text == "for" and one.start > end) for one in outside
    )
    return _Parts(query[:start], query[start : hints if is_limited else min(end, hints)], query[hints:])


class TSql(SqlDialect):
    """How SQL Server, from 2016 on, has SQL."""

    plain = r"(?!)"
    keeps_order = False

    def column(self, name: str) -> str:
        """Return a name in brackets."""
        return "[{}]".format(name.replace("]", "]]"))

    def literal(self, text: str) -> str:
        """Return a text in quotes, of any letters."""
        return f"N{super().literal(text)}"

    def moment(self, at: datetime, of: ColumnType) -> str:
        """Return a time that no setting of a session reads otherwise; 1/300 s before it, which is what DATETIME counts in."""
        if of.kind == "date":
            return f"cast('{at.date().isoformat()}' as date)"
        before = at - timedelta(microseconds=3_334) if at.year > 1 else at
        return f"cast('{before.isoformat()}' as datetime2)"

    def text_since(self, name: str, least: str) -> str:
        """Compare codes of letters.

        The server compares as if the shorter text had blanks at its end, and halves of letters beyond U+FFFF: so the condition is for
        texts from a little before on, by the letters before the first half.
        """
        prefix = "".join(takewhile(lambda letter: letter < _SURROGATES, least)).rstrip(_LOW)
        lower = prefix[:-1] + chr(ord(prefix[-1]) - 1) if prefix else ""
        text = f"cast({name} as nvarchar(max)) collate Latin1_General_BIN2"
        return f"{text} >= {self.literal(lower)} or {text} not like N'[!-~]%'"

    def wrapped(self, query: str, condition: str = "", *, gives: str = "*", group: str = "") -> str:
        """Return a query over another one, whose common tables come before all, and whose order is left out: it would not be kept."""
        parts = _parts(query.strip().rstrip(";"))
        inner = super().wrapped(parts.rows, condition, gives=gives, group=group)
        return f"{parts.tables}{inner} {parts.hints}".rstrip()

    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return a part of the SHA-256 of the values: texts with their lengths, numbers with all their digits."""
        values = "+ N',' + ".join(self._digested(self.column(name), of) for name, of in types.items())
        row = f"hashbytes('SHA2_256', cast(N'' as nvarchar(max)) + {values})"
        return (
            f"cast(cast(substring({row}, 1, 8) as bigint) & cast({_DIGEST_MASK} as bigint) as decimal(18, 0))"
        )

    def _digested(self, name: str, of: ColumnType) -> str:
        if of.kind == "text":
            text = f"cast({name} as nvarchar(max))"
            return f"case when {name} is null then N'-' else concat(datalength({text}), N':', {text}) end "
        if of.kind == "decimal":  # MONEY, too, with all of its digits
            name = f"cast({name} as decimal({of.precision}, {of.scale}))"
        # Style 3 has 17 digits of a float, 121 all parts of a time.
        style = {"number": ", 3", "decimal": "", "integer": "", "boolean": ""}.get(of.kind, ", 121")
        return f"coalesce(convert(nvarchar(60), {name}{style}), N'-') "

    def day(self, column: str) -> str:
        """Return the days from 1970, in UTC."""
        moment = f"switchoffset(cast({self.column(column)} as datetimeoffset), '+00:00')"
        return f"cast(datediff(day, cast('1970-01-01' as date), cast({moment} as date)) as bigint)"

    def span(self, column: str, first: int, width: int) -> str:
        """Return it by the division of whole numbers."""
        return f"(cast({self.column(column)} as bigint) - {first}) / {width}"
