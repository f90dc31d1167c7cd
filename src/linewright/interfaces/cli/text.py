"""How results read as plain text: aligned tables and pairs, numbers with sensible digits, short digests."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")
_GAP = "  "
_NARROWEST = 12


def cell(value: Any) -> str:
    """Return one value as a person reads it.

    Examples
    --------
    >>> [cell(value) for value in (None, True, 0.123456, 12345.6, 8123)]
    ['-', 'yes', '0.1235', '12,346', '8123']
    >>> cell("sha256:" + "0123456789abcdef" * 4), cell("2026-11-25T01:02:03.000004Z")
    ('0123456789ab', '2026-11-25 01:02:03Z')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(cell(each) for each in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(each)}" for key, each in value.items()) or "-"
    return _INSTANT.sub(r"\1 \2Z", _DIGEST.sub(r"\1", str(value)))


def pairs(values: Sequence[tuple[str, Any]]) -> str:
    """Return names and values, one pair a line, values aligned.

    Examples
    --------
    >>> print(pairs([("line", "claims"), ("champion", None)]))
    line      claims
    champion  -
    """
    widest = max((len(name) for name, _ in values), default=0)
    indent = " " * (widest + len(_GAP))
    return "\n".join(
        name.ljust(widest) + _GAP + cell(value).rstrip().replace("\n", "\n" + indent)
        for name, value in values
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int = 0) -> str:
    """Return rows under a header, numbers to the right and text to the left.

    Examples
    --------
    >>> print(table(["model", "roc_auc"], [["claims@1", 0.8], ["claims@12", 0.8125]]))
    model      roc_auc
    claims@1       0.8
    claims@12   0.8125
    """
    if not rows:
        return _GAP.join(header)
    texts = [[cell(value).replace("\n", " ") for value in row] for row in rows]
    is_number = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    widths = [max(len(name), *(len(row[i]) for row in texts)) for i, name in enumerate(header)]
    too_much = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    if width and too_much > 0:
        widest = max(range(len(widths)), key=lambda i: (not is_number[i], widths[i]))
        widths[widest] = max(_NARROWEST, widths[widest] - too_much)
    lines = [line for row in [list(header), *texts] for line in _wrapped(row, widths)]
    return "\n".join(
        _GAP.join(
            text.rjust(size) if number else text.ljust(size)
            for text, size, number in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    )


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    parts = [
        textwrap.wrap(text, size) or [""] if len(text) > size else [text]
        for text, size in zip(row, widths, strict=True)
    ]
    return [[part[i] if i < len(part) else "" for part in parts] for i in range(max(map(len, parts)))]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
