"""How names, texts and ranges are spelled in a line file that a program writes."""

import json
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from linewright.errors import RequestError

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESERVED = frozenset("null true false yes no on off y n".split())  # noqa: SIM905 -- words, not a list
_LONGEST_NAME = 200


def quoted(text: str) -> str:
    r"""Write a text as YAML: plain where it is a simple word, else in quotes with escapes.

    Examples
    --------
    >>> quoted("age"), quoted("yes"), quoted("Torque [Nm]"), quoted("a\x00")
    ('age', '"yes"', '"Torque [Nm]"', '"a\\u0000"')
    """
    if len(text) > _LONGEST_NAME:
        raise RequestError(
            "a name is too long for a line file",
            found=text[:40] + "…",
            allowed=f"at most {_LONGEST_NAME} characters",
            hint="rename the column",
        )
    if _WORD.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return quoted_sentence(text)


_SQL_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "default",
        "deferrable",
        "desc",
        "describe",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lambda",
        "lateral",
        "leading",
        "limit",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "pivot",
        "pivot_longer",
        "pivot_wider",
        "placing",
        "primary",
        "qualify",
        "references",
        "returning",
        "select",
        "show",
        "some",
        "summarize",
        "symmetric",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "unpivot",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ]
)
"""Of DuckDB."""


def in_sql(name: str) -> str:
    """Write a column's name as SQL takes it.

    Examples
    --------
    >>> in_sql("age"), in_sql("Torque [Nm]"), in_sql("order")
    ('age', '"Torque [Nm]"', '"order"')
    """
    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _SQL_RESERVED
    return name if is_plain else double_quoted(name)


def double_quoted(name: str) -> str:
    """Return a name in double quotes, as standard SQL has names.

    Examples
    --------
    >>> print(double_quoted('12" wheels'), double_quoted("order"))
    "12"" wheels" "order"
    """
    return '"{}"'.format(name.replace('"', '""'))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"


def quoted_sentence(text: str) -> str:
    """Write a sentence as YAML, always in quotes."""
    return "".join(_escaped(character) for character in json.dumps(text, ensure_ascii=False))


def widened(low: str, high: str, *, whole: bool, exact: bool = False) -> tuple[str, str]:
    """Widen a range by half on either side, rounded outwards; what was never negative stays so.

    Examples
    --------
    >>> widened("17", "90", whole=True), widened("-1.25", "3.5", whole=False)
    (('0', '130'), ('-4', '6'))
    >>> widened("2006", "2010", whole=True), widened("0", "1", whole=True, exact=True)
    (('2004', '2012'), ('0', '1'))
    """
    least, most = Decimal(low), Decimal(high)
    if not exact:
        slack = (most - least) / 2
        step = Decimal(1).scaleb(max(slack.adjusted(), 0) if whole else slack.adjusted())
        below = ((least - slack) / step).to_integral_value(ROUND_FLOOR) * step
        above = ((most + slack) / step).to_integral_value(ROUND_CEILING) * step
        least = max(below, Decimal(0)) if least >= 0 else below
        most = min(above, Decimal(0)) if most <= 0 else above
    limit = Decimal(2**63 - 1) if whole else Decimal("1e308")
    if max(-least, most) > limit:
        return "", ""
    return _written(least), _written(most)


def _written(number: Decimal) -> str:
    if number == number.to_integral_value() and abs(number) < 10**19:
        return str(int(number))
    return str(number.normalize()) if abs(number.adjusted()) > 15 else f"{number.normalize():f}"
