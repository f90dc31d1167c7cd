"""A template with three sites, whose endpoint is the process of the test."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.line.predict.label_file import hand_in
from linewright.line.release.next_ring import tend_ring
from linewright.line.release.rollout import tend_canary
from linewright.line.runs.execute import execute_inline
from linewright.release.promotion import canary_of
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.canary import Guard
from linewright.serve.models.follow import Lines
from linewright.serve.models.shadow import Mirrors
from linewright.serve.rows.body.reader import in_rows
from linewright.worlds.living import Clock

SITES = ("lyon", "turin", "porto")
START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY = 600
TEMPLATE = """\
line: inspect
sources: {parts: {file: lyon.csv}}
table: {key: part}
label: {column: y, positive: "bad"}
contract:
  columns:
    part: {type: category, unique: true}
    a: {type: number, min: -9, max: 9, on_breach: warn}
    b: {type: number}
    y: {type: category, allowed: ["bad", "good"]}
train: {task: binary, budget: {trials: 1}, folds: 2}
gates:
  - {beats: champion, confidence: 0.95}
release: {rollout: blue-green, bake: 1h, rings: [[lyon], [turin], rest]}
tags: [quality]
sites:
  lyon: {}
  turin:
    sources: {parts: {file: turin.csv}}
    contract: {columns: {a: {max: 5}}}
  porto: {sources: {parts: {file: porto.csv}}}
"""


def rows(first: int, n: int, *, turned: bool = False) -> pl.DataFrame:
    """Make parts; where the world has turned, what `a` means is turned round."""
    chance = np.random.default_rng([5, first, turned])
    a, b = chance.normal(size=(2, n)).round(4)
    pull = -3 * a if turned else 3 * a
    y = np.where(chance.random(n) < 1 / (1 + np.exp(b - pull)), "bad", "good")
    return pl.DataFrame({"part": [f"p{first + i:06}" for i in range(n)], "a": a, "b": b, "y": y})


def make_plants(root: Path, *, seed: int = 0) -> Path:
    """Declare the template in a factory of its own; nothing is run."""
    (root / "lines").mkdir(parents=True)
    (root / "lines" / "inspect.yaml").write_text(TEMPLATE)
    write_history(root, seed=seed)
    Factory.create(root).close()
    return root


def write_history(root: Path, n: int = HISTORY, *, turned: bool = False, seed: int = 0) -> None:
    """Write what each plant knows of its parts."""
    for number, site in enumerate(SITES):
        rows(seed * 1_000_000 + number * 10_000 + HISTORY * turned, n, turned=turned).write_csv(
            root / f"{site}.csv"
        )


class Plants:
    """The plants while they work."""

    def __init__(self, factory: Factory, clock: Clock) -> None:
        self.factory, self.clock = factory, clock
        self.lines = Lines(factory.serving, factory.artifacts.get, tell=lambda _: None)
        self.mirrors = Mirrors(factory.state, Guard(), tell=lambda _: None)
        self.number = 100_000

    def change(self, old: str, new: str) -> None:
        """Replace a text of the template that must be there."""
        path = self.factory.root / "lines" / "inspect.yaml"
        text = path.read_text()

        assert old in text
        path.write_text(text.replace(old, new))

    def run(self) -> list[bool]:
        """Run the lines of all sites, and return which promoted."""
        return [execute_inline(self.factory, f"inspect.{site}").promoted for site in SITES]

    def after(self, **passed: float) -> None:
        """Let time pass, and do what is due about each site."""
        self.clock.at += timedelta(**passed)
        for site in SITES:
            spec = self.factory.line(f"inspect.{site}")
            tend_canary(self.factory, spec)
            tend_ring(self.factory, spec)

    def champions(self) -> list[int | None]:
        """Return which version serves at each site."""
        return [self.factory.metadata.pointer(f"inspect.{site}").champion for site in SITES]

    def tried(self) -> list[str]:
        """Return the sites at which a candidate is tried."""
        return [site for site in SITES if canary_of(self.factory.metadata, f"inspect.{site}") is not None]

    def answer(self, site: str, n: int, *, turned: bool = False) -> None:
        """Answer parts of a site as the endpoint does, copies of them too, and hand in what turned out."""
        line = f"inspect.{site}"
        for _ in range(3):
            self.lines.look()
            for future in [*self.lines._loading.values(), *self.lines._loading_canary.values()]:
                future.result()
        live = self.lines.live[line]
        asked = rows(self.number, n, turned=turned)
        self.number += n
        log = PredictionLog(self.factory.log_of(line))
        loaded = Loaded(
            line,
            live.generation,
            live.arm,
            live.scorer,
            self.factory.now,
            live.canary,
            Guard(),
            live.shadow,
            self.mirrors,
        )
        before = self._copies(line)
        answer(loaded, log, asked.drop("y").to_dicts(), in_rows)
        log.close()
        until = time.monotonic() + 60
        while live.shadow is not None and self._copies(line) < before + n and time.monotonic() < until:
            time.sleep(0.02)
        truth = self.factory.root / "truth.csv"
        asked.select(key="part", label="y").write_csv(truth)
        hand_in(self.factory, line, truth)

    def _copies(self, line: str) -> int:
        return sum(sum(1 for _ in read_log(folder)) for folder in self.factory.copies_of(line).glob("*"))


@contextmanager
def plants_in(root: Path) -> Iterator[Plants]:
    """Open the plants of a folder at the start of their time."""
    clock = Clock(START)
    with ExitStack() as opened:
        factory = opened.enter_context(Factory.open(root, now=clock))
        plants = Plants(factory, clock)
        opened.callback(plants.lines.close)
        opened.callback(plants.mirrors.close)
        yield plants
