"""What monitors saw of a line, and one alert: by windows and findings that are put into the record by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shown_pages import COLUMN, HOSTILE, Get, hostile_factory, pages_of

from linewright.line.factory import Factory
from linewright.operations.watch import alert, monitors
from linewright.store.values import digest_of
from linewright.watch.facts import (
    Alerted,
    Confirmations,
    Confirmed,
    Counts,
    OpenAlerts,
    Performance,
    Proposed,
    Reference,
    RetrainProposal,
    Summary,
    Watched,
    Window,
)

DAYS = [f"2026-03-{day:02}T00:00:00.000000Z" for day in range(1, 12)]
AMOUNT = Summary(
    name="amount",
    kind="number",
    edges=(-1.0, 0.0, 1.0),
    counts=Counts(name="amount", counts=(40, 60, 60, 40)),
)
KIND = Summary(
    name=COLUMN, kind="category", values=HOSTILE, counts=Counts(name=COLUMN, counts=(50, 50, 50, 50))
)
ANSWER = Summary(
    name="prediction", kind="number", edges=(0.5,), counts=Counts(name="prediction", counts=(120, 80))
)


def _window(package: str, reference: str, day: int) -> Window:
    """Return a day on which, from the sixth on, one value of a column comes alone."""
    moved = day >= 5
    return Window(
        line="claims",
        package=package,
        reference=reference,
        start=DAYS[day],
        end=DAYS[day + 1],
        n=100,
        columns=(
            Counts(name="amount", counts=(20, 30, 30, 20)),
            Counts(name=COLUMN, counts=(97, 1, 1, 1) if moved else (25, 25, 25, 25)),
        ),
        prediction=Counts(name="prediction", counts=(60, 40)),
        breaches={"amount": 3} if moved else {},
    )


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a factory whose line was watched for ten days, and the ids of its alerts."""
    root = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("watched") / "factory")
    with Factory.open(root) as factory:
        metadata = factory.metadata
        package = metadata.versions("claims")[0].digest
        reference = metadata.keep(
            Reference(package=package, n=200, columns=(AMOUNT, KIND), prediction=ANSWER)
        )
        for day in range(10):
            window = metadata.keep(_window(package, reference, day))
            performance = metadata.keep(
                Performance(
                    line="claims",
                    package=package,
                    start=DAYS[day],
                    end=DAYS[day + 1],
                    metric="roc_auc",
                    value=0.8 - day / 50,
                    error=0.01,
                    low=0.7 - day / 50,
                    high=0.9 - day / 50,
                    labelled=60,
                    predictions=100,
                    certified=0.82,
                    promised=0.75,
                    guess=0.5,
                )
            )
            metadata.record(
                Watched(
                    at=DAYS[day + 1],
                    by="linewright",
                    because="a window",
                    line="claims",
                    window=window,
                    package=package,
                    performance=performance,
                    start=DAYS[day],
                    end=DAYS[day + 1],
                    n=100,
                )
            )
        surplus = metadata.keep(
            Confirmations(
                line="claims",
                package=package,
                windows=(
                    Confirmed(start=DAYS[8], end=DAYS[9], expected=4.0, positives=9),
                    Confirmed(start=DAYS[9], end=DAYS[10], expected=5.0, positives=12),
                ),
            )
        )
        found: dict[str, str] = {}
        for monitor, column, evidence, since in (
            ("drift", COLUMN, window, DAYS[5]),
            ("contract", "amount", window, DAYS[5]),
            ("performance", None, performance, DAYS[9]),
            ("calibration", None, surplus, DAYS[8]),
        ):
            found[monitor] = digest_of([monitor, column])
            metadata.record(
                Alerted(
                    at=DAYS[10],
                    by="linewright",
                    because=f"{column or monitor!r} moved {HOSTILE[1]}",
                    line="claims",
                    id=found[monitor],
                    package=package,
                    monitor=monitor,
                    column=column,
                    value=1.5,
                    bar=0.2,
                    evidence=evidence,
                    since=since,
                )
            )
        proposal = metadata.keep(
            RetrainProposal(
                line="claims", reason=OpenAlerts(alerts=(found["drift"],)), trigger="drift", since=DAYS[5]
            )
        )
        metadata.record(
            Proposed(at=DAYS[10], by="linewright", because="drift", line="claims", proposal=proposal)
        )
    return root, found


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
