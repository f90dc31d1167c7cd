"""Runs that are killed while they read: the next one has every row once, and nothing of the killed ones lies about."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Server, at_postgres
from web_server import KEYS, bucket_server

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.data.read.remote import downloads
from linewright.line.factory import Factory
from linewright.line.record.data.source_histories import history_of, history_sources
from linewright.line.runs.execute import execute_inline

LINE = """
line: churn
sources:
  customers: {sql: "select * from customers", at: env:TEST_DB, key: id, cursor: updated_at, lag: 1h}
  plans: {file: "s3://plant/plans/*.csv", at: env:PLANT}
table: {key: id, sql: "select id, calls, price, churned from customers join plans using (plan) order by id", exclude: []}
label: {column: churned}
train: {budget: quick, folds: 2}
"""
ROWS = 160

# Each: a function, and at which call of it the process is killed, before or after it is carried out. What is fetched, spilled, kept.
MOMENTS = (
    ("linewright.data.read.sql.database:_texts", 3, "after"),
    ("polars:DataFrame.write_ipc", 1, "before"),
    ("polars:DataFrame.write_ipc", 2, "after"),
    ("linewright.store.artifacts.local:LocalArtifacts.put", 1, "after"),
    ("linewright.store.metadata.sql:SqlMetadata.link", 1, "before"),
    ("linewright.store.metadata.sql:SqlMetadata.link", 1, "after"),
    ("linewright.plugins.buckets:Bucket.blocks", 2, "after"),
    ("pathlib:Path.replace", 1, "before"),
)
SCRIPT = """
import json, os, signal, sys
from importlib import import_module
from pathlib import Path

from linewright.data.history import read
from linewright.data.read import spill
from linewright.data.read.sql import sql_reader
from linewright.line.factory import Factory
from linewright.line.runs import workflow
from linewright.line.runs.execute import execute_inline

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def plant(function, number, side):
    module, _, path = function.partition(":")
    holder = import_module(module)
    *outer, name = path.split(".")
    for one in outer:
        holder = getattr(holder, one)
    carry_out, left = getattr(holder, name), [number]
    def planted(*given, **named):
        left[0] -= 1
        if left[0] == 0 and side == "before":
            die()
        done = carry_out(*given, **named)
        if left[0] == 0:
            if name == "blocks":
                next(done)
            die()
        return done
    setattr(holder, name, planted)

spill.Spool.__init__.__kwdefaults__["held"] = 1
for moment in json.loads(sys.argv[2]):
    if not (child := os.fork()):  # nothing has begun a thread yet
        plant(*moment)
        with Factory.open(Path(sys.argv[1])) as factory:
            execute_inline(factory, "churn")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def root(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, psycopg.Connection]]:
    """Make a factory whose line joins a table of PostgreSQL, of which newer rows are read, with files of a bucket."""
    pytest.importorskip("obstore")
    folder = tmp_path / "buckets" / "plant" / "plans"
    folder.mkdir(parents=True)
    for number, plan in enumerate(("basic", "plus", "gold")):
        (folder / f"{plan}.csv").write_text(f"plan,price\n{plan},{10 * number + 5}\n")
    root = tmp_path / "factory"
    Factory.create(root).close()
    (root / "factory.yaml").write_text("format: 1\nhosts: [localhost, 127.0.0.1]\n")
    (root / "lines" / "churn.yaml").write_text(LINE)
    with bucket_server(tmp_path / "buckets") as url, at_postgres(postgres, monkeypatch) as database:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
        database.execute(
            "create table customers (id int primary key, plan text, calls int, churned boolean, updated_at timestamptz)"
        )
        made = "i, (array['basic', 'plus', 'gold'])[1 + i % 3], i * 7 % 10, i * 7 % 10 + i % 4 > 8, now() - interval '1 day'"
        database.execute(f"insert into customers select {made} from generate_series(1, {ROWS}) as i")  # noqa: S608
        yield root, database


def test_a_run_that_is_killed_while_it_reads_loses_and_doubles_nothing(
    root: tuple[Path, psycopg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of PostgreSQL is kept in versions, so a read that was half kept would be seen for ever."""
    factory_root, database = root
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(factory_root), json.dumps(MOMENTS)],
        check=False,
        timeout=200,
        capture_output=True,
        text=True,
    )

    assert [str(-signal.SIGKILL)] * len(MOMENTS) == done.stdout.split(), done.stderr

    database.execute("insert into customers values (1000, 'plus', 3, false, now())")
    monkeypatch.setattr(downloads, "_BEGINS_S", 0.0)
    with Factory.open(factory_root) as factory:
        result = execute_inline(factory, "churn")
        dataset = factory.metadata.get(result.dataset, Dataset)
        rows = read_dataset(dataset, factory.artifacts, factory.metadata)
        history = history_of(factory, "customers", history_sources(factory, "churn")["customers"])
        collect(factory, grace_s=0, dry_run=False)

        assert () == tuple(verify_factory(factory).problems)

    assert [*range(1, ROWS + 1), 1000] == rows["id"].to_list()
    assert 0 == rows["price"].null_count()
    assert (ROWS + 1, ROWS + 1) == (history.rows, sum(chunk.rows for chunk in history.chunks))
    state = factory_root / ".linewright"
    assert [] == [*(state / "scratch").iterdir()]
    left = [
        path for path in state.rglob("*") if path.name.startswith((".new-", "tmp")) or path.suffix == ".draft"
    ]
    assert [] == left
