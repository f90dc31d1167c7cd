"""Lines on data that scikit-learn ships: what the demo promises to show is there, and stays there for days."""

import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from linewright.line.factory import Factory
from linewright.line.loop.retraining import retraining_due, waits_of
from linewright.line.loop.worker import tend_inline
from linewright.line.proposals.record import live_of
from linewright.line.proposals.rules import voters
from linewright.line.record.alerts import open_alerts
from linewright.line.release.rollout import trial_of
from linewright.line.release.trial_time import step_end
from linewright.operations.annotate import annotate_status
from linewright.operations.care.audit import audit_verify
from linewright.operations.care.maintenance import verify
from linewright.operations.demo import add_lines, sights_of
from linewright.operations.people.inbox import inbox
from linewright.operations.plan import plan
from linewright.operations.value import goals
from linewright.people.facts import Commented
from linewright.release.facts import Refused
from linewright.release.promotion import canary_of
from linewright.serve.access.accounts import read_accounts
from linewright.store.clock import text_of
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
        before = [tuple(sights_of(factory, one.line)) for one in LINES]
        for hours in (0, 30):
            factory.now.at += timedelta(hours=hours)
            for one in LINES:
                _, ran = tend_inline(factory, one.line)
                assert ran is None
                assert retraining_due(factory, spec(factory, one.line)) is None

        assert before == [tuple(sights_of(factory, one.line)) for one in LINES]


def test_everything_is_as_the_record_says(factory):
    """Nothing was written by hand."""
    assert verify(factory).exit_code == 0
    assert audit_verify(factory).exit_code == 0
    assert [one.line for one in plan(factory).plans if one.changes] == []
