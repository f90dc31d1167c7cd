"""What the durable engine notes of runs that have ended: their requests, steps and outcomes, which nobody asks for any more."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from linewright.store.database import open_database, reading, writing

_AT_ONCE = 500
"""Runs that one statement is about."""
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def noted(url: str, runs: Sequence[str]) -> list[str]:
    """Return those of some runs that have ended and of which the engine has notes; none where there is no engine yet."""
    return _each(url, runs, removes=False)


def remove_notes(url: str, runs: Sequence[str]) -> list[str]:
    """Remove what the engine notes of those of some runs that have ended, and return which these were."""
    return _each(url, runs, removes=True)


def _each(url: str, runs: Sequence[str], *, removes: bool) -> list[str]:
    file = sa.make_url(url).database
    if url.startswith("sqlite") and not (file and Path(file).exists()):
        return []  # no engine has been at work: to open its database would make one
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
