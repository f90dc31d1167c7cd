"""The control plane as programs and browsers meet it: a real uvicorn on 127.0.0.1, with operations of its own."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import pytest
import uvicorn

from linewright.errors import (
    Conflict,
    Denied,
    GateRefused,
    LinewrightError,
    NotFound,
    RequestError,
    Transient,
)
from linewright.interfaces.http.app import bound, control_app
from linewright.interfaces.http.guard import BODY_LIMIT, Guard
from linewright.interfaces.http.replies import Reply, SqliteReplies
from linewright.operations.declare import Entry, operation
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.listener import listening
from linewright.serve.reach import Reach


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    calls: int
    path: Path


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    lines: tuple[str, ...]


@operation(permission="run", effect="act")
def add(
    calls: list[int],
    number: int,
    /,
    *,
    level: Literal["low", "high"] = "low",
    wait: float = 0.0,
    how: str = "",
) -> Sum:
    """Add a number to what was added before.

    Parameters
    ----------
    number
        What to add.
    level
        How much it matters.
    wait
        Seconds to take.
    how
        Way to fail.
    """
    del level
    calls.append(number)
    time.sleep(wait)
    ways: dict[str, Exception] = {
        "gate": GateRefused("not good enough"),
        "later": Transient("busy"),
        "bug": ZeroDivisionError("secret"),
    }
    if how:
        raise ways[how]
    return Sum(total=sum(calls), calls=len(calls), path=Path("a/b"))


@operation(permission="view", effect="read")
def show_lines(calls: list[int], /, *lines: str, limit: int = 5, missing: bool = False) -> Nothing | Sum:
    """Show lines.

    Parameters
    ----------
    lines
        Names of lines.
    limit
        Most to show.
    missing
        Whether to miss them.
    """
    del calls
    if missing:
        raise NotFound("there is no such line", found=lines[0])
    return Nothing(lines=lines[:limit])


@operation(permission="view", effect="read")
def audit_verify(calls: list[int]) -> dict[str, int]:
    """Verify the audit."""
    return {"calls": len(calls)}


class Held(list[int]):
    """A factory whose operation `hold` lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()


@operation(permission="run", effect="act", waits=True)
def hold(calls: Held) -> dict[str, int]:
    """Wait for a long time."""
    calls.append(1)
    calls.let_go.wait(60)
    return {"calls": len(calls)}


@operation(permission="run", effect="act", local=True)
def up(calls: list[int]) -> None:
    """Hold the terminal."""
    del calls


def entry(summary: str) -> Entry:
    return Entry(module=__name__, summary=summary, group="Test")


TOKEN = "lw_00000000_" + "a" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}

TABLE = {
    "add": entry("Add a number to what was added before."),
    "show-lines": entry("Show lines."),
    "audit verify": entry("Verify the audit."),
    "up": entry("Hold the terminal."),
}


class Served:
    """A control plane on a free port, in a thread of this process."""

    def __init__(
        self,
        replies: Path,
        hosts: tuple[str, ...] = (),
        table: dict[str, Entry] = TABLE,
        calls: list[int] | None = None,
    ) -> None:
        self.calls = [] if calls is None else calls
        self.replies = replies
        app = control_app(
            lambda _: nullcontext(self.calls),
            table,
            authenticator=Authenticator(TOKEN),
            replies=SqliteReplies(replies),
            hosts=hosts,
        )
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, headers=BEARER)

    def add(self, number: int = 1, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post("/api/v1/add", json={"number": number, **arguments}, headers=headers)

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served(tmp_path_factory.mktemp("served") / "replies.sqlite", hosts=("factory.example",))
    yield one
    one.close()


@pytest.fixture
def served(running: Served) -> Served:
    """Return the control plane as if it had just been started, since starting one for each test takes too long."""
    running.calls.clear()
    with closing(sqlite3.connect(running.replies)) as connection, connection:
        connection.execute("delete from replies")
    return running


def test_a_write_is_a_post_with_json_and_gives_the_result(served):
    """The route is derived; nobody writes it."""
    answer = served.add(3)

    assert (200, {"total": 3, "calls": 1, "path": "a/b"}) == (answer.status_code, answer.json())
    assert "application/json" == answer.headers["content-type"]


def test_a_read_is_a_get_with_arguments_in_the_query(served):
    """Repeated for a list, as OpenAPI has it."""
    answer = served.client.get("/api/v1/show-lines", params={"lines": ["a", "b", "c"], "limit": "2"})

    assert {"lines": ["a", "b"]} == answer.json()
    assert {"calls": 0} == served.client.get("/api/v1/audit-verify").json()


@pytest.mark.parametrize(
    ("arguments", "status", "error", "retry"),
    [
        ({"number": "x"}, 422, "RequestError", None),
        ({"number": 1, "nmber": 2}, 422, "RequestError", None),
        ({}, 422, "RequestError", None),
        ({"number": 1, "how": "gate"}, 409, "GateRefused", None),
        ({"number": 1, "how": "later"}, 503, "Transient", "1"),
    ],
)
def test_errors_have_the_status_of_their_class_and_are_json(served, arguments, status, error, retry):
    """The same parts as --json on the command line."""
    answer = served.client.post("/api/v1/add", json=arguments)

    assert (status, error) == (answer.status_code, answer.json()["error"])
    assert {"message", "what", "where", "found", "allowed", "hint", "details"} <= answer.json().keys()
    assert retry == answer.headers.get("retry-after")


def test_a_bug_is_a_500_that_tells_strangers_nothing_else(served):
    """The log has the traceback; the answer must not."""
    answer = served.add(how="bug")

    assert (500, "Bug") == (answer.status_code, answer.json()["error"])
    assert "secret" not in answer.text
    assert ("nosniff", "close") == (answer.headers["x-content-type-options"], answer.headers["connection"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"\xff"',
        b"[" * 100_000,
        b'{"number": 1e999}',
        b'{"number": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_a_json_object_is_422(served, body):
    """Client input never makes an answer 5xx."""
    answer = served.client.post("/api/v1/add", content=body, headers={"content-type": "application/json"})

    assert (422, "RequestError") == (answer.status_code, answer.json()["error"])


def test_arguments_of_a_write_do_not_hide_in_the_query(served):
    """One that was ignored would be believed to have worked."""
    answer = served.client.post("/api/v1/add?number=1", json={"number": 1})

    assert 422 == answer.status_code


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", "/docs", 404, None),
        ("GET", "/api/v1/up", 404, None),
        ("GET", "/api/v1/add/", 404, None),
        ("GET", "/api/v1/add", 405, "POST"),
        ("POST", "/api/v1/show-lines", 405, "GET, HEAD"),
        ("OPTIONS", "/api/v1/add", 405, "POST"),
    ],
)
def test_unknown_paths_and_wrong_methods_are_json(served, method, path, status, allow):
    """A program need not parse a page; what holds a terminal has no route."""
    answer = served.client.request(method, path, headers={"content-type": "application/json"})

    assert status == answer.status_code
    assert allow == answer.headers.get("allow")
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "path", ["/", "/openapi.json", "/api/v1/show-lines?lines=a", "/api/v1/show-lines?limit=x"]
)
def test_what_can_be_got_can_be_asked_for_its_head(served, path):
    """Load balancers and uptime checks ask with HEAD, and take 405 for a server that is down."""
    got, head = (served.client.request(method, path) for method in ("GET", "HEAD"))
    after = served.client.get("/")  # on the same connection: no byte of a body was left there
    gone = served.client.head("/api/v1/add")

    assert got.status_code == head.status_code
    assert b"" == head.content
    assert [got.headers[name] for name in ("content-type", "content-length")] == [
        head.headers[name] for name in ("content-type", "content-length")
    ]
    assert 200 == after.status_code
    assert (405, "POST") == (gone.status_code, gone.headers["allow"])


def test_every_answer_carries_what_browsers_obey_and_no_cookie(served):
    """Refusals included; and no page of another site may read an answer."""
    answers = [
        served.client.get("/"),
        served.add(),
        served.client.get("/nothing"),
        served.client.get("/", headers={"host": "evil.example"}),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "no-referrer" == answer.headers["referrer-policy"]
        assert not {"set-cookie", "access-control-allow-origin"} & answer.headers.keys()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9", 200),
        ("LOCALHOST:8080", 200),
        ("localhost.", 200),
        ("[::1]:8080", 200),
        ("factory.example", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("evil.example@localhost", 403),
        ("127.0.0.1:x", 403),
        ("0.0.0.0", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_only_our_own_names_are_answered(served, host, status):
    """A page that rebinds its name to 127.0.0.1 still sends its own name."""
    assert status == served.client.get("/", headers={"host": host}).status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:{port}"}, 200),
        ({"origin": "https://127.0.0.1:{port}"}, 200),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"origin": "http://localhost:{port}"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:{port}.evil.example"}, 403),
        ({"origin": "http://127.0.0.1:{port}/x"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "ftp://127.0.0.1:{port}"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:{port}"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_a_request_from_another_sites_page_is_refused(served, headers, status):
    """A browser says where a page came from; programs say nothing."""
    filled = {name: value.format(port=served.port) for name, value in headers.items()}
    read = served.client.get("/api/v1/audit-verify", headers=filled)
    answer = served.client.post("/api/v1/add", json={"number": 1}, headers=filled)

    assert (status, status == 200) == (answer.status_code, served.calls == [1])
    assert status == read.status_code


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
        (None, 415),
    ],
)
def test_a_write_must_say_that_it_is_json(served, kind, status):
    """A form on a stranger's page cannot say so."""
    headers = {"content-type": kind} if kind else {}
    answer = served.client.post("/api/v1/add", content=b'{"number": 1}', headers=headers)

    assert (status, status == 200) == (answer.status_code, served.calls == [1])


def test_a_large_body_is_refused_before_and_while_it_comes(served):
    """Memory stays bounded, whether the length is announced or not."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.putrequest("POST", "/api/v1/add")
    connection.putheader("content-type", "application/json")
    connection.putheader("authorization", BEARER["Authorization"])
    connection.putheader("content-length", str(BODY_LIMIT + 1))
    connection.endheaders()
    announced = connection.getresponse().status
    connection.close()
    exact = b'{"number": 1' + b" " * (BODY_LIMIT - 13) + b"}"
    headers = {"content-type": "application/json"}
    chunked = served.client.post("/api/v1/add", content=iter([exact, b" "]), headers=headers)
    fits = served.client.post("/api/v1/add", content=iter([exact]), headers=headers)

    assert (413, 413, 200) == (announced, chunked.status_code, fits.status_code)
    assert [1] == served.calls


def test_a_repeat_with_the_same_key_gets_the_same_answer_and_does_nothing(served):
    """A program whose connection broke sends it again."""
    first, again = served.add(3, key="k1"), served.add(3, key="k1")

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert (200, 3) == (again.status_code, again.json()["total"])
    assert [3] == served.calls


def test_a_refusal_is_an_answer_too(served):
    """What was refused once under a key stays refused under it."""
    assert (409, 409) == (
        served.add(key="k", how="gate").status_code,
        served.add(key="k", how="gate").status_code,
    )
    assert [1] == served.calls


def test_a_bug_under_a_key_is_not_tried_again(served):
    """Nobody knows how far it came."""
    assert (500, 500) == (
        served.add(key="k", how="bug").status_code,
        served.add(key="k", how="bug").status_code,
    )
    assert [1] == served.calls


def test_what_should_be_tried_again_can_be(served):
    """503 says so, so its key is free."""
    assert (503, 503) == (
        served.add(key="k", how="later").status_code,
        served.add(key="k", how="later").status_code,
    )
    assert [1, 1] == served.calls


def test_another_request_with_a_used_key_is_a_conflict(served):
    """Its answer would be that of something else."""
    served.add(3, key="k1")

    assert 409 == served.add(4, key="k1").status_code
    assert [3] == served.calls


def test_a_key_that_is_being_used_is_a_conflict(served):
    """Two at once are not carried out twice."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(served.add(3, key="k1", wait=0.3).status_code))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [200, 409] == sorted(statuses)
    assert [3] == served.calls


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é"])
def test_a_key_that_is_none_is_refused(served, key):
    """A cut or empty key would be shared by many requests."""
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = served.client.post("/api/v1/add", json={"number": 1}, headers=headers)

    assert (422, []) == (answer.status_code, served.calls)


def test_those_who_wait_for_runs_keep_nobody_from_reading_or_from_another_write(tmp_path):
    """A console must answer, and a rollback go through, while fifty people wait for their training."""
    held = Held()
    table = {
        "hold": entry("Wait for a long time."),
        "add": TABLE["add"],
        "audit verify": TABLE["audit verify"],
    }
    served = Served(tmp_path / "replies.sqlite", table=table, calls=held)
    with closing(served), ThreadPoolExecutor(50) as pool:
        waiting = [
            pool.submit(httpx.post, f"{served.url}/api/v1/hold", json={}, headers=BEARER, timeout=60)
            for _ in range(50)
        ]
        try:
            while not held:
                time.sleep(0.01)
            read = httpx.get(f"{served.url}/api/v1/audit-verify", headers=BEARER, timeout=10)
            written = httpx.post(f"{served.url}/api/v1/add", json={"number": 1}, headers=BEARER, timeout=10)
        finally:
            held.let_go.set()
        answers = [one.result().status_code for one in waiting]

    assert (200, 200) == (read.status_code, written.status_code)
    assert [200] * 50 == answers


def test_answers_outlive_the_process(tmp_path):
    """The repeat often comes after a restart, since that is why the connection broke."""
    first = Served(tmp_path / "replies.sqlite")
    first.add(3, key="k1")
    first.close()
    second = Served(tmp_path / "replies.sqlite")
    again = second.add(3, key="k1")
    second.close()

    assert (3, []) == (again.json()["total"], second.calls)


def test_an_interrupted_request_is_never_carried_out_twice(tmp_path):
    """Its process was killed; only a person can say how far it came."""
    SqliteReplies(tmp_path / "replies.sqlite").begin("k1", "digest")

    with pytest.raises(Conflict, match="interrupted"):
        SqliteReplies(tmp_path / "replies.sqlite").begin("k1", "digest")


def test_of_many_that_take_a_key_at_once_one_gets_it(tmp_path):
    """The others hear of a conflict, not of a busy database."""
    replies = SqliteReplies(tmp_path / "replies.sqlite")

    def begin(key: str) -> str:
        together.wait()
        try:
            return "taken" if replies.begin(key, "digest") is None else "answered"
        except LinewrightError as error:
            return type(error).__name__

    for key in ("a", "b", "c", "d", "e"):
        together = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            outcomes = sorted(pool.map(begin, [key] * 4))

        assert ["Conflict", "Conflict", "Conflict", "taken"] == outcomes


def test_a_key_that_another_process_is_taking_is_waited_for(tmp_path):
    """Looking and taking are one step: between them nobody else can take it."""
    replies = SqliteReplies(tmp_path / "replies.sqlite")
    with closing(sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None)) as other:
        other.execute("begin immediate")
        other.execute("insert into replies (key, request, owner) values ('k', 'digest', 'other')")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(replies.begin, "k", "digest")
            time.sleep(0.1)
            other.execute("commit")

            assert isinstance(waiting.exception(), Conflict)


def test_old_answers_are_forgotten(tmp_path):
    """The file does not grow for ever."""
    replies = SqliteReplies(tmp_path / "replies.sqlite", each=2)
    for key in ("a", "b", "c"):
        replies.begin(key, "digest")
        replies.finish(key, Reply(200, "application/json", key.encode()))

    assert Reply(200, "application/json", b"b") == replies.begin("b", "digest")
    assert Reply(200, "application/json", b"c") == replies.begin("c", "digest")
    assert replies.begin("a", "digest") is None


def test_keys_of_one_client_never_free_those_of_another(tmp_path):
    """Else a retry of theirs would be carried out twice, whenever somebody sends much."""
    replies = SqliteReplies(tmp_path / "replies.sqlite", each=3, most=5)
    replies.begin("nightly", "theirs", client="engineer")
    replies.finish("nightly", Reply(200, "application/json", b"done"), client="engineer")

    for number in range(20):
        replies.begin(f"k{number}", "digest", client="viewer")

    assert replies.begin("nightly", "another", client="viewer") is None, "a key is for who sent it"
    assert Reply(200, "application/json", b"done") == replies.begin("nightly", "theirs", client="engineer")


def test_of_all_clients_the_one_that_keeps_most_answers_gives_its_oldest(tmp_path):
    """The file is bounded in all, at the cost of who fills it."""
    replies = SqliteReplies(tmp_path / "replies.sqlite", each=10, most=6)
    replies.begin("only", "digest", client="ada")
    for number in range(10):
        replies.begin(f"k{number}", "digest", client="bob")
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as file:
        kept = [row[0] for row in file.execute("select key from replies order by seq")]

    assert ["only", "k5", "k6", "k7", "k8", "k9"] == kept


def test_a_file_of_keys_without_clients_opens_and_its_keys_hold(tmp_path):
    """A retry after an upgrade is not carried out again."""
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as file, file:
        file.execute(
            "create table replies (seq integer primary key autoincrement, key text not null unique, request text not null,"
            " owner text not null, status integer, content_type text, body blob)"
        )
        file.execute(
            "insert into replies values (7, 'k', 'digest', 'before', 200, 'application/json', x'31')"
        )

    SqliteReplies(tmp_path / "replies.sqlite")
    replies = SqliteReplies(tmp_path / "replies.sqlite")

    assert Reply(200, "application/json", b"1") == replies.begin("k", "digest", client="engineer")
    with pytest.raises(Conflict, match="another request"):
        replies.begin("k", "other", client="engineer")
    assert replies.begin("new", "digest", client="engineer") is None


def test_keys_that_cannot_be_kept_are_refused():
    """A promise that nobody keeps is worse than none."""
    calls: list[int] = []
    app = control_app(lambda _: nullcontext(calls), TABLE, authenticator=Authenticator(TOKEN))

    answer = ask(app, [b'{"number": 1}'], headers={b"idempotency-key": b"k"})

    assert (422, []) == (answer, calls)


def ask(app: Any, body: list[bytes], headers: dict[bytes, bytes], pause: float = 0.0) -> int:
    """Send one request straight to an ASGI app and return the status."""
    import asyncio

    statuses: list[int] = []
    parts = iter(body)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        part = next(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": pause > 0}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/add",
        "raw_path": b"/api/v1/add",
        "scheme": "http",
    }
    given = {
        b"host": b"127.0.0.1",
        b"authorization": BEARER["Authorization"].encode(),
        b"content-type": b"application/json",
        **headers,
    }
    whole = {**scope, "query_string": b"", "root_path": "", "headers": list(given.items())}
    asyncio.run(app(whole, receive, send))
    return statuses[0]


def test_a_body_that_drips_in_is_cut_off_at_an_absolute_deadline():
    """Each byte in time is not enough: the whole must be."""

    async def never(*_: Any) -> None:
        raise AssertionError

    guard = Guard(never, authenticator=Authenticator(TOKEN), replies=None, body_seconds=0.05)

    assert 408 == ask(guard, [b" "] * 1000, headers={}, pause=0.01)


def test_openapi_describes_each_argument_and_result(served):
    """The reference that programs are generated from."""
    described = served.client.get("/openapi.json").json()
    write, read = described["paths"]["/api/v1/add"]["post"], described["paths"]["/api/v1/show-lines"]["get"]
    body = write["requestBody"]["content"]["application/json"]["schema"]
    by_name = {each["name"]: each for each in read["parameters"]}

    assert "3.1" == described["openapi"][:3]
    assert {
        "/",
        "/metrics",
        "/api/v1/add",
        "/api/v1/show-lines",
        "/api/v1/audit-verify",
        "/api/v1/join",
        "/api/v1/sign-in",
        "/api/v1/sign-in/code",
        "/api/v1/sign-out",
    } == described["paths"].keys()
    assert "Add a number to what was added before." == write["summary"]
    assert ["number"] == body["required"]
    assert {"type": "integer", "description": "What to add."} == body["properties"]["number"]
    assert ["high", "low"] == sorted(body["properties"]["level"]["enum"])
    assert {"type": "array", "items": {"type": "string"}, "default": []} == by_name["lines"]["schema"]
    assert "Names of lines." == by_name["lines"]["description"]
    assert {"Sum", "Nothing", "Problem"} <= described["components"]["schemas"].keys()
    assert (
        "#/components/schemas/Sum"
        == write["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    )


def test_every_reference_in_openapi_leads_somewhere(served):
    """A generator stops at the first one that does not."""
    text = served.client.get("/openapi.json").text
    described = json.loads(text)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert names <= described["components"]["schemas"].keys()


def test_the_index_lists_what_can_be_asked(served):
    """Whoever opens the address in a browser sees where to go."""
    index = served.client.get("/").json()

    assert {"method": "POST", "path": "/api/v1/add", "summary": TABLE["add"].summary} in index["operations"]
    assert 3 == len(index["operations"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_listening_beyond_this_machine_in_the_clear_is_refused(host):
    """A fresh install is reachable by nobody else."""
    with pytest.raises(Denied, match="could read what is sent"):
        Reach().require_safe(host)
    with pytest.raises(Denied, match="could read what is sent"):
        bound(host, 0)


def test_a_taken_port_is_said_to_be_taken():
    """The commonest mistake at the start of a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match="cannot listen: Address already in use"):
            bound("127.0.0.1", port)


@pytest.mark.parametrize("listen", [lambda *at: closing(bound(*at)), listening])
def test_a_port_that_a_killed_server_is_about_to_leave_is_waited_for(listen):
    """A supervisor that is started again at once would end with "Address already in use", for its killed forerunner's child."""
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    threading.Timer(0.5, taken.close).start()
    with listen("127.0.0.1", port) as found:
        assert port == found.getsockname()[1]


SERVE = """
import importlib.util, sys
from contextlib import nullcontext
spec = importlib.util.spec_from_file_location("frame", sys.argv[1])
frame = sys.modules["frame"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frame)
app = frame.control_app(lambda _: nullcontext([]), frame.TABLE, authenticator=frame.Authenticator(frame.TOKEN))
from linewright.interfaces.http.app import serve_control
serve_control(app, frame.bound("127.0.0.1", 0), ready=lambda port: print(port, flush=True))
print("drained", flush=True)
"""


def test_sigterm_lets_requests_finish_and_then_ends_with_0():
    """A deployment restarts it without a failed request."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, __file__], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        asking.request("GET", "/")
        asking.getresponse().read()  # it runs, and hears signals
        body = json.dumps({"number": 1, "wait": 0.6})
        asking.request("POST", "/api/v1/add", body, {**BEARER, "Content-Type": "application/json"})
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        status = asking.getresponse().status
        asking.close()
        rest = process.stdout.read()
        code = process.wait(timeout=10)

    assert (200, "drained\n", 0) == (status, rest, code)
