"""Newer values of requests to an endpoint, and of labels of its forecasts: read from the log, and put behind those that the last run has read.

One process does it for all endpoints of a line. Values of the run are never changed: what a request says counts for later steps alone, and
only if its older values are those that are known. A row that got its values from here says nothing new (`Prediction.known`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec.json import encode
from numpy.typing import NDArray

from linewright.data.facts import SeriesValues
from linewright.errors import NotFound, SpecError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.line.file.retention import kept_of, log_before
from linewright.line.instants import earlier
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.spec import LineSpec
from linewright.model.facts import Package
from linewright.release.endpoint_settings import publish_series
from linewright.release.facts import SeriesRead
from linewright.release.promotion import series_of_run
from linewright.serve.facts import Prediction
from linewright.serve.log.segments import lengths, read_log
from linewright.serve.rows.body.reader import converter
from linewright.serve.rows.body.scalars import spell
from linewright.serve.rows.lookup.known_series import fits
from linewright.store.clock import later, text_of
from linewright.store.files.names import line_path
from linewright.text.lists import read_numbers
from linewright.text.newest_values import MOST_VALUES, NewestValues
from linewright.text.numbers import count
from linewright.text.steps import DAY, micros_of_step, step_numbers

LOOK_MICROS = 5_000_000
"""How long after a look the next one is, in microseconds."""
_SETTLED = "1s"
"""How old a record is that is read: what several processes wrote until then is there."""
_LATEST_MICROS = 600_000_000
"""When values are published at the latest though they are longer than the log has grown, in microseconds."""
_UNPUBLISHED_BYTES = 2**20
"""Of the log without newer values, after which it is kept how far it was read."""
_MICROS_PER_BYTE = 1.0
"""How long endpoints rest from reading newer values, for each byte of those of the run."""
_MOST_READ = 2**26
"""Bytes of the log that one look reads, some seconds of work: a long log is read in several, so that all else goes on meanwhile and a kill
loses little."""
_LOOKED_BACK = 50
_CLOSE = 1e-9


def remember_values(factory: Factory, spec: LineSpec) -> SeriesRead | None:
    """Have endpoints know newer values of requests, or no longer if the line does not say so; return the event if that is news.

    It may be called at any time, again and again, and be killed: what was read is recorded with the place up to which it was.
    """
    newest = None if spec.forecast is None else newest_of(factory, spec.line, SeriesRead)
    run = series_of_run(factory.metadata, spec.line)
    if newest is None or run is None:
        return None
    if not remembers(spec):
        if newest.base is None:
            return None
        because = "`forecast.remember` is off: values of requests are not remembered"
        return publish_series(factory.context, factory.serving, spec.line, because=because, values=run)
    if newest.base == run and not _is_due(factory, newest):
        return None
    newer, before = _begin(factory, spec, run), _last(factory, spec.line)
    if newer is None:
        return None
    if before is not None:
        newer.continue_from(before)
    is_whole = newer.read_log()
    if is_whole and (before is None or before.labels is None or _has_labels(factory, before)):
        newer.read_labels()
    return _publish(newer, newest)


def keep_remembered(factory: Factory, spec: LineSpec) -> SeriesRead | None:
    """Put what is remembered behind the values that a run has just read; return the event if that is news. The log is not read."""
    newest, before = newest_of(factory, spec.line, SeriesRead), _last(factory, spec.line)
    if not remembers(spec) or newest is None or newest.base is not None or before is None:
        return None
    newer = _begin(factory, spec, newest.values)
    if newer is None:
        return None
    newer.continue_from(before)
    return _publish(newer, newest)


def next_look(factory: Factory, spec: LineSpec) -> str | None:
    """Return when it is to be looked for newer values again; `None` for never."""
    return later(factory.now(), LOOK_MICROS) if remembers(spec) else None


def remembers(spec: LineSpec) -> bool:
    """Return whether a line remembers values of requests."""
    return spec.forecast is not None and spec.forecast.remember


def _is_due(factory: Factory, newest: SeriesRead) -> bool:
    """Return whether the log has grown by as much as was published last, so that what is published takes no more room than the log; or it is time.

    The event counts too: it stays for good, and names each segment of the log.
    """
    grown = _grown(factory, newest)
    if _is_late(factory, newest):
        return grown > 0 or _has_labels(factory, newest)
    least = _bytes_of(factory, newest.values) + len(encode(newest))
    if grown < (least if newest.values != newest.base else 1):
        return False
    rests = round(_bytes_of(factory, str(newest.base)) * _MICROS_PER_BYTE)
    return factory.now() >= later(newest.at, rests)


def _bytes_of(factory: Factory, values: str) -> int:
    return factory.artifacts.path(factory.metadata.get(values, SeriesValues).blob).stat().st_size


def _is_late(factory: Factory, newest: SeriesRead) -> bool:
    return not newest.at <= factory.now() < later(newest.at, _LATEST_MICROS)


def _has_labels(factory: Factory, newest: SeriesRead) -> bool:
    """Return whether the file of the labels has changed since they were read."""
    try:
        changed = line_path(factory.state / "feedback", newest.line, ".sqlite").stat().st_mtime
    except FileNotFoundError:
        return False
    return text_of(datetime.fromtimestamp(changed, UTC)) >= (newest.labels or "")


def _grown(factory: Factory, newest: SeriesRead) -> int:
    ends = _ends(factory, newest.line)
    return sum(end - newest.position.get(name, 0) for name, end in ends.items())


def _ends(factory: Factory, line: str) -> dict[str, int]:
    return lengths(factory.log_of(line), factory.sealed_of(line))


def _last(factory: Factory, line: str) -> SeriesRead | None:
    """Return the event with which values of requests were published last; without it, the log is read from its beginning."""
    found = factory.metadata.events(SeriesRead, line=line, newest_first=True, limit=_LOOKED_BACK)
    return next((one for one in found if one.base is not None), None)


def _begin(factory: Factory, spec: LineSpec, run: str) -> "_NewerValues | None":
    """Begin with the values of a run, to put newer ones behind them; `None` if their times are plain numbers, which no clock shows."""
    values = NewestValues.read(factory.artifacts.get(factory.metadata.get(run, SeriesValues).blob))
    is_timed = values.type in {"date", "datetime"}
    return _NewerValues(factory=factory, spec=spec, run=run, values=values) if is_timed else None


def _publish(newer: "_NewerValues", newest: SeriesRead) -> SeriesRead | None:
    factory, line = newer.factory, newer.spec.line
    made = newer.to_publish()
    values = newer.run
    if made is not None:
        blob = factory.artifacts.put(made.to_bytes())
        values = factory.metadata.keep(SeriesValues(series=len(made.names), blob=blob))
    is_same = (newest.values, newest.base) == (values, newer.run)
    if is_same and not _is_late(factory, newest) and _grown(factory, newest) < _UNPUBLISHED_BYTES:
        return None
    there = _ends(factory, line)  # segments that are kept no longer need no place
    return publish_series(
        factory.context,
        factory.serving,
        line,
        because=newer.says(),
        values=values,
        base=newer.run,
        position={name: end for name, end in newer.position.items() if name in there},
        labels=newer.labels_until,
    )


class _NewerValue(NamedTuple):
    at: str
    """When its row came; empty for one that was published before."""
    id: str
    value: float


@dataclass
class _NewerOfSeries:
    """Newer values of one series."""

    cells: dict[int, _NewerValue] = field(default_factory=dict[int, _NewerValue])
    """By the number of the step."""
    times: dict[int, int] = field(default_factory=dict[int, int])
    """Times of steps that were the newest of a row, in microseconds."""


class _ValuesOfRow(NamedTuple):
    """What a row says of a series."""

    place: int
    moment: int
    """Time of its newest value."""
    step: int
    values: NDArray[np.float64]


@dataclass(kw_only=True)
class _NewerValues:
    """The values of a run, and newer ones."""

    factory: Factory
    spec: LineSpec
    run: str
    values: NewestValues
    newer: dict[int, _NewerOfSeries] = field(default_factory=dict[int, _NewerOfSeries])
    position: dict[str, int] = field(default_factory=dict[str, int])
    read: int = 0
    """Bytes of the log that were read."""
    rows: int = 0
    labels: int = 0
    labels_until: str = ""
    refused: int = 0
    """Rows with newer values that do not count."""
    readers: dict[str, "_Reader | None"] = field(default_factory=dict[str, "_Reader | None"])

    @cached_property
    def end(self) -> str:
        """The instant up to which is read."""
        return earlier(self.factory.now(), _SETTLED)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Number of the step of the newest value of each series of the run."""
        return step_numbers(self.values.at, self.values.every)

    @cached_property
    def most(self) -> int:
        """How many values of a series are kept."""
        return int(np.diff(self.values.ends, prepend=0).max(initial=0))

    def continue_from(self, before: SeriesRead) -> None:
        """Take what was published before, as far as the run has not read later values."""
        if before.values != before.base:
            try:
                blob = self.factory.metadata.get(before.values, SeriesValues).blob
                made = NewestValues.read(self.factory.artifacts.get(blob))
            except NotFound:  # kept no longer: what the log still has is read again
                return
            if (made.keys, made.every, made.label) == (
                self.values.keys,
                self.values.every,
                self.values.label,
            ):
                self._take(made)
        self.position, self.labels_until = dict(before.position), before.labels or ""

    def _take(self, made: NewestValues) -> None:
        for at, name in enumerate(made.names):
            place = self.values.place(name)
            if place is None:
                continue
            moment, values = int(made.at[at]), made.array_at(at)
            step = int(step_numbers(made.at[at : at + 1], made.every)[0])
            self._add(_ValuesOfRow(place, moment, step, values), "", "")

    def read_log(self) -> bool:
        """Read the rows that came since, up to `_MOST_READ` bytes; return whether that is all of them."""
        for record in self._records():
            if record.via != "endpoint" or record.is_sum or record.known is not msgspec.UNSET:
                continue
            said = self._said(record)
            if said is None:
                continue
            if self._counts(said, record.at):
                self._add(said, record.at, record.id)
                self.rows += 1
            else:
                self.refused += 1
        return self.read < _MOST_READ

    def read_labels(self) -> None:
        """Read labels that came since: they are values of the steps ahead of a row."""
        feedback = self.factory.labels_of(self.spec.line)
        for record, label in feedback.arrived(self.labels_until, self.end, after=self.position):
            said = None if record.is_sum else self._said(record, len(record.answer.get("times", ())))
            ahead = None if said is None else _ahead(said, record, str(label.label))
            if said is None or ahead is None or ahead.step <= self.steps[ahead.place]:
                continue
            if self._counts(
                ahead._replace(values=np.concatenate([said.values, ahead.values])), label.received
            ):
                self._add(ahead, label.received, record.id)
                self.labels += 1
            else:
                self.refused += 1
        self.labels_until = self.end

    def _records(self) -> Iterator[Prediction]:
        """Iterate over the records behind `position`, and move it along; a record of a clock that was set back is read now."""
        now, end, done = self.factory.now(), self.end, set[str]()
        sealed = self.factory.sealed_of(self.spec.line)
        for one in read_log(self.factory.log_of(self.spec.line), dict(self.position), sealed=sealed):
            if one.segment in done:
                continue
            if end <= one.record.at <= now:
                done.add(one.segment)
                continue
            before = self.position.get(one.segment, 0)
            if (
                self.read >= _MOST_READ and one.end > before
            ):  # records that were written together end together
                return
            self.read += one.end - before
            self.position[one.segment] = one.end
            yield one.record

    def _said(self, record: Prediction, ahead: int = 0) -> _ValuesOfRow | None:
        """Return what a row says of a series; `None` if so many steps behind it are none that the run has not read."""
        if record.digest not in self.readers:
            package = self.factory.metadata.get(record.digest, Package)
            self.readers[record.digest] = _Reader.of(package, self.values)
        reader = self.readers[record.digest]
        name = tuple(spell(record.row.get(key)) for key in self.values.keys)
        place = None if None in name else self.values.place(tuple(map(str, name)))
        moment = None if reader is None or place is None else reader.time_of(record.row)
        if reader is None or place is None or moment is None:
            return None
        step = int(step_numbers(np.array([moment], dtype=np.int64), self.values.every)[0])
        values = reader.recent_of(record.row) if step + ahead > self.steps[place] else None
        return None if values is None else _ValuesOfRow(place, moment, step, values)

    def _counts(self, said: _ValuesOfRow, at: str) -> bool:
        """Return whether a row that came at an instant counts: its time has come, its newer values keep the contract, and its older ones are those that are known."""
        came = int(np.datetime64(at.removesuffix("Z"), "us").astype(np.int64))
        if said.moment > came + max(micros_of_step(self.values.every), DAY):
            return False
        values, first = said.values, said.step - len(said.values) + 1
        newer = values[max(int(self.steps[said.place]) + 1 - first, 0) :]
        low, high = self._allowed
        if (newer < low).any() or (newer > high).any():  # no NaN is
            return False
        known = self._known_at(said.place, first, len(values))
        both = ~np.isnan(known) & ~np.isnan(values)
        same = np.isclose(known[both], values[both], rtol=_CLOSE, atol=_CLOSE)
        return bool(len(same)) and bool(same.mean() >= 0.5)

    @cached_property
    def _allowed(self) -> tuple[float, float]:
        """Ends of what the contract allows of a value."""
        rule = self.spec.contract.columns.get(self.values.label)
        ends = (None, None) if rule is None else (rule.min, rule.max)
        low, high = (float(one) if isinstance(one, int | float) else np.nan for one in ends)
        return low, high

    def _known_at(self, place: int, first: int, length: int) -> NDArray[np.float64]:
        """Return what is known of some steps of a series, NaN where nothing is."""
        found = np.full(length, np.nan)
        own = self.values.array_at(place)
        start = int(self.steps[place]) - len(own) + 1
        begin, end = max(first, start), min(first + length, start + len(own))
        if begin < end:
            found[begin - first : end - first] = own[begin - start : end - start]
        newer = self.newer.get(place)
        cells = {} if newer is None else newer.cells
        for step in range(max(int(self.steps[place]) + 1, first), first + length):
            if step in cells:
                found[step - first] = cells[step].value
        return found

    def _add(self, said: _ValuesOfRow, at: str, identity: str) -> None:
        newer = self.newer.setdefault(said.place, _NewerOfSeries())
        many = min(said.step - int(self.steps[said.place]), self.most)
        values = said.values[-many:] if many > 0 else said.values[:0]
        for step, value in enumerate(values.tolist(), start=said.step - len(values) + 1):
            before = newer.cells.get(step)
            if value == value and (before is None or (before.at, before.id) <= (at, identity)):  # noqa: PLR0124 -- NaN
                newer.cells[step] = _NewerValue(at, identity, value)
                if step == said.step:
                    newer.times[step] = said.moment
        if len(newer.cells) > 4 * self.most:
            oldest = max(newer.times) - self.most
            newer.cells = {step: cell for step, cell in newer.cells.items() if step > oldest}
            newer.times = {step: time for step, time in newer.times.items() if step > oldest}

    def to_publish(self) -> NewestValues | None:
        """Return the newer values, to be put behind those of the run; `None` if there are none."""
        series = [found for place, one in sorted(self.newer.items()) if (found := self._series(place, one))]
        if not series:
            return None
        values, blob = self.values, self.factory.metadata.get(self.run, SeriesValues).blob
        made = NewestValues.of(
            keys=values.keys,
            time=values.time,
            type=values.type,
            label=values.label,
            every=values.every,
            max_age=values.max_age,
            series=series,
        )
        if len(values.followed_by(made).values) > MOST_VALUES:
            raise SpecError(
                "more values than an endpoint keeps",
                where="forecast.remember",
                found=f"{len(values.names):,} series",
                allowed=f"{MOST_VALUES:,} values of all series",
                hint="remove it, or say a smaller forecast.recent",
            )
        return replace(made, base=blob)

    def _series(
        self, place: int, newer: _NewerOfSeries
    ) -> tuple[tuple[str, ...], int, NDArray[np.float64]] | None:
        first = max((int(self.steps[place]) + 1, self._kept_from))
        steps = [step for step in newer.cells if step >= first]
        newest = max((step for step in steps if step in newer.times), default=None)
        if newest is None:
            return None
        first = max(first, newest - self.most + 1)
        values = np.full(newest - first + 1, np.nan)
        for step in steps:
            if first <= step <= newest:
                values[step - first] = newer.cells[step].value
        return self.values.names[place], newer.times[newest], values

    @cached_property
    def _kept_from(self) -> int:
        """The first step whose values may be kept: older ones go with the log."""
        spec = self.spec
        at = log_before(spec, kept_of(spec, read_factory_file(self.factory.root).keep), self.factory.now())
        if at is None:
            return -(2**62)
        moment = int(np.datetime64(at.removesuffix("Z"), "us").astype(np.int64))
        return int(step_numbers(np.array([moment], dtype=np.int64), self.values.every)[0]) + 1

    def says(self) -> str:
        """Say it in a line."""
        left = f"; {count(self.refused, 'other')} did not count" if self.refused else ""
        return (
            f"{count(self.rows, 'row')} of requests and {count(self.labels, 'label')} had newer values{left}"
        )


def _ahead(said: _ValuesOfRow, record: Prediction, label: str) -> _ValuesOfRow | None:
    """Return what a label says of the steps ahead of a row; `None` if it says nothing."""
    values = np.array(read_numbers(label), dtype=np.float64)
    there = np.flatnonzero(~np.isnan(values))
    if not len(there) or len(values) > len(record.answer["times"]):
        return None
    last = int(there[-1])
    moment = np.datetime64(str(record.answer["times"][last]).removesuffix("Z"), "us").astype(np.int64)
    return _ValuesOfRow(said.place, int(moment), said.step + last + 1, values[: last + 1])


class _Reader(NamedTuple):
    """Reads rows of one model."""

    read_time: Callable[[object], Any]
    read_recent: Callable[[object], Any]
    time: str
    recent: str

    @classmethod
    def of(cls, package: Package, values: NewestValues) -> "_Reader | None":
        """Return what reads rows of a model; `None` if it reads other values."""
        window = package.encoder.window
        if window is None or not fits(values, window, package):
            return None
        columns, missing = {one.name: one for one in package.columns}, frozenset(package.missing)
        return cls(
            converter(columns[window.time], missing),
            converter(columns[window.recent], missing),
            window.time,
            window.recent,
        )

    def time_of(self, row: Mapping[str, Any]) -> int | None:
        """Return the time of the newest value of a row, in microseconds since 1970; `None` if it has none."""
        with suppress(ValueError, TypeError, OverflowError):  # a log that was taken over may have anything
            time = self.read_time(row.get(self.time))
            return None if time is None else int(time)
        return None

    def recent_of(self, row: Mapping[str, Any]) -> NDArray[np.float64] | None:
        """Return the recent values of a row; `None` if the newest is missing."""
        values = np.empty(0)
        with suppress(ValueError, TypeError, OverflowError):
            values = np.array(read_numbers(self.read_recent(row.get(self.recent)) or "[]"), dtype=np.float64)
        return None if not len(values) or np.isnan(values[-1]) else values
