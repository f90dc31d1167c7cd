"""What an incremental read of a database misses or gives twice, what comparing it costs, and what reading costs, on real servers.

    python benchmarks/silos.py [race|reconcile|read|types] [--seconds 60] [--rows 1000000] [--peers PYTHON]

`race`: four writers, whose transactions are open for up to 0.8 s, add and change rows, while a reader comes every 0.2 s: ours, and
``where updated_at > max`` by hand. `reconcile`: deletions, changes without a new time and rows that come with an old one are looked for.
`read`: a table of ten columns becomes a dataset version, by psycopg and by ADBC, each way in a process of its own; connectorx, ADBC and psycopg (PYTHON has them,
`benchmarks/peers.txt`) make an Arrow table of it and write that as Parquet. `types`: all types of PostgreSQL that the tests know. PostgreSQL
and MariaDB are started for it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import psycopg
import pymysql

from linewright.data.history.read import read_current_rows
from linewright.data.history.reconcile import reconcile
from linewright.data.history.versions import DELETED, DIGEST, HistoryStore, newest_versions, read_versions
from linewright.data.read.source import open_source
from linewright.data.spec import SqlSource
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.record.data.source_histories import history_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "data"))
from databases import mariadb_server, postgres_server
from test_sql_types import POSTGRES_READ, POSTGRES_REFUSED

WRITERS = 4
OPEN_S = 0.8
READ_EVERY_S = 0.2
LAG = "2s"
DIFFERENCES = 100
QUERY = "select * from t"


@contextmanager
def servers() -> Iterator[dict[str, Any]]:
    """Run both servers."""
    with postgres_server() as postgres, mariadb_server() as mariadb:
        yield {"PostgreSQL": postgres, "MariaDB": mariadb}


def connect(server: Any) -> Any:
    """Return a connection to an empty database."""
    if server.scheme == "postgresql":
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("drop database if exists shop with (force)")
            connection.execute("create database shop")
        return psycopg.connect(server.url("shop"))
    connection = connect_again(server, "")
    with connection.cursor() as cursor:
        cursor.execute("drop database if exists shop")
        cursor.execute("create database shop character set utf8mb4")
        cursor.execute("use shop")
    return connection


def connect_again(server: Any, database: str = "shop") -> Any:
    """Return one more connection."""
    if server.scheme == "postgresql":
        return psycopg.connect(server.url(database))
    return pymysql.connect(
        host="127.0.0.1",
        port=server.port,
        user=server.user,
        password=unquote(server.password),
        database=database or None,
    )


def said(connection: Any, sql: str, *values: Any) -> Any:
    """Carry out a statement, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else ()


@contextmanager
def factory_at(server: Any) -> Iterator[Factory]:
    """Make a factory that may read from the server."""
    os.environ["SILO"] = server.url("shop")
    with tempfile.TemporaryDirectory() as folder, Factory.create(Path(folder)) as factory:
        (Path(folder) / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
        yield factory


def spec_of(server: Any) -> SqlSource:
    """Return the source; PostgreSQL needs no lag."""
    lag = None if server.scheme == "postgresql" else LAG
    return SqlSource(sql=QUERY, at="env:SILO", key="id", cursor="updated_at", lag=lag)


def race(seconds: float) -> None:
    """Print what each way missed and has twice."""
    print(
        f"\n{WRITERS} writers for {seconds:g} s, transactions open for up to {OPEN_S} s, a read every {READ_EVERY_S} s\n"
    )
    print("| server | way | reads | row versions written | missed | twice | CPU s of the reader |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with servers() as both:
        for name, server in both.items():
            for line in raced(server, seconds):
                print(f"| {name} | {line} |", flush=True)


def raced(server: Any, seconds: float) -> Iterator[str]:
    """Have both ways read the same race, and give a line for each."""
    connection = connect(server)
    moment, kind = ("timestamptz", "") if server.scheme == "postgresql" else ("timestamp(6)", "(6)")
    said(
        connection,
        f"create table t (id int primary key, value int not null, updated_at {moment} not null default current_timestamp{kind})",
    )
    said(connection, "create index t_updated on t (updated_at)")
    connection.commit()
    ended = threading.Event()
    written = [0] * WRITERS
    threads = [
        threading.Thread(target=write, args=(server, number, ended, written)) for number in range(WRITERS)
    ]
    with factory_at(server) as factory:
        kept, spec = HistoryStore(factory.artifacts, factory.metadata), spec_of(server)
        ours_reads, cpu = 0, 0.0
        naive: list[tuple[Any, ...]] = []
        highest = None
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        is_last = False
        while True:
            begun = time.thread_time()
            read_current_rows("t", spec, factory.root, kept, factory.now())
            cpu += time.thread_time() - begun
            ours_reads += 1
            where = "" if highest is None else " where updated_at > %s"
            rows = said(connection, f"{QUERY}{where}", *([] if highest is None else [highest]))
            connection.commit()
            naive += rows
            highest = max([row[2] for row in rows], default=highest)
            if is_last:
                break
            if time.monotonic() > until:
                ended.set()
                for thread in threads:
                    thread.join()
                is_last = True
            time.sleep(READ_EVERY_S)
        there = {(row[0], row[1]) for row in said(connection, QUERY)}
        history = history_of(factory, "t", spec)
        versions = pl.concat(read_versions(history, kept))
        standing = newest_versions(history, "id", kept, also=["value"]).filter(~pl.col(DELETED))
        here = set(standing.select("id", "value").iter_rows())
        twice = versions.height - versions.select("id", DIGEST).n_unique()
        yield f"linewright | {ours_reads} | {sum(written):,} | {len(there - here)} | {twice} | {cpu:.1f}"
        last = {row[0]: row[1] for row in naive}
        missed = sum(last.get(key) != value for key, value in there)
        yield f"updated_at > max | {ours_reads} | {sum(written):,} | {missed} | {len(naive) - len({*naive})} | |"
    connection.close()


def write(server: Any, number: int, ended: threading.Event, written: list[int]) -> None:
    """Add rows and change own ones, in transactions that stay open for a while."""
    chance = random.Random(number)  # noqa: S311
    connection = connect_again(server)
    now = "now()" if server.scheme == "postgresql" else "current_timestamp(6)"
    key = number * 1_000_000
    while not ended.is_set():
        key += 1
        said(connection, "insert into t (id, value) values (%s, 0)", key)
        written[number] += 1
        if chance.random() < 0.3:
            other = chance.randrange(number * 1_000_000 + 1, key + 1)
            said(connection, f"update t set value = value + 1, updated_at = {now} where id = %s", other)  # noqa: S608
            written[number] += other != key
        time.sleep(chance.uniform(0, OPEN_S))
        connection.commit()
    connection.close()


POSTGRES_TABLE = """
    create table t as
    select n as id, cast(n % 1000 / 7.0 as decimal(10, 2)) as amount, n * 0.37e0 as score, n % 97 as calls, 'customer ' || n % 5000 as name,
        n % 2 = 0 as flag, cast(at as date) as day, at as seen, n % 13 as part, at as updated_at
    from (select n, timestamp '2024-01-01' + n % 525600 * interval '1 minute' as at from generate_series(1, ROWS) as q(n)) as r
"""
MARIADB_TABLE = """
    create table t as
    select n as id, cast(n % 1000 / 7.0 as decimal(10, 2)) as amount, n * 0.37e0 as score, n % 97 as calls, concat('customer ', n % 5000) as name,
        n % 2 = 0 as flag, cast(at as date) as day, at as seen, n % 13 as part, at as updated_at
    from (select seq as n, timestamp '2024-01-01 00:00:00' + interval (seq % 525600) minute as at from seq_1_to_ROWS) as r
"""


def fill(connection: Any, server: Any, rows: int) -> None:
    """Make a table of ten columns."""
    made = POSTGRES_TABLE if server.scheme == "postgresql" else MARIADB_TABLE
    said(connection, made.replace("ROWS", str(rows)))
    said(connection, "alter table t add primary key (id)")
    connection.commit()


def compare(rows: int) -> None:
    """Print what is found, and how long it takes."""
    print(f"\n{rows:,} rows of 10 columns, {DIFFERENCES} of each kind of difference\n")
    print("Seconds of the clock (processor of ours + of the server).\n")
    print(
        "| server | first read | reconcile, nothing differs | with differences | missed, changed, deleted | repair | then sound |"
    )
    print("|---|---:|---:|---:|---|---:|---|")
    with servers() as both:
        for name, server in both.items():
            connection = connect(server)
            fill(connection, server, rows)
            with factory_at(server) as factory:
                kept, spec = HistoryStore(factory.artifacts, factory.metadata), spec_of(server)

                def read_differences(
                    *,
                    repairs: bool = False,
                    factory: Factory = factory,
                    kept: HistoryStore = kept,
                    spec: SqlSource = spec,
                ) -> Any:
                    return reconcile("t", spec, factory.root, kept, factory.now(), repairs=repairs)

                def read(
                    factory: Factory = factory, kept: HistoryStore = kept, spec: SqlSource = spec
                ) -> Any:
                    return read_current_rows("t", spec, factory.root, kept, factory.now())

                _, first = timed(server, read)
                _, same = timed(server, read_differences)
                spread(connection, rows)
                found, differing = timed(server, read_differences)
                _, repair = timed(
                    server, lambda read_differences=read_differences: read_differences(repairs=True)
                )
                counts = f"{found.missed.rows}, {found.changed.rows}, {found.deleted.rows}"
                print(
                    f"| {name} | {first} | {same} | {differing} | {counts} | {repair} | {read_differences().is_sound} |",
                    flush=True,
                )
            connection.close()


def spread(connection: Any, rows: int) -> None:
    """Delete, change and add rows all over the table, with times of long ago."""
    chance = random.Random(7)  # noqa: S311
    keys = chance.sample(range(1, rows), 2 * DIFFERENCES)
    for key in keys[:DIFFERENCES]:
        said(connection, "delete from t where id = %s", key)
    for key in keys[DIFFERENCES:]:
        said(connection, "update t set amount = amount + 1, updated_at = '2024-01-02' where id = %s", key)
    others = "amount, score, calls, name, flag, day, seen, part, timestamp '2024-03-01 00:00:00'"
    for key in range(rows + 1, rows + 1 + DIFFERENCES):
        said(connection, f"insert into t select %s, {others} from t where id = %s", key, rows)  # noqa: S608
    connection.commit()


def timed(server: Any, work: Callable[[], Any]) -> tuple[Any, str]:
    """Return what work gives, and its seconds of the clock, of this process and of the server."""
    wall, cpu, there = time.monotonic(), time.process_time(), server_cpu(server)
    done = work()
    spent = time.monotonic() - wall, time.process_time() - cpu, server_cpu(server) - there
    return done, " + ".join(f"{one:.1f}" for one in spent).replace(" + ", " (", 1) + ")"


def server_cpu(server: Any) -> float:
    """Return the processor seconds of a server so far, with its processes that have ended."""
    file = server.folder / "data" / "postmaster.pid"
    main = (file if file.exists() else server.folder / "pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if path.parent.name == main:
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == main:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


PEERS = """
import json, resource, sys
import pyarrow as pa, pyarrow.parquet
way, url, out = sys.argv[1:]
if way == "connectorx":
    import connectorx
    table = connectorx.read_sql(url, "select * from t", return_type="arrow")
elif way == "ADBC":
    import adbc_driver_postgresql.dbapi as adbc
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("select * from t")
        table = cursor.fetch_arrow_table()
else:
    import psycopg
    parts = []
    with psycopg.connect(url) as connection, connection.cursor("rows", binary=True) as cursor:
        cursor.itersize = 20_000
        cursor.execute("select * from t")
        names = [column.name for column in cursor.description]
        while rows := cursor.fetchmany(20_000):
            parts.append(pa.record_batch([pa.array(column) for column in zip(*rows)], names))
    schema = pa.unify_schemas([part.schema for part in parts], promote_options="permissive")
    table = pa.concat_tables([pa.Table.from_batches([part]) for part in parts], promote_options="permissive")
pyarrow.parquet.write_table(table, out, compression="zstd")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, table.num_rows, str(table.schema.field("amount").type)]))
"""


def ways(rows: int, peers: str) -> None:
    """Print what reading a table of PostgreSQL costs."""
    print(f"\n{rows:,} rows of 10 columns of PostgreSQL, to Parquet; ours to a dataset version\n")
    print("| way | CPU s | peak MB | rows | numeric(10, 2) is |")
    print("|---|---:|---:|---:|---|")
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        connection = connect(server)
        fill(connection, server, rows)
        connection.close()
        for driver, way in product(("psycopg", "adbc"), ("whole", "cursor")):
            os.environ["SILO"] = replace(server, driver=driver).url("shop")
            command = [sys.executable, str(Path(__file__).with_name("silos_read.py")), way]
            print(f"| linewright, {way}, {driver} | {shown(command)} |", flush=True)
        for way in ("connectorx", "ADBC", "psycopg by hand") if peers else ():
            command = [peers, "-c", PEERS, way, server.url("shop"), f"{folder}/out.parquet"]
            print(f"| {way} | {shown(command)} |", flush=True)


def shown(command: list[str]) -> str:
    """Return the cells of a way, or why it has none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"fails: {done.stderr.strip().splitlines()[-1][:90]} | | |"
    cpu, peak, rows, kind = json.loads(done.stdout.strip().splitlines()[-1])
    return f"{cpu:.1f} | {peak:,.0f} | {rows:,} | {kind}"


def types() -> None:
    """Print how many types come right, and which are refused."""
    with postgres_server() as server:
        connection = connect(server)
        said(connection, "create type mood as enum ('happy', 'sad')")
        said(connection, "create type pair as (a int, b int)")
        said(connection, "create domain year_of_birth as int")
        connection.commit()
        right, wrong, refused = set[str](), set[str](), set[str]()
        declared = [(one[0], one[1], one[-1], len(one) == 4) for one in (*POSTGRES_READ, *POSTGRES_REFUSED)]
        with factory_at(server) as factory:
            for kind, value, expected, is_refused in declared:
                said(connection, "drop table if exists t")
                said(connection, f"create table t (x {kind})")
                said(connection, f"insert into t values ({value})")  # noqa: S608 -- of the tests
                connection.commit()
                found = read_one(factory)
                if is_refused and isinstance(found, str) and "'x'" in found:
                    refused.add(kind)
                elif not is_refused and found == [expected]:
                    right.add(kind)
                else:
                    wrong.add(f"{kind}: {found}")
    print(
        f"\n{len(right | refused)} types of PostgreSQL: {len(right)} right, {len(refused)} refused by column: {', '.join(sorted(refused))}"
    )
    print(f"wrong: {', '.join(sorted(wrong)) or 'none'}")


def read_one(factory: Factory) -> Any:
    """Return the values of the table's column as text is cleaned, or what is said of it."""
    try:
        source = open_source("t", SqlSource(sql=QUERY, at="env:SILO"), factory.root)
        return pl.concat(batch.frame for batch in source.batches())["x"].to_list()
    except LinewrightError as error:
        return str(error)


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="?", default="all", choices=("all", "race", "reconcile", "read", "types")
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--peers", default="", help="Python that has connectorx, adbc-driver-postgresql and psycopg"
    )
    asked = parser.parse_args()
    parts = {
        "types": types,
        "read": lambda: ways(asked.rows, asked.peers),
        "reconcile": lambda: compare(asked.rows),
        "race": lambda: race(asked.seconds),
    }
    for name, part in parts.items():
        if asked.what in {name, "all"}:
            part()


if __name__ == "__main__":
    main()
