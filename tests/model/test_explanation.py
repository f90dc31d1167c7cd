"""What cards say of a model for people: what is needed is found, what is not is not, and chance is not taken for weakness."""

import sys
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from linewright.features.facts import Encoder, Number
from linewright.model.card.simplest import simplest
from linewright.model.explain.importance import Judged, alike, importance
from linewright.model.explain.inputs import Input, swapped
from linewright.model.explain.partial_dependence import dependence
from linewright.model.explain.report import MOST_COLUMNS, MOST_ROWS, HeldOut, explanation, with_missed
from linewright.model.explain.slices import MOST_TOLD, weak_slices
from linewright.model.explanation_text import cannot_be_explained, explanation_in_words, where_in_words
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration, Explanation, IsLevel, RequestColumn, Trained, Trial
from linewright.model.families.trainer import TRAINERS
from linewright.model.package.model import build, open_model
from linewright.model.reasons import ChosenReason, LowestLoss
from linewright.store.values import digest_of


def number(name, place, values):
    return Input(name=name, places=(place,), kind="number", values=np.asarray(values, dtype=np.float64))


def category(name, place, codes, levels):
    return Input(
        name=name, places=(place,), kind="category", values=np.asarray(codes, dtype=float), levels=levels
    )


def judged_numbers(x, answer, truth=None, **changes):
    """Rows of a regression whose model is the function `answer`."""
    scores = answer(x)
    truth = scores if truth is None else truth
    parts: dict[str, Any] = {
        "x": x,
        "truth": truth,
        "weight": np.ones(len(x)),
        "clusters": None,
        "scores": scores,
        "loss": (truth - scores) ** 2,
        "answer": answer,
        "row_loss": lambda t, s: (t - s) ** 2,
        "task": "regression",
        "seed": 3,
    }
    return Judged(**(parts | changes))


# Importance


def test_a_column_that_is_not_read_is_not_needed_at_all():
    """Not about 0 but 0: no answer moves."""
    x = np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32)
    judged = judged_numbers(x, lambda rows: 2.0 * rows[:, 0].astype(np.float64))
    used, *idle = (number(name, place, x[:, place]) for place, name in enumerate("abc"))

    found = importance(judged, [[used], *([one] for one in idle)])

    assert found[0].low > 2
    assert {(0.0, 0.0, 0.0)} == {(one.rise, one.low, one.high) for one in found[1:]}


def test_intervals_cover_what_shuffling_costs():
    """The root of the mean squared difference of two draws of N(0, 1) is the square root of 2: 95 % intervals hold it."""
    held = 0
    for seed in range(80):
        x = np.random.default_rng(seed).normal(size=(300, 1)).astype(np.float32)
        judged = judged_numbers(x, lambda rows: rows[:, 0].astype(np.float64), seed=seed)
        (found,) = importance(judged, [[number("a", 0, x[:, 0])]])
        held += found.low <= np.sqrt(2) <= found.high

    print(f"{held} of 80")
    assert held >= 71


def test_columns_that_say_the_same_hide_each_other_until_they_are_shuffled_together():
    """The model may use either; a reader of single bars would drop both."""
    chance = np.random.default_rng(2)
    a = chance.normal(size=500)
    x = np.column_stack([a, a + 0.01 * chance.normal(size=500)]).astype(np.float32)

    def nearer(rows):  # takes whichever is nearer to the mean of both: a stand-in for trees that saw twins
        return np.where(np.abs(rows[:, 0]) < np.abs(rows[:, 1]), rows[:, 0], rows[:, 1]).astype(np.float64)

    columns = [number("a", 0, x[:, 0]), number("twin", 1, x[:, 1])]
    first, both = importance(judged_numbers(x, nearer), [columns[:1], columns])

    assert [columns] == alike(columns)
    assert both.low > first.high
    assert ("a", "twin") == both.columns


def test_alike_takes_numbers_categories_and_both():
    """A name of a number's range says what the number says."""
    chance = np.random.default_rng(5)
    a, codes = chance.normal(size=1000), chance.integers(0, 4, 1000)
    height = codes + 0.05 * chance.normal(size=1000)
    columns = [
        number("a", 0, a),
        category("shop", 1, codes, tuple("wxyz")),
        category("city", 2, 3 - codes, tuple("wxyz")),
        number("height", 3, height),
        number("b", 4, chance.normal(size=1000)),
        category("name", 5, np.arange(1000), tuple(map(str, range(1000)))),
    ]

    assert [["shop", "city", "height"]] == [[one.name for one in group] for group in alike(columns)]


def test_lacking_values_in_the_same_rows_is_not_to_say_the_same():
    """Else all columns of an optional form would be one."""
    chance = np.random.default_rng(6)
    missing = chance.random(600) < 0.7
    columns = [
        number(name, place, np.where(missing, np.nan, chance.normal(size=600)))
        for place, name in enumerate("ab")
    ]

    assert [] == alike(columns)


def test_rows_with_values_of_others_keep_their_form():
    """An imported model reads fields, not a matrix."""
    raw = np.zeros(3, dtype=[("x0", np.float32), ("x1", object)])
    raw["x0"], raw["x1"] = [1, 2, 3], ["a", "b", "c"]
    changed = swapped(raw, np.array([0, 2]), (1,), np.array([1, 1]))

    assert [(1.0, "b"), (3.0, "b")] == changed.tolist()
    assert ["a", "b", "c"] == raw["x1"].tolist()


# Dependence


def test_effects_are_found_where_columns_hang_together():
    """Far from the rows the model may say anything: a plot that asks there shows what nobody will ever see."""
    chance = np.random.default_rng(7)
    a = chance.uniform(0, 1, 2000)
    x = np.column_stack([a, a + 0.02 * chance.normal(size=2000)]).astype(np.float32)

    def answer(rows):
        apart = np.abs(rows[:, 0] - rows[:, 1]) > 0.3  # no row is like that
        return np.where(apart, 1000.0, 2.0 * rows[:, 0]).astype(np.float64)

    found = dependence(judged_numbers(x, answer), number("a", 0, x[:, 0]), ())
    steps = np.diff([point.answers[0] for point in found.points]) / np.diff(
        [point.at for point in found.points]
    )

    assert np.allclose(steps, 2.0, atol=1e-3)
    assert found.average[0] == pytest.approx(answer(x).mean(), abs=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5), st.integers(2, 40))
def test_effects_are_centred_on_the_average_answer(seed, slope, distinct):
    """What is drawn is an answer: over the rows it is right on average, whatever the column's values are."""
    chance = np.random.default_rng(seed)
    x = chance.integers(0, distinct, size=(300, 1)).astype(np.float32)
    judged = judged_numbers(x, lambda rows: slope * rows[:, 0].astype(np.float64) ** 2)
    found = dependence(judged, number("a", 0, x[:, 0]), ())

    if distinct <= 20 and found.kind == "number":
        drawn = {point.at: point.answers[0] for point in found.points}
        rises = [drawn[b] - drawn[a] for a, b in zip(sorted(drawn), sorted(drawn)[1:], strict=False)]
        true = [slope * (b**2 - a**2) for a, b in zip(sorted(drawn), sorted(drawn)[1:], strict=False)]
        assert rises == pytest.approx(true, rel=1e-4, abs=1e-3)
    low, high = (f(point.answers[0] for point in found.points) for f in (min, max))
    assert low - 1e-6 <= found.average[0] <= high + 1e-6


def test_categories_that_are_too_rare_to_be_told_are_named():
    """One section of a card called a category by its name, and the next one had `1 rarer category`."""
    codes = np.repeat([0, 1, 2, 3], [300, 200, 6, 3])
    judged = judged_numbers(
        codes[:, np.newaxis].astype(np.float32), lambda rows: rows[:, 0].astype(np.float64)
    )
    found = dependence(judged, category("shop", 0, codes, ("x", "y", "late", "odd", "nowhere")), ())
    all_told = dependence(
        judged_numbers(
            codes[:500, np.newaxis].astype(np.float32), lambda rows: rows[:, 0].astype(np.float64)
        ),
        category("shop", 0, codes[:500], ("x", "y")),
        (),
    )

    assert (("late", "odd"), 2) == (found.rarer, found.left_out)
    assert ((), 0) == (all_told.rarer, all_told.left_out)


def test_slices_of_years_are_told_as_people_write_them():
    """`2,007 < Year <= 2,009` is read twice; a price keeps its separators."""
    chance = np.random.default_rng(1)
    values = chance.integers(2000, 2020, 2_000).astype(float)
    judged = judged_numbers(
        values[:, np.newaxis].astype(np.float32), lambda rows: rows[:, 0].astype(np.float64)
    )
    judged = replace(
        judged, loss=np.where((values >= 2004) & (values < 2008), 5.0, 1.0) + chance.random(2_000)
    )
    (year,) = weak_slices(judged, [number("sold", 0, values)], answers=None).slices
    (price,) = weak_slices(judged, [number("price", 0, values * 10)], answers=None).slices
    two = dependence(
        judged_numbers(
            np.where(values > 2009, 2010, 2009)[:, np.newaxis].astype(np.float32),
            lambda rows: rows[:, 0].astype(np.float64),
        ),
        number("sold", 0, np.where(values > 2009, 2010.0, 2009.0)),
        (),
    )

    assert not any("," in word for word in where_in_words(year.conditions))
    assert any("20,0" in word for word in where_in_words(price.conditions))
    assert {"2009", "2010"} == {point.at for point in two.points}


def test_missing_values_and_categories_have_their_place():
    """Neither is a number to go along; both are what people ask about."""
    chance = np.random.default_rng(8)
    codes = chance.integers(0, 3, 900)
    a = np.where(chance.random(900) < 0.2, np.nan, chance.normal(size=900))
    x = np.column_stack([a, codes]).astype(np.float32)

    def answer(rows):
        own = np.where(np.isnan(rows[:, 0]), 7.0, rows[:, 0])
        return (own + np.array([0.0, 5.0, 1.0])[rows[:, 1].astype(int)]).astype(np.float64)

    judged = judged_numbers(x, answer)
    numbers = dependence(judged, number("a", 0, a), ())
    levels = dependence(judged, category("shop", 1, codes, ("x", "y", "z")), ())
    drawn = {point.at: point.answers[0] for point in levels.points}
    median = np.interp(np.nanmedian(a), *zip(*((p.at, p.answers[0]) for p in numbers.points), strict=True))

    assert numbers.missing.rows == np.isnan(a).sum()
    assert numbers.missing.answers[0] - median == pytest.approx(7.0 - np.nanmedian(a), abs=0.05)
    assert drawn["y"] - drawn["x"] == pytest.approx(5.0, abs=1e-3)
    assert drawn["z"] - drawn["x"] == pytest.approx(1.0, abs=1e-3)


def test_of_many_classes_those_that_move_most_are_drawn():
    """Ten lines are no picture."""
    x = np.linspace(-1, 1, 600, dtype=np.float32)[:, np.newaxis]

    def answer(rows):
        odds = np.outer(rows[:, 0].astype(np.float64), [0.0, 0.1, 3.0, -3.0, 0.2])
        return np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)

    judged = judged_numbers(x, lambda rows: rows[:, 0].astype(np.float64))
    several = Judged(
        **{**vars(judged), "answer": answer, "scores": answer(x), "task": "multiclass"},
    )
    found = dependence(several, number("a", 0, x[:, 0]), tuple("vwxyz"))

    assert {"x", "y"} < set(found.curves)
    assert 3 == len(found.curves) == len(found.points[0].answers)


def test_a_value_that_nearly_all_rows_have_leaves_room_for_the_others():
    """Most people have no capital gains; what gains do is asked of those who do."""
    chance = np.random.default_rng(9)
    x = np.where(chance.random(2000) < 0.93, 0, chance.uniform(1, 9, 2000)).astype(np.float32)[:, np.newaxis]
    found = dependence(
        judged_numbers(x, lambda rows: np.sqrt(rows[:, 0].astype(np.float64))), number("a", 0, x[:, 0]), ()
    )

    assert len(found.points) > 15
    assert 0.0 == found.points[0].at


def test_a_column_without_two_values_has_no_plot():
    """There is nothing to go along."""
    x = np.full((100, 1), 3, dtype=np.float32)
    judged = judged_numbers(x, lambda rows: rows[:, 0].astype(np.float64))

    assert dependence(judged, number("a", 0, x[:, 0]), ()) is None
    assert dependence(judged, number("a", 0, np.full(100, np.nan)), ()) is None


# Slices


def losses(loss, **changes):
    return judged_numbers(
        np.zeros((len(loss), 1), dtype=np.float32),
        lambda rows: np.zeros(len(rows)),
        loss=loss,
        task="multiclass",
        **changes,
    )


def test_a_weak_pair_is_found_and_measured():
    """Neither of its columns alone tells it."""
    chance = np.random.default_rng(10)
    n = 4000
    shop, age = chance.integers(0, 5, n), chance.uniform(0, 100, n)
    loss = chance.exponential(0.3, n) + 0.6 * ((shop == 3) & (age <= 20))
    columns = [
        category("shop", 0, shop, tuple("abcde")),
        number("age", 0, age),
        number("noise", 0, chance.random(n)),
    ]
    found = weak_slices(losses(loss), columns, answers=None)

    assert 1 == len(found.slices)
    (one,) = found.slices
    assert IsLevel(column="shop", level="d") == one.conditions[0]
    assert where_in_words(one.conditions)[1].startswith("age <= ")
    assert 0.3 < one.low < one.loss - one.elsewhere < 0.9
    assert one.rows > 40
    assert 1900 < found.confirmed_on < 2100


def test_chance_is_seldom_taken_for_weakness():
    """However many slices are looked at: in at most 5 % of tables, here at most 4 of 30."""
    alarms = 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        n = 1200
        columns = [category(f"c{k}", 0, chance.integers(0, 4, n), tuple("abcd")) for k in range(6)]
        found = weak_slices(losses(chance.exponential(1, n), seed=seed), columns, answers=None)
        alarms += bool(found.slices)
        assert found.looked_at > 100

    print(f"{alarms} of 30")
    assert alarms <= 4


def test_one_weakness_is_told_once():
    """Two columns that name the same rows are one slice."""
    chance = np.random.default_rng(11)
    codes = chance.integers(0, 3, 2000)
    loss = chance.random(2000) + (codes == 1)
    columns = [category(name, 0, codes, ("a", "b", "c")) for name in ("shop", "city")]

    assert [(IsLevel(column="city", level="b"),)] == [
        one.conditions for one in weak_slices(losses(loss), columns, answers=None).slices
    ]


def test_groups_stay_whole_when_rows_are_parted():
    """A patient in both halves would confirm himself: ten odd groups of a hundred are no proof."""
    alarms = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        groups = np.repeat(np.arange(40), 25)
        loss = chance.exponential(1, 40)[groups] + 0.05 * chance.random(1000)
        columns = [category("shop", 0, chance.integers(0, 4, 40)[groups], tuple("abcd"))]
        alarms += bool(weak_slices(losses(loss, clusters=groups, seed=seed), columns, answers=None).slices)

    print(f"{alarms} of 20")
    assert alarms <= 3


def test_too_few_rows_show_nothing():
    """Sixty rows have no halves of thirty with slices in them."""
    found = weak_slices(losses(np.ones(50)), [number("a", 0, np.arange(50.0))], answers=None)

    assert () == found.slices
    assert 0 == found.looked_at


# The simplest rival


def trial(name, loss, *, more=0.0, error=0.001, family="lightgbm", leaves=31, rounds=100):
    settings = {"num_leaves": leaves} if family == "lightgbm" else {}
    return Trial(
        name=name,
        family=family,
        settings=settings,
        loss=loss,
        low=loss - 0.02,
        high=loss + 0.02,
        rounds=rounds,
        more=more,
        more_low=more - 1.96 * error,
        more_high=more + 1.96 * error,
    )


def test_the_simplest_setting_that_is_not_surely_worse_is_named():
    """A linear model before trees, small trees before large ones, and none that is surely worse on the same rows."""
    large, small = trial("lgb", 0.40), trial("lgb_s", 0.41, leaves=6, more=0.01, error=0.006)
    line = trial("lin", 0.403, family="linear", rounds=0, more=0.003, error=0.001)
    near = trial("lin", 0.419, family="linear", rounds=0, more=0.019, error=0.01)

    assert "lgb_s" == simplest([large, small, line], "lgb").trial.name
    assert "lin" == simplest([large, small, near], "lgb").trial.name
    assert simplest([small, large], "lgb_s") is None
    # Within the interval of the loss, and yet surely worse row by row.
    assert line.loss < large.high
    assert simplest([large, line], "lgb") is None
    assert simplest([], "lgb") is None
    # What each of several that were summed loses alone is told where they were chosen.
    assert simplest([large, near], "lgb + lin") is None
    # Where something else than the loss decided, nobody can know.
    unknown = msgspec.structs.replace(near, more=None, more_low=None, more_high=None)
    assert simplest([large, unknown], "lgb") is None


# All of it


def fitted(x, target, *, width, task="binary", classes=("no", "yes"), family="lightgbm"):
    settings = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 5, "patience": 10, "rounds": 40}
    trainer = TRAINERS[family]
    model = trainer.fit(
        x,
        target,
        np.ones(len(x)),
        categorical=(),
        task=task,
        classes=len(classes),
        rounds=40,
        valid=None,
        seed=5,
        settings=settings if family == "lightgbm" else {"c": 1.0, "hinges": False},
    )
    trained = Trained(
        dataset="sha256:00",
        split="sha256:01",
        task=task,
        classes=classes,
        encoder=Encoder(encodings=tuple(Number(column=f"x{j}") for j in range(width))),
        trials=(),
        chosen="one",
        reason=ChosenReason(choice=LowestLoss(trials=1, loss=0.5, rows=4)),
        native="sha256:02",
        calibration=Calibration(),
        half_width=1.0 if task == "regression" else None,
        baseline=(),
        rows=len(x),
        seed=1,
        libraries={},
    )
    graph = to_onnx(model.to_native(), width=width)
    built = build(trained, label="y", key=None, columns=(), graph=graph, golden=b"")
    at = 0.5 if task == "binary" else None
    return open_model(msgspec.structs.replace(built, threshold=at), graph)


def held_out(model, x, target):
    return HeldOut(
        x=x,
        inputs=[number(f"x{j}", j, x[:, j]) for j in range(x.shape[1])],
        truth=target,
        scores=model.scores(x),
        weight=np.ones(len(x)),
        clusters=None,
    )


def test_a_text_takes_no_place_among_the_plots():
    """Six columns have one, and a text that is spelled alike in ten rows is no category."""
    x, target = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    model = fitted(x[:400], target[:400], width=30)
    rows = held_out(model, x[400:], target[400:])
    before = [one.column for one in explanation(model, rows, split="sha256:01", seed=4).dependence]
    columns = (RequestColumn(name=before[0], type="text", role="feature"),)
    model.package = msgspec.structs.replace(model.package, columns=columns)
    after = [one.column for one in explanation(model, rows, split="sha256:01", seed=4).dependence]

    assert before[0] not in after
    assert before[1:] == after[: len(before) - 1]


@pytest.mark.parametrize("family", ["lightgbm", "linear"])
def test_a_real_model_is_explained_and_gives_the_same_digest_again(family):
    """Results are content-addressed: the same package and rows say the same, to the last digit that is kept."""
    x, target = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    model = fitted(x[:400], target[:400], width=30, family=family)
    rows = held_out(model, x[400:], target[400:])
    first, again = (explanation(model, rows, split="sha256:01", seed=4) for _ in range(2))

    assert digest_of(first) == digest_of(again)
    assert first == msgspec.json.decode(msgspec.json.encode(first), type=Explanation)
    assert first.shuffled[0].low > 0
    sizes = {"x0", "x2", "x3", "x20", "x22", "x23"}  # radius, perimeter and area
    assert any(set(one.columns) <= sizes for one in first.together)
    assert "log-odds" == first.unit
    assert first.contributions[0].size > 0
    assert first.dependence
    assert all(
        0 <= answer <= 1 for one in first.dependence for point in one.points for answer in point.answers
    )


def test_where_positives_are_missed_is_found_among_them_alone():
    """Rare positives in a corner hardly move the loss, and who looks for them finds none of those."""
    chance = np.random.default_rng(8)
    x = chance.normal(size=(6000, 3)).astype(np.float32)
    is_hidden = x[:, 1] > 0.8  # there nothing tells the positives
    clear = (x[:, 0] > 1.0) & ~is_hidden
    target = (clear | (is_hidden & (chance.random(6000) < 0.2))).astype(np.int64)
    model = fitted(x[:2000], target[:2000], width=3)
    rows = held_out(model, x[2000:], target[2000:])
    told = explanation(model, rows, split="sha256:01", seed=4)
    found = with_missed(told, model, rows, seed=4).missed
    numbers = fitted(x[:2000], x[:2000, 0].astype(float), width=3, task="regression", classes=())
    others = held_out(numbers, x[2000:], x[2000:, 0].astype(float))
    nothing = with_missed(
        explanation(numbers, others, split="sha256:01", seed=4), numbers, others, seed=4
    ).missed

    assert not told.missed
    assert target[2000:].sum() == found.positives
    assert 0 < found.share < 1
    assert where_in_words(found.slices[0].conditions)[0].startswith("x0 <= ")  # the clear ones lie above
    assert found.slices[0].loss > 0.9
    assert found.slices[0].elsewhere < 0.5
    assert found.slices[0].rows < found.confirmed_on < found.positives
    assert not nothing


def test_a_wide_table_costs_no_more_than_a_narrow_one():
    """What is counted is rows that are answered, so that it is the same on any machine."""
    chance = np.random.default_rng(12)
    x = chance.normal(size=(3000, 120)).astype(np.float32)
    target = (x[:, 7] + x[:, 110] + chance.normal(size=3000) > 0).astype(np.int64)
    model = fitted(x[:1500], target[:1500], width=120)
    answered: list[int] = []
    rows = held_out(model, x[1500:], target[1500:])
    scores = model.scores
    model.scores = lambda given: (answered.append(len(given)), scores(given))[1]
    found = explanation(model, rows, split="sha256:01", seed=4)

    print(f"{sum(answered):,} rows answered")
    assert sum(answered) < 90_000
    assert {"x7", "x110"} == {one.columns[0] for one in found.shuffled[:2]}
    assert len(found.shuffled) <= MOST_COLUMNS
    assert found.rows <= MOST_ROWS
    assert 120 == found.columns


def test_a_model_whose_answers_cannot_be_explained_is_still_looked_at():
    """One that was imported, say."""
    chance = np.random.default_rng(13)
    x = chance.normal(size=(900, 40)).astype(np.float32)
    target = (x[:, 31] > 0).astype(np.int64)
    model = fitted(x[:500], target[:500], width=40)
    rows = held_out(model, x[500:], target[500:])

    def refuse(_):
        raise cannot_be_explained("imported", model="a digest")

    model.explain = refuse
    found = explanation(model, rows, split="sha256:01", seed=4)

    assert () == found.contributions
    assert "imported" == found.not_explained
    assert "how its training rows are distributed" in explanation_in_words(found)["unexplained"]
    assert ("x31",) == found.shuffled[0].columns
    assert MOST_COLUMNS == len(found.shuffled)
    assert MOST_TOLD >= len(found.slices)


def test_rows_without_weight_count_nowhere():
    """A weight of 0 is how a line leaves rows out."""
    x, target = load_breast_cancer(return_X_y=True)
    x = x[:, :5].astype(np.float32)
    model = fitted(x[:300], target[:300], width=5)
    rows = held_out(model, x[300:], target[300:])
    weight = np.ones(len(rows.truth))
    weight[::2] = 0
    found = explanation(
        model,
        HeldOut(**{**vars(rows), "weight": weight}),
        split="sha256:01",
        seed=4,
    )

    assert found.rows == int(weight.sum())


def test_columns_that_say_nothing_alike_are_no_groups_and_load_nothing_that_groups(monkeypatch):
    """Each process that explains a model would load it, for a twentieth of what a run of a small table takes."""
    monkeypatch.setitem(sys.modules, "scipy.cluster.hierarchy", None)
    values = np.random.default_rng(1).normal(size=(3, 200))
    columns = [
        Input(name=name, places=(0,), kind="number", values=one)
        for name, one in zip("abc", values, strict=True)
    ]

    assert [] == alike(columns) == alike(columns[:1]) == alike([])
