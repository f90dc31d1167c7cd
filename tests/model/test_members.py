"""Which settings become the model: better together, smaller where that is as good, and by the metric where it is sure."""

import numpy as np
import pytest

from linewright.model.facts import MemberOf
from linewright.model.metrics.definitions import metric
from linewright.model.reason_text import choice_in_words
from linewright.model.reasons import ChosenReason, Fastest
from linewright.model.tasks import link_of
from linewright.model.train.ensemble_selection import (
    Blend,
    Judged,
    Tried,
    blends,
    choose,
    of_least_loss,
    surely_better,
    what_pairs_give,
    what_small_costs,
    why,
)
from linewright.model.train.settings import Setting


def judged(truth, task="regression"):
    return Judged(task=task, truth=truth, mass=np.ones(len(truth)))


def tried(name, margins, about, *, milliseconds=10.0):
    return Tried(
        setting=Setting(name=name, family="lightgbm", settings={}),
        margins=margins,
        scores=link_of(about.task).to_scores(margins),
        loss=about.loss(margins),
        rounds=10,
        stopped=(10,),
        milliseconds=milliseconds,
    )


@pytest.fixture
def two():
    """Two models whose errors have nothing to do with each other, and one that is as bad twice over."""
    chance = np.random.default_rng(0)
    truth = chance.normal(size=2_000)
    about = judged(truth)
    first, second, poor = (truth + spread * chance.normal(size=2_000) for spread in (1.0, 1.0, 3.0))
    return about, [tried(name, one, about) for name, one in (("a", first), ("b", second), ("poor", poor))]


def test_models_with_other_errors_are_better_together(two):
    """Half of each halves the squared error."""
    about, settings = two
    chosen = choose(blends(settings, about), about)

    assert {"a", "b"} <= chosen.names
    assert about.mean(chosen.loss) < 0.55 * about.mean(settings[0].loss)
    assert sum(weight for weight, _ in chosen.members) == pytest.approx(1)
    assert sorted((weight for weight, _ in chosen.members), reverse=True) == [
        weight for weight, _ in chosen.members
    ]


def test_no_more_members_than_are_allowed(two):
    """One, two or three."""
    about, settings = two
    for most in (1, 2, 3):
        assert most == max(len(one.members) for one in blends(settings, about, most=most))


def test_a_model_that_adds_nothing_is_left_out():
    """Two of the same are one."""
    truth = np.random.default_rng(1).normal(size=500)
    about = judged(truth)
    same = truth + np.random.default_rng(2).normal(size=500)
    chosen = choose(blends([tried("a", same, about), tried("b", same, about)], about), about)

    assert ["a"] == [one.setting.name for _, one in chosen.members]


@pytest.mark.parametrize(("gain", "is_taken"), [(0.05, True), (0.002, False)])
def test_a_dear_member_must_be_worth_more_than_a_hundredth_of_the_loss(gain, is_taken):
    """However sure a smaller gain is."""
    truth = np.zeros(1_000)
    about = judged(truth)
    cheap = tried("cheap", np.ones(1_000), about)
    dear = tried("dear", np.sqrt(1 - gain) * np.ones(1_000), about, milliseconds=500.0)
    chosen = choose(blends([cheap, dear], about, most=1), about)

    assert ("dear" in chosen.names) is is_taken


@pytest.mark.parametrize("first", [0, 1])
def test_of_those_that_answer_equally_fast_the_best_is_taken(first):
    """A linear member costs no time that counts, so that a gain within noise is reason enough; however they are ordered."""
    about = judged(np.zeros(1_000))
    wave = np.tile([0.5, -0.5], 500)
    trees = tried("trees", np.ones(1_000), about)
    line = tried("line", np.ones(1_000), about, milliseconds=0.0)
    candidates = [
        Blend(members=((1.0, trees),), scores=trees.scores, loss=1 + wave),
        Blend(members=((0.9, trees), (0.1, line)), scores=trees.scores, loss=0.998 - wave),
    ]
    chosen = choose([candidates[first], candidates[1 - first]], about)

    assert "trees + line" == chosen.name


def sentence(choice, chosen, **more):
    """Return the sentence of a choice."""
    members = [MemberOf(trial=one.setting.name, weight=weight, rounds=0) for weight, one in chosen.members]
    return choice_in_words(ChosenReason(choice=choice, **more), task="regression", members=members)


def test_the_sentence_says_what_it_is_made_of_and_by_how_much_the_next_lost(two):
    """With numbers, the standard error among them."""
    about, settings = two
    candidates = blends(settings, about)
    chosen = choose(candidates, about)
    told = sentence(why(chosen, candidates, about, trials=3), chosen)

    assert "% a" in told
    assert "% b" in told
    assert f"{about.mean(chosen.loss):.4g} (RMSE {about.mean(chosen.loss) ** 0.5:.3g}) on 2,000 rows" in told
    assert "alone" in told
    assert "standard error" in told
    assert "the sum is surely better than" in told
    assert "alone does as well" not in told


def drawn(rows):
    """Two models of which one is better, both with errors of their own, so that their sum is a little better still."""
    chance = np.random.default_rng(5)
    truth = chance.normal(size=rows)
    about = judged(truth)
    settings = [
        tried(name, truth + spread * chance.normal(size=rows), about)
        for name, spread in (("good", 1.0), ("fair", 3.3))
    ]
    both = blends(settings, about)
    summed = next(one for one in both if len(one.members) == 2)
    return about, both, summed


@pytest.mark.parametrize("rows", [120, 20_000])
def test_a_sum_says_whether_the_best_of_it_alone_would_do(rows):
    """The card's question is whether something simpler does as well; few rows cannot tell, many can."""
    about, both, summed = drawn(rows)
    told = sentence(why(summed, both, about, trials=2), summed)
    more = both[0].loss - summed.loss
    low = more.mean() - 1.96 * more.std() / np.sqrt(rows)

    assert (rows > 1_000) is bool(low > 0)
    assert f"95 % interval {low:.2g} to " in told
    assert ("the sum is surely better than good, the best alone" in told) is (rows > 1_000)
    assert (
        "as far as these rows can tell, good alone does as well, and `train: {prefer: small}` takes one setting"
        in told
    ) is (rows < 1_000)


@pytest.mark.parametrize("rows", [120, 20_000])
def test_what_one_model_costs_says_how_sure_that_is(rows):
    """A cost without its error is taken for a fact."""
    about, both, summed = drawn(rows)
    told = sentence(
        why(both[0], both, about, trials=2), both[0], small=what_small_costs(both[0], both, about)
    )
    more, lowest = both[0].loss - summed.loss, summed.loss.mean()
    reach = 1.96 * more.std() / np.sqrt(rows)

    assert (
        f"(95 % interval {(more.mean() - reach) / lowest:.1%} to {(more.mean() + reach) / lowest:.1%}" in told
    )
    assert ("not surely more than nothing" in told) is (rows < 1_000)


def test_what_one_model_costs_is_said(two):
    """Who prefers a small model reads what it takes."""
    about, settings = two
    chosen = choose(blends(settings, about, most=1), about)

    costs, nothing = (
        what_small_costs(chosen, blends(some, about), about) for some in (settings, settings[:1])
    )

    assert costs.best is not None
    assert about.mean(chosen.loss) - costs.best.loss == pytest.approx(-costs.best.more)
    assert costs.best.high < 0
    assert nothing.best is None


def ranked(truth, *, seed):
    """Log-odds that rank well and are far too sure, and others that rank worse and are modest."""
    chance = np.random.default_rng(seed)
    signal = 2.0 * truth + chance.normal(size=len(truth))
    return 20.0 * (signal - 1), 1.0 * (2.0 * truth + 2.0 * chance.normal(size=len(truth)) - 1)


def test_the_metric_decides_where_it_is_surely_of_another_opinion():
    """A model that ranks best is taken for average precision though its loss is worse: calibration mends the loss."""
    truth = (np.random.default_rng(3).random(2_000) < 0.2).astype(np.int64)
    about = judged(truth, "binary")
    sharp, modest = ranked(truth, seed=4)
    candidates = blends([tried("sharp", sharp, about), tried("modest", modest, about)], about, most=1)
    chosen = choose(candidates, about)
    other = surely_better(candidates, chosen, about, metric("average_precision", "binary"), 1)

    assert "modest" == chosen.name
    assert other is not None
    assert "sharp" == other[0].name
    assert ("average_precision", "modest") == (other[1].metric, other[1].instead)
    assert other[1].value - other[1].instead_value > other[1].least > 0
    assert other[1].loss > other[1].instead_loss
    assert surely_better(candidates, chosen, about, metric("log_loss", "binary"), 1) is None
    assert surely_better(candidates, chosen, about, metric("f1", "binary"), 1) is None


def test_the_loss_decides_where_the_metric_is_not_sure():
    """Of thirty rows nobody knows."""
    truth = (np.arange(30) % 5 == 0).astype(np.int64)
    about = judged(truth, "binary")
    sharp, modest = ranked(truth, seed=4)
    candidates = blends([tried("sharp", sharp, about), tried("modest", modest, about)], about, most=1)
    chosen = choose(candidates, about)

    assert surely_better(candidates, chosen, about, metric("roc_auc", "binary"), 1) is None


def errors(*, seed, spreads):
    """Return what models say of rows by how far each of several sources of error reaches into it."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(size=2_000)
    sources = chance.normal(size=(len(spreads[0]), 2_000))
    return judged(truth), [truth + np.array(spread) @ sources for spread in spreads]


def test_pairs_are_held_against_the_best_sum_without_them():
    """Where one model is taken for its speed, a sum with a member that has pairs is better by being a sum: that is no merit of pairs."""
    about, said = errors(seed=1, spreads=[(1.0, 0.0), (0.0, 1.01), (0.3, 1.0)])
    slow, other, with_pairs = (
        tried(name, one, about, milliseconds=150.0)
        for name, one in zip(("a", "b", "b.pairs"), said, strict=True)
    )
    folds = [400] * 5

    assert about.mean(of_least_loss(blends([slow, with_pairs], about), about).loss) < 0.9 * about.mean(
        slow.loss
    )
    assert not what_pairs_give([slow, other], [with_pairs], about, most=3, folds=folds)
    assert not what_pairs_give([slow, other], [], about, most=3, folds=folds)


def test_what_pairs_give_is_said_of_sums_by_name():
    """Each setting alone may be worse with pairs than without, and the sum with it surely better."""
    about, said = errors(seed=1, spreads=[(1.0, 0.0, 0.2), (0.9, 0.1, 0.0), (0.0, 1.1, 0.0)])
    first, second, with_pairs = (
        tried(name, one, about) for name, one in zip(("a", "b", "b.pairs"), said, strict=True)
    )
    told = what_pairs_give([first, second], [with_pairs], about, most=3, folds=[400] * 5)

    assert about.mean(with_pairs.loss) > about.mean(second.loss)
    assert told is not None
    assert ("b + b.pairs", "b") == (told.name, told.without)
    assert about.mean(second.loss) == told.without_loss
    assert 0.5 < told.loss < told.without_loss


def test_a_difference_that_is_no_noise_is_not_called_noise():
    """The slow have to be worth their time; that they are no better would not be true."""
    about, said = errors(seed=1, spreads=[(1.0,), (0.996,)])
    fast, slow = tried("fast", said[0], about), tried("slow", said[1], about, milliseconds=150.0)
    candidates = blends([fast, slow], about, most=1)
    chosen = choose(candidates, about)
    reason = why(chosen, candidates, about, trials=2)

    assert about.interval(fast.loss - slow.loss)[0] > 0
    assert "fast" == chosen.name
    assert isinstance(reason, Fastest)
    assert reason.best.is_surely_better
    told = sentence(reason, chosen)

    assert "noise" not in told
    assert "above slow" in told
    assert "surely better and takes longer to answer: each member that takes over 100 ms" in told


def test_what_was_sought_is_named_after_the_setting_of_the_table():
    """A window of later rows tries the settings that were chosen; what was sought near them is not in the table."""
    about = judged(np.zeros(10))
    (only,) = blends([tried("lgb.3", np.ones(10), about)], about)

    assert "lgb.3" == only.name
    assert {"lgb"} == only.names
