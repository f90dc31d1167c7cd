"""What the durable engine notes of runs, read without it: their steps, which may wait for their end, and the notes of those that have ended."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from linewright.errors import LinewrightError
from linewright.store.metadata.database import open_database, reading, writing

_LOOK_S = 1.0
"""How long it is waited for another process that writes, where a mere look would do."""
_AT_ONCE = 500
"""Runs that one statement is about."""
_WAITING = ("ENQUEUED", "DELAYED")
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def may_be_unfinished(url: str, group: str) -> bool:
    """Return whether the engine may have runs of a group that have not reached their end: also where only the engine can tell."""
    if _has_no_engine(url):
        return False
    place = "dbos" if url.startswith("postgresql") else None
    table = sa.table("workflow_status", sa.column("status"), sa.column("queue_partition_key"), schema=place)
    here = (table.c.status.not_in(_ENDED), table.c.queue_partition_key == group)
    try:
        engine = open_database(url, busy_s=_LOOK_S)
        try:
            with reading(engine) as connection:
                return connection.scalars(sa.select(table.c.status).where(*here).limit(1)).first() is not None
        finally:
            engine.dispose()
    except (LinewrightError, DBAPIError):
        return True


class StepNote(NamedTuple):
    """A step of a run that has been done, or has failed."""

    step: str
    begun: int | None
    ended: int | None
    """Milliseconds since 1970; `None` where they were not noted."""
    outcome: Any
    """``{"returned": …}`` or ``{"raised": …}``, see `engine.protocol.capture`."""


class RunNotes(NamedTuple):
    """What the engine notes of one run."""

    waits: bool
    """Whether it has not begun."""
    begun: int | None
    """Milliseconds since 1970."""
    steps: tuple[StepNote, ...]
    """In the order in which they were done."""


def notes_of(url: str, run: str) -> RunNotes | None:
    """Return what the engine notes of a run; `None` if it has none, or its database does not answer at once."""
    if _has_no_engine(url):
        return None
    place = "dbos" if url.startswith("postgresql") else None
    names = ("workflow_uuid", "status", "started_at_epoch_ms")
    runs = sa.table("workflow_status", *map(sa.column, names), schema=place)
    names = (
        "workflow_uuid",
        "function_id",
        "function_name",
        "output",
        "started_at_epoch_ms",
        "completed_at_epoch_ms",
    )
    steps = sa.table("operation_outputs", *map(sa.column, names), schema=place)
    try:
        engine = open_database(url, busy_s=_LOOK_S)
        try:
            with reading(engine) as connection:
                at_all = sa.select(runs.c.status, runs.c.started_at_epoch_ms)
                found = connection.execute(at_all.where(runs.c.workflow_uuid == run)).one_or_none()
                if found is None:
                    return None
                each = sa.select(
                    steps.c.function_name,
                    steps.c.started_at_epoch_ms,
                    steps.c.completed_at_epoch_ms,
                    steps.c.output,
                ).where(steps.c.workflow_uuid == run)
                done = connection.execute(each.order_by(steps.c.function_id)).all()
        finally:
            engine.dispose()
    except (LinewrightError, DBAPIError):
        return None
    told = (StepNote(name, begun, ended, json.loads(output or "{}")) for name, begun, ended, output in done)
    return RunNotes(found.status in _WAITING, found.started_at_epoch_ms, tuple(told))


def noted(url: str, runs: Sequence[str]) -> list[str]:
    """Return those of some runs that have ended and of which the engine has notes; none where there is no engine yet."""
    return _each(url, runs, removes=False)


def remove_notes(url: str, runs: Sequence[str]) -> list[str]:
    """Remove what the engine notes of those of some runs that have ended, and return which these were."""
    return _each(url, runs, removes=True)


def _each(url: str, runs: Sequence[str], *, removes: bool) -> list[str]:
    if _has_no_engine(url):
        return []  # to open its database would make one
    engine = open_database(url)
    place = "dbos" if engine.dialect.name == "postgresql" else None
    table = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("status"), schema=place)
    found: list[str] = []
    try:
        with reading(engine) as connection:
            if not sa.inspect(connection).has_table("workflow_status", schema=place):
                return []
        for first in range(0, len(runs), _AT_ONCE):
            some = (
                table.c.workflow_uuid.in_(runs[first : first + _AT_ONCE]),
                table.c.status.in_(_ENDED),
            )
            with (writing if removes else reading)(engine) as connection:
                found += connection.scalars(sa.select(table.c.workflow_uuid).where(*some)).all()
                if removes:
                    if place is None:  # what is deleted is overwritten, too
                        connection.exec_driver_sql("PRAGMA secure_delete = ON")
                    # Its steps and events go with it: their keys refer to it.
                    connection.execute(sa.delete(table).where(*some))
    finally:
        engine.dispose()
    return found


def _has_no_engine(url: str) -> bool:
    """Return whether no engine has been at work: it has made no file."""
    file = sa.make_url(url).database
    return url.startswith("sqlite") and not (file and Path(file).exists())
