"""Counts and times of an endpoint, as Prometheus reads them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import add
from typing import Any, Literal, NamedTuple

import msgspec

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the latency histogram, in seconds."""
MOST_VERSIONS = 20
"""Versions of a line that are told of: the series of older ones end, or years of retrainings would fill the monitoring."""

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One value of the moment."""

    name: str
    says: str
    labels: Labels
    value: float
    kind: Literal["gauge", "counter"] = "gauge"
    over: Literal["sum", "max", "min"] = "sum"
    """What is told where several processes have a value each."""


class Counts(msgspec.Struct):
    """What was counted of one version of a line."""

    requests: dict[int, int] = {}
    """By status."""
    errors: dict[str, int] = {}
    """By class."""
    rows: int = 0
    times: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    """Requests by bucket of `BUCKETS_S`; the last is beyond them."""
    seconds: float = 0.0

    def add(self, other: "Counts") -> None:
        """Count what `other` counted too."""
        _add(self.requests, other.requests)
        _add(self.errors, other.errors)
        self.rows += other.rows
        self.times = [one + more for one, more in zip(self.times, other.times, strict=True)]
        self.seconds += other.seconds


Tally = tuple[str, str, Counts]
"""Line, version, and what was counted of them."""


class Metrics:
    """Counts requests. Its labels are names of lines that exist, versions, statuses and classes: never what a client sent.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.count("claims", "3", 200, 0.002)
    >>> print(metrics.exposition([]).splitlines()[2])
    linewright_requests_total{line="claims",version="3",status="200"} 1
    """

    def __init__(self, tallies: Iterable[Tally] = ()) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}
        for line, version, counts in tallies:
            self._of(line, version).add(counts)

    def count(self, line: str, version: str, status: int, seconds: float, *, error: str = "") -> None:
        """Count one answered request; `line` is empty where it was about none."""
        counts = self._of(line, version)
        counts.requests[status] = counts.requests.get(status, 0) + 1
        counts.times[bisect_left(BUCKETS_S, seconds)] += 1
        counts.seconds += seconds
        if error:
            counts.errors[error] = counts.errors.get(error, 0) + 1

    def count_rows(self, line: str, version: str, rows: int) -> None:
        """Count rows that were answered."""
        self._of(line, version).rows += rows

    @property
    def tallies(self) -> list[Tally]:
        """What was counted, those versions first that answered first."""
        return [(line, version, counts) for (line, version), counts in self._counts.items()]

    def _of(self, line: str, version: str) -> Counts:
        found = self._counts.get((line, version))
        if found is None:
            found = self._counts[line, version] = Counts()
            versions = [key for key in self._counts if key[0] == line]
            for key in versions[:-MOST_VERSIONS]:
                del self._counts[key]
        return found

    def exposition(self, samples: Iterable[Sample]) -> str:
        """Return everything in the text format 0.0.4."""
        return "\n".join([*self._counters(), *self._latency(), *_samples(samples)]) + "\n"

    def _counters(self) -> Iterator[str]:
        name = "linewright_requests_total"
        yield from _head(name, "counter", "Requests by status; 499 where the client hung up before.")
        for labels, counts in self._labelled():
            for status, number in counts.requests.items():
                yield _line(name, (*labels, ("status", str(status))), number)
        name = "linewright_errors_total"
        yield from _head(name, "counter", "Requests that were refused, by class of the error.")
        for labels, counts in self._labelled():
            for error, number in counts.errors.items():
                yield _line(name, (*labels, ("error", error)), number)
        name = "linewright_rows_total"
        yield from _head(name, "counter", "Answered rows.")
        for labels, counts in self._labelled():
            if counts.rows:
                yield _line(name, labels, counts.rows)

    def _latency(self) -> Iterator[str]:
        name = "linewright_request_seconds"
        yield from _head(name, "histogram", "Time from a request's head to its answer.")
        for labels, counts in self._labelled():
            total = 0
            for end, number in zip((*BUCKETS_S, float("inf")), counts.times, strict=True):
                total += number
                shown = "+Inf" if end == float("inf") else f"{end:g}"
                yield _line(f"{name}_bucket", (*labels, ("le", shown)), total)
            yield _line(f"{name}_sum", labels, counts.seconds)
            yield _line(f"{name}_count", labels, total)

    def _labelled(self) -> Iterator[tuple[Labels, Counts]]:
        for (line, version), counts in self._counts.items():
            yield (("line", line), ("version", version)), counts


def add_tallies(each: Iterable[Iterable[Tally]]) -> list[Tally]:
    """Return the sums of what several processes counted; those that counted first come first."""
    return Metrics(chain.from_iterable(each)).tallies


def add_samples(each: Iterable[Iterable[Sample]]) -> list[Sample]:
    """Return one value for each series of several processes: the sum, the largest or the least, as the sample says.

    Examples
    --------
    >>> one, other = Sample("files", "Open files.", (), 3), Sample("files", "Open files.", (), 4)
    >>> add_samples([[one], [other]])[0].value
    7
    """
    found: dict[str, dict[Labels, Sample]] = {}
    for sample in chain.from_iterable(each):
        series = found.setdefault(sample.name, {})
        before = series.get(sample.labels)
        value = sample.value if before is None else _OVER[sample.over](before.value, sample.value)
        series[sample.labels] = sample._replace(value=value)
    return [sample for series in found.values() for sample in series.values()]


def samples_text(samples: Iterable[Sample]) -> str:
    """Return values of the moment alone, in the text format 0.0.4; those of one name follow each other.

    Examples
    --------
    >>> print(samples_text([Sample("files", "Open files.", (("of", "a"),), 3)]), end="")
    # HELP files Open files.
    # TYPE files gauge
    files{of="a"} 3
    """
    return "\n".join(_samples(samples)) + "\n"


_OVER = {"sum": add, "max": max, "min": min}


def _add(counts: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, number in more.items():
        counts[key] = counts.get(key, 0) + number


def _samples(samples: Iterable[Sample]) -> Iterator[str]:
    seen: set[str] = set()
    for sample in samples:
        if sample.name not in seen:
            seen.add(sample.name)
            yield from _head(sample.name, sample.kind, sample.says)
        yield _line(sample.name, sample.labels, sample.value)


def _head(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
