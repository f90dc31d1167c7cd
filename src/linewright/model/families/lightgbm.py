"""Gradient-boosted trees by LightGBM, kept as text that any float32 reader follows exactly.

LightGBM compares doubles; what serves compares float32 numbers. `exact_text` rewrites a model's text so that the two
cannot differ, and the rewritten text is the model from then on: it is what is kept, judged and exported.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.forest import Forest
from linewright.model.families.lightgbm_format import exact_text, forest_of
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

# OpenMP reads this when LightGBM is loaded; threads that spin cost hundredfold time on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import lightgbm as lgb

_OBJECTIVES: dict[Link, str] = {LOGISTIC: "binary", SOFTMAX: "multiclass", IDENTITY: "regression"}


class BoostedNative(msgspec.Struct, frozen=True, kw_only=True, tag="lightgbm", tag_field="family"):
    """A LightGBM model as plain data."""

    task: Task
    width: int
    """Columns of the matrix that it reads."""
    offset: float
    scale: float
    """For regression: prediction = offset + scale * sum of the trees. Otherwise 0 and 1."""
    text: str
    """LightGBM's model text, thresholds and missing values rewritten by `exact_text`."""


class BoostedFitted:
    """A fitted LightGBM model; a `Fitted`."""

    def __init__(self, native: BoostedNative, *, rounds: int = 0) -> None:
        self.native = native
        self.rounds = rounds
        try:
            self.booster = lgb.Booster(model_str=native.text)
        except lgb.basic.LightGBMError as error:
            raise Corrupt(f"not a LightGBM model: {error}", where="native model") from error

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,)."""
        native = self.native
        raw = np.asarray(self.booster.predict(x, raw_score=True, num_threads=1), dtype=np.float64)
        sums = raw.reshape(len(x), self.booster.num_model_per_iteration())
        return link_of(native.task).to_scores(native.offset + native.scale * sums)

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return each numeric column's thresholds, ascending."""
        return self.forest().cuts()

    def forest(self) -> Forest:
        """Return the trees; their sum is the margin."""
        native = self.native
        forest = forest_of(native.text, outputs=self.booster.num_model_per_iteration())
        return replace(forest, value=native.scale * forest.value, offset=forest.offset + native.offset)

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


class Boosted:
    """LightGBM on one thread with fixed seeds; a `Trainer`.

    Settings: any of LightGBM's parameters; ``rounds``, the cap while `valid` is watched; and ``patience``, the rounds
    without improvement after which to stop.
    """

    family = "lightgbm"

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
    ) -> BoostedFitted:
        """Fit trees; see `Trainer.fit`."""
        link = link_of(task)
        offset, scale = (0.0, 1.0) if link.is_class else centre_and_scale(target, weight)
        data = lgb.Dataset(
            x,
            (target - offset) / scale,
            weight=weight,
            feature_name=[f"f{i}" for i in range(x.shape[1])],
            categorical_feature=list(categorical),
        )
        watched: list[lgb.Dataset] = []
        callbacks: list[Callable[..., Any]] = []
        if rounds is None and valid is not None:
            held, truth, mass = valid
            watched.append(data.create_valid(held, (truth - offset) / scale, weight=mass))
            callbacks.append(lgb.early_stopping(settings["patience"], verbose=False))
        booster = lgb.train(
            _parameters(link, classes, seed, settings),
            data,
            num_boost_round=rounds or settings["rounds"],
            valid_sets=watched,
            callbacks=callbacks,
        )
        used = booster.best_iteration if watched else booster.current_iteration()
        text = exact_text(booster.model_to_string(num_iteration=used))
        native = BoostedNative(task=task, width=x.shape[1], offset=offset, scale=scale, text=text)
        return BoostedFitted(native, rounds=used)


def _parameters(link: Link, classes: int, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in settings.items() if name not in {"rounds", "patience"}}
    return {
        **own,
        "objective": _OBJECTIVES[link],
        "num_class": link.outputs(classes),
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
