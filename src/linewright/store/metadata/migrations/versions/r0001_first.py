"""The first schema: results, settled steps, the chain of events, pointers and models."""

import sqlalchemy as sa
from alembic import op

from linewright.store.metadata.audit_chain import ROOT

revision = "0.1.0"
down_revision = None
branch_labels = None
depends_on = None

_DIGEST = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and forbid what would change a fact."""
    op.create_table(
        "results",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "settled",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.create_table(
        "inputs",
        sa.Column("line", sa.Text, primary_key=True),
        sa.Column("step", sa.Text, primary_key=True),
        sa.Column("inputs", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_line", "events", ["line", "kind", "seq"])
    op.create_index("events_by_kind", "events", ["kind", "seq"])
    heads = op.create_table(
        "heads",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.bulk_insert(heads, [{"name": "events", "entries": 0, "digest": ROOT}])
    op.create_table(
        "pointers",
        sa.Column("line", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("champion", sa.Integer),
        sa.Column("challenger", sa.Integer),
        sa.Column("halt", sa.Boolean, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("line", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.UniqueConstraint("line", "digest", name="models_one_version_a_digest"),
    )
    _refuse_changes("results")
    _refuse_changes("events")


def _refuse_changes(table: str) -> None:
    says = f"{table} never change"
    if op.get_context().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(
                f"create trigger {table}_no_{verb} before {verb} on {table} begin select raise(abort, '{says}'); end"
            )
        return
    op.execute(
        f"create function {table}_refuse() returns trigger language plpgsql as "
        f"$$ begin raise exception '{says}' using errcode = 'restrict_violation'; end $$"
    )
    op.execute(
        f"create trigger {table}_no_change before update or delete or truncate on {table} "
        f"for each statement execute function {table}_refuse()"
    )
