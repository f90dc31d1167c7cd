"""What the monitor of sensors sees: the newest readings of each group, as the rows of requests have them.

A reading is a row that names its group and its time, as the columns `table.group` and `table.time`. Of each group the newest readings are
looked at, back through as many windows as it takes; so a window may be shorter than the time between two readings.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from linewright.data.column_roles import roles
from linewright.data.profile.sensor_faults import find_sensor_faults
from linewright.data.spec import NUMBERS, ColumnRule
from linewright.line.loop.window import Closing
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.run_context import missing_texts
from linewright.line.spec import LineSpec
from linewright.model.facts import Package, RequestColumn
from linewright.model.task_facts import has_times
from linewright.serve.facts import Prediction
from linewright.serve.log.segments import read_log
from linewright.serve.rows.body.reader import converter
from linewright.watch.facts import Finding, Watched

_MOST_ROWS = 20_000
"""Rows of earlier windows that are read again when a window is closed, about; those of a busy line are of the last windows."""
_MOST_WINDOWS = 2_000
_MOST_READINGS, _MOST_GROUPS, _MOST_COLUMNS = 120, 1_000, 100
"""Newest readings of a group, groups, and columns that are looked at."""
_MOST_SERIES = 4_000
"""Columns times groups that are looked at, about two seconds of a processor: of more, the groups with the most readings."""
_LONGEST_GROUP = 200
"""Characters of the name of a group; a longer one is looked at by nobody."""
_MOST_FINDINGS = 50
"""Findings of a window, at most: those that began first."""
_AHEAD = timedelta(days=1)
"""How far the clock of a sensor may be ahead: a reading from later is of a wrong clock."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Read = Callable[[object], Any]


def sensor_columns(spec: LineSpec, package: Package) -> tuple[str, ...]:
    """Return the columns whose sensors are watched, sorted: those that the line file names, else of lines that predict times all numbers without a role."""
    watch, table = spec.watch, spec.table
    if watch is None or table.group is None or table.time is None:
        return ()
    if table.subject is not None or spec.recommend is not None or spec.forecast is not None:
        return ()
    if watch.sensors is None and not has_times(package.task):
        return ()  # a group is a customer as often as a machine, whose numbers come from no sensor
    barred = {name for name in roles(spec).values() if name} | set(table.exclude)
    numbers = sorted(one.name for one in package.columns if one.type in NUMBERS and one.name not in barred)
    wanted = numbers if watch.sensors is None else [name for name in numbers if name in watch.sensors]
    return tuple(wanted[:_MOST_COLUMNS])


@dataclass
class Readings:
    """The newest readings of each group, by the time that they name."""

    closing: Closing
    columns: tuple[str, ...]
    _group: Read
    _time: Read
    _numbers: Mapping[str, Read]
    _latest: int
    """Microseconds since 1970; readings from later do not count."""
    held: dict[str, dict[int, tuple[float, ...]]] = field(
        default_factory=dict[str, dict[int, tuple[float, ...]]]
    )
    """The newest readings by group, by their time: one that is asked about again is the same reading."""

    @classmethod
    def before(cls, closing: Closing) -> "Readings":
        """Return the readings of the windows before the one that is being closed; empty if no sensors are watched."""
        spec, package = closing.spec, closing.model.package
        columns = sensor_columns(spec, package)
        latest = datetime.fromisoformat(closing.factory.now()) + _AHEAD
        read = cls(
            closing,
            columns,
            _reader(spec, spec.table.group or "", "category"),
            _reader(spec, spec.table.time or "", "datetime"),
            {name: _reader(spec, name, "number") for name in columns},
            (latest - _EPOCH) // timedelta(microseconds=1),
        )
        if columns and (after := _place_before(closing)) is not None:
            factory = closing.factory
            log = read_log(
                factory.log_of(spec.line), after, until=closing.position, sealed=factory.sealed_of(spec.line)
            )
            read.add(one.record for one in log)
        return read

    def add(self, records: Iterable[Prediction]) -> None:
        """Take the rows of answers, in the order of the log."""
        if not self.columns:
            return
        table = self.closing.spec.table
        for one in records:
            row = one.row
            try:
                group, at = self._group(row.get(table.group or "")), self._time(row.get(table.time or ""))
                if group is None or at is None or at > self._latest or len(group) > _LONGEST_GROUP:
                    continue
                values = tuple(self._number(name, row) for name in self.columns)
            except (ValueError, TypeError, OverflowError):
                continue
            if group not in self.held:
                if len(self.held) >= _MOST_GROUPS:
                    continue
                self.held[group] = {}
            held = self.held[group]
            held[at] = values
            if len(held) > _MOST_READINGS:
                del held[min(held)]

    def _number(self, name: str, row: Mapping[str, Any]) -> float:
        value = self._numbers[name](row.get(name))
        return np.nan if value is None else float(value)

    def findings(self) -> tuple[Finding, ...]:
        """Return the faults of sensors that go on, those that began first before others."""
        most = _MOST_SERIES // max(1, len(self.columns))
        groups = sorted(self.held, key=lambda group: (-len(self.held[group]), group))[:most]
        rows = [(group, *one) for group in groups for one in self.held[group].items()]
        if not rows:
            return ()
        line, factory = self.closing.spec.line, self.closing.factory
        known = {(one.column, one.group) for one in open_alerts(factory, line) if one.monitor == "sensor"}
        values = np.array([one for _, _, one in rows], dtype=np.float64)
        found = find_sensor_faults(
            [group for group, _, _ in rows],
            np.array([at for _, at, _ in rows], dtype=np.int64),
            {name: values[:, place] for place, name in enumerate(self.columns)},
            going_on=frozenset((str(column), str(group)) for column, group in known),
        )
        # One alert a sensor: its newest fault.
        newest = {
            (one.column, one.group): one for one in sorted(found, key=lambda one: one.since) if one.goes_on
        }
        oldest = sorted(newest.values(), key=lambda one: (one.since, one.column, one.group))[:_MOST_FINDINGS]
        return tuple(
            Finding(
                monitor="sensor",
                column=one.column,
                group=one.group,
                value=float(one.readings),
                bar=float(one.needed),
                since=one.since,
                found=one,
            )
            for one in oldest
        )


def _reader(spec: LineSpec, name: str, kind: str) -> Read:
    """Return what reads a value as the endpoint does."""
    rule = spec.contract.columns.get(name) or ColumnRule.model_validate({"type": kind})
    is_time = kind == "datetime" and rule.type in {"date", "datetime"}
    column = RequestColumn(name=name, type=rule.type if is_time else kind, format=rule.format)
    return converter(column, frozenset(missing_texts(spec)))


def _place_before(closing: Closing) -> Mapping[str, int] | None:
    """Return the place of the log from which on the rows of earlier windows are enough; `None` if there are none."""
    events = closing.factory.metadata.events(
        Watched, line=closing.spec.line, newest_first=True, limit=_MOST_WINDOWS
    )
    rows = 0
    for one in events:
        if rows >= _MOST_ROWS:
            return one.position
        rows += one.n
    return {} if events and len(events) < _MOST_WINDOWS else events[-1].position if events else None
