"""Whether what an alert says is over: the windows that do not find it must have been able to.

A window of few rows finds hardly anything, so that it did not find a shift is no news of the shift. The latest windows are
taken together, at least `drift.windows` and as many more as it takes until the same test, on so many rows, would find again
what the alert says; then their estimate decides. Beyond `MANY` rows or labels it decides in any case: a shift that was found
in one large batch would else stay open for years where the traffic is thin.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linewright.store.protocols import MetadataReader
from linewright.watch.facts import (
    FEWEST_LABELS,
    Alerted,
    Confirmations,
    Confirmed,
    Performance,
    Reference,
    Watched,
    Window,
)
from linewright.watch.histograms import pooled
from linewright.watch.monitors import alpha_of, bars_of, is_beyond, monitors, shift_of
from linewright.watch.positive_surplus import tail
from linewright.watch.spec import WatchSpec
from linewright.watch.traffic_volume import FACTOR, MOST

MANY = 1_000
"""Rows or labels that decide whatever the alert says: the estimate of a PSI of 0.2 is then off by about 0.03."""
MANY_POSITIVES = 100
"""Expected positives that do."""
_MORE = 1.1
"""How many times as many rows are worth measuring again."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Decides about the open alerts of a line when a window has been closed."""

    metadata: MetadataReader
    """Has the windows and what was judged in them."""
    reference: Reference
    watch: WatchSpec
    ripe: str
    """The labels of windows that ended by then are due: without a delay, the end of the newest window."""

    def is_over(self, alert: Alerted, quiet: Sequence[Watched]) -> bool:
        """Return whether windows that did not find what an alert says, oldest first, are enough to say that it is over."""
        match alert.monitor:
            case "traffic":
                return self._is_usual(alert, quiet)
            case "performance":
                return self._is_good(alert, quiet)
            case "calibration":
                return self._is_expected(alert, quiet)
            case "sensor":
                return True  # its newest readings no longer show it
            case _:
                return self._is_back(alert, quiet)

    @property
    def _alpha(self) -> float:
        return alpha_of(self.watch, monitors(self.reference, self.watch))

    def _is_back(self, alert: Alerted, quiet: Sequence[Watched]) -> bool:
        """Tell of a monitor of data whether the latest rows, enough of them, are below the bar."""
        bar, rows, judged = self.watch.drift.psi, None, 0.0
        if alert.value <= bar:
            return True  # the line file asks for more now
        for number, window in enumerate(self._windows(quiet), start=1):
            rows = window if rows is None else pooled([rows, window])
            if number < self.watch.drift.windows or rows.n < _MORE * judged:
                continue
            judged = rows.n
            shift, counted = shift_of(self.reference, rows, alert.monitor, alert.column)
            if counted >= MANY or shift.would_be_found(alert.value, bar, alpha=self._alpha):
                return shift.debiased < bar
        return False

    def _windows(self, quiet: Sequence[Watched]) -> Iterator[Window]:
        """Iterate over the windows with rows that are counted in the cells of the reference, newest first."""
        newest = ""
        for one in reversed(quiet):
            window = self.metadata.get(one.window, Window)
            newest = newest or window.reference
            if window.n and window.reference == newest:
                yield window

    def _is_usual(self, alert: Alerted, quiet: Sequence[Watched]) -> bool:
        """Tell of traffic whether each window has about as many rows as was usual, or another number is usual by now."""
        last = [one.n for one in quiet[-self.watch.drift.windows :]]
        return len(quiet) >= MOST or all(
            alert.bar <= FACTOR * rows and rows <= FACTOR * max(alert.bar, 1) for rows in last
        )

    def _is_good(self, alert: Alerted, quiet: Sequence[Watched]) -> bool:
        """Tell of performance whether the latest judgements, each as its labels weigh, are on the right side of the bar."""
        if self.watch.performance is None:
            return True
        beyond, bar = 1 if alert.value > alert.bar else -1, alert.bar
        labelled, value, variance, before = 0, 0.0, 0.0, ""
        for number, one in enumerate(reversed(quiet), start=1):
            found = self.metadata.get(one.performance, Performance) if one.performance else None
            if found is not None and _is_judgement(found) and (not before or found.end <= before):
                if not before:
                    asked = [one for one, sign, _ in bars_of(found, self.watch.performance) if sign == beyond]
                    missed = [one for one in asked if beyond * (alert.value - one) > 0]
                    if not missed:
                        return True  # the line file asks for less now
                    bar = max(missed, key=lambda one: beyond * one)  # the others are alerts of their own
                before = found.start  # judgements of the same answers count once
                labelled += found.labelled
                value += found.labelled * (found.value or 0.0)
                variance += (found.labelled * (found.error or 0.0)) ** 2
            if number < self.watch.drift.windows or not labelled:
                continue
            error = math.sqrt(variance) / labelled
            if labelled >= MANY or is_beyond(abs(alert.value - bar), error, self._alpha):
                return beyond * (value / labelled - bar) <= 0
        return False

    def _is_expected(self, alert: Alerted, quiet: Sequence[Watched]) -> bool:
        """Tell of calibration whether about as many positives came as the model expects."""
        excess = self.watch.performance and self.watch.performance.excess
        if excess is None:
            return True
        ratio = alert.value / max(alert.bar, 1e-9)
        expected, positives = 0.0, 0
        for number, cell in enumerate(self._confirmed(quiet), start=1):
            expected, positives = expected + cell.expected, positives + cell.positives
            if number < self.watch.drift.windows:
                continue
            would = tail(math.floor(ratio * expected), excess * expected) < self._alpha
            if would or expected >= MANY_POSITIVES:
                return positives <= excess * expected
        return False

    def _confirmed(self, quiet: Sequence[Watched]) -> list[Confirmed]:
        """Return the windows whose positives have come, as they were counted last, newest first.

        Those whose labels are not due yet are left out, unless they will never be counted more fully.
        """
        latest: dict[str, Confirmed] = {}
        in_view: set[str] = set()
        for one in quiet:
            if one.confirmations:
                counted = self.metadata.get(one.confirmations, Confirmations)
                in_view = {cell.start for cell in counted.windows}
                latest |= {cell.start: cell for cell in counted.windows}
        return [
            latest[start]
            for start in sorted(latest, reverse=True)
            if latest[start].end <= self.ripe or start not in in_view
        ]


def _is_judgement(found: Performance) -> bool:
    return found.value is not None and found.error is not None and found.labelled >= FEWEST_LABELS
