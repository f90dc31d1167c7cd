"""How good rows and faulty ones are called."""

from collections.abc import Collection

from linewright.errors import SpecError

GOOD, FAULTY = "good", "faulty"
"""What rows are called if the data do not say."""
_PAIRS = (
    (GOOD, FAULTY),
    ("good", "bad"),
    ("ok", "nok"),
    ("ok", "faulty"),
    ("ok", "defect"),
    ("good", "defect"),
    ("good", "anomaly"),
    ("normal", "anomaly"),
    ("normal", "abnormal"),
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("0", "1"),
    ("0.0", "1.0"),
)
"""Pairs of which the first is good, in small letters; the first pair with a word says what the other is called."""


def good_and_faulty(
    labels: Collection[str], faulty: str | None, *, has_gaps: bool = False
) -> tuple[str, str]:
    """Return how good rows and faulty ones are called.

    Examples
    --------
    >>> good_and_faulty([], None), good_and_faulty(["0"], None), good_and_faulty(["crack"], "crack", has_gaps=True)
    (('good', 'faulty'), ('0', '1'), ('good', 'crack'))
    """
    named = sorted(labels)
    if len(named) > 2 or (len(named) == 2 and faulty is not None and faulty not in named):
        raise SpecError(
            "rows are good or faulty, so a label has two values",
            where="label.column" if faulty is None else "label.positive",
            found=", ".join([*named[:5], *(["…"] if len(named) > 5 else [])])[:200],
            allowed="2 values, of which label.positive names the faulty one",
            hint="make two values of them in table.sql, such as: case when state = 'ok' then 'good' else 'faulty' end as state",
        )
    if faulty is not None:
        other = [name for name in named if name != faulty]
        return (other[0] if other else _other_of(faulty, is_good=False) or _unlike(GOOD, faulty), faulty)
    small = {name.strip().lower(): name for name in named}
    if len(named) == 2:
        for good, bad in _PAIRS:
            if {good, bad} == set(small):
                return small[good], small[bad]
        raise SpecError(
            "which of the two labels means faulty is not clear",
            where="label.positive",
            found=" and ".join(map(repr, named)),
            hint=f"write positive: {named[0]}, or positive: {named[1]}",
        )
    if not named:
        return GOOD, FAULTY
    (only,) = named
    if (word := _other_of(only, is_good=True)) is not None:
        return only, word
    bad_word = _other_of(only, is_good=False)
    if bad_word is not None and has_gaps:
        return bad_word, only
    if bad_word is not None or has_gaps:
        raise SpecError(
            "rows are learned from that are good, and none is known to be"
            if bad_word is not None
            else "one label alone does not say whether it means good or faulty",
            where="label.positive",
            found=only,
            hint="name the value that means faulty; rows without a label are taken for good",
        )
    return only, _unlike(FAULTY, only)


def _other_of(word: str, *, is_good: bool) -> str | None:
    """Return what the other of a known pair is called, of which the word is the good one or the faulty one."""
    place = 0 if is_good else 1
    return next((pair[1 - place] for pair in _PAIRS if pair[place] == word.strip().lower()), None)


def _unlike(word: str, taken: str) -> str:
    return word if word != taken else f"not {taken}"
