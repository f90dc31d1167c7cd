"""Changes of the schema, one revision a file in `versions/`, oldest first: what Alembic's `env.py` would say.

Imported only when a migration must run, since Alembic takes a third of a second to import.
"""

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from linewright.store.metadata.schema import Part, schema_of


def revisions() -> tuple[str, ...]:
    """Return the ids of all revisions, oldest first."""
    return tuple(script.revision for script in _directory().walk_revisions())[::-1]


def upgrade(connection: sa.Connection, *, to: str = "head") -> None:
    """Bring the schema to a revision (default: the newest), within the transaction that `connection` has open."""
    directory = _directory()

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return directory._upgrade_revs(to, revision)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- what alembic.command.upgrade calls

    with EnvironmentContext(Config(), directory, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def schema_at(revision: str) -> frozenset[Part]:
    """Return the schema that a SQLite file of a revision has."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            upgrade(connection, to=revision)
            return schema_of(cast("sqlite3.Connection", connection.connection.driver_connection))
    finally:
        engine.dispose()


@cache
def _directory() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))
