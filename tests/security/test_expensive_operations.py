"""Expensive operations that a client asks for: in processes of their own, few at once, and gone with the client or at their deadline."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from control import memory_kib, processes

from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError, Terminal, Transient
from linewright.interfaces.http import expensive
from linewright.interfaces.http.app import control_app
from linewright.interfaces.http.expensive import Expensive
from linewright.interfaces.http.replies import SqliteReplies
from linewright.interfaces.python.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.operations.declare import load, to_json
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import ROLES, Identity, Scope, owner

TOKEN = "lw_00000000_" + "a" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE_S = 6.0
ENDLESS = "select w from parts, (select sum(a.range * b.range) as s from range(10000000) a, range(10000000) b) where s > 0"
LINE = """
line: {name}
sources: {{parts: {{file: parts.csv}}}}
{table}
label: {{column: bad}}
"""


class Plane:
    """A control plane on a free port, in a thread of this process; its expensive operations are in processes of their own."""

    def __init__(self, root: Path, **limits: Any) -> None:
        self.root = root
        work = Expensive(root, report=lambda _: None, **limits)
        replies = SqliteReplies(root / ".linewright" / "replies.sqlite")
        self.app = control_app(
            lambda asked: Factory.open(root, identity=asked),
            OPERATIONS,
            authenticator=Authenticator(TOKEN),
            expensive=work,
            replies=replies,
        )
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=BEARER, timeout=60)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def children(self) -> list[int]:
        return processes(expensive.MODULE.encode(), str(self.root).encode())

    def close(self) -> None:
        self.client.close()
        self.app.stopping.set()
        self._server.should_exit = True
        self._thread.join()

    @contextmanager
    def asking(
        self, path: str, method: str = "GET", body: str = "", key: str = ""
    ) -> Iterator[socket.socket]:
        """Ask, and hold the connection without reading the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            fields = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            if body:
                fields += f"Content-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n"
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{fields}\r\n{body}".encode())
            yield connection


def until(happened: Callable[[], Any], seconds: float = 20) -> float:
    """Wait for something that will happen, and return how long that took."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with a line that is quickly checked, and one whose check has no end."""
    root = tmp_path_factory.mktemp("expensive") / "factory"
    root.mkdir()
    rows = [f"{number},{number * 0.37:.3f},{'yes' if number % 2 else 'no'}" for number in range(500)]
    (root / "parts.csv").write_text("\n".join(["part,w,bad", *rows]) + "\n")
    Factory.create(root).close()
    (root / "lines" / "quick.yaml").write_text(LINE.format(name="quick", table=""))
    table = f'table: {{sql: "{ENDLESS}"}}'
    (root / "lines" / "endless.yaml").write_text(LINE.format(name="endless", table=table))
    return root


@pytest.fixture(scope="module")
def plane(root: Path) -> Iterator[Plane]:
    one = Plane(root, deadline_s=DEADLINE_S)
    yield one
    one.close()


@pytest.fixture
def patient(root: Path) -> Iterator[Plane]:
    """Give one whose deadline is not what is tried."""
    one = Plane(root, deadline_s=60)
    yield one
    one.close()


def test_an_expensive_operation_gives_the_same_answer_as_the_command(patient, root):
    """A process between client and operation must not be seen in what comes out of it."""
    with Factory.open(root) as factory:
        expected = json.loads(to_json(factory.check("quick")))
    answer = patient.get("/api/v1/check?lines=quick")
    wrong = patient.get("/api/v1/check?lines=quack")

    assert (200, expected) == (answer.status_code, answer.json())
    assert "there is no such line" in wrong.text
    assert 422 == patient.get("/api/v1/check?lien=quick").status_code
    assert 404 == patient.get("/api/v1/card?model=quick@9").status_code
    assert [] == patient.children()


def test_what_a_client_asked_for_is_gone_within_two_seconds_of_its_hanging_up(plane):
    """Twenty who ask and leave must not leave twenty queries behind (CVE-2026-27482 class)."""
    with plane.asking("/api/v1/check?lines=endless"):
        until(plane.children)
        time.sleep(1)  # it is at work
    took = until(lambda: not plane.children())

    assert took < 2


def test_a_write_that_was_left_can_be_asked_for_again_under_its_key(plane):
    """Nobody waits for the answer any more, so none is kept: who comes back has it carried out."""
    with plane.asking("/api/v1/plan", "POST", json.dumps({"lines": ["endless"]}), key="once"):
        until(plane.children)
    until(lambda: not plane.children())

    def again() -> int:
        headers = {"Idempotency-Key": "once"}
        return plane.client.post("/api/v1/plan", json={"lines": ["endless"]}, headers=headers).status_code

    until(lambda: again() != 409)  # the key is let go of right after the process is gone


def test_a_process_that_is_killed_is_told_and_kills_nobody_else(plane):
    """The kernel's choice when memory is short must not be the control plane, nor leave a client without an answer."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(plane.get, "/api/v1/check?lines=endless")
        until(plane.children)
        time.sleep(0.5)
        os.kill(plane.children()[0], signal.SIGKILL)
        answer = asked.result()

    assert (502, "Terminal") == (answer.status_code, answer.json()["error"])
    assert "signal SIGKILL" in answer.json()["what"]
    assert 200 == plane.get("/api/v1/status").status_code


def test_one_with_a_file_goes_on_beyond_the_deadline_and_a_second_one_does_not(root):
    """It takes as long as its file is large. A turn is left for others, and who hangs up ends it as ever."""
    work = Expensive(root, report=lambda _: None, deadline_s=0.5)
    endless = replace(load("check", OPERATIONS), files={"data": "in"})
    leave = anyio.Event()

    async def ask(name: str, hung_up: Callable[[], Any]) -> bytes:
        given = {"lines": ["endless"]}
        who, never = owner(name), threading.Event()
        return await work.carry_out(endless, given, identity=who, hung_up=hung_up, stopping=never)

    async def first() -> None:
        with pytest.raises(Transient, match="hung up"):
            await ask("ada", leave.wait)

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(first)
            await anyio.sleep(1.0)
            with pytest.raises(Terminal, match=r"did not end within 0\.5 s"):
                await ask("bob", anyio.sleep_forever)
            assert 1 == len(processes(expensive.MODULE.encode(), str(root).encode()))
            leave.set()

    anyio.run(both)


def test_a_query_without_end_ends_at_the_deadline_and_status_answers_meanwhile(plane):
    """On 10deb10 it took 12.6 GB, `status` never answered again, and SIGTERM took 94 s."""
    begun, slowest = time.monotonic(), 0.0
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(plane.get, "/api/v1/check?lines=endless")
        while not asked.done():
            before = time.monotonic()
            assert 200 == plane.get("/api/v1/status").status_code
            slowest = max(slowest, time.monotonic() - before)
            time.sleep(0.1)
        took = time.monotonic() - begun
        answer = asked.result()

    assert 502 == answer.status_code, answer.text
    assert f"did not end within {DEADLINE_S:g} s" in answer.json()["what"]
    assert "linewright check" in answer.json()["hint"]
    assert took < DEADLINE_S + 2
    assert slowest < 2
    assert [] == plane.children()


def member(name: str, role: str) -> Identity:
    return Identity(actor=name, member=name, scopes=(Scope(permissions=ROLES[role]),))


def test_of_one_client_one_is_at_work_one_waits_and_the_others_are_told_to_come_later(plane):
    """What costs a processor and a share of the memory is not had twenty times at once."""
    path, seen = "/api/v1/check?lines=endless", 0
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(plane.get, path) for _ in range(6)]
        while not all(one.done() for one in asked):
            seen = max(seen, len(plane.children()))
            time.sleep(0.05)
        answers = [one.result() for one in asked]
    refused = [one for one in answers if one.status_code == 429]

    assert 1 == seen
    assert 4 == len(refused)
    assert {True} == {"retry-after" in one.headers for one in refused}
    assert {429, 502, 503} == {one.status_code for one in answers}


def test_a_member_who_looks_keeps_no_admin_from_looking_or_changing(root):
    """Eight requests of one member took all places, and every other request of an admin was refused."""
    work = Expensive(root, report=lambda _: None, deadline_s=60)
    done: list[str] = []

    async def ask(who: Identity, name: str, given: dict[str, Any], hung_up: Callable[[], Any]) -> None:
        operation, never = load(name, OPERATIONS), threading.Event()
        try:
            await work.carry_out(operation, given, identity=who, hung_up=hung_up, stopping=never, text=False)
        except LinewrightError as error:
            done.append(f"{who.member} {type(error).__name__}")
        else:
            done.append(f"{who.member} {name}")

    async def all_of_them() -> None:
        viewer, admin, leave = member("vera", "analyst"), member("adam", "admin"), anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask, viewer, "check", {"lines": ["endless"]}, leave.wait)
            await anyio.sleep(1.0)
            await ask(admin, "doctor", {}, anyio.sleep_forever)
            await ask(admin, "gc", {"dry_run": True}, anyio.sleep_forever)
            leave.set()

    anyio.run(all_of_them)

    assert ["adam doctor", "adam gc"] == [one for one in done if one.startswith("adam")]
    assert 6 == done.count("vera TooMany")


def test_places_for_changes_stay_free_however_many_members_look(root):
    """Who stops, removes or approves something does not wait for who reads."""
    work = Expensive(root, report=lambda _: None, deadline_s=60)

    async def all_of_them() -> bytes:
        leave, never, endless = anyio.Event(), threading.Event(), load("check", OPERATIONS)

        async def look(name: str) -> None:
            with pytest.raises(Transient, match=r"hung up|turn"):
                await work.carry_out(
                    endless,
                    {"lines": ["endless"]},
                    identity=member(name, "analyst"),
                    hung_up=leave.wait,
                    stopping=never,
                )

        async with anyio.create_task_group() as group:
            for name in ("vera", "viktor", "viola"):
                group.start_soon(look, name)
            await anyio.sleep(0.5)
            done = await work.carry_out(
                load("gc", OPERATIONS),
                {"dry_run": True},
                identity=member("adam", "admin"),
                hung_up=anyio.sleep_forever,
                stopping=never,
            )
            leave.set()
        return done

    assert anyio.run(all_of_them)


def test_what_takes_too_much_memory_is_ended_alone(root):
    """A table that is larger than the machine is told, and costs the worker nothing."""
    sql = "select w, bad, list_sum(l) as total from parts, (select list(range) as l from range(200000000))"
    (root / "lines" / "wide.yaml").write_text(LINE.format(name="wide", table=f'table: {{sql: "{sql}"}}'))
    plane = Plane(root, deadline_s=60, memory=700 * 2**20)
    try:
        before = memory_kib(os.getpid())
        answer = plane.get("/api/v1/check?lines=wide")
        status = plane.get("/api/v1/status").status_code
        grown = memory_kib(os.getpid()) - before
    finally:
        plane.close()
        (root / "lines" / "wide.yaml").unlink()

    assert 200 == status
    assert "emory" in answer.text, answer.text
    assert grown < 100_000


def test_a_server_that_is_told_to_end_answers_those_who_wait_at_once(root):
    """A deployment does not wait for a query, and no client is left with a torn connection."""
    plane = Plane(root, deadline_s=60)
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(plane.get, "/api/v1/check?lines=endless")
            until(plane.children)
            begun = time.monotonic()
            plane.app.stopping.set()
            answer = asked.result()
            took = time.monotonic() - begun
    finally:
        plane.close()

    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    assert took < 2
    assert [] == plane.children()


@contextmanager
def nobody_may_call() -> Iterator[tuple[str, list[Any]]]:
    """Listen on this machine, and give the address and who called."""
    called: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                called.append(address)
                connection.close()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", called
        finally:
            over.set()
            listener.join()


def test_nothing_that_a_caller_or_a_file_names_is_fetched(tmp_path):
    """An address that somebody gives makes this machine ask for it, from within its network (CVE-2023-43654 class)."""
    (tmp_path / "parts.csv").write_text(
        "part,w,bad\n" + "".join(f"{n},{n}.5,{'ab'[n % 2]}\n" for n in range(200))
    )
    with nobody_may_call() as (url, called), Factory.create(tmp_path) as factory:
        lines = {
            "file": f'sources: {{parts: {{file: "{url}/parts.csv"}}}}',
            "glob": f'sources: {{parts: {{file: "{url}/*.parquet"}}}}',
            "sqlite": f'sources: {{parts: {{sqlite: "{url}/parts.db", query: "select 1"}}}}',
            "uri": f'sources: {{parts: {{sqlite: "file:{url}/parts.db?mode=ro", query: "select 1"}}}}',
            "csv": f"""sources: {{parts: {{file: parts.csv}}}}\ntable: {{sql: "select * from read_csv('{url}/a.csv')"}}""",  # noqa: S608
            "name": f"""sources: {{parts: {{file: parts.csv}}}}\ntable: {{sql: "select * from '{url}/a.parquet'"}}""",  # noqa: S608
            "text": f"""sources: {{parts: {{file: parts.csv}}}}\ntable: {{sql: "select * from read_text('{url}/a')"}}""",  # noqa: S608
            "install": f"""sources: {{parts: {{file: parts.csv}}}}\ntable: {{sql: "install httpfs from '{url}'"}}""",
            "model": f'sources: {{parts: {{file: parts.csv}}}}\ntrain: {{model: {{file: "{url}/model.onnx"}}}}',
            "python": f'sources: {{parts: {{file: parts.csv}}}}\ntrain: {{python: "{url}/m.py:build"}}',
        }
        for name, text in lines.items():
            (tmp_path / "lines" / f"{name}.yaml").write_text(
                f"line: {name}\n{text}\nlabel: {{column: bad}}\n"
            )
        for name in lines:
            found = factory.check(name).lines[0]
            assert found.errors, name
            with pytest.raises(LinewrightError, match=r"\S"):
                execute_inline(factory, name)
        with pytest.raises(RequestError, match=r"\S"):
            new_line(tmp_path, "more", Path(f"{url}/parts.csv"), GivenRoles(label="bad"))

    assert [] == called


def test_no_argument_of_an_operation_is_an_address():
    """A parameter that took one would be a way out that no test of files sees; `login` connects from where it is given."""
    names = {
        (name, parameter.name)
        for name in OPERATIONS.keys() - {"login", "logout"}
        for parameter in load(name, OPERATIONS).parameters
        if any(
            word in parameter.name for word in ("url", "uri", "address", "webhook", "endpoint", "callback")
        )
    }

    assert set() == names


CODE = """
from pathlib import Path
from sklearn.linear_model import LogisticRegression

Path(__file__).with_name("was-run").touch()


def build():
    Path(__file__).with_name("was-run").touch()
    return LogisticRegression()
"""


def test_looking_at_a_line_runs_no_code_of_it(tmp_path):
    """Whoever checks a line file that somebody sent has not agreed to run it (CVE-2026-116692 class)."""
    rows = [f"{n},{n * 7 % 50}.5,{'yes' if n * 7 % 50 > 24 else 'no'}" for n in range(400)]
    (tmp_path / "parts.csv").write_text("\n".join(["part,w,bad", *rows]) + "\n")
    (tmp_path / "m.py").write_text(CODE)
    was_run = tmp_path / "was-run"
    with Factory.create(tmp_path) as factory:
        train = 'table: {key: part}\ntrain: {python: "m.py:build", budget: quick}'
        (tmp_path / "lines" / "own.yaml").write_text(LINE.format(name="own", table=train))
        factory.check("own")
        factory.plan("own")

        assert not was_run.exists()

        ran = execute_inline(factory, "own")
        assert was_run.exists(), "a run does run it, which is what this test would else not see"
        was_run.unlink()
        if not ran.promoted:
            factory.promote(ran.candidate, force=True, because="any model will do")
        (tmp_path / "ask.csv").write_text("part,w\nx,1.5\n")
        factory.check("own")
        factory.plan("own")
        factory.status()
        factory.verify()
        factory.card("own@1")
        factory.predict("own", tmp_path / "ask.csv", out=tmp_path / "answers.csv")
        examine(factory, Needs(free_bytes=0, ports=()))

        assert not was_run.exists()
