"""Rules about how a value is spelled: a regular expression that the whole value matches."""

import polars as pl

from linewright.data.types import cast

PATTERNED = frozenset({"text", "category", "integer"})
"""Types of columns whose spelling can be ruled."""


def flaw(pattern: str) -> str | None:
    r"""Say why a text is no regular expression; `None` where it is one.

    Examples
    --------
    >>> flaw("[A-Z]{2}[0-9]+") is None
    True
    >>> flaw("(a)(?=b)"), flaw("a(")
    ('look-around, including look-ahead and look-behind, is not supported', 'unclosed group')
    """
    # Alone first: "a)(b" is one only between the brackets of a whole match.
    for text in (pattern, _whole(pattern)):
        try:
            pl.Series([""]).str.contains(text)
        except pl.exceptions.ComputeError as error:
            said = [line.removeprefix("error: ") for line in str(error).splitlines()]
            return next((line for line in said[1:] if line and not line.startswith((" ", "\t"))), said[0])
    return None


def misspelt(values: pl.Series, found: pl.Series, pattern: str) -> pl.Series:
    r"""Return which values do not match a pattern as a whole; a missing value matches.

    Examples
    --------
    >>> codes = pl.Series(["007", "07", None, "0071"])
    >>> misspelt(cast(codes, "integer"), codes, r"\d{3}").to_list()
    [False, True, False, True]
    """
    text = found if found.dtype == pl.String else cast(values, "text")
    return ~text.str.contains(_whole(pattern)).fill_null(value=True) & values.is_not_null()


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"
