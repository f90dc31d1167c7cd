"""Whether the numbers that Linewright reports are true: worlds whose truth is known, drawn again and again.

    python benchmarks/honesty.py [--draws N] [--runs N] [--only coverage beside conformal shuffled]

*Coverage.* A world is a table whose rows can be drawn without end. One model is trained on 4,000 of them; its metrics on
1,000,000 fresh rows are the truth. Then test parts are drawn from those, and it is counted how often the interval that a certificate
and a card report (`model.metrics.estimate.spreads`) holds the truth. Test parts have about 50 positives of 500 rows, or 500 of 1,000; for
numbers 50 or 500 rows, also with noise of heavy tails.

*Beside.* The same for how much better the model is than one trained on 1,500 rows, as `beats` gates measure it. A gate goes by the
one-sided bounds.

*Conformal.* Models for numbers are trained anew on small tables; which share of 20,000 fresh rows lies in the 90 % interval.

*Shuffled.* Models of the quick budget whose label was shuffled; how many are promoted by the gate that `new`
writes. If 5 % are promoted by chance, more than 18 of 200 are in less than 1 % of such counts.
"""

import argparse
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from linewright.features.facts import Encoder, Number
from linewright.model.facts import Task
from linewright.model.families.trainer import read_native
from linewright.model.gates.certify import Rival, certify
from linewright.model.metrics.bootstrap import DRAWS, units_of
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.estimate import Measure, difference_of, measure_of, spreads
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.package.model import calibrate
from linewright.model.spec import BeatsGate, TrainSpec
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.prediction_interval import ends
from linewright.model.tasks.threshold import choose_threshold
from linewright.model.train.fit import Training, TrainingRows, train

WIDTH = 6
FRESH = 1_000_000
CLASSES = ("no", "yes")
LEAST, MOST = 0.935, 0.965
"""The aim of a 95 % interval."""
MOST_PROMOTED = 18
METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss"),
    "regression": ("rmse",),
}


@dataclass(frozen=True, kw_only=True)
class World:
    """Where rows come from."""

    says: str
    task: Task
    share: float = 0.0
    """Of positive rows."""
    is_heavy: bool = False
    """Whether noise is of Student's t with 5 degrees of freedom, else normal."""

    def rows(self, chance: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw features, shape (n, WIDTH), and truth."""
        x = chance.normal(size=(n, WIDTH)).astype(np.float32)
        if self.task == "binary":
            return x, (chance.random(n) < expit(signal(x) + _intercept(self.share))).astype(np.int64)
        noise = chance.standard_t(5, size=n) if self.is_heavy else chance.normal(size=n)
        # Some rows are far noisier than others.
        return x, signal(x) + (0.5 + 0.5 * np.abs(x[:, 5])) * noise


def signal(x: np.ndarray) -> np.ndarray:
    """Return the log-odds of rows, but for the balance, or the mean of their numbers."""
    x = x.astype(np.float64)
    return 1.2 * x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3] - 0.5 * np.abs(x[:, 4])


def _intercept(share: float) -> float:
    log_odds = signal(np.random.default_rng(0).normal(size=(200_000, WIDTH)))

    def above(moved: float) -> float:
        return float(expit(log_odds + moved).mean()) - share

    return float(brentq(above, -20.0, 20.0))  # pyright: ignore[reportArgumentType] -- one root, for one number


def fitted(
    x: np.ndarray, truth: np.ndarray, task: Task, *, seed: int
) -> tuple[Training, Callable[[np.ndarray], np.ndarray]]:
    """Train as a run with the quick budget does; returns also what it says of rows."""
    part = np.random.default_rng(seed).permutation(len(x)) % 5
    rows = TrainingRows(
        x=x,
        target=truth,
        weight=np.ones(len(x)),
        encoder=Encoder(encodings=tuple(Number(column=f"x{i}") for i in range(x.shape[1]))),
        task=task,
        classes=CLASSES if task == "binary" else (),
        folds=[(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(5)],
        seed=seed,
    )
    training = train(rows, TrainSpec(budget="quick"), report=lambda _: None)
    model = read_native(training.native)
    return training, lambda rows: calibrate(training.calibration, model.scores(rows))


# Coverage


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A world, and how large its test parts are."""

    world: World
    rows: int
    is_aim: bool = True


FEW = World(says="10 % positive", task="binary", share=0.1)
MANY = World(says="50 % positive", task="binary", share=0.5)
NUMBERS = World(says="numbers", task="regression")
HEAVY = World(says="numbers, heavy tails", task="regression", is_heavy=True)
SETTINGS = (
    Setting(world=FEW, rows=500),
    Setting(world=MANY, rows=1_000),
    Setting(world=NUMBERS, rows=50),
    Setting(world=NUMBERS, rows=500),
    Setting(world=HEAVY, rows=50, is_aim=False),
    Setting(world=HEAVY, rows=500, is_aim=False),
)


@cache
def population(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Draw the rows that test parts are drawn from; returns features and truth."""
    return world.rows(np.random.default_rng(11), FRESH)


@cache
def said(world: World, rows: int) -> np.ndarray:
    """Train a model on so many rows, and ask it about the population."""
    _, says = fitted(*world.rows(np.random.default_rng(rows), rows), world.task, seed=rows)
    return says(population(world)[0])


def cover(setting: Setting, draws: int, *, is_beside: bool) -> Iterator[str]:
    """Count how often what is said of a model, or of it beside its rival, is true; yields lines of the table."""
    world, chance, truth = setting.world, np.random.default_rng(12), population(setting.world)[1]
    names = METRICS[world.task]
    true = [float(one.value(np.ones((1, FRESH)))[0]) for one in _measures(world, np.arange(FRESH), is_beside)]
    missed = np.zeros((len(names), 4))
    spent = 0.0
    for number in range(draws):
        rows = chance.integers(0, FRESH, size=setting.rows)
        weight = np.ones(len(rows))
        begun = time.process_time()
        units = units_of(world.task, truth[rows], weight, None, by_class=False)
        found = spreads(
            _measures(world, rows, is_beside),
            units=[units] * len(names),
            weight=weight,
            clusters=None,
            seed=number,
            draws=DRAWS,
        )
        for i, (spread, value) in enumerate(zip(found, true, strict=True)):
            low, high = spread.interval(0.95)
            wrong = (value < low, value > high, value < spread.lower(0.95), value > spread.upper(0.95))
            missed[i] += wrong
        spent += time.process_time() - begun
    about = f"{world.says} | {setting.rows:,}"
    for name, value, (low, high, lower, upper) in zip(names, true, missed / draws, strict=True):
        covered = 1 - low - high
        good = "" if not setting.is_aim else "yes" if LEAST <= covered <= MOST else "no"
        yield (
            f"| {about} | {name} | {value:.4f} | {covered:.1%} | {low:.1%}, {high:.1%} | {lower:.1%}, {upper:.1%} | {good} | "
            f"{1000 * spent / draws:.0f} |"
        )


def _measures(world: World, rows: np.ndarray, is_beside: bool) -> list[Measure]:
    rules, truth = [metric(name, world.task) for name in METRICS[world.task]], population(world)[1][rows]
    own, weight = said(world, 4_000)[rows], np.ones(len(rows))
    if is_beside:
        rival = said(world, 1_500)[rows]
        return [difference_of(rule, truth, own, rival, weight=weight, clusters=None) for rule in rules]
    return [measure_of(rule, truth, own, weight=weight, clusters=None) for rule in rules]


def coverage(arguments: argparse.Namespace, *, is_beside: bool = False) -> None:
    """Print how often intervals and bounds hold the truth."""
    of = "how much better a model is than its rival" if is_beside else "a model"
    print(f"\n{arguments.draws:,} test parts a line, metrics of {of}\n")
    print(
        "| world | rows | metric | truth | 95 % interval holds it | truth below, above it | 95 % bound wrong: lower, upper | "
        "93.5 to 96.5 % | CPU ms a test part |"
    )
    print("|---|---:|---|---:|---:|---:|---:|---|---:|")
    for setting in SETTINGS:
        for line in cover(setting, arguments.draws, is_beside=is_beside):
            print(line, flush=True)


# Conformal


def conformal(arguments: argparse.Namespace) -> None:
    """Print which share of fresh rows lies in the 90 % interval of models that are trained anew."""
    runs = arguments.runs
    print(f"\n{runs} models a line, each asked about 20,000 fresh rows\n")
    print("| world | training rows | 90 % interval holds, mean | 5 % of models hold less than |")
    print("|---|---:|---:|---:|")
    for is_heavy in (False, True):
        world = World(
            says="numbers, heavy tails" if is_heavy else "numbers", task="regression", is_heavy=is_heavy
        )
        for rows in (100, 300, 1_000):
            held = [_held(world, rows, seed) for seed in range(runs)]
            print(
                f"| {world.says} | {rows:,} | {np.mean(held):.1%} ± {1.96 * np.std(held) / np.sqrt(runs):.1%} | {np.quantile(held, 0.05):.1%} |",
                flush=True,
            )


def _held(world: World, rows: int, seed: int) -> float:
    chance = np.random.default_rng([seed, rows])
    training, says = fitted(*world.rows(chance, rows), "regression", seed=seed)
    x, truth = world.rows(chance, 20_000)
    assert training.band is not None
    low, high = ends(training.band, says(x))
    return float(((low <= truth) & (truth <= high)).mean())


# Shuffled labels


WORLDS = (
    World(says="30 % positive", task="binary", share=0.3),
    World(says="10 % positive", task="binary", share=0.1),
    NUMBERS,
)


def shuffled(arguments: argparse.Namespace) -> None:
    """Print how many models of shuffled labels the gate of a new line would promote."""
    runs = arguments.runs
    print(
        f"\n{runs} runs a line: trained on 480 rows whose label was shuffled, judged on 120 more by `beats: champion`\n"
    )
    print("| label | metric | promoted | more data asked for | held | rejected | at most 18 of 200 |")
    print("|---|---|---:|---:|---:|---:|---|")
    for world in WORLDS:
        verdicts = Counter(_verdict(world, seed) for seed in range(runs))
        promoted = verdicts["promote"]
        good = "yes" if promoted <= MOST_PROMOTED * runs / 200 else "NO"
        counts = " | ".join(f"{verdicts[name]}" for name in ("promote", "need-more-data", "hold", "reject"))
        print(f"| {world.says} | {rules_of(world.task).metrics[0]} | {counts} | {good} |", flush=True)


def _verdict(world: World, seed: int) -> str:
    chance = np.random.default_rng([seed, 3])
    x, truth = world.rows(chance, 600)
    truth = chance.permutation(truth)
    rules, classes = rules_of(world.task), CLASSES if world.task == "binary" else ()
    training, says = fitted(x[:480], truth[:480], world.task, seed=seed)
    baseline = rules.baseline(truth[:480], np.ones(480), classes)
    rows = EvaluationRows(
        split="sha256:split",
        task=world.task,
        classes=classes,
        truth=truth[480:],
        scores=says(x[480:]),
        baseline_scores=rules.baseline_scores(baseline, 120),
        weight=np.ones(120),
        threshold=choose_threshold(training.out_of_fold[:, 1], truth[:480], np.ones(480), None).at
        if classes
        else None,
        seed=seed,
    )
    return certify(
        rows,
        Rival(digest="baseline", rows_digest="sha256:rows", seen=np.zeros(120, dtype=bool)),
        package="sha256:candidate",
        gates=(BeatsGate(beats="champion"),),
        headline=rules.metrics[0],
        groups={},
    ).verdict


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "coverage": coverage,
    "beside": partial(coverage, is_beside=True),
    "conformal": conformal,
    "shuffled": shuffled,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=2_000, help="test parts of a line of the first table")
    parser.add_argument("--runs", type=int, default=200, help="models of a line of the other tables")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in arguments.only:
        PARTS[name](arguments)


if __name__ == "__main__":
    main()
