"""What monitors are sure of, given the reference and the last windows.

How sure: the line's budget of false alarms is shared by all tests that are made in its period, so a test's alpha is
``alarms * every / period / monitors``. A monitor of data finds something when the pooled counts of the last windows are
surely beyond the bar (see `watch.psi`) and each of these windows shows it by its own estimate. Windows without rows count
neither way.

Each monitor looks at what the others leave: `missing` at all rows, `unseen` at those with a value, `drift` at those with a
value that the model has seen. So one cause is found once.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from linewright.text.durations import duration_micros
from linewright.watch.distributions import normal
from linewright.watch.facts import (
    FEWEST_LABELS,
    Bar,
    BeyondBar,
    Confirmations,
    Counts,
    Finding,
    Monitor,
    Performance,
    Reference,
    Shifted,
    Surplus,
    Volume,
    Window,
)
from linewright.watch.positive_surplus import surplus
from linewright.watch.psi import Shift, measure
from linewright.watch.spec import PerformanceSpec, WatchSpec
from linewright.watch.traffic_volume import unusual

LEAST_SURE = 0.05
"""However large the budget, a finding is at least 95 % sure."""

Cells = tuple[int, ...]
Watching = tuple[Monitor, str | None]
"""A monitor, and the column that it looks at; `None` if it looks at the predictions."""


@dataclass(frozen=True, kw_only=True)
class _Test:
    """One monitor of data: the cells of the reference, and of each window (oldest first) of the same model."""

    monitor: Monitor
    column: str | None
    reference: Cells
    windows: tuple[tuple[Window, Cells], ...]


def find(
    reference: Reference,
    windows: Sequence[Window],
    watch: WatchSpec,
    performance: Performance | None = None,
    confirmations: Confirmations | None = None,
) -> tuple[Finding, ...]:
    """Return what the monitors find when the newest window has been closed."""
    alpha = alpha_of(watch, monitors(reference, watch))
    found = [
        *(finding for test in _tests(reference, windows) if (finding := _shifted(test, watch, alpha))),
        *_traffic(windows, watch, alpha),
        *(_performance(performance, watch.performance, alpha) if performance and watch.performance else ()),
        *(_surplus(confirmations, watch.performance, alpha) if confirmations and watch.performance else ()),
    ]
    return tuple(sorted(found, key=lambda finding: (finding.monitor, finding.column or "")))


def shifts_of(
    reference: Reference, windows: Sequence[Window], monitor: Monitor, column: str | None
) -> list[tuple[Window, float]]:
    """Return the index that one monitor of data saw in each window with rows, less what chance adds; oldest first."""
    return shifts_by_monitor(reference, windows, {(monitor, column)}).get((monitor, column), [])


def shifts_by_monitor(
    reference: Reference, windows: Sequence[Window], wanted: Collection[Watching] | None = None
) -> dict[Watching, list[tuple[Window, float]]]:
    """Return what `shifts_of` does for several monitors of data, by monitor and column: for all of them, or for those that are wanted."""
    return {
        (test.monitor, test.column): [
            (window, measure(test.reference, cells).debiased) for window, cells in test.windows if sum(cells)
        ]
        for test in _tests(reference, windows, wanted)
    }


def shift_of(reference: Reference, window: Window, monitor: Monitor, column: str | None) -> tuple[Shift, int]:
    """Return the shift that one monitor of data sees in a window, and in how many of its rows.

    It is none where neither side has anything of it to count, and where breaches of the contract became fewer.
    """
    tests = _tests(reference, [window])
    test = next((one for one in tests if (one.monitor, one.column) == (monitor, column)), None)
    if test is None:
        return Shift(psi=0.0, cells=2, noise=1 / reference.n + 1 / window.n), window.n
    cells = test.windows[0][1]
    shift = measure(test.reference, cells)
    is_less = monitor == "contract" and _fell(test.reference, cells)
    return (replace(shift, psi=0.0) if is_less else shift), sum(cells)


def monitors(reference: Reference, watch: WatchSpec) -> int:
    """Return how many tests are made when a window is closed."""
    by_column = sum(4 if summary.kind == "category" else 3 for summary in reference.columns)
    return by_column + 2 + 2 * (watch.performance is not None)


def alpha_of(watch: WatchSpec, tests: int) -> float:
    """Return the accepted chance that one test of one window is a false alarm.

    Examples
    --------
    >>> f"{alpha_of(WatchSpec(every='1h', alert_budget='1 per 90d'), 62):.1e}"
    '7.5e-06'
    """
    alarms, _, period = watch.alert_budget.partition(" per ")
    share = duration_micros(watch.every) / max(1, duration_micros(period))
    return min(LEAST_SURE, int(alarms) * share / tests)


def _tests(
    reference: Reference, windows: Sequence[Window], wanted: Collection[Watching] | None = None
) -> Iterator[_Test]:
    same = [
        window
        for window in windows
        if window.reference == windows[-1].reference and window.package == reference.package
    ]

    for monitor, column, base, cells in _counted(reference, same):
        if wanted is None or (monitor, column) in wanted:
            pairs = tuple((window, cells(window)) for window in same)
            yield _Test(monitor=monitor, column=column, reference=base, windows=pairs)


def _counted(
    reference: Reference, windows: Sequence[Window]
) -> Iterator[tuple[Monitor, str | None, Cells, Callable[[Window], Cells]]]:
    """Give each monitor of data with the cells of the reference, and what counts those of a window."""
    for i, summary in enumerate(reference.columns):
        for monitor, cells in _BY_COLUMN.items():
            yield (
                monitor,
                summary.name,
                cells(summary.counts),
                lambda w, i=i, cells=cells: cells(w.columns[i]),
            )
    yield "prediction", None, _seen(reference.prediction.counts), lambda w: _seen(w.prediction)
    names = {name for part in (reference, *windows) for name in part.breaches}
    for name in sorted(names):
        yield "contract", name, _breaches(reference, name), lambda w, name=name: _breaches(w, name)


def _seen(counts: Counts) -> Cells:
    return *counts.counts, counts.other


def _missing(counts: Counts) -> Cells:
    return counts.missing, sum(counts.counts) + counts.other + counts.unseen


def _unseen(counts: Counts) -> Cells:
    return counts.unseen, sum(counts.counts) + counts.other


_BY_COLUMN: dict[Monitor, Callable[[Counts], Cells]] = {
    "drift": _seen,
    "missing": _missing,
    "unseen": _unseen,
}


def _breaches(part: Reference | Window, column: str) -> Cells:
    rows = part.breaches.get(column, 0)
    return rows, max(0, part.n - rows)


def _shifted(test: _Test, watch: WatchSpec, alpha: float) -> Finding | None:
    bar, needed = watch.drift.psi, watch.drift.windows
    last = [(window, cells) for window, cells in test.windows if sum(cells)][-needed:]
    if len(last) < needed or any(measure(test.reference, cells).debiased < bar for _, cells in last):
        return None
    rows = tuple(np.sum([cells for _, cells in last], axis=0).tolist())
    shift = measure(test.reference, rows)
    if not shift.is_beyond(bar, alpha=alpha) or (test.monitor == "contract" and _fell(test.reference, rows)):
        return None
    return Finding(
        monitor=test.monitor,
        column=test.column,
        value=shift.debiased,
        bar=bar,
        since=last[0][0].start,
        found=_seen_in(test, rows, needed),
    )


def _fell(reference: Cells, rows: Cells) -> bool:
    return rows[0] * sum(reference) < reference[0] * sum(rows)


def _seen_in(test: _Test, rows: Cells, windows: int) -> Shifted:
    if test.monitor in {"drift", "prediction"}:
        return Shifted(windows=windows)
    return Shifted(windows=windows, share=_share(rows), before=_share(test.reference))


def _share(cells: Cells) -> float:
    total = sum(cells)
    return cells[0] / total if total else 0.0


def _traffic(windows: Sequence[Window], watch: WatchSpec, alpha: float) -> Iterator[Finding]:
    every = timedelta(microseconds=duration_micros(watch.every))
    # A window that holds what was missed in a pause, or is of another `every`, cannot be compared by its rows.
    alike = [window for window in windows if _length(window) == every]
    if not alike or alike[-1] is not windows[-1]:
        return
    found = unusual([window.n for window in alike], every_s=every.total_seconds(), alpha=alpha)
    if found is not None:
        yield Finding(
            monitor="traffic",
            value=float(found.rows),
            bar=found.usual,
            since=alike[-found.windows].start,
            found=Volume(every=watch.every),
        )


def _length(window: Window) -> timedelta:
    return datetime.fromisoformat(window.end) - datetime.fromisoformat(window.start)


def bars_of(found: Performance, bars: PerformanceSpec) -> list[tuple[float, int, Bar]]:
    """Return each bar that a judgement is held to, the sign of its wrong side (-1: below it), and what it is."""
    worse = -1 if found.greater_is_better else 1
    promised = found.promised if bars.as_certified else None
    every: tuple[tuple[float | None, int, Bar], ...] = (
        (found.guess, worse, "guess"),
        (bars.at_least, -1, "at_least"),
        (bars.at_most, 1, "at_most"),
        (promised, worse, "certificate"),
    )
    return [(bar, sign, of) for bar, sign, of in every if bar is not None]


def _performance(found: Performance, bars: PerformanceSpec, alpha: float) -> Iterator[Finding]:
    if found.value is None or found.error is None or found.labelled < FEWEST_LABELS:
        return
    for bar, sign, of in bars_of(found, bars):
        if is_beyond(sign * (found.value - bar), found.error, alpha):
            yield Finding(
                monitor="performance",
                value=found.value,
                bar=bar,
                since=found.start,
                made=found.made,
                found=BeyondBar(
                    metric=found.metric,
                    of=of,
                    labelled=found.labelled,
                    start=found.start if found.arrived else None,
                    end=found.end if found.arrived else None,
                ),
            )
            return


def _surplus(found: Confirmations, bars: PerformanceSpec, alpha: float) -> Iterator[Finding]:
    if bars.excess is None:
        return
    more = surplus(found.windows, excess=bars.excess, alpha=alpha)
    if more is not None:
        yield Finding(
            monitor="calibration",
            value=float(more.confirmed),
            bar=more.expected,
            since=more.since,
            found=Surplus(),
        )


def is_beyond(distance: float, error: float, alpha: float) -> bool:
    """Return whether a distance with that standard error is surely above 0."""
    if distance <= 0 or not math.isfinite(distance) or not error >= 0:
        return False
    return error == 0 or normal(-distance / error) < alpha
