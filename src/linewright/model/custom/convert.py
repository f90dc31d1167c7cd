"""From an estimator that was fitted to a model that is plain data, and that needs no library of the estimator to answer.

Boosted trees of LightGBM and XGBoost become what our own families make. Trees of scikit-learn are read as they are: their thresholds
and their ways for missing values stay exact. All else goes through skl2onnx as a whole.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import lightgbm
import numpy as np
import numpy.typing as npt
import xgboost
from onnx import ModelProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn import ensemble, tree

from linewright.errors import LinewrightError
from linewright.model.export.onnx_writer import OPSETS, Graph, answer
from linewright.model.export.to_onnx import opinion
from linewright.model.facts import Task
from linewright.model.families.fitted import Fitted
from linewright.model.families.forest import Forest, fused
from linewright.model.families.lightgbm import BoostedFitted, BoostedNative
from linewright.model.families.lightgbm_format import exact_text, floor_to_float32
from linewright.model.families.onnx_model import WholeFitted, WholeNative
from linewright.model.families.reference_outputs import Witness, witness_of
from linewright.model.families.tree_arrays import GrownFitted, added_up, to_grown, with_opinion
from linewright.model.families.xgboost import fitted_of
from linewright.model.onnx.contributions import SHARES
from linewright.model.tasks import link_of
from linewright.model.tasks.links import IDENTITY, LOGISTIC, SOFTMAX, Floats, Link, Matrix

ABSENT = -20.0
"""Margin of a class that no training row had, where others have margins about 0."""

_LIGHTGBM: Mapping[Link, frozenset[str]] = {
    LOGISTIC: frozenset({"binary"}),
    SOFTMAX: frozenset({"multiclass"}),
    IDENTITY: frozenset({"regression", "regression_l1", "huber", "fair", "quantile", "mape"}),
}
"""Objectives whose sums become answers as ours do."""
_PLAIN = frozenset({"squared_error", "absolute_error", "huber", "quantile", "log_loss"})
"""Losses of scikit-learn's boosting of which the same is true."""


class NoExportError(Exception):
    """An estimator that cannot be said in ONNX; the text says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Live:
    """An estimator that was fitted, in this process."""

    estimator: Any
    task: Task
    classes: int
    codes: npt.NDArray[np.int64]
    """Code of the class of each column of its probabilities, ascending; empty for regression."""
    width: int
    asked: Matrix
    """Rows that it was asked about."""
    said: Floats
    """What it answered: `spread` probabilities, or numbers."""
    refuses: tuple[int, ...]
    """Columns without whose number it does not answer."""

    @property
    def link(self) -> Link:
        """How sums become answers."""
        return link_of(self.task)

    @property
    def seen(self) -> Task:
        """The task of the classes that it has seen."""
        return LOGISTIC.native if len(self.codes) == 2 else self.task

    @property
    def witness(self) -> Witness:
        """The rows and the answers, as they are kept."""
        return witness_of(self.asked, self.said)

    @property
    def mixed(self) -> Witness:
        """The same, where answers are made of shares."""
        return witness_of(self.asked, with_opinion(self.said)) if self.link.is_class else self.witness


def spread(found: Floats, codes: npt.NDArray[np.int64], classes: int) -> Floats:
    """Return probabilities of all classes from those of the classes that an estimator knows: 0 for the others.

    Examples
    --------
    >>> spread(np.array([[0.25, 0.75]]), np.array([0, 2]), 3).tolist()
    [[0.25, 0.0, 0.75]]
    """
    whole = np.zeros((len(found), classes))
    whole[:, codes] = found
    return whole


def convert(live: Live) -> Fitted:
    """Return a fitted estimator as a model."""
    kind = type(live.estimator)
    for known, to_model in _CONVERTERS:
        if issubclass(kind, known) if known in _SUBCLASSED else kind is known:
            return to_model(live)
    return _whole(live)


# LightGBM and XGBoost


def _lightgbm(live: Live) -> Fitted:
    text = live.estimator.booster_.model_to_string()
    found = re.search(r"^objective=(\S+)", text, re.MULTILINE)
    objective = found.group(1) if found else "none"
    known = _LIGHTGBM[link_of(live.seen)]
    if objective not in known:
        raise NoExportError(f"its objective is {objective!r}, and {_either(known)} can be exported")
    for sign, what in (
        ("average_output", "its trees are averaged (boosting_type rf)"),
        ("is_linear=1", "its leaves are linear models"),
    ):
        if re.search(rf"^{sign}$", text, re.MULTILINE):
            raise NoExportError(what)
    native = BoostedNative(task=live.seen, width=live.width, offset=0.0, scale=1.0, text=exact_text(text))
    return _with_absent(BoostedFitted(native), live)


def _xgboost(live: Live) -> Fitted:
    booster = live.estimator.get_booster()
    used = (
        getattr(live.estimator, "best_iteration", None)
        if live.estimator.get_params().get("early_stopping_rounds")
        else None
    )
    fitted = fitted_of(booster, task=live.seen, width=live.width, classes=len(live.codes), used=used)
    if isinstance(fitted, str):
        raise NoExportError(fitted)
    return _with_absent(fitted, live)


def _with_absent(fitted: Any, live: Live) -> Fitted:
    """Return boosted trees as they are where all classes were seen, else with a small probability for the others."""
    if live.link is not SOFTMAX or len(live.codes) == live.classes:
        return fitted
    forest = fitted.forest()
    if forest.codes:
        raise NoExportError("its trees have sets of categories, and not every class was seen")
    return _grown(_to_classes(forest, live), live, "margin")


def _to_classes(forest: Forest, live: Live) -> Forest:
    """Return margins of the classes that were seen as those of all classes."""
    if live.link is not SOFTMAX:
        return forest
    codes = live.codes[1:] if len(forest.offset) == 1 else live.codes
    offset = np.full(live.classes, ABSENT)
    offset[live.codes] = 0.0
    offset[codes] = forest.offset
    return replace(forest, output=codes[forest.output], offset=offset)


# Trees of scikit-learn


def _shares(live: Live) -> Fitted:
    """Read trees whose leaves are averaged: shares of the classes, or means."""
    trees = getattr(live.estimator, "estimators_", [live.estimator])
    outputs: list[tuple[int, int]] = [(int(live.link is LOGISTIC), 0)]
    if live.link is SOFTMAX:
        outputs = list(enumerate(live.codes.tolist()))
    wide = live.link.outputs(live.classes)
    grown = [
        _tree(
            each.tree_,
            _leaf_shares(each.tree_.value, column, live),
            output=output,
            wide=wide,
            scale=1 / len(trees),
        )
        for column, output in outputs
        for each in trees
    ]
    link = "share" if live.link.is_class else "margin"
    return _grown(fused([(one, 1.0) for one in grown]), live, link)


def _leaf_shares(value: Floats, column: int, live: Live) -> Floats:
    if value.shape[1] != 1:
        raise NoExportError("it answers several things at once")
    said = value[:, 0, :]
    return said[:, column] / said.sum(axis=1) if live.link.is_class else said[:, 0]


def _gradient(live: Live) -> Fitted:
    """Read `GradientBoosting*`: trees times the learning rate, from a constant start."""
    own = live.estimator
    _require_plain(own.loss)
    wide = own.estimators_.shape[1]
    grown = [
        _tree(each.tree_, each.tree_.value[:, 0, 0], output=output, wide=wide, scale=own.learning_rate)
        for round_ in own.estimators_
        for output, each in enumerate(round_)
    ]
    return _from_start(fused([(one, 1.0) for one in grown]), live)


def _histogram(live: Live) -> Fitted:
    """Read `HistGradientBoosting*`."""
    own = live.estimator
    _require_plain(own.loss)
    rounds = getattr(own, "_predictors", None)
    if rounds is None or own.is_categorical_ is not None:
        raise NoExportError(
            "it has categories of its own; here they are codes, which it can take for numbers"
        )
    wide = len(rounds[0])
    grown = [
        _histogram_tree(each.nodes, output=output, wide=wide)
        for round_ in rounds
        for output, each in enumerate(round_)
    ]
    return _from_start(fused([(one, 1.0) for one in grown]), live)


def _require_plain(loss: object) -> None:
    if loss not in _PLAIN:
        raise NoExportError(f"its loss is {loss!r}, and {_either(_PLAIN)} can be exported")


def _from_start(forest: Forest, live: Live) -> Fitted:
    """Add what the trees start from: what they do not say themselves of a row."""
    row = np.zeros((1, live.width))
    own = live.estimator
    said = own.decision_function(row) if live.link.is_class else own.predict(row)
    start = np.asarray(said, dtype=np.float64).reshape(-1) - added_up(forest, row.astype(np.float32))[0]
    return _grown(_to_classes(replace(forest, offset=start), live), live, "margin")


def _tree(found: Any, value: Floats, *, output: int, wide: int, scale: float) -> Forest:
    nodes = found.__getstate__()["nodes"]
    is_leaf = nodes["left_child"] < 0
    return _one(
        yes=nodes["left_child"],
        no=nodes["right_child"],
        is_leaf=is_leaf,
        column=nodes["feature"],
        at_most=nodes["threshold"],
        missing_is_yes=nodes["missing_go_to_left"] == 1,
        rows=nodes["weighted_n_node_samples"],
        value=scale * value,
        output=output,
        wide=wide,
    )


def _histogram_tree(nodes: npt.NDArray[Any], *, output: int, wide: int) -> Forest:
    return _one(
        yes=nodes["left"],
        no=nodes["right"],
        is_leaf=nodes["is_leaf"] == 1,
        column=nodes["feature_idx"],
        at_most=nodes["num_threshold"],
        missing_is_yes=nodes["missing_go_to_left"] == 1,
        rows=nodes["count"],
        value=nodes["value"],
        output=output,
        wide=wide,
    )


def _one(
    *,
    yes: npt.NDArray[Any],
    no: npt.NDArray[Any],
    is_leaf: npt.NDArray[np.bool_],
    column: npt.NDArray[Any],
    at_most: Floats,
    missing_is_yes: npt.NDArray[np.bool_],
    rows: npt.NDArray[Any],
    value: Floats,
    output: int,
    wide: int,
) -> Forest:
    """Return one tree; the library compares float32 numbers with double bounds."""
    return Forest(
        tree=np.zeros(len(yes), dtype=np.int64),
        yes=np.where(is_leaf, -1, yes.astype(np.int64)),
        no=np.where(is_leaf, -1, no.astype(np.int64)),
        column=np.where(is_leaf, 0, column.astype(np.int64)),
        at_most=np.where(is_leaf, 0.0, floor_to_float32(np.where(is_leaf, 0.0, at_most))),
        codes={},
        missing_is_yes=missing_is_yes & ~is_leaf,
        rows=rows.astype(np.float64),
        value=np.where(is_leaf, value, 0.0),
        output=np.full(len(yes), output, dtype=np.int64),
        offset=np.zeros(wide),
    )


def _grown(forest: Forest, live: Live, link: Literal["margin", "share"]) -> GrownFitted:
    native = to_grown(
        forest,
        task=live.task,
        width=live.width,
        link=link,
        refuses=live.refuses,
        witness=live.mixed if link == "share" else live.witness,
    )
    return GrownFitted(native)


# All else


def _whole(live: Live) -> Fitted:
    """Convert by skl2onnx: in double where ONNX Runtime can, else in float32."""
    problems: list[str] = []
    for kind in (DoubleTensorType, FloatTensorType):
        try:
            return _converted(live, kind)
        # Converters are many, and of several authors: they raise anything.
        except Exception as error:  # noqa: BLE001 -- what cannot be converted is refused with the reason, whatever it was
            problems.append(_reason(error))
    raise NoExportError(problems[-1])


def _reason(error: Exception) -> str:
    text = error.what if isinstance(error, LinewrightError) else str(error)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"skl2onnx does not convert it ({type(error).__name__}: {first[:200]})"


def _converted(live: Live, kind: type[Any]) -> Fitted:
    own = live.estimator
    is_class = live.link.is_class
    model = convert_sklearn(
        own,
        name="estimator",
        initial_types=[("x", kind([None, live.width]))],
        target_opset=dict(OPSETS),
        options={id(own): {"zipmap": False}} if is_class else None,
    )
    if not isinstance(model, ModelProto):
        raise NoExportError("skl2onnx makes no model of it")
    graph = Graph()
    inner = "double" if kind is DoubleTensorType else "float"
    body = graph.include(model, {"x": graph.cast("x", inner)}, inner)
    found = graph.cast(body[1] if is_class else body[0], "double")
    if is_class:
        places = np.zeros((len(live.codes), live.classes))
        places[np.arange(len(live.codes)), live.codes] = 1.0
        found = opinion(graph, graph.add("MatMul", found, graph.constant(places)), live.classes)
    else:
        found = graph.add("Reshape", found, graph.constant([-1, 1], np.int64))
    answer(graph, found, live.refuses)
    outputs = live.classes if is_class else 1
    native = WholeNative(
        task=live.task,
        width=live.width,
        outputs=outputs,
        graph=graph.serialize(width=live.width, outputs=outputs, name=SHARES),
        refuses=live.refuses,
        witness=live.mixed,
    )
    fitted = WholeFitted(native)
    fitted.scores(live.asked[:1])
    return fitted


def _either(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))


_SUBCLASSED = frozenset({lightgbm.LGBMModel, xgboost.XGBModel})
_CONVERTERS: tuple[tuple[type[Any], Callable[[Live], Fitted]], ...] = (
    (lightgbm.LGBMModel, _lightgbm),
    (xgboost.XGBModel, _xgboost),
    *(
        (kind, _shares)
        for kind in (
            tree.DecisionTreeClassifier,
            tree.DecisionTreeRegressor,
            tree.ExtraTreeClassifier,
            tree.ExtraTreeRegressor,
            ensemble.RandomForestClassifier,
            ensemble.RandomForestRegressor,
            ensemble.ExtraTreesClassifier,
            ensemble.ExtraTreesRegressor,
        )
    ),
    (ensemble.GradientBoostingClassifier, _gradient),
    (ensemble.GradientBoostingRegressor, _gradient),
    (ensemble.HistGradientBoostingClassifier, _histogram),
    (ensemble.HistGradientBoostingRegressor, _histogram),
)
