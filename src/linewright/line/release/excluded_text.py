"""Words about columns that a model reads and that its line bars."""

from linewright.line.facts import BarredReads
from linewright.text.numbers import count, listed

_MOST_NAMED = 5


def barred_in_words(found: BarredReads) -> str:
    """Say which model reads which columns.

    Examples
    --------
    >>> barred_in_words(BarredReads(model="births@1", columns=("weight",), are_excluded=True))
    "births@1 reads 1 column that the line file now excludes: 'weight'"
    """
    bars = "the line file now excludes" if found.are_excluded else "the line file no longer gives to a model"
    named = listed([repr(name) for name in found.columns], _MOST_NAMED)
    return f"{found.model} reads {count(len(found.columns), 'column')} that {bars}: {named}"


def unequal_in_words(found: BarredReads) -> str:
    """Say that a candidate was held against a model that reads what it may not read."""
    return f"it was not compared with an equal: the champion {barred_in_words(found)}; what that one knows by them no candidate can know"
