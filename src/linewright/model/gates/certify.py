"""Gates: whether a candidate deserves to be released, and how sure that is.

A gate compares a bound, not a value, with its bar. With c the gate's confidence, each bound is one-sided and is missed
with a chance of 1 - c:

=============  ==============================  ==============================  ===========
gate           passes                          fails                           undecided
=============  ==============================  ==============================  ===========
``at_least``   lower bound reaches the bar     upper bound is below the bar    otherwise
``at_most``    upper bound reaches the bar     lower bound is above the bar    otherwise
``beats``      lower bound of the difference   upper bound of the difference   otherwise
               is above the margin             is below the margin
``fairness``   upper bound of the gap reaches  lower bound of the gap is       otherwise
               the bar                         above the bar
=============  ==============================  ==============================  ===========

In ``beats`` the difference is paired (both models on the same rows and draws) and positive where the candidate is better.
A candidate that is shown to be worse, or to be better by less than the margin, fails; one that is the same as its rival
is undecided. With a margin below 0 it may be worse by so much: one that is surely not worse by more passes (a test of
non-inferiority, as of a simpler model that does as well). A gate with fewer than `min_rows` rows (or groups) of a kind is always undecided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.facts import Certificate, Conclusion, Outcome, Verdict
from linewright.model.gate_reasons import Advice, Incomparable, Same
from linewright.model.gates.gate import Rows, judge
from linewright.model.metrics.definitions import Floats, metric
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import say
from linewright.model.spec import BeatsGate, GateSpec
from linewright.model.tasks import task as rules_of
from linewright.store.values import digest_of

Answers = npt.NDArray[Any]
_Kind = Literal["failed", "blocked", "waiting", "hopeless", "same-model", "none-decided", "passed"]
_Advised = tuple[Advice | None, Outcome | None]
"""What to do, and what is known of a candidate that the gates cannot tell from the baseline."""
_NO_ADVICE: _Advised = (None, None)
_ONLY: Mapping[Same | None, Literal["only-amounts", "only-views"]] = {
    "decisions": "only-amounts",
    "views": "only-views",
}

MIN_ROWS = 10
WORTH_WAITING = 20
"""A difference that takes more than so many times the present rows to decide is not worth waiting for."""
_SURE = 0.99
"""Of what another metric shows: several are asked, and none of them was declared."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rival:
    """What a candidate is compared with, on the same rows."""

    digest: str
    """Of the champion, or ``"baseline"`` where that stands in."""
    scores: Floats | None = None
    """Shape (n, classes) or (n,): calibrated probabilities or numbers; `None` where the baseline stands in."""
    threshold: float | None = None
    """At and above which the champion answers the positive class."""
    seen: npt.NDArray[np.bool_]
    """Shape (n,): rows that it was fitted on. Gates that compare with it leave them out, the others use all rows."""
    rows_digest: str
    """Of the identities of the rows that it has not seen."""
    incomparable: Incomparable | None = None
    """Why the champion cannot be compared with, so that the baseline stands in for it; `None` where that is not so."""
    same: Same | None = None
    """In what candidate and champion are the same by making, if in anything."""


def certify(
    rows: EvaluationRows,
    rival: Rival,
    *,
    package: str,
    gates: Sequence[GateSpec],
    headline: str,
    groups: Mapping[str, Answers],
    min_rows: int = MIN_ROWS,
    currency: str = "",
) -> Certificate:
    """Judge a candidate by the gates of its line."""
    has_champion, clusters = rival.scores is not None, rows.clusters
    judged = Rows(
        task=rows.task,
        classes=rows.classes,
        headline=headline,
        truth=rows.truth,
        weight=rows.weight,
        clusters=clusters,
        cluster_kind=rows.cluster_kind,
        candidate=rows.said,
        champion=None
        if rival.scores is None
        else say(rows.task, rival.scores, rival.threshold, rows.amounts),
        baseline=rows.guess,
        groups=groups,
        seen=rival.seen,
        incomparable=rival.incomparable,
        seed=rows.seed,
        min_rows=min_rows,
        currency=currency,
        same=rival.same,
    )
    outcomes = tuple(judge(gate, judged) for gate in gates)
    verdict, reason = conclude(
        gates,
        outcomes,
        same=rival.same,
        has_champion=has_champion,
        by_group=clusters is not None and rows.cluster_kind == "group",
        known=partial(
            _known, judged, {gate.metric or headline for gate in gates if isinstance(gate, BeatsGate)}
        ),
    )
    if verdict == "need-more-data" and rules_of(rows.task).learns_good and not (rows.truth == 1).any():
        reason = msgspec.structs.replace(reason, advice="nothing-faulty", known=None, by_group=False)
    return Certificate(
        package=package,
        rival=rival.digest,
        gates=digest_of([gate.model_dump(mode="json") for gate in gates]),
        split=rows.split,
        rows=rival.rows_digest,
        n=int((~rival.seen).sum()),
        excluded=int(rival.seen.sum()),
        outcomes=outcomes,
        verdict=verdict,
        reason=reason,
        incomparable=rival.incomparable,
    )


def _known(rows: Rows, asked: set[str]) -> Outcome | None:
    """Return by which metric that no gate asks for the candidate is surely better than the baseline; `None` where by none."""
    for name in rules_of(rows.task).metrics:
        # What is decided hangs on a threshold too, which nothing that is known has to be good for.
        if name not in asked and metric(name, rows.task).uses == "scores":
            found = judge(BeatsGate(beats="baseline", metric=name, confidence=_SURE), rows)
            if found.status == "pass":
                return found
    return None


def _nothing_known() -> Outcome | None:
    return None


def conclude(
    gates: Sequence[GateSpec],
    outcomes: Sequence[Outcome],
    *,
    has_champion: bool = False,
    by_group: bool = False,
    known: Callable[[], Outcome | None] = _nothing_known,
    same: Same | None = None,
) -> tuple[Verdict, Conclusion]:
    """Draw the conclusion from what the gates said: the first of these rules that applies.

    1. There are no gates: *hold*; nothing was asked, so nothing was shown.
    2. A gate failed: *reject*.
    3. Candidate and champion are one model with one threshold, and only the declared amounts or feature views differ: *promote*.
    4. A gate with ``when_small: block`` is undecided: *need-more-data*.
    5. A `beats` gate is undecided: *need-more-data* if at most 20 times as many rows as there are would decide each
       such gate (or there were too few rows to tell), else *hold*: no difference worth naming was shown.
    6. No gate passed: *hold* if a comparison was asked about scores of one model with another threshold, else *need-more-data*.
    7. Otherwise *promote*: what could not be decided is neither for nor against.

    In 4 and 5 a comparison of a model's scores with themselves is passed over: no row could ever decide it.

    Where more data is needed to beat something, it is said what that is worth waiting for: who cannot be told from the baseline may
    know nothing, and who is no better than the champion may turn out worse. `has_champion` says what comparisons with the champion
    were made with, `by_group` whether bounds are from groups drawn whole, so that only more groups would narrow them; `known` is asked
    what else shows that a candidate which cannot be told from the baseline knows something.
    """
    if not outcomes:
        return "hold", Conclusion(kind="no-gates")
    pairs = list(zip(gates, outcomes, strict=True))
    failed = [outcome for outcome in outcomes if outcome.status == "fail"]
    by_making = [outcome for outcome in outcomes if outcome.is_same]
    open_gates = [
        (gate, outcome) for gate, outcome in pairs if outcome.status == "undecided" and not outcome.is_same
    ]
    blocking = [outcome for gate, outcome in open_gates if gate.when_small == "block"]
    comparisons = [
        (outcome, has_champion and gate.beats == "champion")
        for gate, outcome in open_gates
        if isinstance(gate, BeatsGate)
    ]
    place = {id(outcome): number for number, outcome in enumerate(outcomes)}

    def about(kind: _Kind, told: Sequence[Outcome], advice: _Advised = _NO_ADVICE) -> Conclusion:
        return Conclusion(
            kind=kind,
            first=place[id(told[0])],
            others=len(told) - 1,
            advice=advice[0],
            by_group=by_group and advice[0] is not None,
            known=advice[1],
        )

    if failed:
        return "reject", about("failed", failed)
    if same in _ONLY:
        return "promote", Conclusion(kind=_ONLY[same])
    if blocking:
        compared = [(one, champion) for one, champion in comparisons if one in blocking]
        return "need-more-data", about("blocked", blocking, _what_to_do(compared, known))
    if comparisons:
        hopeless, advice = _wait_or_hold(comparisons, known)
        if hopeless:
            return "hold", about("hopeless", hopeless[:1], advice)
        return "need-more-data", about("waiting", [one for one, _ in comparisons], advice)
    passed = [outcome for outcome in outcomes if outcome.status == "pass"]
    if not passed and by_making:
        return "hold", about("same-model", by_making[:1])
    if not passed:
        return "need-more-data", about("none-decided", outcomes[:1], ("gather", None))
    return "promote", about("passed", passed[:1])


def _wait_or_hold(
    compared: Sequence[tuple[Outcome, bool]], known: Callable[[], Outcome | None]
) -> tuple[list[Outcome], _Advised]:
    """Return which undecided comparisons are not worth waiting for, and what to do; each comes with whether it is with a champion."""
    hopeless = [
        outcome
        for outcome, _ in compared
        if outcome.low is not None
        and (outcome.more_rows is None or outcome.more_rows > WORTH_WAITING * outcome.n)
    ]
    if not hopeless:
        return [], _what_to_do(compared, known)
    may_know_nothing = any(
        not with_champion and _may_be_none(one) for one, with_champion in compared if one in hopeless
    )
    return hopeless, _doubt("nothing-known", "known-enough", known) if may_know_nothing else ("change", None)


def _doubt(nothing: Advice, something: Advice, known: Callable[[], Outcome | None]) -> _Advised:
    """Return what to do about a candidate that the gates cannot tell from the baseline."""
    found = known()
    return (nothing, None) if found is None else (something, found)


def _what_to_do(compared: Sequence[tuple[Outcome, bool]], known: Callable[[], Outcome | None]) -> _Advised:
    if any(not is_with_champion and _may_be_none(one) for one, is_with_champion in compared):
        return _doubt("doubt", "known-gather", known)
    # A margin below 0 is asked by who expects to be no better.
    if any(one.value is not None and one.value <= min(0.0, one.bar) for one, _ in compared):
        return "no-better", None
    return "gather", None


def _may_be_none(comparison: Outcome) -> bool:
    """Return whether the advantage may be none at all; where rows are too few for an interval, by its value."""
    least = comparison.value if comparison.low is None else comparison.low
    return least is not None and least <= 0
