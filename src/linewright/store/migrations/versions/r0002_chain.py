"""Events become a chain; those that are there are chained in their order."""

import sqlalchemy as sa
from alembic import op

from linewright.store.chain import ROOT, link

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 1000
_events = sa.table("events", *map(sa.column, ("seq", "kind", "line", "at", "by", "because", "body", "chain")))


def upgrade() -> None:
    """Give each event its digest, and keep the end of the chain."""
    heads = op.create_table(
        "heads",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.add_column("events", sa.Column("chain", sa.Text, nullable=False, server_default=""))
    _allow_changes()
    entries, digest = _fill()
    _refuse_changes()
    op.get_bind().execute(sa.insert(heads).values(name="events", entries=entries, digest=digest))


def _fill() -> tuple[int, str]:
    connection = op.get_bind()
    entries, before, seq = 0, ROOT, 0
    query = sa.select(_events).order_by(_events.c.seq).limit(_BATCH)
    change = sa.update(_events).where(_events.c.seq == sa.bindparam("at_seq"))
    while rows := connection.execute(query.where(_events.c.seq > seq)).mappings().all():
        for row in rows:
            parts = {name: row[name] for name in ("kind", "line", "at", "by", "because", "body")}
            before, seq, entries = link(before, **parts), row["seq"], entries + 1
            connection.execute(change.values(chain=before), {"at_seq": seq})
    return entries, before


def _allow_changes() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("drop trigger events_no_update")
    else:
        op.execute("alter table events disable trigger events_no_change")


def _refuse_changes() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            "create trigger events_no_update before update on events "
            "begin select raise(abort, 'events never change'); end"
        )
    else:
        op.execute("alter table events enable trigger events_no_change")
