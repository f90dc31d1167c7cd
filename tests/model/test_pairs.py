"""What two numbers are together: found where it matters, left out where it does not, and the same in training as in serving."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from sklearn.metrics import mean_squared_error

from linewright.errors import Corrupt
from linewright.features.encode import Numbers, encode
from linewright.features.facts import SIGNS, Arithmetic, Category, Encoder, Number
from linewright.model.export.to_onnx import to_onnx
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.trainer import TRAINERS, of_width, read_native
from linewright.model.onnx.contributions import sources_of
from linewright.model.reasons import PairsGain
from linewright.model.spec import TrainSpec, TrialsBudget
from linewright.model.train import settings
from linewright.model.train.feature_pairs import Pair, chosen_pairs, extended, numbers_of, widened
from linewright.model.train.fit import TrainingRows, train
from linewright.model.train.settings import MOST_PAIRS, Size, paired, planned, sized, with_pairs
from linewright.testing.trainers import CODES, TASKS, class_count, mixed_rows

FOLDS = 3
NAMES = ("lgb", "lgb_s", "lgb_xt", "xgb", "lin")
ENCODER = Encoder(encodings=tuple(Number(column=name) for name in "abcd"))
PAIRS = tuple(
    Pair(left, operation, right)
    for left, operation, right in zip((0, 1, 3, 2), SIGNS, (1, 2, 0, 3), strict=True)
)


def table(n=600, *, seed=5, is_product=True, noise=0.3):
    """Numbers that are a product of two columns, or a sum of what each says alone, which trees can tell as well."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(n, 4)).astype(np.float32)
    told = x[:, 0] * x[:, 1] if is_product else np.sign(x[:, 0]) + np.sign(x[:, 1])
    return x, told.astype(np.float64) + noise * chance.normal(size=n)


def run(x, target, *, budget="thorough", **changes):
    part = np.arange(len(x)) % FOLDS
    rows = TrainingRows(
        x=x,
        target=target,
        weight=np.ones(len(x)),
        encoder=changes.pop("encoder", ENCODER),
        task="regression",
        classes=(),
        folds=[(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(FOLDS)],
        seed=11,
    )
    return train(rows, TrainSpec(budget=budget), report=lambda _: None, **changes)


def chosen(x, target, *, numbers=(0, 1, 2, 3), task="regression", classes=0):
    return chosen_pairs(
        x,
        target,
        np.ones(len(x)),
        numbers=numbers,
        categorical=(),
        task=task,
        classes=classes,
        rounds=60,
        seed=1,
    )


class Held(dict):
    """Finished fits in memory; a `Fits`."""

    def put(self, key, data):
        self[key] = data


@pytest.fixture(scope="module", autouse=True)
def little_is_sought():
    """Of `thorough`, leave out the settings that are sought near the best and most of the others: none of them is about pairs."""
    less = replace(settings._BUDGETS["thorough"], refined=0, names=NAMES)
    bought = {**settings._BUDGETS, "thorough": less}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_BUDGETS", bought)
        yield


@pytest.fixture(scope="module")
def held():
    """Keep what is fitted for `product`."""
    return Held()


@pytest.fixture(scope="module")
def product(held):
    x, target = table()
    return x, target, run(x, target, fits=held)


def test_a_product_is_found_and_new_rows_are_told_better(product):
    """Trees of columns alone need many splits for it; the record says what was added, and why."""
    x, target, training = product
    fresh, truth = table(seed=6)
    plain = run(
        x, target, encoder=Encoder(encodings=(Number(column="a"), *ENCODER.encodings[1:])), budget="quick"
    )
    pairs = training.encoder.encodings[4:]
    columns = {name: Numbers(values=fresh[:, i].astype(np.float64)) for i, name in enumerate("abcd")}
    native = read_native(training.native)

    assert Arithmetic(column="a", operation="times", other="b") == pairs[0]
    assert 1 <= len(pairs) <= MOST_PAIRS
    assert ENCODER.encodings == training.encoder.encodings[:4]
    assert any(one.trial.endswith(".pairs") for one in training.executed.members)
    assert isinstance(training.reason.pairs, PairsGain)
    assert training.reason.pairs.more > 2 * training.reason.pairs.error
    assert len(training.encoder.encodings) == native.native.width
    error = mean_squared_error(truth, native.scores(encode(training.encoder, columns)))
    assert error < 0.5 * mean_squared_error(truth, read_native(plain.native).scores(fresh))


def test_training_is_the_same_each_time_however_many_fits_go_on(product):
    """Pairs are chosen beside the fits that wait for them; whether fits are kept changes nothing either."""
    x, target, training = product
    again = run(x, target, workers=1)

    assert training.native == again.native
    assert training.encoder == again.encoder
    assert training.trials == again.trials


@pytest.mark.slow
def test_where_columns_say_it_alone_nothing_is_added():
    """It is tried, and what the rows are not sure of is not taken: such a model would be harder to explain for nothing."""
    x, target = table(800, is_product=False, noise=0.1)
    training = run(x, target)

    assert 4 == sum(trial.name.endswith(".pairs") for trial in training.trials)
    assert ENCODER == training.encoder
    assert not any(one.trial.endswith(".pairs") for one in training.executed.members)
    assert not isinstance(training.reason.pairs, PairsGain)


@pytest.mark.parametrize("kind", ["flags", "nothing to tell"])
def test_what_would_be_a_copy_is_not_listed(kind):
    """Where no pair is found, a setting with pairs is the one without them."""
    x, target = table(n=600)
    if kind == "flags":
        x = (x > 0).astype(np.float32)
    else:
        target = np.zeros(600)
    names = [trial.name for trial in run(x, target).trials]

    assert set(names) >= set(NAMES)
    assert not [name for name in names if name.endswith(".pairs")]


def test_of_noise_the_folds_promise_nothing():
    """Of a hundred pairs some go with any labels; chosen within each fold, they do not go with those that judge."""
    x, _ = table(n=600)
    target = np.random.default_rng(7).normal(size=600)
    training = run(x, target)
    losses = [trial.loss for trial in training.trials if trial.name.endswith(".pairs")]

    assert 4 == len(losses)
    assert min(losses) > 0.97 * target.var()
    assert ENCODER == training.encoder


def test_rows_that_are_left_out_bear_on_nothing():
    """With the labels of other rows, a fold chooses and says the same of its own."""
    x, target = table(n=500)
    half = np.arange(500) < 250

    assert chosen(x[half], target[half]) == chosen(x[half], np.where(half, target, -target)[half])
    assert chosen(x[half], target[half])[0] == Pair(0, "times", 1)


@pytest.mark.parametrize("operation", SIGNS)
def test_each_operation_is_found(operation):
    """On labels of two classes as well."""
    chance = np.random.default_rng(3)
    x = chance.uniform(1, 9, size=(2_000, 4)).astype(np.float32)
    told = Pair(0, operation, 1).of(x)
    target = (told > np.median(told)).astype(np.int64)

    assert Pair(0, operation, 1) in chosen(x, target, task="binary", classes=2)[:4]


def test_what_cannot_be_paired_is_not():
    """One column of numbers, columns of two numbers, rows of one class."""
    x, target = table(n=300)
    flags = np.where(x > 0, 1, 0).astype(np.float32)

    assert () == chosen(x, target, numbers=(2,))
    assert () == chosen(flags, target)
    assert () == chosen(x, np.zeros(300, dtype=np.int64), task="binary", classes=2)
    assert len(chosen(np.column_stack([flags[:, :2], x[:, 2:]]), target)) <= 4


def test_the_encoder_makes_what_training_made_of_the_matrix():
    """To the bit, also of what is missing, 0 or too large; `widened` has only the matrix."""
    chance = np.random.default_rng(2)
    values = chance.choice([np.nan, 0.0, -0.0, 1.0, -3.3, 1e-30, 3e38, 1e300, -1e300, 0.1], size=(400, 4))
    columns = {name: Numbers(values=values[:, i]) for i, name in enumerate("abcd")}
    made = encode(extended(ENCODER, PAIRS), columns)

    assert widened(encode(ENCODER, columns), PAIRS).tobytes() == made.tobytes()
    assert not np.isinf(made).any()
    assert np.isnan(made[values[:, 3] == 0, 7]).all()
    assert ("a+b", "b-c", "d*a", "c/d") == sources_of(extended(ENCODER, PAIRS))[4:]
    assert ("a", "b", "c", "d") == extended(ENCODER, PAIRS).columns


def test_pairs_are_of_numbers_of_the_table():
    """A code is no quantity."""
    encoder = Encoder(encodings=(Number(column="a"), Category(column="b", levels=()), Number(column="c")))

    assert (0, 2) == numbers_of(encoder)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", TRAINERS)
def test_a_wider_model_reads_the_front_of_its_matrix(family, task):
    """Beside a member with pairs; it answers, explains and converts as before."""
    x, target, weight = mixed_rows(task, n=300)
    setting = next(
        one for one in planned("normal", Size(rows=300, width=6, outputs=1)) if one.family == family
    )
    fitted = TRAINERS[family].fit(
        x,
        target,
        weight,
        categorical=CODES,
        task=task,
        classes=class_count(task),
        rounds=5,
        valid=None,
        seed=1,
        settings=setting.settings,
    )
    wide = of_width(fitted, 9)
    more = np.column_stack([x, np.random.default_rng(4).normal(size=(300, 3)).astype(np.float32)])
    both = EnsembleFitted([Member(0.5, wide), Member(0.5, of_width(fitted, 9))])

    assert wide.rounds == fitted.rounds
    assert fitted.scores(x).tobytes() == wide.scores(more).tobytes()
    assert fitted.scores(x).tobytes() == read_native(wide.to_native()).scores(more).tobytes()
    assert np.allclose(both.scores(more), fitted.scores(x), rtol=1e-12)
    session = onnxruntime.InferenceSession(to_onnx(both.to_native(), width=9))
    answered = session.run(None, {session.get_inputs()[0].name: more})[-1]
    assert np.allclose(answered.reshape(fitted.scores(x).shape), fitted.scores(x), rtol=1e-4, atol=1e-6)
    with pytest.raises(Corrupt, match="cannot be widened"):
        of_width(wide, 6)


def test_what_budgets_buy():
    """Only who asks for it waits for it, and on tiny tables nobody does."""
    size = Size(rows=5_000, width=20, outputs=1)

    assert (4, 60) == paired("thorough", size)
    assert {(0, 0)} == {paired(budget, size) for budget in ("quick", "normal", TrialsBudget(trials=9))}
    assert 0 == paired("thorough", Size(rows=499, width=20, outputs=1))[0]
    assert 0 == paired("thorough", Size(rows=5_000, width=5_000, outputs=1))[0]
    assert paired("thorough", Size(rows=10_000, width=20, outputs=1)) == paired(
        "thorough", Size(rows=10**7, width=20, outputs=1)
    )


def test_a_setting_with_pairs_is_named_and_marked():
    """The mark is part of what a fit is made from, so that its kept fits are not those without."""
    plain = planned("thorough", Size(rows=5_000, width=20, outputs=1))[0]
    wide = sized(with_pairs(plain), "thorough", Size(rows=5_000, width=28, outputs=1))

    assert "lgb.pairs" == wide.name
    assert MOST_PAIRS == wide.settings["pairs"]
    assert {*plain.settings, "pairs"} == set(wide.settings)


def test_finished_fits_are_found_with_their_pairs(product, held):
    """Chosen anew for what is missing alone, pairs are the same as for what was kept."""
    x, target, training = product
    before = dict(held)
    for key in list(held)[-4:]:
        del held[key]
    again = run(x, target, fits=held)

    assert before == dict(held)
    assert training.native == again.native
    assert training.encoder == again.encoder
