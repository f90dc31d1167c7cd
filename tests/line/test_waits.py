"""What a training waits for is said, and until when: else a line that does nothing looks like one that is broken."""

import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from linewright.capabilities.monitoring.operations import alerts
from linewright.capabilities.overview.operations.status import status
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.loop.retraining import retraining_due, waits_of
from linewright.line.runs.execute import execute_inline
from linewright.people.messages import message_of
from linewright.people.spec import TOPICS
from linewright.watch.facts import Alerted, OpenAlerts, RetrainProposal, Waiting
from linewright.worlds.living import Clock

LINE = "tumours"
START = datetime(2026, 1, 19, 0, 10, tzinfo=UTC)
WATCHED = "watch: {every: 1h}\nretrain: {when: [drift, {every: 7d}], cooldown: 3d}\n"


@pytest.fixture(scope="module")
def trained(tumours_once):
    """Give the folder of a factory whose line has a champion and may train again."""
    path = tumours_once.root / "lines" / f"{LINE}.yaml"
    kept = [one for one in path.read_text().splitlines() if not one.startswith(("# watch:", "# retrain:"))]
    path.write_text("\n".join([*kept, WATCHED]))
    tumours_once.now = Clock(START)
    assert execute_inline(tumours_once, LINE).promoted
    return tumours_once.root


@pytest.fixture
def line(trained, tmp_path):
    """Give a copy of that factory, an hour later."""
    root = shutil.copytree(trained, tmp_path / "factory")
    with ExitStack() as opened:
        yield opened.enter_context(Factory.open(root, now=Clock(START + timedelta(hours=1))))


def later(factory, **by):
    factory.now.at += timedelta(**by)


def find_drift(factory):
    """Put a finding about the champion on the record."""
    factory.metadata.record(
        Alerted(
            at=factory.now(),
            by="test",
            because="'mean_area' has drifted",
            line=LINE,
            id="sha256:1",
            package=factory.metadata.versions(LINE)[0].digest,
            monitor="drift",
            column="mean_area",
            value=0.4,
            bar=0.2,
            evidence="sha256:0",
            since=factory.now(),
        )
    )


def waits(factory):
    return waits_of(factory, factory.line(LINE))


def told(factory):
    """Return what people are told about waiting."""
    messages = [message_of(link, factory.metadata, TOPICS) for link in factory.metadata.links()]
    return [one.says for one in messages if one is not None and one.topic == "waiting"]


def test_nothing_is_said_to_wait_where_nothing_is_asked_for(line):
    assert () == waits(line)
    assert "waits" not in result_text(status(line, LINE))
    assert "waits" not in result_text(alerts(line, LINE))


def test_the_cool_down_is_named_with_its_end_and_then_the_labels(line):
    """Whoever sees an alarm and no training wants to know that it will come, and when."""
    find_drift(line)
    cooling = [retraining_due(line, line.line(LINE)) for _ in range(3)]
    texts = result_text(status(line, LINE)), result_text(alerts(line, LINE))
    (first,) = waits(line)
    later(line, days=3)
    missing = [retraining_due(line, line.line(LINE)) for _ in range(3)]
    labels = result_text(status(line, LINE))
    (second,) = waits(line)
    recorded = line.metadata.events(Waiting, line=LINE)

    until = "2026-01-22T00:10:00.000000Z"
    says = "a training is asked for and waits for the cool-down of 3d, until 2026-01-22 00:10:00Z"

    assert ([None] * 3, [None] * 3) == (cooling, missing)
    assert ("cooldown", until) == (first.reason, first.until)
    assert all(says in text for text in texts)
    assert "labels" == second.reason
    assert (0, True) == (second.missing.have, second.missing.wanted > 0)
    assert (
        f"a training is proposed and waits for labels: 0 of {second.missing.wanted} labelled rows" in labels
    )
    assert ["cooldown", "labels"] == [
        one.reason for one in recorded
    ]  # told once, however often it is looked at
    assert [until, None] == [one.until for one in recorded]
    assert f"{LINE}: {says}; 'mean_area' has drifted" == told(line)[0]


def test_refusals_are_named_with_what_ends_the_wait(line):
    """A line that has stopped training by itself needs a person, or its schedule; both are said."""
    store = line.metadata
    (accepted,), (finished,) = store.events(Accepted, line=LINE), store.events(Finished, line=LINE)
    find_drift(line)
    for number in (1, 2):
        later(line, days=4)
        proposal = RetrainProposal(
            line=LINE, reason=OpenAlerts(alerts=()), trigger="drift", since=line.now(), trained=str(number)
        )
        run = f"run-{number}"
        store.record(
            replace(accepted, at=line.now(), run=run, as_of=line.now(), proposal=store.keep(proposal))
        )
        store.record(
            replace(finished, at=line.now(), run=run, promoted=False, certificate=None, outcome="failed")
        )
    later(line, days=4)
    due = retraining_due(line, line.line(LINE))
    (wait,) = waits(line)

    assert due is None
    assert ("refusals", 2, "2026-02-03T01:10:00.000000Z") == (wait.reason, wait.refused, wait.until)
    assert (
        "2 candidates in a row were refused: it waits for a new finding or for `linewright retrain tumours`, or until its schedule asks"
    ) in result_text(alerts(line, LINE))


def test_a_candidate_that_wants_an_approval_is_named(tumours):
    """It waits for a person, who must hear of it."""
    factory = tumours(rows=200)
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(f"{path.read_text()}\nrelease: {{approve: [risk]}}\n")
    assert not execute_inline(factory, LINE).promoted
    (wait,) = waits(factory)
    messages = [message_of(link, factory.metadata, ("approvals",)) for link in factory.metadata.links()]
    (message,) = [one for one in messages if one is not None]

    assert ("approval", "tumours@1") == (wait.reason, wait.model)
    assert "tumours@1 passed its gates and waits: the line file wants approval by risk" in result_text(
        alerts(factory, LINE)
    )
    assert ("refused", "tumours@1") == (message.kind, message.subject)
    assert message.says.startswith(
        "tumours@1 passed its gates and waits for a person: the line file wants approval by risk"
    )
