"""Feature views whose source is read incrementally: they know each version of a row from when it was known."""

import csv
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from databases import Server, allow, at_postgres
from msgspec.structs import replace

from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.sources.operations import reconcile
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, SourceHistory
from linewright.data.history.versions import HistoryStore, read_versions
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.file.view_file import read_view
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.views.logged_features import audit_views
from linewright.line.views.read_events import read_events
from linewright.line.views.sources import open_view
from linewright.line.views.write_records import write_view
from linewright.model.facts import Package
from linewright.serve.facts import LoggedLookup
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup.feature_lookup import ViewLookup
from linewright.store.clock import micros_of, text_of, uuid7
from linewright.store.pushed_rows import PushedRows

SQL = 'sql: "select * from payments", at: env:TEST_DB, key: id, cursor: updated_at'
VIEW = f"""
view: paid
entity: customer
source: {{{SQL}}}
time: paid_at
columns: {{amount: sum(amount) over 90d, payments: count() over 90d}}
"""
LINE = """
line: orders
sources: {orders: {file: orders.csv}}
table: {key: order, time: at}
features: [paid]
label: {column: late, positive: "yes"}
train: {budget: quick}
"""
START = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """A clock that a test sets: days since the start."""

    day = 0

    def __call__(self) -> str:
        return text_of(START + timedelta(days=self.day))


@pytest.fixture
def payments(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with at_postgres(postgres, monkeypatch) as database:
        database.execute(
            "create table payments (id int primary key, customer text, amount int, paid_at timestamptz, updated_at timestamptz)"
        )
        database.execute(
            "insert into payments select i, 'C' || i % 20, 100, '2026-02-20Z', now() - i * interval '1 hour' from generate_series(1, 100) as i"
        )
        yield database


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def factory(payments: psycopg.Connection, tmp_path: Path, clock: Clock) -> Iterator[Factory]:
    """Orders of customers, of each one on day 2 and one on day 20."""
    del payments
    with Factory.create(tmp_path, now=clock) as made:
        allow(tmp_path)
        (tmp_path / "features").mkdir()
        (tmp_path / "features" / "paid.yaml").write_text(VIEW)
        (tmp_path / "lines" / "orders.yaml").write_text(LINE)
        with (tmp_path / "orders.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["order", "customer", "at", "basket", "late"])
            for number in range(240):
                at = START + timedelta(days=20 if number % 2 else 2, minutes=number)
                basket = number * 7919 % 101
                late = "yes" if basket + number % 20 > 55 else "no"
                rows.writerow([f"O{number}", f"C{number // 2 % 20}", f"{at:%Y-%m-%d %H:%M:%S}", basket, late])
        yield made


def amounts(factory: Factory, run: RunResult) -> dict[tuple[str, int], int | None]:
    """Return the amount of each customer in the rows of each day."""
    dataset = factory.metadata.get(run.dataset, Dataset)
    rows = read_dataset(dataset, factory.artifacts, factory.metadata)
    found = {(row["customer"], row["at"].day - 1): row["amount"] for row in rows.iter_rows(named=True)}
    assert all(
        found[row["customer"], row["at"].day - 1] == row["amount"] for row in rows.iter_rows(named=True)
    )
    return found


def test_corrections_and_deletions_count_from_when_they_were_known(
    factory: Factory, payments: psycopg.Connection, clock: Clock
) -> None:
    """A training row at T keeps what was known at T, whatever is corrected and deleted later; a later one does not."""
    first = amounts(factory, execute_inline(factory, "orders"))
    clock.day = 5
    payments.execute(
        "update payments set amount = 1000, updated_at = now() where id = 1"
    )  # of C1, the cursor shows it
    payments.execute("update payments set amount = 0 where id = 2")  # of C2, it does not
    payments.execute("delete from payments where id = 3")  # of C3

    found = reconcile(factory, "orders", repair=True).sources

    assert ["view:paid"] == [one.source for one in found]
    assert (("2",), ("3",)) == (found[0].changed.keys, found[0].deleted.keys)

    after = amounts(factory, execute_inline(factory, "orders"))

    assert {500} == set(first.values())
    assert {500} == {amount for (_, day), amount in after.items() if day == 2}
    late = {customer: amount for (customer, day), amount in after.items() if day == 20}
    assert {"C1": 1400, "C2": 400, "C3": 400} == {
        one: amount for one, amount in late.items() if amount != 500
    }
    assert (400, 500) == (late["C3"], late["C4"])


def test_a_correction_is_not_known_before_it_was_read(
    factory: Factory, payments: psycopg.Connection, clock: Clock
) -> None:
    """Where the source has a column of when a row came, a corrected row has the same value there as before."""
    view = factory.root / "features" / "paid.yaml"
    payments.execute("alter table payments add column loaded timestamptz default '2026-02-21Z'")
    view.write_text(VIEW.replace("cursor: updated_at", "cursor: updated_at, known: loaded"))
    execute_inline(factory, "orders")
    clock.day = 5
    payments.execute("update payments set amount = 1000, updated_at = now() where id = 1")
    payments.execute("update payments set amount = 0 where id = 2")
    payments.execute("insert into payments values (101, 'C4', 7, '2026-02-20Z', now(), '2026-02-22Z')")
    reconcile(factory, "orders", repair=True)

    after = amounts(factory, execute_inline(factory, "orders"))

    assert {"C4": 507} == {one: amount for (one, day), amount in after.items() if day == 2 and amount != 500}
    assert (1400, 400) == (after["C1", 20], after["C2", 20])


def test_a_plan_sees_what_is_new_and_keeps_nothing(
    factory: Factory, payments: psycopg.Connection, clock: Clock
) -> None:
    def plan() -> tuple[str, ...]:
        return tuple(one.step for one in make_plan(factory, factory.line("orders")).changes)

    def histories() -> int:
        return sum(kind == "source_history" for _, kind, _ in factory.metadata.results())

    assert 240 == check_line(factory, "orders").rows
    assert 0 == histories()
    execute_inline(factory, "orders")
    assert () == plan()
    for day, amount in ((5, 200), (6, 100)):  # back to what it was: between the two it was known otherwise
        clock.day = day
        payments.execute("update payments set amount = %s, updated_at = now() where id = 1", (amount,))
        kept, many = set(factory.artifacts.digests()), histories()

        assert "ingest" == plan()[0]
        assert plan() == plan()
        assert (kept, many) == (set(factory.artifacts.digests()), histories())

        execute_inline(factory, "orders")
        assert () == plan()

    collect(factory, grace_s=0, dry_run=False)

    assert not verify_factory(factory).problems
    assert () == plan()
    assert [102] == [sum(chunk.rows for chunk in newest(factory).chunks)]


def newest(factory: Factory) -> SourceHistory:
    found = [digest for digest, kind, _ in factory.metadata.results() if kind == "source_history"]
    return max((factory.metadata.get(one, SourceHistory) for one in found), key=lambda one: one.number)


def test_records_files_and_audits_have_the_rows_of_now(
    factory: Factory, payments: psycopg.Connection, clock: Clock
) -> None:
    """Who writes records for endpoints reads and keeps what is new; who computes features again keeps nothing."""
    payments.execute("update payments set amount = 10 * id")
    (factory.root / "features" / "paid.yaml").write_text(VIEW.replace("90d", "9000d"))
    execute_inline(factory, "orders")
    facts = factory.metadata.get(find_model(factory, "orders").digest, Package).views[0]
    before = newest(factory).number
    clock.day = 5
    payments.execute("update payments set amount = 1000, updated_at = now() where id = 1")
    seen = open_view(read_view(factory.root, "paid"), factory)

    assert 101 == sum(batch.frame.height for batch in seen.batches())
    assert before == newest(factory).number

    header = write_view(factory, facts)

    assert micros_of(clock()) == header.known
    assert before + 1 == newest(factory).number

    (factory.root / "ask.csv").write_text("order,customer,basket\nA,C1,5\nB,C2,5\n")
    predict_file(factory, "orders", factory.root / "ask.csv", factory.root / "answers.csv")
    batch = [one.record for one in read_log(factory.log_of("orders"))]
    looked, later = LoggedLookup(known=clock(), record=""), text_of(START + timedelta(days=7))

    # Of C1 are payments 1, 21, 41, 61 and 81.
    assert [3040, 2100] == [one.row["amount"] for one in batch]

    with closing(PredictionLog(factory.log_of("orders"))) as log:  # as an endpoint answers
        log.append(
            [
                replace(one, id=uuid7(), at=later, row={**one.row, "payments": 5}, features={"paid": looked})
                for one in batch
            ]
        )
    clock.day = 6
    payments.execute("update payments set amount = 2000, updated_at = now() where id = 1")
    audited = audit_views(factory, "orders", sample=10)

    # The record had 1,000 of payment 1, as had been known then.
    assert (2, 4, 0, 1) == (audited.rows, audited.values, audited.differ, audited.behind)
    assert before + 1 == newest(factory).number


def test_rows_that_are_sent_count_besides_versions(
    factory: Factory, payments: psycopg.Connection, clock: Clock
) -> None:
    """Those that were just read are in the records, one that was sent corrects its version, and is corrected by the next one."""
    (factory.root / "features" / "paid.yaml").write_text(VIEW + "push: payments\n")
    view, ticks = read_view(factory.root, "paid"), iter(range(10**6))
    facts = read_events(view, factory.root, source=open_view(view, factory), forgotten={}).facts
    with Factory.open(factory.root, now=lambda: text_of(START + timedelta(seconds=next(ticks)))) as running:
        write_view(running, facts)
    clock.day = 1
    pushed = PushedRows.of(factory.state, "payments", now=clock)
    rows = [
        {"id": key, "customer": "C1", "amount": amount, "paid_at": "2026-03-01T12:00:00Z"}
        for key, amount in ((1, 7), (500, 3))
    ]
    pushed.keep(to_new_rows(rows, pushed.columns))
    clock.day = 2

    def now() -> tuple[object, ...]:
        ((columns, *_),) = ViewLookup(factory.state, facts, now=clock).of(["C1"], clock())
        return columns["amount"], columns["payments"]

    # Of C1 are payments 1, 21, 41, 61 and 81, of 100 each.
    assert (410, 6) == now()
    payments.execute("update payments set amount = 1000, updated_at = now() where id = 1")
    with Factory.open(
        factory.root, now=lambda: text_of(START + timedelta(days=3, seconds=next(ticks)))
    ) as running:
        write_view(running, facts)
    clock.day = 4
    assert (1403, 6) == now()


@pytest.mark.parametrize("is_repair", [False, True], ids=["run", "repair"])
def test_rows_that_are_read_while_records_are_written_are_known_after_them(
    factory: Factory, payments: psycopg.Connection, clock: Clock, *, is_repair: bool
) -> None:
    """Who began to read before the records were written, and reads after it, brings rows that no endpoint knew: no alarm is due."""
    payments.execute("update payments set amount = 10 * id")
    (factory.root / "features" / "paid.yaml").write_text(VIEW.replace("90d", "9000d"))
    execute_inline(factory, "orders")
    facts = factory.metadata.get(find_model(factory, "orders").digest, Package).views[0]
    (factory.root / "ask.csv").write_text("order,customer,basket\nA,C1,5\n")
    predict_file(factory, "orders", factory.root / "ask.csv", factory.root / "answers.csv")
    (row,) = [one.record for one in read_log(factory.log_of("orders"))]
    clock.day = 5
    known = write_view(factory, facts).known  # nothing is new
    clock.day = 4  # the other one's clock as it begins
    payments.execute("update payments set amount = 1000, updated_at = now() where id = 1")
    if is_repair:
        reconcile(factory, "orders", repair=True)
    else:
        execute_inline(factory, "orders")
    looked, moment = (
        LoggedLookup(known=text_of(START + timedelta(days=5)), record=""),
        START + timedelta(days=7),
    )
    with closing(PredictionLog(factory.log_of("orders"))) as log:
        whole = {**row.row, "payments": 5}  # of all columns, as an endpoint gives them
        log.append([replace(row, id=uuid7(), at=text_of(moment), row=whole, features={"paid": looked})])

    audited = audit_views(factory, "orders", sample=10)

    assert micros_of(looked.known) == known
    assert (1, 0, 1) == (audited.rows, audited.differ, audited.behind)


def test_a_person_who_is_forgotten_is_in_no_version(factory: Factory) -> None:
    """Those of others whose payments have the number of the person's order stay."""
    file = factory.root / "lines" / "orders.yaml"
    file.write_text(file.read_text().replace("key: order", "key: order, subject: customer"))
    (factory.root / "features" / "paid.yaml").write_text(
        VIEW.replace("select *", r"""select *, 'O' || id as \"order\" """)
    )
    execute_inline(factory, "orders")
    forget(factory, "orders", "C7", dry_run=False)
    versions = pl.concat(read_versions(newest(factory), HistoryStore(factory.artifacts, factory.metadata)))

    assert {f"C{number}" for number in range(20)} - {"C7"} == set(versions["customer"])
    assert 95 == versions.height
    assert not verify_factory(factory).problems
