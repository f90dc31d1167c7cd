"""The end of an alert: few rows never end one, and a shift that is gone always ends."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from linewright.watch.alert_recovery import MANY, Ending
from linewright.watch.alerts import news
from linewright.watch.facts import Alerted, Confirmations, Confirmed, Performance, Watched
from linewright.watch.histograms import Tally, reference_of
from linewright.watch.monitors import find
from linewright.watch.spec import DriftSpec, PerformanceSpec, WatchSpec

CALM, WILD, GONE = 0.0, 1.0, 9.0
"""How far rows lie from the reference; of what is gone no value comes."""
DAY = "2026-11-{:02d}T00:00:00.000000Z".format


@dataclass
class Line:
    """Windows of a line, closed one by one as the loop does."""

    watch: WatchSpec
    due: int = 0
    """Days until labels are due."""
    kept: dict = field(default_factory=dict)
    watched: list = field(default_factory=list)
    open: list = field(default_factory=list)
    windows: list = field(default_factory=list)

    def __post_init__(self):
        self.random = np.random.default_rng(3)
        self.reference = reference_of("sha256:aa", *self.rows(4000, CALM))

    def get(self, digest, _):
        return self.kept[digest]

    def rows(self, n, move):
        missing = self.random.random(n) < {CALM: 0.02, WILD: 0.5, GONE: 1.0}.get(move, 0.5)
        x = np.where(missing, np.nan, self.random.normal(move, 1, n))
        return {"x": x, "y": self.random.normal(move, 1, n)}, self.random.beta(2, 5, n)

    def close(self, n, move=CALM, performance=None, confirmations=None):
        """Close a day of n rows, and return the monitors whose alerts are open then."""
        day = len(self.windows) + 1
        tally = Tally(self.reference)
        tally.add(*self.rows(n, move))
        window = tally.window("claims", DAY(day), DAY(day + 1))
        self.windows.append(window)
        named = {"w": window, "p": performance, "c": confirmations}
        self.kept |= {f"{name}{day}": one for name, one in named.items()}
        findings = find(self.reference, self.windows, self.watch, performance, confirmations)
        self.watched.append(
            Watched(
                at=DAY(day + 1),
                by="up",
                because="",
                line="claims",
                window=f"w{day}",
                package="sha256:aa",
                performance=f"p{day}" if performance else None,
                confirmations=f"c{day}" if confirmations else None,
                start=DAY(day),
                end=DAY(day + 1),
                n=n,
                findings=findings,
            )
        )
        ending = Ending(
            metadata=self, reference=self.reference, watch=self.watch, ripe=DAY(max(1, day + 1 - self.due))
        )
        told = news(self.open, self.watched, windows=self.watch.drift.windows, is_over=ending.is_over)
        over = {one.alert for one in told.cleared}
        self.open = [one for one in self.open if one.id not in over] + list(told.alerted)
        return [(one.monitor, one.column) for one in self.open]


def line(windows, **options):
    return Line(WatchSpec(every="1d", drift=DriftSpec(windows=windows), **options))


@pytest.mark.parametrize("windows", [1, 3])
def test_nearly_empty_windows_do_not_end_the_alerts_of_a_full_one(windows):
    """One ordinary row, or three nights of one, must not call off what 2,000 rows showed."""
    it = line(windows)
    for _ in range(windows):
        found = it.close(2000, WILD)
    after = [it.close(n) for n in (1, 1, 2, 0, 1)]

    assert [("drift", "x"), ("drift", "y"), ("missing", "x")] == found
    assert [found] * 5 == after


@pytest.mark.parametrize("windows", [1, 3])
def test_windows_as_large_as_those_that_found_it_end_it(windows):
    it = line(windows)
    for _ in range(windows):
        found = it.close(2000, WILD)
    after = [it.close(2000) for _ in range(windows)]

    assert [found] * (windows - 1) + [[]] == after


def test_thin_traffic_ends_an_alert_once_its_rows_together_could_have_shown_it():
    """Where every window is small, an alert must still have an end."""
    it = line(3)
    for _ in range(3):
        it.close(2000, WILD)
    days = [it.close(10) for _ in range(20)]

    assert days[2]
    assert [] == days[-1]


def test_thin_traffic_that_is_still_shifted_ends_nothing():
    """What each small window is too small to show, all of them together do."""
    it = line(3)
    for _ in range(3):
        found = it.close(2000, WILD)

    assert [found] * 24 == [it.close(3, WILD) for _ in range(24)]


def test_a_slight_shift_ends_after_many_rows_whatever_it_took_to_find_it():
    it = line(1)
    it.close(50_000, 0.55)
    said = [one for one in it.open if one.column == "y"]
    few, many = it.close(MANY // 2), it.close(MANY // 2)

    assert 0.2 < said[0].value < 0.35
    assert ("drift", "y") in few
    assert ("drift", "y") not in many


def judged(day, value, labelled, error):
    return Performance(
        line="claims",
        package="sha256:aa",
        start=DAY(day),
        end=DAY(day + 1),
        metric="roc_auc",
        value=value,
        error=error,
        low=None,
        high=None,
        labelled=labelled,
        predictions=labelled,
        promised=0.8,
        arrived=True,
    )


def test_a_few_good_labels_do_not_end_an_alert_about_performance():
    """After 400 bad answers, 40 right ones of a quiet day are no recovery, and 5 are nothing at all."""
    it = line(1)
    found = it.close(400, performance=judged(1, 0.68, 400, 0.02))
    nothing, few = (
        it.close(5, performance=judged(2, 1.0, 5, 0.0)),
        it.close(40, performance=judged(3, 0.9, 40, 0.07)),
    )
    enough = it.close(400, performance=judged(4, 0.85, 400, 0.02))

    assert [("performance", None)] == found == nothing == few
    assert [] == enough


def test_quiet_windows_with_few_expected_positives_do_not_end_an_alert_about_calibration():
    """The bad window only left the monitor's view; the few rows since then could not have shown anything."""
    it = line(1)
    cells = [Confirmed(start=DAY(1), end=DAY(2), expected=20.0, positives=80)]
    found = it.close(
        200, confirmations=Confirmations(line="claims", package="sha256:aa", windows=tuple(cells))
    )
    small = Confirmed(start=DAY(2), end=DAY(3), expected=0.3, positives=0)
    few = it.close(3, confirmations=Confirmations(line="claims", package="sha256:aa", windows=(small,)))
    large = Confirmed(start=DAY(3), end=DAY(4), expected=20.0, positives=21)
    enough = it.close(200, confirmations=Confirmations(line="claims", package="sha256:aa", windows=(large,)))

    assert [("calibration", None)] == found == few
    assert [] == enough


def test_labels_that_are_not_due_yet_do_not_end_an_alert_about_calibration():
    """Two positives are expected a day and five are true; a fifth of them is reported on each day after."""
    it = line(3)
    it.due = 5
    it.open = [calibration(value=120.0, bar=40.0)]

    def seen_on(today):
        return tuple(
            Confirmed(start=DAY(day), end=DAY(day + 1), expected=2.0, positives=min(5, today - day))
            for day in range(max(1, today - 7), today + 1)
        )

    after = [
        it.close(20, confirmations=Confirmations(line="claims", package="sha256:aa", windows=seen_on(day)))
        for day in range(1, 16)
    ]

    assert [[("calibration", None)]] * 15 == after


def test_an_alert_about_a_bar_that_is_no_longer_asked_for_is_over():
    """Who lowers a bar must not be asked to train for the old one for ever."""
    it = line(1)
    it.close(400, performance=judged(1, 0.68, 400, 0.02))
    asked = PerformanceSpec(at_least=0.6, as_certified=False)
    kept = it.close(400, performance=judged(2, 0.7, 400, 0.02))
    it.watch = it.watch.model_copy(update={"performance": asked})

    assert [("performance", None)] == kept
    assert [] == it.close(400, performance=judged(3, 0.7, 400, 0.02))


def test_rows_of_which_nothing_is_counted_do_not_end_an_alert():
    """A column that drifted and then stays empty has not come back, whatever five rows said in between."""
    it = line(1)
    it.close(2000, WILD)
    it.close(5)
    after = [it.close(1500, GONE) for _ in range(3)]

    assert all(("drift", "x") in found for found in after)


def calibration(**parts):
    return Alerted(
        at=DAY(1),
        by="up",
        because="",
        line="claims",
        id="c",
        package="sha256:aa",
        monitor="calibration",
        column=None,
        evidence="c0",
        since=DAY(1),
        **parts,
    )


def test_a_trickle_is_no_end_of_missing_traffic():
    """No rows came and then one: whatever broke is still broken."""
    watch = WatchSpec(every="1d", drift=DriftSpec(windows=1))
    it = Line(watch)
    lost = Alerted(
        at=DAY(2),
        by="up",
        because="",
        line="claims",
        id="a",
        package="sha256:aa",
        monitor="traffic",
        column=None,
        value=0.0,
        bar=100.0,
        evidence="w1",
        since=DAY(1),
    )
    it.open = [lost]

    assert [("traffic", None)] == it.close(1)
    assert [] == it.close(90)
