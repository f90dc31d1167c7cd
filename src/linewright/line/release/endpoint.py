"""What a run and the worker tell the endpoints of a line: how to serve, which values of series are the newest; and alerts of a prediction log that fails."""

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from linewright.data.facts import Ingested
from linewright.errors import SpecError
from linewright.features.facts import ViewFacts
from linewright.line.factory import Factory
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.record.registry import find_model
from linewright.line.spec import LineSpec
from linewright.release.endpoint_settings import configure, tell_series
from linewright.release.facts import Configured, SeriesRead, WhenLogFails
from linewright.release.promotion import when_log_fails
from linewright.serve.facts import Outage
from linewright.serve.log.outages import Found, outages_of
from linewright.store.clock import said
from linewright.text.numbers import count
from linewright.watch.facts import Alerted, Cleared


def follow_file(factory: Factory, spec: LineSpec) -> Configured | None:
    """Have endpoints of a line serve as its file says; return the event where that is news, else `None`."""
    return configure(
        factory.context,
        factory.serving,
        spec.line,
        log_fails=spec.release.when_log_fails,
        explore=spec.recommend.explore if spec.recommend else 0.0,
    )


def follow_series(factory: Factory, spec: LineSpec, read: Ingested) -> SeriesRead | None:
    """Have endpoints of a line that forecasts know the newest values that a run has read, with newer ones of requests behind them; return the event if that is news, else `None`."""
    if read.series is None:
        return None
    news = tell_series(factory.context, factory.serving, spec.line, read.series)
    remembered = import_module(
        "linewright.line.release.remembered_values"
    )  # brings numpy, which `status` does not need
    with suppress(SpecError):  # the worker says so; the run has nothing to do with it
        return remembered.keep_remembered(factory, spec) or news
    return news


def follow_views(factory: Factory, views: Sequence[ViewFacts]) -> None:
    """Have endpoints know of the feature views of a model what is known now, before it serves."""
    if views:
        written = import_module("linewright.line.views.write_records")  # brings what reads tables
        for facts in views:
            written.write_view(factory, facts)


def tend_log(factory: Factory, line: str) -> Alerted | Cleared | None:
    """Make an alert of what endpoints left word of, end it when all of that is over, and return what was recorded.

    It may be called at any time, again and again: an outage is told once, also where a kill came in between.
    """
    found = outages_of(factory.serving, line)
    told = next((one for one in open_alerts(factory, line) if one.monitor == "log"), None)
    if told is None and (news := _alert(factory, line, found)) is not None:
        factory.metadata.record(news)
        return news
    if not all(one.is_over for one in found):
        return None
    over = None
    if told is not None:
        over = _clear(factory, told, [one.outage for one in found])
        factory.metadata.record(over)
    # After it is recorded: what a kill leaves behind here is known by the id of its alert, and taken away later.
    for one in found:
        one.path.unlink(missing_ok=True)
    return over


def log_fails(factory: Factory, line: str) -> str | None:
    """Say what fails about the log of a line at this moment, as endpoints see it; `None` where nothing does."""
    lasting = [one.outage for one in outages_of(factory.serving, line) if not one.is_over]
    return _says(lasting[0], when_log_fails(factory.metadata, line)) if lasting else None


def _alert(factory: Factory, line: str, found: Sequence[Found]) -> Alerted | None:
    """Return the alert of the first outage that none tells of yet."""
    if not found or factory.metadata.pointer(line).champion is None:
        return None
    known = {one.id for one in factory.metadata.events(Alerted, line=line) if one.monitor == "log"}
    first = next((one for one in found if _id(one) not in known), None)
    if first is None:
        return None
    context, outage = factory.context, first.outage
    return Alerted(
        at=context.now(),
        by=context.actor,
        because=_says(outage, when_log_fails(factory.metadata, line)),
        line=line,
        id=_id(first),
        package=find_model(factory, line).digest,
        monitor="log",
        column=None,
        value=float(outage.rows),
        bar=0.0,
        evidence=factory.metadata.keep(outage),
        since=outage.since,
    )


def _clear(factory: Factory, told: Alerted, outages: Sequence[Outage]) -> Cleared:
    context, last = factory.context, outages[-1] if outages else None
    until = (
        f"the log works again since {said(last.until)}"
        if last is not None and last.until
        else "the endpoint that told of it has ended"
    )
    rows = sum(one.rows for one in outages)
    lost = f"; {count(rows, 'row')} were answered that no log has" if rows else ""
    return Cleared(
        at=context.now(),
        by=context.actor,
        because=f"{until}{lost}",
        line=told.line,
        alert=told.id,
        evidence=factory.metadata.keep(last) if last is not None else told.evidence,
    )


def _id(one: Found) -> str:
    return f"log:{one.path.stem}"


def _says(outage: Outage, when: WhenLogFails) -> str:
    if outage.fault == "force":
        return (
            f"the disk refused to keep what was logged ({outage.because}): answers of that moment may not survive power loss, "
            "and requests that ask for `durable` were refused"
        )
    follows = {
        "refuse": "requests are refused until it can",
        "serve-unlogged": "answers are given that no log has: they are not watched, take no label by id and cannot be replayed",
    }
    return f"the prediction log cannot be written ({outage.because}): {follows[when]}"
