"""Gradient-boosted trees by XGBoost, kept as plain lists of numbers.

XGBoost compares float32 numbers, as what serves does, so that its thresholds stay as they are. Two things are ours. Margins
start from shares of the classes, or from the mean, that we compute and keep. And the leaf of each row is found by XGBoost,
while what the leaves say is added up here in double: XGBoost adds in float32, which over a thousand trees would be off by
what `parity` allows.
"""

import os
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.forest import Forest
from linewright.model.families.xgboost_format import (
    SUMS,
    GrownTree,
    Learner,
    XGBoostTree,
    forest_of,
    hangs_together,
    intercept_of,
    learner_of,
    read_tree,
    rounds_of,
    to_float32,
)
from linewright.model.tasks import link_of
from linewright.model.tasks.links import (
    IDENTITY,
    LOGISTIC,
    SOFTMAX,
    Floats,
    Link,
    Matrix,
    Valid,
    centre_and_scale,
)

# OpenMP reads this when XGBoost is loaded; threads that spin cost hundredfold time on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import xgboost

_OBJECTIVES: dict[Link, str] = {
    LOGISTIC: "binary:logistic",
    SOFTMAX: "multi:softprob",
    IDENTITY: "reg:squarederror",
}
_ABSENT = 0.1
"""Rows that each class is taken to have beside those that it has, so that an absent one gets a small probability."""
_AT_ONCE = 1 << 20
"""Leaves that are found at once."""
_NO_PARENT = (1 << 31) - 1
_VERSION = (3, 2, 0)
"""Of XGBoost's document that is written here; later versions read it."""


class XGBoostNative(msgspec.Struct, frozen=True, kw_only=True, tag="xgboost", tag_field="family"):
    """An XGBoost model as plain data: margins are intercept + scale * the sum of the trees."""

    task: Task
    width: int
    """Columns of the matrix that it reads."""
    intercept: tuple[float, ...]
    """One for each output: a class, or the only one. The trees of a round stand in that order."""
    scale: float
    """Of the regression target; otherwise 1."""
    trees: tuple[XGBoostTree, ...]


class XGBoostFitted:
    """A fitted XGBoost model; a `Fitted`."""

    def __init__(self, native: XGBoostNative, *, rounds: int = 0) -> None:
        self.native = native
        self.rounds = rounds
        _check(native)
        try:
            self.booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(_document(native)))
        except xgboost.core.XGBoostError as error:
            first = next(iter(str(error).splitlines()), "")
            raise Corrupt(f"not an XGBoost model: {first}", where="native model") from error
        sizes = [len(tree.left) for tree in native.trees]
        self._values = np.concatenate([to_float32(tree.bound) for tree in native.trees])
        self._starts = np.array([0, *accumulate(sizes)][:-1], dtype=np.int64)

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,)."""
        native = self.native
        sums = np.zeros((len(x), len(native.intercept)))
        step = max(1, _AT_ONCE // len(native.trees))
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            rows = xgboost.DMatrix(x[part], nthread=1)
            leaves = self.booster.predict(rows, pred_leaf=True).reshape(rows.num_row(), len(native.trees))
            values = self._values[self._starts + leaves.astype(np.int64)]
            sums[part] = values.reshape(len(values), -1, sums.shape[1]).sum(axis=1)
        margins = np.array(native.intercept) + native.scale * sums
        return link_of(native.task).to_scores(margins)

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return, by numeric column, the largest numbers below its thresholds, ascending."""
        return self.forest().cuts()

    def forest(self) -> Forest:
        """Return the trees; their sum is the margin.

        The rows of a node are second derivatives of the loss, added up over its training rows, as XGBoost counts for
        explanations: weights for regression; otherwise rows that the model is sure of count less.
        """
        native = self.native
        return forest_of(native.trees, intercept=native.intercept, scale=native.scale)

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


class XGBoost:
    """XGBoost's histogram trees on one thread with a fixed seed; a `Trainer`.

    Settings: any of XGBoost's parameters for trees, one an output and round; ``rounds``, the cap while `valid` is watched; and ``patience``, the
    rounds without improvement after which to stop.
    """

    family = "xgboost"

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> XGBoostFitted:
        """Fit trees; see `Trainer.fit`."""
        link = link_of(task)
        centre, scale = (0.0, 1.0) if link.is_class else centre_and_scale(target, weight)
        start = start_of(target, weight, classes) if link.is_class else np.zeros(1)
        kinds = ["c" if column in categorical else "q" for column in range(x.shape[1])]
        shared = {"feature_types": kinds, "enable_categorical": True, "nthread": 1}
        watched = valid if rounds is None else None

        def held(
            kind: type[xgboost.DMatrix], rows: Matrix, truth: npt.NDArray[Any], mass: Floats
        ) -> xgboost.DMatrix:
            margins = np.broadcast_to(start.astype(np.float32), (len(rows), len(start)))
            return kind(rows, label=(truth - centre) / scale, weight=mass, base_margin=margins, **shared)

        booster = xgboost.train(
            _parameters(link, classes, seed, settings),
            held(xgboost.QuantileDMatrix, x, target, weight),
            rounds or settings["rounds"],
            # Not by quantiles of the other rows: those would take a code that only these have for one of theirs.
            evals=[(held(xgboost.DMatrix, *watched), "valid")] if watched else [],
            early_stopping_rounds=settings["patience"] if watched else None,
            verbose_eval=False,
        )
        used = booster.best_iteration + 1 if watched else booster.num_boosted_rounds()
        seen = {
            column: frozenset(np.unique(x[:, column]).astype(np.int64).tolist()) for column in categorical
        }
        native = XGBoostNative(
            task=task,
            width=x.shape[1],
            intercept=tuple((centre + start).tolist()),
            scale=scale,
            trees=tuple(read_tree(tree, seen) for tree in _trees_of(booster)[: used * len(start)]),
        )
        return XGBoostFitted(native, rounds=used)


def _parameters(link: Link, classes: int, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in settings.items() if name not in {"rounds", "patience"}}
    return {
        **own,
        "objective": _OBJECTIVES[link],
        **({"num_class": classes} if link is SOFTMAX else {}),
        "tree_method": "hist",
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
    }


def start_of(target: npt.NDArray[Any], weight: Floats, classes: int) -> Floats:
    """Return margins that answer with the shares of the classes, as float32 numbers: those are where training starts."""
    mass = np.bincount(target, weights=weight, minlength=classes) + _ABSENT
    margins = np.log(mass[1:] / mass[:1]) if classes == 2 else np.log(mass / mass.sum())
    return margins.astype(np.float32).astype(np.float64)


def _trees_of(booster: xgboost.Booster) -> list[GrownTree]:
    """Return the trees."""
    grown = _learner_of(booster).gradient_booster.model
    return grown.trees if grown else []


def _learner_of(booster: xgboost.Booster) -> Learner:
    """Return a model as XGBoost writes it; a bound that no number reaches is the largest float32 number."""
    return learner_of(bytes(booster.save_raw("json")).replace(b"Infinity", b"3.4028235e38"))


def fitted_of(
    booster: xgboost.Booster, *, task: Task, width: int, classes: int, used: int | None
) -> XGBoostFitted | str:
    """Return a model that XGBoost's own interfaces fitted, or why it is none of ours."""
    try:
        learner = _learner_of(booster)
    except msgspec.ValidationError:
        return "it is made of something else than trees with one output each (booster gbtree)"
    link = link_of(task)
    outputs = link.outputs(classes)
    if learner.objective.name not in SUMS[link]:
        return f"its objective is {learner.objective.name!r}, and {' or '.join(sorted(SUMS[link]))} can be exported"
    grown = rounds_of(learner, outputs=outputs, rounds=None if used is None else used + 1)
    if isinstance(grown, str):
        return grown
    if any(tree.categories_nodes for tree in grown):
        return (
            "its trees have sets of categories of its own; here they are codes, which it can take for numbers"
        )
    native = XGBoostNative(
        task=task,
        width=width,
        intercept=intercept_of(learner, outputs=outputs),
        scale=1.0,
        trees=tuple(read_tree(tree, {}) for tree in grown),
    )
    return XGBoostFitted(native)


def _check(native: XGBoostNative) -> None:
    """Refuse what does not hang together as trees: XGBoost itself would read beside its memory."""
    outputs = len(native.intercept)
    is_whole = outputs > 0 and len(native.trees) > 0 and len(native.trees) % outputs == 0
    if not is_whole or not all(hangs_together(tree, native.width) for tree in native.trees):
        raise Corrupt("not an XGBoost model: its parts do not fit together", where="native model")


def _document(native: XGBoostNative) -> bytes:
    """Return a document from which XGBoost finds leaves: it adds up nothing, so that each tree may be a round."""
    many = len(native.trees)
    model = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(many)},
        "iteration_indptr": list(range(many + 1)),
        "tree_info": [0] * many,
        "trees": [_as_xgboost(number, tree, native.width) for number, tree in enumerate(native.trees)],
    }
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": "[0E0]",
            "boost_from_average": "0",
            "num_class": "0",
            "num_feature": str(native.width),
            "num_target": "1",
        },
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return msgspec.json.encode({"learner": learner, "version": _VERSION})


def _as_xgboost(number: int, tree: XGBoostTree, width: int) -> dict[str, Any]:
    size = len(tree.left)
    parents = [_NO_PARENT] * size
    for node, left in enumerate(tree.left):
        if left >= 0:
            parents[left] = parents[left + 1] = node
    splits = sorted(tree.codes)
    sizes = [len(tree.codes[split]) for split in splits]
    return {
        "base_weights": [0.0] * size,
        "categories": [code for split in splits for code in tree.codes[split]],
        "categories_nodes": splits,
        "categories_segments": [0, *accumulate(sizes)][:-1],
        "categories_sizes": sizes,
        "default_left": [int(each) for each in tree.is_missing_left],
        "id": number,
        "left_children": tree.left,
        "loss_changes": [0.0] * size,
        "parents": parents,
        "right_children": [-1 if left < 0 else left + 1 for left in tree.left],
        "split_conditions": tree.bound,
        "split_indices": tree.column,
        "split_type": [int(node in tree.codes) for node in range(size)],
        "sum_hessian": tree.mass,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(width),
            "num_nodes": str(size),
            "size_leaf_vector": "1",
        },
    }
