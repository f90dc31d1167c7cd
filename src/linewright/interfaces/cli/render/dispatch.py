"""Which function says a result: found by its type, in the module of its subject, which is imported when it is first needed."""

from collections.abc import Mapping
from functools import singledispatch
from importlib import import_module
from typing import Any

_SUBJECTS: Mapping[str, str] = {
    "linewright.line.annotate.label_studio": "annotate",
    "linewright.line.annotate.progress": "annotate",
    "linewright.line.annotate.questions": "annotate",
    "linewright.line.annotate.queue": "annotate",
    "linewright.line.detached.folder": "detached",
    "linewright.line.detached.handover": "detached",
    "linewright.line.loop.worst_slice": "watch",
    "linewright.line.maintenance.backup": "care.maintenance",
    "linewright.line.maintenance.doctor": "care.maintenance",
    "linewright.line.maintenance.forget": "care.maintenance",
    "linewright.line.maintenance.gc": "care.maintenance",
    "linewright.line.maintenance.restore": "care.maintenance",
    "linewright.line.maintenance.verify": "care.maintenance",
    "linewright.line.facts": "runs",
    "linewright.line.feast.carry_over": "feast",
    "linewright.line.new.write": "new",
    "linewright.line.predict.pictures": "pictures",
    "linewright.line.predict.replay": "evidence",
    "linewright.line.predict.try_row": "predict",
    "linewright.line.record.costs": "value",
    "linewright.line.rebuild.compare": "evidence",
    "linewright.line.audit.export": "care.audit",
    "linewright.features.facts": "care.audit",
    "linewright.operations.care.audit": "care.audit",
    "linewright.operations.care.restore": "care.maintenance",
    "linewright.operations.lines.check": "check",
    "linewright.operations.data.datasets": "datasets",
    "linewright.operations.demo": "demo",
    "linewright.operations.models.evidence": "evidence",
    "linewright.operations.data.features": "features",
    "linewright.operations.changes.halt": "changes.halt",
    "linewright.operations.lines.history": "history",
    "linewright.operations.people.comments": "people.comments",
    "linewright.operations.people.inbox": "people.comments",
    "linewright.operations.people.console": "people.invitations",
    "linewright.operations.people.invitations": "people.invitations",
    "linewright.operations.lines.files": "lines",
    "linewright.operations.lines.plan": "plan",
    "linewright.operations.care.notify": "care.notify",
    "linewright.operations.models.predict": "predict",
    "linewright.operations.data.reconcile": "reconcile",
    "linewright.operations.changes.proposals": "changes.proposals",
    "linewright.operations.changes.propose": "changes.proposals",
    "linewright.operations.changes.promote": "changes.promote",
    "linewright.line.runs.run_log": "runs",
    "linewright.line.runs.progress": "runs",
    "linewright.operations.lines.run": "runs",
    "linewright.operations.lines.schedule": "schedule",
    "linewright.operations.data.sources": "sources",
    "linewright.operations.lines.status": "status",
    "linewright.operations.people.tokens": "people.tokens",
    "linewright.operations.people.views": "people.views",
    "linewright.line.value.what_if": "value",
    "linewright.operations.models.value": "value",
    "linewright.operations.models.watch": "watch",
}
"""Module of a result → the module here that says it. A command imports what its own result needs and nothing else."""


def _by_fields(result: Any) -> str:
    raise TypeError(f"no function says a {type(result).__name__}")


renderer = singledispatch(_by_fields)
"""A function for a type of results is registered by ``@renderer.register``; it says subclasses too."""


def result_text(result: Any) -> str | None:
    """Return what a person reads of a result; `None` where its fields say it themselves."""
    rooms = (_SUBJECTS.get(kind.__module__) for kind in type(result).__mro__)
    if subject := next(filter(None, rooms), None):
        import_module(f"linewright.interfaces.cli.render.{subject}")
    found = renderer.dispatch(type(result))
    return None if found is _by_fields else found(result)
