"""Parity: a package that would answer otherwise than the trained model is not let through."""

import re

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from linewright.errors import SpecError, Terminal
from linewright.features.facts import Category, Encoder, Number
from linewright.model.export.parity import ALLOWED, parity
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration, Package
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.trainer import TRAINERS
from linewright.model.package.model import open_model
from linewright.store.values import digest_of_bytes
from linewright.testing.trainers import CODES, TASKS, ScriptedTrainer, class_count, mixed_rows

SETTINGS = {
    "lightgbm": {"learning_rate": 0.2, "num_leaves": 31, "min_data_in_leaf": 3, "patience": 10, "rounds": 60},
    "linear": {"c": 1.0, "hinges": False},
    "xgboost": {"learning_rate": 0.2, "max_depth": 6, "min_child_weight": 2, "subsample": 0.8},
}


def encoder(width=6, codes=CODES):
    return Encoder(
        encodings=tuple(
            Category(column=f"c{i}", levels=()) if i in codes else Number(column=f"c{i}")
            for i in range(width)
        )
    )


def packaged(native, task, *, calibration=None, threshold=0.4, codes=CODES):
    graph = to_onnx(native.to_native(), native.native.width)
    package = Package(
        task=task,
        label="y",
        classes=tuple("abcdefghij"[: native.scores(np.zeros((1, native.native.width), np.float32)).size])
        if task != "regression"
        else (),
        key=None,
        columns=(),
        encoder=encoder(native.native.width, codes),
        graph=digest_of_bytes(graph),
        graph_bytes=len(graph),
        calibration=calibration or Calibration(),
        threshold=threshold if task == "binary" else None,
        half_width=None,
        golden="",
        trained="",
    )
    return open_model(package, graph)


def fitted(family, task, *, rounds=40, shift=0.0):
    x, target, weight = mixed_rows(task, n=800)
    model = TRAINERS[family].fit(
        x,
        target + shift if shift else target,
        weight,
        categorical=CODES,
        task=task,
        classes=class_count(task),
        rounds=rounds,
        valid=None,
        seed=1,
        settings=SETTINGS[family],
    )
    return model, mixed_rows(task, n=300, seed=1)[0]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", list(SETTINGS))
def test_a_package_answers_as_its_model(family, task):
    """On held-out rows, with missing values, new codes, and beside thresholds."""
    native, x = fitted(family, task)
    model = packaged(native, task)
    found = parity(native, model, x=x, seed=3)

    assert model.digest == found.package
    assert found.largest <= ALLOWED == found.allowed
    assert 0 == found.flips
    assert 3 * len(x) < found.rows
    assert found == parity(native, model, x=x, seed=3)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(method="sigmoid", parameters=(0.75, 0.3)),
        Calibration(method="sigmoid", parameters=(1.8, -0.3)),
        Calibration(method="isotonic", x=(0.1, 0.5, 0.9), y=(0.01, 0.6, 0.99)),
    ],
    ids=["softer", "sharper", "curve"],
)
def test_calibration_is_part_of_the_comparison(calibration):
    """Answers are compared as clients get them."""
    native, x = fitted("lightgbm", "binary", rounds=150)

    assert parity(native, packaged(native, "binary", calibration=calibration), x=x, seed=3).largest <= ALLOWED


def test_a_table_without_categories_has_parity():
    """Thirty numbers of a real table, and a model that is sure of itself."""
    x, target = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    native = TRAINERS["lightgbm"].fit(
        x,
        target,
        np.ones(len(x)),
        categorical=(),
        task="binary",
        classes=2,
        rounds=150,
        valid=None,
        seed=1,
        settings=SETTINGS["lightgbm"],
    )
    model = packaged(
        native, "binary", codes=(), calibration=Calibration(method="sigmoid", parameters=(0.75, -0.2))
    )

    assert parity(native, model, x=x, seed=0).largest <= ALLOWED


def test_numbers_far_from_zero_have_parity_as_far_as_float32_goes():
    """Years, for example: 2,000 with a spread of ten."""
    native, x = fitted("lightgbm", "regression", shift=1_000)

    assert parity(native, packaged(native, "regression"), x=x, seed=3).largest <= ALLOWED


def test_unrounded_thresholds_are_caught():
    """The trap of exporting doubles: a row on a threshold falls to the other side."""
    x = np.linspace(0, 1, 2_000, dtype=np.float32)[:, None]
    native = TRAINERS["lightgbm"].fit(
        x,
        np.sin(20 * x[:, 0].astype(np.float64)),
        np.ones(2_000),
        categorical=(),
        task="regression",
        classes=0,
        rounds=20,
        valid=None,
        seed=1,
        settings=SETTINGS["lightgbm"],
    )
    cut = float(native.cuts()[0][5])
    # A double just below the float32 threshold: rows on it now go right, in this model but not in the graph.
    moved = native.native.text.replace(repr(cut), repr(np.nextafter(cut, -1).item()))
    broken = BoostedFitted(msgspec.structs.replace(native.native, text=moved))

    assert moved != native.native.text
    with pytest.raises(Terminal, match="threshold rows"):
        parity(broken, packaged(native, "regression", codes=()), x=x, seed=0)


def test_another_side_for_missing_values_is_caught():
    """It shows only on rows that miss a value."""
    native, x = fitted("lightgbm", "binary")
    moved = re.sub(
        r"^decision_type=.*$", lambda line: line[0].replace("10", "8"), native.native.text, flags=re.MULTILINE
    )
    broken = BoostedFitted(msgspec.structs.replace(native.native, text=moved))

    with pytest.raises(Terminal, match="missing-value rows") as caught:
        parity(broken, packaged(native, "binary"), x=np.nan_to_num(x), seed=0)
    assert caught.value.details["largest"] > ALLOWED


def scripted(slope, offset):
    return ScriptedTrainer(slope=(slope,), offset=(offset,)).fit(
        np.zeros((1, 6), np.float32),
        np.zeros(1),
        np.ones(1),
        categorical=CODES,
        task="binary",
        classes=2,
        rounds=None,
        valid=None,
        seed=0,
        settings={},
    )


def test_other_decisions_are_counted():
    """The message says how many, and what to do."""
    x = mixed_rows("binary")[0]
    with pytest.raises(Terminal, match=r"[1-9]\d* other decisions.*previous champion") as caught:
        parity(scripted(1.0, 0.3), packaged(scripted(1.0, 0.0), "binary"), x=x, seed=0)

    assert caught.value.details["flips"] > 0


def test_a_difference_within_rounding_is_no_matter():
    """Float32 is what clients get."""
    x = mixed_rows("binary")[0]
    found = parity(scripted(1.0, 1e-6), packaged(scripted(1.0, 0.0), "binary"), x=x, seed=0)

    assert 1e-8 < found.largest < ALLOWED


def test_no_rows_prove_nothing():
    """A package without evidence is not let through."""
    native, x = fitted("linear", "binary")

    with pytest.raises(SpecError, match="no held-out rows"):
        parity(native, packaged(native, "binary"), x=x[:0], seed=0)
