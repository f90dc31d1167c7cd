"""How endpoints of a line serve, as its file says: recorded where that changes, so that they need not read the file."""

from collections.abc import Mapping
from pathlib import Path

from linewright.engine.context import Context
from linewright.release.facts import Configured, SeriesRead, WhenLogFails
from linewright.release.promotion import explored_share, project, series_of_run, when_log_fails


def configure(
    context: Context, serving_dir: Path, line: str, *, log_fails: WhenLogFails, explore: float = 0.0
) -> Configured | None:
    """Have endpoints of a line do what its file says; return the event where that is news, else `None`."""
    before, share = when_log_fails(context.metadata, line), explored_share(context.metadata, line)
    if (before, share) == (log_fails, explore):
        return None
    changed = [
        *([f"`when_log_fails: {log_fails}`; it was {before}"] if before != log_fails else []),
        *([f"`explore: {explore:g}`; it was {share:g}"] if share != explore else []),
    ]
    event = Configured(
        at=context.now(),
        by=context.actor,
        because=f"the line file says {', and '.join(changed)}",
        line=line,
        when_log_fails=log_fails,
        explore=explore,
    )
    context.metadata.record(event)
    project(context.metadata, serving_dir, line)
    return event


def tell_series(context: Context, serving_dir: Path, line: str, values: str) -> SeriesRead | None:
    """Have endpoints of a line answer from newer values of its series; return the event if that is news, else `None`."""
    if series_of_run(context.metadata, line) == values:
        return None
    return publish_series(context, serving_dir, line, because="a run has read newer values", values=values)


def publish_series(
    context: Context,
    serving_dir: Path,
    line: str,
    *,
    because: str,
    values: str,
    base: str | None = None,
    position: Mapping[str, int] | None = None,
    labels: str | None = None,
) -> SeriesRead:
    """Have endpoints of a line answer from other values of its series; the rest is as in `SeriesRead`."""
    event = SeriesRead(
        at=context.now(),
        by=context.actor,
        because=because,
        line=line,
        values=values,
        base=base,
        position=dict(position or {}),
        labels=labels,
    )
    context.metadata.record(event)
    project(context.metadata, serving_dir, line)
    return event
