"""Several models that answer as one: sums of margins, in Python and in the graph, explained, and proven alike."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from linewright.errors import Corrupt
from linewright.features.facts import Category, Encoder, Number
from linewright.model.export.parity import parity
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration, Trained
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.package.model import build, open_model
from linewright.model.reasons import ChosenReason, LowestLoss
from linewright.model.tasks import link_of
from linewright.model.tasks.links import LOGISTIC
from linewright.testing.trainers import CODES, TASKS, class_count, mixed_rows

SETTINGS = {
    "lightgbm": {"learning_rate": 0.2, "num_leaves": 15, "min_data_in_leaf": 3},
    "xgboost": {"learning_rate": 0.3, "max_depth": 3},
    "linear": {"c": 1.0, "hinges": True},
}
ENCODER = Encoder(
    encodings=(
        *(Number(column=name) for name in "abcd"),
        Category(column="e", levels=()),
        Category(column="f", levels=()),
    )
)
MIXES = {
    "trees and lines": {"lightgbm": 0.5, "xgboost": 0.3, "linear": 0.2},
    "trees": {"lightgbm": 0.75, "xgboost": 0.25},
    "lines": {"linear": 0.4, "another line": 0.6},
}


def fit(family, task):
    x, target, weight = mixed_rows(task, n=400)
    changed = {"c": 0.01, "hinges": False} if family == "another line" else {}
    family = "linear" if changed else family
    return TRAINERS[family].fit(
        x,
        target,
        weight,
        categorical=CODES,
        task=task,
        classes=class_count(task),
        rounds=25,
        valid=None,
        seed=5,
        settings=SETTINGS[family] | changed,
    )


def package(fitted, task):
    """Return the packaged model."""
    classes = tuple(f"class {code}" for code in range(class_count(task)))
    trained = Trained(
        dataset="sha256:00",
        split="sha256:01",
        task=task,
        classes=classes,
        encoder=ENCODER,
        trials=(),
        chosen="several",
        reason=ChosenReason(choice=LowestLoss(trials=1, loss=0.5, rows=4)),
        native="sha256:02",
        calibration=Calibration(),
        half_width=1.0 if task == "regression" else None,
        baseline=(),
        rows=400,
        seed=1,
        libraries={},
    )
    graph = to_onnx(fitted.to_native(), 6)
    built = build(trained, label="y", key=None, columns=(), graph=graph, golden=b"")
    at = 0.5 if task == "binary" else None
    return open_model(msgspec.structs.replace(built, threshold=at), graph)


@pytest.fixture(scope="module", params=[(mix, task) for mix in MIXES for task in TASKS], ids="-".join)
def made(request):
    """Return an ensemble of each kind for each task, with its package."""
    mix, task = request.param
    members = [Member(weight, fit(family, task)) for family, weight in MIXES[mix].items()]
    ensemble = EnsembleFitted(members)
    return task, ensemble, package(ensemble, task)


def test_margins_are_summed_with_their_weights(made):
    """And not probabilities: an ensemble is a sum like each of its members."""
    task, ensemble, _ = made
    x, _, _ = mixed_rows(task, n=50, seed=3)
    summed = sum(one.weight * link_of(task).to_margins(one.fitted.scores(x)) for one in ensemble.members)

    np.testing.assert_allclose(link_of(task).to_scores(summed), ensemble.scores(x), rtol=1e-12)


def test_a_model_read_back_scores_alike(made):
    """What is kept is what was judged, bit for bit."""
    task, ensemble, _ = made
    x, _, _ = mixed_rows(task, n=50, seed=3)
    again = read_native(ensemble.to_native())

    np.testing.assert_array_equal(ensemble.scores(x), again.scores(x))
    assert ensemble.to_native() == again.to_native()
    assert json.loads(ensemble.to_native())["family"] == "ensemble"


def test_the_package_answers_as_the_members_do(made):
    """On ordinary and on odd rows, on and beside every threshold of every member."""
    task, ensemble, model = made
    x, _, _ = mixed_rows(task, n=100, seed=3)

    assert 0 == parity(ensemble, model, x=x, seed=1).flips


def test_trees_of_all_members_are_one_node_of_the_graph(made):
    """Each node costs time at every answer."""
    _, ensemble, model = made
    has_trees = any(hasattr(one.fitted, "forest") for one in ensemble.members)

    assert int(has_trees) == model._graph.data.count(b"TreeEnsembleRegressor")


def test_contributions_are_the_weighted_sums_of_those_of_the_members(made):
    """Bases too; what is added up is the score."""
    task, ensemble, model = made
    x, _, _ = mixed_rows(task, n=5, seed=3)
    alone = [(one.weight, package(one.fitted, task).explain(x)) for one in ensemble.members]
    for row, told in enumerate(model.explain(x)):
        parts = [(weight, answers[row]) for weight, answers in alone]
        for column, given_ in numbers(told["contributions"]).items():
            summed = sum(weight * numbers(one["contributions"])[column] for weight, one in parts)

            assert given_ == pytest.approx(summed, rel=1e-9, abs=1e-9)
        for name, base in numbers({"base": told["base"]}).items():
            assert base == pytest.approx(
                sum(weight * numbers({"base": one["base"]})[name] for weight, one in parts)
            )


def numbers(told, path=""):
    """Return the numbers of an answer by where they stand."""
    if not isinstance(told, dict):
        return {path: told}
    return {
        key: value for name, part in told.items() for key, value in numbers(part, f"{path}/{name}").items()
    }


def test_cuts_are_those_of_all_members(made):
    """Parity probes there."""
    _, ensemble, _ = made
    for column, values in ensemble.cuts().items():
        assert (np.diff(values) > 0).all()
        for one in ensemble.members:
            assert set(one.fitted.cuts().get(column, [])) <= set(values)


@pytest.mark.parametrize(
    ("weights", "tasks"),
    [
        ((1.0,), ("binary",)),
        ((0.5, 0.6), ("binary", "binary")),
        ((1.5, -0.5), ("binary", "binary")),
        ((0.5, 0.5), ("binary", "regression")),
    ],
)
def test_members_that_do_not_belong_together_are_refused(weights, tasks):
    """Alone, with weights that are no shares, or for other answers."""
    members = [Member(weight, fit("linear", task)) for weight, task in zip(weights, tasks, strict=True)]

    with pytest.raises(Corrupt, match="do not belong together"):
        EnsembleFitted(members)


def test_an_ensemble_within_an_ensemble_is_refused():
    """Nothing writes one."""
    inner = EnsembleFitted([Member(0.5, fit("linear", "binary")), Member(0.5, fit("linear", "binary"))])
    outer = {
        "family": "ensemble",
        "task": "binary",
        "width": 6,
        "members": [{"weight": 0.5, "native": json.loads(inner.to_native())}] * 2,
    }

    with pytest.raises(Corrupt, match="not a native model"):
        read_native(json.dumps(outer).encode())


@given(hnp.arrays(np.float64, st.integers(1, 5), elements=st.floats(-600, 600)))
def test_log_odds_survive_being_probabilities(margins):
    """Members hand over scores; what they added up is read from them."""
    np.testing.assert_allclose(
        margins, LOGISTIC.to_margins(LOGISTIC.to_scores(margins)), rtol=1e-9, atol=1e-9
    )
