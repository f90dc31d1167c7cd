"""Export: the graph answers as the model does, on hard rows too."""

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from linewright.errors import Corrupt, Terminal
from linewright.model.export.to_onnx import to_onnx
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.onnx.session import check_graph
from linewright.testing.trainers import CODES, TASKS, UNSEEN, ScriptedTrainer, class_count, mixed_rows

SETTINGS = {
    "lightgbm": {"learning_rate": 0.2, "num_leaves": 31, "min_data_in_leaf": 3, "patience": 10, "rounds": 60},
    "linear": {"c": 1.0, "hinges": True},
    "xgboost": {"learning_rate": 0.2, "max_depth": 6, "min_child_weight": 2, "subsample": 0.8},
}
MODELS = [(family, task) for family in SETTINGS for task in TASKS]


def fit(family, task, x, target, *, categorical=(), rounds=40, **settings):
    return TRAINERS[family].fit(
        x.astype(np.float32),
        target,
        np.ones(len(x)),
        categorical=categorical,
        task=task,
        classes={"binary": 2, "regression": 0}.get(task, int(target.max()) + 1),
        rounds=rounds,
        valid=None,
        seed=5,
        settings=SETTINGS[family] | settings,
    )


def probes(fitted, x):
    """Return ordinary rows, with all numbers missing, with new codes, and on and beside every threshold."""
    nothing, new = x.copy(), x.copy()
    nothing[:, :4], new[:, CODES] = np.nan, UNSEEN
    beside = [
        np.where(np.arange(6) == column, value, x[i % len(x)]).astype(np.float32)
        for column, values in fitted.cuts().items()
        for i, cut in enumerate(values)
        for value in (cut, np.nextafter(cut, np.float32(-9e9)), np.nextafter(cut, np.float32(9e9)))
    ]
    return np.concatenate([x, nothing, new, np.stack(beside)])


@pytest.fixture(scope="module")
def mixed():
    """Fitted models and sessions on the awkward rows, by family and task."""
    made = {}
    for family, task in MODELS:
        x, target, _ = mixed_rows(task, n=1_000)
        fitted = fit(family, task, x, target, categorical=CODES)
        made[family, task] = x, fitted, session(to_onnx(fitted.to_native(), 6))
    return made


def session(graph):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as `model.package.model` serves it
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def answers(graph, x):
    return graph.run(["y"], {"x": x})[0].astype(np.float64)


def furthest(fitted, graph, x):
    scores = fitted.scores(x)
    return np.abs(answers(graph, x).reshape(scores.shape) - scores).max() / (
        1 if scores.ndim > 1 else 1_000  # float32 numbers of about a thousand
    )


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_the_graph_answers_as_the_model(mixed, family, task):
    """On hard rows too."""
    x, fitted, graph = mixed[family, task]

    assert furthest(fitted, graph, probes(fitted, x)) < 5e-7


@pytest.mark.parametrize("task", TASKS)
def test_long_tails_are_exported(task):
    """Their numbers are in the design twice, and held within what was learned from."""
    x, target, _ = mixed_rows(task, n=1_000)
    x[:, :2] = np.exp(4 * x[:, :2])
    fitted = fit("linear", task, x, target, categorical=CODES, hinges=False)

    assert [0, 1] == [one.place for one in fitted.native.straight]
    assert furthest(fitted, session(to_onnx(fitted.to_native(), 6)), probes(fitted, x)) < 5e-7


@pytest.mark.parametrize(("family", "task"), MODELS)
@settings(max_examples=30)
@given(
    rows=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.just(6)),
        elements=st.floats(width=32, allow_infinity=False)
        | st.sampled_from([np.nan, 0.0, -0.0, 1e-35, -1e-35]),
    )
)
def test_the_graph_answers_as_the_model_on_any_row(mixed, family, task, rows):
    """Also where numbers are absurd. Codes are never missing."""
    _, fitted, graph = mixed[family, task]
    rows[:, CODES] = np.nan_to_num(np.abs(rows[:, CODES]) % 70).round()

    assert furthest(fitted, graph, rows) < 5e-7


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_a_row_is_answered_alike_alone_and_among_others(mixed, family, task):
    """An endpoint's answer is recomputed in a batch, and the other way round."""
    x, _, graph = mixed[family, task]
    alone = np.concatenate([answers(graph, x[i : i + 1]) for i in range(30)])

    np.testing.assert_array_equal(alone, answers(graph, x)[:30])
    assert (0, *alone.shape[1:]) == answers(graph, x[:0]).shape


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_the_graph_has_the_form_that_packages_need(mixed, family, task):
    """Valid ONNX, one float32 input and output with names and shapes, nothing that reaches outside."""
    _, fitted, _ = mixed[family, task]
    graph = to_onnx(fitted.to_native(), 6)
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    check_graph(graph)
    (entrance,), (exit_,) = session(graph).get_inputs(), session(graph).get_outputs()

    assert ("x", "tensor(float)", ["n", 6]) == (entrance.name, entrance.type, entrance.shape)
    assert ("y", "tensor(float)", ["n", class_count(task) or 1]) == (exit_.name, exit_.type, exit_.shape)


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_onnxruntime_has_nothing_to_say(mixed, capfd, family, task):
    """A warning on every answer would hide one that matters."""
    x, fitted, _ = mixed[family, task]
    answers(session(to_onnx(fitted.to_native(), 6)), x)

    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_equal_models_give_equal_graphs(mixed, family, task):
    """The digest of a package depends on it."""
    _, fitted, _ = mixed[family, task]

    assert to_onnx(fitted.to_native(), 6) == to_onnx(read_native(fitted.to_native()).to_native(), 6)


def test_small_probabilities_keep_their_digits():
    """Calibration takes logarithms: 1e-9 may not become 0 or 6e-8, on either side."""
    x = np.repeat(np.array([[0.0], [1.0]], dtype=np.float32), 500, axis=0)
    fitted = fit("lightgbm", "binary", x, np.repeat([0, 1], 500), rounds=110, min_sum_hessian_in_leaf=1e-9)
    scores = fitted.scores(x)

    assert scores.min() < 1e-8
    np.testing.assert_allclose(scores, answers(session(to_onnx(fitted.to_native(), 1)), x), rtol=1e-6)


def test_wide_categories_are_exported_exactly():
    """Sets of many codes become chains of comparisons."""
    chance = np.random.default_rng(1)
    x = chance.integers(0, 900, (4_000, 2)).astype(np.float32)
    target = (x[:, 0] % 7 < 3) * 2.0 + (x[:, 1] % 5 == 1) + 0.1 * chance.normal(size=4_000)
    fitted = fit("lightgbm", "regression", x, target, categorical=(0, 1), max_cat_to_onehot=4, cat_smooth=1.0)
    probes = np.stack([np.arange(1_100) % 950, np.arange(1_100) // 2], axis=1).astype(np.float32)
    graph = session(to_onnx(fitted.to_native(), 2))

    np.testing.assert_allclose(fitted.scores(probes), answers(graph, probes)[:, 0], atol=3e-7)


def test_a_thousand_trees_add_up_exactly():
    """Sums in float32 would drift towards what parity allows."""
    x = np.random.default_rng(2).normal(size=(2_000, 3)).astype(np.float32)
    target = np.sin(3 * x[:, 0].astype(np.float64)) + x[:, 1] * x[:, 2]
    fitted = fit("lightgbm", "regression", x, target, rounds=1_000, learning_rate=0.02, num_leaves=8)
    graph = session(to_onnx(fitted.to_native(), 3))

    np.testing.assert_allclose(fitted.scores(x), answers(graph, x)[:, 0], atol=5e-7 * target.std(), rtol=0)


@pytest.mark.parametrize(
    ("load", "task"),
    [(load_breast_cancer, "binary"), (load_digits, "multiclass"), (load_diabetes, "regression")],
)
@pytest.mark.parametrize("family", list(SETTINGS))
def test_real_tables_are_exported_exactly(family, load, task):
    """Ten classes and sixty-four columns, among others."""
    x, target = load(return_X_y=True)
    x = x.astype(np.float32)
    fitted = fit(family, task, x, target, rounds=15)

    assert furthest(fitted, session(to_onnx(fitted.to_native(), x.shape[1])), x) < 1e-6


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", list(SETTINGS))
def test_a_model_without_any_split_is_exported(family, task):
    """Columns that say nothing leave the shares, or the mean."""
    _, target, _ = mixed_rows(task)
    x = np.full((len(target), 2), np.nan, dtype=np.float32)
    fitted = fit(family, task, x, target)

    assert furthest(fitted, session(to_onnx(fitted.to_native(), 2)), x) < 1e-6


def test_a_scripted_model_is_exported_like_any_other():
    """So that tests of what comes later need no training."""
    fitted = ScriptedTrainer(slope=(2.0,), offset=(-1.0,)).fit(
        np.zeros((1, 3), np.float32),
        np.zeros(1),
        np.ones(1),
        categorical=(),
        task="binary",
        classes=2,
        rounds=None,
        valid=None,
        seed=0,
        settings={},
    )
    x = np.array([[0.5, 0, 0], [np.nan, 0, 0]], dtype=np.float32)

    np.testing.assert_allclose(
        [0.5, 1 / (1 + np.e)], answers(session(to_onnx(fitted.to_native(), 3)), x)[:, 1]
    )


def test_a_model_of_another_width_is_refused():
    """A model and an encoder that do not belong together must not become a package."""
    x, target, _ = mixed_rows("binary")
    native = fit("linear", "binary", x, target, categorical=CODES).to_native()

    with pytest.raises(Terminal, match="found 'a model of 6 columns', allowed: 7 columns"):
        to_onnx(native, 7)


def test_bytes_that_are_no_model_are_refused():
    """The error is ours."""
    with pytest.raises(Corrupt, match="not a native model"):
        to_onnx(msgspec.json.encode({"family": "lightgbm"}), 3)
