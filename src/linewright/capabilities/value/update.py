"""Bringing the value account of a line up to date, from its prediction log and its labels.

A day that nothing can change any more is taken from the account before: only what was answered since is read, and the days of which
labels have come or have come of age. Memory does not grow with the log.

``python -m linewright.capabilities.value.update FACTORY LINE… CHANNEL`` does it in a process of its own: the worker, which lives for months, would
keep the memory.
"""

import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby, islice
from pathlib import Path

from msgspec import convert

from linewright.capabilities.value.account import days_of
from linewright.capabilities.value.pricing import Pricing
from linewright.engine.child import Child, ChildEnded, end_in_words, parent
from linewright.engine.protocol import Json, capture, release
from linewright.errors import LinewrightError, Terminal, Transient
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.line.file.yaml_nodes import read_text
from linewright.line.instants import earlier
from linewright.line.polling import PollingThread
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.spec import LineSpec
from linewright.model.facts import VALUE
from linewright.people.account import DayTally, account_of, currencies_of
from linewright.people.facts import Account, Accounted, Against, DaySums, MonthSums, ValueAccount
from linewright.serve.log.segments import lengths
from linewright.serve.no_pickle import forbid_pickles
from linewright.store.files.disk import faults_explained

LOOK_S = 60.0
"""How often it is looked, in seconds, whether a new day has begun."""
_BATCH = 2_000
"""Answers that are priced at once."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The sums of a line by day, and what they rest on."""

    line: str
    as_of: str
    against: Against
    delay: str | None
    position: Mapping[str, int]
    """By segment of the prediction log, up to where it was read."""
    days: Mapping[str, DaySums]

    def totals(self, currency: str | None = None) -> tuple[Account, ...]:
        """Return the account of each currency: this one first where there are answers in it, then that of the newest answers."""
        days = self.in_order()
        found = sorted(currencies_of(days), key=lambda one: one != currency)
        return tuple(account_of(self.line, one, self.against, days) for one in found)

    def in_order(self) -> list[DaySums]:
        """Return the days, oldest first."""
        return [self.days[day] for day in sorted(self.days)]


def up_to_date(factory: Factory, spec: LineSpec, before: Ledger | None = None) -> Ledger:
    """Return the sums of a line by what is known now; nothing is written but the index of the log."""
    line, delay = spec.line, spec.label.delay
    against: Against = spec.value.against if spec.value else "never"
    now, labels = factory.now(), factory.labels_of(line)
    labels.catch_up()  # whoever was keeping a label by now has done so
    if before is not None and (before.against, before.delay) != (against, delay):
        before = None
    if before is not None and before.as_of > now:
        before = None
    ripe = None if delay is None else earlier(now, delay)
    reading = _Reading(factory, line, now, Pricing(factory, line, against, ripe=ripe))
    position = dict(before.position) if before else {}
    new = reading.new(position)
    days = dict(before.days) if before else {}
    if before is not None:
        stale = {day for day in new if day in days}
        stale |= {day for day in _labelled_since(factory, before, now) if ripe is None or day <= ripe[:10]}
        if ripe is not None and delay is not None:
            came_of_age = earlier(before.as_of, delay)[:10], ripe[:10]
            stale |= {day for day in days if came_of_age[0] <= day <= came_of_age[1]}
        there = lengths(factory.log_of(line), factory.sealed_of(line))
        for day in sorted(stale):
            spans = _joined(days[day].spans, new.pop(day).spans if day in new else {})
            # Where segments are gone by now, which `keep` allows, what was added up while they were there stays.
            if spans.keys() <= there.keys():
                days[day] = reading.again(day, spans)
    days |= {day: tally.to_sums() for day, tally in new.items()}
    return Ledger(line=line, as_of=now, against=against, delay=delay, position=position, days=days)


@dataclass(frozen=True)
class _Reading:
    """The log of one line with what is known of its labels at an instant."""

    factory: Factory
    line: str
    known_by: str
    pricing: Pricing

    def new(self, position: dict[str, int]) -> dict[str, DayTally]:
        """Add up by day what stands behind a position, and move it along."""
        tallies: dict[str, DayTally] = {}

        def tally_of(day: str) -> DayTally:
            return tallies.get(day) or tallies.setdefault(day, DayTally(day))

        labels = self.factory.labels_of(self.line)
        found = labels.labelled_in_place(known_by=self.known_by, after=dict(position))
        while some := list(islice(found, _BATCH)):
            self.pricing.add(some, tally_of)
            position |= {logged.segment: logged.end for logged, _ in some}
        return tallies

    def again(self, day: str, spans: Mapping[str, tuple[int, int]]) -> DaySums:
        """Add up one day anew, whose records lie within spans of the log."""
        tally = DayTally(day)
        labels = self.factory.labels_of(self.line)
        found = labels.labelled_in_place(
            known_by=self.known_by,
            after={segment: start for segment, (start, _) in spans.items()},
            until={segment: end for segment, (_, end) in spans.items()},
        )
        while some := list(islice(found, _BATCH)):
            self.pricing.add(some, lambda of: tally if of == day else None)
        return tally.to_sums()


def _joined(
    one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    joined = dict(one)
    for segment, (start, end) in other.items():
        first, last = joined.get(segment, (start, end))
        joined[segment] = min(first, start), max(last, end)
    return joined


def _labelled_since(factory: Factory, before: Ledger, now: str) -> set[str]:
    """Return the days about whose answers labels came since."""
    places = _Places(before.days.values())
    found: set[str] = set()
    for one in factory.labels_of(before.line).turned_out(None, since=before.as_of, known_by=now):
        found.update(places.days_at(one.segment, one.offset))
    return found


class _Places:
    """Which days have a record at a place of the log."""

    def __init__(self, days: Iterable[DaySums]) -> None:
        spans: dict[str, list[tuple[int, int, str]]] = {}
        for day in days:
            for segment, (start, end) in day.spans.items():
                spans.setdefault(segment, []).append((start, end, day.day))
        self._spans = {segment: sorted(those) for segment, those in spans.items()}
        self._starts = {segment: [one[0] for one in those] for segment, those in self._spans.items()}
        self._reach = {
            segment: list(accumulate((one[1] for one in those), max))
            for segment, those in self._spans.items()
        }
        """How far the spans up to each one reach: what begins earlier may end later."""

    def days_at(self, segment: str, offset: int) -> Iterator[str]:
        """Give the days whose span holds a place."""
        spans = self._spans.get(segment, [])
        place = bisect_right(self._starts.get(segment, []), offset) - 1
        while place >= 0 and self._reach[segment][place] > offset:
            if spans[place][1] > offset:
                yield spans[place][2]
            place -= 1


# Keeping


def kept_ledger(factory: Factory, line: str) -> Ledger | None:
    """Return the newest account that was kept of a line; `None` where there is none."""
    accounted = newest_of(factory, line, Accounted)
    if accounted is None:
        return None
    kept = factory.metadata.get(accounted.account, ValueAccount)
    return Ledger(
        line=line,
        as_of=kept.as_of,
        against=kept.against,
        delay=kept.delay,
        position=kept.position,
        days={day.day: day for day in days_of(factory, kept)},
    )


def keep_account(factory: Factory, spec: LineSpec) -> Accounted | None:
    """Bring the account of a line up to date and keep it; return what was recorded, `None` where there was nothing new to account for."""
    if spec.value is None:
        return None
    before = kept_ledger(factory, spec.line)
    now = up_to_date(factory, spec, before)
    is_same = before is not None and (before.days, before.against, before.delay) == (
        now.days,
        now.against,
        now.delay,
    )
    if is_same or not now.days:
        return None
    metadata, context = factory.metadata, factory.context
    months = [
        metadata.keep(MonthSums(line=spec.line, days=tuple(days)))
        for _, days in groupby(now.in_order(), key=lambda day: day.day[:7])
    ]
    kept = ValueAccount(
        line=spec.line,
        as_of=now.as_of,
        against=now.against,
        delay=now.delay,
        position=dict(now.position),
        months=tuple(months),
    )
    totals = now.totals(spec.value.currency)
    accounted = Accounted(
        at=context.now(),
        by=context.actor,
        because=f"{sum(one.matured for one in totals):,} of {sum(day.answers for day in now.days.values()):,} answers are priced",
        line=spec.line,
        account=metadata.keep(kept),
        undeclared=sum(day.undeclared for day in now.days.values()),
        totals=totals,
    )
    metadata.record(accounted)
    return accounted


# In a process of its own


def never() -> bool:
    """Wait for as long as it takes."""
    return False


class Accounting(PollingThread):
    """A thread that has the accounts of all lines of a factory brought up to date, each at most once a day, until it is closed; one that is being made is then given up.

    Windows of a day are closed at midnight, UTC, or when `up` begins: the accounts follow within `LOOK_S` seconds.
    """

    def __init__(
        self, open_factory: Callable[[], AbstractContextManager[Factory]], *, every_s: float = LOOK_S
    ) -> None:
        self._done: dict[str, str] = {}
        """The day on which each line was accounted for last."""
        super().__init__(
            "accounting", open_factory, every_s=every_s, not_done="no value is accounted for now"
        )

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        yield partial(self._look, factory)

    def _look(self, factory: Factory) -> None:
        today, names = factory.now()[:10], set(factory.names())
        answered = {file.stem for file in (factory.state / "feedback").glob("*.sqlite")}
        new = sorted(line for line in answered & names if self._done.get(line) != today)
        self._done |= dict.fromkeys(new, today)
        due = [line for line in new if _may_declare_value(factory, line)]
        if not due:
            return
        for line, error in keep_accounts_in_child(factory, due, is_stopped=self._closed.is_set).items():
            self._say(f"error: the value of {line} is not accounted for: {error}\n")


def _may_declare_value(factory: Factory, line: str) -> bool:
    """Return whether a line's file may have a section `value`: most have none, and need no process that looks closer."""
    try:
        return VALUE in read_text(factory.path_of(line))
    except LinewrightError:
        return False  # whoever tends it tells what is wrong with it


def keep_accounts_in_child(
    factory: Factory, lines: Sequence[str], *, is_stopped: Callable[[], bool] = never
) -> dict[str, str]:
    """Bring accounts up to date that are of an earlier day, in a child process that stands back for the others; return what went wrong, by line."""

    def look(_waited: float) -> None:
        if is_stopped():
            raise Transient("this process ends", where="value", hint="try again in a moment")

    memory = read_factory_file(factory.root).runs.bytes
    try:
        with Child(
            "linewright.capabilities.value.update", (str(factory.root), *lines), memory=memory
        ) as child:
            return convert(release(child.receive(quiet=look)), dict[str, str])
    except ChildEnded as ended:
        raise Terminal(
            "the process that accounts for the value of lines has ended",
            where="value",
            found=end_in_words(ended.end),
            hint="allow more memory, if it took too much (factory.yaml: runs: {memory: …})",
        ) from ended


def keep_accounts(factory: Factory, lines: Iterable[str]) -> dict[str, str]:
    """Bring the accounts of lines up to date, of each at most once a day; return what went wrong, by line."""
    wrong: dict[str, str] = {}
    for line in lines:
        try:
            last = newest_of(factory, line, Accounted)
            if last is None or last.at[:10] != factory.now()[:10]:
                keep_account(factory, factory.line(line))
        except LinewrightError as error:
            wrong[line] = str(error)
    return wrong


def main(root: str, *rest: str) -> int:
    """Bring the accounts of some lines up to date, and say what went wrong."""
    *lines, word = rest
    forbid_pickles()
    channel = parent(word)

    def make() -> Json:
        with faults_explained(Path(root)), Factory.open(Path(root), actor="linewright") as factory:
            return dict(keep_accounts(factory, lines))

    channel.send(capture(make, "the value of lines"))
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
