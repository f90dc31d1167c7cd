"""A truth that turns round for good: what was learned is worse than guessing, and most rows teach it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.facts import Split
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.card.render import card_markdown
from linewright.model.facts import Certificate, Package, Trained
from linewright.model.reason_text import recent_in_words
from linewright.worlds.living import Clock

LINE = "visits"
START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY, TURN, A_DAY, LATE = 30, 33, 120, 2
TIMED = 'table: {key: visit, time: at}\nlabel: {column: y, positive: "yes", delay: 2d}'
UNTIMED = 'table: {key: visit, exclude: [at]}\nlabel: {column: y, positive: "yes"}'
FILE = """\
line: visits
sources: {{visits: {{file: history.csv}}}}
{roles}
contract:
  columns:
    visit: {{type: category, unique: true}}
    at: {{type: datetime}}
    a: {{type: number}}
    b: {{type: number}}
    y: {{type: category, allowed: ["no", "yes"]}}
train: {{task: binary, budget: quick}}
gates:
  - {{beats: champion, confidence: 0.95}}
watch: {{every: 1d, drift: {{windows: 2}}}}
retrain: {{when: [performance], cooldown: 1d}}
"""


def rows(day: int) -> pl.DataFrame:
    """Make the rows of a day. From `TURN` on `a` lies where it lay, and means the opposite."""
    chance = np.random.default_rng([7, day])
    a, b = chance.normal(size=(2, A_DAY)).round(4)
    pull = -3 * a if day >= TURN else 3 * a
    y = np.where(chance.random(A_DAY) < 1 / (1 + np.exp(b - pull)), "yes", "no")
    at = [START + timedelta(days=day, minutes=10 * i) for i in range(A_DAY)]
    return pl.DataFrame(
        {"visit": [f"v{day:03}-{i:03}" for i in range(A_DAY)], "at": at, "a": a, "b": b, "y": y}
    )


def answer(factory: Factory, clock: Clock, at: timedelta, asked: pl.DataFrame) -> None:
    clock.at = START + at
    asked.drop("y").write_csv(factory.root / "asked.csv")
    predict_file(factory, LINE, factory.root / "asked.csv", factory.root / "answers.csv")


def know(factory: Factory, clock: Clock, at: timedelta, known: pl.DataFrame) -> None:
    clock.at = START + at
    known.select(key="visit", label="y").write_csv(factory.root / "truth.csv")
    hand_in(factory, LINE, factory.root / "truth.csv")


def tend(factory: Factory, clock: Clock, day: int):
    clock.at = START + timedelta(days=day, seconds=1)
    return tend_inline(factory, LINE)[1]


def live(factory: Factory, clock: Clock, day: int):
    """Hand in the truth of two days ago, answer the rows of a day, tend at midnight."""
    if day - LATE >= HISTORY:
        know(factory, clock, timedelta(days=day, hours=22), rows(day - LATE))
    answer(factory, clock, timedelta(days=day, hours=23), rows(day))
    return tend(factory, clock, day + 1)


def make(root: Path, roles: str) -> Clock:
    """Write the line and its history; return the clock, at the end of the history."""
    (root / "lines").mkdir()
    pl.concat([rows(day) for day in range(HISTORY)]).write_csv(root / "history.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE.format(roles=roles))
    return Clock(START + timedelta(days=HISTORY))


@pytest.mark.parametrize("roles", [TIMED, UNTIMED], ids=["with a time", "without a time"])
def test_a_truth_that_turns_is_followed_within_days(tmp_path: Path, roles: str):
    """The rows from before are 3,600 and teach the opposite; each day brings 120 of the new."""
    clock, told = make(tmp_path, roles), list[str]()
    with Factory.create(tmp_path, now=clock) as factory:
        assert execute_inline(factory, LINE).promoted
        promoted, day = None, HISTORY
        while promoted is None and day < TURN + 12:
            ran = live(factory, clock, day)
            told.append(result_text(status(factory, LINE)))
            promoted = ran if ran is not None and ran.promoted else None
            day += 1

        assert promoted is not None
        assert day <= TURN + 10
        assert any(
            "its answers are worse than guessing: `linewright halt visits` stops them" in one for one in told
        )
        assert "worse than guessing" not in told[0]
        package = factory.metadata.get(promoted.digest, Package)
        trained = factory.metadata.get(package.trained, Trained)
        split = factory.metadata.get(promoted.split, Split)
        certificate = factory.metadata.get(promoted.certificate, Certificate)
        assert trained.recent
        assert trained.recent.left_out + trained.rows == split.train
        assert trained.recent.left_out > 2_000
        assert {one.name: one for one in promoted.metrics}["roc_auc"].value > 0.8
        assert certificate.outcomes[0].value > 0.3
        assert bool(split.since) == (roles == UNTIMED)
        assert recent_in_words(trained.recent, trained.task)[1:] in card_markdown(
            card_facts(factory, find_model(factory, promoted.candidate))
        )
        assert () == make_plan(factory, factory.line(LINE)).changes


def test_labels_that_raise_the_alarm_are_learned_from_though_they_come_after_their_rows(tmp_path: Path):
    """No row is answered after the alarm: those that it is about are the new world, and there are enough of them."""
    clock, turned = make(tmp_path, UNTIMED), pl.concat([rows(day) for day in range(TURN, TURN + 6)])
    with Factory.create(tmp_path, now=clock) as factory:
        assert execute_inline(factory, LINE).promoted
        answer(factory, clock, timedelta(days=HISTORY, hours=23), turned)
        quiet = tend(factory, clock, HISTORY + 1)
        know(factory, clock, timedelta(days=HISTORY + 1, hours=22), turned)
        ran = tend(factory, clock, HISTORY + 2)

        assert quiet is None
        assert ran is not None
        assert ran.promoted, result_text(ran)
        assert factory.metadata.get(ran.split, Split).since == "2026-03-31T23:00:00.000000Z"
