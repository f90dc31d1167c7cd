"""A candidate that passed its gates begins as a canary: it serves alone in the end, or is taken back where it does worse."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.errors import GateRefused, RequestError
from linewright.line.care.verify import verify_factory
from linewright.line.execute import execute_inline
from linewright.line.factory import Factory
from linewright.line.labels import hand_in
from linewright.line.registry import judged
from linewright.line.rollout import tend_canary
from linewright.operations.release import promote, rollback
from linewright.operations.status import status
from linewright.release.facts import Deployed, Promoted, Trial, Withdrawn
from linewright.release.pointer import canary_of
from linewright.serve.answer import Loaded, answer
from linewright.serve.arms import Guard
from linewright.serve.log import PredictionLog, read_log
from linewright.serve.pointer import Lines
from linewright.serve.rows import in_rows
from linewright.serve.trouble import Trouble, note_trouble
from linewright.worlds.living import Clock

LINE = "visits"
START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY = 600
FILE = """\
line: visits
sources: {visits: {file: history.csv}}
table: {key: visit}
label: {column: y, positive: "yes"}
contract:
  columns:
    visit: {type: category, unique: true}
    a: {type: number}
    b: {type: number}
    y: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: {trials: 1}, folds: 2}
gates:
  - {beats: champion, confidence: 0.95}
release: {rollout: canary, steps: [0.2, 0.5, 1.0], bake: 1h}
"""


def rows(first: int, n: int, *, turned: bool = False) -> pl.DataFrame:
    """Make visits; where the world has turned, what `a` means is turned round."""
    chance = np.random.default_rng([5, first, turned])
    a, b = chance.normal(size=(2, n)).round(4)
    pull = -3 * a if turned else 3 * a
    y = np.where(chance.random(n) < 1 / (1 + np.exp(b - pull)), "yes", "no")
    return pl.DataFrame({"visit": [f"v{first + i:06}" for i in range(n)], "a": a, "b": b, "y": y})


class Living:
    """A line whose endpoint is this process."""

    def __init__(self, factory: Factory, clock: Clock) -> None:
        self.factory, self.clock = factory, clock
        self.lines = Lines(factory.serving, factory.artifacts.get, tell=lambda _: None)
        self.number = 100_000

    def candidate(self, *, turned: bool) -> None:
        """Give the line the rows of another world, or of the same, and run it."""
        rows(HISTORY, 3 * HISTORY, turned=turned).write_csv(self.factory.root / "history.csv")
        self.ran = execute_inline(self.factory, LINE)

    def answer(self, n: int, *, turned: bool = False, also: dict[str, float] | None = None) -> None:
        """Answer visits as the endpoint does, and hand in what turned out."""
        for _ in range(3):  # champion, canary, and whatever a step changes
            self.lines.look()
            for future in [*self.lines._loading.values(), *self.lines._loading_canary.values()]:
                future.result()
        live = self.lines.live[LINE]
        asked = rows(self.number, n, turned=turned)
        self.number += n
        log = PredictionLog(self.factory.log_of(LINE))
        loaded = Loaded(LINE, live.generation, live.arm, live.scorer, self.factory.now, live.canary, Guard())
        answer(loaded, log, [row | (also or {}) for row in asked.drop("y").to_dicts()], in_rows)
        log.close()
        asked.select(key="visit", label="y").write_csv(self.factory.root / "truth.csv")
        hand_in(self.factory, LINE, self.factory.root / "truth.csv")

    def after(self, **passed: float):
        """Let time pass, and do what is due about the canary."""
        self.clock.at += timedelta(**passed)
        return tend_canary(self.factory, self.factory.line(LINE))

    def events(self, kind):
        return self.factory.metadata.events(kind, line=LINE)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    root, clock = tmp_path / "factory", Clock(START)
    (root / "lines").mkdir(parents=True)
    rows(0, HISTORY).write_csv(root / "history.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    with ExitStack() as opened:
        factory = opened.enter_context(Factory.create(root, now=clock))
        assert execute_inline(factory, LINE).promoted
        one = Living(factory, clock)
        opened.callback(one.lines.close)
        yield one


def test_a_good_canary_takes_its_steps_and_serves(living):
    """The world has turned: the candidate knows it, the champion does not."""
    living.candidate(turned=True)
    told = living.ran.to_text()
    unasked = living.after(hours=2)
    living.clock.at -= timedelta(hours=2)
    living.answer(400, turned=True)
    early, shown = living.after(minutes=59), status(living.factory, LINE).to_text()
    second = living.after(minutes=2)
    living.answer(400, turned=True)
    last = living.after(hours=2)
    trial = living.factory.metadata.get(str(second.evidence), Trial)

    assert "visits@2  passes its gates, and answers 20% of the rows as a canary" in told
    assert 0 == living.ran.exit_code
    assert (None, None) == (unasked, early)
    assert "canary visits@2 answers 20% of the rows:" in shown
    assert (0.2, 0.5) == tuple(one.share for one in living.events(Deployed))
    assert 1 == len({one.salt for one in living.events(Deployed)})
    assert 400 == trial.canary.rows + trial.champion.rows
    assert trial.canary.loss < trial.champion.loss
    assert isinstance(last, Promoted)
    assert (living.ran.certificate, 2) == (last.certificate, last.model)
    assert None is canary_of(living.factory.metadata, LINE)
    assert [] == list(verify_factory(living.factory).problems)


def test_a_canary_that_does_worse_is_taken_back_by_itself_and_does_not_come_again(living):
    """The world turns back after the gates: what they proved no longer holds."""
    living.candidate(turned=True)
    withdrawn = None
    while withdrawn is None and living.number < 104_000:
        living.answer(200)
        withdrawn = living.after(minutes=1)
    again = execute_inline(living.factory, LINE)

    assert isinstance(withdrawn, Withdrawn)
    assert "quality" == withdrawn.trigger
    assert "its answers are worse: Brier score" in withdrawn.because
    assert living.factory.metadata.get(str(withdrawn.evidence), Trial).is_worse
    assert (1, None) == (
        living.factory.metadata.pointer(LINE).champion,
        canary_of(living.factory.metadata, LINE),
    )
    assert (4, "hold") == (again.exit_code, again.verdict)
    assert "taken back as a canary" in again.because
    assert [] == list(verify_factory(living.factory).problems)


def test_a_person_takes_a_canary_back_or_lets_it_serve_at_once(living):
    living.candidate(turned=True)
    back = rollback(living.factory, LINE, because="not today")
    promoted = promote(living.factory, f"{LINE}@2", because="now")

    assert back.to_text().startswith("visits@1 (")
    assert "serves alone, without its canary visits@2: not today" in back.to_text()
    assert ["person"] == [one.trigger for one in living.events(Withdrawn)]
    assert ("visits@2", "visits@1") == (promoted.champion, promoted.before)
    assert [] == list(verify_factory(living.factory).problems)


def test_what_an_endpoint_has_against_a_canary_ends_it(living):
    living.candidate(turned=True)
    canary = canary_of(living.factory.metadata, LINE)
    note_trouble(living.factory.serving, LINE, Trouble(package=canary.package, because="it fails"))
    withdrawn = living.after(seconds=1)

    assert ("trouble", "it fails") == (withdrawn.trigger, withdrawn.because)
    assert None is living.after(seconds=1)


def test_how_a_canary_ended_stays_in_sight_and_what_was_found_out_needs_force(living):
    """Who looks the next morning sees it, and does not promote it by mistake."""
    living.candidate(turned=True)
    canary = canary_of(living.factory.metadata, LINE)
    note_trouble(living.factory.serving, LINE, Trouble(package=canary.package, because="it fails"))
    living.after(seconds=1)
    with pytest.raises(GateRefused, match="as a canary it was found out: found 'it fails'"):
        promote(living.factory, f"{LINE}@2")
    with pytest.raises(RequestError, match="no canary runs"):
        rollback(living.factory, LINE, canary=True)
    shown, verdict = (
        status(living.factory, LINE).to_text(),
        judged(living.factory, LINE)[canary.package].verdict,
    )
    forced = promote(living.factory, f"{LINE}@2", force=True, because="it was the disk")

    assert "canary visits@2 was taken back on 2026-03-01 00:00:01Z: it fails" in shown
    assert "hold" == verdict
    assert "visits@2" == forced.champion
    assert [True] == [one.forced for one in living.events(Promoted) if one.model == 2]
    assert "taken back" not in status(living.factory, LINE).to_text()
    assert [] == list(verify_factory(living.factory).problems)


def test_a_candidate_that_is_approved_begins_as_a_canary(living):
    path = living.factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("bake: 1h}", "bake: 1h, approve: [owner]}"))
    living.candidate(turned=True)
    held = status(living.factory, LINE).to_text()
    approved = promote(living.factory, f"{LINE}@2", because="looks good")
    shown = status(living.factory, LINE).to_text()

    assert "hold" == living.ran.verdict
    assert "challenger visits@2 waits: the line file wants approval by owner" in held
    assert "visits@2 answers 20% of the rows as a canary beside visits@1: looks good" == approved.to_text()
    assert "canary visits@2 answers 20% of the rows" in shown
    assert "waits" not in shown
    assert [] == list(verify_factory(living.factory).problems)


def test_a_row_may_have_what_any_of_the_newest_models_knows(living):
    """Clients begin to send a new column before the canary that needs it, and go on when it was taken back."""
    path = living.factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(
        path.read_text().replace(
            "    b: {type: number}", "    b: {type: number}\n    c: {type: number, nullable: false}"
        )
    )
    grown = rows(HISTORY, 3 * HISTORY, turned=True).with_columns(c=pl.col("a") * 2)
    grown.write_csv(living.factory.root / "history.csv")
    ran = execute_inline(living.factory, LINE)
    living.answer(200, turned=True, also={"c": 1.5})
    during = {one.record.model for one in read_log(living.factory.log_of(LINE))}
    rollback(living.factory, LINE)
    living.answer(50, turned=True, also={"c": 1.5})
    logged = [one.record for one in read_log(living.factory.log_of(LINE))]

    assert 0.2 == ran.share
    assert {1, 2} == during
    assert 250 == len(logged)
    assert {1} == {one.model for one in logged[200:]}
    assert {1.5} == {one.row["c"] for one in logged}


def test_a_newer_candidate_takes_the_place_of_a_canary(living):
    living.candidate(turned=True)
    rows(HISTORY + 7, 3 * HISTORY, turned=True).write_csv(living.factory.root / "history.csv")
    ran = execute_inline(living.factory, LINE)

    assert ("visits@3", 0.2) == (ran.candidate, ran.share)
    assert [] == list(verify_factory(living.factory).problems)
    assert [("newer", 2)] == [(one.trigger, one.model) for one in living.events(Withdrawn)]
    assert 3 == canary_of(living.factory.metadata, LINE).model


def test_of_canaries_that_are_as_good_at_most_the_stated_share_is_taken_back():
    """200 of them, looked at after each label: at most 5 in 100, with 99.9 % confidence."""
    from linewright.release.sequential import bounds

    print("seed 6")
    chance, back = np.random.default_rng(6), 0
    for _ in range(200):
        p = chance.beta(1, 4, 3_000)
        loss = (p - (chance.random(3_000) < p)) ** 2
        mine = chance.random(3_000) < 0.2
        low, high = bounds(loss[mine], 0.95).low, bounds(loss[~mine], 0.95).high
        canaries, champions = np.cumsum(mine) - 1, np.cumsum(~mine) - 1
        both = (canaries >= 0) & (champions >= 0)
        back += bool((low[canaries[both]] > high[champions[both]]).any())

    assert back <= 200 * 0.05 + 3.1 * np.sqrt(200 * 0.05 * 0.95)
