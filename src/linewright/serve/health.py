"""How an endpoint says that it is well."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from linewright.serve.log import Damage, PredictionLog
from linewright.serve.metrics import Sample
from linewright.serve.pointer import Live, UseOfMemory


def is_answering(live: Live) -> bool:
    """Whether a line answers requests."""
    return live.arm is not None and not live.halt


def is_ready(lines: Mapping[str, Live]) -> bool:
    """Whether every line that should have a model has one."""
    return all(live.arm is not None or _wants_none(live) for live in lines.values())


def _wants_none(live: Live) -> bool:
    return live.wanted is not None and live.wanted.champion is None


def to_health(
    lines: Mapping[str, Live], logs: Mapping[str, PredictionLog], damage: Mapping[str, Sequence[Damage]]
) -> dict[str, Any]:
    """Describe every line, with what went wrong."""
    return {
        "live": True,
        "ready": is_ready(lines),
        "lines": [_line(live, logs.get(name), damage.get(name, ())) for name, live in sorted(lines.items())],
    }


def _line(live: Live, log: PredictionLog | None, damage: Sequence[Damage]) -> dict[str, Any]:
    return {
        "line": live.line,
        "ready": is_answering(live),
        "model": live.model,
        "digest": live.arm and live.arm.package,
        "loaded": live.scorer is not None,
        "generation": live.generation,
        "halted": live.halt,
        "refused": live.refused,
        "log_trouble": log and log.trouble,
        "log_damaged": len(damage),
    }


def to_gauges(
    lines: Mapping[str, Live],
    logs: Mapping[str, PredictionLog],
    damage: Mapping[str, Sequence[Damage]],
    indexed: Mapping[str, int],
) -> Iterator[Sample]:
    """Give the values of the moment for `Metrics.to_text`.

    Parameters
    ----------
    indexed
        By line, the bytes logged by this process that labels surely find.
    """
    sorted_lines, sorted_logs = sorted(lines.items()), sorted(logs.items())
    for name, live in sorted_lines:
        for role, arm in live.arms:
            version, digest = str(arm.model), arm.package
            labels = (("line", name), ("version", version), ("digest", digest), ("arm", role))
            yield Sample("linewright_model_info", "The models that answer.", labels, 1)
    for name, live in sorted_lines:
        yield _gauge("linewright_halted", "Whether a person halted the line.", name, live.halt)
    for name, live in sorted_lines:
        refused = live.refused is not None
        yield _gauge("linewright_refused", "Whether the newest model was refused.", name, refused)
    for name, log in sorted_logs:
        says = "Logged bytes not yet forced to the disk."
        yield _gauge("linewright_log_unsynced_bytes", says, name, log.unsynced_bytes)
    for name, log in sorted_logs:
        says = "Bytes logged by this process that may not be indexed yet; a label waits until they are."
        unindexed = max(log.written_bytes - indexed.get(name, 0), 0)
        yield _gauge("linewright_log_unindexed_bytes", says, name, unindexed)
    for name, log in sorted_logs:
        yield _gauge("linewright_log_bytes", "Bytes logged by this process.", name, log.written_bytes)
    for name, log in sorted_logs:
        says = "Whether the disk ever refused to keep what this process logged."
        yield _gauge("linewright_log_trouble", says, name, log.trouble is not None)
    for name, places in sorted(damage.items()):
        says = "Places of the prediction log that hold no record."
        yield _gauge("linewright_log_damaged", says, name, len(places))


def to_memory_gauges(lines: Mapping[str, Live], use: UseOfMemory) -> Iterator[Sample]:
    """Give which lines are loaded and what their models take, for `Metrics.to_text`."""
    for name, live in sorted(lines.items()):
        says = "Whether the line's models are in memory; else its next request loads them."
        yield _gauge("linewright_loaded", says, name, live.scorer is not None)
    says = "Memory that loaded models take, estimated, in bytes."
    yield Sample("linewright_model_memory_bytes", says, (), use.taken)
    says = "Memory that loaded models may take, in bytes."
    yield Sample("linewright_model_memory_budget_bytes", says, (), use.budget)
    says = "Packages that were loaded, also again."
    yield Sample("linewright_model_loads_total", says, (), use.loads, "counter")
    says = "How often a line's models were let go, to keep within the memory for models."
    yield Sample("linewright_model_evictions_total", says, (), use.let_go, "counter")


def _gauge(name: str, says: str, line: str, value: int) -> Sample:
    return Sample(name, says, (("line", line),), int(value))
