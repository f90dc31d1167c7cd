"""The lines that the demo adds: what it promises to show is there, and stays there for days."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from shown_pages import pages_of

from linewright.capabilities.annotation.operations import annotate_status
from linewright.capabilities.audit.operations import audit_verify
from linewright.capabilities.care.operations.maintenance import verify
from linewright.capabilities.evidence.operations import replay
from linewright.capabilities.inbox.operations import inbox
from linewright.capabilities.lines.operations import check, plan
from linewright.capabilities.serving.worker import tend_inline
from linewright.capabilities.value.operations import goals
from linewright.line.factory import Factory
from linewright.line.loop.retraining import retraining_due, waits_of
from linewright.line.predict.label_file import hand_in
from linewright.line.proposals.record import live_of
from linewright.line.proposals.rules import voters
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.release.rollout import trial_of
from linewright.line.release.trial_time import step_end
from linewright.people.facts import Commented, QuestionsQueued
from linewright.release.facts import Promoted, Refused
from linewright.release.promotion import canary_of
from linewright.serve.access.accounts import read_accounts
from linewright.serve.log.segments import read_log
from linewright.store.clock import text_of
from linewright.watch.facts import Performance, Watched
from linewright.worlds import demo_tasks
from linewright.worlds.demo.operations import add_lines, sights_of
from linewright.worlds.living import Clock
from linewright.worlds.shipped import LINES

NOW = datetime(2026, 11, 3, 0, 0, 30, tzinfo=UTC)
"""Just after midnight, when the day has no hours yet that the lines could have lived in."""


def quiet(_progress):
    """Tell nothing."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Give the folder of a factory with these lines, and its members."""
    root = tmp_path_factory.mktemp("shipped") / "factory"
    Factory.create(root)
    return root, add_lines(root, text_of(NOW), report=quiet)


@pytest.fixture
def factory(lived):
    """Give the factory as it is some minutes later."""
    with Factory.open(lived[0], now=Clock(NOW + timedelta(minutes=5))) as opened:
        yield opened


def spec(factory, line):
    return factory.line(line)


@pytest.mark.slow
def test_a_line_has_an_alert_and_a_training_that_waits_for_labels(factory):
    """An alert that is over is no reason to look; one that a person can do something about is."""
    columns = {one.column for one in open_alerts(factory, "tumours")}
    (wait,) = waits_of(factory, spec(factory, "tumours"))
    predictions, labels = factory.labels_of("tumours").counts()

    assert columns == {"mean_texture", "worst_texture"}
    assert annotate_status(factory, "tumours").open == predictions - labels
    assert (wait.reason, wait.missing.lacks) == ("labels", "rows")
    assert predictions - labels >= wait.missing.wanted - wait.missing.have


def test_a_candidate_was_refused_by_its_gate_and_left_no_trace_in_the_file(factory):
    """The reason is in the record; the line goes on as it was."""
    (refused,) = factory.metadata.events(Refused, line="tumours")

    assert (refused.model, refused.verdict) == (2, "reject")
    assert "exclude" not in factory.path_of("tumours").read_text()
    assert factory.metadata.pointer("tumours").champion == 1


def test_a_candidate_is_tried_and_both_models_have_answered(factory):
    """A rollout without answers has nothing to show; one that ends at once is none."""
    canary = canary_of(factory.metadata, "cultivars")
    trial = trial_of(factory, spec(factory, "cultivars").release, canary)

    assert (canary.model, canary.champion, canary.share) == (2, 1, 0.25)
    assert trial.canary.rows > 0 < trial.champion.rows
    assert trial.canary.labelled > 0 < trial.champion.labelled
    assert not trial.is_worse
    assert step_end(spec(factory, "cultivars").release, canary) > text_of(NOW + timedelta(days=6))


def test_a_promotion_waits_for_another_member(factory):
    """Nobody approves a change of their own."""
    (found,) = live_of(factory, "progression")

    assert found.proposed.authors == ("ada",)
    assert found.proposed.approvers == ("approver",)
    assert set(voters(factory, found.proposed)) == {"grace"}
    assert found.standing.approved == ()
    assert found.change.model == 2
    assert inbox(factory).proposals == (found.proposed.id,)


def test_members_are_admitted_by_nothing_that_the_demo_left(lived, factory):
    """Who signs in was invited by the owner: a demo leaves no token that somebody could use, and no password."""
    accounts = read_accounts(factory.state)

    assert [one.member for one in lived[1]] == ["ada", "grace", "lee", "noor"]
    assert all(one.revoked for one in accounts.tokens.values())
    assert not any(one.password or one.invitation for one in accounts.members.values())


def test_comments_name_those_whom_they_are_for(factory):
    """They are in their inbox."""
    said = factory.metadata.events(Commented)

    assert {(one.line, one.mentions) for one in said} == {
        ("tumours", ("noor",)),
        ("progression", ("grace",)),
        ("progression", ()),
    }


def test_a_goal_is_counted(factory):
    found = {one.name: one for one in goals(factory).goals}

    assert found["Earlier diagnosis"].reached > 0
    assert found["Trusted labels"].reached > 0


def test_line_files_say_what_a_line_is_for(factory):
    """A page of lines that all say `Predict y` tells nothing."""
    for one in LINES:
        file = spec(factory, one.line)
        assert file.about
        assert file.goal
        assert file.owner
        assert file.tags
        assert not re.match("Predict .* from .*csv", file.about)


def test_whoever_looks_after_the_lines_has_nothing_to_do(lived, tmp_path):
    """What is there to see is still there when somebody has opened the console, and the day after."""
    root = shutil.copytree(lived[0], tmp_path / "factory")
    with Factory.open(root, now=Clock(NOW + timedelta(minutes=5))) as factory:
        before = [tuple(sights_of(factory, line)) for line in factory.names()]
        for hours in (0, 30):
            factory.now.at += timedelta(hours=hours)
            for line in factory.names():
                _, ran = tend_inline(factory, line)
                assert ran is None
                assert retraining_due(factory, spec(factory, line)) is None

        assert before == [tuple(sights_of(factory, line)) for line in factory.names()]


def test_everything_is_as_the_record_says(factory):
    """Nothing was written by hand."""
    assert verify(factory).exit_code == 0
    assert audit_verify(factory).exit_code == 0
    assert [one.line for one in plan(factory).plans if one.changes] == []
    assert [one.line for one in check(factory).lines if one.exit_code] == []


def records(factory, line):
    return [one.record for one in read_log(factory.log_of(line))]


def test_each_use_has_a_line_with_answers_and_a_view_of_its_own(factory):
    """Who wonders what a forecast looks like in the console opens one."""
    seen = {
        one.line: one.about
        for name in factory.names()
        for one in sights_of(factory, name)
        if one.kind == "answers" and one.count > 0
    }

    assert seen == {
        "digits": "pictures",
        "zeros": "heat maps",
        "shop": "lists",
        "sales": "forecasts",
        "wear.lyon": "curves",
        "wear.turin": "curves",
        "wear.porto": "curves",
    }


def test_annotators_are_asked_about_pictures(factory):
    """Those that the model is unsure of, of the days whose labels have not come."""
    (queued,) = factory.metadata.events(QuestionsQueued, line="digits")

    assert 20 == queued.questions == annotate_status(factory, "digits").open
    assert factory.labels_of("digits").counts().labelled > 0


def test_pictures_with_a_blot_are_found_and_the_heat_map_is_odd_there(factory):
    """A heat map that is odd anywhere else explains nothing."""
    answers = records(factory, "zeros")
    found = [one for one in answers if one.answer["prediction"] == "faulty"]
    hottest = replay(factory, prediction=found[0].id, explain=True)
    ((column, parts),) = hottest.explained["heat_map"].items()
    picture = np.asarray(Image.open(BytesIO(factory.artifacts.get(hottest.row[column]))), dtype=float)
    is_odd = np.kron(np.array(parts) >= hottest.computed["threshold"], np.ones((16, 16))) > 0

    assert 5 <= len(found) < len(answers) / 2
    assert 0 < is_odd.mean() < 0.4
    assert picture[is_odd].mean() < picture[~is_odd].mean()


def test_lists_are_taken_from_and_some_are_drawn(factory):
    answers = records(factory, "shop")
    counts = factory.labels_of("shop").counts()

    assert counts.predictions == counts.labelled == len(answers)
    assert any(one.answer["explored"] for one in answers)
    assert all(one.answer["history_used"] for one in answers[:10])


def test_forecasts_of_the_first_day_came_true_and_those_of_the_last_are_open(factory):
    """The fan is drawn with what came of it."""
    labels = factory.labels_of("sales")
    answers = records(factory, "sales")
    known = {
        one.id: json.loads(str(truth.label))
        for one, truth in labels.labelled(known_by=factory.now())
        if truth is not None
    }
    early = [one for one in answers if one.id in known]
    held = [
        low <= came <= high
        for one in early
        for low, came, high in zip(one.answer["low"], known[one.id], one.answer["high"], strict=True)
    ]

    assert (8, 16) == (len(early), len(answers))
    assert np.mean(held) > 0.7


def test_sites_serve_one_ring_after_the_other(factory):
    """The factory page has three sites by one template, and answers that say when to act."""
    served = {
        site: factory.metadata.events(Promoted, line=f"wear.{site}")[0].at
        for site in ("lyon", "turin", "porto")
    }

    assert served["lyon"] < served["turin"]
    assert served["lyon"] < served["porto"]
    assert all("act_by" in one.answer for one in records(factory, "wear.lyon"))


def test_labels_that_are_too_young_to_tell_are_no_perfect_quality(lived, tmp_path):
    """That a machine worked two days after an answer says nothing of a curve whose first time is the fourth day."""
    root, known = shutil.copytree(lived[0], tmp_path / "factory"), tmp_path / "known.csv"
    clock = Clock(NOW + timedelta(minutes=5))
    with Factory.open(root, now=clock) as factory:
        keys = [str(one.key) for one in records(factory, "wear.porto")]
        measured = []
        for part, label in ((keys[:4], "2+"), (keys[4:8], "30")):
            known.write_text("".join(["key,label\n", *(f"{key},{label}\n" for key in part)]))
            hand_in(factory, "wear.porto", known)
            clock.at += timedelta(days=1)
            tend_inline(factory, "wear.porto")
            last = factory.metadata.events(Watched, line="wear.porto", newest_first=True, limit=1)[0]
            measured.append(factory.metadata.get(last.performance, Performance))

    young, telling = measured
    assert (4, None) == (young.labelled, young.value)
    assert 4 == telling.labelled
    assert telling.value > 0


def test_pages_of_answers_name_what_they_show(lived, factory, tmp_path):
    """A share of good rows is no probability, and what a column adds makes a number of days no more probable."""
    answer = records(factory, "wear.lyon")[0].id
    get = pages_of(shutil.copytree(lived[0], tmp_path / "factory"))
    pages = {line: get(f"/lines/{line}/predictions") for line in ("digits", "zeros", "sales")}
    headings = {line: re.findall(r'<th scope="col"[^>]*>([^<]*)', page.html) for line, page in pages.items()}
    explained = get(f"/predictions/{answer}/replay").text

    assert {200} == {page.status for page in pages.values()}, pages["digits"].text
    common = ["Id", "At", "Key", "Model", "Answer", "Label"]
    assert [*common[:5], "Probability", "Label"] == headings["digits"]
    assert [*common[:5], "Good rows that are less odd", "Label"] == headings["zeros"]
    assert common == headings["sales"]
    assert "shortens the time" in explained
    assert "more probable" not in explained


def test_without_the_extra_for_pictures_their_lines_are_left_out(tmp_path, monkeypatch):
    """What `pip install linewright` gives lives through the demo all the same."""
    told = []
    monkeypatch.setattr(demo_tasks, "find_spec", lambda name: None if name == "PIL" else name)
    with Factory.create(tmp_path / "factory") as factory:
        found = demo_tasks.demo_lines(factory, Clock(NOW), NOW, report=told.append)

    assert [line for one in found for line in one.lines][:2] == ["shop", "sales"]
    (said,) = told
    assert "linewright[vision]" in said.says
    assert said.stays
