"""Explanations of packages: the libraries' own numbers, sums that hold, and what cannot be explained says so."""

import msgspec
import numpy as np
import onnx
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from linewright.errors import Corrupt, RequestError, Terminal
from linewright.features.facts import Category, DatePart, Elapsed, Encoder, Number, Raw
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration, Trained
from linewright.model.families.linear import design
from linewright.model.families.trainer import TRAINERS
from linewright.model.families.xgboost import XGBoostFitted
from linewright.model.onnx.reader import read_ints, read_parts, read_tensor, read_texts, tensor_of
from linewright.model.onnx.trees import ROWS
from linewright.model.package.model import build, log_odds, open_model
from linewright.model.reasons import ChosenReason, LowestLoss
from linewright.model.tasks import link_of
from linewright.testing.trainers import CODES, TASKS, UNSEEN, class_count, mixed_rows

SETTINGS = {
    "lightgbm": {"learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 3, "patience": 10, "rounds": 60},
    "linear": {"c": 1.0, "hinges": True},
    "xgboost": {"learning_rate": 0.2, "max_depth": 6, "min_child_weight": 2, "subsample": 0.8},
}
MIXED = Encoder(
    encodings=(
        *(Number(column=name) for name in "abcd"),
        Category(column="e", levels=()),
        Category(column="f", levels=()),
    )
)
MODELS = [(family, task) for family in SETTINGS for task in TASKS]


def fit(family, task, x, target, weight=None, *, categorical=(), rounds=60, **settings):
    return TRAINERS[family].fit(
        x.astype(np.float32),
        target,
        np.ones(len(x)) if weight is None else weight,
        categorical=categorical,
        task=task,
        classes={"binary": 2, "regression": 0}.get(task, int(target.max()) + 1),
        rounds=rounds,
        valid=None,
        seed=5,
        settings=SETTINGS[family] | settings,
    )


def model_of(graph, task, k, encoder, *, calibration=None):
    classes = tuple(f"class {code}" for code in range(k))
    trained = Trained(
        dataset="sha256:00",
        split="sha256:01",
        task=task,
        classes=classes,
        encoder=encoder,
        trials=(),
        chosen="one",
        reason=ChosenReason(choice=LowestLoss(trials=1, loss=0.5, rows=4)),
        native="sha256:02",
        calibration=calibration or Calibration(),
        half_width=1.0 if task == "regression" else None,
        baseline=(),
        rows=4,
        seed=1,
        libraries={},
    )
    built = build(trained, label="y", key=None, columns=(), graph=graph, golden=b"")
    at = 0.5 if task == "binary" else None
    return open_model(msgspec.structs.replace(built, threshold=at), graph)


def numbers(width):
    return Encoder(encodings=tuple(Number(column=f"x{i}") for i in range(width)))


def lightgbm_says(fitted, x):
    """Return LightGBM's contributions, shape (n, width + 1, outputs); the last column is the base."""
    native = fitted.native
    said = np.asarray(fitted.booster.predict(x, pred_contrib=True)).reshape(len(x), -1, native.width + 1)
    said = native.scale * said
    said[:, :, -1] += native.offset
    return said.swapaxes(1, 2)


def ours(answers, task):
    """Return answers of a model whose columns are matrix columns in the form of `lightgbm_says`, and the scores."""
    if task != "multiclass":
        parts = [[*one["contributions"].values(), one["base"]] for one in answers]
        return np.array(parts)[:, :, None], np.array([[one["score"]] for one in answers])
    parts = [
        [[*by_column.values(), one["base"][name]] for name, by_column in one["contributions"].items()]
        for one in answers
    ]
    return np.array(parts).swapaxes(1, 2), np.array([list(one["score"].values()) for one in answers])


@pytest.fixture(scope="module")
def mixed():
    """Models of awkward rows, by family and task: fitted, packaged, and the rows."""
    made = {}
    for family, task in MODELS:
        x, target, weight = mixed_rows(task, n=1_000)
        fitted = fit(family, task, x, target, weight, categorical=CODES, max_cat_to_onehot=2)
        model = model_of(to_onnx(fitted.to_native(), 6), task, class_count(task), MIXED)
        made[family, task] = fitted, model, x
    return made


def xgboost_says(fitted, x):
    """Return XGBoost's contributions in the form of `lightgbm_says`: those of each output by its own trees."""
    native, outputs = fitted.native, len(fitted.native.intercept)
    said = []
    for output in range(outputs):
        alone = msgspec.structs.replace(native, trees=native.trees[output::outputs], intercept=(0.0,))
        booster = XGBoostFitted(alone).booster
        said.append(native.scale * booster.predict(xgboost.DMatrix(x), pred_contribs=True).astype(np.float64))
        said[-1][:, -1] += native.intercept[output]
    return np.stack(said, axis=2)


LIBRARIES = {"lightgbm": (lightgbm_says, 1e-6), "xgboost": (xgboost_says, 1e-5)}
"""What each says itself, and how far we may be from it: XGBoost adds up float32 numbers."""


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", LIBRARIES)
def test_contributions_are_those_of_the_library(mixed, family, task):
    """Categories in sets, missing values, codes that are new, weights, and columns without any value."""
    fitted, model, x = mixed[family, task]
    says, tolerance = LIBRARIES[family]
    odd = x[:50].copy()
    odd[:, :4], odd[:, CODES] = np.nan, UNSEEN
    rows = np.concatenate([x[:200], odd])
    parts, _ = ours(model.explain(rows), task)

    assert b"BRANCH_EQ" in model._graph.data
    unit = 10 if task == "regression" else 1
    np.testing.assert_allclose(says(fitted, rows), parts, rtol=tolerance, atol=unit * tolerance)


@pytest.mark.parametrize(
    ("load", "task"),
    [(load_breast_cancer, "binary"), (load_digits, "multiclass"), (load_diabetes, "regression")],
)
@pytest.mark.parametrize("family", LIBRARIES)
def test_contributions_on_real_tables_are_those_of_the_library(family, load, task):
    """Two classes, ten, and numbers."""
    x, target = load(return_X_y=True)
    x = x.astype(np.float32)
    says, tolerance = LIBRARIES[family]
    fitted = fit(family, task, x, target, rounds=40)
    k = 0 if task == "regression" else int(target.max()) + 1
    model = model_of(to_onnx(fitted.to_native(), x.shape[1]), task, k, numbers(x.shape[1]))
    parts, scores = ours(model.explain(x[:100]), task)

    np.testing.assert_allclose(says(fitted, x[:100]), parts, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(scores, parts.sum(axis=1), rtol=1e-6)


def test_wide_sets_of_codes_are_one_split():
    """The graph has chains of hundreds of comparisons, and sets within sets."""
    chance = np.random.default_rng(1)
    x = chance.integers(0, 300, (4_000, 2)).astype(np.float32)
    target = (x[:, 0] % 7 < 3) * 2.0 + (x[:, 1] % 5 == 1) + 0.1 * chance.normal(size=4_000)
    fitted = fit("lightgbm", "regression", x, target, categorical=(0, 1), max_cat_to_onehot=4, cat_smooth=1.0)
    codes = Encoder(encodings=tuple(Category(column=name, levels=()) for name in "ab"))
    model = model_of(to_onnx(fitted.to_native(), 2), "regression", 0, codes)
    probes = np.stack([np.arange(350), np.arange(350) // 2], axis=1).astype(np.float32)
    parts, _ = ours(model.explain(probes), "regression")

    np.testing.assert_allclose(lightgbm_says(fitted, probes), parts, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_contributions_add_up_to_the_score(mixed, family, task):
    """With the base, to a millionth; and the score is what the graph answers, before calibration."""
    _, model, x = mixed[family, task]
    answers = model.explain(x[:300])
    parts, scores = ours(answers, task)
    said = model.scores(x[:300])

    assert {link_of(task).unit} == {one["score_unit"] for one in answers}
    np.testing.assert_allclose(scores, parts.sum(axis=1), rtol=1e-6, atol=1e-9)
    match task:
        case "binary":
            np.testing.assert_allclose(log_odds(said), scores[:, 0], rtol=1e-5, atol=1e-6)
        case "multiclass":
            weights = np.exp(scores)
            np.testing.assert_allclose(said, weights / weights.sum(axis=1, keepdims=True), atol=1e-6)
        case _:
            np.testing.assert_allclose(said, scores[:, 0], rtol=1e-6)


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_a_row_is_explained_alike_alone_and_among_others(mixed, family, task):
    """One row, many, none."""
    _, model, x = mixed[family, task]
    together = model.explain(x[:20])
    alone = [model.explain(x[i : i + 1])[0] for i in range(20)]

    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(*(ours([each], task)[0] for each in (one, other)), rtol=1e-12, atol=1e-12)
    assert [] == model.explain(x[:0])


@pytest.mark.parametrize("task", TASKS)
def test_a_linear_model_is_explained_against_its_mean_row(mixed, task):
    """Each design column by its coefficient and how far it is off its weighted mean, added up by matrix column."""
    fitted, model, x = mixed["linear", task]
    _, _, weight = mixed_rows(task, n=1_000)
    native = fitted.native
    matrix, coefficients = design(native, x), np.asarray(native.coefficients)
    off = matrix - np.average(matrix, axis=0, weights=weight)
    parts, _ = ours(model.explain(x), task)

    for column in range(6):
        of_column = np.asarray(native.sources) == column
        np.testing.assert_allclose(
            off[:, of_column] @ coefficients[:, of_column].T, parts[:, column], atol=1e-8
        )
    np.testing.assert_allclose(
        0, np.average(parts[:, :-1], axis=0, weights=weight), atol=1e-9 * np.abs(parts).max()
    )


def test_what_came_of_one_column_is_added_up():
    """Parts of a date are one column of the row; days between two belong to both, and have an entry of their own."""
    chance = np.random.default_rng(3)
    x = chance.normal(size=(500, 5)).astype(np.float32)
    fitted = fit("lightgbm", "regression", x, x.sum(axis=1).astype(np.float64))
    encoder = Encoder(
        encodings=(
            DatePart(column="opened", part="month"),
            Number(column="age"),
            DatePart(column="opened", part="weekday"),
            Elapsed(column="closed", since="opened"),
            Elapsed(column="opened"),
        )
    )
    model = model_of(to_onnx(fitted.to_native(), 5), "regression", 0, encoder)
    (answer,) = model.explain(x[:1])
    each = lightgbm_says(fitted, x[:1])[0, :, 0]

    assert {
        "opened": pytest.approx(each[[0, 2, 4]].sum(), abs=1e-6),
        "age": pytest.approx(each[1], abs=1e-6),
        "closed-opened": pytest.approx(each[3], abs=1e-6),
    } == answer["contributions"]


def test_the_score_is_told_before_calibration(mixed):
    """Calibration bends probabilities, for which no sum of columns stands."""
    _, plain, x = mixed["lightgbm", "binary"]
    bent = Calibration(method="sigmoid", parameters=(0.5, 1.0))
    calibrated = model_of(plain._graph.data, "binary", 2, MIXED, calibration=bent)

    assert plain.explain(x[:5]) == calibrated.explain(x[:5])
    assert plain.scores(x[:1])[0, 1] != calibrated.scores(x[:1])[0, 1]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", SETTINGS)
def test_a_model_that_learned_nothing_is_its_base(family, task):
    _, target, _ = mixed_rows(task)
    x = np.full((len(target), 2), np.nan, dtype=np.float32)
    fitted = fit(family, task, x, target)
    model = model_of(to_onnx(fitted.to_native(), 2), task, class_count(task), numbers(2))
    parts, scores = ours(model.explain(x[:2]), task)

    np.testing.assert_allclose(scores, parts[:, -1], rtol=1e-12)
    assert 0 == np.abs(parts[:, :-1]).max()


def changed(graph, change):
    """Return a graph after a change to its parsed form."""
    proto = onnx.load_from_string(graph)
    change(proto)
    return proto.SerializeToString()


def without(proto, name):
    for node in proto.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend(kept)
    del proto.metadata_props[:]


@pytest.mark.parametrize(("family", "task"), MODELS)
def test_a_graph_that_lost_its_counts_answers_and_is_not_explained(mixed, family, task):
    """It has no counts of training rows, and no means."""
    _, model, x = mixed[family, task]
    changed_graph = changed(model._graph.data, lambda proto: without(proto, ROWS))
    again = model_of(changed_graph, task, class_count(task), MIXED)

    np.testing.assert_array_equal(model.scores(x), again.scores(x))
    with pytest.raises(Corrupt, match="does not say how its training rows were spread"):
        again.explain(x[:1])


def test_a_model_that_was_made_elsewhere_says_why_it_is_not_explained(mixed):
    """Whatever its trees say: they were not counted here."""

    def rename(proto):
        proto.graph.name = "adopted"

    _, model, x = mixed["lightgbm", "binary"]
    elsewhere = model_of(changed(model._graph.data, rename), "binary", 2, MIXED)
    with pytest.raises(RequestError, match="an imported model"):
        elsewhere.explain(x[:1])


def test_a_model_of_raw_columns_is_one_that_was_made_elsewhere():
    nodes = [helper.make_node("Identity", ["x0"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("x0", "y")]
    graph = helper.make_graph(nodes, "linewright", values[:1], values[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    encoder = Encoder(encodings=(Raw(column="a", dtype="float"),))
    rows = np.array([(1.0,)], dtype=[("x0", np.float32)])

    with pytest.raises(RequestError, match="an imported model"):
        model_of(proto.SerializeToString(), "regression", 0, encoder).explain(rows)


def test_an_explanation_of_another_answer_is_not_given(mixed):
    """What is told adds up to what the model answers, whatever the graph does with its trees."""

    def negate(proto):
        proto.graph.node[-1].input[0] = "other"
        proto.graph.node.insert(len(proto.graph.node) - 1, helper.make_node("Neg", ["v3"], ["other"]))

    _, model, x = mixed["lightgbm", "regression"]
    proto = onnx.load_from_string(model._graph.data)
    assert ["v3"] == list(proto.graph.node[-1].input)
    with pytest.raises(Terminal, match="does not add up"):
        model_of(changed(model._graph.data, negate), "regression", 0, MIXED).explain(x[:1])


def test_an_answer_near_0_among_large_ones_is_explained():
    """Its float32 sum is as exact as what is added up, not as the little that is left of it: a model of salaries was lost for one such row."""
    x = np.random.default_rng(3).uniform(-1, 1, (2_000, 2)).astype(np.float32)
    fitted = fit("lightgbm", "regression", x, 1e5 + 1e6 * (x[:, 0] + x[:, 1]))
    model = model_of(to_onnx(fitted.to_native(), 2), "regression", 0, numbers(2))
    parts, scores = ours(model.explain(x), "regression")

    assert np.abs(scores).min() < 1_000 < np.abs(parts).max()
    np.testing.assert_allclose(parts.sum(axis=1), scores, atol=1.0)


@pytest.mark.parametrize(
    ("family", "part"), [("lightgbm", "nodes_missing_value_tracks_true"), ("linear", "coefficients")]
)
def test_a_graph_that_lacks_a_part_is_corrupt(mixed, family, part):
    """It can still answer."""

    def take(proto):
        centre = list(proto.metadata_props)
        without(proto, part)
        proto.metadata_props.extend(centre)
        for holder in (*proto.graph.initializer, *(node for node in proto.graph.node)):
            if isinstance(holder, TensorProto):
                holder.name = "other" if holder.name == part else holder.name
            else:
                holder.input[:] = ["other" if name == part else name for name in holder.input]

    _, model, x = mixed[family, "regression"]
    with pytest.raises(Corrupt, match="lack"):
        model_of(changed(model._graph.data, take), "regression", 0, MIXED).explain(x[:1])


def test_the_parts_of_a_graph_are_those_that_onnx_reads(mixed):
    """Our reader against the library that wrote the bytes."""
    graph = mixed["lightgbm", "multiclass"][1]._graph.data
    parts, proto = read_parts(graph), onnx.load_from_string(graph)

    assert proto.graph.name == parts.name
    assert [node.op_type for node in proto.graph.node] == [node.operator for node in parts.nodes]
    for node, read in zip(proto.graph.node, parts.nodes, strict=True):
        assert {attribute.name for attribute in node.attribute} == set(read.attributes)
        for attribute in node.attribute:
            value, found = helper.get_attribute_value(attribute), read.attributes[attribute.name]
            if isinstance(value, TensorProto):
                np.testing.assert_array_equal(numpy_helper.to_array(value), read_tensor(tensor_of(found)))
            elif isinstance(value, list) and isinstance(value[0], bytes):
                assert value == read_texts(found)
            elif isinstance(value, list):
                assert value == read_ints(found).tolist()


@given(values=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=50))
def test_numbers_of_any_size_are_read(values):
    """Law: as the library of protocol buffers reads them."""
    attribute = helper.make_attribute("a", values).SerializeToString()

    assert values == read_ints(memoryview(attribute)).tolist()


@pytest.mark.parametrize("value", [[0.5, 1.5], -1, 7])
def test_an_attribute_of_something_else_is_refused_or_empty(value):
    """Floats have keys of their own; a negative number would be read as a large one."""
    attribute = memoryview(helper.make_attribute("a", value).SerializeToString())

    with pytest.raises(Corrupt, match="not made of whole numbers"):
        read_ints(attribute)
