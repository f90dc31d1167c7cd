"""What a proposed promotion changes: one model for another, in figures, and what nobody has examined of the new one."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from linewright.line.factory import Factory
from linewright.line.record.evidence import Evidence, evidence_of
from linewright.line.record.registry import find_model, rebuilt_of
from linewright.model.gate_reasons import BeatsFound, FairnessFound
from linewright.people.facts import ChangeProposed, PromotionChange

Unexamined = Literal["fairness", "time-order", "slices", "undecided-gates", "rebuild"]
"""Whether groups of people get equal answers; how it does on rows that are later than those it learned from; on which rows it is weak; what
gates could not decide; whether it can be built again."""


class BothMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of two models on the same test rows."""

    name: str
    value: float
    """Of the proposed model."""
    before: float
    """Of the one that it is to replace."""
    n: int
    """Rows."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a promotion replaces by what."""

    model: str
    """The proposed model, as LINE@VERSION."""
    before: str | None
    """The champion of the time of the proposal; `None` where nothing served."""
    columns: int
    """Columns that the proposed model reads."""
    columns_before: int | None
    added: tuple[str, ...]
    """Columns that it reads and the one before does not."""
    dropped: tuple[str, ...]
    """Columns that the one before reads and it does not."""
    metric: BothMeasured | None
    """`None` where both were not measured on the same test rows."""
    unexamined: tuple[Unexamined, ...]


def compared(factory: Factory, proposed: ChangeProposed, change: PromotionChange) -> Comparison:
    """Return what a promotion replaces by what."""
    named = f"{change.line}@{change.model}"
    mine = evidence_of(factory, find_model(factory, named))
    before = proposed.under.get("champion", "").partition("#")[0]
    theirs = evidence_of(factory, find_model(factory, before)) if "@" in before else None
    columns, columns_before = _columns(mine), _columns(theirs) if theirs else ()
    return Comparison(
        model=named,
        before=before if theirs else None,
        columns=len(columns),
        columns_before=len(columns_before) if theirs else None,
        added=tuple(one for one in columns if theirs and one not in columns_before),
        dropped=tuple(one for one in columns_before if one not in columns),
        metric=_both_measured(mine, theirs) if theirs else None,
        unexamined=tuple(_unexamined(factory, mine)),
    )


def _columns(evidence: Evidence) -> tuple[str, ...]:
    return tuple(one.name for one in evidence.package.columns if one.role == "feature")


def _both_measured(mine: Evidence, theirs: Evidence) -> BothMeasured | None:
    """Return the metric that the gates compared, else the first, of two models that were measured on the rows of one split."""
    one, other = mine.evaluation, theirs.evaluation
    if one is None or other is None or (one.split, one.n) != (other.split, other.n):
        return None
    outcomes = mine.certificate.outcomes if mine.certificate else ()
    asked = [each.found.metric for each in outcomes if isinstance(each.found, BeatsFound)]
    values = {each.name: each.value for each in one.metrics}
    before = {each.name: each.value for each in other.metrics}
    name = next((each for each in (*asked, *values) if each in values and each in before), None)
    if name is None:
        return None
    return BothMeasured(name=name, value=values[name], before=before[name], n=one.n)


def _unexamined(factory: Factory, evidence: Evidence) -> Iterator[Unexamined]:
    outcomes = evidence.certificate.outcomes if evidence.certificate else ()
    explained = evidence.explanation
    if not any(isinstance(one.found, FairnessFound) for one in outcomes):
        yield "fairness"
    if evidence.split.by != "time":
        yield "time-order"
    if explained is None or not (explained.slices or explained.looked_at):
        yield "slices"
    if any(one.status == "undecided" for one in outcomes):
        yield "undecided-gates"
    if rebuilt_of(factory.metadata, evidence.version) is None:
        yield "rebuild"
