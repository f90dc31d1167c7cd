"""Events come chained or not at all: a process of an older Linewright, still at work, would append others."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SAYS = "a newer Linewright has upgraded this factory: stop this process and start it anew"


def upgrade() -> None:
    """Refuse events without a digest; those that came so before stay, and `verify` tells them."""
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            "create trigger events_only_chained before insert on events when new.chain = '' "
            f"begin select raise(abort, '{_SAYS}'); end"
        )
        return
    op.execute(
        "create function events_refuse_unchained() returns trigger language plpgsql as "
        f"$$ begin raise exception '{_SAYS}' using errcode = 'restrict_violation'; end $$"
    )
    op.execute(
        "create trigger events_only_chained before insert on events for each row when (new.chain = '') "
        "execute function events_refuse_unchained()"
    )
