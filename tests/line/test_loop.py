"""The loop: what is answered is watched, what is found leads to one training, and the gates decide about what came of it."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from linewright.capabilities.evidence.lookup import look_up
from linewright.capabilities.monitoring.operations import alerts
from linewright.capabilities.releases.operations import promote, rollback
from linewright.capabilities.serving.worker import Tending, tend_inline
from linewright.data.breach_text import breach_in_words
from linewright.data.dataset.served_rows import ENOUGH
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import TEST, Dataset, Split
from linewright.engine.inline import InlineEngine
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, RunResult
from linewright.line.loop.close_window import close_window
from linewright.line.loop.retraining import missing_labels, retraining_due
from linewright.line.loop.waiting import missing_in_words
from linewright.line.predict.batch import predict_file
from linewright.line.predict.example_request import curl
from linewright.line.predict.label_file import hand_in
from linewright.line.record.evidence import explain
from linewright.line.record.monitoring.alerts import open_alerts, open_proposal
from linewright.line.record.monitoring.refused_candidates import refusals
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan
from linewright.line.runs.record import WORKFLOW, prepare
from linewright.line.runs.workflow import workflows
from linewright.line.steps.ingest import ingest_step
from linewright.model.facts import Certificate, Registered
from linewright.model.package.model import load
from linewright.release.facts import Arm, Promoted, Refused
from linewright.release.promotion import limits_of
from linewright.serve.access.rights import owner
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.scorer import Scorer
from linewright.testing.faults import DyingMetadata
from linewright.watch.facts import (
    Alerted,
    Cleared,
    Confirmations,
    OpenAlerts,
    Proposed,
    Reference,
    RetrainProposal,
    Watched,
    Window,
)
from linewright.worlds.living import Clock

LINE = "visits"
START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY = 10
A_DAY = 120
DELAY = 2
FILE = """\
line: visits
sources: {visits: {file: history.csv}}
table: {key: visit, time: at}
label: {column: y, positive: "yes", delay: 2d}
contract:
  columns:
    visit: {type: category, unique: true}
    at: {type: datetime}
    a: {type: number}
    b: {type: number}
    y: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: {trials: 1}, folds: 2}
gates:
  - {beats: champion, confidence: 0.95}
watch: {every: 1d, drift: {windows: 2}}
retrain: {when: [drift, performance], cooldown: 3d}
"""
IMPOSSIBLE = "gates:\n  - {metric: roc_auc, at_least: 0.9999}\n"


def rows(day: int, *, shifted: bool = False) -> pl.DataFrame:
    """Make the visits of a day; after the shift `a` lies elsewhere, and what it means is turned round."""
    chance = np.random.default_rng([7, day])
    a, b = chance.normal(size=(2, A_DAY)).round(4)
    pull = -3 * a if shifted else 3 * a
    y = np.where(chance.random(A_DAY) < 1 / (1 + np.exp(b - pull)), "yes", "no")
    at = [START + timedelta(days=day, minutes=10 * i) for i in range(A_DAY)]
    visit = [f"v{day:03}-{i:03}" for i in range(A_DAY)]
    return pl.DataFrame({"visit": visit, "at": at, "a": a + 2.5 * shifted, "b": b, "y": y})


@dataclass
class Living:
    """A line in simulated time."""

    factory: Factory
    clock: Clock
    day: int = HISTORY
    shift: int = 10_000
    """First day after the shift."""

    def live(self, days: int = 1) -> list[RunResult]:
        """Answer the visits of days; hand in each truth when its delay has passed; tend at midnight."""
        ran: list[RunResult] = []
        for _ in range(days):
            if self.day - DELAY >= HISTORY:
                self.know(self.rows(self.day - DELAY))
            self.answer(self.rows(self.day))
            self.day += 1
            ran.extend(one for one in [self.tend()] if one is not None)
        return ran

    def rows(self, day: int) -> pl.DataFrame:
        return rows(day, shifted=day >= self.shift)

    def answer(self, asked: pl.DataFrame) -> None:
        self.clock.at = START + timedelta(days=self.day, hours=23)
        asked.drop("y").write_csv(self.factory.root / "asked.csv")
        predict_file(self.factory, LINE, self.factory.root / "asked.csv", self.factory.root / "answers.csv")

    def know(self, known: pl.DataFrame) -> None:
        self.clock.at = START + timedelta(days=self.day, hours=22)
        known.select(key="visit", label="y").write_csv(self.factory.root / "truth.csv")
        hand_in(self.factory, LINE, self.factory.root / "truth.csv")

    def tend(self) -> RunResult | None:
        self.clock.at = START + timedelta(days=self.day, seconds=1)
        return tend_inline(self.factory, LINE)[1]

    def tend_now(self) -> RunResult | None:
        return tend_inline(self.factory, LINE)[1]

    def until_it_runs(self) -> RunResult:
        """Live until a training has come of it, two weeks at most."""
        ran: list[RunResult] = []
        last = self.day + 14
        while not ran and self.day < last:
            ran = self.live()
        assert ran, self.waits_for()
        return ran[0]

    def table(self) -> pl.DataFrame:
        """Return the rows that a retraining would have now."""
        work = begin(self.factory, self.factory.line(LINE), as_of=self.factory.now())
        dataset = self.factory.metadata.get(ingest_step(work).dataset, Dataset)
        return read_dataset(dataset, self.factory.artifacts, self.factory.metadata)

    def events(self, kind):
        return self.factory.metadata.events(kind, line=LINE)

    def change(self, old: str, new: str) -> None:
        path = self.factory.root / "lines" / f"{LINE}.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def waits_for(self) -> str | None:
        found = open_proposal(self.factory, LINE)
        assert found is not None
        missing = missing_labels(self.factory, self.factory.line(LINE), found[1])
        return missing and missing_in_words(missing)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the factory that each test gets a copy of: its line has a champion."""
    root = tmp_path_factory.mktemp("first") / "factory"
    (root / "lines").mkdir(parents=True)
    pl.concat([rows(day) for day in range(HISTORY)]).write_csv(root / "history.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    with Factory.create(root, now=Clock(START + timedelta(days=HISTORY))) as factory:
        assert execute_inline(factory, LINE).promoted
    return root


@pytest.fixture(scope="module")
def refused_twice(
    first: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Living, list[RunResult]]:
    """Make a factory whose line had two candidates that its gates refused, and what their runs gave."""
    root, clock = tmp_path_factory.mktemp("refused") / "factory", Clock(START + timedelta(days=HISTORY))
    with Factory.open(shutil.copytree(first, root), now=clock) as factory:
        line = Living(factory, clock)
        line.change("gates:\n", IMPOSSIBLE)
        line.change("when: [drift, performance], cooldown: 3d", "when: [{labels: 1}], cooldown: 1h")
        ran = line.live(6)
    return root, line, ran


@pytest.fixture
def living(first: Path, tmp_path: Path) -> Iterator[Callable[..., Living]]:
    opened = ExitStack()

    def make(name: str = "factory", *, shift: int = 10_000) -> Living:
        clock = Clock(START + timedelta(days=HISTORY))
        root = shutil.copytree(first, tmp_path / name)
        return Living(opened.enter_context(Factory.open(root, now=clock)), clock, shift=shift)

    with opened:
        yield make


def test_a_shift_is_told_once_and_answered_once_by_a_model_that_knows_it(living):
    """The whole promise of the loop, in order: alert, wait, training, certificate, promotion, quiet."""
    line = living(shift=HISTORY + 1)
    before = line.live(3)
    told = [(one.monitor, one.column) for one in line.events(Alerted)]
    waited, listed = line.waits_for(), alerts(line.factory, LINE)
    ran = line.until_it_runs()
    began, plan = line.day, make_plan(line.factory, line.factory.line(LINE))
    fair = line.factory.metadata.get(ran.certificate, Certificate)
    split = line.factory.metadata.get(ran.split, Split)
    proposed = line.events(Proposed)
    after = line.live(3)

    assert [] == before
    assert ("drift", "a") in told
    assert len(told) == len(set(told))
    assert waited == "0 of 100 labelled rows of the rarer class since 2026-03-12 00:00:00Z"
    assert waited == listed.proposals[0].waits_for
    assert f"a training is proposed and waits for labels: {waited}" in result_text(listed)
    assert HISTORY + 6 <= began < HISTORY + 12
    assert ran.promoted, result_text(ran)
    assert ran.certificate == line.events(Promoted)[-1].certificate
    assert line.events(Promoted)[0].package == fair.rival
    assert (split.test, 0) == (fair.n, fair.excluded)
    assert (1, proposed) == (len(proposed), line.events(Proposed))
    assert () == plan.changes
    assert line.events(Accepted)[-1].as_of == plan.as_of is not None
    assert [] == after
    assert {one.id for one in line.events(Alerted)} == {one.alert for one in line.events(Cleared)}
    assert "another model serves" in {one.because for one in line.events(Cleared)}


def test_confirmed_positives_are_those_of_the_log_and_the_labels_known_then(living):
    """What a window expected is counted once; what was confirmed of it, each time; a truth may be known before it is asked for."""
    line = living()
    line.live(4)
    again = line.rows(HISTORY).with_columns(at=pl.col("at") + timedelta(days=4))
    line.rows = lambda _: again
    line.answer(line.rows(line.day))
    line.day += 1
    line.tend()
    line.answer(rows(line.day))
    line.day += 1
    line.tend()
    told = line.factory.metadata.get(line.events(Watched)[-1].confirmations, Confirmations)
    windows = {one.end: one for one in line.events(Watched)}
    found = []
    for one in told.windows:
        before = [each.position for each in line.events(Watched) if each.end <= one.start]
        pairs = list(
            line.factory.labels_of(LINE).labelled(
                known_by=line.factory.now(),
                after=before[-1] if before else None,
                until=windows[one.end].position,
            )
        )
        expected = sum(record.answer["probabilities"]["yes"] for record, _ in pairs)
        found.append(
            (round(expected, 6), sum(truth is not None and truth.label == "yes" for _, truth in pairs))
        )

    assert [(round(one.expected, 6), one.positives) for one in told.windows] == found
    assert 4 <= len(found)
    assert 0 < told.windows[-1].early == told.windows[-1].positives
    assert {0} == {one.early for one in told.windows[:-1]}


def test_one_ordinary_row_ends_no_alert(living):
    """A quiet night after a day of alarms is no all-clear."""
    line = living(shift=HISTORY)
    line.change("windows: 2", "windows: 1")
    line.live()
    told = open_alerts(line.factory, LINE)
    for _ in range(3):
        line.answer(rows(line.day).head(1))
        line.day += 1
        line.tend()
    after = open_alerts(line.factory, LINE)
    line.answer(rows(line.day))
    line.day += 1
    line.tend()

    assert told == after != []
    assert [] == open_alerts(line.factory, LINE)


def test_rows_that_never_get_a_label_are_no_shift_after_a_retraining(living):
    """Live rows are of both kinds: a reference of labelled ones alone alarms about the others for ever."""
    line = living(shift=HISTORY + 1)
    is_odd = pl.int_range(pl.len()) % 3 == 0

    def half_known(day: int) -> pl.DataFrame:
        made = rows(day, shifted=day >= line.shift)
        return made.with_columns(b=pl.when(is_odd).then(None).otherwise("b"))

    line.rows = half_known
    know = line.know
    line.know = lambda known: know(known.filter(~is_odd))
    ran = line.until_it_runs()
    told = len(line.events(Alerted))
    line.live(4)
    window = line.factory.metadata.get(line.events(Watched)[-1].window, Window)
    reference = line.factory.metadata.get(window.reference, Reference)
    b = next(one for one in reference.columns if one.name == "b").counts

    assert ran.promoted, result_text(ran)
    assert 0.3 < b.missing / (b.missing + sum(b.counts)) < 0.37
    assert reference.n > line.factory.metadata.get(ran.split, Split).test
    assert told == len(line.events(Alerted))


def test_an_alert_is_found_by_its_id_and_shows_each_window_that_led_to_it(living):
    """Whoever is alarmed wants the column, the figure of each window and the reference, not only one window's rows."""
    line = living(shift=HISTORY + 1)
    line.live(3)
    alert = next(one for one in line.events(Alerted) if (one.monitor, one.column) == ("drift", "a"))
    text = result_text(alerts(line.factory, LINE))
    begins = alert.id.removeprefix("sha256:")[:12]
    found, because = look_up(line.factory, begins), explain(line.factory, begins)

    assert f"alert {begins}" in text
    assert ("alert", alert.id) == (found.kind, found.id)
    assert alert.because in because.says
    assert 2 == len(because.rests_on)
    for one in because.rests_on:
        assert re.search(r"PSI \d+\.\d\d of 'a', 0\.2 is worth naming$", one.says)
        assert "reference" in {part.kind for part in one.rests_on}


def test_a_line_whose_file_is_wrong_is_not_called_watched(living):
    """It was watched; that it is no more is the news."""
    line = living()
    line.live(1)
    before = result_text(alerts(line.factory, LINE))
    line.change("line: visits", "lion: visits")
    text = result_text(alerts(line.factory, LINE))

    assert "watched: visits" in before
    assert "neither watched nor trained" in text
    assert "watched: visits" not in text


def test_a_proposal_says_how_far_its_labels_have_come(living):
    """Whoever waits for a training wants to know whether an hour or a month is missing."""
    line = living(shift=HISTORY + 1)
    line.live(4)
    few = line.waits_for()
    line.live(3)
    young = line.waits_for()

    assert re.fullmatch(r"\d\d of 100 labelled rows of the rarer class since 2026-03-12 00:00:00Z", few)
    assert re.fullmatch(r"100 of 100 labelled rows .*Z, \d\d of them old enough to learn from", young)


def test_alerts_about_a_model_that_no_longer_serves_ask_for_no_training(living):
    """Between a promotion and the end of the next window they are still open; what they say is settled."""
    line = living(shift=HISTORY + 1)
    line.change("cooldown: 3d", "cooldown: 1s")
    line.live(3)
    line.until_it_runs()
    line.clock.at += timedelta(hours=1)
    again = tend_inline(line.factory, LINE)

    assert open_alerts(line.factory, LINE)
    assert (None, None) == again
    assert 1 == len(line.events(Proposed))


def test_what_too_few_rows_did_not_decide_is_judged_on_twice_as_many(living):
    """Looking again at as few rows adds chances of being wrong, no power; and who could not tell has refused nothing."""
    line = living(shift=HISTORY + 1)
    line.live(4)  # until nothing new is found
    pretend_undecided(line)
    waited, stopped = line.waits_for(), refusals(line.factory, LINE)
    ran = line.until_it_runs()
    test = line.factory.metadata.get(ran.split, Split).test
    plan = make_plan(line.factory, line.factory.line(LINE))

    assert re.fullmatch(r"\d+ of 200 labelled rows of the rarer class since 2026-03-12 00:00:00Z", waited)
    assert [] == stopped
    assert ran.promoted, result_text(ran)
    assert 2 * (2 * ENOUGH) <= test
    assert () == plan.changes


def test_a_new_finding_does_not_wait_for_what_an_earlier_one_did_not_decide(living):
    """A drift that nobody could decide about must not keep the line from training when its answers get worse."""
    line = living(shift=HISTORY + 1)
    line.live(3)
    pretend_undecided(line)
    before = line.waits_for()
    found = replace(line.events(Alerted)[0], id="sha256:1", monitor="performance", at=line.factory.now())
    line.factory.metadata.record(found)
    line.clock.at += timedelta(seconds=1)

    assert "0 of 200 labelled rows of the rarer class since 2026-03-12 00:00:00Z" == before
    assert "0 of 100 labelled rows of the rarer class since 2026-03-12 00:00:00Z" == line.waits_for()


def pretend_undecided(line: Living) -> None:
    """Put a run on the record that a finding asked for, and that ended with too few rows to decide."""
    store, at = line.factory.metadata, line.factory.now()
    first = store.events(Finished, line=LINE)[0]
    certificate = replace(store.get(first.certificate, Certificate), verdict="need-more-data")
    proposal = RetrainProposal(
        line=LINE, reason=OpenAlerts(alerts=()), trigger="drift", since=at, evidence=("sha256:0",)
    )
    accepted = replace(line.events(Accepted)[0], run="earlier", at=at, proposal=store.keep(proposal))
    store.record(accepted)
    store.record(replace(first, run="earlier", at=at, certificate=store.keep(certificate), promoted=False))
    line.clock.at += timedelta(seconds=1)


def test_trainings_keep_the_cooldown(living):
    """A line that gets labels every day must not train every day."""
    line = living()
    line.change("when: [drift, performance]", "when: [{labels: 1}]")
    line.live(7)
    began = [datetime.fromisoformat(one.at) for one in line.events(Accepted) if one.proposal]

    assert [timedelta(days=3)] == [b - a for a, b in pairwise(began)]


@pytest.mark.parametrize("by", ["run", "promotion"])
def test_after_two_refusals_the_line_asks_a_person_who_begins_anew(refused_twice, tmp_path, by):
    """Training the same failure every night costs money and hides that somebody should look."""
    root, before, ran = refused_twice
    clock = Clock(before.clock.at)
    with Factory.open(shutil.copytree(root, tmp_path / "factory"), now=clock) as factory:
        line = Living(factory, clock, day=before.day)
        told, runs = open_alerts(factory, LINE), len(line.events(Accepted))
        if by == "run":
            execute_inline(factory, LINE, as_of=factory.now())
        else:
            line.clock.at += timedelta(hours=1)
            promote(factory, ran[0].candidate, force=True, because="the gate was a slip of the pen")
        again = line.live() if by == "run" else [tend_inline(factory, LINE)[1]]
        alerted, cleared = line.events(Alerted), line.events(Cleared)

    assert [False, False] == [one.promoted for one in ran]
    assert ["retraining"] == [one.monitor for one in told]
    assert told == alerted
    assert ran[-1].certificate == told[0].evidence
    assert "2 candidates in a row were refused" in told[0].because
    assert "`linewright retrain visits`" in told[0].because
    assert 3 == runs
    assert [told[0].id] == [one.alert for one in cleared]
    assert 1 == len(again)


@pytest.mark.parametrize("asks", ["a finding", "a person"])
def test_what_a_training_has_judged_is_not_trained_on_again(living, asks):
    """The same rows give the same candidate: two runs of it would be two refusals, and stop the line over nothing new."""
    line = living(shift=HISTORY + 1)
    line.change("gates:\n", IMPOSSIBLE)
    line.change("cooldown: 3d", "cooldown: 1s")
    line.live(3)
    if asks == "a person":
        line.live(5)
        line.change("when: [drift, performance]", "when: [drift]")
    first = (
        line.until_it_runs()
        if asks == "a finding"
        else execute_inline(line.factory, LINE, as_of=line.factory.now())
    )
    line.clock.at += timedelta(hours=1)
    again, waits = line.tend_now(), line.waits_for()
    later = line.until_it_runs()

    assert not first.promoted
    assert again is None
    assert re.fullmatch(r"none is new since the training that knew those of 2026-03-\d\d \d\d:00:01Z", waits)
    assert first.certificate != later.certificate


def test_what_a_person_took_back_does_not_come_back_by_an_alert_that_was_known(living):
    """A rollback holds until something new is found; else the line would promote the same again within a minute."""
    line = living(shift=HISTORY + 1)
    line.change("cooldown: 3d", "cooldown: 1s")
    assert line.until_it_runs().promoted
    rollback(line.factory, LINE, because="the new one is too strict")
    line.clock.at += timedelta(days=1)
    known, spec = open_alerts(line.factory, LINE), line.factory.line(LINE)
    proposals = [len(line.events(Proposed))]
    retraining_due(line.factory, spec)
    proposals.append(len(line.events(Proposed)))
    line.factory.metadata.record(replace(known[0], id="sha256:1", at=line.factory.now()))
    retraining_due(line.factory, spec)
    proposals.append(len(line.events(Proposed)))

    assert {find_model(line.factory, LINE).digest} == {one.package for one in known}
    assert [1, 1, 2] == proposals


def test_runs_that_gave_one_certificate_again_refused_one_candidate(living):
    """Whoever counts a candidate twice stops the line one candidate too early."""
    line = living()
    line.change("gates:\n", IMPOSSIBLE)
    line.change("when: [drift, performance], cooldown: 3d", "when: [{labels: 1}], cooldown: 1h")
    line.live(3)
    accepted, finished = line.events(Accepted)[-1], line.events(Finished)[-1]
    store = line.factory.metadata
    before = refusals(line.factory, LINE)
    store.record(replace(accepted, run="again", at=line.factory.now()))
    store.record(replace(finished, run="again", at=line.factory.now()))

    assert [finished.certificate] == [one.certificate for one in before]
    assert [finished.certificate] == [one.certificate for one in refusals(line.factory, LINE)]


def test_a_run_has_one_actor_whoever_carries_it_out(living):
    """Who asked for a run answers for it, not the user whose worker had time."""
    line = living()
    line.factory.identity = owner("asks")
    other = Factory.open(line.factory.root, actor="works", now=line.clock)
    spec = line.factory.line(LINE)
    line.live(DELAY)
    line.know(line.rows(HISTORY))
    plan = make_plan(line.factory, spec, as_of=line.factory.now())
    run, request = prepare(line.factory, spec, plan)
    with other:
        InlineEngine(workflows(other)).start(WORKFLOW, run, request)
    done = [line.events(kind)[-1] for kind in (Accepted, Registered, Finished)]
    judged = [one for kind in (Promoted, Refused) for one in line.events(kind) if one.run == run]

    assert {"asks"} == {one.by for one in (*done, *judged)}
    assert [run] * 3 == [one.run for one in done]
    assert 1 == len(judged)


def test_a_window_that_is_killed_at_any_write_is_closed_once(living):
    """A laptop is closed between an alert and the end of its window, and people must not be told twice."""
    whole, killed = (living(name, shift=HISTORY) for name in ("whole", "killed"))
    for line in (whole, killed):
        line.live()
        line.answer(line.rows(line.day))
        line.clock.at += timedelta(hours=2)
    close_window(whole.factory, whole.factory.line(LINE))
    store, moments = killed.factory.metadata, 0
    while len(killed.events(Watched)) < 2:
        moments += 1
        killed.factory.__dict__["metadata"] = DyingMetadata(store, Fuse(moments))
        with suppress(Killed):
            close_window(killed.factory, killed.factory.line(LINE))
        killed.factory.__dict__["metadata"] = store
    again = close_window(killed.factory, killed.factory.line(LINE))

    assert again is None
    assert 8 == moments // 2 * 2
    assert whole.events(Alerted) == killed.events(Alerted) != []
    assert [(one.window, one.findings) for one in whole.events(Watched)] == [
        (one.window, one.findings) for one in killed.events(Watched)
    ]


class Killed(Exception):  # noqa: N818 -- stands for the end of a process
    pass


@dataclass
class Fuse:
    """Ends the work at the n-th moment."""

    left: int

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


def test_a_proposal_that_is_killed_at_any_write_is_made_and_answered_once(living):
    """The run that answers a proposal has its id from it, so that a restart cannot train twice."""
    line = living()
    line.change("when: [drift, performance], cooldown: 3d", "when: [{labels: 1}], cooldown: 1d")
    line.live(DELAY)
    line.know(line.rows(HISTORY))
    line.clock.at += timedelta(hours=1)
    store, moments = line.factory.metadata, 0
    due = None
    while due is None:
        moments += 1
        line.factory.__dict__["metadata"] = DyingMetadata(store, Fuse(moments))
        with suppress(Killed):
            due = retraining_due(line.factory, line.factory.line(LINE))
        line.factory.__dict__["metadata"] = store

    assert moments > 4
    assert [due.proposal] == [one.proposal for one in line.events(Proposed)]


def test_lines_that_cannot_be_tended_harm_no_other(living, capsys):
    """One broken file among many lines must not switch off the watch over all, nor fill the log every half second."""
    line = living()
    folder = line.factory.root / "lines"
    (folder / "a-broken.yaml").write_text("line: a-broken\nsauces: {}\n")
    (folder / "b-new.yaml").write_text(FILE.replace("line: visits", "line: b-new"))
    (folder / "c-gone.yaml").write_text(
        FILE.replace("line: visits", "line: c-gone").replace("history.csv", "gone.csv")
    )
    line.answer(line.rows(line.day))
    line.clock.at += timedelta(hours=2)
    tending = Tending(
        lambda: Factory.open(line.factory.root, now=line.clock),
        InlineEngine(workflows(line.factory)),
        every_s=0.01,
    )
    until = time.monotonic() + 10
    while not line.events(Watched) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    tending.close()

    assert [A_DAY] == [one.n for one in line.events(Watched)]
    assert [] == line.events(Alerted)
    assert 1 == capsys.readouterr().err.count("a-broken is not looked after now")


def test_rows_of_source_and_log_count_once_and_get_a_time(living):
    """A customer who is asked about twice, once in a file and once live, is still one example."""
    line = living()
    known, fresh = rows(HISTORY - 1), rows(HISTORY)
    line.answer(known)
    line.answer(fresh)
    line.answer(fresh)
    line.answer(untimed := rows(HISTORY + 1).drop("at"))
    line.know(pl.concat([known.drop("at"), fresh.drop("at"), untimed]))
    table = line.table()
    received = table.filter(pl.col("visit").is_in(untimed["visit"]))["at"]

    assert (HISTORY + 2) * A_DAY == table.height == table["visit"].n_unique()
    assert fresh["at"].to_list() == table.filter(pl.col("visit").is_in(fresh["visit"]))["at"].to_list()
    assert {START + timedelta(days=HISTORY, hours=23)} == set(received)


def test_a_row_whose_time_cannot_be_read_gets_that_of_its_answer_and_both_say_so(living):
    """What the endpoint warns of is what a retraining does."""
    line = living()
    version = line.factory.metadata.versions(LINE)[-1]
    limits = limits_of(line.factory.metadata, LINE, version.version)
    loaded = Loaded(
        LINE,
        1,
        Arm(model=1, package=version.digest),
        Scorer(load(version.digest, line.factory.artifacts.get), limits),
        line.factory.now,
    )
    asked = [
        {"visit": f"n{i}", "at": at, "a": 0.5 + i, "b": 0.1}
        for i, at in enumerate(["2026-03-11T08:00:00Z", "yesterday", None])
    ]
    with closing(PredictionLog(line.factory.log_of(LINE))) as log:
        said = answer(loaded, log, asked, in_rows)
    line.day += DELAY + 1
    line.know(pl.DataFrame({"visit": ["n0", "n1", "n2"], "y": ["yes", "no", "yes"]}))
    table = line.table()
    received = START + timedelta(days=HISTORY)
    request = curl(line.factory, LINE, "http://localhost:8000")

    assert {
        1: ["at: 'yesterday' cannot be read, so the time of the answer counts"],
        2: ["at: no value, so the time of the answer counts"],
    } == said.warnings
    assert [START + timedelta(days=HISTORY, hours=8), received, received] == [
        table.row(by_predicate=pl.col("visit") == f"n{i}", named=True)["at"] for i in range(3)
    ]
    assert f'"at":"{line.factory.now()[:19]}Z"' in request


def test_without_a_key_rows_of_source_and_log_are_told_by_their_content(living):
    """Many tables have no key; a row that a file and the log spell alike is one row."""
    line = living()
    root = line.factory.root
    for old, new in (("key: visit, ", ""), ("    visit: {type: category, unique: true}\n", "")):
        line.change(old, new)
    pl.read_csv(root / "history.csv").drop("visit").write_csv(root / "history.csv")
    assert execute_inline(line.factory, LINE).candidate == f"{LINE}@2"
    promote(line.factory, f"{LINE}@2", force=True, because="the first one knows its rows by key")
    asked = pl.concat([rows(HISTORY - 1), rows(HISTORY)]).drop("visit")
    line.answer(asked)
    ids = pl.read_csv(root / "answers.csv")["id"]
    pl.DataFrame({"id": ids, "label": asked["y"]}).write_csv(root / "truth.csv")
    hand_in(line.factory, LINE, root / "truth.csv")

    assert (HISTORY + 1) * A_DAY == line.table().height


def test_known_rows_that_are_handed_in_again_under_new_keys_judge_no_candidate(living):
    """They were the latest rows, hence the whole test part, and the certificate called them unseen."""
    line = living()
    again = pl.concat([rows(day) for day in range(5)]).with_columns(
        visit="new" + pl.col("visit"), at=pl.lit(START + timedelta(days=HISTORY))
    )
    line.answer(again)
    line.day += DELAY + 1
    line.know(again)
    line.clock.at += timedelta(hours=1)
    ran = execute_inline(line.factory, LINE, as_of=line.factory.now())
    split = line.factory.metadata.get(ran.split, Split)
    fair = line.factory.metadata.get(ran.certificate, Certificate)
    frame = line.table()
    parts = np.frombuffer(line.factory.artifacts.get(split.parts), dtype=np.uint8)
    tested = frame["visit"].filter(pl.Series(parts == TEST))

    assert again.height == split.copies
    assert not tested.str.starts_with("new").any()
    assert [f"{again.height} of {again.height + split.test} test rows repeat"] == [
        breach_in_words(one)[: len(f"{again.height} of {again.height + split.test} test rows repeat")]
        for one in ran.breaches
    ]
    assert (split.test, False) == (fair.n + fair.excluded, ran.promoted)
