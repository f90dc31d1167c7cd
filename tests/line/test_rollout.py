"""A candidate that passed its gates begins as a canary: it serves alone in the end, or is taken back where it does worse."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import commands
import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from ports import free_port
from shown_pages import pages_of

import linewright
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.lookup import look_up
from linewright.capabilities.evidence.operations import card
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.releases.operations import promote, rollback, step
from linewright.errors import Denied, GateRefused, RequestError, Transient
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.predict.example_request import curl
from linewright.line.predict.label_file import hand_in
from linewright.line.record.evidence import explain
from linewright.line.record.registry import judged
from linewright.line.release.rollout import is_tried_first, not_worse_in_words, tend_canary, trial_of
from linewright.line.runs.execute import execute_inline
from linewright.release.confidence_sequence import bounds
from linewright.release.facts import ArmQuality, Deployed, Pairs, Promoted, Trial, Withdrawn
from linewright.release.promotion import canary_of, project
from linewright.release.spec import ReleaseSpec
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.facts import Prediction
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.canary import Guard
from linewright.serve.models.canary_failure import Trouble, note_trouble
from linewright.serve.models.follow import Lines
from linewright.serve.models.shadow import Mirrors
from linewright.serve.rows.body.reader import in_rows
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


def roll_out(root: Path, release: str) -> None:
    """Let the line file say how a candidate reaches users."""
    (root / "lines" / f"{LINE}.yaml").write_text(FILE[: FILE.index("release:")] + f"release: {release}\n")


def copies_in(factory: Factory) -> Iterator[Prediction]:
    """Iterate over what was answered beside the path of the answer."""
    for folder in factory.copies_of(LINE).glob("*"):
        yield from (one.record for one in read_log(folder))


class Living:
    """A line whose endpoint is this process."""

    def __init__(self, factory: Factory, clock: Clock) -> None:
        self.factory, self.clock = factory, clock
        self.lines = Lines(factory.serving, factory.artifacts.get, tell=lambda _: None)
        self.mirrors = Mirrors(factory.state, Guard(), tell=lambda _: None)
        self.number = 100_000

    def candidate(self, *, turned: bool) -> None:
        """Give the line the rows of another world, or of the same, and run it."""
        rows(HISTORY, 3 * HISTORY, turned=turned).write_csv(self.factory.root / "history.csv")
        self.ran = execute_inline(self.factory, LINE)

    def rolled_out(self, release: str) -> None:
        """Let the line file say how a candidate reaches users."""
        roll_out(self.factory.root, release)

    def answer(self, n: int, *, turned: bool = False, also: dict[str, float] | None = None) -> None:
        """Answer visits as the endpoint does, copies of them too, and hand in what turned out."""
        for _ in range(3):  # champion, canary, and whatever a step changes
            self.lines.look()
            for future in [*self.lines._loading.values(), *self.lines._loading_canary.values()]:
                future.result()
        live = self.lines.live[LINE]
        asked = rows(self.number, n, turned=turned)
        self.number += n
        log = PredictionLog(self.factory.log_of(LINE))
        loaded = Loaded(
            LINE,
            live.generation,
            live.arm,
            live.scorer,
            self.factory.now,
            live.canary,
            Guard(),
            live.shadow,
            self.mirrors,
        )
        before = self.copies()
        answer(loaded, log, [row | (also or {}) for row in asked.drop("y").to_dicts()], in_rows)
        log.close()
        until = time.monotonic() + 60
        while live.shadow is not None and self.copies() < before + n and time.monotonic() < until:
            time.sleep(0.02)
        asked.select(key="visit", label="y").write_csv(self.factory.root / "truth.csv")
        hand_in(self.factory, LINE, self.factory.root / "truth.csv")

    def copies(self) -> int:
        """Count what was answered beside the path of the answer."""
        return sum(1 for _ in copies_in(self.factory))

    def after(self, **passed: float):
        """Let time pass, and do what is due about the canary."""
        self.clock.at += timedelta(**passed)
        return tend_canary(self.factory, self.factory.line(LINE))

    def is_worse(self) -> bool:
        """Return whether the candidate that is tried is surely worse by now."""
        release = self.factory.line(LINE).release
        return trial_of(self.factory, release, canary_of(self.factory.metadata, LINE)).is_worse

    def events(self, kind):
        return self.factory.metadata.events(kind, line=LINE)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    """Make a factory whose first model serves; each test gets a copy, for a folder copied is a factory copied."""
    root = tmp_path_factory.mktemp("served") / "factory"
    (root / "lines").mkdir(parents=True)
    rows(0, HISTORY).write_csv(root / "history.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    with Factory.create(root, now=Clock(START)) as factory:
        assert execute_inline(factory, LINE).promoted
    return root


@pytest.fixture(scope="module")
def tried(served: Path, tmp_path_factory) -> Callable[[str], tuple[Path, RunResult]]:
    """Give a function that makes the same factory with a candidate, once for each way to users, and what its run gave: the world has turned, and the candidate knows it."""

    @cache
    def make(release: str) -> tuple[Path, RunResult]:
        root = shutil.copytree(served, tmp_path_factory.mktemp("tried") / "factory")
        with living_in(root) as one:
            if release:
                one.rolled_out(release)
            one.candidate(turned=True)
        return root, one.ran

    return make


@contextmanager
def living_in(root: Path) -> Iterator[Living]:
    clock = Clock(START)
    with ExitStack() as opened:
        factory = opened.enter_context(Factory.open(root, now=clock))
        one = Living(factory, clock)
        opened.callback(one.lines.close)
        opened.callback(one.mirrors.close)
        yield one


@pytest.fixture
def living(tmp_path: Path, served: Path) -> Iterator[Living]:
    with living_in(shutil.copytree(served, tmp_path / "factory")) as one:
        yield one


@pytest.fixture
def trying_as(
    tmp_path: Path, tried: Callable[[str], tuple[Path, RunResult]]
) -> Iterator[Callable[[str], Living]]:
    """Give a function that returns a line whose candidate is tried in a way; without one, as a canary."""
    with ExitStack() as opened:

        def begin(release: str) -> Living:
            root, ran = tried(release)
            one = opened.enter_context(living_in(shutil.copytree(root, tmp_path / "factory")))
            one.ran = ran
            return one

        yield begin


@pytest.fixture
def trying(trying_as: Callable[[str], Living]) -> Living:
    """Give a line whose candidate is a canary."""
    return trying_as("")


def test_a_good_canary_takes_its_steps_and_serves(trying):
    """The world has turned: the candidate knows it, the champion does not."""
    told = result_text(trying.ran)
    unasked = trying.after(hours=2)
    trying.clock.at -= timedelta(hours=2)
    trying.answer(400, turned=True)
    early, shown = trying.after(minutes=59), result_text(status(trying.factory, LINE))
    second = trying.after(minutes=2)
    trying.answer(400, turned=True)
    last = trying.after(hours=2)
    trial = trying.factory.metadata.get(str(second.evidence), Trial)

    assert "visits@2  passes its gates, and answers 20% of the rows as a canary" in told
    assert 0 == trying.ran.exit_code
    assert (None, None) == (unasked, early)
    assert "canary visits@2 answers 20% of the rows:" in shown
    assert (0.2, 0.5) == tuple(one.share for one in trying.events(Deployed))
    assert 1 == len({one.salt for one in trying.events(Deployed)})
    assert 400 == trial.canary.rows + trial.champion.rows
    assert trial.canary.loss < trial.champion.loss
    assert isinstance(last, Promoted)
    assert (trying.ran.certificate, 2) == (last.certificate, last.model)
    assert None is canary_of(trying.factory.metadata, LINE)
    assert [] == list(verify_factory(trying.factory).problems)


def test_a_canary_of_a_line_whose_file_is_wrong_is_said_not_to_be_judged(trying):
    """It goes on answering; whoever reads that it answered no row yet does not hurry."""
    trying.answer(400, turned=True)
    judged = status(trying.factory, LINE)
    path = trying.factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("bake: 1h", "bake: soon"))
    wrong = status(trying.factory, LINE)

    assert [True, False] == [one.lines[0].canary.judged for one in (judged, wrong)]
    assert "not judged" not in result_text(judged)
    assert "canary visits@2 answers 20% of the rows, and is not judged while the line's file is wrong" in (
        result_text(wrong)
    )
    assert "`linewright rollback visits --canary` does" in result_text(wrong)
    assert "neither watched nor trained, and its candidate is not judged" in result_text(wrong)


def test_a_canary_that_does_worse_is_taken_back_by_itself_and_does_not_come_again(trying):
    """The world turns back after the gates: what they proved no longer holds."""
    withdrawn = None
    while withdrawn is None and trying.number < 104_000:
        trying.answer(200)
        withdrawn = trying.after(minutes=1)
    again = execute_inline(trying.factory, LINE)

    assert isinstance(withdrawn, Withdrawn)
    assert "quality" == withdrawn.trigger
    assert "its answers are worse: Brier score" in withdrawn.because
    assert trying.factory.metadata.get(str(withdrawn.evidence), Trial).is_worse
    assert (1, None) == (
        trying.factory.metadata.pointer(LINE).champion,
        canary_of(trying.factory.metadata, LINE),
    )
    assert (4, "hold") == (again.exit_code, again.verdict)
    assert "taken back as a canary" in again.because
    assert [] == list(verify_factory(trying.factory).problems)


def test_a_person_takes_a_canary_back_or_lets_it_serve_at_once(trying):
    back = rollback(trying.factory, LINE, because="not today")
    promoted = promote(trying.factory, f"{LINE}@2", because="now")

    assert result_text(back).startswith("visits@1 (")
    assert "serves alone, without its canary visits@2: not today" in result_text(back)
    assert ["person"] == [one.trigger for one in trying.events(Withdrawn)]
    assert ("visits@2", "visits@1") == (promoted.champion, promoted.before)
    assert [] == list(verify_factory(trying.factory).problems)


def test_a_person_takes_each_step_before_its_time_and_the_record_says_who_and_why(living):
    """The wait is skipped, and nothing else: the record has what each step showed, as that of a step in time."""
    with pytest.raises(RequestError, match="no candidate is tried"):
        step(living.factory, LINE, because="in a hurry")
    living.candidate(turned=True)
    with pytest.raises(GateRefused, match="no step before its first answer"):
        step(living.factory, LINE, because="in a hurry")
    with pytest.raises(RequestError, match="needs a reason"):
        step(living.factory, LINE, because=" ")
    living.answer(100, turned=True)
    second = step(living.factory, LINE, because="the sale begins")
    living.answer(100, turned=True)
    last = step(living.factory, LINE, because="no complaint")
    deployed, promoted = living.events(Deployed)[-1], living.events(Promoted)[-1]

    assert result_text(second).startswith(
        "visits@2 answers 50% of the rows as a canary beside visits@1: the sale begins; before its time: as a canary it answered"
    )
    assert ("visits@2", "visits@1") == (last.champion, last.before)
    assert (0.2, 0.5) == tuple(one.share for one in living.events(Deployed))
    assert deployed.because.startswith("the sale begins; before its time: ")
    assert promoted.because.startswith("no complaint; before its time: ")
    assert (living.ran.certificate, False) == (promoted.certificate, promoted.forced)
    for event in (deployed, promoted):
        assert living.factory.metadata.get(str(event.evidence), Trial).canary.rows
        assert living.factory.actor == event.by
    assert [] == list(verify_factory(living.factory).problems)


def test_the_page_of_the_release_has_the_step_for_whoever_may_promote(trying):
    page, get = f"/lines/{LINE}/release", pages_of(trying.factory.root)
    unanswered = get(page)
    trying.answer(60, turned=True)
    viewer = get(page, role="viewer")
    form = {"line": LINE, "because": "<script>alert(1)</script>", "_next": page}
    denied, told = get("/do/step", role="viewer", form=form), get("/do/step", form=form)
    shown = get(page)

    assert "/do/step" not in [*unanswered.forms, *viewer.forms]
    assert (403, 303) == (denied.status, told.status)
    assert "/do/step" not in shown.forms  # it has answered no row in this step yet
    assert "<script>alert(1)</script>; before its time: as a canary it answered" in shown.text
    shown.assert_harmless()
    assert (0.5, "token nobody-engineer-all") == (
        trying.events(Deployed)[-1].share,
        trying.events(Deployed)[-1].by,
    )


def test_a_worse_candidate_takes_no_step_whoever_asks(trying):
    while not trying.is_worse() and trying.number < 104_000:
        trying.answer(200)
    with pytest.raises(GateRefused, match=r"it takes no step: found .its answers are worse"):
        step(trying.factory, LINE, because="I like it")
    note_trouble(
        trying.factory.serving,
        LINE,
        Trouble(package=canary_of(trying.factory.metadata, LINE).package, because="it fails"),
    )
    with pytest.raises(GateRefused, match="the endpoint has trouble with it"):
        step(trying.factory, LINE, because="I like it")

    assert [0.2] == [one.share for one in trying.events(Deployed)]


def test_a_shadow_that_is_stepped_serves(trying_as):
    living = trying_as("{rollout: shadow, bake: 1h}")
    living.answer(60, turned=True)

    assert f"{LINE}@2" == step(living.factory, LINE, because="seen enough").champion


def test_a_member_takes_no_step_early_where_the_line_wants_approval(living):
    """What somebody approved was the trial as the file says it."""
    living.rolled_out("{rollout: canary, steps: [0.2, 1.0], bake: 1h, approve: [approver]}")
    member_add(living.factory, "ada", role="engineer")
    living.candidate(turned=True)
    promote(living.factory, f"{LINE}@2", because="as the owner")
    living.answer(60, turned=True)
    scope = Scope(permissions=ROLES["engineer"])
    ada = Identity(actor="ada", member="ada", scopes=(scope,))
    with (
        Factory.open(living.factory.root, identity=ada, now=living.clock) as hers,
        pytest.raises(Denied, match="wants approval"),
    ):
        step(hers, LINE, because="I made it")

    assert f"{LINE}@2" == step(living.factory, LINE, because="as the owner").champion


def test_what_an_endpoint_has_against_a_canary_ends_it(trying):
    canary = canary_of(trying.factory.metadata, LINE)
    note_trouble(trying.factory.serving, LINE, Trouble(package=canary.package, because="it fails"))
    withdrawn = trying.after(seconds=1)

    assert ("trouble", "it fails") == (withdrawn.trigger, withdrawn.because)
    assert None is trying.after(seconds=1)


def test_how_a_canary_ended_stays_in_sight_and_what_was_found_out_needs_force(trying):
    """Who looks the next morning sees it, and does not promote it by mistake."""
    during = explain(trying.factory, f"{LINE}@2").says
    canary = canary_of(trying.factory.metadata, LINE)
    note_trouble(trying.factory.serving, LINE, Trouble(package=canary.package, because="it fails"))
    trying.after(seconds=1)
    with pytest.raises(GateRefused, match="as a canary it was found out: found 'it fails'"):
        promote(trying.factory, f"{LINE}@2")
    with pytest.raises(RequestError, match="no canary runs"):
        rollback(trying.factory, LINE, canary=True)
    shown, verdict = (
        result_text(status(trying.factory, LINE)),
        judged(trying.factory, LINE)[canary.package].verdict,
    )
    because, told = explain(trying.factory, f"{LINE}@2").says, card(trying.factory, f"{LINE}@2").markdown
    forced = promote(trying.factory, f"{LINE}@2", force=True, because="it was the disk")

    assert during.endswith("; it answers 20% of the rows as a canary since 2026-03-01 00:00:00Z")
    assert because.endswith("; it was taken back as a canary on 2026-03-01 00:00:01Z: it fails")
    assert "In spite of that it was taken back when it was tried; the reason is above." in told
    assert "took it back when it was tried: it fails." in told[: told.index("In spite of that")]
    added = explain(trying.factory, f"{LINE}@2").says.removeprefix(because)
    assert added.startswith("; it was promoted by force on ")
    assert added.endswith(": it was the disk")
    assert "taken back" not in explain(trying.factory, f"{LINE}@1").says
    assert "canary visits@2 was taken back on 2026-03-01 00:00:01Z: it fails" in shown
    assert "hold" == verdict
    assert "visits@2" == forced.champion
    assert [True] == [one.forced for one in trying.events(Promoted) if one.model == 2]
    assert "taken back" not in result_text(status(trying.factory, LINE))
    assert [] == list(verify_factory(trying.factory).problems)


def test_a_candidate_that_is_approved_begins_as_a_canary(living):
    path = living.factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("bake: 1h}", "bake: 1h, approve: [owner]}"))
    living.candidate(turned=True)
    held = result_text(status(living.factory, LINE))
    approved = promote(living.factory, f"{LINE}@2", because="looks good")
    shown = result_text(status(living.factory, LINE))

    assert "hold" == living.ran.verdict
    assert "challenger visits@2 waits: the line file wants approval by owner" in held
    assert "visits@2 answers 20% of the rows as a canary beside visits@1: looks good" == result_text(approved)
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


def test_the_command_to_paste_has_the_columns_that_only_the_candidate_needs(living):
    """Sent without them it would be the candidate's trouble, and end its trial."""

    def pasted() -> dict[str, float]:
        return json.loads(shlex.split(curl(living.factory, LINE, "http://127.0.0.1:1"))[-1])["rows"][0]

    before = pasted()
    (living.factory.root / "lines" / f"{LINE}.yaml").write_text(
        FILE.replace("    y:", "    c: {type: number, nullable: false}\n    y:")
    )
    rows(HISTORY, 3 * HISTORY, turned=True).with_columns(c=pl.col("a") * 2).write_csv(
        living.factory.root / "history.csv"
    )
    execute_inline(living.factory, LINE)
    during = pasted()
    living.answer(20, turned=True, also={"c": during["c"]})
    trouble = living.after(minutes=1)
    rollback(living.factory, LINE)

    assert {"visit", "a", "b"} == before.keys()
    assert {**before, "c": during["c"]} == during
    assert trouble is None
    assert before == pasted()


def test_a_newer_candidate_takes_the_place_of_a_canary(trying):
    rows(HISTORY + 7, 3 * HISTORY, turned=True).write_csv(trying.factory.root / "history.csv")
    ran = execute_inline(trying.factory, LINE)

    assert ("visits@3", 0.2) == (ran.candidate, ran.share)
    assert [] == list(verify_factory(trying.factory).problems)
    assert [("newer", 2)] == [(one.trigger, one.model) for one in trying.events(Withdrawn)]
    assert 3 == canary_of(trying.factory.metadata, LINE).model


@pytest.mark.parametrize(
    ("release", "part", "shown", "answered"),
    [
        (
            "{rollout: shadow, bake: 1h}",
            "gets copies of the rows as a shadow",
            "shadow visits@2 gets copies",
            {1},
        ),
        (
            "{rollout: blue-green, bake: 1h}",
            "answers all rows for a trial",
            "visits@2 answers all rows for a trial, and the champion gets copies",
            {2},
        ),
    ],
    ids=["shadow", "blue-green"],
)
def test_a_good_candidate_that_is_compared_row_by_row_serves_after_its_trial(
    trying_as, release, part, shown, answered
):
    """Both models answer each row, one of them goes out, and nothing else counts the other."""
    living = trying_as(release)
    told = result_text(living.ran)
    living.answer(300, turned=True)
    logged = [one.record for one in read_log(living.factory.log_of(LINE))]
    seen, early = status(living.factory, LINE), living.after(minutes=59)
    beside = look_up(living.factory, logged[0].id).body["beside"]
    promoted = living.after(minutes=2)
    trial = living.factory.metadata.get(str(promoted.evidence), Trial)
    kept = living.copies()
    nothing, gone = living.after(minutes=1), living.copies()
    claim = explain(living.factory, f"{LINE}@2")
    why = [one.says for one in claim.rests_on if one.kind == "trial"]

    assert claim.says.endswith(f" it was promoted on 2026-03-01 01:01:00Z: {promoted.because}")
    assert f"visits@2  passes its gates, and {part}" in told
    assert 0 == living.ran.exit_code
    assert shown in result_text(seen)
    assert answered == {one.model for one in logged}
    assert [{1, 2} - answered] == [{one["model"]} for one in beside]
    assert (300, 300) == (seen.lines[0].predictions, seen.lines[0].labels)
    assert (None, None) == (early, nothing)
    assert isinstance(promoted, Promoted)
    assert (2, living.ran.certificate) == (promoted.model, promoted.certificate)
    assert (300, 300, 300) == (trial.canary.rows, trial.champion.rows, trial.pairs.labelled)
    assert trial.pairs.high < 0
    assert ["tried on 300 rows"] == [one[:17] for one in why]
    assert (300, 0) == (kept, gone)
    assert [] == list(verify_factory(living.factory).problems)


@pytest.mark.parametrize("rollout", ["canary", "shadow", "blue-green"])
def test_one_step_to_all_traffic_is_immediate_whatever_the_rollout(living, rollout):
    """Who is in a hurry changes one word, and takes it back tomorrow."""
    living.rolled_out(f"{{rollout: {rollout}, steps: [1.0], bake: 1h}}")
    spec = living.factory.line(LINE)

    assert is_tried_first(living.factory, spec) is False
    assert is_tried_first(living.factory, spec.model_copy(update={"release": ReleaseSpec(rollout="shadow")}))


@pytest.mark.parametrize("rollout", ["shadow", "blue-green"])
def test_a_candidate_that_answers_the_same_rows_worse_is_taken_back_by_itself(trying_as, rollout):
    """Pairs show it on fewer rows than shares would: the same rows are as hard for both."""
    living = trying_as(f"{{rollout: {rollout}, bake: 1h}}")
    withdrawn = None
    while withdrawn is None and living.number < 101_000:
        living.answer(100)
        withdrawn = living.after(minutes=1)
    trial = living.factory.metadata.get(str(withdrawn.evidence), Trial)
    again = execute_inline(living.factory, LINE)
    shown = result_text(status(living.factory, LINE))
    living.answer(50)

    assert ("quality", rollout) == (withdrawn.trigger, withdrawn.rollout)
    assert "rows that both answered and whose label came, Brier score" in withdrawn.because
    assert 0 < trial.pairs.low <= trial.pairs.difference
    assert trial.pairs.difference == pytest.approx(trial.canary.loss - trial.champion.loss)
    assert (4, "hold") == (again.exit_code, again.verdict)
    assert "visits@2 was taken back on" in shown
    assert {1} == {one.record.model for one in [*read_log(living.factory.log_of(LINE))][-50:]}
    assert [] == list(verify_factory(living.factory).problems)


def test_a_person_ends_a_shadow_and_approves_a_trial(living):
    living.rolled_out("{rollout: blue-green, bake: 1h, approve: [owner]}")
    living.candidate(turned=True)
    held = living.ran
    begun = promote(living.factory, f"{LINE}@2", because="looks good")
    trial = canary_of(living.factory.metadata, LINE)
    back = rollback(living.factory, LINE, canary=True, because="not today")
    gone = living.after(seconds=1)
    with pytest.raises(RequestError, match="no canary runs, and no other candidate is tried"):
        rollback(living.factory, LINE, canary=True)

    assert "hold" == held.verdict
    assert "visits@2 answers all rows for a trial beside visits@1: looks good" == result_text(begun)
    assert ("blue-green", 1.0) == (trial.rollout, trial.share)
    assert "serves alone, without its candidate visits@2: not today" in result_text(back)
    assert None is gone
    assert [] == list(verify_factory(living.factory).problems)


def test_a_shadow_that_has_answered_no_row_waits_and_an_event_that_gives_it_a_share_is_found(trying_as):
    """What answered nothing has shown nothing, however long it lasts; and the record is held to what its words mean."""
    living = trying_as("{rollout: shadow, bake: 1h}")
    waits = living.after(days=9)
    begun, pointer = canary_of(living.factory.metadata, LINE), living.factory.metadata.pointer(LINE)
    wrong = replace(begun, share=0.5, generation=pointer.generation + 1)
    living.factory.metadata.move(LINE, replace(pointer, generation=wrong.generation), wrong)
    project(living.factory.metadata, living.factory.serving, LINE)

    assert None is waits
    assert 2 == begun.model
    assert ["as shadow its candidate answered 50% of the rows"] == [
        one.what for one in verify_factory(living.factory).problems
    ]


@pytest.mark.parametrize(
    ("canary", "champion", "pairs", "says"),
    [
        (
            (0.18, 0.15, 0.22),
            (0.75, 0.7, 0.8),
            None,
            ": surely better (at most 0.22, the champion's at least 0.7)",
        ),
        ((0.18, 0.1, 0.3), (0.25, 0.2, 0.4), None, ": not surely worse"),
        ((0.18, 0.15, 0.22), (0.25, 0.2, 0.4), (-0.07, -0.1, -0.04), ": surely better, by at least 0.04"),
        ((0.18, 0.15, 0.22), (0.75, 0.7, 0.8), (-0.07, -0.1, 0.01), ": not surely worse"),
    ],
)
def test_a_candidate_that_is_surely_better_is_said_to_be(canary, champion, pairs, says):
    """That it is not surely worse undersells one whose error is a quarter."""
    mine, theirs = (
        ArmQuality(rows=300, labelled=200, loss=loss, low=low, high=high)
        for loss, low, high in (canary, champion)
    )
    paired = (
        Pairs(labelled=200, difference=pairs[0], low=pairs[1], high=pairs[2], confidence=0.9)
        if pairs
        else None
    )
    trial = Trial(
        line=LINE,
        package="sha256:mine",
        rival="sha256:theirs",
        since="",
        until="",
        loss="relative error",
        confidence=0.95,
        canary=mine,
        champion=theirs,
        pairs=paired,
    )

    assert not trial.is_worse
    assert not_worse_in_words(trial, "canary").endswith(says)


def test_of_equal_candidates_at_most_the_stated_share_is_condemned_by_pairs():
    """200 of them whose answers differ by noise, looked at after each label; and a worse one is found on few rows."""
    print("seed 7")
    chance, back, rows = np.random.default_rng(7), 0, 3_000
    for _ in range(200):
        p = chance.beta(1, 4, rows)
        y = chance.random(rows) < p
        mine, theirs = (np.clip(p + chance.normal(0, 0.1, rows), 0, 1) for _ in range(2))
        back += bool((bounds(((mine - y) ** 2 - (theirs - y) ** 2 + 1) / 2, 0.90).low > 0.5).any())
    worse = np.clip(p + chance.normal(0, 0.3, rows), 0, 1)
    found = bounds(((worse - y) ** 2 - (theirs - y) ** 2 + 1) / 2, 0.90).low > 0.5

    assert back <= 200 * 0.05 + 3.1 * np.sqrt(200 * 0.05 * 0.95)
    assert found[-1]


def test_of_canaries_that_are_as_good_at_most_the_stated_share_is_taken_back():
    """200 of them, looked at after each label: at most 5 in 100, with 99.9 % confidence."""
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


@pytest.mark.slow
def test_both_trials_by_commands_whatever_is_killed(served, tmp_path):
    """A shadow serves after its trial; then all rows go over to another model at once, and back in one command."""
    root, answers = tmp_path / "factory", list[str | None]()
    shutil.copytree(served, root)
    roll_out(root, "{rollout: shadow, bake: 1s}")
    rows(HISTORY, 2 * HISTORY, turned=True).write_csv(root / "history.csv")
    shadow = command(root, "run", LINE)
    with up(root) as (process, address), Factory.open(root) as factory:
        wait_until(lambda: answers.append(ask(address, 200_000)) or answers[-1] == "visits@2")
        promoted = status(factory, LINE).lines[0]
        roll_out(root, "{rollout: blue-green, bake: 1h}")
        rows(HISTORY, 4 * HISTORY).write_csv(root / "history.csv")
        over = command(root, "run", LINE)
        wait_until(lambda: ask(address, 200_200) == "visits@3")
        for pid in children_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: ask(address, 200_300) == "visits@3")
        wait_until(lambda: next(copies_in(factory), None) is not None)
        tried = status(factory, LINE).lines[0].canary
        back = command(root, "rollback", LINE, "--canary", "--because", "a drill")
        wait_until(lambda: ask(address, 200_400) == "visits@2")
        wait_until(lambda: not list(factory.copies_of(LINE).glob("*")))
        found = verify_factory(factory)

    assert ("gets copies of the rows as a shadow", 0.0) == (shadow["part"], shadow["share"])
    assert "visits@1" == next(filter(None, answers))
    assert "visits@2" == promoted.champion
    assert "as a shadow it answered" in promoted.because
    assert ("answers all rows for a trial", 1.0) == (over["part"], over["share"])
    assert ("blue-green", True) == (tried.rollout, tried.rows > 0)
    assert ("visits@2", "visits@3") == (back["champion"], back["canary"])
    assert [] == list(found.problems)


def command(root: Path, *arguments: str) -> dict:
    """Carry a command out in a process of its own and return its JSON."""
    done = subprocess.run(
        [*commands.python(), "-m", "linewright", *arguments, "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextmanager
def up(root: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Run `linewright up` on free ports and give its process and where its endpoint answers."""
    port, control = free_port(), free_port()
    process = commands.begin(
        [sys.executable, "-m", "linewright", "up", "--port", str(port), "--control-port", str(control)],
        cwd=root,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(timeout=60)


def ask(address: str, first: int) -> str | None:
    """Ask for ten visits and return which model answered; `None` where nothing answers now."""
    asked = rows(first, 10).drop("y").to_dicts()
    try:
        with linewright.Client(address) as client:
            return client.predict(LINE, asked).model
    except (Transient, OSError):
        return None


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def children_of(parent: int) -> list[int]:
    """Return the processes of `linewright` that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_child = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and b"-m" in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
