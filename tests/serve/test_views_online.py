"""A line with a feature view online: requests name an entity, and what is logged is what training would have computed."""

import json
import os
import shlex
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from databases import at_postgres, share_features
from msgspec import structs
from shown_pages import pages_of

from linewright.capabilities.audit.render import features_text
from linewright.capabilities.evidence.operations import show
from linewright.capabilities.evidence.render import shown_text
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.feature_views.operations import audit_features, features
from linewright.capabilities.predictions.render import form_text
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.serving.changed_lines import Changes
from linewright.capabilities.serving.worker import Tending
from linewright.data.facts import MASK
from linewright.engine.inline import InlineEngine
from linewright.errors import RequestError, SpecError
from linewright.features.facts import FeatureAudit, FeatureDifference, FeaturesAudited
from linewright.features.spec import ViewSpec
from linewright.features.views.records import Records, aggregates_of, records_path
from linewright.features.views.windows import values_at
from linewright.line.factory import Factory
from linewright.line.file.view_file import parse_view, read_view
from linewright.line.personal import HiddenColumns, without_personal
from linewright.line.predict.example_request import curl
from linewright.line.predict.example_row import row_to_send, values_of_tests
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.record.registry import find_model
from linewright.line.release.view_maintenance import SAMPLE, audit_served_features, refresh_records
from linewright.line.runs.execute import execute_inline
from linewright.line.views.logged_features import audit_views
from linewright.line.views.read_events import read_events
from linewright.line.views.write_records import write_due, write_view
from linewright.model.facts import Package, Trained
from linewright.model.package.model import read_golden
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup.feature_lookup import ViewLookup
from linewright.serve.rows.lookup.newer_rows import entity_of
from linewright.store.clock import micros_of, now_utc, said, text_of
from linewright.store.pushed_rows import Columns, PushedRows
from linewright.watch.facts import Alerted, Cleared

LINE = "late"
CUSTOMERS, DAYS = 40, 40
VIEW = """\
view: customer
entity: customer_id
source: {push: payments, key: id, time: paid_at}
time: paid_at
deleted: gone
columns:
  amount_30d: sum(amount) over 30d
  payments_7d: count() over 7d
  shops_30d: distinct(shop) over 30d
  last_shop: last(shop)
  since_last: since()
"""
FILE = """\
line: late
sources: {orders: {file: orders.csv}}
table: {time: at}
features: [customer]
label: {column: late, positive: "yes"}
train: {task: binary, budget: quick}
"""
BUYER = """\
view: buyer
entity: [country, customer]
source: {file: paid.csv}
time: paid_at
known: loaded_at
key: id
columns: {total: sum(amount) over 300d, n: count() over 300d}
"""
PAID = [
    (1, "fr", 7, "2026-10-01", "2026-10-02", 10.0),
    (2, "fr", 7, "2026-10-01", "2026-10-02", 99.0),
    (2, "fr", 7, "2026-10-01", "2026-10-03", 2.5),
    (3, "de", 7, "2026-10-01", "2026-10-02", 1.0),
    (4, "de", 7, "2026-10-01", "2099-01-01", 4.5),
    (5, None, 7, "2026-10-01", "2026-10-02", 8.0),
]
NOW = datetime.fromisoformat(now_utc())
ROWS = "/v1/sources/payments/rows"


def payment(chance: np.random.Generator, number: int, moment: datetime, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "customer_id": f"c{chance.integers(CUSTOMERS)}",
        "paid_at": text_of(moment),
        "amount": float(chance.gamma(2.0, 20.0)),
        "shop": f"s{chance.integers(6)}",
        "gone": False,
        **more,
    }


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    root = tmp_path_factory.mktemp("views") / "factory"
    chance = np.random.default_rng(3)
    for folder in ("lines", "features"):
        (root / folder).mkdir(parents=True)
    (root / "features" / "customer.yaml").write_text(VIEW)
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    with Factory.create(root) as made:
        moments = iter([NOW - timedelta(days=DAYS - day) for day in range(DAYS)])
        pushed = PushedRows.of(made.state, "payments", now=lambda: text_of(next(moments)))
        pushed.open_for(Columns("id", "paid_at"))
        totals = np.zeros((DAYS, CUSTOMERS))
        number = 0
        for day in range(DAYS):
            sent = []
            for _ in range(50):
                number += 1
                sent.append(payment(chance, number, NOW - timedelta(days=DAYS - day, hours=1)))
                totals[day, int(sent[-1]["customer_id"][1:])] += sent[-1]["amount"]
            pushed.keep(to_new_rows(sent, pushed.columns))
        days, who = chance.integers(10, DAYS, 900), chance.integers(0, CUSTOMERS, 900)
        spent = np.array(
            [totals[max(0, day - 30) : day, one].sum() for day, one in zip(days, who, strict=True)]
        )
        pl.DataFrame(
            {
                "customer_id": [f"c{one}" for one in who],
                "at": [
                    text_of(NOW - timedelta(days=float(DAYS - day), minutes=-float(n) / 100))
                    for n, day in enumerate(days)
                ],
                "basket": chance.gamma(2.0, 10.0, 900).round(2),
                "late": np.where(spent + chance.normal(0, 200, 900) > np.median(spent), "yes", "no"),
            }
        ).write_csv(root / "orders.csv")
        execute_inline(made, LINE)
        yield made


@pytest.fixture(scope="module")
def served(factory: Factory, endpoint_at) -> Iterator[Any]:
    running = endpoint_at(factory.state)
    running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    yield running
    running.close()


@pytest.fixture(scope="module")
def pages(factory: Factory) -> Any:
    return pages_of(factory.root)


def asked(customer: str | None = "c1", **more: object) -> dict[str, object]:
    return {"customer_id": customer, "basket": 20.0, **more}


def package(factory: Factory) -> Package:
    return factory.metadata.get(find_model(factory, LINE).digest, Package)


def test_a_request_names_the_entity_and_the_log_has_what_was_known(factory, served):
    """The answer says how old that is, and which record it was; it is replayed to the bit, and audited."""
    one, absent = served.predict(asked(), asked("nobody"), line=LINE)["predictions"]
    logged = replay_prediction(factory, one["id"])

    assert {"amount_30d", "payments_7d", "shops_30d", "last_shop", "since_last"} <= logged.row.keys()
    assert logged.row["amount_30d"] > 0
    assert 0 == logged.difference
    assert 0 <= one["features"]["customer"]["age"] < 60
    assert one["features"]["customer"]["record"].startswith("sha256:")
    assert absent["features"]["customer"]["record"] is None
    assert replay_prediction(factory, absent["id"]).row["amount_30d"] is None
    assert (
        "features"
        not in served.predict(asked(**{k: logged.row[k] for k in ("amount_30d", "payments_7d")}), line=LINE)[
            "predictions"
        ][0]
    )


def test_a_prediction_leads_back_to_records_columns_of_sources_and_the_dataset(factory, served, pages):
    """Who doubts an answer asks what it came of."""
    one, absent, sent = served.predict(
        asked(), asked("nobody"), asked(amount_30d=5.0, payments_7d=1), line=LINE
    )["predictions"]
    lineage = show(factory, one["id"]).body["lineage"]
    by_column = {each["column"]: each for each in lineage["features"]}
    amount, basket = by_column["amount_30d"], by_column["basket"]
    of_absent, of_sent = (
        next(
            each
            for each in show(factory, told["id"]).body["lineage"]["features"]
            if each["column"] == "amount_30d"
        )
        for told in (absent, sent)
    )
    page = pages(f"/predictions/{one['id']}?line={LINE}").text

    assert "late@1" == lineage["model"]
    assert factory.metadata.get(package(factory).trained, Trained).dataset == lineage["dataset"]
    assert one["features"]["customer"]["record"] == amount["record"]
    assert pytest.approx(one["features"]["customer"]["age"], abs=0.001) == amount["age_s"]
    assert ("customer", "amount", "window", "sum(amount) over 30d") == tuple(amount["of"][0].values())
    assert {"customer_id", "paid_at", "known", "id", "gone"} == {each["column"] for each in amount["of"][1:]}
    assert "amount_30d" in amount["features"]
    assert ("", None, ({"source": "orders", "column": "basket", "how": "same", "says": ""},)) == (
        *(basket["view"], basket["record"], basket["of"]),
    )
    assert ("customer", None) == (of_absent["view"], of_absent["record"])
    assert ("", None) == (of_sent["view"], of_sent["age_s"])
    text = shown_text(show(factory, one["id"])).splitlines()
    heads = [number for number, each in enumerate(text) if each.startswith("feature view ")]
    ends = {each.split()[1]: each for each in text[heads[-1] + 1 :]}
    assert amount["record"][:19] in ends["amount_30d"] or amount["record"][7:19] in ends["amount_30d"]
    assert f"{amount['age_s']:,.1f} s" in ends["amount_30d"]
    assert said(amount["known"]) in ends["amount_30d"]
    assert "nothing known" in shown_text(show(factory, absent["id"]))
    assert "orders.basket" in page
    assert "nothing known" not in page


def test_the_command_to_paste_names_the_entity_and_no_column_of_the_view(factory, served, pages):
    """With these columns, made-up ones among them, nothing would be looked up."""
    (row,) = json.loads(shlex.split(curl(factory, LINE, served.address) or "")[-1])["rows"]
    (told,) = served.predict(row, line=LINE)["predictions"]
    form = {one.name: one for one in request_form(factory, LINE).fields}
    text = form_text(request_form(factory, LINE))
    schema = served.ask("GET", f"/v1/lines/{LINE}/schema")[2]
    page = pages(f"/lines/{LINE}/try").text

    assert {"customer_id", "basket", "at"} == row.keys()
    assert told["features"]["customer"]["record"] is not None
    assert row["customer_id"] == form["customer_id"].example
    assert ("customer",) == form["customer_id"].looks_up
    assert ("customer", None, False) == (
        form["amount_30d"].view,
        form["amount_30d"].example,
        form["amount_30d"].is_needed,
    )
    assert "feature view 'customer' is looked up by it" in text
    assert "of feature view 'customer', may be sent instead of being looked up" in text
    assert "is looked up by it" in schema["properties"]["customer_id"]["description"]
    assert "may be sent instead" in schema["properties"]["amount_30d"]["description"]
    assert "feature views are looked up by customer_id; leave them empty" in page
    assert "amount_30d of customer" in page
    assert not {"amount_30d", "since_last"} & set(schema["required"])


def test_an_example_has_the_entity_that_its_row_had(factory):
    """The model does not read it, so that it is not among the rows that came with the package."""
    found = package(factory)
    rows = read_golden(found, factory.artifacts.get).rows
    first = values_of_tests(factory, found, "customer_id", len(rows))[0]
    lost = structs.replace(found, trained="sha256:" + 64 * "0")

    assert not any("customer_id" in row for row in rows)
    assert {"customer_id": first, "basket": rows[0]["basket"]} == row_to_send(factory, found, rows)
    assert "example-1" == row_to_send(factory, lost, rows)["customer_id"]


def test_a_row_that_is_tried_gets_them_too(factory):
    """The console says what a request would get."""
    tried = try_row(factory, LINE, asked())

    assert tried.row["amount_30d"] > 0


def test_a_row_that_got_nothing_of_a_view_says_why_once(factory, served):
    """Whoever copied a value of the view, or misspelled a customer, would never learn of it."""
    rows = asked(), asked("nobody"), asked(None), asked(last_shop="s1")
    told = [one.get("warnings", []) for one in served.predict(*rows, line=LINE)["predictions"]]
    of_view = [[text for text in one if "customer'" in text] for one in told]
    said_of_columns = [text for text in told[1] if text.startswith(("last_shop", "amount_30d"))]

    assert [
        [],
        ["nothing is known of customer_id nobody in feature view 'customer' (view-absent)"],
        ["feature view 'customer' was not looked up, for the row has no 'customer_id'"],
        ["feature view 'customer' was not looked up, for the row has a value in 'last_shop' itself"],
    ] == of_view
    assert [] == said_of_columns
    assert of_view[3][0] == try_row(factory, LINE, asked(last_shop="s1")).warnings[0]


def test_the_document_has_what_answers_say_of_views(served):
    """Clients are generated from it."""
    schemas = served.ask("GET", "/openapi.json")[2]["components"]["schemas"]

    assert {"customer"} == set(schemas[f"{LINE}.Prediction"]["properties"]["features"]["properties"])


def test_records_of_a_file_are_what_its_rows_say_now(tmp_path):
    """Rows that are known later, corrected or without a customer count as for training."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "buyer.yaml").write_text(BUYER)
    pl.DataFrame(
        PAID, orient="row", schema=["id", "country", "customer", "paid_at", "loaded_at", "amount"]
    ).write_csv(tmp_path / "paid.csv")
    with Factory.create(tmp_path) as made:
        view = read_view(tmp_path, "buyer")
        facts = read_events(view, tmp_path, forgotten={}).facts
        write_view(made, facts)
        known = ViewLookup(made.state, facts)
        asked = ['["fr","7"]', '["de","7"]', None]
        found = [
            (columns["total"], columns["n"], one.record is None)
            for columns, one, _ in known.of(asked, now_utc())
        ]
        (tmp_path / "paid.csv").write_text((tmp_path / "paid.csv").read_text().replace("4.5", "a lot"))
        with pytest.raises(SpecError, match=r"buyer.yaml.*'amount'"):
            write_view(made, facts)

    assert [(12.5, 2, False), (1.0, 1, False), (None, None, True)] == found


KINDS: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (["a", " b ", None, "B"], ["c", " a", "", None]),
    "whole": ([1, 2, None, 3], [4, 2, None, 4]),
    "number": ([1.5, 2.0, None, 3], [3.0, 1, 7.25, 0.1]),
    "fractions_since": ([1, 2, None, 3], [4.5, 2.0, None, 1]),
    "truth": ([True, False, None, True], [True, None, False, False]),
    "digits": (["1", "2", None, "2"], ["3", "4", "2.0", None]),
    "codes": (["007", "012", None, "1a"], ["001", "7", "7", "1a"]),
}
TIMES = [
    "2026-11-01T00:00:00Z",
    "2026-11-01T02:00:00+02:00",
    "2026-11-01T00:00:01.5Z",
    "2026-11-01T00:00:02.000001+00:00",
]


@pytest.mark.parametrize("customers", [["a", "b"], [1, 2], [1.0, 2.5], ["01", "1"], [" a", "a "]], ids=repr)
def test_rows_that_are_sent_have_the_types_that_training_has_found(tmp_path, customers):
    """They are read one by one, and a source as a whole."""
    columns = {
        f"{name}_{short}": text.format(name)
        for name in KINDS
        for short, text in (("d", "distinct({}) over 900d"), ("l", "last({})"), ("c", "count({}) over 900d"))
    } | {f"{name}_s": f"sum({name}) over 900d" for name in ("whole", "number", "fractions_since")}
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "v.yaml").write_text(
        f"view: v\nentity: e\nsource: {{push: p, key: id, time: at}}\ntime: at\ncolumns: {json.dumps(columns)}\n"
    )
    with Factory.create(tmp_path) as made:
        pushed = PushedRows.of(made.state, "p")
        pushed.open_for(Columns("id", "at"))
        for part in (0, 1):
            rows = [
                {"id": 8 * part + n, "e": customers[n % 2], "at": TIMES[n % 4]}
                | {name: values[part][(n + n // 4) % 4] for name, values in KINDS.items()}
                for n in range(8)
            ]
            pushed.keep(to_new_rows(rows, pushed.columns))
            if not part:
                facts = read_events(read_view(tmp_path, "v"), tmp_path, forgotten={}).facts
                write_view(made, facts)
        time.sleep(0.01)
        known, now = ViewLookup(made.state, facts), now_utc()
        asked = list(dict.fromkeys(entity_of({"e": one}, ["e"]) for one in customers))
        online = [columns for columns, _, _ in known.of(asked, now)]
        read = read_events(ViewSpec.of(facts, read_view(tmp_path, "v")), tmp_path, forgotten={})
        numbers = read.numbers_of(pl.DataFrame({"e": asked}, schema={"e": pl.String}))
        moments = np.full(len(asked), micros_of(now), dtype=np.int64)
        found = values_at(read.events, read.events.slices(numbers), moments, aggregates_of(facts))
        offline = [{name: column.to_list()[n] for name, column in found.items()} for n in range(len(asked))]

    assert offline == online


def test_tensors_name_the_entity_too(served):
    """Parameters of the answer say what its rows got."""
    tensors = [
        {"name": "customer_id", "shape": [2], "datatype": "BYTES", "data": ["c1", "c2"]},
        {"name": "basket", "shape": [2], "datatype": "FP64", "data": [20.0, 20.0]},
    ]
    status, _, answer = served.ask("POST", f"/v2/models/{LINE}/infer", {"inputs": tensors})
    plain = served.predict(asked(), line=LINE)["predictions"][0]

    assert 200 == status, answer
    assert (
        plain["features"]["customer"]["record"] == answer["parameters"]["features"][0]["customer"]["record"]
    )


def test_a_row_that_is_sent_counts_within_a_second(factory, served):
    """It need not wait for the next file of records."""
    before = replay_prediction(factory, served.predict(asked("c2"), line=LINE)["predictions"][0]["id"]).row
    sent = {
        "id": 100_000,
        "customer_id": "c2",
        "paid_at": now_utc(),
        "amount": 1000.0,
        "shop": "new",
        "gone": False,
    }
    begun = time.monotonic()
    status, _, told = served.ask("POST", ROWS, {"rows": [sent]})
    assert (200, ["customer"]) == (status, told["counts_in"])

    def row() -> dict[str, Any]:
        return replay_prediction(factory, served.predict(asked("c2"), line=LINE)["predictions"][0]["id"]).row

    served.wait_for(lambda: row()["payments_7d"] == before["payments_7d"] + 1, within_s=5)
    assert time.monotonic() - begun < 5
    after = row()
    assert "new" == after["last_shop"]
    assert after["since_last"] < 10 < before["since_last"]


def test_what_one_machine_is_sent_counts_on_each(factory, tmp_path, postgres, monkeypatch, endpoint_at):
    """They share the database alone: the second one has neither records nor rows of its own, and what both log is what the source says."""
    left_out = shutil.ignore_patterns("log", "shared", "endpoint*")
    roots = [tmp_path / name for name in ("a", "b")]
    for root in roots:
        shutil.copytree(factory.root, root, ignore=left_out)
        share_features(root)
    for folder in ("views", "push"):
        shutil.rmtree(roots[1] / ".linewright" / folder)
    facts = package(factory).views[0]
    with ExitStack() as stack:
        stack.enter_context(at_postgres(postgres, monkeypatch))
        machines = [stack.enter_context(Factory.open(root)) for root in roots]
        write_view(machines[0], facts)
        endpoints = [stack.enter_context(closing(endpoint_at(one.state))) for one in machines]

        def looked_up(place: int) -> dict[str, Any]:
            return endpoints[place].predict(asked("c4"), line=LINE)["predictions"][0]["features"]["customer"]

        for one in endpoints:
            one.wait_for(lambda one=one: one.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
        first = [looked_up(place)["record"] for place in (0, 1)]
        for sent_to in (1, 0):
            before = looked_up(sent_to)["record"]
            row = payment(np.random.default_rng(sent_to), 500_000 + sent_to, NOW, customer_id="c4")
            assert 200 == endpoints[sent_to].ask("POST", ROWS, {"rows": [row]})[0]
            for place in (0, 1):
                endpoints[place].wait_for(
                    lambda place=place, before=before: looked_up(place)["record"] != before, within_s=5
                )
        records = [looked_up(place)["record"] for place in (0, 1)]
        write_view(machines[1], facts)
        endpoints[0].wait_for(
            lambda: (
                Records(records_path(machines[0].state, facts)).header.known
                == Records(records_path(machines[1].state, facts)).header.known
            ),
            within_s=5,
        )
        records += [looked_up(place)["record"] for place in (0, 1)]
        audits = [audit_views(one, LINE, sample=1000) for one in machines]

    assert first[0] == first[1] != records[0]
    assert 1 == len(set(records))
    for audited in audits:
        assert audited.rows > 5
        assert (0, ()) == (audited.differ, audited.first)


def test_all_that_is_logged_under_pushes_and_newer_files_is_what_the_sources_say(factory, served):
    """Answers come from records, rows that came since, corrections and deletions, while files replace each other."""
    done, chance = threading.Event(), np.random.default_rng(8)
    failed: list[object] = []
    facts = package(factory).views[0]

    def push() -> None:
        client, number = served.__class__.__new__(served.__class__), 200_000
        client.__dict__ |= {"address": served.address, "connection": None, "source": None, "used": 0.0}
        while not done.wait(0.01):
            number += 1
            which = number if chance.random() < 0.7 else int(chance.integers(200_000, number + 1))
            row = payment(chance, which, datetime.fromisoformat(now_utc()), gone=bool(chance.random() < 0.1))
            status, _, answer = client.ask("POST", ROWS, {"rows": [row]})
            if status != 200:
                failed.append(answer)
        client.hang_up()

    def write() -> None:
        with Factory.open(factory.root) as mine:
            while not done.wait(0.3):
                write_view(mine, facts)

    threads = [threading.Thread(target=push), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    known = set[str]()
    try:
        for _ in range(300):
            rows = [asked(f"c{chance.integers(CUSTOMERS + 1)}") for _ in range(10)]
            answer = served.predict(*rows, line=LINE)["predictions"]
            known |= {one["features"]["customer"]["record"] for one in answer}
    finally:
        done.set()
        for thread in threads:
            thread.join()
    audited = audit_views(factory, LINE, sample=10_000)

    assert [] == failed
    assert audited.rows >= 3000
    assert len(known) > CUSTOMERS
    assert (0, (), 0) == (audited.differ, audited.first, audited.exit_code)
    assert audited.values >= 5 * audited.rows


def test_a_value_that_differs_is_named(factory, served):
    """Here the source has lost a row that counted."""
    answered = served.predict(asked("c3"), line=LINE)["predictions"][0]
    pushed = factory.state / "push" / "payments.sqlite"
    with sqlite3.connect(pushed) as database:
        database.execute(
            "CREATE TEMP TABLE held AS SELECT * FROM rows WHERE row LIKE '%\"c3\"%' AND seq > 1500"
        )
        database.execute("DELETE FROM rows WHERE seq IN (SELECT seq FROM held)")
        database.commit()
        before = factory.metadata.events(FeaturesAudited, line=LINE)
        audited = audit_features(factory, LINE, sample=5)
        after_few = factory.metadata.events(FeaturesAudited, line=LINE)
        recorded = audit_features(factory, LINE, sample=SAMPLE)
        (use,) = features(factory, "customer").views[0].used_by
        alert, _ = audit_served_features(factory, LINE)
        again, _ = audit_served_features(factory, LINE)
        database.execute("INSERT INTO rows SELECT * FROM held")

    assert before == after_few
    assert use.audited is not None
    assert (recorded.rows, recorded.differ) == (use.audited.rows, use.audited.differ)
    assert recorded.differ
    assert isinstance(alert, Alerted)
    assert "are not those that the sources say" in alert.because
    assert not any(
        repr(value) in alert.because for value in (audited.first[0].logged, audited.first[0].computed)
    )
    assert again is None
    assert isinstance(audit_served_features(factory, LINE)[0], Cleared)
    assert [] == open_alerts(factory, LINE)
    assert 4 == audited.exit_code
    assert "rows differ" in features_text(audited)
    assert answered["id"] in {one.id for one in audited.first}
    assert "amount_30d" in {one.column for one in audited.first}
    assert 0 == audit_views(factory, LINE, sample=5).differ


def test_an_audit_hides_the_values_of_personal_columns():
    """Rows may be seen by more people than these columns of them."""
    one, other = (
        FeatureDifference(id="p", at=now_utc(), view="customer", column=column, logged="s1", computed="s2")
        for column in ("last_shop", "amount_30d")
    )
    audited = FeatureAudit(line=LINE, rows=1, values=2, differ=1, behind=0, first=(one, other))
    shown = without_personal(audited, HiddenColumns(frozenset({"last_shop"}), frozenset()))

    assert ((MASK, MASK), ("s1", "s2")) == tuple((each.logged, each.computed) for each in shown.first)


def test_the_worker_writes_records_when_they_are_due(factory):
    """A view that changes for a newer model has another file beside this one."""
    facts = package(factory).views[0]
    path = records_path(factory.state, facts)
    path.unlink()
    old, cut_off = (path.with_name(name) for name in ("customer-0123456789ab.records", f".{path.name}.123"))
    for one in (old, cut_off):
        one.write_bytes(b"")
        os.utime(one, (0, 0))
    due = refresh_records(factory, LINE)
    first = Records(path).header.known

    assert not old.exists()
    assert not cut_off.exists()
    assert due is not None
    assert due > factory.now()
    assert due == write_due(factory, [facts])
    assert first == Records(path).header.known


def test_settings_of_a_view_that_no_model_learns_count_at_once(factory):
    """Who changes `max_age` in the file would wait for the next run, and not know of it."""
    facts, file = package(factory).views[0], factory.root / "features" / "customer.yaml"
    path = records_path(factory.state, facts)
    before = Records(path).header
    changes = Changes(factory)
    changes.look()
    try:
        file.write_text(VIEW + "max_age: 6h\notherwise: refuse\nevery: 2h\n")
        assert "settings" in {one.kind for one in features(factory).views[0].problems}
        assert "views" in changes.look()[LINE]
        due = refresh_records(factory, LINE)
        after = Records(path).header
        assert () == features(factory).views[0].problems
    finally:
        file.write_text(VIEW)
    refresh_records(factory, LINE)

    assert (None, "answer") == (before.max_age, before.otherwise)
    assert (6 * 3600 * 10**6, "refuse") == (after.max_age, after.otherwise)
    assert micros_of(str(due)) == after.known + 2 * 3600 * 10**6
    assert "answer" == Records(path).header.otherwise


def test_up_writes_records_and_audits_logged_rows(factory, capfd):
    """Nobody has to think of it."""
    path = records_path(factory.state, package(factory).views[0])
    path.unlink()
    tending = Tending(lambda: Factory.open(factory.root), InlineEngine({}), every_s=0.01)
    with closing(tending):
        until = time.monotonic() + 20
        while not (path.exists() and tending.audit_at.get(LINE)):
            assert time.monotonic() < until
            time.sleep(0.02)

    assert "is not looked after" not in capfd.readouterr().err


def test_rows_are_known_when_they_came():
    """A time that a sender claims would count for requests before it came."""
    with pytest.raises(RequestError, match="known when they came"):
        parse_view(VIEW + "known: paid_at\n", name="features/customer.yaml", view="customer")
