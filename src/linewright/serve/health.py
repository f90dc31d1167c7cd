"""How an endpoint says that it is well."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from linewright.serve.log import Damage, PredictionLog
from linewright.serve.metrics import Labels
from linewright.serve.pointer import Live


def is_answering(live: Live) -> bool:
    """Whether a line answers requests."""
    return live.scorer is not None and not live.halt


def is_ready(lines: Mapping[str, Live]) -> bool:
    """Whether every line that should have a model has one."""
    return all(live.scorer is not None or _wants_none(live) for live in lines.values())


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
        "generation": live.generation,
        "halted": live.halt,
        "refused": live.refused,
        "log_trouble": log and log.trouble,
        "log_damaged": len(damage),
    }


def to_gauges(
    lines: Mapping[str, Live], logs: Mapping[str, PredictionLog], damage: Mapping[str, Sequence[Damage]]
) -> Iterator[tuple[str, str, Labels, float]]:
    """Give the values of the moment for `Metrics.to_text`."""
    sorted_lines, sorted_logs = sorted(lines.items()), sorted(logs.items())
    for name, live in sorted_lines:
        if live.arm is not None:
            labels = (("line", name), ("version", str(live.arm.model)), ("digest", live.arm.package))
            yield "linewright_model_info", "The model that answers.", labels, 1
    for name, live in sorted_lines:
        yield "linewright_halted", "Whether a person halted the line.", (("line", name),), int(live.halt)
    for name, live in sorted_lines:
        refused = int(live.refused is not None)
        yield "linewright_refused", "Whether the newest model was refused.", (("line", name),), refused
    for name, log in sorted_logs:
        says = "Logged bytes not yet forced to the disk."
        yield "linewright_log_unsynced_bytes", says, (("line", name),), log.unsynced_bytes
    for name, log in sorted_logs:
        yield "linewright_log_bytes", "Bytes logged by this process.", (("line", name),), log.written_bytes
    for name, log in sorted_logs:
        says = "Whether the disk ever refused to keep what this process logged."
        yield "linewright_log_trouble", says, (("line", name),), int(log.trouble is not None)
    for name, places in sorted(damage.items()):
        says = "Places of the prediction log that hold no record."
        yield "linewright_log_damaged", says, (("line", name),), len(places)
