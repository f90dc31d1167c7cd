"""A line whose view is about pairs of columns and has sent rows besides its table, and one of facts without a time: from training to the audit."""

import json
import random
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shown_pages import pages_of

from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.predictions.render import form_text
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.sources.operations import sources
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.example_request import curl
from linewright.line.record.registry import find_model
from linewright.line.release.view_maintenance import refresh_records
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import plan_in_words
from linewright.line.views.logged_features import audit_views
from linewright.line.views.write_records import write_view
from linewright.model.facts import Package
from linewright.serve.log.segments import read_log
from linewright.store.clock import now_utc, text_of

LINE = "late"
PAID = """\
view: paid
entity: [customer, store]
source: {file: paid.csv}
push: payments
time: paid_at
known: loaded_at
key: id
columns: {total_30d: sum(amount) over 30d, last_method: last(method)}
"""
STORES = """\
view: stores
entity: store
source: {file: stores.csv}
time: none
columns: {size: last(size)}
"""
FILE = """\
line: late
sources: {orders: {file: orders.csv}}
table: {time: at}
features: [paid, stores]
label: {column: late, positive: "yes"}
train: {task: binary, budget: quick, folds: 2}
"""
NOW = datetime.fromisoformat(now_utc())


def at(days: float) -> str:
    return text_of(NOW - timedelta(days=days))


def write(path: Path, header: str, rows: list[tuple[Any, ...]]) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def make(root: Path) -> None:
    for folder in ("lines", "features"):
        (root / folder).mkdir(parents=True)
    (root / "features" / "paid.yaml").write_text(PAID)
    (root / "features" / "stores.yaml").write_text(STORES)
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    chance = random.Random(2)
    write(root / "stores.csv", "store,size", [(f"S{store}", 10 * store) for store in range(4)])
    paid, orders = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for number in range(900):
        days, customer = chance.uniform(1.2, 200), chance.randrange(8)
        amount = round(chance.expovariate(1 / (5 + 10 * customer)), 2)
        method = chance.choice(["card", "cash"])
        paid.append((number, customer, f"S{chance.randrange(4)}", at(days), at(days - 1), amount, method))
    for _ in range(300):
        customer, store, days = chance.randrange(9), chance.randrange(4), chance.uniform(1, 160)
        late = "yes" if customer + store + chance.gauss(0, 1) > 5 else "no"
        orders.append((customer, f"S{store}", at(days), round(chance.uniform(5, 90), 2), late))
    write(root / "paid.csv", "id,customer,store,paid_at,loaded_at,amount,method", paid)
    write(root / "orders.csv", "customer,store,at,basket,late", orders)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    root = tmp_path_factory.mktemp("pairs") / "factory"
    make(root)
    with Factory.create(root) as made:
        execute_inline(made, LINE)
        yield made


@pytest.fixture(scope="module")
def served(factory: Factory, endpoint_at) -> Iterator[Any]:
    running = endpoint_at(factory.state)
    running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    yield running
    running.close()


def asked(customer: object = 3, store: object = "S1", **more: object) -> dict[str, object]:
    return {"customer": customer, "store": store, "basket": 20.0, **more}


def test_a_request_names_all_columns_of_the_pair(factory, served):
    """The form, the example, the console and the answer say of which."""
    (row,) = json.loads(shlex.split(curl(factory, LINE, served.address) or "")[-1])["rows"]
    fields = {one.name: one for one in request_form(factory, LINE).fields}
    (answer,) = served.predict(row, line=LINE)["predictions"]

    assert {"customer", "store", "basket", "at"} == row.keys()
    assert None not in {one["record"] for one in answer["features"].values()}
    assert [("paid",), ("paid", "stores")] == [fields[name].looks_up for name in ("customer", "store")]
    assert "feature view 'paid' is looked up by it" in form_text(request_form(factory, LINE))
    assert (
        "feature views are looked up by customer, store; leave them empty"
        in pages_of(factory.root)(f"/lines/{LINE}/try").text
    )
    assert row["customer"] == fields["customer"].example
    assert try_row(factory, LINE, asked()).row["total_30d"] is not None


def test_a_row_that_lacks_one_column_of_the_pair_says_so(served):
    (warned,) = (one["warnings"] for one in served.predict(asked(store=None), line=LINE)["predictions"])

    assert "feature view 'paid' was not looked up, for the row has no 'store'" in warned
    (unknown,) = (one["warnings"] for one in served.predict(asked(99, "S1"), line=LINE)["predictions"])
    assert "nothing is known of customer 99, store S1 in feature view 'paid' (view-absent)" in unknown


def test_what_is_sent_today_and_loaded_tonight_counts_once_and_the_audit_agrees(factory, served):
    """The table then has rows that records made before did not know; answers of then stay right."""
    facts = next(
        one
        for one in factory.metadata.get(find_model(factory, LINE).digest, Package).views
        if one.view == "paid"
    )

    def row() -> dict[str, Any]:
        (one,) = served.predict(asked(), line=LINE)["predictions"]
        return replay_prediction(factory, one["id"]).row

    before = row()
    sent = {
        "id": 5_000,
        "customer": 3,
        "store": "S1",
        "paid_at": now_utc(),
        "amount": 1000.0,
        "method": "wire",
    }
    assert 200 == served.ask("POST", "/v1/sources/payments/rows", {"rows": [sent]})[0]
    served.wait_for(lambda: row()["last_method"] == "wire", within_s=5)
    assert pytest.approx(before["total_30d"] + 1000) == row()["total_30d"]
    with (factory.root / "paid.csv").open("a") as file:
        file.write(f"5000,3,S1,{sent['paid_at']},{now_utc()},1000.0,wire\n")
        file.write(f"5001,3,S1,{sent['paid_at']},{now_utc()},7.0,cash\n")
    served.predict(asked(), line=LINE)
    first = audit_views(factory, LINE, sample=1000)
    write_view(factory, facts)
    served.wait_for(lambda: row()["last_method"] == "cash", within_s=5)
    assert pytest.approx(before["total_30d"] + 1007) == row()["total_30d"]
    second = audit_views(factory, LINE, sample=1000)

    assert [(0, ()), (0, ())] == [(one.differ, one.first) for one in (first, second)]
    assert 0 < first.behind < first.rows < second.rows
    logged = [one.record for one in read_log(factory.log_of(LINE)) if one.record.features]
    assert {True, False} == {one.features["paid"].table == logged[0].features["paid"].table for one in logged}


def test_a_plan_says_that_rows_were_sent_and_sources_lists_them(factory, served):
    sent = {"id": 6_000, "customer": 9, "store": "S2", "paid_at": now_utc(), "amount": 1.0, "method": "cash"}
    assert 200 == served.ask("POST", "/v1/sources/payments/rows", {"rows": [sent]})[0]
    (change,) = [one for one in make_plan(factory, factory.line(LINE)).changes if one.step == "ingest"]
    listed = [(one.name, one.kind, one.rows) for one in sources(factory, LINE).sources if one.view]

    assert "sent:paid" in {one.name for one in change.reason.inputs}
    assert "what was sent to feature view 'paid'" in plan_in_words(make_plan(factory, factory.line(LINE)))
    assert [("paid", "file", 900), ("paid", "push", None), ("stores", "file", 4)] == listed
    assert refresh_records(factory, LINE) is not None


def test_a_file_of_rows_gets_the_columns_of_the_pair(factory):
    lines = (factory.root / "orders.csv").read_text().splitlines()[:20]
    (factory.root / "ask.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    before = sum(1 for _ in read_log(factory.log_of(LINE)))
    predict_file(factory, LINE, factory.root / "ask.csv", factory.root / "answers.csv")
    rows = [one.record.row for one in read_log(factory.log_of(LINE))][before:]

    assert 19 == len(rows)
    assert any(row["total_30d"] for row in rows)
