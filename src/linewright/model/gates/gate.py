"""What one gate finds of a candidate: bounds against a bar."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError
from linewright.model.facts import ClusterKind, GroupRates, Outcome, Task
from linewright.model.gate_reasons import (
    Alike,
    BeatsFound,
    Bound,
    FairnessFound,
    Found,
    Incomparable,
    MetricFound,
    Same,
    Small,
    Thin,
    TooFew,
    Unit,
    Widest,
)
from linewright.model.gates.bound import Claim, Status
from linewright.model.metrics import fairness
from linewright.model.metrics.bootstrap import class_units, units_of
from linewright.model.metrics.definitions import Floats, MetricRule, metric
from linewright.model.metrics.estimate import are_alike, difference_of, measure_of, spreads
from linewright.model.metrics.predictions import Said
from linewright.model.spec import BeatsGate, FairnessGate, GateSpec, MetricGate
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import figure

Answers = npt.NDArray[Any]

DRAWS = 2_000


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The test rows and what the models say of them; the fields are explained at `gates.certify`."""

    task: Task
    classes: Sequence[str]
    headline: str
    truth: Answers
    weight: Floats
    clusters: Answers | None
    cluster_kind: ClusterKind
    candidate: Said
    champion: Said | None
    baseline: Said
    groups: Mapping[str, Answers]
    seen: npt.NDArray[np.bool_]
    incomparable: Incomparable | None
    seed: int
    min_rows: int
    excluded: int = 0
    """Rows that were left out before, because the champion had been fitted on them."""
    currency: str = ""
    """Of the metric `value`."""
    same: Same | None = None
    """In what the candidate is the champion by making, of all rows there can be."""

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.truth)

    def compared(self) -> "Rows":
        """Return the rows that neither the candidate nor the champion has seen."""
        kept = ~self.seen
        return replace(
            self,
            truth=self.truth[kept],
            weight=self.weight[kept],
            clusters=None
            if self.clusters is None
            else np.unique(self.clusters[kept], return_inverse=True)[1],
            candidate=self.candidate.at(kept),
            champion=self.champion.at(kept) if self.champion else None,
            baseline=self.baseline.at(kept),
            groups={name: groups[kept] for name, groups in self.groups.items()},
            seen=self.seen[kept],
            excluded=int(self.seen.sum()),
        )

    def units(self, rule: MetricRule) -> int:
        """Return how many independent units a metric rests on."""
        return units_of(
            self.task, self.truth, self.weight, self.clusters, by_class=rule.by_class, of_class=rule.of_class
        )


def judge(gate: GateSpec, rows: Rows) -> Outcome:
    """Return what one gate says of the candidate."""
    match gate:
        case MetricGate():
            return _judge_metric(gate, rows)
        case BeatsGate():
            return _judge_beats(gate, rows.compared() if gate.beats == "champion" else rows)
        case FairnessGate():
            return _judge_fairness(gate, rows)
        case _:
            assert_never(gate)


def _judge_metric(gate: MetricGate, rows: Rows) -> Outcome:
    rule = metric(gate.metric, rows.task)
    rises = gate.at_least is not None
    bar = gate.at_least if gate.at_least is not None else gate.at_most
    assert bar is not None  # noqa: S101 -- the spec's validator allows a gate with neither
    claim = _claim(rows, rule, None, gate.confidence, bar=bar, rises=rises)
    units = rows.units(rule)
    return _outcome(
        MetricFound(
            metric=rule.name,
            currency=_currency(rule, rows),
            rises=rises,
            confidence=gate.confidence,
            few=_too_few(rows, units),
        ),
        claim,
        rows,
        status=_status(claim, rows, units=units),
        more=_more_rows(claim, rows, units),
    )


def _judge_beats(gate: BeatsGate, rows: Rows) -> Outcome:
    rule = metric(gate.metric or rows.headline, rows.task)
    # Where the champion is judged anew, or there is none to compare with, the baseline stands in.
    rival = rows.champion if gate.beats == "champion" and rows.champion is not None else rows.baseline
    is_champion = rival is rows.champion
    found = BeatsFound(
        beats=gate.beats,
        metric=rule.name,
        currency=_currency(rule, rows),
        confidence=gate.confidence,
        against="champion" if is_champion else "baseline",
        stands_in=None if is_champion or gate.beats == "baseline" else rows.incomparable,
    )
    is_same = rows.same == "decisions" or (rows.same == "scores" and rule.uses == "scores")
    if is_champion and is_same:
        # It compares a model with itself: there is nothing to show, and nothing to wait for.
        claim = Claim(value=0.0, low=0.0, high=0.0, bar=gate.margin, rises=True, is_strict=True)
        return _outcome(
            msgspec.structs.replace(found, same=rows.same), claim, rows, status="undecided", more=None
        )
    # Who may be worse than a champion may not be worse than the baseline that stands in for one.
    bar = gate.margin if is_champion else max(gate.margin, 0.0)
    claim, units = _claim(rows, rule, rival, gate.confidence, bar=bar), rows.units(rule)
    status = _status(claim, rows, units=units)
    below = _below_baseline(gate, rule, rows) if status == "pass" and is_champion else None
    return _outcome(
        msgspec.structs.replace(
            found,
            alike=_alike(rule, rows, rival) if claim.is_alike else None,
            alike_rows=int((rows.weight > 0).sum()) if claim.is_alike else 0,
            below_baseline=below,
            few=_too_few(rows, units),
        ),
        claim,
        rows,
        status="fail" if below else status,
        more=_more_rows(claim, rows, units),
    )


def _currency(rule: MetricRule, rows: Rows) -> str:
    return rows.currency if rule.uses == "worth" else ""


def _alike(rule: MetricRule, rows: Rows, rival: Said) -> Alike:
    counts = rows.weight > 0
    if not np.array_equal(rows.candidate.used_by(rule)[counts], rival.used_by(rule)[counts]):
        return "order"
    return "answers" if not rows.classes else "scores" if rule.uses == "scores" else "decisions"


def _below_baseline(gate: BeatsGate, rule: MetricRule, rows: Rows) -> Bound | None:
    """Return by how much a candidate which beats the champion is surely worse than the baseline; `None` where it is not.

    Where the truth has turned round the champion is worse than guessing, and to be better than it is no merit.
    """
    claim = _claim(rows, rule, rows.baseline, gate.confidence, bar=0.0)
    if not claim.high < 0:
        return None
    return Bound(value=figure(claim.value), low=figure(claim.low), high=figure(claim.high))


def _judge_fairness(gate: FairnessGate, rows: Rows) -> Outcome:
    _require_groups(gate, rows)
    groups = fairness.rows_by_group(rows.groups[gate.fairness], rows.weight)
    large = {name: members for name, members in groups.items() if len(members) >= gate.min_group}
    cells = fairness.cells(gate.measure, large, rows.truth, rows.clusters)
    thin = [cell for cell in cells if cell.units < rows.min_rows]
    gap = fairness.largest_gap(
        [cell for cell in cells if cell.units >= max(rows.min_rows, 2)],
        rows.candidate.decided,
        weight=rows.weight,
        clusters=rows.clusters,
        confidence=gate.confidence,
        seed=rows.seed,
        draws=DRAWS,
    )
    ends = (gap.value, gap.low, gap.high) if gap else (math.nan, math.nan, math.nan)
    claim = Claim(value=ends[0], low=ends[1], high=ends[2], bar=gate.at_most, rises=False)
    # A cell that is too thin to measure may hide a gap: then the gate can fail, but not pass.
    status = "undecided" if thin and claim.status == "pass" else claim.status
    waits = [_to_reach(rows.min_rows, cell.units, rows.n) for cell in thin]
    if gap is None and not thin:
        waits.append(_until_two_groups(gate.min_group, groups, rows.n))
    elif claim.status == "undecided":
        waits.append(claim.more_rows(rows.n))
    return _outcome(
        FairnessFound(
            column=gate.fairness,
            measure=gate.measure,
            confidence=gate.confidence,
            min_group=gate.min_group,
            large=len(large),
            widest=None if gap is None else _widest(gap),
            small=tuple(
                Small(group=name, rows=len(members)) for name, members in groups.items() if name not in large
            ),
            thin=tuple(Thin(rate=cell.rate, group=cell.group, units=cell.units) for cell in thin),
            min_units=rows.min_rows,
            of=_drawn(rows),
        ),
        claim,
        rows,
        status=status,
        more=None if None in waits else max((wait for wait in waits if wait is not None), default=None),
        groups=fairness.rates(
            groups, rows.truth, rows.candidate.decided, rows.weight, min_group=gate.min_group
        ),
    )


def _widest(gap: fairness.Gap) -> Widest:
    rate, highest, lowest = gap.widest
    high, low = gap.rates
    return Widest(rate=rate, highest=highest, lowest=lowest, high=figure(high), low=figure(low))


def _require_groups(gate: FairnessGate, rows: Rows) -> None:
    if not rules_of(rows.task).has_positive:
        raise SpecError(
            "a fairness gate compares how often groups get the positive answer, so it needs two classes",
            where=f"gates, fairness: {gate.fairness}",
            found=rows.task,
            allowed="binary",
            hint="remove the gate",
        )
    if gate.fairness not in rows.groups:
        raise SpecError(
            "a fairness gate names a column that the table does not have",
            where="gates",
            found=gate.fairness,
            allowed=", ".join(sorted(rows.groups)),
        )


# Numbers


def _claim(
    rows: Rows, rule: MetricRule, rival: Said | None, confidence: float, *, bar: float, rises: bool = True
) -> Claim:
    """Return what is known of the candidate's metric, or of how much better it is than a rival's (then the bar must be passed)."""
    claim = partial(Claim, bar=bar, rises=rises, is_strict=rival is not None)
    is_unknown = rules_of(rows.task).learns_good and rule.of_class is None and not (rows.truth == 1).any()
    if is_unknown or not rows.weight.sum() > 0:
        return claim(value=math.nan, low=math.nan, high=math.nan)
    own = rows.candidate.used_by(rule)
    alike = rival is not None and are_alike(rule, own, rival.used_by(rule), weight=rows.weight)
    measure = (
        measure_of(rule, rows.truth, own, weight=rows.weight, clusters=rows.clusters)
        if rival is None
        else difference_of(
            rule, rows.truth, own, rival.used_by(rule), weight=rows.weight, clusters=rows.clusters
        )
    )
    (spread,) = spreads(
        [measure],
        units=[rows.units(rule)],
        weight=rows.weight,
        clusters=rows.clusters,
        seed=rows.seed,
        draws=DRAWS,
    )
    return claim(
        value=spread.value, low=spread.lower(confidence), high=spread.upper(confidence), is_alike=alike
    )


def _status(claim: Claim, rows: Rows, *, units: int) -> Status:
    return "undecided" if units < rows.min_rows else claim.status


def _more_rows(claim: Claim, rows: Rows, units: int) -> int | None:
    return _to_reach(rows.min_rows, units, rows.n) if units < rows.min_rows else claim.more_rows(rows.n)


def _to_reach(needed: int, units: int, n: int) -> int | None:
    return math.ceil(n * (needed / units - 1)) if units else None


def _until_two_groups(min_group: int, groups: Mapping[str, Answers], n: int) -> int | None:
    sizes = sorted((len(members) for members in groups.values()), reverse=True)
    return _to_reach(min_group, sizes[1], n) if len(sizes) > 1 else None


def _outcome(
    found: Found,
    claim: Claim,
    rows: Rows,
    *,
    status: Status,
    more: int | None,
    groups: tuple[GroupRates, ...] = (),
) -> Outcome:
    awaited = more if status == "undecided" else None
    return Outcome(
        found=found,
        status=status,
        value=_known(claim.value),
        low=_known(claim.low),
        high=_known(claim.high),
        bar=claim.bar,
        n=rows.n,
        excluded=rows.excluded,
        more_rows=awaited,
        more_groups=None if awaited is None else _groups_in(awaited, rows),
        groups=groups,
    )


def _groups_in(more: int, rows: Rows) -> int | None:
    """Return about how many groups so many rows are; `None` where groups are not drawn whole."""
    if rows.clusters is None or rows.cluster_kind != "group":
        return None
    return math.ceil(more * len(np.unique(rows.clusters)) / rows.n)


def _known(value: float) -> float | None:
    return figure(value) if np.isfinite(value) else None


def _too_few(rows: Rows, units: int) -> TooFew | None:
    if units >= rows.min_rows:
        return None
    counts = class_units(rows.truth, rows.weight, rows.clusters, classes=len(rows.classes))
    rarest = rows.classes[counts.index(min(counts))] if rules_of(rows.task).has_positive else None
    return TooFew(units=units, needed=rows.min_rows, of=_drawn(rows), rarest=rarest)


def _drawn(rows: Rows) -> Unit:
    """Return what the bootstrap draws."""
    called: dict[ClusterKind, Unit] = {"group": "group", "block": "block", "equal": "different-row"}
    return "row" if rows.clusters is None else called[rows.cluster_kind]
