"""Gates: a promotion by luck is as rare as it says, and too little data decides nothing."""

import math
import re

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import SpecError
from linewright.model.facts import Outcome
from linewright.model.gate_reasons import LostColumns, MetricFound
from linewright.model.gates.bound import Claim
from linewright.model.gates.certify import Rival, certify, conclude
from linewright.model.gates.text import (
    certificate_in_words,
    conclusion_in_words,
    gate_in_words,
    outcome_in_words,
)
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.spec import BeatsGate, FairnessGate, MetricGate
from linewright.store.values import digest_of

CLASSES = ("No", "Yes")


def probabilities(odds):
    positive = 1 / (1 + np.exp(-odds))
    return np.column_stack([1 - positive, positive])


def rows(n=1000, share=0.2, seed=1):
    """Truth of n rows, and a signal that models see with more or less noise."""
    chance = np.random.default_rng(seed)
    truth = (chance.random(n) < share).astype(np.int64)
    return chance, truth, 2.0 * truth - 2.0


def certified(gates, *, truth, scores, task="binary", **changes):
    n = len(truth)
    asked = {
        "headline": "average_precision" if task == "binary" else "rmse",
        "classes": CLASSES if task == "binary" else (),
        "rival": "sha256:champion",
        "rival_scores": None,
        "baseline_scores": np.tile([0.8, 0.2], (n, 1)) if task == "binary" else np.zeros(n),
        "weight": np.ones(n),
        "clusters": None,
        "threshold": 0.5 if task == "binary" else None,
        "rival_threshold": 0.5 if task == "binary" else None,
        "groups": {},
        "split": "sha256:split",
        "rows_digest": "sha256:rows",
        "seen": np.zeros(n, dtype=bool),
        "seed": 11,
    }
    asked |= changes
    rows = EvaluationRows(
        task=task,
        truth=truth,
        scores=scores,
        **{name: asked.pop(name) for name in tuple(asked) if name in EvaluationRows.__dataclass_fields__},
    )
    rival = Rival(
        digest=asked.pop("rival"),
        scores=asked.pop("rival_scores"),
        threshold=asked.pop("rival_threshold"),
        **{name: asked.pop(name) for name in tuple(asked) if name in Rival.__dataclass_fields__},
    )
    return certify(rows, rival, package="sha256:candidate", gates=gates, **asked)


def outcome_of(gate, **parts):
    return certified([gate], **parts).outcomes[0]


def good_and_bad(n=1000, seed=1):
    chance, truth, signal = rows(n, seed=seed)
    good, bad = (probabilities(signal + noise * chance.normal(size=n)) for noise in (0.5, 3.0))
    return truth, good, bad


# Metric gates


@settings(max_examples=12, deadline=None)
@given(bars=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_who_clears_a_bar_clears_every_lower_one(bars):
    """And who misses one misses every higher one."""
    truth, _, scores = good_and_bad(300)
    low, high = sorted(bars)
    easy, hard = (
        outcome_of(MetricGate(metric="roc_auc", at_least=bar), truth=truth, scores=scores)
        for bar in (low, high)
    )
    order = ("fail", "undecided", "pass")

    assert order.index(easy.status) >= order.index(hard.status)


@pytest.mark.parametrize(
    ("gate", "status", "says"),
    [
        (MetricGate(metric="roc_auc", at_least=0.5), "pass", "the bar of 0.5 is cleared"),
        (MetricGate(metric="roc_auc", at_least=0.99), "fail", "the bar of 0.99 is missed"),
        (MetricGate(metric="log_loss", at_most=1.0), "pass", "the bar of 1 is cleared"),
        (MetricGate(metric="log_loss", at_most=0.01), "fail", "the bar of 0.01 is missed"),
    ],
)
def test_a_bar_is_cleared_or_missed_from_its_own_side(gate, status, says):
    """Of some metrics less is better."""
    truth, _, scores = good_and_bad()
    outcome = outcome_of(gate, truth=truth, scores=scores)

    assert status == outcome.status
    assert says in outcome_in_words(outcome)
    assert "with 95 % confidence" in outcome_in_words(outcome)
    assert outcome.low < outcome.value < outcome.high


def test_a_bar_is_said_as_it_was_declared():
    """Who asked for 0.9999 must not read that a bar of 1 was missed."""
    truth, _, scores = good_and_bad()
    outcome = outcome_of(MetricGate(metric="roc_auc", at_least=0.9999), truth=truth, scores=scores)

    assert "roc_auc at least 0.9999" == gate_in_words(outcome)
    assert outcome_in_words(outcome).endswith("the bar of 0.9999 is missed")


def test_a_bar_within_the_bounds_is_undecided_and_more_rows_are_asked_for():
    """About as many as bring the bound to the bar: bounds close in as one over the root of the rows."""
    truth, _, scores = good_and_bad()
    value = outcome_of(MetricGate(metric="roc_auc", at_least=0.5), truth=truth, scores=scores).value
    outcome = outcome_of(MetricGate(metric="roc_auc", at_least=value - 0.005), truth=truth, scores=scores)
    needed = 1000 * ((outcome.value - outcome.low) / 0.005) ** 2

    assert outcome.status == "undecided"
    assert needed - 1000 == pytest.approx(outcome.more_rows, rel=0.01)
    assert outcome_in_words(outcome).endswith("more test rows would decide")


def test_a_value_on_the_bar_says_nothing_about_how_many_rows_would_decide():
    """No number of rows would."""
    assert Claim(value=0.5, low=0.4, high=0.6, bar=0.5, rises=True).more_rows(100) is None
    assert Claim(value=0.5 + 1e-9, low=0.4, high=0.6, bar=0.5, rises=True).more_rows(100) is None


def test_four_positives_decide_nothing_however_good_the_model_looks():
    """A perfect ranking of four positive rows is luck as often as skill."""
    truth = np.array([1] * 4 + [0] * 200)
    scores = probabilities(10.0 * truth - 5)
    outcome = outcome_of(MetricGate(metric="roc_auc", at_least=0.5), truth=truth, scores=scores)

    assert (outcome.status, outcome.value) == ("undecided", 1.0)
    assert "4 rows of 'Yes' are too few, 10 are needed" in outcome_in_words(outcome)
    assert 306 == outcome.more_rows


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_too_few_rows_are_said_first_and_no_bounds_beside_them(metric):
    """Surely worse, and neither shown nor ruled out: a sentence must not say both."""
    truth = np.array([1] * 9 + [0] * 200)
    good, bad = probabilities(10.0 * truth - 5), probabilities(5 - 10.0 * truth)
    gate = BeatsGate(beats="champion", metric=metric)
    found = certified([gate], truth=truth, scores=bad, rival_scores=good)
    (outcome,) = found.outcomes

    assert ("undecided", "need-more-data") == (outcome.status, found.verdict)
    assert outcome_in_words(outcome).startswith(f"9 rows of 'Yes' are too few, 10 are needed; {metric} is ")
    assert " worse than the champion's, which may be luck; about 24 more test rows" in outcome_in_words(
        outcome
    )
    assert not re.search("at most|at least|ruled out|confidence", certificate_in_words(found))


def test_of_metrics_between_0_and_1_no_more_is_lost_than_there_is():
    """Nothing is 1.6 worse in average precision."""
    truth = np.array([1] * 2 + [0] * 12)
    chance = np.random.default_rng(0)
    ends = [
        end
        for _ in range(20)
        for outcome in [
            outcome_of(
                BeatsGate(beats="champion", metric="average_precision", confidence=0.99),
                truth=truth,
                scores=probabilities(chance.normal(size=14)),
                rival_scores=probabilities(10.0 * truth - 5 + chance.normal(size=14)),
            )
        ]
        for end in (outcome.low, outcome.high)
    ]

    assert -1.0 == min(ends)
    assert max(ends) <= 1.0


def test_a_perfect_model_on_few_rows_is_not_certified_as_nearly_perfect():
    """Thirty right answers do not show that 98 of 100 are right."""
    truth = np.array([0, 1] * 15)
    outcome = outcome_of(
        MetricGate(metric="accuracy", at_least=0.98), truth=truth, scores=probabilities(10.0 * truth - 5)
    )

    assert outcome.status == "undecided"


def test_the_higher_the_confidence_the_wider_the_bounds():
    """A line asks for as much certainty as a wrong promotion costs."""
    truth, _, scores = good_and_bad()
    lows = [
        outcome_of(
            MetricGate(metric="roc_auc", at_least=0.5, confidence=sure), truth=truth, scores=scores
        ).low
        for sure in (0.8, 0.95, 0.99)
    ]

    assert sorted(lows, reverse=True) == lows


# Comparisons


def test_a_better_candidate_beats_the_champion_and_a_worse_one_is_refused():
    """The two cases that are clear."""
    truth, good, bad = good_and_bad()
    better = certified([BeatsGate(beats="champion")], truth=truth, scores=good, rival_scores=bad)
    worse = certified([BeatsGate(beats="champion")], truth=truth, scores=bad, rival_scores=good)

    assert (better.verdict, worse.verdict) == ("promote", "reject")
    assert -better.outcomes[0].value == pytest.approx(worse.outcomes[0].value)
    assert "worse than the champion's" in outcome_in_words(worse.outcomes[0])


@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_what_is_worse_than_guessing_is_refused_though_it_beats_the_champion(name):
    """Where the truth has turned round nothing is left of the champion, and to beat it is no merit."""
    chance, truth, signal = rows(2000)
    turned = [probabilities(-signal - 2 + noise * chance.normal(size=2000)) for noise in (1.0, 0.2)]
    gate = BeatsGate(beats="champion", metric=name)
    found = certified([gate], truth=truth, scores=turned[0], rival_scores=turned[1])

    assert found.verdict == "reject"
    assert found.outcomes[0].value > 0
    assert "better than the champion's" in certificate_in_words(found)
    assert "a model that is worse than guessing is not promoted" in certificate_in_words(found)


@pytest.mark.parametrize("name", ["log_loss", "brier_score", "roc_auc", "f1"])
def test_better_is_positive_for_every_metric(name):
    """Also for those of which less is better."""
    truth, good, bad = good_and_bad()
    outcome = outcome_of(BeatsGate(beats="champion", metric=name), truth=truth, scores=good, rival_scores=bad)

    assert outcome.value > 0
    assert outcome.status == "pass"


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    name=st.sampled_from(["log_loss", "roc_auc", "f1", "accuracy"]),
    margin=st.sampled_from([0.0, 0.01]),
)
def test_a_model_never_beats_itself(seed, name, margin):
    """Retraining on the same data must not promote for ever."""
    truth, scores, _ = good_and_bad(200, seed=seed)
    outcome = outcome_of(
        BeatsGate(beats="champion", metric=name, margin=margin),
        truth=truth,
        scores=scores,
        rival_scores=scores,
    )

    assert outcome.status != "pass"
    assert outcome.value == 0


def test_the_same_model_again_is_held_not_rejected():
    """Nothing is wrong with it; there is only no reason to replace the champion."""
    truth, scores, _ = good_and_bad()
    certificate = certified([BeatsGate(beats="champion")], truth=truth, scores=scores, rival_scores=scores)

    assert certificate.verdict == "hold"
    assert "no difference worth naming was shown" in certificate_in_words(certificate)


@pytest.mark.slow
def test_candidates_as_good_as_the_champion_beat_it_no_more_often_than_the_confidence_allows():
    """The promise of a certificate: at 95 % confidence, luck promotes about one in twenty."""
    chance = np.random.default_rng(13)
    passed = 0
    for seed in range(400):
        truth, one, other = chance.normal(size=(3, 100))
        outcome = outcome_of(
            BeatsGate(beats="champion"),
            task="regression",
            truth=truth,
            scores=0.7 * truth + one,
            rival_scores=0.7 * truth + other,
            seed=seed,
        )
        passed += outcome.status == "pass"

    assert passed <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)
    assert passed > 0


def test_a_margin_asks_for_more_than_being_better():
    """A candidate that is better, but surely by less than the margin, fails."""
    truth, good, bad = good_and_bad()
    gap = outcome_of(BeatsGate(beats="champion"), truth=truth, scores=good, rival_scores=bad)
    missed = outcome_of(
        BeatsGate(beats="champion", margin=gap.high + 0.01), truth=truth, scores=good, rival_scores=bad
    )

    assert missed.status == "fail"
    assert "is ruled out" in outcome_in_words(missed)


def test_a_margin_below_zero_lets_what_is_as_good_pass():
    """A simpler model need not be better; one that is surely worse by more fails."""
    truth, good, bad = good_and_bad()
    gate = BeatsGate(beats="champion", metric="log_loss", margin=-0.01)
    same = outcome_of(gate, truth=truth, scores=good, rival_scores=good)
    worse = outcome_of(gate, truth=truth, scores=bad, rival_scores=good)
    first = outcome_of(gate, truth=truth, scores=np.full((len(truth), 2), 0.5))

    assert ("pass", -0.01) == (same.status, same.bar)
    assert "that it is at most 0.01 worse is shown" in outcome_in_words(same)
    assert "beats the champion on log_loss, or is at most 0.01 worse" == gate_in_words(same)
    assert "fail" == worse.status
    assert "that it is at most 0.01 worse is ruled out" in outcome_in_words(worse)
    assert ("fail", 0.0) == (
        first.status,
        first.bar,
    )  # where there is no champion, it must be better than the baseline


def test_nothing_may_be_worse_than_the_baseline():
    with pytest.raises(ValueError, match="a margin below 0 is for the champion"):
        BeatsGate(beats="baseline", margin=-0.01)


@pytest.mark.parametrize(
    ("incomparable", "says"),
    [
        (None, "than the baseline's (no champion came before it, so the baseline stands in)"),
        (
            LostColumns(columns=("size",)),
            "(the champion needs columns that the table no longer has: size, so the baseline",
        ),
    ],
)
def test_where_the_baseline_stands_in_the_gate_says_why(incomparable, says):
    """The first model of a line must at least be better than no model; a champion that is there is not denied."""
    truth, good, _ = good_and_bad()
    certificate = certified(
        [BeatsGate(beats="champion")], truth=truth, scores=good, incomparable=incomparable
    )

    assert certificate.outcomes[0].status == "pass"
    assert says in outcome_in_words(certificate.outcomes[0])
    assert incomparable == certificate.incomparable


def test_only_comparisons_leave_out_what_the_champion_was_fitted_on():
    """A bar is cleared by a model alone, so every row that it has not seen counts."""
    truth, good, bad = good_and_bad()
    seen = np.arange(1000) < 400
    gates = [
        MetricGate(metric="roc_auc", at_least=0.5),
        BeatsGate(beats="baseline"),
        FairnessGate(fairness="Sex", at_most=0.9),
        BeatsGate(beats="champion"),
    ]
    judged = {"truth": truth, "scores": good, "rival_scores": bad}
    groups = {"Sex": np.array(["a", "b"] * 500, dtype=object)}
    certificate = certified(gates, **judged, groups=groups, seen=seen)
    *alone, compared = certificate.outcomes
    rest = {name: values[~seen] for name, values in judged.items()}

    assert [(1000, 0)] * 3 == [(one.n, one.excluded) for one in alone]
    assert (600, 400) == (compared.n, compared.excluded) == (certificate.n, certificate.excluded)
    assert outcome_of(gates[-1], **rest).value == compared.value


def test_the_baseline_is_the_rival_where_the_gate_names_it():
    """Even beside a champion."""
    truth, good, bad = good_and_bad()
    outcome = outcome_of(BeatsGate(beats="baseline"), truth=truth, scores=bad, rival_scores=good)

    assert outcome.status == "pass"
    assert "than the baseline's" in outcome_in_words(outcome)


def test_each_model_is_decided_at_its_own_threshold():
    """A champion that decides at 0.1 is not judged as if it decided at 0.5."""
    truth, scores, _ = good_and_bad()
    outcome = outcome_of(
        BeatsGate(beats="champion", metric="recall"),
        truth=truth,
        scores=scores,
        rival_scores=scores,
        threshold=0.1,
        rival_threshold=0.9,
    )

    assert outcome.status == "pass"


def test_rows_of_groups_decide_less_than_as_many_independent_rows():
    """Twelve machines are twelve witnesses, however many rows each wrote."""
    chance = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 50)
    truth = chance.normal(size=600)
    shared = chance.normal(size=12)[groups]
    parts = {"truth": truth, "scores": truth + 0.9 * shared, "rival_scores": truth + 1.0 * shared[::-1]}
    by_row = outcome_of(BeatsGate(beats="champion"), task="regression", **parts)
    by_group = outcome_of(BeatsGate(beats="champion"), task="regression", clusters=groups, **parts)

    assert by_group.high - by_group.low > 2 * (by_row.high - by_row.low)


def test_fewer_than_ten_groups_decide_nothing():
    """Nor do 600 rows of 5 machines."""
    chance = np.random.default_rng(3)
    truth = chance.normal(size=600)
    outcome = outcome_of(
        BeatsGate(beats="champion"),
        task="regression",
        truth=truth,
        scores=truth,
        rival_scores=truth + 5,
        clusters=np.repeat(np.arange(5), 120),
    )

    assert outcome.status == "undecided"
    assert "5 groups of rows are too few" in outcome_in_words(outcome)


# Fairness


def test_too_few_groups_ask_for_groups():
    """More rows of the same machines would decide nothing."""
    truth, good, bad = good_and_bad(600)
    outcome = outcome_of(
        BEATS, truth=truth, scores=good, rival_scores=bad, clusters=np.repeat(np.arange(4), 150)
    )

    assert "undecided" == outcome.status
    assert "4 groups of rows" in outcome_in_words(outcome)
    assert outcome_in_words(outcome).endswith("about 6 more groups of test rows would decide")


def test_who_waits_for_groups_is_not_told_to_wait_for_rows():
    """Bounds of groups drawn whole narrow with further groups: who brought more rows of the ten that there are waited in vain."""
    truth, good, bad = good_and_bad(600)
    parts = {"truth": truth, "scores": good, "rival_scores": bad}
    told = {
        kind: certificate_in_words(
            certified([BEATS], **parts, clusters=np.repeat(np.arange(4), 150), cluster_kind=kind)
        )
        for kind in ("group", "block")
    }

    assert (
        "once there are more groups of rows whose truth is known (more rows of the groups that"
        in told["group"]
    )
    assert "once there are more rows whose truth is known." in told["block"]


def test_a_cell_that_is_counted_in_groups_is_called_so():
    """Three patients with a hundred rows each are no three rows."""
    parts = two_groups((0.5, 0.5))
    outcome = outcome_of(
        FairnessGate(fairness="Sex", at_most=0.3), **parts, clusters=np.arange(len(parts["truth"])) // 400
    )

    assert "too few to measure, with fewer than 10 groups of rows: " in outcome_in_words(outcome)


def test_a_model_that_answers_as_the_champion_is_said_to_be_no_different():
    """Nobody should have to read that it is 0 better, at most 0 worse and at least 0 worse."""
    truth = np.random.default_rng(3).normal(size=600)
    parts = {"truth": truth, "scores": truth + 0.5, "rival_scores": truth + 0.5}
    outcome = outcome_of(BeatsGate(beats="champion"), task="regression", **parts)

    assert (
        "rmse is no different from the champion's (it answers each of the 600 test rows as the champion does), at most 0.0"
        in outcome_in_words(outcome)
    )
    assert -outcome.low == pytest.approx(outcome.high)
    assert 0.5 * (1 - 0.05 ** (1 / 600)) <= outcome.high < 0.02


def rare(n=2018):
    """Rows of a rare class, what a champion says of them, and what says nearly that."""
    chance, truth, signal = rows(n, share=0.08)
    odds = signal + chance.normal(size=n)
    return truth, probabilities(odds), probabilities(odds + 0.1 * chance.normal(size=n))


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "accuracy", "log_loss", "brier_score"])
def test_what_answers_as_the_champion_is_known_as_well_as_what_does_not(name):
    """That no row of n differs tells no less than that some differ a little: at most about 3 / n of all rows do (rule of three)."""
    truth, champion, near = rare()
    gate = BeatsGate(beats="champion", metric=name)
    same, other = (
        outcome_of(gate, truth=truth, scores=scores, rival_scores=champion) for scores in (champion, near)
    )
    share = 1 - 0.05 ** (1 / 2018)

    assert (same.status, same.value, same.more_rows) == ("undecided", 0, None)
    assert -same.low == same.high
    assert 0.01 * share < same.high < 3 * share
    assert same.high - same.low < other.high - other.low
    does = "decides" if name == "accuracy" else "scores"
    assert f"(it {does} each of the 2,018 test rows as the champion does)" in outcome_in_words(same)
    assert "as the champion does" not in outcome_in_words(other)


def test_what_answers_as_the_champion_passes_where_a_little_worse_is_let_in():
    """Without such a margin it is held: there is no reason to replace the champion."""
    truth, champion, _ = rare()
    passes, held, close = (
        certified(
            [BeatsGate(beats="champion", margin=margin)],
            truth=truth,
            scores=champion,
            rival_scores=champion,
        )
        for margin in (-0.01, 0.0, -0.001)
    )

    assert ("promote", "hold", "need-more-data") == (passes.verdict, held.verdict, close.verdict)
    for certificate in (passes, held, close):
        assert "it scores each of the 2,018 test rows as the champion does" in certificate_in_words(
            certificate
        )
    # What n rows never showed is rarer in proportion to n.
    low = close.outcomes[0].low
    assert close.outcomes[0].more_rows == pytest.approx(2018 * (-low / 0.001 - 1), abs=2)


def test_the_surer_one_must_be_the_more_rows_may_differ_unseen():
    """By hand: of 1,000 rows that are answered alike, the share that is not is at most 1 - (1 - c) ** (1 / 1000)."""
    truth = np.arange(1000) % 2
    scores = probabilities(4.0 * truth - 2)
    for confidence in (0.8, 0.95, 0.99):
        gate = BeatsGate(beats="champion", metric="accuracy", confidence=confidence)
        one, grouped = (
            outcome_of(gate, truth=truth, scores=scores, rival_scores=scores, clusters=clusters)
            for clusters in (None, np.arange(1000) // 10)
        )
        assert one.high == pytest.approx(1 - (1 - confidence) ** (1 / 1000), rel=1e-6)
        assert grouped.high == pytest.approx(1 - (1 - confidence) ** (1 / 100), rel=1e-6)


def test_rows_that_differ_unseen_may_all_be_of_the_rarer_class():
    """By hand: recall rests on the positives alone, so three of all rows may be three of its few."""
    truth, champion, _ = rare()
    recall = outcome_of(
        BeatsGate(beats="champion", metric="recall"), truth=truth, scores=champion, rival_scores=champion
    )
    found = float((champion[truth == 1, 1] >= 0.5).mean())

    assert recall.high == pytest.approx(
        (1 - 0.05 ** (1 / 2018)) / truth.mean() * max(found, 1 - found), rel=1e-6
    )


def test_rows_in_the_same_order_are_no_different_to_a_metric_of_order():
    """Probabilities that were only calibrated anew; to other metrics they are answers of their own."""
    truth, champion, _ = rare()
    anew = np.column_stack([1 - champion[:, 1] / 2, champion[:, 1] / 2])
    order, loss = (
        outcome_of(
            BeatsGate(beats="champion", metric=name, margin=-0.01),
            truth=truth,
            scores=anew,
            rival_scores=champion,
        )
        for name in ("roc_auc", "log_loss")
    )

    assert order.status == "pass"
    assert "it puts the 2,018 test rows in the same order as the champion does" in outcome_in_words(order)
    assert "as the champion does" not in outcome_in_words(loss)


def test_models_that_are_never_right_are_not_alike_for_it():
    """No draw tells them apart, but they answer otherwise: the rows say nothing about how often."""
    truth = np.arange(200) % 2
    wrong, never = probabilities(2.0 - 4.0 * truth), probabilities(np.full(200, -2.0))
    outcome = outcome_of(
        BeatsGate(beats="champion", metric="f1"), truth=truth, scores=wrong, rival_scores=never
    )

    assert outcome.value == 0
    assert "as the champion does" not in outcome_in_words(outcome)
    assert outcome.high > 2 * (1 - 0.05 ** (1 / 200))


def two_groups(rates, n=2000, small=0):
    """Decisions that are positive at each group's rate, whatever the truth."""
    chance = np.random.default_rng(2)
    group = np.array(["a", "b"] * (n // 2), dtype=object)
    truth = (chance.random(n) < 0.5).astype(np.int64)
    positive = (chance.random(n) < np.where(group == "a", *rates)).astype(float)
    group[:small] = "tiny"
    return {"truth": truth, "scores": np.column_stack([1 - positive, positive]), "groups": {"Sex": group}}


@pytest.mark.parametrize("measure", ["equalized_odds_difference", "demographic_parity_difference"])
@pytest.mark.parametrize(
    ("rates", "bar", "status"),
    [((0.5, 0.5), 0.2, "pass"), ((0.8, 0.2), 0.2, "fail"), ((0.5, 0.4), 0.1, "undecided")],
)
def test_groups_must_be_treated_alike(measure, rates, bar, status):
    """Shown to be alike, shown not to be, or neither."""
    outcome = outcome_of(FairnessGate(fairness="Sex", measure=measure, at_most=bar), **two_groups(rates))

    assert status == outcome.status


def test_the_difference_of_equalized_odds_is_the_larger_one_of_its_two_rates():
    """By hand: true positive rates 1 and 0.5, false positive rates 0.25 and 0."""
    group = np.array((["a"] * 40 + ["b"] * 40), dtype=object)
    truth = np.array(([1] * 20 + [0] * 20) * 2)
    decided = np.array([1] * 20 + [1] * 5 + [0] * 15 + [1] * 10 + [0] * 30, dtype=float)
    parts = {"truth": truth, "scores": np.column_stack([1 - decided, decided]), "groups": {"Sex": group}}
    odds = outcome_of(FairnessGate(fairness="Sex", at_most=0.2, min_group=20), **parts)
    parity = outcome_of(
        FairnessGate(fairness="Sex", at_most=0.2, min_group=20, measure="demographic_parity_difference"),
        **parts,
    )

    assert odds.value == pytest.approx(0.5)
    assert "true positive rate 1 of 'a' against 0.5 of 'b'" in outcome_in_words(odds)
    assert parity.value == pytest.approx(25 / 40 - 10 / 40)
    assert odds.groups == parity.groups
    assert [("a", 40, 20, 0.625, 1.0, 0.25), ("b", 40, 20, 0.25, 0.5, 0.0)] == [
        msgspec.structs.astuple(group) for group in odds.groups
    ]


@pytest.mark.slow
def test_groups_that_are_alike_fail_no_more_often_than_the_confidence_allows():
    """The largest of many chance differences is large; a fair model must not be refused for it."""
    chance = np.random.default_rng(4)
    failed = 0
    for seed in range(100):
        group = chance.integers(0, 6, 600).astype(str).astype(object)
        positive = (chance.random(600) < 0.5).astype(float)
        outcome = outcome_of(
            FairnessGate(fairness="Sex", measure="demographic_parity_difference", at_most=0.0, min_group=20),
            truth=(chance.random(600) < 0.5).astype(np.int64),
            scores=np.column_stack([1 - positive, positive]),
            groups={"Sex": group},
            seed=seed,
        )
        failed += outcome.status == "fail"

    assert failed <= 100 * 0.05 + 3 * math.sqrt(100 * 0.05 * 0.95)


def test_small_groups_are_left_out_and_named():
    """Nobody may think that they were looked at."""
    outcome = outcome_of(FairnessGate(fairness="Sex", at_most=0.2), **two_groups((0.5, 0.5), small=30))

    assert outcome.status == "pass"
    assert "left out, with fewer than 100 test rows: 'tiny' (30)" in outcome_in_words(outcome)


def test_one_group_alone_cannot_be_compared():
    """Undecided, with the number of rows that would bring a second group to its size."""
    outcome = outcome_of(
        FairnessGate(fairness="Sex", at_most=0.2, min_group=1001), **two_groups((0.5, 0.5), small=0)
    )

    assert (outcome.status, outcome.value) == ("undecided", None)
    assert "because fewer than two groups have 1,001 test rows" in outcome_in_words(outcome)
    assert 2 == outcome.more_rows


def test_a_group_with_too_few_positives_can_hide_a_gap_so_the_gate_does_not_pass():
    """Equal false alarms of a thousand rows say nothing of its three positives."""
    parts = two_groups((0.5, 0.5))
    truth = np.where(parts["groups"]["Sex"] == "a", parts["truth"], 0)
    truth[np.flatnonzero(parts["groups"]["Sex"] == "b")[:3]] = 1
    outcome = outcome_of(FairnessGate(fairness="Sex", at_most=0.3), **(parts | {"truth": truth}))

    assert outcome.status == "undecided"
    assert "true positive rate of 'b' (3)" in outcome_in_words(outcome)


def test_missing_group_labels_are_a_group_of_their_own():
    """Leaving them out could hide whom a form does not name."""
    parts = two_groups((0.8, 0.2))
    parts["groups"] = {"Sex": np.where(parts["groups"]["Sex"] == "b", None, "a")}
    outcome = outcome_of(FairnessGate(fairness="Sex", at_most=0.2), **parts)

    assert outcome.status == "fail"
    assert "'(missing)'" in outcome_in_words(outcome)


def test_fairness_is_refused_where_it_means_nothing():
    """There is no positive answer among numbers."""
    truth = np.zeros(50)

    with pytest.raises(SpecError, match="it needs two classes"):
        outcome_of(FairnessGate(fairness="Sex", at_most=0.1), task="regression", truth=truth, scores=truth)


def test_a_fairness_gate_on_an_unknown_column_is_refused():
    """With the columns that there are."""
    with pytest.raises(SpecError, match=r"a column that the table does not have.*allowed: Sex"):
        outcome_of(FairnessGate(fairness="Gender", at_most=0.1), **two_groups((0.5, 0.5)))


# The conclusion


def said(status, *, more=None, low=0.0, n=100):
    return Outcome(
        found=MetricFound(metric="roc_auc", currency="", rises=True, confidence=0.95),
        status=status,
        value=0.1,
        low=low,
        high=1.0,
        bar=0.5,
        n=n,
        more_rows=more,
    )


METRIC = MetricGate(metric="roc_auc", at_least=0.5)
BLOCKING = MetricGate(metric="roc_auc", at_least=0.5, when_small="block")
BEATS = BeatsGate(beats="champion")


@pytest.mark.parametrize(
    ("gates", "outcomes", "verdict"),
    [
        ([], [], "hold"),
        ([METRIC, BEATS], [said("fail"), said("pass")], "reject"),
        ([BLOCKING, BEATS], [said("undecided"), said("fail")], "reject"),
        ([BLOCKING, BEATS], [said("undecided"), said("pass")], "need-more-data"),
        ([METRIC, BEATS], [said("pass"), said("undecided", more=2000)], "need-more-data"),
        ([METRIC, BEATS], [said("pass"), said("undecided", more=2001)], "hold"),
        ([METRIC, BEATS], [said("pass"), said("undecided")], "hold"),
        ([METRIC, BEATS], [said("pass"), said("undecided", low=None)], "need-more-data"),
        ([METRIC, METRIC], [said("undecided"), said("undecided")], "need-more-data"),
        ([METRIC, BEATS], [said("undecided"), said("pass")], "promote"),
        ([METRIC, BEATS], [said("pass"), said("pass")], "promote"),
    ],
)
def test_the_verdict_follows_from_what_the_gates_said(gates, outcomes, verdict):
    """The rules of `conclude`, one line each."""
    found, reason = conclude(gates, outcomes)

    assert verdict == found
    assert conclusion_in_words(reason, outcomes).endswith(".")


def undecided(*, value, low, bar=0.0, more=200):
    return msgspec.structs.replace(said("undecided", more=more), value=value, low=low, bar=bar)


BASELINE, NOT_WORSE = BeatsGate(beats="baseline"), BeatsGate(beats="champion", margin=-0.05)


@pytest.mark.parametrize(
    ("gate", "outcome", "has_champion", "says"),
    [
        (BEATS, undecided(value=-0.02, low=-0.1), False, "may know nothing about the label"),
        (BEATS, undecided(value=0.02, low=-0.1), False, "may know nothing about the label"),
        (BASELINE, undecided(value=-0.02, low=-0.1), True, "may know nothing about the label"),
        (BEATS, undecided(value=-0.02, low=-0.1), True, "may as well show that it does worse"),
        (BEATS, undecided(value=0.02, low=-0.1), True, "Nothing has to be changed"),
        (NOT_WORSE, undecided(value=-0.02, low=-0.1, bar=-0.05), True, "Nothing has to be changed"),
        (BEATS, undecided(value=0.3, low=0.1, bar=0.2), False, "Nothing has to be changed"),
        (BEATS, undecided(value=0.3, low=None), False, "Nothing has to be changed"),
        (BEATS, undecided(value=-0.3, low=None), False, "may know nothing about the label"),
    ],
)
def test_who_may_know_nothing_is_not_asked_to_wait(gate, outcome, has_champion, says):
    """A model of shuffled labels needs no more rows, but someone who looks at the labels."""
    verdict, reason = conclude([gate], [outcome], has_champion=has_champion)
    because = conclusion_in_words(reason, [outcome])

    assert "need-more-data" == verdict
    assert says in because
    assert 1 == sum(
        one in because for one in ("may know nothing", "may as well show", "Nothing has to be changed")
    )


def test_who_knows_something_by_another_metric_is_not_told_to_know_nothing():
    """A few large errors decide an rmse; a mean absolute error shows that labels and columns belong together."""
    chance = np.random.default_rng(3)
    truth = chance.normal(size=400)
    near = truth + 0.5 * chance.normal(size=400)
    near[:2] += 12
    told = certificate_in_words(certified([BASELINE], task="regression", truth=truth, scores=near))
    shuffled = certificate_in_words(
        certified([BASELINE], task="regression", truth=truth, scores=chance.permutation(near))
    )

    assert "It does know something about the label: mae is " in told
    assert "with 99 % confidence. Ask whether what is compared" in told
    assert "know nothing" in shuffled or "Rejected" in shuffled


@pytest.mark.parametrize(
    ("gate", "has_champion", "says"),
    [
        (BEATS, False, "It may know nothing about the label, and waiting for more rows is in vain"),
        (BASELINE, True, "It may know nothing about the label, and waiting for more rows is in vain"),
        (BEATS, True, "or let in what is as good with a margin below 0"),
    ],
)
def test_a_margin_is_not_proposed_to_who_may_know_nothing(gate, has_champion, says):
    """One below 0 lets nothing in beside the baseline."""
    outcome = undecided(value=0.001, low=-0.1, more=5_000)
    verdict, reason = conclude([gate], [outcome], has_champion=has_champion)
    because = conclusion_in_words(reason, [outcome])

    assert "hold" == verdict
    assert because.count(says) == 1
    assert ("margin" in because) is (gate is BEATS and has_champion)


def test_shuffled_labels_are_doubted_on_the_certificate():
    """As it is made: scores that have nothing to do with the truth, beside the baseline."""
    truth, good, _ = good_and_bad()
    certificate = certified(
        [BEATS], truth=np.random.default_rng(4).permutation(truth), scores=good, rival_scores=None
    )

    assert certificate.verdict in {"need-more-data", "hold", "reject"}
    assert "Nothing has to be changed" not in certificate_in_words(certificate)


def test_no_rows_at_all_ask_for_data_and_do_not_crash():
    """There may be none, and a rival may have seen every one there is."""
    truth, good, bad = good_and_bad()
    none = slice(0, 0)
    certificate = certified(
        [BEATS, METRIC, FairnessGate(fairness="Sex", at_most=0.1)],
        truth=truth[none],
        scores=good[none],
        rival_scores=bad[none],
        groups={"Sex": np.array([], dtype=object)},
    )
    all_seen = certified([BEATS], truth=truth, scores=good, rival_scores=bad, seen=np.ones(1000, dtype=bool))

    assert all(outcome.value is None for outcome in (*certificate.outcomes, *all_seen.outcomes))
    assert ("need-more-data", 0, 0) == (certificate.verdict, certificate.n, certificate.excluded)
    assert ("need-more-data", 0, 1000) == (all_seen.verdict, all_seen.n, all_seen.excluded)


def test_a_certificate_refers_to_what_it_judged_and_is_the_same_again():
    """Its digest is what a promotion refers to."""
    truth, good, bad = good_and_bad()
    gates = [METRIC, BEATS]
    certificate, again = (certified(gates, truth=truth, scores=good, rival_scores=bad) for _ in range(2))

    assert digest_of(certificate) == digest_of(again)
    assert (certificate.package, certificate.rival) == ("sha256:candidate", "sha256:champion")
    assert digest_of([gate.model_dump(mode="json") for gate in gates]) == certificate.gates
    assert digest_of([METRIC.model_dump(mode="json")]) != certificate.gates


def test_several_classes_are_judged_by_all_rows_unless_the_metric_counts_classes_alike():
    """A class of two rows must not block a line for ever, nor be measured from two rows."""
    chance = np.random.default_rng(5)
    truth = np.concatenate([chance.integers(0, 2, 300), [2, 2]])
    scores = np.full((302, 3), 0.1)
    scores[np.arange(302), truth] = 0.8
    parts = {
        "task": "multiclass",
        "classes": ("a", "b", "c"),
        "truth": truth,
        "scores": scores,
        "baseline_scores": np.tile([0.5, 0.49, 0.01], (302, 1)),
        "threshold": None,
    }

    assert outcome_of(MetricGate(metric="accuracy", at_least=0.9), **parts).status == "pass"
    assert outcome_of(MetricGate(metric="balanced_accuracy", at_least=0.5), **parts).status == "undecided"


def test_a_bound_on_the_bar_does_not_promise_that_one_more_row_decides():
    """Most draws tie; the sentence would say "about 1 more rows" for ever."""
    assert Claim(value=0.01, low=0.0, high=0.02, bar=0.0, rises=True).more_rows(117) is None
