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
    "linewright.line.detached.folder": "models.detached",
    "linewright.line.detached.handover": "models.detached",
    "linewright.line.loop.worst_slice": "models.watch",
    "linewright.line.maintenance.backup": "care.maintenance",
    "linewright.line.maintenance.doctor": "care.maintenance",
    "linewright.line.maintenance.forget": "care.maintenance",
    "linewright.line.maintenance.gc": "care.maintenance",
    "linewright.line.maintenance.restore": "care.maintenance",
    "linewright.line.maintenance.verify_chain": "care.maintenance",
    "linewright.line.holding": "care.maintenance",
    "linewright.line.facts": "lines.runs",
    "linewright.line.feast.carry_over": "data.feast",
    "linewright.line.new.write": "lines.new",
    "linewright.line.predict.pictures": "data.pictures",
    "linewright.line.predict.replay": "models.evidence",
    "linewright.line.predict.try_row": "models.predict",
    "linewright.line.record.costs": "models.value",
    "linewright.line.rebuild.compare": "models.evidence",
    "linewright.line.audit.export": "care.audit",
    "linewright.features.facts": "care.audit",
    "linewright.operations.care.audit": "care.audit",
    "linewright.operations.care.restore": "care.maintenance",
    "linewright.operations.lines.check": "lines.check",
    "linewright.operations.data.datasets": "data.datasets",
    "linewright.operations.demo": "demo",
    "linewright.operations.models.evidence": "models.evidence",
    "linewright.operations.data.features": "data.features",
    "linewright.operations.changes.halt": "changes.halt",
    "linewright.operations.lines.history": "lines.history",
    "linewright.operations.people.comments": "people.comments",
    "linewright.operations.people.inbox": "people.comments",
    "linewright.operations.people.console": "people.invitations",
    "linewright.operations.people.invitations": "people.invitations",
    "linewright.operations.lines.files": "lines.files",
    "linewright.operations.lines.plan": "lines.plan",
    "linewright.operations.care.notify": "care.notify",
    "linewright.operations.models.predict": "models.predict",
    "linewright.operations.data.reconcile": "data.reconcile",
    "linewright.operations.changes.proposals": "changes.proposals",
    "linewright.operations.changes.propose": "changes.proposals",
    "linewright.operations.changes.promote": "changes.promote",
    "linewright.line.runs.run_log": "lines.runs",
    "linewright.line.runs.progress": "lines.runs",
    "linewright.operations.lines.run": "lines.runs",
    "linewright.operations.lines.schedule": "lines.schedule",
    "linewright.operations.data.sources": "data.sources",
    "linewright.operations.lines.status": "lines.status",
    "linewright.operations.people.tokens": "people.tokens",
    "linewright.operations.people.views": "people.views",
    "linewright.line.value.what_if": "models.value",
    "linewright.operations.models.value": "models.value",
    "linewright.operations.models.watch": "models.watch",
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
