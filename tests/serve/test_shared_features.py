"""What machines share of feature views: files of records that are whole, in a database that may be away, slow, or lose who writes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import psycopg
import pytest
from databases import Server, at_postgres, share_features
from ports import free_port

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.errors import RequestError, SpecError, Transient
from linewright.features.facts import Otherwise, ViewColumn, ViewFacts, ViewInput
from linewright.features.views.records import RecordsHeader, records_path, write_records
from linewright.features.views.windows import Values, events_of
from linewright.line.factory import Factory
from linewright.line.file.factory_file import parse_factory_file
from linewright.plugins import postgresql_features
from linewright.plugins.postgresql_features import PostgresFeatures, lock_number
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup, ViewLookup
from linewright.store.clock import instant_of, micros_of, now_utc
from linewright.store.pushed_rows import Columns, PushedRows
from linewright.store.shared_features import SharedFeatures, shared_features

SECOND = 1_000_000
FACTS = ViewFacts(
    view="shopper",
    entity=("shopper",),
    columns=(ViewColumn(name="newest", text="last(x)", type="number"),),
    inputs=(ViewInput(name="x", type="number"),),
    time="at",
)
PLACE = "rows[{}].{}".format


@pytest.fixture
def database(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with at_postgres(postgres, monkeypatch) as connection:
        yield connection


@pytest.fixture
def machines(tmp_path: Path) -> list[Path]:
    """Return the state folders of two machines."""
    for name in ("a", "b"):
        share_features(tmp_path / name)
    return [tmp_path / name / ".linewright" for name in ("a", "b")]


def shared(state: Path) -> SharedFeatures:
    found = shared_features(state)
    assert found is not None
    return found


def publish(
    state: Path, known: int, value: float, *, otherwise: Otherwise = "answer", push: str = ""
) -> Path:
    """Write records in which the newest value of Ada is this one."""
    made = events_of(
        entity=np.array([0]),
        time=np.array([SECOND]),
        known=np.array([SECOND]),
        columns={"x": Values(kind="number", numbers=np.array([value]))},
    )
    header = RecordsHeader(
        facts=FACTS,
        known=known,
        words=((),),
        entities=1,
        has_keys=False,
        push=push or None,
        max_age=60 * SECOND,
        otherwise=otherwise,
    )
    path, store = records_path(state, FACTS), shared(state)
    write_records(path, header, made, ["ada"], share=lambda file: store.publish(path.name, known, file))
    return path


def test_the_newest_records_are_on_each_machine_and_older_ones_never_replace_them(database, machines):
    """A machine that was slow to write must not undo what another one wrote since; of a view one generation is kept."""
    here, there = machines
    path = records_path(there, FACTS)
    assert not shared(there).fetch(path, since=-1)
    assert not path.exists()
    publish(here, 5 * SECOND, 5.0)
    publish(here, 9 * SECOND, 9.0)
    publish(here, 7 * SECOND, 7.0)
    view = ViewLookup(there, FACTS)
    view.refresh()
    ((columns, found, _),) = view.of(["ada"], instant_of(10 * SECOND))
    generations = database.execute("select generation, count(*) from linewright.parts group by 1").fetchall()

    assert ({"newest": 9.0}, 1.0) == (columns, found.age)
    assert [(2, 1)] == generations
    assert not shared(there).fetch(path, since=9 * SECOND)


def test_a_writer_that_is_killed_leaves_the_records_before_and_the_next_one_writes(database, machines):
    """Readers see a whole file or none, whatever was sent of the next one."""
    here, there = machines
    publish(here, 5 * SECOND, 5.0)
    code = (
        "import sys; from pathlib import Path; from linewright.store.shared_features import shared_features\n"
        "shared_features(Path(sys.argv[1])).publish(sys.argv[2], 10**9, Path(sys.argv[3]))"
    )
    name, pipe = records_path(here, FACTS).name, here / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([sys.executable, "-c", code, str(here), name, str(pipe)])
    with writer, pipe.open("wb", buffering=0) as file:
        file.write(b"x" * (5 << 20))  # a pipe holds far less: the process has read and sent parts
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    view = ViewLookup(there, FACTS)
    view.refresh()
    ((before, _, _),) = view.of(["ada"], now_utc())
    publish(here, 6 * SECOND, 6.0)
    view.refresh()
    ((after, _, _),) = view.of(["ada"], now_utc())

    assert ({"newest": 5.0}, {"newest": 6.0}) == (before, after)
    assert [(2, 1)] == database.execute(
        "select generation, count(*) from linewright.parts group by 1"
    ).fetchall()


def test_a_file_of_many_parts_comes_whole_while_others_are_written(machines, database, monkeypatch):
    """Readers of a machine take turns, and never mix two files."""
    del database
    here, there = machines
    monkeypatch.setattr(postgresql_features, "PART", 1_000)
    path, failed = records_path(there, FACTS), list[object]()
    read_whole = list[int]()
    done = threading.Event()

    def read() -> None:
        since = -1
        while not done.is_set():
            if shared(there).fetch(path, since=since):
                whole = path.read_bytes()
                since = int.from_bytes(whole[:8], "big")
                read_whole.append(since)
                if len(set(whole[8:])) != 1 or len(whole) != 20_008:
                    failed.append(whole[:20])

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    source = here / "file"
    for number in range(1, 31):
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(number.to_bytes(8, "big") + bytes([number]) * 20_000)
        shared(here).publish(path.name, number, source)
    done.set()
    for thread in threads:
        thread.join()

    assert [] == failed
    assert len(set(read_whole)) > 3


@pytest.mark.parametrize("otherwise", ["answer", "default", "refuse"])
def test_while_the_database_is_away_what_is_known_counts_as_long_as_the_view_says(
    postgres, database, machines, monkeypatch, otherwise
):
    """No request waits for it; each answer names it, and none its password."""
    here, there = machines
    rows = PushedRows.of(here, "shop")
    rows.open_for(Columns("id"))
    known = rows.moment()
    publish(here, known, 5.0, otherwise=otherwise, push="shop")
    clock = [known + SECOND]
    views = FeatureLookup(there, now=lambda: instant_of(clock[0]))
    views.refresh([FACTS])
    port = free_port()
    monkeypatch.setenv("TEST_DB", postgres.url("shop").replace(f":{postgres.port}/", f":{port}/"))
    database.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    with pytest.raises(Transient, match="store of features does not answer") as away:
        views.of(FACTS).refresh()

    def fill(after_s: int) -> tuple[object, list[str]]:
        clock[0] = views.of(FACTS)._snapshot.known + after_s * SECOND
        filled = views.fill([{"shopper": "ada"}], [FACTS], now=instant_of(clock[0]), place=PLACE)
        return filled.rows[0]["newest"], filled.warnings[0]

    value, warnings = fill(30)
    assert 5.0 == value
    assert [
        f"feature view 'shopper' knows nothing newer than 30 s: the store of features does not answer as it should (localhost:{port}/shop)"
    ] == warnings
    if otherwise == "refuse":
        with pytest.raises(RequestError, match=f"is too old.*localhost:{port}/shop"):
            fill(90)
    else:
        assert (5.0 if otherwise == "answer" else None) == fill(90)[0]
    password = postgres.password.replace("%40", "@")
    assert password not in str(away.value)
    assert postgres.password not in str(away.value)
    with pytest.raises(Transient, match="does not answer"):
        rows.keep(to_new_rows([{"id": 1}], Columns("id")))
    views.close()


def test_a_database_that_stalls_is_waited_for_as_long_as_is_said(database, machines, monkeypatch):
    """The wait is of the thread that looks for news; requests get what is known."""
    here, there = machines
    monkeypatch.setattr(postgresql_features, "LOOK_S", 0.3)
    PushedRows.of(here, "shop").open_for(Columns("id"))
    publish(here, micros_of(now_utc()), 5.0, push="shop")
    view = ViewLookup(there, FACTS)
    view.refresh()
    database.execute("select pg_advisory_lock(%s)", [lock_number("source", "shop")])
    begun = monotonic()
    with pytest.raises(Transient, match="no answer for too long"):
        view.refresh()
    waited = monotonic() - begun
    ((columns, _, _),) = view.of(["ada"], now_utc())
    database.execute("select pg_advisory_unlock_all()")
    view.refresh()

    assert 0.3 <= waited < 5
    assert {"newest": 5.0} == columns
    assert view.trouble is None


def test_rows_that_came_before_they_were_shared_are_taken_along_once(tmp_path, database):
    """Who names a store has not lost what was acknowledged."""
    alone = PushedRows.of(tmp_path / ".linewright", "shop")
    alone.open_for(Columns("id"))
    alone.keep(to_new_rows([{"id": 1, "x": 1.5}, {"id": 2, "x": 2}], Columns("id")))
    share_features(tmp_path)
    together = PushedRows.of(tmp_path / ".linewright", "shop")
    assert not together.is_open
    for _ in range(2):
        together.open_for(Columns("id"))
    counts = together.keep(to_new_rows([{"id": 2, "x": 2}, {"id": 3, "x": 3}], Columns("id")))
    with pytest.raises(RequestError, match="cannot be kept in this column"):
        together.keep(to_new_rows([{"id": 4, "x": "a"}], Columns("id")))
    ((before, _), (after, _)) = alone.since(0), together.since(0)

    assert (1, 1, 0) == counts
    assert before == after[:2]
    assert [3] == [row.seq for row in after[2:]]
    assert [(3,)] == database.execute("select count(*) from linewright.rows").fetchall()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:S3cret@h/d", "a database of another kind"),
        ("postgresql://u:S3cret@h/d?hostaddr=10.0.0.1", "option of the URL is not used"),
        ("S3cret", "cannot be read as the URL"),
    ],
)
def test_a_url_that_is_not_used_is_named_without_what_it_holds(machines, monkeypatch, url, says):
    """It is a secret."""
    monkeypatch.setenv("TEST_DB", url)
    with pytest.raises(SpecError, match=says) as refused:
        _ = PushedRows.of(machines[0], "shop").is_open

    assert "S3cret" not in str(refused.value)


def test_the_url_itself_does_not_stand_in_the_file():
    """Many may read it."""
    with pytest.raises(SpecError, match="looks like a secret") as refused:
        parse_factory_file("format: 1\nfeatures: {store: 'postgresql://u:S3cret@h/d'}\n", name="factory.yaml")

    assert "S3cret" not in str(refused.value)


def test_the_doctor_says_what_keeps_machines_from_sharing(
    database: psycopg.Connection, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def problems(folder: str) -> list[str]:
        share_features(tmp_path / folder)
        found = examine(Factory(tmp_path / folder), Needs(free_bytes=0, ports=())).problems
        return [f"{one.where}: {one.what}" for one in found]

    assert problems("new") == []

    url = postgres.url("shop")
    database.execute("drop role if exists guest")
    database.execute("create role guest login password 'S3cret'")
    monkeypatch.setenv("TEST_DB", f"postgresql://guest:S3cret@{url.rpartition('@')[2]}")
    (found,) = problems("guest")
    assert found.startswith("factory.yaml: features.store: feature views cannot be shared: ")
    assert found.endswith("the user lacks the right CREATE on the database")

    monkeypatch.setenv("TEST_DB", url)
    share_features(tmp_path / "maker")
    PostgresFeatures(tmp_path / "maker", "env:TEST_DB").require_tables()
    database.execute("grant usage on schema linewright to guest")
    database.execute("grant select on all tables in schema linewright to guest")
    database.execute("grant all on linewright.kinds, linewright.parts, linewright.sources to guest")
    monkeypatch.setenv("TEST_DB", f"postgresql://guest:S3cret@{url.rpartition('@')[2]}")
    lacking = problems("reader")
    assert [one.rpartition("right ")[2] for one in lacking][:2] == [
        "DELETE on linewright.rows",
        "DELETE on linewright.views",
    ]

    monkeypatch.setenv("TEST_DB", f"postgresql://guest:S3cret@127.0.0.1:{free_port()}/shop")
    (away,) = problems("away")
    assert "does not answer" in away
    with Factory.create(tmp_path / "saved") as factory:
        share_features(factory.root)
        (left,) = make_backup(factory, tmp_path / "backup.tar").left_out
    assert left.startswith("rows and records of feature views, in 127.0.0.1")
    assert "S3cret" not in away + left
    database.execute("drop schema linewright cascade")
    database.execute("drop role guest")
