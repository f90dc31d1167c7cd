"""A person who is forgotten is gone from what only predictions read too, and predictions that are being made wait."""

import duckdb
import pytest
from small import LINE, make_factory

from linewright.capabilities.care.forget import forget
from linewright.capabilities.schedules.predictions import predict_job
from linewright.capabilities.schedules.undelivered import held_undelivered
from linewright.errors import Transient
from linewright.line.factory import Factory

JOB = """
predict:
  open:
    rows: {sql: select * from open_claims, at: env:SHOP, key: claim, cursor: changed}
    to: {file: "out/{line}-{at}.csv"}
  more: {rows: {file: more/rows.csv}, to: {file: out/more.csv}}
"""
HER = "QX7731-her"


@pytest.fixture
def factory(tmp_path_factory, tmp_path, monkeypatch):
    root = make_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("{key: claim}", "{key: claim, subject: claim}") + JOB)
    with duckdb.connect(root / "shop.duckdb") as database:
        database.execute(
            "create table open_claims (claim text, amount double, age double, changed timestamp)"
        )
        database.execute(
            "insert into open_claims values (?, 1, 30, '2026-01-01'), ('other', 2, 31, '2026-01-01')", [HER]
        )
    (root / "more").mkdir()
    (root / "more" / "rows.csv").write_text(f"claim,amount,age\n{HER},1,30\n")
    monkeypatch.setenv("SHOP", "duckdb:///shop.duckdb")
    with Factory.open(root) as factory:
        yield factory


def test_what_only_predictions_read_is_forgotten(factory):
    """Its history in the state and its answers go; files of the user's own are named."""
    for job in ("open", "more"):
        predict_job(factory, LINE, job)

    forgot = forget(factory, LINE, HER, dry_run=False)

    assert (forgot.predictions, forgot.left) == (2, ())
    history, more = sorted(forgot.outputs, key=lambda one: one.place)
    assert (more.place, more.rows, history.rows) == ("out/more.csv", 1, 1)
    assert history.place.startswith(f"out/{LINE}-")
    assert str(factory.root / "more" / "rows.csv") in forgot.sources


def test_nobody_is_forgotten_while_predictions_are_made(factory):
    """They would log and write the answers of that person afterwards."""
    with (
        held_undelivered(factory, LINE, "open"),
        pytest.raises(Transient, match="predictions are being made"),
    ):
        forget(factory, LINE, HER, dry_run=False)
