"""Counts and times of an endpoint, as Prometheus reads them."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the latency histogram, in seconds."""

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts requests. Its labels are names of lines that exist, versions and statuses: never what a client sent."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._rows: Counter[tuple[str, str]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, line: str, version: str, status: int, seconds: float) -> None:
        """Count one answered request; `line` is empty where it was about none."""
        self._requests[line, version, status] += 1
        times = self._times.setdefault(line, [0] * (len(BUCKETS_S) + 1))
        times[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[line] += seconds

    def count_rows(self, line: str, version: str, rows: int) -> None:
        """Count rows that were answered."""
        self._rows[line, version] += rows

    def to_text(self, gauges: Iterable[tuple[str, str, Labels, float]]) -> str:
        """Return everything in the text format 0.0.4.

        Parameters
        ----------
        gauges
            Further values of the moment: name, help, labels, value; those of one name follow each other.
        """
        return "\n".join([*self._counters(), *self._latency(), *_gauges(gauges)]) + "\n"

    def _counters(self) -> Iterator[str]:
        yield from _head("linewright_requests_total", "counter", "Answered requests.")
        for (line, version, status), number in self._requests.items():
            labels = (("line", line), ("version", version), ("status", str(status)))
            yield _sample("linewright_requests_total", labels, number)
        yield from _head("linewright_rows_total", "counter", "Answered rows.")
        for (line, version), number in self._rows.items():
            yield _sample("linewright_rows_total", (("line", line), ("version", version)), number)

    def _latency(self) -> Iterator[str]:
        name = "linewright_request_seconds"
        yield from _head(name, "histogram", "Time from a request's head to its answer.")
        for line, times in self._times.items():
            total = 0
            for end, number in zip((*BUCKETS_S, float("inf")), times, strict=True):
                total += number
                shown = "+Inf" if end == float("inf") else f"{end:g}"
                yield _sample(f"{name}_bucket", (("line", line), ("le", shown)), total)
            yield _sample(f"{name}_sum", (("line", line),), self._seconds[line])
            yield _sample(f"{name}_count", (("line", line),), total)


def _gauges(gauges: Iterable[tuple[str, str, Labels, float]]) -> Iterator[str]:
    seen: set[str] = set()
    for name, says, labels, value in gauges:
        if name not in seen:
            seen.add(name)
            yield from _head(name, "gauge", says)
        yield _sample(name, labels, value)


def _head(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    shown = f"{value:.9g}" if isinstance(value, float) else str(value)
    return f"{name}{{{inner}}} {shown}" if inner else f"{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
