"""Rows that a source gave once and has no more: the alert ``deleted`` of each line that reads it by a cursor.

A read notes in the history what it did not get again (`SourceHistory.unreturned`), so that people hear of it whatever happens next, and once.
"""

from contextlib import suppress

from linewright.data.facts import SourceHistory, Unreturned
from linewright.data.history.read import definition_of
from linewright.data.history.versions import newest
from linewright.data.spec import SourceSpec, SqlSource
from linewright.engine.context import Progress
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.record.registry import champion_digest
from linewright.line.spec import LineSpec
from linewright.line.views.sources import VIEW, readable_sources
from linewright.store.values import digest_of
from linewright.text.numbers import count
from linewright.watch.facts import Alerted, Cleared


def tend_deleted(factory: Factory, spec: LineSpec) -> None:
    """Alert of what reads of a line's sources did not get again, and end alerts of what is settled.

    It may be called at any time, again and again: there is one alert for one finding.
    """
    alerts = [one for one in open_alerts(factory, spec.line) if one.monitor == "deleted"]
    sources, places = readable_sources(factory, spec), set[str]()
    for name in (*spec.sources, *(VIEW + view for view in spec.features)):
        place = f"deleted:{digest_of({'line': spec.line, 'source': name})[7:19]}:"
        places.add(place)
        known = _history(factory, name, sources.get(name))
        if known is None:
            continue
        digest, found = known[0], known[1].unreturned
        finding = f"{place}{digest_of(found)[7:19]}:" if found is not None else ""
        before = [one for one in alerts if one.id.startswith(place)]
        because = "the rows are there again, or it is kept that they are deleted"
        if found is not None and not any(one.id.startswith(finding) for one in before):
            alert = _alert(factory, spec.line, name, found, id_=f"{finding}{factory.now()}", evidence=digest)
            because = alert.because
            factory.metadata.record(alert)
            factory.report(Progress(step="read", says=f"{spec.line}: {because}", stays=True))
        for one in before:
            if not finding or not one.id.startswith(finding):
                _clear(factory, one, because)
    for one in alerts:
        if not one.id.startswith(tuple(places)):
            _clear(factory, one, "the line does not read that source any more")


def _history(factory: Factory, name: str, source: SourceSpec | None) -> tuple[str, SourceHistory] | None:
    if not isinstance(source, SqlSource) or not source.has_history:
        return None
    with suppress(LinewrightError):  # a read says what is wrong with its place
        return newest(definition_of(name, source, factory.root), factory.metadata)
    return None


def _alert(factory: Factory, line: str, name: str, found: Unreturned, *, id_: str, evidence: str) -> Alerted:
    are = "is" if found.rows == 1 else "are"
    return Alerted(
        at=factory.now(),
        by=factory.context.actor,
        because=f"{count(found.rows, 'row')} among the newest of source {name!r} {are} not there any more, and the line still has "
        f"what was read. See: linewright reconcile {line} --source {name}",
        line=line,
        id=id_,
        package=champion_digest(factory, line),
        monitor="deleted",
        column=None,
        value=float(found.rows),
        bar=0.0,
        evidence=evidence,
        since=found.since,
    )


def _clear(factory: Factory, alert: Alerted, because: str) -> None:
    now, by = factory.now(), factory.context.actor
    factory.metadata.record(
        Cleared(at=now, by=by, because=because, line=alert.line, alert=alert.id, evidence=alert.evidence)
    )
