"""How an endpoint says that it is well."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from linewright.serve.answers import Health, LineHealth
from linewright.serve.log.outages import Outages
from linewright.serve.log.segments import Damage
from linewright.serve.log.writer import PredictionLog
from linewright.serve.metrics import Sample
from linewright.serve.models.follow import UseOfMemory
from linewright.serve.models.state import Live


def is_answering(live: Live, outages: Outages | None) -> bool:
    """Whether a line answers requests."""
    if outages is not None and outages.refuses and not live.answers_unlogged:
        return False
    return live.arm is not None and not live.halt


def is_ready(lines: Mapping[str, Live]) -> bool:
    """Whether every line that should have a model has one."""
    return all(live.arm is not None or _wants_none(live) for live in lines.values())


def _wants_none(live: Live) -> bool:
    return live.wanted is not None and live.wanted.champion is None


def to_health(
    lines: Mapping[str, Live],
    logs: Mapping[str, PredictionLog],
    damage: Mapping[str, Sequence[Damage]],
    outages: Mapping[str, Outages],
) -> Health:
    """Describe every line, with what went wrong."""
    return {
        "live": True,
        "ready": is_ready(lines),
        "processes": 1,
        "lines": [
            _line(live, logs.get(name), damage.get(name, ()), outages.get(name))
            for name, live in sorted(lines.items())
        ],
    }


def as_one(healths: Sequence[Health]) -> Health:
    """Say how an endpoint of several processes is: each line as the process has it that is furthest behind."""
    lines: dict[str, list[LineHealth]] = {}
    for line in (line for health in healths for line in health["lines"]):
        lines.setdefault(line["line"], []).append(line)
    return {
        "live": True,
        "ready": all(health["ready"] for health in healths),
        "processes": len(healths),
        "lines": [_slowest(lines[name]) for name in sorted(lines)],
    }


def _slowest(each: Sequence[LineHealth]) -> LineHealth:
    slowest = min(each, key=lambda line: (line["generation"], line["ready"]))
    return {
        **slowest,
        "ready": all(line["ready"] for line in each),
        "halted": any(line["halted"] for line in each),
        "refused": next((line["refused"] for line in each if line["refused"]), None),
        "log_fails": next((line["log_fails"] for line in each if line["log_fails"]), None),
        "log_trouble": next((line["log_trouble"] for line in each if line["log_trouble"]), None),
        "unlogged_rows": sum(line["unlogged_rows"] for line in each),
        "log_damaged": max(line["log_damaged"] for line in each),
    }


def _line(
    live: Live, log: PredictionLog | None, damage: Sequence[Damage], outages: Outages | None
) -> LineHealth:
    return {
        "line": live.line,
        "ready": is_answering(live, outages),
        "model": live.model,
        "digest": live.arm and live.arm.package,
        "loaded": live.scorer is not None,
        "generation": live.generation,
        "halted": live.halt,
        "refused": live.refused,
        "log_fails": outages and outages.because,
        "log_trouble": log and log.trouble,
        "unlogged_rows": outages.unlogged_rows if outages else 0,
        "log_damaged": len(damage),
    }


def to_gauges(
    lines: Mapping[str, Live],
    logs: Mapping[str, PredictionLog],
    damage: Mapping[str, Sequence[Damage]],
    indexed: Mapping[str, int],
    outages: Mapping[str, Outages],
) -> Iterator[Sample]:
    """Give the values of the moment for `Metrics.exposition`."""
    yield Sample("linewright_processes", "Processes that serve.", (), 1)
    sorted_lines, sorted_logs = sorted(lines.items()), sorted(logs.items())
    for name, live in sorted_lines:
        copies = (("shadow", live.shadow.arm),) if live.shadow is not None else ()
        for role, arm in (*live.arms, *copies):
            version, digest = str(arm.model), arm.package
            labels = (("line", name), ("version", version), ("digest", digest), ("arm", role))
            yield Sample("linewright_model_info", "The models that answer.", labels, 1, over="max")
    for name, live in sorted_lines:
        yield _worst("linewright_halted", "Whether a person halted the line.", name, live.halt)
    for name, live in sorted_lines:
        refused = live.refused is not None
        yield _worst("linewright_refused", "Whether the newest model was refused.", name, refused)
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
        yield _worst("linewright_log_trouble", says, name, log.trouble is not None)
    yield from _outages(sorted(outages.items()))
    for name, places in sorted(damage.items()):
        says = "Places of the prediction log that hold no record."
        yield _worst("linewright_log_damaged", says, name, len(places))


def _outages(outages: Sequence[tuple[str, Outages]]) -> Iterator[Sample]:
    for name, one in outages:
        says = "Whether the log cannot be written, or not be forced to the disk, at this moment."
        yield _worst("linewright_log_fails", says, name, one.because is not None)
    for name, one in outages:
        says = "Rows that this process answered and no log has."
        labels = (("line", name),)
        yield Sample("linewright_unlogged_rows_total", says, labels, one.unlogged_rows, "counter")


def to_disk_gauges(state: Path) -> Iterator[Sample]:
    """Give what is free on the disk of the state, for `Metrics.exposition`; nothing where it does not tell."""
    with suppress(OSError):
        about = os.statvfs(state)
        free = about.f_bavail * about.f_frsize
        yield Sample(
            "linewright_disk_free_bytes", "Bytes free on the disk of the state.", (), free, over="min"
        )


def to_view_samples(damaged: Mapping[str, int]) -> Iterator[Sample]:
    """Give how often requests met a damaged record, by view, for `Metrics.exposition`."""
    for view, many in sorted(damaged.items()):
        says = "Records of feature views that requests asked for and that are damaged."
        yield Sample("linewright_damaged_records_total", says, (("view", view),), many, "counter")


def to_memory_gauges(lines: Mapping[str, Live], use: UseOfMemory) -> Iterator[Sample]:
    """Give which lines are loaded and what their models take, for `Metrics.exposition`."""
    for name, live in sorted(lines.items()):
        says = "Whether the line's models are in memory; else its next request loads them."
        yield _gauge("linewright_loaded", says, name, live.scorer is not None)._replace(over="min")
    says = "Memory that loaded models take, estimated, in bytes."
    yield Sample("linewright_model_memory_bytes", says, (), use.taken)
    says = "Memory that loaded models may take, in bytes."
    yield Sample("linewright_model_memory_budget_bytes", says, (), use.budget)
    says = "Packages that were loaded, also again."
    yield Sample("linewright_model_loads_total", says, (), use.loads, "counter")
    says = "How often a line's models were let go, to keep within the memory for models."
    yield Sample("linewright_model_evictions_total", says, (), use.let_go, "counter")


def _worst(name: str, says: str, line: str, value: int) -> Sample:
    return _gauge(name, says, line, value)._replace(over="max")


def _gauge(name: str, says: str, line: str, value: int) -> Sample:
    return Sample(name, says, (("line", line),), int(value))
