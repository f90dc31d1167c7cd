"""Reading the newer rows of a source, asked of real servers that start here."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import psycopg
import pytest
from databases import Server, allow, at_mariadb, at_postgres
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlserver import at_sqlserver

from linewright.data.facts import SourceHistory
from linewright.data.history import read_position
from linewright.data.history.read import (
    current_fingerprint,
    current_rows,
    definition_of,
    read_current_rows,
    read_increment,
)
from linewright.data.history.reconcile import Reconciliation, reconcile
from linewright.data.history.versions import HistoryStore, known_at, newest, read_versions
from linewright.data.read.reader import fingerprint
from linewright.data.spec import SqlSource
from linewright.errors import NotFound, RequestError, SpecError
from linewright.line.factory import Factory

START = datetime(2024, 5, 1, 12)
QUERY = "select * from t order by id"


class Silo(NamedTuple):
    """A database with a table of 300 rows."""

    execute: Callable[[str], Any]
    spec: SqlSource

    def add(self, *keys: int, at: datetime = START + timedelta(days=1)) -> None:
        """Add rows."""
        rows = ", ".join(f"({key}, 1, 'new', '{at}')" for key in keys)
        self.execute(f"insert into t values {rows}")  # noqa: S608 -- of this test

    def change(self, key: int, at: datetime = START + timedelta(days=1)) -> None:
        """Change a row."""
        self.execute(f"update t set said = 'other', updated_at = '{at}' where id = {key}")  # noqa: S608 -- of this test

    @property
    def kind(self) -> str:
        """The scheme of the database's URL."""
        return os.environ["TEST_DB"].partition(":")[0]


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        yield factory


@pytest.fixture(params=["postgresql", "mysql", "mssql", "duckdb", "sqlite"])
def silo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Silo]:
    kind = request.param
    spec = SqlSource(sql=QUERY, at="env:TEST_DB", key="id", cursor="updated_at", lag="0s")
    rows = ", ".join(f"({n}, {n}.5, 'it''s {n}', '{START + timedelta(minutes=n)}')" for n in range(300))
    make = (
        "create table t (id int primary key, amount decimal(10, 2), said varchar(80), updated_at timestamp)",
        f"insert into t values {rows}",  # noqa: S608 -- of this test
    )
    if kind == "duckdb":
        monkeypatch.setenv("TEST_DB", "duckdb:///a.duckdb")

        def execute(statement: str) -> None:
            with duckdb.connect(tmp_path / "a.duckdb") as database:
                database.execute(statement)

        for one in make:
            execute(one)
        yield Silo(execute, spec)
        return
    if kind == "sqlite":
        monkeypatch.setenv("TEST_DB", "sqlite:///a.db")
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
            for one in make:
                connection.execute(one)
            yield Silo(connection.execute, spec)
        return
    if kind == "mssql":
        with at_sqlserver(request.getfixturevalue("sqlserver"), monkeypatch) as server:
            for one in make:
                server.execute(one.replace("timestamp)", "datetime2)"))
            yield Silo(server.execute, spec)
        return
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    with (at_postgres if kind == "postgresql" else at_mariadb)(server, monkeypatch) as connection:
        for one in make:
            connection.execute(one)
        yield Silo(connection.execute, spec)


def test_a_table_of_many_parts_in_any_order_begins_a_history_in_the_order_of_its_key(
    silo, factory, monkeypatch
):
    """What does not fit into memory is put in order from disk; later reads and twins are as in memory."""
    monkeypatch.setattr("linewright.data.read.spill._HELD", 2_000)
    shuffled = silo.spec.model_copy(update={"sql": "select * from t order by said"})
    history = History(factory, shuffled)

    assert list(range(300)) == history.read()["id"].to_list()
    silo.add(500, 400)
    silo.change(7)
    again = history.read()
    assert [*range(300), 400, 500] == again["id"].to_list()
    assert "other" == again["said"][7]
    twins = History(
        factory, silo.spec.model_copy(update={"sql": "select * from t union all select * from t"})
    )
    with pytest.raises(RequestError, match="two rows of the query have the same key"):
        twins.rows()


STEPS = ("begin", "write", "write", "commit", "rollback", "read", "read")


class History:
    """Reads a source of a factory."""

    def __init__(self, factory: Factory, spec: SqlSource) -> None:
        self.factory, self.spec = factory, spec
        self.kept = HistoryStore(factory.artifacts, factory.metadata)

    def rows(self) -> pl.DataFrame:
        source, _ = read_current_rows("t", self.spec, self.factory.root, self.kept, self.factory.now())
        return pl.concat(batch.frame for batch in source.batches())

    def read(self) -> pl.DataFrame:
        source, said = read_current_rows("t", self.spec, self.factory.root, self.kept, self.factory.now())
        rows = pl.concat(batch.frame for batch in source.batches())
        assert said == self.fingerprint()
        return rows

    def fingerprint(self) -> str:
        return current_fingerprint("t", self.spec, self.factory.root, self.kept, self.factory.now())

    def asked(self) -> int:
        return read_increment("t", self.spec, self.factory.root, self.kept, self.factory.now()).rows_read

    def of_all_rows(self) -> str:
        plain = self.spec.model_copy(update={"key": None, "cursor": None, "lag": None, "known": None})
        return fingerprint(plain, self.factory.root, "sources.t")


def test_the_newer_rows_are_asked_for_and_the_table_is_that_of_a_whole_read(silo, factory):
    """New rows, changed ones, and one that is given twice; an unchanged source costs a row."""
    history = History(factory, silo.spec)

    assert 300 == history.asked() == history.read().height
    assert 1 == history.asked()
    assert history.of_all_rows() == history.fingerprint()

    silo.add(1000, -5)
    silo.change(7)

    assert 4 == history.asked()
    rows = history.read()

    assert [-5, *range(300), 1000] == rows["id"].to_list()
    assert ["other"] == rows.filter(pl.col("id") == 7)["said"].to_list()
    assert history.of_all_rows() == history.fingerprint()
    assert 3 == history.asked()


def test_a_row_that_comes_at_the_cursors_edge_is_read(silo, factory):
    """Another writer may have the same time."""
    history = History(factory, silo.spec)
    history.read()
    silo.add(301, at=START + timedelta(minutes=299))

    assert 301 == history.read().height


@pytest.mark.parametrize("of", ["bigint", "decimal(20, 0)"])
def test_a_cursor_may_be_a_whole_number_that_json_does_not_hold(silo, factory, of):
    """Numbers that services give rows have up to 64 bits: the next read asks from just the last one on."""
    first = 2**53 + 1 if of == "bigint" else 10**19 + 1
    if of != "bigint" and silo.kind == "sqlite":
        pytest.skip("its whole numbers have 64 bits")
    kind = "bigint" if silo.kind == "sqlite" else of
    if silo.kind == "mysql":
        kind = {"bigint": "signed", "decimal(20, 0)": "unsigned"}[of]
    sql = f"select id, said, cast(id + {first} as {kind}) as number from t"  # noqa: S608 -- of this test
    options: dict[str, Any] = {"sql": sql, "cursor": "number", "lag": 2}
    history = History(factory, silo.spec.model_copy(update=options))

    assert 300 == history.read().height
    assert 300 == history.read().height
    silo.add(301)
    assert 301 == history.read().height
    if of == "bigint":
        assert 2 == history.asked()
    silo.execute("update t set said = 'other' where id = 301")
    assert "other" == history.read()["said"][-1]
    silo.execute("update t set said = 'other' where id = 1")
    assert ("1",) == found_of(history).changed.keys


def test_an_infinite_cursor_does_not_stand_before_rows_that_are_to_come(factory, postgres, monkeypatch):
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("create table t as select n as id, n::float8 as x from generate_series(1, 300) as n")
        database.execute("insert into t values (301, 'infinity'), (302, 'NaN')")
        spec = SqlSource(sql="select * from t", at="env:TEST_DB", key="id", cursor="x", lag=0)
        history = History(factory, spec)

        assert 302 == history.read().height
        database.execute("insert into t values (303, 303)")
        assert 303 == history.read().height


def test_many_rows_that_came_at_once_are_sent_again_only_if_one_differs(silo, factory):
    """All of them are at the cursor's edge: the database says whether any is another one."""
    key = {
        "postgresql": "generate_series(1000, 2999) as q(n)",
        "mysql": "(select seq as n from seq_1000_to_2999) as q",
        "sqlite": "(with recursive q(n) as (values(1000) union all select n + 1 from q limit 2000) select n from q) as q",
    }
    many = key.get(silo.kind, "range(1000, 3000) as q(n)")
    silo.execute(f"insert into t select n, 1, 'bulk', '2024-06-01 00:00:00' from {many}")  # noqa: S608
    history = History(factory, silo.spec)

    assert 2300 == history.read().height
    assert 0 == history.asked()

    silo.change(1500, at=datetime(2024, 6, 1))

    assert 2000 == history.asked()
    assert ["other"] == history.read().filter(pl.col("id") == 1500)["said"].to_list()
    assert 0 == history.asked()


def test_versions_are_kept_and_the_table_of_a_moment_can_be_made_again(silo, factory):
    history = History(factory, silo.spec)
    first = history.read()
    then = factory.now()
    silo.change(7)
    silo.add(301)
    after = history.read()
    found = newest_of(factory)

    def as_of(at: str) -> pl.DataFrame:
        return current_rows(
            known_at(found, at, factory.metadata), "id", history.kept, factory.root, known_by=at
        )

    assert as_of(then).equals(first)
    assert as_of(factory.now()).equals(after)
    assert not first.equals(after)
    with pytest.raises(NotFound, match="nothing of the source had been read by then"):
        as_of("2024-01-01T00:00:00.000000Z")


def newest_of(factory: Factory) -> SourceHistory:
    """Return the history of a factory's only source."""
    digest = next(digest for digest, kind, _ in factory.metadata.results() if kind == "source_history")
    found = newest(factory.metadata.get(digest, SourceHistory).source, factory.metadata)
    assert found is not None
    return found[1]


def test_other_columns_begin_a_history_and_the_old_one_stays(silo, factory):
    history = History(factory, silo.spec)
    first = history.read()
    then = factory.now()
    silo.execute("alter table t add column colour varchar(10)")

    with pytest.raises(RequestError, match="other columns than were read"):
        found_of(history)
    assert "colour" in history.read().columns
    silo.execute("alter table t drop column said")
    assert ["id", "amount", "updated_at", "colour"] == history.read().columns
    assert history.of_all_rows() == history.fingerprint()
    old = known_at(newest_of(factory), then, factory.metadata)
    assert current_rows(old, "id", history.kept, factory.root, known_by=then).equals(first)


@pytest.mark.parametrize("silo", ["postgresql"], indirect=True)
def test_many_small_reads_leave_few_chunks(silo, factory):
    history = History(factory, silo.spec)
    history.read()
    for n in range(9):
        silo.add(400 + n, at=START + timedelta(days=1, minutes=n))
        history.read()
    found = newest_of(factory)

    assert 10 == found.number
    assert 309 == found.rows == sum(chunk.rows for chunk in found.chunks)
    assert len(found.chunks) <= 4


class _Killed(BaseException):
    """A process that ends at once."""


class _Dies:
    """Lets a number of calls of what it wraps through, and the next one dies before or after its work."""

    def __init__(self, of: Any, calls: list[int], *, is_after: bool) -> None:
        self._of, self._calls, self._is_after = of, calls, is_after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if name not in {"put", "keep", "link"}:
            return found

        def call(*arguments: Any) -> Any:
            self._calls[0] -= 1
            if self._calls[0] < 0 and not self._is_after:
                raise _Killed
            done = found(*arguments)
            if self._calls[0] < 0:
                raise _Killed
            return done

        return call


@pytest.mark.parametrize("silo", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_read_that_is_killed_anywhere_is_complete_the_next_time(silo, factory, is_after):
    """Nothing is lost, and nothing is there twice."""
    history = History(factory, silo.spec)
    for part in range(2):
        for number in range(4):
            calls = [number]
            dying = [_Dies(one, calls, is_after=is_after) for one in (factory.artifacts, factory.metadata)]
            with contextlib.suppress(_Killed):
                read_current_rows("t", silo.spec, factory.root, HistoryStore(*dying), factory.now())

            assert history.of_all_rows() == history.fingerprint()
        read = history.read()

        assert 300 + part == read.height
        assert 300 + part == sum(chunk.rows for chunk in newest_of(factory).chunks)
        silo.add(301 + part)


@pytest.mark.parametrize("silo", ["postgresql"], indirect=True)
def test_of_two_that_read_at_once_none_takes_the_others_rows_away(silo, factory):
    """The one that comes second reads once more."""
    history = History(factory, silo.spec)
    history.read()
    silo.add(301)
    threads = [threading.Thread(target=history.read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 301 == history.read().height == sum(chunk.rows for chunk in newest_of(factory).chunks)


@pytest.mark.parametrize("silo", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"key": "ID"}, SpecError, r"the query has no such column.*did you mean 'id'"),
        ({"cursor": "updated"}, SpecError, r"no such column.*did you mean 'updated_at'"),
        ({"cursor": "said"}, SpecError, "this column cannot be a cursor"),
        ({"cursor": "id"}, SpecError, "the lag is of another kind than the cursor"),
        ({"lag": 5}, SpecError, "the lag is of another kind than the cursor"),
        ({"known": "said"}, SpecError, "this column has no times"),
        (
            {"sql": "select 1 as id, updated_at from t"},
            RequestError,
            "two rows of the query have the same key",
        ),
        ({"sql": "select nullif(id, 5) as id, updated_at from t"}, RequestError, "1 rows have no key"),
        (
            {"sql": "select id, nullif(updated_at, '2024-05-01 12:05') as updated_at from t"},
            RequestError,
            "1 rows have no cursor",
        ),
    ],
)
def test_what_could_lose_rows_is_refused(silo, factory, options, kind, says):
    with pytest.raises(kind, match=says):
        History(factory, silo.spec.model_copy(update=options)).read()


def test_a_lag_must_be_said_where_the_database_does_not_say_who_writes(silo, factory):
    """MariaDB tells only those with the right PROCESS; numbers tell nobody."""
    of_times = History(factory, silo.spec.model_copy(update={"lag": None}))
    of_numbers = History(factory, silo.spec.model_copy(update={"lag": None, "cursor": "id"}))
    if silo.kind in {"mysql", "mssql", "sqlite"}:
        with pytest.raises(SpecError, match="a cursor of times of this server needs a lag"):
            of_times.read()
    else:
        assert 300 == of_times.read().height
    if silo.kind != "duckdb":
        with pytest.raises(SpecError, match="a cursor of numbers needs a lag"):
            of_numbers.read()
    else:
        assert 300 == of_numbers.read().height
    with_lag = History(factory, silo.spec.model_copy(update={"lag": 10, "cursor": "id"}))

    assert 300 == with_lag.read().height
    assert 11 == with_lag.asked()


def test_a_column_of_the_source_may_say_when_a_row_came_to_be_known(silo, factory):
    history = History(factory, silo.spec.model_copy(update={"known": "updated_at"}))
    history.read()
    found = newest_of(factory)
    rows = current_rows(found, "id", history.kept, factory.root, known_by="2024-05-01T12:09:00.000000Z")

    assert list(range(10)) == rows["id"].to_list()


def found_of(history: History, **options: bool) -> Reconciliation:
    """Compare a source with what is kept of it."""
    return reconcile("t", history.spec, history.factory.root, history.kept, history.factory.now(), **options)


@pytest.mark.parametrize("key", ["id", "said"], ids=["numbers", "texts"])
def test_what_no_cursor_shows_is_found_by_key_and_repaired(silo, factory, key):
    """Deletions, changes with an old time, and rows that came with one."""
    history = History(factory, silo.spec.model_copy(update={"key": key}))
    history.read()

    assert found_of(history).is_sound

    silo.execute("delete from t where id in (3, 150)")
    silo.execute("update t set amount = amount + 1, updated_at = updated_at where id = 20")
    silo.change(30, at=START)
    silo.add(5000, at=START + timedelta(minutes=5))
    silo.add(5001, at=START + timedelta(days=2))
    if key == "said":
        silo.execute("update t set said = 'late', updated_at = updated_at where id = 5000")
        silo.execute("update t set said = 'it''s 30', amount = 0, updated_at = updated_at where id = 30")
    then = factory.now()
    found = found_of(history)
    names = (
        (lambda *keys: tuple(map(str, keys)))
        if key == "id"
        else (lambda *keys: tuple(f"it's {n}" for n in keys))
    )

    assert not found.is_sound
    assert (2, names(3, 150) if key == "id" else names(150, 3)) == (found.deleted.rows, found.deleted.keys)
    assert (2, names(20, 30)) == (found.changed.rows, found.changed.keys)
    assert (1, ("5000",) if key == "id" else ("late",)) == (found.missed.rows, found.missed.keys)
    assert (1, 300, 300, False) == (found.unread, found.kept, found.rows, found.repaired)
    assert history.of_all_rows() != history.fingerprint()

    assert found_of(history, repairs=True).repaired
    again = found_of(history)

    assert again.is_sound
    assert 1 == again.unread
    rows = history.read()
    assert 300 == rows.height
    if key == "id":
        assert history.of_all_rows() == history.fingerprint()
    past = current_rows(newest_of(factory), key, history.kept, factory.root, known_by=then)

    assert {3, 150} <= {*past["id"]}
    assert 5000 not in {*past["id"]}


def test_rows_that_are_too_long_for_a_text_of_the_server_are_compared_too(factory, mariadb, monkeypatch):
    """In quotes they are longer than its max_allowed_packet, 16 MiB."""
    with at_mariadb(mariadb, monkeypatch) as database:
        database.execute("use shop")
        database.execute("create table t (id int primary key, said longtext, more longtext, n int)")
        database.execute(
            "insert into t values (1, repeat('\\'', 9000000), null, 1), (2, null, repeat('x', 16700000), 1), (3, 'a', 'b', 1)"
        )
        spec = SqlSource(sql="select * from t", at="env:TEST_DB", key="id", cursor="n", lag=0)
        history = History(factory, spec)
        history.read()

        assert found_of(history).is_sound
        assert not read_increment("t", spec, factory.root, history.kept, factory.now()).is_news
        database.execute("update t set said = concat('x', substr(said, 2)) where id = 1")
        database.execute("update t set more = null, said = more where id = 2")
        assert 2 == found_of(history).unread


PLAIN = "plain"


class TestPostgresWithoutLag:
    """The database says how old the oldest open transaction is."""

    @pytest.fixture
    def history(
        self, postgres: Server, monkeypatch: pytest.MonkeyPatch, factory: Factory
    ) -> Iterator[History]:
        monkeypatch.setattr(read_position, "_BEFORE_LISTED", 0)
        with at_postgres(postgres, monkeypatch) as database:
            database.execute(
                "create table t (id int primary key, updated_at timestamptz not null default now())"
            )
            database.execute("insert into t values (1, now() - interval '1 day')")
            yield History(factory, SqlSource(sql=QUERY, at="env:TEST_DB", key="id", cursor="updated_at"))

    def check_late_row(self, postgres: Server, history: History, *others: int) -> None:
        """Have a transaction write below the highest time, after that was read."""
        with psycopg.connect(postgres.url("shop")) as late, psycopg.connect(postgres.url("shop")) as other:
            late.execute("select now()")  # its number of a writer comes later
            other.execute("insert into t values (2)")
            other.commit()

            assert [1, 2, *others] == history.read()["id"].to_list()
            late.execute("insert into t values (3)")
            late.commit()
            other.execute("insert into t values (4)")
            other.commit()

        assert [1, 2, 3, 4, *others] == history.read()["id"].to_list()

    def test_a_row_of_a_transaction_that_ends_late_is_read(self, postgres: Server, history: History) -> None:
        """Its time is that of its beginning."""
        history.read()
        self.check_late_row(postgres, history)

        assert history.asked() == 1

    def test_so_it_is_by_a_user_who_sees_only_that_others_write(
        self, postgres: Server, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Since when, follows from what was seen before: a transaction of before the first look may be of any age."""
        with psycopg.connect(postgres.url("shop"), autocommit=True) as database:
            database.execute("drop role if exists plain")
            database.execute("create role plain login password 'plain'")
            database.execute("grant select on t to plain")
            monkeypatch.setenv("TEST_DB", postgres.url("shop", password=PLAIN).replace("reader:", "plain:"))
            with psycopg.connect(postgres.url("shop")) as oldest:
                oldest.execute("select now()")
                database.execute("insert into t values (10)")
                history.read()

                assert 2 == history.asked()
                oldest.rollback()
            history.read()
            self.check_late_row(postgres, history, 10)
            database.execute("insert into t values (5)")
            history.read()

            assert 1 == history.asked()
            database.execute("drop owned by plain")

    def test_a_time_in_the_future_hides_no_row(self, postgres: Server, history: History) -> None:
        with psycopg.connect(postgres.url("shop"), autocommit=True) as database:
            database.execute("insert into t values (2, now() + interval '1 year')")
            history.read()
            database.execute("insert into t values (3)")

        assert [1, 2, 3] == history.read()["id"].to_list()

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.integers(0, 3)), max_size=14)
    )
    def test_whatever_the_order_of_writes_commits_and_reads_nothing_is_lost_or_there_twice(
        self, postgres: Server, history: History, steps: list[tuple[str, int, int]]
    ) -> None:
        """Two writers, whose transactions begin, write and end at any time between the reads."""
        spec = history.spec.model_copy(update={"sql": f"{QUERY} -- {steps}"})  # a history of its own
        with contextlib.ExitStack() as opened:
            writers = [opened.enter_context(psycopg.connect(postgres.url("shop"))) for _ in range(2)]
            writers[0].execute("alter table t add column if not exists value int not null default 0")
            writers[0].execute("truncate t")
            writers[0].commit()
            of_example = History(history.factory, spec)
            for step, number, key in steps:
                writer = writers[number]
                if step == "begin":
                    writer.execute("select now()")
                elif step == "write":
                    change = "value = t.value + 1, updated_at = now()"
                    writer.execute(
                        f"insert into t values (%s) on conflict (id) do update set {change}",  # noqa: S608
                        [10 * number + key],
                    )
                elif step == "read":
                    of_example.rows()
                else:
                    getattr(writer, step)()
            for writer in writers:
                writer.commit()
            rows = of_example.rows()

            there = writers[0].execute("select id, value from t order by id").fetchall()
            assert there == rows.select("id", "value").rows()
        _, found = newest(definition_of("t", spec, history.factory.root), history.factory.metadata)
        versions = [part.select("id", "value", "updated_at") for part in read_versions(found, history.kept)]

        assert not versions or not pl.concat(versions).is_duplicated().any()
        assert len(there) == found.rows


@pytest.mark.parametrize("silo", ["duckdb", "sqlite"], indirect=True)
def test_rows_that_come_after_the_newest_were_deleted_are_read(factory, silo):
    """A backup of the source was restored, say: its highest cursor has gone back, and new rows come below the one that was read."""
    store = HistoryStore(factory.artifacts, factory.metadata)

    def rows() -> set[int]:
        source, _ = read_current_rows("t", silo.spec, factory.root, store, factory.now())
        return {key for batch in source.batches() for key in batch.frame["id"]}

    rows()
    silo.execute("delete from t where id >= 290")

    found = reconcile("t", silo.spec, factory.root, store, factory.now())
    repaired = reconcile("t", silo.spec, factory.root, store, factory.now(), repairs=True)
    silo.add(500, at=START + timedelta(minutes=293))

    assert (10, "290", 0) == (found.deleted.rows, found.deleted.keys[0], found.missed.rows)
    assert repaired.repaired
    assert {*range(290), 500} == rows()
    assert reconcile("t", silo.spec, factory.root, store, factory.now()).is_sound
