"""Whoever looks after a line hears that its log fails, and endpoints do then what its file says."""

import time
from pathlib import Path

import msgspec
import pytest

from linewright.capabilities.monitoring.operations import alerts
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import tend_inline
from linewright.line.factory import Factory
from linewright.line.loop.close_window import close_window
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.release.endpoint import tend_log
from linewright.line.runs.execute import execute_inline
from linewright.release.facts import Configured, Serving
from linewright.serve.log.outages import Outages, outages_of

LINE = "tumours"


@pytest.fixture
def factory(tumours) -> Factory:
    made = tumours(rows=150)
    path = made.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + "\nrelease: {when_log_fails: serve-unlogged}\nwatch: {every: 1s}\n")
    execute_inline(made, LINE)
    return made


def pointer(factory: Factory) -> Serving:
    return msgspec.json.decode((factory.serving / f"{LINE}.json").read_bytes(), type=Serving)


def test_what_the_file_says_reaches_endpoints_and_what_fails_reaches_people(factory):
    """The whole of it on one line, since making one is what costs."""
    assert "serve-unlogged" == pointer(factory).when_log_fails
    _an_outage_is_an_alert_until_it_is_over(factory)
    _an_endpoint_that_was_killed_ends_its_alert(factory)
    _a_short_outage_leaves_a_trace(factory)
    _a_window_leaves_it_alone(factory)
    _a_change_of_the_file_is_followed_and_recorded_once(factory)


def _an_outage_is_an_alert_until_it_is_over(factory: Factory) -> None:
    outages = Outages(factory.serving, LINE, tell=lambda _: None)
    outages.say("write", "No space left on device")
    outages.count(2)
    told, again = tend_log(factory, LINE), tend_log(factory, LINE)
    (listed,) = alerts(factory).alerts
    (line,) = status(factory).lines
    outages.say("write", None)
    over = tend_log(factory, LINE)

    assert (told.id, "log", "open") == (listed.id, listed.monitor, listed.state)
    assert None is again
    assert "cannot be written (No space left on device): answers are given that no log has" in listed.because
    assert (listed.because, 1) == (line.log_fails, line.alerts)
    assert told.id == over.alert
    assert "2 rows were answered that no log has" in over.because
    assert [] == outages_of(factory.serving, LINE)
    assert () == alerts(factory).alerts
    assert None is status(factory).lines[0].log_fails
    outages.close()


def _an_endpoint_that_was_killed_ends_its_alert(factory: Factory) -> None:
    outages = Outages(factory.serving, LINE, tell=lambda _: None)
    outages.say("force", "Input/output error")
    told = tend_log(factory, LINE)
    outages.close()  # as the end of its process does
    over = tend_log(factory, LINE)

    assert "the disk refused to keep what was logged (Input/output error)" in told.because
    assert (told.id, "the endpoint that told of it has ended") == (over.alert, over.because)


def _a_short_outage_leaves_a_trace(factory: Factory) -> None:
    outages = Outages(factory.serving, LINE, tell=lambda _: None)
    outages.say("write", "No space left on device")
    outages.say("write", None)
    left = {one.path: one.path.read_bytes() for one in outages_of(factory.serving, LINE)}
    told, over, nothing = (tend_log(factory, LINE) for _ in range(3))
    for path, content in left.items():  # as if a kill had come before the file was taken away
        Path(path).write_bytes(content)

    assert (told.id, None) == (over.alert, nothing)
    assert None is tend_log(factory, LINE)
    assert [] == outages_of(factory.serving, LINE)
    assert 3 == len(alerts(factory, over=True).alerts)


def _a_window_leaves_it_alone(factory: Factory) -> None:
    outages = Outages(factory.serving, LINE, tell=lambda _: None)
    outages.say("write", "No space left on device")
    told = tend_log(factory, LINE)
    # As if another model served since, which ends what windows found.
    factory.metadata.record(msgspec.structs.replace(told, id="log:before", package="sha256:00"))
    while close_window(factory, factory.line(LINE)) is None:
        time.sleep(0.05)

    assert [told.id, "log:before"] == [one.id for one in open_alerts(factory, LINE)]
    outages.close()
    assert [told.id, "log:before"] == [tend_log(factory, LINE).alert for _ in range(2)]


def _a_change_of_the_file_is_followed_and_recorded_once(factory: Factory) -> None:
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("serve-unlogged", "refuse"))
    for _ in range(2):
        tend_inline(factory, LINE)

    assert "refuse" == pointer(factory).when_log_fails
    recorded = factory.metadata.events(Configured, line=LINE)
    assert ["serve-unlogged", "refuse"] == [one.when_log_fails for one in recorded]
    path.write_text(path.read_text().replace("refuse", "serve-unlogged"))
    assert not execute_inline(factory, LINE).moved
    assert "serve-unlogged" == pointer(factory).when_log_fails
