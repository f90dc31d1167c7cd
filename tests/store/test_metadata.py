"""Metadata: the suite on SQLite and PostgreSQL, and what only a database can do wrong."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from interpreter import printed_by
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from linewright.errors import Corrupt, NotFound, SpecError, Terminal, Transient
from linewright.release.facts import Promoted
from linewright.store.metadata.audit_chain import ROOT, follow
from linewright.store.metadata.database import open_database, reading, writing
from linewright.store.metadata.migrations import revisions
from linewright.store.metadata.snapshot import FEW, Snapshot
from linewright.store.metadata.sql import REVISIONS, TABLES, SqlMetadata
from linewright.store.protocols import Pointer
from linewright.testing.store import Happened, MetadataContract, Sample, happened


class TestSqlite(MetadataContract):
    @pytest.fixture
    def metadata(self, tmp_path):
        with SqlMetadata(f"sqlite:///{tmp_path}/metadata.sqlite") as metadata:
            yield metadata


class TestSqliteInMemory(MetadataContract):
    @pytest.fixture
    def metadata(self):
        with SqlMetadata("sqlite://") as metadata:
            yield metadata


class TestPostgres(MetadataContract):
    @pytest.fixture
    def metadata(self, postgres_database):
        with SqlMetadata(postgres_database) as metadata:
            yield metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/metadata.sqlite"
    return request.getfixturevalue("postgres_database")


def _python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process):
    out, err = process.communicate("go\n", timeout=120)

    assert (0, "") == (process.returncode, err)
    return out.strip()


MOVES = """
import sys
from linewright.errors import Conflict
from linewright.store.protocols import Pointer
from linewright.store.metadata.sql import SqlMetadata
from linewright.testing.store import happened
metadata = SqlMetadata(sys.argv[1])
sys.stdin.readline()
won = 0
for generation in range(1, 21):
    try:
        metadata.move("claims", Pointer(generation=generation, champion=int(sys.argv[2])), happened(generation))
        won += 1
    except Conflict:
        pass
print(won)
"""


def test_of_two_processes_that_promote_at_once_exactly_one_wins_each_generation(url):
    """A line has one champion; two people may press the button in the same second."""
    SqlMetadata(url).close()
    racers = [_python(MOVES, url, champion) for champion in (1, 2)]
    won = [int(_finish(racer)) for racer in racers]

    with SqlMetadata(url) as metadata:
        assert 20 == sum(won) == metadata.pointer("claims").generation
        assert list(range(1, 21)) == [event.number for event in metadata.events(Happened)]


WRITES = """
import sys
from linewright.store.metadata.sql import SqlMetadata
from linewright.testing.store import Sample, happened
sys.stdin.readline()
with SqlMetadata(sys.argv[1]) as metadata:
    for number in range(15):
        metadata.record(happened(1000 * int(sys.argv[2]) + number))
        metadata.register("claims", f"{sys.argv[2]}-{number}", at="2026-11-25T01:02:03.000004Z")
        metadata.keep(Sample(value=number))
"""


def test_many_processes_may_make_and_write_one_factory_at_once(url):
    """`up`, `run` and a console share the state; nothing is lost, nothing fails."""
    writers = [_python(WRITES, url, number) for number in range(3)]
    for writer in writers:
        writer.stdin.flush()
    for writer in writers:
        _finish(writer)

    with SqlMetadata(url) as metadata:
        assert {1000 * w + n for w in range(3) for n in range(15)} == {
            e.number for e in metadata.events(Happened)
        }
        assert list(range(1, 46)) == [version.version for version in metadata.versions("claims")]


def test_a_kill_in_the_middle_of_a_move_leaves_neither_half(tmp_path):
    """The pointer and the event change together or not at all."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    dies = (
        "import os, signal, sys; from linewright.store.metadata import sql; from linewright.store.protocols import Pointer\n"
        "from linewright.testing.store import happened\n"
        "append = sql._append\n"
        "sql._append = lambda c, e: (append(c, e), os.kill(os.getpid(), signal.SIGKILL))\n"
        "sql.SqlMetadata(sys.argv[1]).move('claims', Pointer(generation=1, champion=1), happened(1))"
    )
    done = subprocess.run([sys.executable, "-c", dies, url], check=False)

    with SqlMetadata(url) as metadata:
        assert -9 == done.returncode
        assert Pointer() == metadata.pointer("claims")
        assert [] == metadata.events(Happened)


def test_a_kill_while_the_schema_is_made_leaves_a_factory_that_opens(tmp_path):
    """`new` interrupted on a slow disk must not need a repair by hand."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    dies = (
        "import os, signal, sys; from alembic import op; from linewright.store.metadata.sql import SqlMetadata\n"
        "op.create_index = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "SqlMetadata(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", dies, url], check=False)

    with SqlMetadata(url) as metadata:
        assert -9 == done.returncode
        assert 1 == metadata.register("claims", "a", at="2026-11-25T01:02:03.000004Z")


@pytest.mark.parametrize("table", ["results", "events"])
@pytest.mark.parametrize("change", ["update {} set body = 'x'", "delete from {}"])
def test_the_database_itself_refuses_to_change_a_fact(url, table, change):
    """History cannot be edited by a stray statement."""
    with SqlMetadata(url) as metadata:
        digest = metadata.keep(Sample(value=1.0))
        metadata.record(happened(1))
        engine = open_database(url)

        with pytest.raises(DBAPIError, match=f"{table} never change"), writing(engine) as connection:
            connection.exec_driver_sql(change.format(table))
        assert Sample(value=1.0) == metadata.get(digest, Sample)
        assert [happened(1)] == metadata.events(Happened)
        engine.dispose()


def test_replacing_a_row_is_refused_like_deleting_it(tmp_path):
    """SQLite's `insert or replace` deletes silently unless recursive triggers are on."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    with SqlMetadata(url) as metadata:
        digest = metadata.keep(Sample(value=1.0))
        engine = open_database(url)

        with pytest.raises(DBAPIError, match="results never change"), writing(engine) as connection:
            connection.exec_driver_sql("insert or replace into results values (?, 'k', 1, 'x')", (digest,))
        engine.dispose()


def test_changed_bytes_are_refused_before_they_are_parsed(tmp_path):
    """A disk may flip what no statement may change."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    with SqlMetadata(url) as metadata:
        digest = metadata.keep(Sample(value=1.0, text="aaaaaaaaaa"))
    file = tmp_path / "metadata.sqlite"
    stored = file.read_bytes()
    file.write_bytes(stored.replace(b"aaaaaaaaaa", b'aaaa"aaaaa'))

    with SqlMetadata(url) as metadata:
        with pytest.raises(Corrupt, match="stored bytes have changed"):
            metadata.get(digest, Sample)
        with pytest.raises(Corrupt, match="stored bytes have changed"):
            metadata.body(digest)


def test_history_leaves_out_kinds_that_it_does_not_know():
    """An older console reads a newer factory's log."""
    with SqlMetadata("sqlite://", kinds=[]) as metadata:
        metadata.record(happened(1))

        assert [] == metadata.history()
        assert [happened(1)] == metadata.events(Happened)


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(url):
    """The two descriptions of the schema cannot drift apart."""
    with SqlMetadata(url):
        pass
    engine = open_database(url)
    with reading(engine) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), TABLES)
    engine.dispose()

    assert [] == differences


def test_the_code_knows_each_revision():
    """Opening compares with this list instead of importing Alembic."""
    assert revisions() == REVISIONS


@pytest.mark.parametrize(
    ("change", "bad", "entries"),
    [
        ("update events set body = replace(body, '2', '9') where seq = 3", 3, 2),
        ("update events set because = 'another reason' where seq = 3", 3, 2),
        ("update events set at = '2020-01-01T00:00:00.000000Z' where seq = 3", 3, 2),
        ("delete from events where seq = 1", 2, 0),
        ("delete from events where seq = 3", 4, 2),
        ("delete from events where seq = 5", 5, 4),
        ("delete from events", 1, 0),
        (
            "insert into events select 9, kind, line, at, by, because, body, chain from events where seq = 5",
            9,
            5,
        ),
        ("update heads set digest = 'x'", 5, 4),
    ],
)
def test_the_chain_names_the_first_entry_that_somebody_changed(tmp_path, change, bad, entries):
    """Who can write the file can switch off its triggers; the digests tell."""
    with SqlMetadata(f"sqlite:///{tmp_path}/metadata.sqlite") as metadata:
        for number in range(5):
            metadata.record(happened(number))
        before = follow(metadata.links(), metadata.head())
        chained = [ROOT, *(one.chain for one in metadata.links())]
        with sqlite3.connect(tmp_path / "metadata.sqlite") as database:
            database.executescript("drop trigger events_no_update; drop trigger events_no_delete;" + change)
        database.close()
        after = follow(metadata.links(), metadata.head())

    assert (5, None, chained[-1]) == (before.entries, before.first_bad, before.head)
    assert bad == after.first_bad
    assert chained[after.entries] == after.head
    assert entries == after.entries


def test_a_record_whose_end_of_the_chain_was_removed_takes_no_event(url):
    """What would be chained to nothing could never be shown to be whole."""
    with SqlMetadata(url) as metadata:
        metadata.record(happened(1))
        engine = open_database(url)
        with writing(engine) as connection:
            connection.exec_driver_sql("delete from heads")
        engine.dispose()

        with pytest.raises(
            Corrupt, match=r"the end of the chain of events is gone.*restore it from a backup"
        ):
            metadata.record(happened(2))
        with pytest.raises(Corrupt, match=r"the end of the chain of events is gone"):
            metadata.head()
        assert [happened(1)] == metadata.events(Happened)


def test_a_state_written_by_a_newer_version_is_refused_and_says_what_to_do(url):
    """Going back must not destroy what the newer version wrote."""
    with SqlMetadata(url):
        pass
    engine = open_database(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    engine.dispose()

    with pytest.raises(
        Terminal, match=r"another version of Linewright: found '9999', allowed: 0\.1\.0\. Next: upgrade"
    ):
        SqlMetadata(url)


def test_opening_an_up_to_date_factory_does_not_import_alembic(tmp_path):
    """Every command opens the store; Alembic costs a third of a second."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    SqlMetadata(url).close()
    code = f"import sys; from linewright.store.metadata.sql import SqlMetadata; SqlMetadata({url!r}).close(); print('alembic' in sys.modules)"
    printed = printed_by(code)

    assert "False" == printed.strip()


def test_sqlite_is_opened_with_settings_that_survive_a_crash(tmp_path):
    """The interpreter's SQLite corrupts WAL databases under several writers."""
    file = tmp_path / "metadata.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table t (x)")
    connection.close()
    engine = open_database(f"sqlite:///{file}")
    names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
    with reading(engine) as connection:
        settings = [connection.exec_driver_sql(f"pragma {name}").scalar() for name in names]
    engine.dispose()

    assert ["delete", 2, 1, 1, 30_000] == settings


def test_text_that_is_no_utf_8_is_damage(tmp_path):
    """A bit of a disk that turned over; the driver does not name this as it names other damage, so it was told as a bug."""
    with SqlMetadata(f"sqlite:///{tmp_path}/metadata.sqlite") as metadata:
        metadata.record(happened(1))
        with closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as database:
            for (name,) in database.execute(
                "select name from sqlite_master where type = 'trigger'"
            ).fetchall():
                database.execute(f"drop trigger {name}")
            database.execute("update events set body = cast(x'ff' as text)")
            database.commit()
        with pytest.raises(Corrupt, match="UTF-8"):
            list(metadata.links())


def test_what_was_asked_of_one_factory_is_compiled_for_no_other(tmp_path, monkeypatch):
    """A server opens its factory for each request, and a query takes less time than to compile it."""

    def ask(metadata):
        metadata.register("claims", "sha256:aa", at="2026-11-25T01:02:03.000004Z", event=happened)
        return metadata.versions("claims"), metadata.events(Happened, line="claims"), metadata.lines()

    def refuse(*_, **__):
        raise AssertionError("it was compiled again")

    with (
        SqlMetadata(f"sqlite:///{tmp_path}/first.sqlite") as first,
        SqlMetadata(f"sqlite:///{tmp_path}/second.sqlite") as second,
    ):
        found = ask(first)
        monkeypatch.setattr(SQLCompiler, "__init__", refuse)

        assert found == ask(second)
        assert [1] == [one.version for one in found[0]]


def test_a_database_that_stays_busy_is_worth_another_try(tmp_path):
    """The caller decides by the type whether to wait longer."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    with SqlMetadata(url) as metadata:
        holder = sqlite3.connect(tmp_path / "metadata.sqlite", isolation_level=None)
        holder.execute("begin immediate")
        with reading(metadata._engine) as connection:
            connection.exec_driver_sql("pragma busy_timeout=10")

        with pytest.raises(Transient, match=r"another process holds the database.*Next: try again"):
            metadata.record(happened(1))
        holder.close()
        metadata.record(happened(2))

        assert [happened(2)] == metadata.events(Happened)


def test_a_reader_is_not_held_up_by_an_open_writing_transaction(tmp_path):
    """The console answers while a run writes."""
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    with SqlMetadata(url) as metadata, writing(open_database(url)):
        began = time.monotonic()

        assert Pointer() == metadata.pointer("claims")
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("place", "kind", "says"),
    [
        ("sqlite:///{}/none/metadata.sqlite", Terminal, "cannot be opened.*check that its folder exists"),
        (
            "sqlite:///file:{}/there.sqlite?mode=ro&uri=true",
            Terminal,
            "cannot be written.*let this user write",
        ),
        ("sqlite:///{}/text.sqlite", Corrupt, "is damaged.*restore it from a backup"),
        ("postgresql://nobody:secret@/none?host={}", Transient, "did not answer.*check that the server runs"),
        ("mysql://localhost/x", SpecError, "found 'mysql', allowed: sqlite"),
        ("metadata.sqlite", SpecError, "found 'not a URL', allowed: sqlite"),
    ],
)
def test_a_place_that_cannot_be_used_says_what_where_and_next(tmp_path, place, kind, says):
    """Nobody reads a traceback of the database driver at 3 a.m., and no password is shown."""
    sqlite3.connect(tmp_path / "there.sqlite").close()
    (tmp_path / "text.sqlite").write_text("this is no database, but a text of some length" * 50)

    with pytest.raises(kind, match=f"(?s){says}") as caught:
        SqlMetadata(place.format(tmp_path))
    assert "secret" not in str(caught.value)


def test_a_folder_of_another_user_is_refused_with_a_sentence():
    """A service account without rights is the most common mistake of an installation."""
    code = (
        "import os, sys; from linewright.errors import Terminal; from linewright.store.metadata.sql import SqlMetadata\n"
        "from linewright.store.artifacts.local import LocalArtifacts; from pathlib import Path\n"
        "SqlMetadata('sqlite://').close()\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for act in (lambda: SqlMetadata('sqlite:////no.sqlite'), lambda: LocalArtifacts(Path('/no')).put(b'x')):\n"
        "    try: act()\n"
        "    except Terminal as error: print(error.what)"
    )
    printed = printed_by(code)

    assert "the database cannot be opened\nthe artifact folder cannot be written or read\n" == printed


# Many lines at once


def _forced(line, number, certificate):
    return Promoted(
        at="2026-11-25T01:02:03.000004Z",
        by="ada",
        because="a test",
        line=line,
        model=number,
        package="sha256:aa",
        before=None,
        generation=number,
        certificate=certificate,
    )


def test_a_snapshot_says_of_each_line_what_the_record_says(url):
    """What is read for a thousand lines at once must be what each of them is asked for alone."""
    lines = ["a", "b", "b.lyon", "unheard-of"]
    with SqlMetadata(url) as metadata:
        kept = [metadata.keep(Sample(value=float(number))) for number in range(3)]
        for number in range(1, 13):
            metadata.record(happened(number, line=lines[number % 3]))
        for number, line in enumerate(lines[:3], 1):
            metadata.register(line, "sha256:aa", at="2026-11-25T01:02:03.000004Z")
            metadata.register(line, f"sha256:{number}", at="2026-11-25T01:02:03.000004Z")
            metadata.move(
                line, Pointer(generation=1, champion=1, halt=number == 2), _forced(line, 1, kept[number - 1])
            )
        snapshot = Snapshot(metadata, lines)

        for line in lines:
            assert metadata.pointer(line) == snapshot.pointer(line)
            assert metadata.versions(line) == snapshot.versions(line)
            for limit in (1, 3, FEW, 2 * FEW, 0):
                for newest_first in (True, False):
                    asked = {"line": line, "newest_first": newest_first, "limit": limit}
                    assert metadata.events(Happened, **asked) == Snapshot(metadata, lines).events(
                        Happened, **asked
                    )
                    assert metadata.events(Promoted, **asked) == snapshot.events(Promoted, **asked)
        assert metadata.events(Happened) == snapshot.events(Happened)
        assert [0.0, 1.0, 2.0] == [snapshot.get(digest, Sample).value for digest in kept]
        assert metadata.get_all(kept, Sample) == snapshot.get_all(kept, Sample)
        with pytest.raises(NotFound, match="no result"):
            snapshot.get("sha256:ff", Sample)


def test_bytes_that_changed_are_not_read_for_many_lines_either(tmp_path):
    """A certificate that was edited is told, however many were read with it."""
    file = tmp_path / "metadata.sqlite"
    with SqlMetadata(f"sqlite:///{file}") as metadata:
        digest = metadata.keep(Sample(value=1.0))
        metadata.record(_forced("a", 1, digest))
        with sqlite3.connect(file) as database:
            database.executescript(
                "drop trigger results_no_update; UPDATE results SET body = replace(body, '1', '2')"
            )
        snapshot = Snapshot(metadata, ["a"])
        snapshot.events(Promoted, line="a")

        for read in (snapshot, metadata):
            with pytest.raises(Corrupt, match="stored bytes have changed"):
                read.get_all([digest], Sample)
        with pytest.raises(Corrupt, match="stored bytes have changed"):
            snapshot.get(digest, Sample)


def test_the_lines_are_known_that_something_was_recorded_about(url):
    """The worker asks this twice a second, instead of asking about each line."""
    with SqlMetadata(url) as metadata:
        start = metadata.lines_since(None)
        metadata.record(happened(1, line="a"))
        first, of_first = metadata.lines_since(start[0])
        metadata.record(happened(2, line="b"))
        metadata.record(happened(3, line="b"))
        second, of_second = metadata.lines_since(first)

        assert (0, set()) == start
        assert ({"a"}, {"b"}) == (of_first, of_second)
        assert (second, set()) == metadata.lines_since(second) == metadata.lines_since(None)
