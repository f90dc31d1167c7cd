"""What monitors saw of a line, and one alert: by windows and findings that are put into the record by hand."""

from pathlib import Path

import pytest
from shown_pages import COLUMN, HOSTILE, Get, hostile_factory, pages_of
from watched_days import DAYS, watch_days

from linewright.capabilities.monitoring.operations import alert, monitors
from linewright.line.factory import Factory
from linewright.watch.facts import Cleared


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Give a factory whose line was watched for ten days, and the ids of its alerts."""
    root = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("watched") / "factory")
    with Factory.open(root) as factory:
        return root, watch_days(factory, number="amount", category=COLUMN, values=HOSTILE, because=HOSTILE[1])


@pytest.fixture(scope="module")
def get(watched) -> Get:
    return pages_of(watched[0])


def test_the_columns_that_moved_stand_first_with_their_alert(watched):
    """Who looks for what is wrong need not scroll."""
    with Factory.open(watched[0]) as factory:
        found = monitors(factory, "claims")

    drift = next(one for one in found.monitors if (one.monitor, one.column) == ("drift", COLUMN))
    assert watched[1]["drift"] == drift.alert
    assert {"drift", "contract"} == {one.monitor for one in found.monitors[:2]}
    assert 10 == len(drift.windows)
    assert (
        max(one.value for one in drift.windows[:5]) < drift.bar < min(one.value for one in drift.windows[5:])
    )
    assert [60] * 10 == [one.labelled for one in found.quality]
    assert ["claims@1"] * 10 == [one.model for one in found.windows]


def test_fewer_windows_are_the_last_ones(watched):
    with Factory.open(watched[0]) as factory:
        assert DAYS[8:10] == [one.start for one in monitors(factory, "claims", windows=2).windows]


def test_then_and_now_are_counted_in_the_same_cells(watched):
    """Then: the reference. Now: the windows that showed it, added up."""
    with Factory.open(watched[0]) as factory:
        drift, contract = (alert(factory, watched[1][name]) for name in ("drift", "contract"))

    assert [(name, 50) for name in HOSTILE] == [(one.name, one.then) for one in drift.cells]
    assert [485, 5, 5, 5] == [one.now for one in drift.cells]
    assert [(0, 15), (200, 485)] == [(one.then, one.now) for one in contract.cells]
    assert 10 == len(drift.history)
    assert [(None, None)] == [(one.run, one.outcome) for one in drift.trainings]
    assert () == contract.trainings


def test_the_page_of_monitors_draws_what_was_seen(get, watched):
    page = get("/lines/claims/monitors", role="viewer")

    assert 200 == page.status
    assert page.tags.count("svg") >= 4
    assert f"/alerts/{watched[1]['drift']}" in page.links
    assert "roc_auc is 0.62 by the newest labels" in page.text
    page.assert_harmless()


@pytest.mark.parametrize(
    ("monitor", "says"),
    [
        ("drift", "a training is requested"),
        ("contract", "out of the contract"),
        ("performance", "Now: realised"),
        ("calibration", "Expected by the model"),
    ],
)
def test_an_alert_shows_then_and_now(get, watched, monitor, says):
    """Whatever found it, the two stand side by side."""
    page = get(f"/alerts/{watched[1][monitor]}", role="viewer")

    assert 200 == page.status
    assert "Then and now" in page.text
    assert says in page.text
    assert {"/do/comment"} >= {form for form in page.forms if form.startswith("/do/")}
    page.assert_harmless()
    assert f"/alerts/{watched[1][monitor]}/slice" in page.links
    assert "too few to tell" in get(f"/alerts/{watched[1][monitor]}/slice", role="viewer").text


def test_an_alert_of_another_line_is_not_there(get, watched):
    """Nor does a window of it tell anything."""
    for path in (
        f"/alerts/{watched[1]['drift']}",
        f"/alerts/{watched[1]['drift']}/slice",
        "/alerts/0123456789ab",
    ):
        assert 404 == get(path, role="viewer", lines=("other",)).status
    assert 403 == get("/lines/claims/monitors", role="viewer", lines=("other",)).status


def test_a_line_that_was_never_watched_says_what_to_do(get):
    assert "No window has been closed yet" in get("/lines/other/monitors").text


def test_alerts_that_are_over_are_listed_where_they_are_asked_for(tmp_path_factory: pytest.TempPathFactory):
    """To those who may see their line."""
    root = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("over") / "factory")
    with Factory.open(root) as factory:
        found = watch_days(factory, number="amount", category=COLUMN, values=HOSTILE, because="why")
        for one in found.values():
            factory.metadata.record(
                Cleared(at=factory.now(), by="test", because="over", line="claims", alert=one, evidence="e")
            )
    get = pages_of(root)
    links = {f"/alerts/{one}" for one in found.values()}

    assert not links & set(get("/alerts", role="viewer").links)
    assert links <= set(get("/alerts?over=1", role="viewer").links)
    assert not links & set(get("/alerts?over=1", role="viewer", lines=("other",)).links)


def test_the_history_of_a_line_leads_to_its_alerts(get, watched):
    """Each link of it is a page."""
    links = {link for link in get("/lines/claims", role="viewer").links if link.startswith("/alerts/")}

    assert links
    assert links <= {f"/alerts/{one}" for one in watched[1].values()}
