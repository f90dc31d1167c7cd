"""Rows that are sent to a source: durable before they are acknowledged, kept once, and read by lines."""

import http.client
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import polars as pl
import pytest
from databases import at_postgres, share_features

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.client import Client
from linewright.data.read.reader import fingerprint
from linewright.data.read.source import read_source
from linewright.data.spec import PushSource
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.holdings.chained import SentRows
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.serve.access.accounts import Grant
from linewright.serve.access.change_accounts import change, new_token, with_token
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.store import pushed_rows
from linewright.store.pushed_rows import Columns, ForgottenText, PushedRows
from linewright.store.values import keyed_hash

ROWS = "/v1/sources/payments/rows"
SPEC = PushSource(push="payments", key="id", time="paid_at")
LATER = SPEC.model_copy(update={"versions": "all"})


def payment(number: int, amount: object = 1.5, **more: object) -> dict[str, object]:
    return {"id": number, "paid_at": "2026-05-01T10:00:00Z", "amount": amount, **more}


@pytest.fixture
def pushed(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PushedRows]:
    with ExitStack() as stack:
        if getattr(request, "param", "file") == "shared":
            stack.enter_context(at_postgres(request.getfixturevalue("postgres"), monkeypatch))
            share_features(tmp_path)
        yield _opened(tmp_path)


def _opened(tmp_path: Path) -> PushedRows:
    made = PushedRows.of(tmp_path / ".linewright", "payments")
    made.file.parent.mkdir(parents=True)
    made.open_for(Columns("id", "paid_at"))
    return made


def kept(root: Path, spec: PushSource = SPEC) -> pl.DataFrame:
    return read_source("s", spec, root).frame


def send(address: tuple[str, int], rows: list[dict[str, object]]) -> dict[str, object] | None:
    """Return the answer, or nothing if the process that was asked is gone."""
    with (
        closing(http.client.HTTPConnection(*address, timeout=30)) as connection,
        suppress(OSError, http.client.HTTPException),
    ):
        connection.request("POST", ROWS, json.dumps({"rows": rows}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        return said
    return None


ANYWHERE = pytest.mark.parametrize("pushed", ["file", "shared"], indirect=True)


@ANYWHERE
@pytest.mark.usefixtures("pushed")
def test_rows_are_kept_once_and_corrections_are_versions(tmp_path, start):
    """A client that got no answer sends its rows anew; one that corrects a row sends it with another value."""
    served = start(tmp_path / ".linewright")
    answers = [
        served.ask("POST", ROWS, {"rows": rows})[2]
        for rows in (
            [payment(1), payment(2)],
            [payment(1), payment(2), payment(3)],
            [payment(1, 7.5)],
            [payment(1)],
            [payment(4), payment(4)],
        )
    ]

    assert [(2, 0), (1, 2), (1, 0), (1, 0), (1, 1)] == [(one["accepted"], one["repeated"]) for one in answers]
    assert {"durable"} == {one["durability"] for one in answers}
    assert [[]] * 5 == [one["counts_in"] for one in answers]
    newest, everything = kept(tmp_path), kept(tmp_path, LATER)
    assert [2, 3, 1, 4] == newest["id"].to_list()
    assert [1, 2, 3, 1, 1, 4] == everything["id"].to_list()
    assert [1.5, 1.5, 1.5, 7.5, 1.5, 1.5] == everything["amount"].to_list()
    came = everything["known"].to_list()
    assert came == sorted(came)
    assert 5 == len(set(came))


@pytest.mark.usefixtures("pushed")
def test_what_was_acknowledged_survives_kills_of_the_processes_that_took_it(tmp_path, start):
    """Each row that a client was told of is there once, whichever process died in between."""
    (tmp_path / "lines").mkdir()
    served = start(tmp_path / ".linewright", workers=2)
    done = threading.Event()
    acknowledged, retried = set[int](), [0]

    def client(number: int) -> None:
        for one in range(number, 10_000, 4):
            if done.is_set():
                return
            rows = [payment(one * 2), payment(one * 2 + 1)]
            while send(served.address, rows) is None:
                retried[0] += 1
            acknowledged.update(row["id"] for row in rows)

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        for _ in range(2):
            before, many = children(served.process.pid), len(acknowledged)
            served.wait_for(lambda: len(acknowledged) > many + 20, within_s=30)  # noqa: B023
            os.kill(before[0], signal.SIGKILL)
            served.wait_for(lambda: len(set(children(served.process.pid)) - {before[0]}) == 2, within_s=30)  # noqa: B023
        done.set()
        for one in clients:
            one.result()
    everything = kept(tmp_path, LATER)["id"].to_list()

    assert len(acknowledged) > 40
    assert set(everything) >= acknowledged
    assert len(everything) == len(set(everything))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


WRONG = [
    ({"paid_at": "2026-05-01"}, "rows[1].id", "what it is about"),
    ({"id": " ", "paid_at": "2026-05-01"}, "rows[1].id", "what it is about"),
    ({"id": 1}, "rows[1].paid_at", "when it happened"),
    (payment(1, paid_at="yesterday"), "rows[1].paid_at", "when it happened"),
    (payment(1, known="2026-05-01"), "rows[1].known", "says when a row came"),
    (payment(1, tags=["a"]), "rows[1].tags", "cannot be kept"),
    (payment(1, amount=2**63), "rows[1].amount", "cannot be kept"),
    (payment(1, **{" ": 1}), "rows[1]", "name of a column"),
]


def test_a_row_that_cannot_be_kept_is_refused_with_all_others(tmp_path, pushed, start):
    """All rows of a request are kept, or none."""
    served = start(tmp_path / ".linewright")
    for row, where, what in WRONG:
        status, _, answer = served.ask("POST", ROWS, {"rows": [payment(9), row]})

        assert (422, where) == (status, answer["where"])
        assert what in answer["what"]
    assert not pushed.has_rows


def test_only_sources_that_a_line_file_names_take_rows(tmp_path, start):
    """A name alone makes no file; one that could be a path is none."""
    served = start(tmp_path / ".linewright")
    for name, expected in (("payments", 404), ("..", 422), ("a.b", 422)):
        assert expected == served.ask("POST", f"/v1/sources/{name}/rows", {"rows": [payment(1)]})[0]
    (tmp_path / ".linewright").mkdir(exist_ok=True)
    with pytest.raises(
        RequestError, match=r"no row was sent to this source yet.*POST /v1/sources/payments/rows"
    ):
        kept(tmp_path)

    assert 200 == served.ask("POST", ROWS, {"rows": [payment(1)]})[0]
    assert [1] == kept(tmp_path)["id"].to_list()
    with pytest.raises(RequestError, match=r"another key or time.*key: id, time: paid_at"):
        kept(tmp_path, SPEC.model_copy(update={"key": "amount"}))


def test_to_send_rows_is_a_right_of_its_own(tmp_path, pushed, start):
    """Who may predict, or label one line, may not write what several lines learn from."""
    del pushed
    served, statuses = start(tmp_path / ".linewright"), dict[tuple[str, str], int]()
    for role, lines in (
        ("push", ()),
        ("engineer", ()),
        ("push", ("claims",)),
        ("predict", ()),
        ("feedback", ()),
    ):
        one = new_token(
            name=f"{role}-{len(lines)}",
            grant=Grant(role=role, lines=lines),
            member="",
            created="2026-01-01T00:00:00.000000Z",
            expires="2999-01-01T00:00:00.000000Z",
        )
        change(tmp_path / ".linewright", with_token(one))
        asked = served.ask("POST", ROWS, {"rows": [payment(1)]}, Authorization=f"Bearer {one.token}")
        statuses[role, *lines] = asked[0]

    with Client("http://{}:{}".format(*served.address)) as client:
        told = client.push("payments", [payment(1), payment(2)])

    assert (1, 1) == (told.accepted, told.repeated)
    assert {
        ("push",): 200,
        ("engineer",): 200,
        ("push", "claims"): 403,
        ("predict",): 403,
        ("feedback",): 403,
    } == statuses


def test_a_backup_has_what_was_pushed(tmp_path):
    """It is the only copy: who sent it was told that it is kept."""
    (tmp_path / "factory" / "lines").mkdir(parents=True)
    with Factory.create(tmp_path / "factory") as factory:
        pushed = PushedRows.of(factory.state, "payments")
        pushed.open_for(Columns("id", "paid_at"))
        pushed.keep(to_new_rows([payment(1), payment(2)], pushed.columns))
        make_backup(factory, tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")

    assert kept(tmp_path / "factory").equals(kept(tmp_path / "new"))


@pytest.mark.parametrize("statement", [0, 1, 3, 8])
def test_a_source_whose_opening_was_killed_is_opened_by_the_next_one(tmp_path, statement):
    """The file is there before its tables are, and does not make it a source that takes rows."""
    file = tmp_path / ".linewright/push/payments.sqlite"
    file.parent.mkdir(parents=True)
    statements = pushed_rows._STEPS[0].split(";\n")[:statement]
    child = os.fork()
    if not child:
        with sqlite3.connect(file, isolation_level=None) as database:
            database.execute("PRAGMA synchronous = EXTRA")
            database.execute("BEGIN IMMEDIATE")
            for one in statements:
                database.execute(one)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    made = PushedRows.of(tmp_path / ".linewright", "payments")

    assert not made.is_open
    assert [] == SentRows().strange_in(file)
    with pytest.raises(RequestError, match="no row was sent"):
        kept(tmp_path)
    assert made.is_open
    made.keep(to_new_rows([payment(1)], made.columns))
    assert [1] == kept(tmp_path)["id"].to_list()


def test_columns_have_the_types_of_their_values(tmp_path, pushed):
    """Whole numbers beside others are numbers; what a row lacks is null."""
    pushed.keep(
        to_new_rows(
            [
                payment(1, whole=1, truth=True, late=None),
                payment(2, 3, whole=2, truth=False, text="x"),
                payment(3, 2.25, whole=None, truth=None, late=4),
            ],
            pushed.columns,
        )
    )
    frame = kept(tmp_path)

    assert [1, 2, None] == frame["whole"].to_list()
    assert [True, False, None] == frame["truth"].to_list()
    assert [None, None, 4] == frame["late"].to_list()
    assert [None, "x", None] == frame["text"].to_list()
    assert [1.5, 3.0, 2.25] == frame["amount"].to_list()
    assert pl.Datetime("us", "UTC") == frame.schema["known"]


@pytest.mark.usefixtures("pushed")
def test_a_column_keeps_the_kind_of_its_first_value(tmp_path, start):
    """One row of another kind would make a text of a column of numbers, which no correction of the row mends."""
    served = start(tmp_path / ".linewright")

    def sent(*rows: dict[str, object]) -> tuple[int, dict[str, object]]:
        status, _, said = served.ask("POST", ROWS, {"rows": list(rows), "new_columns": True})
        return status, said

    assert 200 == sent(payment(1, late=None), payment(2, 7, truth=True))[0]
    for value, kind in (("five", "text"), (True, "boolean")):
        status, said = sent(payment(3, note="a"), payment(1, value))

        assert (422, "rows[1].amount", value) == (status, said["where"], said["found"])
        assert f"a {kind} cannot be kept" in str(said["what"])
        assert "a number, as its first value was, or null" == said["allowed"]
    assert 422 == sent(payment(4, late="no"), payment(5, late=1))[0]
    assert 422 == sent(payment(4, truth=1))[0]
    assert 200 == sent(payment(3, None, note=5, late=0.5, truth=None), payment(6, 2.5, truth=False))[0]
    frame = kept(tmp_path)

    assert [1.5, 7.0, None, 2.5] == frame["amount"].to_list()
    assert [None, None, 5, None] == frame["note"].to_list()


@ANYWHERE
def test_a_source_takes_no_more_columns_than_its_readers(tmp_path, pushed, monkeypatch):
    """Rows cannot be removed: one row too many would stop each line that reads the source, for ever."""
    monkeypatch.setattr("linewright.store.pushed_rows.MOST_COLUMNS", 5)
    monkeypatch.setattr("linewright.data.read.push_reader.MOST_READ_COLUMNS", 5)
    columns = pushed.columns
    pushed.keep(to_new_rows([payment(1, a=None), payment(2, b=1)], columns))
    pushed.keep(to_new_rows([payment(3, a="x", b=None)], columns))

    for extra in ({"c": None}, {"c": 1.5}):
        with pytest.raises(RequestError, match="too many columns") as refused:
            pushed.keep(to_new_rows([payment(4), payment(5, **extra)], columns, new_columns=True))
        assert "rows[1].c" == refused.value.where
    assert [1, 2, 3] == kept(tmp_path)["id"].to_list()


def test_names_of_columns_cannot_make_the_table_of_readers_wide(tmp_path):
    """Who may send rows alone would else make each run of a line take gigabytes: every name is a column of all rows."""
    pushed = _opened(tmp_path)
    columns, wide = (
        pushed.columns,
        [{f"c{number:05}": 1 for number in range(at, at + 500)} for at in (0, 500, 1000)],
    )
    pushed.keep(to_new_rows([payment(1)], columns))
    pushed.keep(to_new_rows([payment(2, **wide[0])], columns, new_columns=True))
    with pytest.raises(RequestError, match="too many columns") as refused:
        pushed.keep(to_new_rows([payment(3, **wide[1])], columns, new_columns=True))

    assert "at most 1,000" == refused.value.allowed
    assert (2, 504) == kept(tmp_path).shape


def test_a_source_that_has_more_columns_than_new_ones_may_is_read(tmp_path, monkeypatch):
    """Earlier versions took ten times as many: their rows must not stop a line."""
    pushed = _opened(tmp_path)
    with monkeypatch.context() as earlier:
        earlier.setattr("linewright.store.pushed_rows.MOST_COLUMNS", 10_000)
        for at in (0, 900):
            wide = {f"c{number:05}": 1 for number in range(at, at + 900)}
            pushed.keep(to_new_rows([payment(at, **wide)], pushed.columns, new_columns=True))
    pushed.keep(to_new_rows([payment(7, c00001=2)], pushed.columns, new_columns=True))

    assert (3, 1804) == kept(tmp_path).shape


OF_THE_FIRST_FORM = """
CREATE TABLE source (key TEXT NOT NULL, time TEXT);
CREATE TABLE rows (seq INTEGER PRIMARY KEY, known INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, digest BLOB NOT NULL);
CREATE INDEX rows_by_key ON rows (key, seq);
CREATE INDEX rows_by_known ON rows (known);
CREATE TABLE kinds (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO source VALUES ('id', 'paid_at');
INSERT INTO rows VALUES (1, 5, '1', '{"id":1,"paid_at":"2026-05-01T10:00:00Z","who":"ada"}', x'00');
INSERT INTO rows VALUES (2, 6, '2', '{"id":2,"paid_at":"2026-05-01T10:00:00Z","who":"bob"}', x'01');
INSERT INTO kinds VALUES ('id', 'number'), ('paid_at', 'text'), ('who', 'text'), ('', '["id","paid_at","who"]');
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_form_takes_rows_and_forgets_persons(tmp_path):
    """What 0.1.0 kept is read as it is; the file comes to the next form when somebody is forgotten."""
    pushed = PushedRows.of(tmp_path / ".linewright", "payments")
    pushed.file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(pushed.file)) as database:
        database.executescript(OF_THE_FIRST_FORM)
    asked = to_new_rows([{"id": 3, "paid_at": "2026-05-01T10:00:00Z", "who": "ada"}], pushed.columns)
    assert (1, 0, 0) == pushed.keep(asked)
    end = pushed.end()
    assert [] == SentRows().strange_in(pushed.file)
    assert [] == pushed.wrong({end.changes: end.digest})
    ada = ForgottenText("late", "who", "00" * 32, keyed_hash("00" * 32, "ada"))
    with pushed.without(lambda row: '"ada"' in row, [ada], [{end.changes: end.digest}]) as removed:
        pass
    pushed.shrink()

    assert (2, end) == (removed.rows, removed.before)
    assert [] == pushed.wrong({removed.after.changes: removed.after.digest})
    assert [] == SentRows().strange_in(pushed.file)
    assert b"ada" not in pushed.file.read_bytes()
    assert (0, 0, 1) == pushed.keep(asked)
    assert [2] == kept(tmp_path)["id"].to_list()


@pytest.mark.parametrize("pushed", ["shared"], indirect=True)
def test_rows_about_a_person_are_removed_from_a_shared_database(tmp_path, pushed):
    """All factories that share it are without them."""
    pushed.keep(to_new_rows([payment(1, who="ada"), payment(2, who="bob")], pushed.columns))
    ada = ForgottenText("late", "who", "00" * 32, keyed_hash("00" * 32, "ada"))
    with pushed.without(lambda row: '"ada"' in row, [ada], [{}]) as removed:
        pass

    assert (1, removed.before) == (removed.rows, removed.after)
    assert [2] == kept(tmp_path)["id"].to_list()


@ANYWHERE
def test_the_first_rows_say_which_columns_there_are(tmp_path, pushed, start):
    """A misspelled column would be null in each feature that reads it, and nobody would be told."""
    served = start(tmp_path / ".linewright")

    def sent(*rows: dict[str, object], **more: object) -> tuple[int, dict[str, str]]:
        status, _, said = served.ask("POST", ROWS, {"rows": list(rows), **more})
        return status, said

    assert 200 == sent(payment(1, note="x"), payment(2))[0]
    misspelled = {"id": 3, "paid_at": "2026-05-01", "amonut": 2}
    status, said = sent(payment(4), misspelled)
    assert (422, "rows[1].amonut", "amonut") == (status, said["where"], said["found"])
    assert "amount, id, note, paid_at" == said["allowed"]
    assert "did you mean 'amount'? A column is added by \"new_columns\": true" in said["hint"]

    status, said = sent(payment(4), {"id": 3, "paid_at": "2026-05-01", "note": None})
    assert (422, "rows[1]", "id, note, paid_at") == (status, said["where"], said["found"])
    assert "lacks a column that each row had: amount" in said["what"]
    assert "send null for no value" in said["hint"]
    assert [1, 2] == kept(tmp_path)["id"].to_list()

    with Client("http://{}:{}".format(*served.address)) as client:
        more = [{"id": 3, "paid_at": "2026-05-01", "fee": 2}]
        assert 1 == client.push("payments", more, new_columns=True).accepted
    assert 200 == sent(payment(4), {"id": 5, "paid_at": "2026-05-01"})[0]
    assert 422 == sent({"id": 6, "paid_at": "2026-05-01", "feee": 1})[0]
    assert [1.5, 1.5, None, 1.5, None] == kept(tmp_path)["amount"].to_list()
    assert {"id", "paid_at"} == set(json.loads(_kinds(pushed)[""]))


def _kinds(pushed: PushedRows) -> dict[str, str]:
    """Return what is kept of columns."""
    if not pushed.file.is_file():
        return {"": '["id", "paid_at"]'}  # in the database; the answers above tell
    with closing(sqlite3.connect(pushed.file)) as database:
        return dict(database.execute("SELECT name, kind FROM kinds"))


@pytest.mark.usefixtures("pushed")
def test_columns_outlive_a_kill_of_the_endpoint(tmp_path, start):
    """They are kept with the rows that taught them; a file of an older version has none that each row must have."""
    served = start(tmp_path / ".linewright")
    assert 200 == served.ask("POST", ROWS, {"rows": [payment(1)]})[0]
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    pushed = PushedRows.of(tmp_path / ".linewright", "payments")

    for row in ({**payment(2), "amonut": 1}, {"id": 2, "paid_at": "2026-05-01"}):
        with pytest.raises(RequestError, match=r"no row before had|lacks a column"):
            pushed.keep(to_new_rows([row], pushed.columns))
    with closing(sqlite3.connect(pushed.file)) as database:
        database.execute("DELETE FROM kinds WHERE name = ''")
        database.commit()
    assert 1 == pushed.keep(to_new_rows([{"id": 2, "paid_at": "2026-05-01"}], pushed.columns)).accepted
    with pytest.raises(RequestError, match="did you mean 'amount'"):
        pushed.keep(to_new_rows([{**payment(3), "amonut": 1}], pushed.columns))


@pytest.mark.parametrize("name", ["*", "^id.*$"])
def test_a_name_that_stands_for_other_columns_is_refused(pushed, name):
    """No table can have such a column, so no line could read the source any more."""
    with pytest.raises(RequestError, match="stands for other columns"):
        to_new_rows([payment(1, **{name: 1})], pushed.columns)


@ANYWHERE
def test_two_that_send_the_first_value_at_once_agree_on_its_kind(pushed):
    """The kind is kept with the rows, so that nobody's rows come between."""
    values = [1.5, "a", True, 2, "b", False] * 4

    def push(number: int) -> object:
        try:
            pushed.keep(to_new_rows([payment(number, new=values[number])], Columns("id")))
        except RequestError:
            return None
        return values[number]

    with ThreadPoolExecutor(6) as pool:
        taken = [one for one in pool.map(push, range(len(values))) if one is not None]

    assert 8 == len(taken)
    assert 1 == len({"number" if type(one) in {int, float} else type(one) for one in taken})


def test_a_line_runs_on_what_was_pushed_and_again_when_more_came(tmp_path):
    """Rows that come change the plan, rows that come twice do not."""
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "late.yaml").write_text(
        "line: late\nsources: {payments: {push: payments, key: id, time: paid_at, known: false}}\n"
        "table: {key: id, time: paid_at}\nlabel: {column: late}\n"
        "train: {task: binary, budget: quick}\n"
    )
    with Factory.create(tmp_path) as factory:
        with pytest.raises(RequestError, match="no row was sent"):
            execute_inline(factory, "late")
        pushed = PushedRows.of(factory.state, "payments")
        rows = [
            payment(
                n,
                float(n % 7),
                paid_at=f"2026-05-{1 + n % 28:02}T10:00:00Z",
                late="yes" if n % 7 > 3 else "no",
            )
            for n in range(400)
        ]
        pushed.keep(to_new_rows(rows, pushed.columns))
        first = execute_inline(factory, "late")
        pushed.keep(to_new_rows(rows[:5], pushed.columns))
        second = execute_inline(factory, "late")
        before = fingerprint(SPEC, tmp_path)
        pushed.keep(to_new_rows([payment(1, 4.0, late="yes")], pushed.columns))

        assert "ingest" in first.did
        assert () == second.did
        assert before != fingerprint(SPEC, tmp_path)
        assert make_plan(factory, factory.line("late")).changes
