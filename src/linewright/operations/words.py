"""How numbers and digests are said to people."""

from collections.abc import Mapping, Sequence

from linewright.people.facts import Against

RULES: Mapping[Against, str] = {
    "never": "no alarm",
    "always": "an alarm for each row",
    "champion-before": "what the champion before would have decided",
}
"""What decisions are held against in the value account, in words."""


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

    Parameters
    ----------
    head, rows
        Cells.
    numbers
        Which columns are set to the right.

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
