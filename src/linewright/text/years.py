"""Years among numbers: people write 2009 and not 2,009."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAMES = frozenset({"year", "years", "yr"})
_FIRST, _LAST = 1800, 2200
_MOST = 0.5
"""Share of the values of a column called year that have to be years: a `paid_last_year` of 50,000 is none."""


def are_years(name: str, values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Return whether the values of a column of numbers are years: by its name most of them are enough, else all have to be.

    Examples
    --------
    >>> are_years("YearBuilt", [1931.0, 0.0, 2009.0]), are_years("built", [1931.0, 2009.0])
    (True, True)
    >>> are_years("paid_last_year", [50_000.0, 2000.0, 31_000.0]), are_years("area", [1900.5, 2000.0])
    (False, False)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return False
    within = (known >= _FIRST) & (known <= _LAST)
    if _NAMES & {word.lower() for word in _WORDS.findall(name)}:
        return bool(within.mean() > _MOST)
    return bool((within & (known == np.round(known))).all())


def say_year(value: float) -> str:
    """Return a value of a column of years, which may lie between two.

    Examples
    --------
    >>> say_year(2009.0), say_year(2009.5)
    ('2009', '2009.5')
    """
    return f"{value:.7g}"
