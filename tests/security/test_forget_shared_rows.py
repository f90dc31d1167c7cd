"""A person is forgotten in rows that were sent and that machines share in a PostgreSQL database, as in those of one machine."""

import json

import pytest
from databases import at_postgres, share_features
from every_state import HER, LATER, LINE, SOURCE, make_every_state, send, sent_rows

from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.verify import verify_factory
from linewright.line.factory import Factory
from linewright.store.pushed_rows import Columns, PushedRows


@pytest.fixture
def database(postgres, monkeypatch):
    with at_postgres(postgres, monkeypatch) as connection:
        yield connection


def test_rows_of_an_own_source_that_machines_share_go_by_person_and_by_key(
    tmp_path_factory, tmp_path, database
):
    """Rows of an own source count by their keys too; those of others stay, as does what this machine had before it shared."""
    root = make_every_state(tmp_path_factory, tmp_path / "factory")
    share_features(root)
    theirs = [row for row in sent_rows() if row["person"] == LATER]
    by_key = {**theirs[0], "person": "person-90001", "age": 99.0}
    others = [row for row in sent_rows() if row["person"] not in {HER, LATER}][:5]
    with Factory.open(root) as factory:
        PushedRows.of(factory.state, SOURCE).open_for(Columns("claim"))
        send(factory, [*theirs, *others])
        send(factory, [by_key])
        would = forget(factory, LINE, LATER, dry_run=True)

        gone = forget(factory, LINE, LATER, dry_run=False)

        problems = verify_factory(factory).problems
    rows = database.execute("select cast(row as text) from linewright.rows").fetchall()
    left = [json.loads(row)["claim"] for (row,) in rows]

    assert (gone.sent, would.sent) == (2 * len(theirs) + 1, 2 * len(theirs) + 1)
    assert {row["claim"] for row in others} <= set(left)
    assert not {row["claim"] for row in theirs} & set(left)
    assert (gone.left, problems) == ((), ())
