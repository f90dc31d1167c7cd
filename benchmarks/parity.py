"""Whether packages answer as the libraries that trained their models do, on and beside every kind of threshold.

    python benchmarks/parity.py --data FOLDER [--only PART-OF-A-NAME] [--budget normal] [--rows 10000]
    python benchmarks/parity.py --factory FOLDER

Each table of `shared_data.py` becomes a line and runs; or, with --factory, the models are taken from a factory that
``shared_data.py --keep`` left. Of each model's table --rows rows are drawn. Half of them stay as they are; in the others, each number
that the model asks about is, with even chance and at least once a row, put on one of the model's own thresholds, on the float32 number
above it or on the one below it. The package's graph answers them all, calibrated, as an endpoint does.

Beside it, every member of the model is asked in its own library: LightGBM adds up its trees, XGBoost finds leaves and adds up in float32,
scikit-learn multiplies a linear model's design (which is ours) by its coefficients. Their margins are summed with the members' weights.
A probability may differ by 1e-5; a number by 1e-5 of the spread of the predictions; and no decision that is further from its
threshold (of several classes: from the second best) than that may be another one. The first rows are also asked one by one.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from msgspec.structs import replace
from numpy.typing import NDArray
from rebuild import with_budget
from shared_data import DONE, EXPECTATIONS, Expected, Outcome, carry_out, make
from sklearn.linear_model import LinearRegression

from linewright.data.facts import Dataset, Split
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.python.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.split_rows import read_rows
from linewright.model.export.parity import ALLOWED
from linewright.model.facts import Package, Trained
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.fitted import Fitted
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.linear import LinearFitted, design
from linewright.model.families.trainer import read_native
from linewright.model.families.xgboost import XGBoostFitted
from linewright.model.package.model import Model, calibrate, load
from linewright.model.tasks import link_of
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.links import weighted

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
ROWS, ALONE = 10_000, 500
HEAD = (
    "table",
    "task",
    "members",
    "trees",
    "thresholds",
    "rows",
    "beside a threshold",
    "largest difference",
    "other decisions",
    "asked alone",
    "of them otherwise",
)


# What the libraries say


def members_of(fitted: Fitted) -> tuple[Member, ...]:
    """Return the members of a model with their weights; a model alone is one of weight 1."""
    return fitted.members if isinstance(fitted, EnsembleFitted) else (Member(1.0, fitted),)


def of_libraries(fitted: Fitted, x: Matrix) -> Floats:
    """Return the scores of a model as the libraries of its members compute them."""
    members = members_of(fitted)
    margins = [_margins(one.fitted, x) for one in members]
    return link_of(fitted.native.task).to_scores(weighted(margins, [one.weight for one in members]))


def _margins(fitted: Fitted, x: Matrix) -> Floats:
    """Return what a member adds up: shape (n, classes) of several classes, else (n,)."""
    match fitted:
        case BoostedFitted():
            raw = fitted.booster.predict(x, raw_score=True, num_threads=1)
            margins = fitted.native.offset + fitted.native.scale * np.asarray(raw).reshape(len(x), -1)
        case XGBoostFitted():
            sums = [_sum_of(fitted, output, x) for output in range(len(fitted.native.intercept))]
            margins = np.array(fitted.native.intercept) + fitted.native.scale * np.column_stack(sums)
        case LinearFitted():
            model = LinearRegression()
            model.coef_ = np.asarray(fitted.native.coefficients)
            model.intercept_ = np.asarray(fitted.native.intercept)
            margins = model.predict(design(fitted.native, x))
        case _:
            raise TypeError(type(fitted).__name__)
    return margins if fitted.native.task == "multiclass" else margins[:, 0]


def _sum_of(fitted: XGBoostFitted, output: int, x: Matrix) -> Floats:
    """Let XGBoost add up the trees of one output, which it does in float32."""
    trees = fitted.native.trees[output :: len(fitted.native.intercept)]
    alone = XGBoostFitted(replace(fitted.native, task="regression", intercept=(0.0,), trees=trees))
    rows = xgboost.DMatrix(x, nthread=1)
    return alone.booster.predict(rows, output_margin=True).astype(np.float64)


def thresholds_of(fitted: Fitted) -> dict[int, Matrix]:
    """Return each column's thresholds as the libraries of the members have them, the nearest float32 numbers, ascending."""
    found: dict[int, list[float]] = {}
    for one in members_of(fitted):
        for column, value in _thresholds(one.fitted):
            found.setdefault(column, []).append(value)
    return {column: np.unique(np.float32(found[column])) for column in sorted(found)}


def _thresholds(fitted: Fitted) -> Iterator[tuple[int, float]]:
    match fitted:
        case BoostedFitted():
            for tree in fitted.booster.dump_model()["tree_info"]:
                yield from _of_lightgbm(tree["tree_structure"])
        case XGBoostFitted():
            for tree in fitted.native.trees:
                splits = (node for node, left in enumerate(tree.left) if left >= 0 and node not in tree.codes)
                yield from ((tree.column[node], tree.bound[node]) for node in splits)
        case _:
            for column, values in fitted.cuts().items():
                yield from ((column, value) for value in values.tolist())


def _of_lightgbm(root: dict[str, Any]) -> Iterator[tuple[int, float]]:
    nodes = [root]
    for node in nodes:  # which grows
        if "split_feature" not in node:
            continue
        nodes += [node["left_child"], node["right_child"]]
        if node["decision_type"] == "<=":
            yield node["split_feature"], node["threshold"]


def trees_of(fitted: Fitted) -> int:
    """Return how many trees a model has, all members together."""
    return sum(
        one.fitted.booster.num_trees()
        if isinstance(one.fitted, BoostedFitted)
        else len(one.fitted.native.trees)
        for one in members_of(fitted)
        if isinstance(one.fitted, BoostedFitted | XGBoostFitted)
    )


# Rows, and what differs on them


def hard_rows(x: Matrix, thresholds: Mapping[int, Matrix], *, rows: int, seed: int) -> tuple[Matrix, int]:
    """Return rows of a table, and how many of them, the last ones, were put on or beside thresholds.

    Parameters
    ----------
    x : float32 array, shape (n, width)
        The rows of the table, encoded. Drawn without repetition as far as they go.
    thresholds
        By column.
    rows
        How many are wanted; of half of them, rounded down, numbers are moved, unless there are no thresholds.
    """
    chance = np.random.default_rng(seed)
    order = [chance.permutation(len(x)) for _ in range(-(-rows // len(x)))]
    drawn = x[np.concatenate(order)[:rows]].copy()
    if not thresholds:
        return drawn, 0
    moved = drawn[rows - rows // 2 :]
    columns = np.fromiter(thresholds, dtype=np.int64)
    is_moved = chance.random((len(moved), len(columns))) < 0.5
    is_moved[np.arange(len(moved)), chance.integers(len(columns), size=len(moved))] = True
    for place, (column, values) in enumerate(thresholds.items()):
        at = np.flatnonzero(is_moved[:, place])
        bounds = chance.choice(values, len(at))
        with np.errstate(over="ignore"):  # beside the largest number lies infinity, which no row may have
            ways = [bounds, *(np.nextafter(bounds, np.float32(end)) for end in (np.inf, -np.inf))]
        placed = np.choose(chance.integers(len(ways), size=len(at)), ways)
        moved[at, column] = np.where(np.isfinite(placed), placed, bounds)
    return drawn, len(moved)


@dataclass(frozen=True, kw_only=True)
class Found:
    """How a package answers beside the libraries."""

    largest: float
    """Largest difference of a probability; of a number, in spreads of the predictions."""
    flips: int
    """Decisions that differ though they are further than `ALLOWED` from their threshold."""
    alone: int
    """Rows that were also asked one by one."""
    otherwise: int
    """Of those, rows whose scores were not the same, bit for bit, among others."""

    @property
    def is_right(self) -> bool:
        """Whether it answers as it must."""
        return self.largest <= ALLOWED and not self.flips and not self.otherwise


def beside_libraries(fitted: Fitted, model: Model, x: Matrix) -> Found:
    """Ask a package and the libraries about the same rows."""
    package = model.package
    raw, found = of_libraries(fitted, x), model.scores(x)
    expected = calibrate(package.calibration, raw.reshape(len(x), -1)).reshape(raw.shape)
    alone = np.linspace(0, len(x) - 1, min(ALONE, len(x))).astype(np.int64)
    singles = np.concatenate([model.scores(x[row : row + 1]) for row in alone])
    is_same = (singles == found[alone]).reshape(len(alone), -1).all(axis=1)
    unit = 1.0 if package.classes else float(raw.std()) or 1.0
    return Found(
        largest=float(np.abs(found - expected).max()) / unit,
        flips=int(_flips(package, expected, found).sum()) if package.classes else 0,
        alone=len(alone),
        otherwise=int((~is_same).sum()),
    )


def _flips(package: Package, expected: Floats, found: Floats) -> NDArray[np.bool_]:
    decide = rules_of(package.task).decide
    if package.threshold is not None:
        margin = np.abs(expected[:, 1] - package.threshold)
    else:
        best = np.sort(expected, axis=1)
        margin = best[:, -1] - best[:, -2]
    other = decide(expected, package.threshold) != decide(found, package.threshold)
    return (margin > ALLOWED) & other


# Models of tables


def trained_on(expected: Expected, data: Path, root: Path, budget: str) -> str:
    """Make a line in a factory and run it; return what went wrong, or nothing."""
    outcome = Outcome(expected)
    if not make(root, data, outcome):
        return outcome.crashed
    line = root / "lines" / f"{expected.name}.yaml"
    line.write_text(with_budget(line.read_text(), budget))
    ended = carry_out(root, "run", expected.name, "--quiet")
    return "" if ended.code in DONE else f"run ended with {ended.code}: {ended.said[:300]}"


def look_at(root: Path, name: str, rows: int) -> tuple[list[str], bool]:
    """Return the row of the table of a line's first model, and whether the package answers as it must."""
    with Factory.open(root) as factory:
        digest = find_model(factory, f"{name}@1").digest
        model = load(digest, factory.artifacts.get)
        trained = factory.metadata.get(model.package.trained, Trained)
        dataset, split = (
            factory.metadata.get(one, kind)
            for one, kind in ((trained.dataset, Dataset), (trained.split, Split))
        )
        frame = read_rows(factory, dataset, split).frame
        x = encode(trained.encoder, to_columns(frame, trained.encoder.columns))
        fitted = read_native(factory.artifacts.get(trained.native))
    thresholds = thresholds_of(fitted)
    drawn, moved = hard_rows(x, thresholds, rows=rows, seed=0)
    found = beside_libraries(fitted, model, drawn)
    families = [f"{one.weight:.2g} {_family(one.fitted)}" for one in members_of(fitted)]
    cells: list[Any] = [
        name,
        model.package.task,
        ", ".join(families) if len(families) > 1 else _family(fitted),
        f"{trees_of(fitted):,}",
        f"{sum(map(len, thresholds.values())):,}",
        f"{len(drawn):,}",
        f"{moved:,}",
        f"{found.largest:.1e}",
        found.flips,
        found.alone,
        found.otherwise,
    ]
    return [str(one) for one in cells], found.is_right


def _family(fitted: Fitted) -> str:
    return {BoostedFitted: "lightgbm", XGBoostFitted: "xgboost", LinearFitted: "linear"}[type(fitted)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the tables")
    parser.add_argument("--factory", type=Path, help="take the first model of each line of this factory")
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", default="normal")
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    if (given.data is None) == (given.factory is None):
        parser.error("say where tables are, --data FOLDER, or where models are, --factory FOLDER")
    wanted = [one for one in EXPECTATIONS if given.only in one.name]
    libraries = [f"{name} {version(name)}" for name in ("lightgbm", "scikit-learn", "onnxruntime")]
    libraries.append(f"xgboost {xgboost.__version__}")  # whose distribution has one of several names
    print(
        f"Linewright {version('linewright')}, {', '.join(libraries)}, Python {platform.python_version()}, "
        f"{platform.machine()}, {time.strftime('%Y-%m-%d')}\n"
    )
    print(f"| {' | '.join(HEAD)} |\n|---|---|---|{'---:|' * (len(HEAD) - 3)}", flush=True)
    right, troubles = 0, list[str]()
    for expected in wanted:
        with tempfile.TemporaryDirectory(prefix="parity-") as folder:
            root = given.factory or Path(folder) / "factory"
            if given.factory is None:
                carry_out(root, "init", str(root))
                if trouble := trained_on(expected, given.data, root, given.budget):
                    troubles.append(f"{expected.name}: {trouble}")
                    continue
            cells, is_right = look_at(root, expected.name, given.rows)
        right += is_right
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{right} of {len(wanted)} packages answer as the libraries do, within {ALLOWED:g}")
    print("\n".join(troubles))
    return int(right < len(wanted))


if __name__ == "__main__":
    sys.exit(main())
