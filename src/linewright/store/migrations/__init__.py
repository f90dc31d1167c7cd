"""Changes of the schema, one revision a file in `versions/`, oldest first: what Alembic's `env.py` would say.

Imported only when a migration must run, since Alembic takes a third of a second to import.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def revisions() -> tuple[str, ...]:
    """Return the ids of all revisions, oldest first."""
    return tuple(script.revision for script in _directory().walk_revisions())[::-1]


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to the newest revision, within the transaction that `connection` has open."""
    directory = _directory()

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return directory._upgrade_revs("head", revision)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- what alembic.command.upgrade calls

    with EnvironmentContext(Config(), directory, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def _directory() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))
