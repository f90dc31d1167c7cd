"""Times of which some are censored, in a small world whose curve is known, and laws that hold in any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.errors import SpecError
from linewright.features.facts import Encoder, Number
from linewright.model.evaluate.linear_baseline import fit_linear
from linewright.model.evaluate.survival_calibration import measure_left, seen_left
from linewright.model.export.onnx_writer import Graph, answer, write_scores
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Maintenance
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.hazard import Hazard, HazardFitted
from linewright.model.families.lightgbm import Boosted
from linewright.model.families.linear import Linear
from linewright.model.families.trainer import Trainer, read_native
from linewright.model.families.xgboost import XGBoost
from linewright.model.metrics.definitions import metric
from linewright.model.onnx.session import open_graph
from linewright.model.package.model import calibrate
from linewright.model.spec import TrainSpec
from linewright.model.tasks.censoring import (
    brier_at_times,
    grid_read,
    kaplan_meier,
    left_between,
    places_of,
    read_time,
    spell_time,
)
from linewright.model.tasks.links import HAZARD
from linewright.model.tasks.survival import RUL, SURVIVAL
from linewright.model.train.calibrate import fit_calibration
from linewright.model.train.fit import Training, TrainingRows, train
from linewright.model.train.settings import SETTINGS
from linewright.testing.trainers import ScriptedTrainer

Floats = np.ndarray
ROWS = 3_000
TREES = dict(next(one for one in SETTINGS if one.name == "lgb_s").settings)


class World:
    """Times of a Weibull law whose rate goes with one column of three, and at random censored."""

    def __init__(self, n: int, *, censored: float, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self.x = chance.normal(size=(n, 3)).astype(np.float32)
        self.rate = np.exp(0.8 * self.x[:, 0].astype(np.float64))
        self.times = 100 * (chance.exponential(size=n) / self.rate) ** (1 / 1.3)
        ends = chance.exponential(120 / censored, size=n) if censored else np.full(n, np.inf)
        self.happened = self.times <= ends
        self.seen = np.minimum(self.times, ends)

    @property
    def labels(self) -> list[str]:
        pairs = zip(self.seen.round(4), self.happened, strict=True)
        return [spell_time(time, happened=happened) for time, happened in pairs]

    def left(self, grid: Floats) -> Floats:
        """Return what is left of each row at the times of a grid, which only the world knows."""
        return np.exp(-self.rate[:, np.newaxis] * (grid / 100) ** 1.3)


def fitted(
    world: World, trainer: Trainer, settings: dict[str, object]
) -> tuple[tuple[str, ...], HazardFitted]:
    classes = SURVIVAL.classes(world.labels, None)
    places = SURVIVAL.target(world.labels, classes)
    model = Hazard(trainer).fit(
        world.x,
        places,
        np.ones(len(world.x)),
        categorical=(),
        task="survival",
        classes=len(classes),
        rounds=60,
        valid=None,
        seed=1,
        settings=settings,
    )
    return classes, model


FAMILIES = {
    "linear": (Linear(), {"c": 0.3, "hinges": False}),
    "lightgbm": (Boosted(), TREES | {"rounds": 60}),
    "xgboost": (XGBoost(), {"learning_rate": 0.1, "max_depth": 3, "rounds": 60}),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def learned(request: pytest.FixtureRequest) -> tuple[World, tuple[str, ...], HazardFitted]:
    world = World(ROWS, censored=1.0, seed=1)
    return world, *fitted(world, *FAMILIES[request.param])


def test_it_finds_the_curve_that_only_the_world_knows(learned):
    """Half of the rows are censored, and nothing of the curve is lost by it."""
    world, classes, model = learned
    new = World(2_000, censored=0.0, seed=2)
    grid = grid_read(classes)
    apart = model.scores(new.x) - new.left(grid)

    assert 0.3 < 1 - world.happened.mean() < 0.7
    assert np.abs(apart.mean(axis=0)).max() < 0.035
    assert np.sqrt((apart**2).mean()) < 0.07


def test_a_graph_answers_as_the_model_and_its_curves_never_rise(learned):
    """What serves has no column of intervals: an output for each of them."""
    _, classes, model = learned
    x = np.random.default_rng(3).normal(size=(300, 3)).astype(np.float32)
    x[::7, 1] = np.nan
    again = read_native(model.to_native())
    graph = open_graph(to_onnx(model.to_native(), width=3), inputs=[("x", "float", 3)], outputs=len(classes))
    served = graph.run({"x": x}, len(x))

    assert np.array_equal(again.scores(x), model.scores(x))
    assert np.abs(served - model.scores(x)).max() < 1e-6
    assert (np.diff(served, axis=1) <= 0).all()
    assert (served >= 0).all()
    assert (served <= 1).all()


def test_members_are_added_up_as_log_odds_of_the_hazard():
    """A linear model and trees answer as one, from one graph."""
    world = World(1_000, censored=1.0, seed=4)
    (classes, first), (_, second) = (fitted(world, *FAMILIES[name]) for name in ("linear", "lightgbm"))
    both = EnsembleFitted([Member(0.6, first), Member(0.4, second)])
    margins = 0.6 * HAZARD.to_margins(first.scores(world.x)) + 0.4 * HAZARD.to_margins(second.scores(world.x))
    graph = open_graph(to_onnx(both.to_native(), width=3), inputs=[("x", "float", 3)], outputs=len(classes))

    assert np.allclose(HAZARD.to_scores(margins), both.scores(world.x))
    assert np.abs(graph.run({"x": world.x}, len(world.x)) - both.scores(world.x)).max() < 1e-6


def test_calibration_makes_as_many_go_as_went():
    """Scores that are too sure of early times are moved back, and stay curves."""
    world = World(2_000, censored=1.0, seed=5)
    classes = SURVIVAL.classes(world.labels, None)
    places = SURVIVAL.target(world.labels, classes)
    off = world.left(grid_read(classes)) ** 1.4
    found = fit_calibration(off, places, np.ones(len(off)), kind="survival", seed=1)
    mended = calibrate(found, off)

    assert "hazard" == found.method
    assert (np.diff(mended, axis=1) <= 0).all()
    assert SURVIVAL.row_loss(places, mended).mean() < SURVIVAL.row_loss(places, off).mean()
    assert np.abs(mended.mean(axis=0) - kaplan_meier(places, np.ones(len(places)), len(classes))).max() < 0.05


def test_censoring_does_not_bias_what_a_model_is_judged_by():
    """The same rows and the same curves: with half of the ends hidden the score is about what it is with all of them."""
    scores = {}
    for censored in (0.0, 0.4, 1.0):
        world = World(20_000, censored=censored, seed=6)
        grid = np.linspace(20, 140, 7)
        places = places_of(world.seen, world.happened, grid)
        left = world.left(grid)
        scores[censored] = (
            SURVIVAL.row_loss(places, left).mean(),
            metric("concordance", "survival").function(places[:3_000], left[:3_000], np.ones(3_000)),
        )

    assert scores[0.0] == pytest.approx(scores[0.4], abs=0.012)
    assert scores[0.0] == pytest.approx(scores[1.0], abs=0.012)


def test_who_knows_the_world_is_judged_best():
    """The score is a proper one, also where half is censored."""
    world = World(20_000, censored=1.0, seed=7)
    grid = np.linspace(20, 140, 7)
    places, left = places_of(world.seen, world.happened, grid), world.left(grid)
    losses = {power: SURVIVAL.row_loss(places, left**power).mean() for power in (0.6, 0.8, 1.0, 1.25, 1.6)}

    assert 1.0 == min(losses, key=losses.__getitem__)


times = st.lists(
    st.tuples(st.floats(0, 1e6, allow_nan=False).map(lambda one: round(one, 3)), st.booleans()),
    min_size=1,
    max_size=40,
)
margins = st.lists(st.lists(st.floats(-800, 800), min_size=4, max_size=4), min_size=1, max_size=8)


@given(margins)
def test_a_curve_never_rises_whatever_is_added_up(added):
    """The product of what stays is never more than before, and a graph says the same."""
    rows = np.array(added)
    left = HAZARD.to_scores(rows)

    assert (np.diff(left, axis=1) <= 0).all()
    assert ((left >= 0) & (left <= 1)).all()
    assert np.allclose(left, HAZARD.to_scores(HAZARD.to_margins(left)), atol=1e-9)


@given(margins)
def test_a_graph_never_overflows(added):
    """Log-odds without bounds become shares."""
    graph = Graph()
    answer(graph, write_scores(graph, graph.add("Cast", "x", to=11), HAZARD), ())
    served = open_graph(
        graph.serialize(width=4, outputs=4, name="g"), inputs=[("x", "float", 4)], outputs=4
    ).run({"x": np.array(added, dtype=np.float32)}, len(added))

    assert np.isfinite(served).all()
    assert (np.diff(served, axis=1) <= 0).all()


@given(times)
def test_a_label_is_read_as_it_was_spelled(pairs):
    """Feedback, files and the log have one spelling."""
    for time, happened in pairs:
        assert (time, happened) == read_time(spell_time(time, happened=happened))


@given(times)
def test_kaplan_meier_falls_and_counts_no_censored_row_as_gone(pairs):
    """Without censoring it is the share that is left."""
    seen = np.array([time for time, _ in pairs])
    happened = np.array([happened for _, happened in pairs])
    grid = np.array([1.0, 10.0, 1e3, 1e5])
    left = kaplan_meier(places_of(seen, happened, grid), np.ones(len(seen)), len(grid))
    without = kaplan_meier(places_of(seen, np.ones_like(happened), grid), np.ones(len(seen)), len(grid))

    assert (np.diff(left) <= 1e-12).all()
    assert (left >= without - 1e-9).all()
    assert without == pytest.approx([(seen > time).mean() for time in grid])


@given(times)
def test_intervals_hold_what_was_left(pairs):
    """Also where all are censored, or none."""
    seen = np.array([time for time, _ in pairs])
    happened = np.array([happened for _, happened in pairs])
    grid = np.array([1.0, 10.0, 1e3, 1e5])
    left, low, high = seen_left(places_of(seen, happened, grid), np.ones(len(seen)), len(grid))

    assert ((low <= left + 1e-9) & (left <= high + 1e-9)).all()
    assert ((low >= 0) & (high <= 1)).all()


@pytest.mark.parametrize(
    "label", ["soon", "", "-1", "+", "nan", "inf+", True, None, {"time": 3}, {"time": "3", "event": 1}]
)
def test_what_is_no_time_is_refused(label):
    """Before it is kept: no training could learn it."""
    assert "" == SURVIVAL.spelled(label)


def test_a_label_column_of_other_texts_is_refused_with_what_is_allowed():
    """The message names the row and the form."""
    with pytest.raises(SpecError, match=r'label.column, row 1: .*found \'x\', allowed: "12.5" or "12.5\+"'):
        SURVIVAL.target(["3", "x"], ("5",))


def test_rows_that_were_all_censored_teach_nothing():
    """Whoever swapped what label.event says is told."""
    with pytest.raises(SpecError, match="it happened in no row while"):
        SURVIVAL.classes(["3+", "5+", "9+"] * 5, None)


def test_an_answer_is_the_median_or_the_mean_life():
    """Where more than half is left at the last time, it says so."""
    left = np.array([[0.9, 0.75, 0.6], [0.75, 0.25, 0.0]])
    grid = ("10", "20", "30")
    times = [one["prediction"] for one in SURVIVAL.answers(left, classes=grid, threshold=None, band=None)]
    lives = [one["prediction"] for one in RUL.answers(left, classes=grid, threshold=None, band=None)]

    assert [30.0, 15.0] == times
    assert [24.5, 15.0] == lives
    assert [True, False] == [
        one["beyond"] for one in SURVIVAL.answers(left, classes=grid, threshold=None, band=None)
    ]


def test_who_acts_by_the_answer_pays_less_than_who_waits_or_comes_at_fixed_times():
    """Machines that wear out, the hotter the sooner: each gets its own time, and money is counted over all of them."""
    chance = np.random.default_rng(9)
    rate = np.exp(1.2 * chance.normal(size=20_000))
    grid = np.arange(5.0, 205.0, 10.0)
    left = np.exp(-rate[:, np.newaxis] * (grid / 100) ** 3)
    lives = 100 * (chance.exponential(size=len(rate)) / rate) ** (1 / 3)
    amounts = Maintenance(currency="EUR", failure=-50_000.0, inspection=-2_000.0)
    times = RUL.act_by(left, tuple(map(str, grid)), amounts)

    def a_cycle(by: Floats) -> float:
        paid = np.where(lives <= by, amounts.failure, amounts.inspection)
        return float(paid.sum() / np.minimum(lives, by).sum())

    acted = a_cycle(np.array([np.inf if time is None else time for time in times]))
    fixed = max(a_cycle(np.full(len(rate), time)) for time in grid)

    assert acted > 0.8 * fixed
    assert acted > 0.5 * a_cycle(np.full(len(rate), np.inf))


def test_what_is_worn_is_due_at_once_though_its_hazard_rises_no_more():
    """Acting makes it new: a machine that is about to fail is not left alone because it is no more likely to fail later."""
    grid = np.arange(10.0, 210.0, 10.0)
    new, worn = np.exp(-((grid / 100) ** 4)), np.exp(-grid / 20)
    amounts = Maintenance(currency="EUR", failure=-50_000.0, inspection=-2_000.0)
    names = tuple(map(str, grid))
    measured = RUL.as_new(np.stack([new] * 9 + [worn]), names, amounts)

    assert [None] == RUL.act_by(worn[np.newaxis], names, amounts)
    assert [0.0] == RUL.act_by(worn[np.newaxis], names, measured)
    assert RUL.act_by(new[np.newaxis], names, amounts) == RUL.act_by(new[np.newaxis], names, measured)


def test_a_row_with_a_weight_counts_as_so_many():
    """What is as good as new costs what a tenth of the weight costs less than, and not a tenth of the rows."""
    names, amounts = ("10", "20"), Maintenance(currency="EUR", failure=-50_000.0, inspection=-2_000.0)
    curves = np.array([[1.0, 0.9], [0.9, 0.5], [0.6, 0.2]])

    weighted = RUL.as_new(curves, names, amounts, np.array([1.0, 2.0, 37.0]))

    assert weighted == RUL.as_new(curves.repeat([1, 2, 37], axis=0), names, amounts)
    assert weighted != RUL.as_new(curves, names, amounts)


def test_what_does_not_wear_out_is_left_alone():
    """With an even hazard coming early gains nothing."""
    grid = np.arange(10.0, 210.0, 10.0)
    left = np.exp(-grid / 100)[np.newaxis]

    assert [None] == RUL.act_by(
        left, tuple(map(str, grid)), Maintenance(currency="EUR", failure=-9.0, inspection=-8.0)
    )


def test_curves_on_other_times_are_compared_between_them():
    """A champion of an older grid is asked about the times of the candidate."""
    old = np.array([[0.8, 0.4]])

    assert SURVIVAL.are_comparable(("10", "20"), ("5", "10", "15"))
    assert np.allclose([[0.9, 0.8, 0.6]], SURVIVAL.scores_on(old, ("10", "20"), ("5", "10", "15")))
    assert np.allclose([[0.4]], left_between(old, np.array([10.0, 20.0]), np.array([99.0])))


def test_curves_that_are_off_are_seen_to_be():
    """The card tells thirds of the rows apart by what was said of them."""
    world = World(3_000, censored=1.0, seed=8)
    classes = SURVIVAL.classes(world.labels, None)
    places, left = SURVIVAL.target(world.labels, classes), world.left(grid_read(classes))
    baseline = np.tile(kaplan_meier(places, np.ones(len(places)), len(classes)), (len(places), 1))
    right, wrong = (
        [one for one in measure_left(places, said, baseline, np.ones(len(places)), classes) if one.third]
        for said in (left, left**2)
    )

    assert sum(not one.low <= one.said <= one.high for one in right) <= 2
    assert all(not one.low <= one.said <= one.high for one in wrong)
    assert brier_at_times(places, left).mean() < brier_at_times(places, baseline).mean()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_where_nothing_happened_the_hazard_is_small_and_the_same_for_all(family):
    """The early rows of a table may have no event: they are a fold all the same."""
    trainer, settings = FAMILIES[family]
    x = World(200, censored=0.0, seed=1).x
    places, weight = -np.linspace(0.1, 3.0, 200), np.ones(200)
    model = Hazard(trainer).fit(
        x,
        places,
        weight,
        categorical=(),
        task="survival",
        classes=3,
        rounds=60,
        valid=None,
        seed=1,
        settings=settings,
    )
    plain = fit_linear(
        x=x, target=places, weight=weight, categorical=(), task="survival", classes=3, test_x=x, seed=1
    )

    assert np.allclose(model.scores(x), model.scores(x)[0], atol=1e-4)
    assert 0.97 < model.scores(x).min() < 1
    assert plain is None


class Stopping(ScriptedTrainer):
    """Stops after other rounds on each fold."""

    def fit(self, *arguments, **named):
        found = super().fit(*arguments, **named)
        if named["rounds"] is None:
            found.rounds = 10 * len(self.asked)
        return found


def searched(world: World, trees: Stopping) -> Training:
    classes = SURVIVAL.classes(world.labels, None)
    n = len(world.x)
    part = np.arange(n) % 5
    rows = TrainingRows(
        x=world.x,
        target=SURVIVAL.target(world.labels, classes),
        weight=np.ones(n),
        encoder=Encoder(encodings=tuple(Number(column=f"c{i}") for i in range(3))),
        task="survival",
        classes=classes,
        folds=[(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(5)],
        seed=1,
    )
    trainers = {"linear": ScriptedTrainer(slope=(0.4,), offset=(-2.0,)), "lightgbm": trees}
    return train(rows, TrainSpec(budget="quick"), report=lambda _: None, trainers=trainers, workers=1)


@pytest.mark.parametrize(
    ("rows", "slope", "again"),
    [(300, 0.8, [35, 32, 30, 28, 25]), (300, 0.1, []), (2_001, 0.8, [])],
    ids=["may be the best", "cannot be", "many rows"],
)
def test_with_few_rows_a_fold_is_validated_with_the_rounds_of_the_others(rows, slope, again):
    """Early stopping takes the best round on the validation rows: its loss there is optimistic, and linear models would lose to it by chance."""
    trees = Stopping(slope=(slope,), offset=(-2.0,))
    training = searched(World(rows, censored=1.0, seed=6), trees)
    refits = int(training.chosen == "lgb_s")

    assert [None] * 5 == [one["rounds"] for one in trees.asked[:5]]
    assert [*again, *[33] * refits] == [one["rounds"] for one in trees.asked[5:]]
    assert all(one["valid"] is None for one in trees.asked[5:])
    assert 33 == next(one for one in training.trials if one.name == "lgb_s").rounds
    assert ("lgb_s" if slope > 0.4 else "lin") == training.chosen
