"""Which classes a model never finds, in words for people."""

from collections.abc import Mapping

from linewright.text.numbers import count

_MOST = 5
"""Classes that are named."""


def unfound_in_words(rows: Mapping[str, int]) -> str:
    """Say of which classes no test row is found, the largest first.

    Examples
    --------
    >>> print(unfound_in_words({"invalid": 75, "positive": 1158}))
    none of 1,158 test rows that are 'positive' and none of 75 that are 'invalid'
    >>> print(unfound_in_words({name: 9 for name in "abcdefg"}))
    none of 9 test rows that are 'a', of 9 that are 'b', of 9 that are 'c', of 9 that are 'd', of 9 that are 'e' and none of 18 of 2 other classes
    """
    order = sorted(rows, key=lambda name: (-rows[name], name))
    shown, rest = order[:_MOST], order[_MOST:]
    told = [
        f"of {count(rows[name], 'test row') if place == 0 else f'{rows[name]:,}'} that are {name!r}"
        for place, name in enumerate(shown)
    ]
    if rest:
        told.append(
            f"of {sum(rows[name] for name in rest):,} of {len(rest):,} other {'class' if len(rest) == 1 else 'classes'}"
        )
    if len(told) == 1:
        return f"none {told[0]}"
    return f"none {', '.join(told[:-1])} and none {told[-1]}"
