"""Packages answer as the libraries that trained their models, on 10,000 rows of which half are put on thresholds or beside them."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from linewright.data.facts import Column
from linewright.features.encode_table import encode_table
from linewright.features.facts import Category, Encoder, Number
from linewright.features.learn import learn
from linewright.interfaces.python.factory import Factory
from linewright.model.export.parity import ALLOWED
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration, Package
from linewright.model.families import lightgbm as boosted
from linewright.model.families import xgboost as xgb
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.trainer import TRAINERS
from linewright.model.package.model import Model, calibrate, open_model
from linewright.store.values import digest_of_bytes
from linewright.worlds.fraud.world import FraudWorld

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = 10_000
SETTINGS = {
    "lightgbm": {"learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 5},
    "xgboost": {"learning_rate": 0.1, "max_depth": 5, "subsample": 0.8},
    "linear": {"c": 1.0, "hinges": True},
}
KINDS = {
    "lightgbm": {"lightgbm": 1.0},
    "xgboost": {"xgboost": 1.0},
    "linear": {"linear": 1.0},
    "sum": {"lightgbm": 0.5, "xgboost": 0.3, "linear": 0.2},
}
TABLES = ("breast_cancer", "digits", "diabetes", "world", "world of classes", "world of numbers")


class Rows(NamedTuple):
    """Encoded rows of a table, and what is predicted."""

    x: np.ndarray
    target: np.ndarray
    task: str
    classes: int
    categorical: tuple[int, ...] = ()


def rows_of(table: str) -> Rows:
    if table in {"breast_cancer", "digits", "diabetes"}:
        load, task, classes = {
            "breast_cancer": (load_breast_cancer, "binary", 2),
            "digits": (load_digits, "multiclass", 10),
            "diabetes": (load_diabetes, "regression", 0),
        }[table]
        x, target = load(return_X_y=True)
        return Rows(x.astype(np.float32), target, task, classes)
    world = FraudWorld(1)
    days = [world.day(world.attack_day + number) for number in range(2)]
    frame = pl.concat([day.payments for day in days]).drop("payment", "paid_at", "customer")
    likely = np.concatenate([day.p_true for day in days])
    types = {
        name: "category" if kind == pl.String else "number"
        for name, kind in frame.schema.items()
        if table != "world of classes" or name != "channel"
    }
    encoder = learn(frame, [Column(name=name, type=kind) for name, kind in types.items()])
    x, codes = encode_table(encoder, frame), encoder.categorical
    match table:
        case "world":
            return Rows(x, (likely > np.median(likely)).astype(np.int64), "binary", 2, codes)
        case "world of classes":
            names, target = np.unique(frame["channel"].to_numpy(), return_inverse=True)
            return Rows(x, target.astype(np.int64), "multiclass", len(names), codes)
        case _:
            return Rows(x, np.log(likely), "regression", 0, codes)


def fit(family: str, rows: Rows, *, rounds: int = 30) -> Any:
    return TRAINERS[family].fit(
        rows.x,
        rows.target,
        np.ones(len(rows.x)),
        categorical=rows.categorical,
        task=rows.task,
        classes=rows.classes,
        rounds=rounds,
        valid=None,
        seed=1,
        settings=SETTINGS[family],
    )


def packaged(fitted: Any, rows: Rows, calibration: Calibration | None = None) -> Model:
    width = rows.x.shape[1]
    graph = to_onnx(fitted.to_native(), width)
    encodings = [
        Category(column=f"c{i}", levels=()) if i in rows.categorical else Number(column=f"c{i}")
        for i in range(width)
    ]
    package = Package(
        task=rows.task,
        label="y",
        classes=tuple(f"class {code}" for code in range(rows.classes)),
        key=None,
        columns=(),
        encoder=Encoder(encodings=tuple(encodings)),
        graph=digest_of_bytes(graph),
        graph_bytes=len(graph),
        calibration=calibration or Calibration(),
        threshold=0.4 if rows.task == "binary" else None,
        half_width=None,
        golden="",
        trained="",
    )
    return open_model(package, graph)


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("parity")


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("table", TABLES)
def test_a_package_answers_as_the_libraries_of_its_members(parity: ModuleType, table: str, kind: str):
    """A client must get what was judged; only rows on a threshold show a comparison that is off by one float."""
    rows = rows_of(table)
    members = [Member(weight, fit(family, rows)) for family, weight in KINDS[kind].items()]
    fitted = EnsembleFitted(members) if len(members) > 1 else members[0].fitted
    drawn, moved = parity.hard_rows(rows.x, parity.thresholds_of(fitted), rows=ROWS, seed=2)

    found = parity.beside_libraries(fitted, packaged(fitted, rows), drawn)

    assert (ROWS, ROWS // 2) == (len(drawn), moved)
    assert found.largest <= ALLOWED
    assert (0, 0) == (found.flips, found.otherwise)
    assert found.is_right


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(method="sigmoid", parameters=(1.8, -0.3)),
        Calibration(method="isotonic", x=(0.1, 0.5, 0.9), y=(0.01, 0.6, 0.99)),
    ],
    ids=["sigmoid", "isotonic"],
)
def test_calibrated_packages_do_too(parity: ModuleType, calibration: Calibration):
    """Calibration may widen what float32 rounds."""
    rows = rows_of("breast_cancer")
    fitted = fit("lightgbm", rows, rounds=150)
    drawn, _ = parity.hard_rows(rows.x, parity.thresholds_of(fitted), rows=ROWS, seed=2)

    assert parity.beside_libraries(fitted, packaged(fitted, rows, calibration), drawn).is_right


@pytest.mark.parametrize("table", TABLES)
def test_it_answers_as_the_model_that_lightgbm_trained(
    parity: ModuleType, table: str, monkeypatch: pytest.MonkeyPatch
):
    """Before its thresholds were made float32: what is kept must be what was trained."""
    texts: list[str] = []
    exact_text = boosted.exact_text
    monkeypatch.setattr(boosted, "exact_text", lambda text: texts.append(text) or exact_text(text))
    rows = rows_of(table)
    fitted = fit("lightgbm", rows)
    native = fitted.native
    trained = BoostedFitted(msgspec.structs.replace(native, text=texts[0]))
    drawn, _ = parity.hard_rows(rows.x, parity.thresholds_of(trained), rows=ROWS, seed=3)
    own = lgb.Booster(model_str=texts[0]).predict(drawn)

    found = packaged(fitted, rows).scores(drawn)

    if rows.task == "regression":
        own = native.offset + native.scale * own
        assert np.abs(own - found).max() <= ALLOWED * own.std()
    else:
        assert np.abs(own - (found[:, 1] if rows.task == "binary" else found)).max() <= ALLOWED


@pytest.mark.parametrize("table", TABLES)
def test_it_answers_as_the_model_that_xgboost_trained(
    parity: ModuleType, table: str, monkeypatch: pytest.MonkeyPatch
):
    """Before its trees were numbered anew and its sets turned around."""
    boosters: list[xgboost.Booster] = []
    trees_of = xgb._trees_of
    monkeypatch.setattr(xgb, "_trees_of", lambda booster: boosters.append(booster) or trees_of(booster))
    rows = rows_of(table)
    fitted = fit("xgboost", rows)
    native = fitted.native
    drawn, _ = parity.hard_rows(rows.x, parity.thresholds_of(fitted), rows=ROWS, seed=4)
    offset = native.intercept[0] if rows.task == "regression" else 0.0
    start = [0.0] if rows.task == "regression" else native.intercept
    matrix = xgboost.DMatrix(
        drawn,
        base_margin=np.tile(np.float32(start), (ROWS, 1)),
        feature_types=["c" if column in rows.categorical else "q" for column in range(drawn.shape[1])],
        enable_categorical=True,
    )
    own = boosters[0].predict(matrix).astype(np.float64)

    found = packaged(fitted, rows).scores(drawn)

    if rows.task == "regression":
        own = offset + native.scale * own
        assert np.abs(own - found).max() <= ALLOWED * own.std()
    else:
        assert np.abs(own - (found[:, 1] if rows.task == "binary" else found)).max() <= ALLOWED


def test_a_threshold_that_is_off_by_one_float_is_found(parity: ModuleType):
    """Else the rows would prove nothing."""
    rows = rows_of("breast_cancer")
    fitted = fit("lightgbm", rows)

    def moved(line: re.Match[str]) -> str:
        numbers = [np.nextafter(np.float32(word), np.float32(np.inf)) for word in line[1].split()]
        return f"threshold={' '.join(repr(float(one)) for one in numbers)}"

    text = re.sub(r"^threshold=(.*)$", moved, fitted.native.text, flags=re.MULTILINE)
    other = BoostedFitted(msgspec.structs.replace(fitted.native, text=text))
    drawn, _ = parity.hard_rows(rows.x, parity.thresholds_of(fitted), rows=ROWS, seed=2)

    found = parity.beside_libraries(fitted, packaged(other, rows), drawn)

    assert found.largest > ALLOWED
    assert found.flips > 0
    assert not found.is_right


def test_rows_are_moved_where_they_should_be_and_nowhere_else(parity: ModuleType):
    """Half on the table's own rows, half on a threshold, the number above or the one below."""
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    largest, half = np.finfo(np.float32).max, np.float32(0.5)
    thresholds = {1: np.array([half, largest])}

    drawn, moved = parity.hard_rows(x, thresholds, rows=101, seed=0)
    none, unmoved = parity.hard_rows(x, {}, rows=5, seed=0)

    up, down = np.float32([np.inf, -np.inf])
    may_be = {half, np.nextafter(half, up), np.nextafter(half, down), largest, np.nextafter(largest, down)}
    own = {tuple(row) for row in x.tolist()}
    assert (101, 50) == (len(drawn), moved)
    assert {tuple(row) for row in drawn[:51].tolist()} == own
    assert may_be == {*drawn[51:, 1]}
    assert {tuple(row) for row in drawn[51:, ::2].tolist()} <= {row[::2] for row in own}
    assert (5, 0) == (len(none), unmoved)


def test_what_the_libraries_say_is_calibrated_as_the_package_is(parity: ModuleType):
    """A raw score beside a calibrated one would differ for no fault of the package."""
    rows = rows_of("breast_cancer")
    fitted = fit("linear", rows)
    calibration = Calibration(method="sigmoid", parameters=(0.5, 0.2))

    raw = parity.of_libraries(fitted, rows.x)

    assert not np.allclose(raw, calibrate(calibration, raw), atol=0.01)
    assert parity.beside_libraries(fitted, packaged(fitted, rows, calibration), rows.x).is_right


@pytest.mark.slow
def test_the_model_of_a_line_is_looked_at_as_it_serves(parity: ModuleType, tmp_path: Path):
    """With the encoder, the calibration and the threshold that it was packaged with."""
    root = tmp_path / "factory"
    bunch = load_breast_cancer()
    frame = pl.DataFrame(bunch.data, schema=[f"c{i}" for i in range(bunch.data.shape[1])])
    frame.with_columns(kind=pl.Series(bunch.target_names[bunch.target])).write_csv(tmp_path / "table.csv")
    with Factory.create(root) as factory:
        factory.new("tumours", data=tmp_path / "table.csv", label="kind", positive="malignant")
        line = root / "lines" / "tumours.yaml"
        line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
        factory.run("tumours")

    cells, is_right = parity.look_at(root, "tumours", 2_000)

    assert is_right
    assert ["tumours", "binary"] == cells[:2]
    assert ["2,000", "1,000"] == cells[5:7]
    assert ["0", "500", "0"] == cells[8:]
