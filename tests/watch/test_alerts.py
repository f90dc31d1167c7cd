"""News: told once, open until it is quiet or another model serves."""

import msgspec

from linewright.watch.alerts import alert_id, news
from linewright.watch.facts import BeyondBar, Finding, Shifted, Watched

HOUR = "2026-11-25T{:02d}:00:00.000000Z".format


def drift(hour, column="amount"):
    return Finding(
        monitor="drift", column=column, value=0.4, bar=0.2, since=HOUR(hour), found=Shifted(windows=3)
    )


def low(hour):
    return Finding(
        monitor="performance",
        value=0.6,
        bar=0.7,
        since=HOUR(hour),
        found=BeyondBar(metric="roc_auc", of="at_least", labelled=100),
    )


def closed(hour, *findings, n=100, package="sha256:aa", performance=None):
    return Watched(
        at=HOUR(hour + 1),
        by="up",
        because="the window ended",
        line="claims",
        window=f"sha256:w{hour}",
        package=package,
        performance=performance,
        start=HOUR(hour),
        end=HOUR(hour + 1),
        n=n,
        findings=findings,
    )


def enough(*_):
    """Whatever the quiet windows hold, they could have shown it."""
    return True


def follow(watched, windows=3):
    """Return (hour, new alerts, cleared alerts) as the windows close one by one, and what is open at the end."""
    still_open, told = [], []
    for i in range(1, len(watched) + 1):
        found = news(still_open, watched[:i], windows=windows, is_over=enough)
        over = {cleared.alert for cleared in found.cleared}
        still_open = [alert for alert in still_open if alert.id not in over] + list(found.alerted)
        if found.alerted or found.cleared:
            told.append((i - 1, len(found.alerted), len(found.cleared)))
    return told, still_open


def test_an_alert_is_told_once_and_cleared_after_three_quiet_windows():
    watched = [closed(0), *(closed(i, drift(i - 2)) for i in (3, 4, 5)), *(closed(i) for i in (6, 7, 8, 9))]

    assert follow(watched) == ([(1, 1, 0), (6, 0, 1)], [])


def test_one_quiet_window_between_does_not_tell_it_again():
    watched = [closed(3, drift(1)), closed(4), closed(5), closed(6, drift(4)), closed(7), closed(8)]

    assert follow(watched)[0] == [(0, 1, 0)]


def test_what_comes_back_after_it_was_cleared_is_another_alert():
    watched = [closed(3, drift(1)), *(closed(i) for i in (4, 5, 6)), closed(9, drift(7))]
    told, (alert,) = follow(watched)

    assert told == [(0, 1, 0), (3, 0, 1), (4, 1, 0)]
    assert alert.id != alert_id("claims", "sha256:aa", drift(1))


def test_each_column_is_its_own_alert():
    told, still_open = follow([closed(3, drift(1), drift(1, "age")), closed(4, drift(2))])

    assert told == [(0, 2, 0)]
    assert {alert.column for alert in still_open} == {"amount", "age"}


def test_windows_without_rows_clear_nothing():
    watched = [closed(3, drift(1)), *(closed(i, n=0) for i in range(4, 9)), closed(9), closed(10)]

    assert follow(watched)[0] == [(0, 1, 0)]
    assert follow([*watched, closed(11)])[0] == [(0, 1, 0), (8, 0, 1)]


def test_performance_is_cleared_by_judgements_only():
    judged = [closed(3, low(1), performance="sha256:p3"), *(closed(i) for i in range(4, 9))]
    told, (alert,) = follow(judged)
    better = [closed(i, performance=f"sha256:p{i}") for i in (9, 10, 11)]

    assert told == [(0, 1, 0)]
    assert alert.evidence == "sha256:p3"
    assert follow([*judged, *better])[0] == [(0, 1, 0), (8, 0, 1)]


def test_another_model_clears_what_was_said_of_the_one_before():
    watched = [closed(3, drift(1)), closed(4, package="sha256:bb")]
    still_open = news([], watched[:1], windows=3, is_over=enough).alerted
    (cleared,) = news(still_open, watched, windows=3, is_over=enough).cleared

    assert (cleared.alert, cleared.because) == (still_open[0].id, "another model serves")


def test_an_alert_says_what_it_is_about():
    (alert,) = news([], [closed(3, drift(1))], windows=3, is_over=enough).alerted
    again = news(
        [], [msgspec.structs.replace(closed(3, drift(1)), by="run")], windows=3, is_over=enough
    ).alerted[0]

    assert alert.id == again.id == alert_id("claims", "sha256:aa", drift(1))
    assert (alert.because, alert.evidence, alert.since) == (
        "'amount' has drifted: PSI 0.40, at least 0.2 in 3 windows in a row",
        "sha256:w3",
        HOUR(1),
    )
    assert (alert.at, alert.by, alert.line, alert.column) == (HOUR(4), "up", "claims", "amount")


def test_quiet_windows_that_could_not_have_shown_it_leave_it_open():
    """A night of a row an hour says nothing about the shift of the day."""
    watched = [closed(3, drift(1)), *(closed(i, n=1) for i in range(4, 9))]
    still_open = news([], watched[:1], windows=3, is_over=enough).alerted
    asked = []
    found = news(still_open, watched, windows=3, is_over=lambda alert, quiet: asked.append((alert, quiet)))

    assert () == found.cleared
    assert [(still_open[0], watched[1:])] == asked
