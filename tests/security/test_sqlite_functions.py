"""A query of a SQLite source reads rows, and reaches nothing else: no native code, no endless work, no memory without end."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from time import monotonic

import commands
import pytest

from linewright.data.read.batches import BATCH
from linewright.data.read.reader import fingerprint
from linewright.data.read.source import open_source, read_source
from linewright.data.spec import QueryLimits, SqliteSource
from linewright.errors import RequestError, SpecError
from linewright.line.factory import Factory

LINE = """\
line: segv
sources:
  s:
    sqlite: x.db
    query: >-
      select fts3_tokenizer('simple', x'4141414141414141') is null as k,
      (select x from f where docid = t.rowid) as x from t
label: {column: k}
"""


@pytest.fixture
def folder(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as database:
        database.executescript(
            "create table notes(id integer primary key, words text);"
            "insert into notes values (1, 'red'), (2, 'blue');"
            "create table notes_old(id, words); insert into notes_old values (0, 'grey');"
            "create virtual table found using fts5(words); insert into found values ('red');"
            "create virtual table older using fts4(words); insert into older values ('red');"
            "create virtual table place using rtree(id, x0, x1);"
            "create view seen as select words from found; create view plain as select id from notes;"
        )
    return tmp_path


def ask(folder: Path, query: str, **limits: float) -> list[tuple[object, ...]]:
    return read_source(
        "s", SqliteSource(sqlite="x.db", query=query, limits=QueryLimits(**limits)), folder
    ).frame.rows()


def factory_with_attack(folder: Path) -> Path:
    """Make the line of a database that has SQLite connect a table after its tokenizer was put elsewhere."""
    with closing(sqlite3.connect(folder / "x.db", isolation_level=None)) as database:
        database.executescript(
            "create virtual table evil using fts4(x, tokenize=simple); insert into evil values('hello world');"
            "create virtual table f using fts4(x, tokenize=porter); insert into f values('hello world');"
            "create table t(a); insert into t values('hello'); drop table f_content;"
        )
        database.execute("pragma writable_schema=1")
        database.execute("create view f_content as select docid, x as c0x from evil")
    Factory.create(folder).close()
    (folder / "lines").mkdir(exist_ok=True)

    (folder / "lines" / "segv.yaml").write_text(LINE)
    return folder


@pytest.mark.parametrize("command", [["check", "segv"], ["doctor"], ["run", "segv"]], ids=lambda one: one[0])
def test_a_query_cannot_give_an_address_to_native_code(tmp_path, command):
    """Whoever writes a line's SQL, or shares a database, would otherwise run code in the factory (class of CVE-2015-7036)."""
    factory_with_attack(tmp_path)

    done = subprocess.run(
        [commands.folder() / "linewright", *command, "--factory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode in range(2, 8), said
    assert "Traceback" not in said
    assert "not authorized to use function: fts3_tokenizer" in said


@pytest.mark.parametrize(
    "query",
    [
        "select hex(fts3_tokenizer('simple')) as x",
        "select fts3_tokenizer('simple', x'4141414141414141') as x",
        "select load_extension('x.so') as x",
        "select sqlite_log(1, 'x') as x",
        "select rtreenode(2, x'00') as x",
        "select words from found",
        "select words from older where older match 'red'",
        "select count(*) as n from found",
        "select * from found_data",
        "select count(*) as n from older_segdir",
        "select * from seen",
        "select n.id from notes n join place p on p.id = n.id",
        "select * from sqlite_dbpage",
        "select count(*) as n from dbstat",
        "select * from fts3tokenize('simple') where input = 'a b'",
        "select name from pragma_table_info('notes')",
    ],
)
def test_functions_and_tables_of_extensions_are_refused(folder, query):
    """What extensions of SQLite do with a hostile file is native code that nobody here has looked through."""
    with pytest.raises(SpecError) as caught:
        ask(folder, query)

    assert "sources.s.query" in str(caught.value)


def test_an_ordinary_table_beside_virtual_ones_is_read(folder):
    """A database with a full-text index is common, and its tables are worth as much as those of another."""
    assert [(1, "red"), (2, "blue")] == ask(folder, "select * from notes order by id")
    assert [(0, "grey")] == ask(folder, "select * from notes_old")
    assert [(2,)] == ask(folder, "select count(*) as n from notes")
    assert [(1,), (2,)] == ask(folder, "select id from plain order by id")


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("with c as (select 1 as a) select count(*) as n from c", [(1,)]),
        ("select json_extract('{\"a\": 5}', '$.a') as x, '{\"b\": 1}' ->> 'b' as y", [(5, 1)]),
        ("select value as v from json_each('[1, 2]')", [(1,), (2,)]),
        ("select date('2024-02-30') as d, unixepoch('1970-01-02') as s", [("2024-03-01", 86400)]),
        ("select id, lag(id) over (order by id) as before from notes", [(1, None), (2, 1)]),
        ("select group_concat(words) as w, round(sqrt(16)) as r, avg(id) as a from notes", [("red,blue", 4.0, 1.5)]),
        ("select words from notes where words like 'r%' and words glob 'r*' and length(hex(zeroblob(4))) = 8", [("red",)]),
        ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 5) select sum(i) as s from n", [(15,)]),
    ],
)  # fmt: skip
def test_what_sqlite_documents_of_itself_works(folder, query, answer):
    """An allow-list that forgets what people use is a broken feature."""
    assert answer == ask(folder, query)


@pytest.mark.parametrize(
    "query",
    [
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as m from n",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 9999) select count(*) as c from n a, n b, n c",
        "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0",
    ],
)
def test_a_query_without_end_is_ended(folder, query):
    """A query that gives no row holds whatever reads it: check, the control plane, the worker."""
    began = monotonic()

    with pytest.raises(SpecError) as caught:
        ask(folder, query, seconds=0.1)

    assert "the query gave no row for 0.1 s" in str(caught.value)
    assert "sources.s.limits.seconds" in caught.value.hint
    assert monotonic() - began < 30


def test_a_query_with_rows_without_end_is_ended(folder):
    """Each row is progress; so rows have a limit of their own, also where a digest of them is made."""
    spec = SqliteSource(
        sqlite="x.db",
        query="with recursive n(i) as (select 1 union all select i + 1 from n) select i from n",
        limits=QueryLimits(rows=10_000),
    )

    for read in (lambda: open_source("s", spec, folder), lambda: fingerprint(spec, folder, "sources.s")):
        with pytest.raises(RequestError) as caught:
            read()
        assert "more than 10,000 rows" in str(caught.value)
        assert "sources.s.limits.rows" in caught.value.hint


@pytest.mark.parametrize(
    "query",
    [
        "select length(zeroblob(500000000)) as x",
        "select hex(randomblob(100000000)) as x",
        "select replace(hex(zeroblob(5000000)), '0', '0000') as x",
        "with recursive n(x) as (select 'a' union all select x || x from n) select x from n",
        "select group_concat(hex(zeroblob(100000))) as x from json_each('[' || substr(replace(hex(zeroblob(500)), '0', ',1'), 2) || ']')",
    ],
)
def test_a_value_is_at_most_as_long_as_a_row_of_a_file(folder, query):
    """A few words of SQL make a value of a gigabyte, of which several copies are made on its way."""
    began = monotonic()

    with pytest.raises(SpecError, match="too big"):
        ask(folder, query)

    assert monotonic() - began < 30


def test_formatting_makes_no_long_text_either(folder):
    """`printf` took 9 s and 500 MB for this one."""
    began = monotonic()

    assert len(ask(folder, "select printf('%.*c', 500000000, 'x') as x")[0][0] or "") <= BATCH
    assert monotonic() - began < 30


def test_rows_of_a_query_are_held_within_bounds(folder):
    """All rows of a query are in memory: where they do not fit, an error says it before the system kills somebody."""
    program = """\
        import resource, sys
        from pathlib import Path
        from linewright.data.read.source import read_source
        from linewright.data.spec import SqliteSource
        from linewright.errors import LinewrightError

        resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))
        query = "with recursive n(i) as (select 1 union all select i + 1 from n) select hex(zeroblob(100000)) as x from n"
        try:
            read_source("s", SqliteSource(sqlite="x.db", query=query), Path(sys.argv[1]))
        except LinewrightError as error:
            print(error)
    """
    done = run_python(program, folder)

    assert 0 == done.returncode, done.stderr
    assert "its rows take more than 0.5 GiB" in done.stdout


def run_python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    done = commands.run(words, of=commands.programs("linewright.data.read.source"), text=True, timeout=60)
    assert -done.returncode not in set(signal.Signals), done.stderr
    return done


def test_more_time_and_rows_change_no_digest(folder):
    """Raising a limit must not have everything computed anew."""
    query = "select * from notes"
    few, many = (
        SqliteSource(sqlite="x.db", query=query, limits=QueryLimits(rows=most)) for most in (10, 1_000_000)
    )

    assert fingerprint(few, folder) == fingerprint(many, folder)
