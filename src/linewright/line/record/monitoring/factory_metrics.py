"""How all lines of a factory stand, as numbers that Prometheus reads: `/metrics` of the control plane."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.people.facts import AccessRefused, Accounted
from linewright.people.outbox import Outbox, Place
from linewright.serve.metrics import Sample
from linewright.watch.facts import Alerted, Cleared

COUNTED_S = 60.0
"""How often labels of a line are counted, in seconds: that takes as long as there are many."""
_FOLLOWED = ("alerted", "cleared", "finished", "access-refused")
_EVENTS = {
    "watched": ("linewright_windows_total", "Windows that were closed."),
    "alerted": ("linewright_alerts_total", "Alerts that were opened."),
    "proposed": ("linewright_proposals_total", "Trainings that were proposed."),
    "accepted": ("linewright_runs_accepted_total", "Runs that were accepted."),
    "promoted": ("linewright_promotions_total", "Promotions."),
    "refused": ("linewright_refusals_total", "Candidates that were not promoted, or not without a person."),
    "rolled_back": ("linewright_rollbacks_total", "Rollbacks."),
}
"""Kind of event → the counter of such events, by line."""
_NEWEST = {
    "watched": ("linewright_last_window_timestamp_seconds", "When a window was closed last, Unix seconds."),
    "finished": ("linewright_last_run_timestamp_seconds", "When a run ended last, Unix seconds."),
}


class _Counted(NamedTuple):
    stamp: tuple[int, int]
    at: float
    predictions: int
    labels: int


class FactoryMetrics:
    """Follows the record, so that one answer costs what happened since the last. Threads may ask at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        self._open: dict[tuple[str, str], tuple[str, str]] = {}
        """(Line, id) of the open alerts → (line, monitor)."""
        self._alerts: Counter[tuple[str, str]] = Counter()
        """Open alerts by (line, monitor); what is over stays, as 0."""
        self._runs: Counter[tuple[str, str]] = Counter()
        """Ended runs by (line, outcome)."""
        self._cpu_s: Counter[str] = Counter()
        """Processor time of ended runs, by line."""
        self._refused: Counter[tuple[str, str]] = Counter()
        """Refused attempts by (server, right)."""
        self._labels: dict[str, _Counted] = {}

    def samples(self, factory: Factory) -> list[Sample]:
        """Return the values of the moment."""
        with self._lock:
            self._follow(factory)
            return [
                *self._of_record(factory),
                *_of_pointers(factory),
                *self._of_labels(factory),
                *_of_accounts(factory),
                *_of_destinations(factory),
            ]

    def _follow(self, factory: Factory) -> None:
        newest = factory.metadata.newest_seq()
        if newest < self._seq:  # another record: one that was restored
            self._seq, self._open = 0, {}
            self._alerts, self._runs, self._cpu_s = Counter(), Counter(), Counter()
            self._refused = Counter()
        for link in factory.metadata.links(after=self._seq, kinds=_FOLLOWED):
            self._take(link.kind, link.line, msgspec.json.decode(link.body, type=dict[str, Any]))
        self._seq = newest

    def _take(self, kind: str, line: str, event: dict[str, Any]) -> None:
        if kind == _tag(Alerted):
            about = (line, event["monitor"])
            self._alerts[about] += (line, event["id"]) not in self._open
            self._open[line, event["id"]] = about
        elif kind == _tag(Cleared) and (about := self._open.pop((line, event["alert"]), None)) is not None:
            self._alerts[about] -= 1
        elif kind == _tag(Finished):
            self._runs[line, event["outcome"]] += 1
            self._cpu_s[line] += (event.get("usage") or {}).get("cpu_s", 0.0)
        elif kind == _tag(AccessRefused):
            self._refused[event["server"], event["permission"]] += event["count"]

    def _of_record(self, factory: Factory) -> Iterator[Sample]:
        for (line, monitor), number in sorted(self._alerts.items()):
            says = "Alerts that are not over."
            yield Sample("linewright_alerts_open", says, _of(line, monitor=monitor), number)
        for (line, outcome), number in sorted(self._runs.items()):
            name, says = "linewright_runs_total", "Runs that ended."
            yield Sample(name, says, _of(line, outcome=outcome), number, kind="counter")
        for line, seconds in sorted(self._cpu_s.items()):
            name, says = "linewright_run_cpu_seconds_total", "Processor time of runs that ended, in seconds."
            yield Sample(name, says, _of(line), seconds, kind="counter")
        for (server, permission), number in sorted(self._refused.items()):
            name, says = (
                "linewright_access_refused_total",
                "Attempts that were refused for want of a right, or of a token (right: empty).",
            )
            labels = (("server", server), ("right", permission))
            yield Sample(name, says, labels, number, kind="counter")
        tally = factory.metadata.tally()
        ended = {one.line: one.number for one in tally if one.kind == "finished"}
        for one in (one for one in tally if one.kind == "accepted"):
            name, says = "linewright_runs_unfinished", "Runs that were accepted and have not ended."
            yield Sample(name, says, _of(one.line), max(0, one.number - ended.get(one.line, 0)))
        for kind, (name, says) in _EVENTS.items():
            for one in (one for one in tally if one.kind == kind):
                yield Sample(name, says, _of(one.line), one.number, kind="counter")
        for kind, (name, says) in _NEWEST.items():
            for one in (one for one in tally if one.kind == kind):
                yield Sample(name, says, _of(one.line), datetime.fromisoformat(one.at).timestamp())

    def _of_labels(self, factory: Factory) -> Iterator[Sample]:
        files = sorted((factory.state / "feedback").glob("*.sqlite"))
        counted = {file.stem: found for file in files if (found := self._count(factory, file)) is not None}
        for line, found in counted.items():
            says = "Logged predictions that are in the index."
            yield Sample("linewright_predictions", says, _of(line), found.predictions)
        for line, found in counted.items():
            yield Sample("linewright_labels", "Predictions whose label is known.", _of(line), found.labels)

    def _count(self, factory: Factory, file: Path) -> _Counted | None:
        line, now = file.stem, time.monotonic()
        known = self._labels.get(line)
        # What cannot be read is told by `status` and `doctor`; the other lines are told of all the same.
        with suppress(LinewrightError, OSError):
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if known is None or (stamp != known.stamp and now - known.at >= COUNTED_S):
                counts = factory.labels_of(line).counts(caught_up=False)
                known = self._labels[line] = _Counted(stamp, now, counts.predictions, counts.labelled)
        return known


def _of_pointers(factory: Factory) -> Iterator[Sample]:
    pointers = sorted(factory.metadata.pointers().items())
    for line, pointer in pointers:
        name, says = "linewright_champion_version", "Version of the champion; 0 before the first."
        yield Sample(name, says, _of(line), pointer.champion or 0)
    for line, pointer in pointers:
        yield Sample("linewright_halted", "Whether a person halted the line.", _of(line), int(pointer.halt))


def _of_accounts(factory: Factory) -> Iterator[Sample]:
    newest = factory.metadata.newest(Accounted, factory.metadata.lines(), most=1)
    accounts = [account for one in newest for account in one.totals]
    for one in accounts:
        name, says = "linewright_value", "What the matured answers were worth, by the newest value account."
        yield Sample(name, says, _of(one.line, currency=one.currency), one.value)
    for one in accounts:
        name, says = (
            "linewright_value_gain",
            "The same less what the declared baseline would have been worth.",
        )
        yield Sample(name, says, _of(one.line, currency=one.currency), one.gain)
    for one in accounts:
        name, says = "linewright_value_matured_answers", "Answers that the newest value account prices."
        yield Sample(name, says, _of(one.line, currency=one.currency), one.matured)


def _of_destinations(factory: Factory) -> Iterator[Sample]:
    outbox = Outbox(factory.state)
    places = [place for _, place in sorted(outbox.places().items())]
    for one in places:
        name, says = "linewright_notify_delivered_total", "Events that a destination took."
        yield Sample(name, says, _named(one), one.delivered, kind="counter")
    for one in places:
        name, says = "linewright_notify_failures", "Tries in a row that failed; 0 where the last went well."
        yield Sample(name, says, _named(one), one.failures)
    for one in places:
        name, says = (
            "linewright_notify_refused",
            "Events that a destination refused, and that were set aside.",
        )
        yield Sample(name, says, _named(one), len(outbox.refused(one.name)))


def _named(one: Place) -> tuple[tuple[str, str], ...]:
    return (("destination", one.name),)


def _of(line: str, **labels: str) -> tuple[tuple[str, str], ...]:
    return (("line", line), *labels.items())


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)
