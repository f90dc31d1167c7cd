"""Maintenance of the feature views of models that serve, by the worker: records for endpoints are refreshed, and logged rows audited."""

from importlib import import_module

from linewright.features.facts import FeatureAudit, FeaturesAudited, ViewFacts
from linewright.line.factory import Factory
from linewright.line.instants import later
from linewright.line.record.monitoring.alerts import newest_of, open_alerts
from linewright.line.record.registry import find_model, served_versions
from linewright.model.facts import Package
from linewright.text.numbers import count
from linewright.watch.facts import Alerted, Cleared

AUDIT_EVERY = "1h"
SAMPLE = 200
"""Logged rows that are audited each time; what an audit of fewer found is not recorded: it would hide what this one finds."""


def views_served(factory: Factory, line: str) -> tuple[ViewFacts, ...]:
    """Return the feature views of the models of a line that answer or are tried, each once; none if no model serves."""
    packages = [factory.metadata.get(one.digest, Package) for one in served_versions(factory, line)]
    return tuple(dict.fromkeys(view for package in packages for view in package.views))


def refresh_records(factory: Factory, line: str) -> str | None:
    """Write what is known of the views of a line if it is time; return when it is time again, UTC, or `None`."""
    views = views_served(factory, line)
    if not views:
        return None
    return import_module("linewright.line.views.write_records").write_due(
        factory, views
    )  # brings what reads tables


def tend_records(factory: Factory, line: str) -> Alerted | Cleared | None:
    """Alert of files of records that endpoints found damaged, or end that alert, and return what was recorded.

    `refresh_records` writes them again.
    """
    alert = next((one for one in open_alerts(factory, line) if one.monitor == "records"), None)
    views = views_served(factory, line)
    if not views:
        return None
    damaged = import_module("linewright.line.views.write_records").damaged_of(
        factory, views, is_alerted=alert is not None
    )
    if bool(damaged) == (alert is not None):
        return None
    now, by = factory.now(), factory.context.actor
    if alert is not None:
        because = "the records of each feature view are what was written"
        news = Cleared(at=now, by=by, because=because, line=line, alert=alert.id, evidence=alert.evidence)
    else:
        package = find_model(factory, line).digest
        news = Alerted(
            at=now,
            by=by,
            because=f"the records of feature view {damaged[0]!r} are damaged: requests that need what is lost get nothing of it "
            "(view-damaged) until they are written again, from the sources. Look at the disk",
            line=line,
            id=f"records:{line}:{now}",
            package=package,
            monitor="records",
            column=None,
            value=float(len(damaged)),
            bar=0.0,
            evidence=package,
            since=now,
        )
    factory.metadata.record(news)
    return news


def audit_served_features(factory: Factory, line: str) -> tuple[Alerted | Cleared | None, str | None]:
    """Compute features of the newest logged rows again, alert if one differs, or end that alert."""
    if not views_served(factory, line):
        return None, None
    audited: FeatureAudit = import_module("linewright.line.views.logged_features").audit_views(
        factory, line, sample=SAMPLE
    )
    note_audit(factory, audited, because="logged features are computed again while the line is looked after")
    told = next((one for one in open_alerts(factory, line) if one.monitor == "features"), None)
    news = None
    if told is None and audited.differ:
        news = _alert(factory, audited)
    elif told is not None and audited.rows and not audited.differ:
        news = Cleared(
            at=factory.now(),
            by=factory.context.actor,
            because=f"the features of the newest {count(audited.rows, 'logged row')} are those that the sources say",
            line=line,
            alert=told.id,
            evidence=told.evidence,
        )
    if news is not None:
        factory.metadata.record(news)
    return news, later(factory.now(), AUDIT_EVERY)


def note_audit(factory: Factory, audited: FeatureAudit, *, because: str) -> None:
    """Record what an audit found, unless the last one found the same of the same newest row."""
    before = newest_of(factory, audited.line, FeaturesAudited)
    found = (audited.newest, audited.differ, audited.behind)
    if audited.newest is None or (before and (before.newest, before.differ, before.behind) == found):
        return
    factory.metadata.record(
        FeaturesAudited(
            at=factory.now(),
            by=factory.context.actor,
            because=because,
            line=audited.line,
            rows=audited.rows,
            differ=audited.differ,
            behind=audited.behind,
            newest=audited.newest,
        )
    )


def _alert(factory: Factory, audited: FeatureAudit) -> Alerted:
    first, now = audited.first[0], factory.now()
    package = find_model(factory, audited.line).digest
    return Alerted(
        at=now,
        by=factory.context.actor,
        because=f"features of {audited.differ:,} of {count(audited.rows, 'logged row')} are not those that the sources say: "
        # Not the values: an alert goes to many people.
        f"{first.column!r} of feature view {first.view!r}, for one, in prediction {first.id}. "
        f"See: linewright audit features {audited.line}",
        line=audited.line,
        id=f"features:{audited.line}:{first.id}",
        package=package,
        monitor="features",
        column=first.column,
        value=audited.differ / audited.rows,
        bar=0.0,
        evidence=package,
        since=first.at,
    )
