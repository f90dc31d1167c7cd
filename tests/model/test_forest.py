"""Forests: several models as one operator, and how it is written."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from linewright.model.export.onnx_writer import Graph
from linewright.model.export.to_onnx import margins_of
from linewright.model.families.forest import fused, trees_in
from linewright.model.families.trainer import TRAINERS
from linewright.model.onnx.reader import read_parts
from linewright.model.onnx.shapley import TreeExplainer
from linewright.model.onnx.trees import read_trees
from linewright.model.tasks import link_of
from linewright.testing.trainers import CODES, TASKS, UNSEEN, class_count, mixed_rows

SETTINGS = {
    "lightgbm": {"learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 5},
    "linear": {"c": 1.0, "hinges": True},
    "xgboost": {"learning_rate": 0.1, "max_depth": 4, "subsample": 0.8},
}


def fit(family, task, *, seed=5, rounds=20):
    x, target, weight = mixed_rows(task)
    return TRAINERS[family].fit(
        x,
        target,
        weight,
        categorical=CODES,
        task=task,
        classes=class_count(task),
        rounds=rounds,
        valid=None,
        seed=seed,
        settings=SETTINGS[family],
    )


def awkward_rows(task):
    x, _, _ = mixed_rows(task, seed=3)
    x[:50, :4], x[25:75, CODES] = np.nan, UNSEEN
    return x


def graph_of(members):
    graph = Graph()
    margins, outputs = margins_of(graph, members)
    graph.add("Cast", margins, output="y", to=TensorProto.FLOAT)
    return graph.serialize(width=6, outputs=outputs)


def answers(graph, x):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0].astype(np.float64)


def explainer(graph, outputs):
    (node,) = (node for node in read_parts(graph).nodes if node.operator == "TreeEnsembleRegressor")
    return TreeExplainer(read_trees(node), width=6, outputs=outputs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "families", [("lightgbm", "xgboost"), ("xgboost", "lightgbm", "linear")], ids="-".join
)
def test_a_weighted_sum_is_one_graph(families, task):
    """Members answer as one; those of trees are one operator, checked and optimised by the runtime once."""
    weights = (0.5, 0.3, 0.2)[: len(families)]
    members = [(fit(family, task), weight) for family, weight in zip(families, weights, strict=True)]
    x = awkward_rows(task)
    graph = graph_of(members)
    found = answers(graph, x)
    operators = [node.op_type for node in onnx.load_from_string(graph).graph.node]

    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    assert 1 == operators.count("TreeEnsembleRegressor")
    if task == "regression":
        expected = sum(weight * one.scores(x) for one, weight in members)
        np.testing.assert_allclose(expected, found[:, 0], rtol=2e-7)
    else:  # log-probabilities are margins, but for a number a row that the softmax takes out again
        logs = sum(weight * np.log(one.scores(x)) for one, weight in members)
        margins = found[:, 0] if task == "binary" else found
        np.testing.assert_allclose(
            np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True),
            link_of(task).to_scores(margins),
            atol=2e-7,
        )


@pytest.mark.parametrize("task", TASKS)
def test_contributions_of_fused_forests_are_the_weighted_ones(task):
    """So that an ensemble of trees is explained like a single model."""
    outputs = 3 if task == "multiclass" else 1
    members = [
        (fit("lightgbm", task), 0.25),
        (fit("xgboost", task), 0.5),
        (fit("xgboost", task, seed=1), 0.25),
    ]
    x = awkward_rows(task)[:60]
    together = explainer(graph_of(members), outputs).explain(x)
    alone = [explainer(graph_of([(one, 1.0)]), outputs).explain(x) for one, _ in members]

    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        weighted = sum(weight * part for part, (_, weight) in zip(parts, members, strict=True))
        np.testing.assert_allclose(weighted, whole, atol=1e-10)


@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_one_forest_fused_is_itself(family):
    """An ensemble of one has the graph of its member."""
    one = fit(family, "multiclass")
    both = fused([(one.forest(), 0.5), (one.forest(), 0.5)])

    assert graph_of([(one, 1.0)]) == graph_of([(fit(family, "multiclass"), 1.0)])
    assert 2 * trees_in(one.forest()) == trees_in(both)
    for name, array in vars(fused([(one.forest(), 1.0)])).items():
        if name != "codes":
            np.testing.assert_array_equal(getattr(one.forest(), name), array)
    assert one.forest().cuts().keys() == both.cuts().keys()
    for column, bounds in one.forest().cuts().items():
        np.testing.assert_array_equal(bounds, both.cuts()[column])
