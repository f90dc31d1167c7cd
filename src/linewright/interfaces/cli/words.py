"""How amounts, digests, rules and tables are said to people."""

import math
from collections.abc import Mapping, Sequence

from linewright.people.facts import Against

RULES: Mapping[Against, str] = {
    "never": "no alarm",
    "always": "an alarm for each row",
    "champion-before": "what the champion before would have decided",
}
"""What decisions are held against in the value account, in words."""
_WHOLE = 1e4
"""An amount from which on cents say nothing."""
_LEAST = 1e-6
"""The smallest amount that is shown: about what a thousandth of a CPU second costs."""


def money(amount: float, currency: str) -> str:
    """Say an amount: to the cent; of less than ten cents two digits, and of very much whole units.

    Examples
    --------
    >>> money(1234.5, "EUR"), money(0.000031415, "EUR"), money(-12.0, "USD"), money(1e-9, "EUR"), money(81_372.4, "EUR")
    ('EUR 1,234.50', 'EUR 0.000031', 'USD -12.00', 'EUR 0.00', 'EUR 81,372')
    """
    is_small = _LEAST <= abs(amount) < 0.1
    decimals = 0 if abs(amount) >= _WHOLE else 2
    if is_small:
        decimals = 1 - math.floor(math.log10(abs(amount)))
    return f"{currency} {round(amount, decimals) + 0.0:,.{decimals}f}"


def short(digest: str) -> str:
    """Return the first 12 hex digits of a digest; other texts as they are.

    Examples
    --------
    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12] if digest.startswith("sha256:") else digest


def clipped(text: str, most: int) -> str:
    """Return a text in at most so many letters, on one line.

    Examples
    --------
    >>> clipped("a long value", 6), clipped("short", 6)
    ('a lon…', 'short')
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> list[str]:
    """Return rows under a head, each a line of aligned cells.

    Examples
    --------
    >>> grid(("a", "n"), [("x", "5"), ("yy", "12")], numbers=(1,))
    ['a    n', 'x    5', 'yy  12']
    """
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
