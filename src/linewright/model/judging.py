"""What one gate says of a candidate: bounds against a bar, in numbers and in one sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError
from linewright.model import fairness
from linewright.model.claim import Claim, Status
from linewright.model.facts import ROWS_OF_VALUE, ClusterKind, GroupRates, Outcome, Task
from linewright.model.figures import as_declared, count, figure, in_words, roughly
from linewright.model.gate_words import (
    END,
    SHOWN,
    better,
    better_range,
    gap_sentence,
    left_out,
    range_in_words,
)
from linewright.model.intervals import class_units, units_of
from linewright.model.measures import are_alike, difference_of, measure_of, spreads
from linewright.model.metrics import Floats, MetricRule, metric
from linewright.model.said import Said
from linewright.model.spec import BeatsGate, FairnessGate, GateSpec, MetricGate

Answers = npt.NDArray[Any]

Alike = Literal["nothing", "scores", "decisions"]
"""In what two models are the same by making, of all rows there can be: in nothing; in scores, where a threshold alone was chosen anew; or in
decisions too, where amounts alone were declared anew."""

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
    incomparable: str
    seed: int
    min_rows: int
    excluded: int = 0
    """Rows that were left out before, because the champion had been fitted on them."""
    currency: str = ""
    """Of the metric `value`."""
    alike: Alike = "nothing"
    """In what the candidate is the champion by making."""

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
        return units_of(self.task, self.truth, self.weight, self.clusters, by_class=rule.by_class)


def judge(gate: GateSpec, rows: Rows) -> Outcome:
    """Return what one gate says of the candidate.

    Raises
    ------
    SpecError
        If the gate does not fit the task or the table.
    """
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
    status = _status(claim, rows, units=rows.units(rule))
    called = _called(rule, rows)
    return _outcome(
        f"{rule.name} at {'least' if rises else 'most'} {as_declared(bar)}",
        claim,
        rows,
        status=status,
        more=_more_rows(claim, rows, rows.units(rule)),
        says=_unless_unknown(
            f"{called} is {in_words(claim.value, beside=bar)}",
            f", {range_in_words(claim, status, gate.confidence)}: the bar of {as_declared(bar)} is {END[status]}",
            rule,
            claim,
            rows,
        ),
    )


def _judge_beats(gate: BeatsGate, rows: Rows) -> Outcome:
    rule = metric(gate.metric or rows.headline, rows.task)
    rival, name, note = _rival(gate, rows)
    is_same = rows.alike == "decisions" or (rows.alike == "scores" and rule.uses == "scores")
    if rival is rows.champion and is_same:
        return _same_model(gate, rule, rows)
    # Who may be worse than a champion may not be worse than the baseline that stands in for one.
    bar = gate.margin if rival is rows.champion else max(gate.margin, 0.0)
    claim = _claim(rows, rule, rival, gate.confidence, bar=bar)
    status = _status(claim, rows, units=rows.units(rule))
    margin = f" by more than {as_declared(bar)}" if bar > 0 else ""
    asked = f"at most {as_declared(-bar)} worse" if bar < 0 else f"better{margin}"
    verdict = "" if status == "pass" and not bar else f": that it is {asked} is {SHOWN[status]}"
    alike = f" ({_as_the_rival(rule, rows, rival, name)})" if claim.is_alike else ""
    found = f"{_called(rule, rows)} is {better(claim.value, bar)} the {name}'s{note}{alike}"
    known = f", {better_range(claim, status, gate.confidence)}{verdict}"
    if status == "pass" and rival is rows.champion and (but := _worse_than_baseline(gate, rule, rows)):
        status, known = "fail", f"{known}, but {but}"
    return _outcome(
        f"beats the {gate.beats} on {rule.name}{margin or (f', or is {asked}' if bar < 0 else '')}",
        claim,
        rows,
        status=status,
        more=_more_rows(claim, rows, rows.units(rule)),
        says=_unless_unknown(found, known, rule, claim, rows),
    )


def _same_model(gate: BeatsGate, rule: MetricRule, rows: Rows) -> Outcome:
    """Say of a comparison that it compares a model with itself: there is nothing to show, and nothing to wait for."""
    does, differs = (
        ("scores", "where it decides")
        if rows.alike == "scores"
        else ("decides", "what decisions are declared to be worth")
    )
    claim = Claim(value=0.0, low=0.0, high=0.0, bar=gate.margin, rises=True, is_strict=True)
    outcome = _outcome(
        f"beats the {gate.beats} on {rule.name}",
        claim,
        rows,
        status="undecided",
        more=None,
        says=f"{_called(rule, rows)} is the champion's own: it {does} every row as the champion does, since both are one model and "
        f"only {differs} differs",
    )
    return msgspec.structs.replace(outcome, is_same=True)


def _called(rule: MetricRule, rows: Rows) -> str:
    """Return what a metric is called where its figure follows, with its unit."""
    return f"{rule.name} ({rows.currency} per {ROWS_OF_VALUE:,} rows)" if rule.uses == "worth" else rule.name


def _as_the_rival(rule: MetricRule, rows: Rows, rival: Said, name: str) -> str:
    counts = rows.weight > 0
    if np.array_equal(rows.candidate.used_by(rule)[counts], rival.used_by(rule)[counts]):
        does = "answers" if not rows.classes else "scores" if rule.uses == "scores" else "decides"
        return f"it {does} each of the {counts.sum():,} test rows as the {name} does"
    return f"it puts the {counts.sum():,} test rows in the same order as the {name} does"


def _worse_than_baseline(gate: BeatsGate, rule: MetricRule, rows: Rows) -> str:
    """Say that a candidate which beats the champion is surely worse than the baseline; empty where it is not.

    Where the truth has turned round the champion is worse than guessing, and to be better than it is no merit.
    """
    claim = _claim(rows, rule, rows.baseline, gate.confidence, bar=0.0)
    if not claim.high < 0:
        return ""
    return (
        f"{better(claim.value, 0.0)} the baseline's, {better_range(claim, 'fail', gate.confidence)}: "
        "a model that is worse than guessing is not promoted"
    )


def _rival(gate: BeatsGate, rows: Rows) -> tuple[Said, str, str]:
    if gate.beats == "baseline":
        return rows.baseline, "baseline", ""
    if rows.champion is not None:
        return rows.champion, "champion", ""
    # Also said of the first champion itself, when it is judged anew.
    because = rows.incomparable or "no champion came before it"
    return rows.baseline, "baseline", f" ({because}, so the baseline stands in)"


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
        f"{gate.measure} over {gate.fairness} at most {as_declared(gate.at_most)}",
        claim,
        rows,
        status=status,
        more=None if None in waits else max((wait for wait in waits if wait is not None), default=None),
        says=gap_sentence(gate, gap, claim, status, large=len(large))
        + left_out(gate, groups, large, thin, rows.min_rows, drawn=_drawn(rows)),
        column=gate.fairness,
        groups=fairness.rates(
            groups, rows.truth, rows.candidate.decided, rows.weight, min_group=gate.min_group
        ),
    )


def _require_groups(gate: FairnessGate, rows: Rows) -> None:
    if rows.task != "binary":
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
    if not rows.weight.sum() > 0:
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
    gate: str,
    claim: Claim,
    rows: Rows,
    *,
    status: Status,
    more: int | None,
    says: str,
    column: str = "",
    groups: tuple[GroupRates, ...] = (),
) -> Outcome:
    awaited = more if status == "undecided" else None
    return Outcome(
        gate=gate,
        status=status,
        value=_known(claim.value),
        low=_known(claim.low),
        high=_known(claim.high),
        bar=claim.bar,
        n=rows.n,
        excluded=rows.excluded,
        more_rows=awaited,
        says=says if awaited is None else f"{says}; {_awaited(awaited, rows)} would decide",
        column=column,
        groups=groups,
    )


def _awaited(more: int, rows: Rows) -> str:
    """Say how much more data it takes: where groups are drawn whole, more rows of the same groups would not help.

    Only a share of a table's rows tests, so the table needs more than that.
    """
    if rows.clusters is None or rows.cluster_kind != "group":
        return f"about {roughly(more)} more test {'row' if more == 1 else 'rows'}"
    groups = math.ceil(more * len(np.unique(rows.clusters)) / rows.n)
    return f"about {roughly(groups)} more {'group' if groups == 1 else 'groups'} of test rows"


def _known(value: float) -> float | None:
    return figure(value) if np.isfinite(value) else None


def _unless_unknown(found: str, known: str, rule: MetricRule, claim: Claim, rows: Rows) -> str:
    """Say what was found and what is known by it; or that the value is unknown, or rests on too few rows, where that is so.

    Bounds by too few rows decide nothing, so that they are not said: beside the verdict they would read as if they did.
    """
    units = rows.units(rule)
    says = (
        found
        if np.isfinite(claim.value)
        else f"{_called(rule, rows)} cannot be measured on {count(rows.n, 'row')}"
    )
    if units >= rows.min_rows:
        return f"{says}{known}" if np.isfinite(claim.value) else says
    one, of = _drawn(rows)
    luck = ", which may be luck" if np.isfinite(claim.value) else ""
    few = f"{count(units, one)}{of}{_rarest(rows)} {'is' if units == 1 else 'are'} too few"
    return f"{few}, {rows.min_rows} are needed; {says}{luck}"


def _drawn(rows: Rows) -> tuple[str, str]:
    """Return what the bootstrap draws, and of what it is made."""
    called = {"group": ("group", " of rows"), "block": ("block", " of rows"), "equal": ("different row", "")}
    return ("row", "") if rows.clusters is None else called[rows.cluster_kind]


def _rarest(rows: Rows) -> str:
    counts = class_units(rows.truth, rows.weight, rows.clusters, classes=len(rows.classes))
    return f" of {rows.classes[counts.index(min(counts))]!r}" if rows.task == "binary" else ""
