"""What gates say, in sentences for people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from linewright.model.claim import Claim, Status
from linewright.model.fairness import Cell, Gap
from linewright.model.figures import as_declared, count, in_words, listed, percent
from linewright.model.spec import FairnessGate

MOST_NAMED = 5

END: Mapping[Status, str] = {
    "pass": "cleared",
    "fail": "missed",
    "undecided": "neither cleared nor missed",
}
SHOWN: Mapping[Status, str] = {
    "pass": "shown",
    "fail": "ruled out",
    "undecided": "neither shown nor ruled out",
}


def range_in_words(claim: Claim, status: Status, confidence: float) -> str:
    """Say the bound that decided, or both where neither did."""
    least = f"at least {in_words(claim.low, beside=claim.bar)}"
    most = f"at most {in_words(claim.high, beside=claim.bar)}"
    return _choose(least, most, claim, status, confidence)


def better_range(claim: Claim, status: Status, confidence: float) -> str:
    """Say how much better or worse, by the bound that decided, or by both where neither did."""
    if claim.low == claim.high == 0:
        return f"neither better nor worse with {percent(confidence)} confidence"
    low, high = (_distance(end, claim.bar) for end in (claim.low, claim.high))
    least = (
        f"at least {low} better" if claim.low > 0 else f"at most {low} worse" if claim.low else "not worse"
    )
    most = (
        f"at most {high} better"
        if claim.high > 0
        else f"at least {high} worse"
        if claim.high
        else "not better"
    )
    return _choose(least, most, claim, status, confidence)


def _choose(least: str, most: str, claim: Claim, status: Status, confidence: float) -> str:
    sure = f"with {percent(confidence)} confidence"
    match status:
        case "pass":
            return f"{least if claim.rises else most} {sure}"
        case "fail":
            return f"{most if claim.rises else least} {sure}"
        case "undecided" if math.isnan(claim.low + claim.high):
            return "within unknown bounds"
        case "undecided":
            return f"{least} and {most}, each {sure}"


def better(difference: float, margin: float) -> str:
    """Say how much better a difference is, in digits that keep it on its side of the margin.

    Examples
    --------
    >>> better(0.02, 0.0), better(0.0, 0.0)
    ('0.02 better than', 'no different from')
    """
    if difference == 0:
        return "no different from"
    return f"{_distance(difference, margin)} {'better' if difference > 0 else 'worse'} than"


def _distance(difference: float, margin: float) -> str:
    is_on_its_side = (difference > 0) == (margin >= 0)
    return in_words(abs(difference), beside=abs(margin) if is_on_its_side else None)


def gap_sentence(gate: FairnessGate, gap: Gap | None, claim: Claim, status: Status, *, large: int) -> str:
    """Say how far apart groups are, and which two are furthest; or why nothing is compared.

    Parameters
    ----------
    large
        How many groups have as many rows as the gate asks of each.
    """
    name = f"{gate.measure} over {gate.fairness}"
    if gap is None:
        enough = f"{count(gate.min_group, 'test row')}" if large < 2 else "enough rows of a kind to measure"
        return f"{name} cannot be measured, because fewer than two groups have {enough}"
    rate, top, bottom = gap.widest
    return (
        f"{name} is {in_words(gap.value, beside=gate.at_most)} ({rate} {in_words(gap.rates[0])} of {top!r} against "
        f"{in_words(gap.rates[1])} of {bottom!r}), {range_in_words(claim, status, gate.confidence)}: "
        f"the bar of {as_declared(gate.at_most)} is {END[status]}"
    )


def left_out(
    gate: FairnessGate,
    groups: Mapping[str, npt.NDArray[Any]],
    large: Mapping[str, npt.NDArray[Any]],
    thin: Sequence[Cell],
    min_rows: int,
    *,
    drawn: tuple[str, str],
) -> str:
    """Name the groups and cells that were too small to look at; empty where there are none.

    Parameters
    ----------
    drawn
        What cells are counted in, and of what it is made: ``("group", " of rows")``.
    """
    one, of = drawn
    small = [f"{name!r} ({len(rows):,})" for name, rows in groups.items() if name not in large]
    few = [f"{cell.rate} of {cell.group!r} ({cell.units:,})" for cell in thin]
    text = (
        f"; left out, with fewer than {count(gate.min_group, 'test row')}: {listed(small, MOST_NAMED)}"
        if small
        else ""
    )
    return text + (
        f"; too few to measure, with fewer than {count(min_rows, one)}{of}: {listed(few, MOST_NAMED)}"
        if few
        else ""
    )
