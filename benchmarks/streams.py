"""What retraining by need is worth on a stream of real data, beside never, every week, and what a user would write instead.

    python benchmarks/streams.py [--data FILE] [--weeks N]

The stream is the New South Wales electricity market (elec2), half an hour a row: will the price be above its mean of the last
24 hours? The file has no dates, so rows get theirs from the order: they are complete from 7 May 1996 on. A line is made of
the first weeks; each later week is answered by the model that serves, its truth is handed in, and the policy has its turn.
Every policy begins with the same first model and sees the same weeks, through the commands of the product on a simulated
clock. Intervals and differences are of a bootstrap of whole weeks, the same draws for every policy.
"""

import argparse
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score

from linewright.capabilities.serving.worker import tend_inline
from linewright.interfaces.python.factory import Factory
from linewright.line.facts import Accepted, RunResult
from linewright.line.runs.execute import execute_inline
from linewright.release.facts import Promoted
from linewright.worlds.living import Clock

DATA = Path(__file__).parents[2] / "shared" / "data" / "electricity_elec2.csv"
LINE = "power"
START = datetime(1996, 5, 7, tzinfo=UTC)
FEATURES = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
WEEK = timedelta(weeks=1)
HISTORY = timedelta(days=86)
"""Twelve weeks and two days, so that slices begin on Thursdays, as windows of a week do (they are counted from 1970)."""
DRAWS = 400
POLICY = """\
line: power
sources: {power: {file: history.csv}}
table: {key: row, time: at}
label: {column: class, positive: "1"}
contract:
  columns:
    row: {type: category, nullable: false, unique: true}
    at: {type: datetime, nullable: false}
    class: {type: category, allowed: ["0", "1"]}
    period: {type: number}
    nswprice: {type: number}
    nswdemand: {type: number}
    vicprice: {type: number}
    vicdemand: {type: number}
    transfer: {type: number}
train: {task: binary, budget: quick}
gates:
  - {beats: champion, confidence: 0.95}
watch: {every: 7d}
retrain: {when: [drift, performance], cooldown: 1d}
"""


@dataclass
class Lived:
    """How a policy did."""

    name: str
    score: np.ndarray
    """Probability of a rising price, one a live row."""
    said: np.ndarray
    """The answers, 0 or 1."""
    began: int
    promoted: int
    wall: float
    cpu: float


@dataclass
class Stream:
    """The rows, in weeks."""

    frame: pl.DataFrame
    weeks: list[pl.DataFrame]
    history: pl.DataFrame

    @classmethod
    def read(cls, file: Path, most: int | None) -> "Stream":
        """Read the file, give its rows times and keys, and part them into history and whole weeks."""
        rows = pl.read_csv(file)
        at = pl.Series("at", [START + timedelta(minutes=30 * i) for i in range(rows.height)])
        key = pl.Series("row", [f"r{i:06}" for i in range(rows.height)])
        frame = rows.with_columns(at, key).select("row", "at", *FEATURES, "class")
        begin, end = START + HISTORY, frame["at"].max()
        assert isinstance(end, datetime)
        starts = [begin + WEEK * i for i in range((end - begin) // WEEK)][:most]
        weeks = [frame.filter((pl.col("at") >= one) & (pl.col("at") < one + WEEK)) for one in starts]
        return cls(frame, weeks, frame.filter(pl.col("at") < begin))

    @property
    def truth(self) -> np.ndarray:
        """What turned out, 0 or 1, one a live row."""
        return pl.concat(self.weeks)["class"].to_numpy()

    @property
    def week_of(self) -> np.ndarray:
        """The number of its week, one a live row."""
        return np.repeat(np.arange(len(self.weeks)), [week.height for week in self.weeks])


@dataclass
class Stopwatch:
    """Seconds of the wall and of the processors, of this process and its ended children."""

    wall: float = 0.0
    cpu: float = 0.0
    _began: tuple[float, float] = field(default=(0.0, 0.0))

    def __enter__(self) -> Self:
        self._began = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.cpu += _cpu() - self._began[1]


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# Policies: what happens when a week is over


def by_need(factory: Factory) -> None:
    """Close the week's window; train when drift or performance says so; the gates decide."""
    tend_inline(factory, LINE)


def never(_: Factory) -> None:
    """Keep the first model."""


def weekly(factory: Factory) -> RunResult:
    """Train; the gates decide."""
    return execute_inline(factory, LINE, as_of=factory.now())


def forced(factory: Factory) -> None:
    """Train, and promote whatever comes out."""
    ran = weekly(factory)
    if not ran.promoted:
        factory.promote(ran.candidate, force=True, because="this policy promotes all")


def begin(stream: Stream, root: Path, clock: Clock) -> None:
    """Make the factory that every policy starts from, with its first champion."""
    (root / "lines").mkdir(parents=True)
    stream.history.write_csv(root / "history.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(POLICY)
    with Factory.create(root, now=clock) as factory:
        assert execute_inline(factory, LINE).promoted, "the first model was refused"


def live(name: str, stream: Stream, root: Path, clock: Clock, turn: Callable[[Factory], Any]) -> Lived:
    """Answer week after week, hand in the truth, and give the policy its turn."""
    watch, answers = Stopwatch(), list[pl.DataFrame]()
    rows, out, labels = (root / one for one in ("rows.csv", "answers.csv", "labels.csv"))
    with Factory.open(root, now=clock, actor="benchmark") as factory:
        for number, week in enumerate(stream.weeks):
            clock.at = START + HISTORY + WEEK * (number + 1) - timedelta(minutes=2)
            week.drop("class").write_csv(rows)
            factory.predict(LINE, rows, out=out)
            answers.append(pl.read_csv(out, columns=["prediction", "probabilities_1"]))
            clock.at += timedelta(minutes=1)
            week.select(key="row", label="class").write_csv(labels)
            factory.feedback(LINE, labels)
            clock.at += timedelta(minutes=2)
            with watch:
                turn(factory)
            tell(f"{name}: week {number + 1} of {len(stream.weeks)}, {watch.wall:.0f} s")
        began = len(factory.metadata.events(Accepted, line=LINE)) - 1
        promoted = len(factory.metadata.events(Promoted, line=LINE)) - 1
    answered = pl.concat(answers)
    return Lived(
        name,
        answered["probabilities_1"].to_numpy(),
        answered["prediction"].cast(pl.Int64).to_numpy(),
        began,
        promoted,
        watch.wall,
        watch.cpu,
    )


def by_hand(stream: Stream) -> Lived:
    """Do what a user would write: LightGBM as it comes, fitted every week on all rows so far, and it serves."""
    watch, scores = Stopwatch(), list[np.ndarray]()
    known = stream.history
    for week in stream.weeks:
        with watch:
            model = LGBMClassifier(verbose=-1, random_state=0)
            model.fit(known.select(FEATURES).to_numpy(), known["class"].to_numpy())
        scores.append(np.asarray(model.booster_.predict(week.select(FEATURES).to_numpy())))
        known = pl.concat([known, week])
    score = np.concatenate(scores)
    began = len(stream.weeks) - 1
    return Lived(
        "plain LightGBM, weekly", score, (score >= 0.5).astype(int), began, began, watch.wall, watch.cpu
    )


# The table


def figures(stream: Stream, lived: list[Lived]) -> dict[str, np.ndarray]:
    """Return accuracy and ROC AUC, shape (policies, 1 + draws): first of all live weeks, then of drawn ones."""
    chance, weeks = np.random.default_rng(0), len(stream.weeks)
    places = [np.flatnonzero(stream.week_of == week) for week in range(weeks)]
    drawn = [
        np.concatenate([places[week] for week in chance.integers(weeks, size=weeks)]) for _ in range(DRAWS)
    ]
    every, truth = [np.arange(len(stream.truth)), *drawn], stream.truth
    return {
        "accuracy": np.array([[(one.said == truth)[rows].mean() for rows in every] for one in lived]),
        "ROC AUC": np.array(
            [[roc_auc_score(truth[rows], one.score[rows]) for rows in every] for one in lived]
        ),
    }


def table(stream: Stream, lived: list[Lived]) -> str:
    found, plain = figures(stream, lived), lived[-1]
    head = "| policy | accuracy | less than by need | ROC AUC | less than by need | began | promoted | s | CPU s | CPU, of plain |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for i, one in enumerate(lived):
        cells = [
            cell for values in found.values() for cell in (_shown(values[i]), _shown(values[0] - values[i]))
        ]
        if not i:
            cells[1] = cells[3] = ""
        lines.append(
            f"| {one.name} | {' | '.join(cells)} | {one.began} | {one.promoted} | {one.wall:.0f} | {one.cpu:.0f} "
            f"| {one.cpu / plain.cpu:.1f} |"
        )
    return "\n".join(lines)


def _shown(values: np.ndarray) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"


def tell(text: str) -> None:
    sys.stderr.write(f"\r{text}    ")
    sys.stderr.flush()


POLICIES: dict[str, Callable[[Factory], Any]] = {
    "by need, gates decide": by_need,
    "never": never,
    "weekly, gates decide": weekly,
    "weekly, all promoted": forced,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="elec2 as CSV (default: %(default)s)")
    parser.add_argument("--weeks", type=int, help="live through so many weeks only (default: all)")
    parser.add_argument(
        "--policy", choices=POLICIES, action="append", help="only this one, beside plain LightGBM"
    )
    asked = parser.parse_args()
    if not asked.data.is_file():
        print(f"There is no {asked.data}: give the elec2 stream as CSV with --data FILE.")
        return 2
    stream, lived = Stream.read(asked.data, asked.weeks), list[Lived]()
    with tempfile.TemporaryDirectory() as folder:
        first, clock = Path(folder) / "first", Clock(START + HISTORY)
        begin(stream, first, clock)
        for i, name in enumerate(asked.policy or POLICIES):
            root = Path(shutil.copytree(first, Path(folder) / str(i)))
            lived.append(live(name, stream, root, clock, POLICIES[name]))
            shutil.rmtree(root)
    lived.append(by_hand(stream))
    tell("\n")
    days = stream.history.height / 48
    print(
        f"Linewright {version('linewright')}, LightGBM {version('lightgbm')}, Python {platform.python_version()}, "
        f"{platform.machine()}, {_cores()} cores, {time.strftime('%Y-%m-%d')}; "
        f"first model of {days:.0f} days, then {len(stream.weeks)} live weeks, {len(stream.truth):,} rows.\n"
    )
    print(table(stream, lived))
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
