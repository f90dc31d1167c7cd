"""What it costs a request to get the columns of a feature view, and whether logged rows have what training would have computed.

    python benchmarks/feature_lookup.py [--entities 1000000] [--logged 100000]

First, 100 entities of a million records at once, in this process; the same on a machine that gets the records by a PostgreSQL, with the time
until rows that one machine keeps count on another. Then an endpoint of two processes answers and logs rows of a line with a view, while
payments come, are corrected and deleted, and newer files of records replace each other; their columns are computed again from the source, as
`linewright audit features` does, and compared bit by bit.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from time import process_time_ns, thread_time_ns

import numpy as np
from msgspec import structs

from linewright.client import Client
from linewright.features.facts import FeatureAudit, ViewColumn, ViewFacts, ViewInput
from linewright.features.views.records import (
    KEY,
    RecordsHeader,
    aggregates_of,
    records_path,
    write_records,
)
from linewright.features.views.windows import Values, events_of
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.views.logged_features import audit_views
from linewright.line.views.write_records import write_view
from linewright.model.facts import Package
from linewright.serve.listener import endpoint
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup, ViewLookup
from linewright.store.clock import instant_of, now_utc, text_of
from linewright.store.pushed_rows import Columns, PushedRows
from linewright.store.shared_features import shared_features

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from databases import postgres_server, share_features

DAY = 86_400 * 10**6
NOW = 1_780_000_000 * 10**6
MANY = 200_000
"""Number of the first payment that comes while rows are asked for."""
FACTS = ViewFacts(
    view="customer_30d",
    entity=("customer_id",),
    columns=tuple(
        ViewColumn(name=f"c{number}", text=text, type="number")
        for number, text in enumerate(
            (
                "sum(amount) over 30d",
                "count() over 7d",
                "mean(amount) over 30d",
                "max(amount) over 30d",
                "last(amount)",
                "since()",
            )
        )
    ),
    inputs=(ViewInput(name="amount", type="number"),),
    time="paid_at",
)


def write(state: Path, entities: int, events: int) -> Path:
    """Write the records of customers who pay some times a month, on all machines if the factory names a store."""
    chance = np.random.default_rng(5)
    many = entities * events
    made = events_of(
        entity=chance.integers(0, entities, many),
        time=NOW - chance.integers(0, 60 * DAY, many),
        known=np.full(many, NOW - DAY),
        columns={"amount": Values(kind="number", numbers=chance.gamma(2.0, 20.0, many))},
        entities=entities,
    )
    header = RecordsHeader(facts=FACTS, known=NOW, words=((),), entities=entities, has_keys=False)
    path, store = records_path(state, FACTS), shared_features(state)
    share = None if store is None else partial(store.publish, path.name, NOW)
    write_records(path, header, made, [str(number) for number in range(entities)], share=share)
    return path


def lookups(state: Path, asked: int, requests: int, entities: int) -> list[float]:
    """Return the processor time of each request, in microseconds."""
    view, chance, now = ViewLookup(state, FACTS), random.Random(5), instant_of(NOW)  # noqa: S311
    view.refresh()
    took: list[float] = []
    for _ in range(requests):
        keys = [str(chance.randrange(entities)) for _ in range(asked)]
        begun = thread_time_ns()
        found = list(view.of(keys, now))
        took.append((thread_time_ns() - begun) / 1e3)
        assert len(found) == asked
    return sorted(took)


def shared(folder: Path, entities: int, events: int) -> Path:
    """Write records on one machine and read them on another; return the state folder of that one."""
    here, there = (folder / name / ".linewright" for name in ("a", "b"))
    for state in (here, there):
        share_features(state.parent)
    begun = time.perf_counter(), process_time_ns()
    path = write(here, entities, events)
    store = shared_features(there)
    assert store is not None
    written = time.perf_counter(), process_time_ns()
    store.fetch(records_path(there, FACTS), since=-1)
    fetched = time.perf_counter(), process_time_ns()
    assert path.read_bytes() == records_path(there, FACTS).read_bytes()
    for what, first, then in (("written", begun, written), ("fetched", written, fetched)):
        clock, cpu = then[0] - first[0], (then[1] - first[1]) / 1e9
        print(f"by PostgreSQL: {what} in {clock:.1f} s, {cpu:.1f} s of processor time of ours")
    return there


def until_known(here: Path, there: Path, rows: int) -> list[float]:
    """Return how long it took, in seconds, until each row that one machine kept counted on the other."""
    facts = structs.replace(FACTS, view="pushed", key="id")
    pushed = PushedRows.of(here, "payments")
    pushed.open_for(Columns("id", "paid_at"))
    known, path, store = pushed.moment(), records_path(here, facts), shared_features(here)
    assert store is not None
    none = np.empty(0, dtype=np.int64)
    empty = {name: Values.of([], "number" if name == "amount" else "category") for name in ("amount", KEY)}
    header = RecordsHeader(facts=facts, known=known, words=((),), entities=0, has_keys=True, push="payments")
    made = events_of(entity=none, time=none, known=none, columns=empty)
    write_records(path, header, made, [], share=partial(store.publish, path.name, known))
    views, took = FeatureLookup(there), list[float]()
    for number in range(rows):
        row = {"id": number, "customer_id": f"c{number}", "paid_at": now_utc(), "amount": 1.5}
        pushed.keep(to_new_rows([row], pushed.columns))
        begun = time.perf_counter()
        views.refresh([facts]) if not number else None
        while next(iter(views.of(facts).of([f"c{number}"], now_utc())))[1].record is None:
            time.sleep(0.005)
        took.append(time.perf_counter() - begun)
    views.close()
    return sorted(took)


VIEW = """\
view: customer
entity: customer_id
source: {push: payments, key: id, time: paid_at}
time: paid_at
deleted: gone
columns: {amount_30d: sum(amount) over 30d, payments_7d: count() over 7d, shops_30d: distinct(shop) over 30d, last_shop: last(shop), since_last: since()}
"""
LINE = """\
line: late
sources: {orders: {file: orders.csv}}
table: {time: at}
features: [customer]
label: {column: late, positive: "yes"}
train: {task: binary, budget: quick}
"""
CUSTOMERS, DAYS = 40, 40


def payment(chance: np.random.Generator, number: int, moment: datetime) -> dict[str, object]:
    """Return a payment of some customer."""
    customer = int(chance.integers(CUSTOMERS))
    return {
        "id": number,
        "customer_id": f"c{customer}",
        "paid_at": text_of(moment),
        "amount": float(chance.gamma(2.0, 5.0 + customer)),
        "shop": f"s{chance.integers(6)}",
        "gone": bool(number >= MANY and chance.random() < 0.1),
    }


def make_factory(root: Path) -> Factory:
    """Make a line whose model reads a view of payments that were sent day by day, until now; who asks closes it."""
    chance, now = np.random.default_rng(3), datetime.fromisoformat(now_utc())
    for name, text in (("features/customer.yaml", VIEW), ("lines/late.yaml", LINE)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
    factory = Factory.create(root)
    days = [now - timedelta(days=DAYS - day) for day in range(DAYS)]
    ticks = iter(days)
    pushed = PushedRows.of(factory.state, "payments", now=lambda: text_of(next(ticks)))
    pushed.open_for(Columns("id", "paid_at"))
    for number, day in enumerate(days):
        rows = [payment(chance, 50 * number + n, day - timedelta(hours=1)) for n in range(50)]
        pushed.keep(to_new_rows(rows, pushed.columns))
    orders = [
        {
            "customer_id": f"c{customer}",
            "at": text_of(days[chance.integers(10, DAYS)] + timedelta(minutes=n / 10)),
            "late": "yes" if customer + chance.normal(0, 8) > CUSTOMERS / 2 else "no",
        }
        for n, customer in enumerate(chance.integers(0, CUSTOMERS, 900).tolist())
    ]
    with (root / "orders.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, orders[0])
        writer.writeheader()
        writer.writerows(orders)
    execute_inline(factory, "late")
    return factory


def requests_under_change(factory: Factory, address: str, rows: int) -> tuple[int, int, int]:
    """Ask for rows while payments come, are corrected and deleted, and files of records replace each other; return how many each time."""
    done, counts = Event(), {"sent": 0, "written": 0}
    facts = factory.metadata.get(find_model(factory, "late").digest, Package).views[0]

    def send() -> None:
        chance, number = np.random.default_rng(8), MANY
        with Client(address) as client:
            while not done.wait(0.02):
                number += 1
                which = number if chance.random() < 0.7 else int(chance.integers(MANY, number + 1))
                client.push("payments", [payment(chance, which, datetime.fromisoformat(now_utc()))])
                counts["sent"] += 1

    def write() -> None:
        with Factory.open(factory.root) as mine:
            while not done.wait(0.5):
                write_view(mine, facts)
                counts["written"] += 1

    def ask(seed: int) -> int:
        chance, got = np.random.default_rng(seed), 0
        with Client(address) as client:
            while got < rows // 3 + 1:
                asked = [{"customer_id": f"c{chance.integers(CUSTOMERS + 1)}"} for _ in range(20)]
                got += len(client.predict("late", asked).predictions)
        return got

    with ThreadPoolExecutor(5) as pool:
        beside = [pool.submit(send), pool.submit(write)]
        asking = [pool.submit(ask, seed) for seed in range(3)]
        try:
            answered = sum(one.result() for one in asking)
        finally:
            done.set()
        for one in beside:
            one.result()
    return answered, counts["sent"], counts["written"]


def logged_again(rows: int) -> FeatureAudit:
    """Have an endpoint of two processes log rows, and compute their features again."""
    with tempfile.TemporaryDirectory() as folder, make_factory(Path(folder) / "factory") as factory:
        command = [sys.executable, "-m", "linewright.serve", str(factory.state), "127.0.0.1", "0", "2"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                while (address := endpoint(factory.state)) is None:
                    time.sleep(0.05)
                time.sleep(2)
                answered, sent, written = requests_under_change(factory, f"http://{address}", rows)
            finally:
                process.terminate()
        print(f"{answered:,} rows answered, while {sent:,} payments came and {written:,} files of records")
        return audit_views(factory, "late", sample=rows)


def tell(where: str, asked: int, took: list[float]) -> None:
    """Print what lookups took."""
    p50, p99, load = took[len(took) // 2], took[int(len(took) * 0.99)], os.getloadavg()[0]
    columns = len(aggregates_of(FACTS))
    print(
        f"{where}, {asked} keys, {columns} columns: p50 {p50:.0f} us, p99 {p99:.0f} us of processor time a lookup, at a load of {load:.1f}"
    )


def main() -> None:
    """Print the table."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--entities", type=int, default=1_000_000)
    asks.add_argument("--events", type=int, default=10, help="of each entity, in 60 days")
    asks.add_argument("--keys", type=int, default=100)
    asks.add_argument("--requests", type=int, default=2_000)
    asks.add_argument("--logged", type=int, default=100_000, help="rows that are logged and computed again")
    given = asks.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begun = process_time_ns()
        path = write(Path(folder), given.entities, given.events)
        wrote = (process_time_ns() - begun) / 1e9
        print(
            f"{given.entities:,} records of {given.events} events: {path.stat().st_size / 1e6:.0f} MB, written in {wrote:.1f} s of processor time"
        )
        took = lookups(Path(folder), given.keys, given.requests, given.entities)
    tell("in a file", given.keys, took)
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["TEST_DB"] = server.url("postgres")
        there = shared(Path(folder), given.entities, given.events)
        tell("by PostgreSQL", given.keys, lookups(there, given.keys, given.requests, given.entities))
        waited = until_known(Path(folder) / "a" / ".linewright", there, 100)
        print(
            f"a row that one machine keeps counts on another after {waited[50]:.2f} s (p50), {waited[-1]:.2f} s at most"
        )
    audited = logged_again(given.logged)
    same = audited.rows - audited.differ
    print(
        f"{same:,} of {audited.rows:,} rows, {audited.values:,} values, are what the source says; {audited.behind:,} rows are behind"
    )


if __name__ == "__main__":
    main()
