"""What one client holds of a server: a share that leaves the memory, files, streams and connections of the others alone."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from control import memory_kib
from planes import LIVE, PLANES, PREDICT, ROW, answer_on, ask_on, request, running

from linewright.interfaces.http.expensive import Places
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.serve.access.shares import Turns
from linewright.serve.http.connections import Connections, Room

SERVE = """
import sys
from pathlib import Path
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.expensive import Expensive
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import ROLES, Identity, Scope

class ByRole(Authenticator):  # these tests are about what comes after the token
    def identify(self, given):
        role = given[0].removeprefix("Bearer ")
        return Identity(actor=role, member=role, scopes=(Scope(permissions=ROLES[role]),))

root = Path(sys.argv[1])
app = control_app(
    lambda asked: Factory.open(root, identity=asked),
    OPERATIONS,
    authenticator=ByRole(""),
    root=root,
    expensive=Expensive(root, report=lambda _: None),
)
serve_control(app, bound("127.0.0.1", 0), ready=lambda port: print(port, flush=True))
"""
CHECKPOINTS = "/api/v1/audit-verify/files/m.csv"
LABELS = "/api/v1/feedback/files/m.csv"
ROWS = "\n".join(["part,w,bad", *(f"{n},{n}.5,{'ab'[n % 2]}" for n in range(100))])


class Plane:
    """A control plane in a process of its own, which takes the name of a role as a token."""

    def __init__(self, root: Path, log: Path) -> None:
        from linewright.line.factory import Factory

        root.mkdir()
        (root / "parts.csv").write_text(ROWS)
        Factory.create(root).close()
        (root / "lines" / "a.yaml").write_text(
            "line: a\nsources: {parts: {file: parts.csv}}\nlabel: {column: bad}\n"
        )
        self.kept, self._log = root / ".linewright" / "files", log
        with log.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(root)], stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or pytest.fail(self.said()))

    def said(self) -> str:
        return self._log.read_text()

    def ask(self, role: str, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {role}", "Content-Type": "application/octet-stream", **headers}
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, content=content, headers=sent, timeout=30)

    def begin(self, role: str, method: str, path: str, length: int, body: bytes = b"") -> socket.socket:
        """Send the head and a beginning of the body, and hold the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        kind = "application/octet-stream" if method == "PUT" else "application/json"
        accept = "text/event-stream" if method == "GET" else "*/*"
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {role}\r\nAccept: {accept}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        with suppress(OSError):  # it may be refused before all of it came
            connection.sendall(body)
        return connection

    def folders(self) -> list[Path]:
        return list(self.kept.iterdir()) if self.kept.exists() else []


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    one = Plane(tmp_path / "factory", tmp_path / "said")
    yield one
    one.process.kill()
    one.process.wait()
    assert one.process.stdout is not None
    one.process.stdout.close()


def until(happened: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def first_line(connection: socket.socket) -> bytes:
    try:
        return connection.recv(12)
    except TimeoutError:
        return b""
    except OSError:
        return b"HTTP/1.1 ---"


@pytest.mark.parametrize(("role", "path"), [("viewer", CHECKPOINTS), ("engineer", LABELS)])
def test_parts_that_are_held_take_little_memory_and_leave_nothing_behind(plane, role, path):
    """Forty connections of a viewer took 1.26 GB, and each that broke off printed a traceback."""
    assert 200 == plane.ask(role, "PUT", path, b"x").status_code
    before = memory_kib(plane.process.pid)
    with ExitStack() as held:
        for _ in range(20):
            connection = plane.begin(role, "PUT", path, 32 << 20, bytes(8 << 20))
            held.callback(connection.close)
        time.sleep(1)
        grown = memory_kib(plane.process.pid) - before
        other = plane.ask("annotator", "PUT", LABELS, b"x").status_code

    assert grown < 64 << 10
    assert 200 == other, "the share of one member is not that of another"
    until(lambda: 2 == len(plane.folders()))
    assert "Traceback" not in plane.said()


def test_empty_files_of_a_viewer_close_the_door_for_nobody(plane):
    """Two hundred of them kept everybody from sending a file for a day."""
    sent = [plane.ask("viewer", "PUT", CHECKPOINTS).status_code for _ in range(6)]

    assert [200, 200, 200, 200, 503, 503] == sent
    assert 4 == len(plane.folders())
    assert 200 == plane.ask("engineer", "PUT", LABELS, b"x").status_code


def test_a_viewer_keeps_few_bytes_and_sends_no_file_that_no_operation_reads(plane):
    """Who may only look checks the record against a checkpoint, which is small."""
    too_much = plane.ask("viewer", "PUT", CHECKPOINTS, bytes(5 << 20))
    unread = plane.ask("viewer", "PUT", "/api/v1/datasets/files/m.csv", b"x")

    assert (503, 405) == (too_much.status_code, unread.status_code)
    assert [] == plane.folders()
    assert 200 == plane.ask("engineer", "PUT", LABELS, bytes(5 << 20)).status_code


def test_a_part_that_fails_leaves_the_file_as_it_was_before_it(plane):
    """The client sends it again at the same place."""
    kept = plane.ask("engineer", "PUT", LABELS, b"id,label\n").json()
    path = f"{LABELS}?id={kept['id']}&offset=9"
    plane.begin("engineer", "PUT", path, 4 << 20, bytes(2 << 20)).close()

    until(lambda: 200 == plane.ask("engineer", "PUT", path, b"x\n").status_code)
    assert b"id,label\nx\n" == (plane.folders()[0] / "m.csv").read_bytes()


def test_the_folder_of_an_operation_that_was_refused_is_removed(plane):
    """It counted as a file of the client for a day."""
    asked = plane.ask("viewer", "GET", "/api/v1/datasets?line=a&as_of=2026-01-01&source=parts&out=x.csv")

    assert asked.status_code in {403, 404, 422}, asked.text
    assert [] == plane.folders()


def test_event_streams_of_one_member_are_few_and_leave_those_of_others(plane):
    """Forty-five of one viewer made an admin's page seven seconds long."""
    with ExitStack() as held:
        heads: list[bytes] = []
        for _ in range(18):
            connection = plane.begin("viewer", "GET", "/lines/a", 0)
            held.callback(connection.close)
            heads.append(first_line(connection))
        other = plane.begin("admin", "GET", "/lines/a", 0)
        held.callback(other.close)
        theirs = first_line(other)

    assert 15 == heads.count(b"HTTP/1.1 200"), heads
    assert 3 == heads.count(b"HTTP/1.1 429"), heads
    assert b"HTTP/1.1 200" == theirs


def test_bodies_of_writes_that_are_held_are_few_bytes_of_each_member(plane):
    """A megabyte on each of four thousand connections is four gigabytes."""
    body = bytes(1_000_000)
    with ExitStack() as held:
        connections = [plane.begin("viewer", "POST", "/api/v1/inbox-read", 1 << 20, body) for _ in range(16)]
        for each in connections:
            held.callback(each.close)
            each.settimeout(1)
        refused = [first_line(each) for each in connections].count(b"HTTP/1.1 429")
        other = plane.ask(
            "engineer",
            "POST",
            "/api/v1/halt",
            json.dumps({"line": "nothing", "because": "x" * 100_000}).encode(),
            **{"Content-Type": "application/json"},
        )

    assert 8 == refused
    assert other.status_code in {404, 422}, other.text


def test_who_goes_from_page_to_page_is_not_refused_since_the_last_one_waits():
    """A browser tells that a page is left after it has asked for what is on the next one."""
    places, looks = Places(), load("audit verify", OPERATIONS)
    came = list[str]()

    async def open_page(name: str, left: anyio.CancelScope) -> None:
        with left:
            async with places.place("vic", looks):
                came.append(name)
                await anyio.sleep_forever()

    async def go_on() -> None:
        left = {name: anyio.CancelScope() for name in ("first", "second", "third")}
        async with anyio.create_task_group() as pages:
            for name, page in left.items():
                pages.start_soon(open_page, name, page)
                await anyio.sleep(0.05)
            for name in ("second", "first", "third"):
                left[name].cancel()
                await anyio.sleep(0.1)

    anyio.run(go_on)

    assert ["first", "third"] == came


def another_client(port: int) -> socket.socket:
    """Connect from another address of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=("127.0.0.2", 0))


@pytest.mark.parametrize("kind", PLANES)
def test_connections_of_one_address_close_its_own_and_not_those_of_others(tmp_path, kind):
    """Whoever opened enough of them closed those of everybody who had been idle for longer."""
    with running(kind, tmp_path / "f", files=(256, 256)) as plane, ExitStack() as held:
        other = held.enter_context(another_client(plane.port))
        ask = request("GET", LIVE[kind], host=f"127.0.0.1:{plane.port}")
        other.sendall(ask)
        first = answer_on(other)
        for _ in range(300):
            held.enter_context(plane.connect()).sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        same = plane.ask()[0]
        other.sendall(ask)
        again = answer_on(other)

    assert [200] * 3 == [first, same, again]


def test_bodies_of_one_client_leave_the_memory_and_the_answers_of_others(tmp_path):
    """Thirty of them were all bytes of bodies that an endpoint keeps, so that it refused the smallest request of everybody."""
    body, as_json = f'{{"rows": [{ROW}]}}', "Content-Type: application/json"
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n{as_json}\r\nContent-Length: 10000000\r\n\r\n".encode()
    with running("data", tmp_path / "f") as plane, ExitStack() as held:

        def ask(text: str, connect: Callable[[], socket.socket]) -> int:
            return ask_on(connect(), plane.port, "POST", PREDICT, text, as_json)[0]

        def hold(size: int) -> None:
            connection = held.enter_context(another_client(plane.port))
            with suppress(OSError):  # it is refused before all of it came
                connection.sendall(head + bytes(size))

        def is_refused() -> bool:
            hold(7_000_000)  # with one of the others nearly all of a share
            return 429 == ask(large, lambda: another_client(plane.port))

        large = body + " " * (1 << 20)
        assert 200 == ask(large, plane.connect)
        before = plane.memory()
        for _ in range(30):
            hold(9_000_000)
        grown = plane.memory() - before
        until(is_refused)
        answered = ask(large, plane.connect)
        small = ask(body, lambda: another_client(plane.port))

    assert grown < 64
    assert (200, 200) == (answered, small)


def test_connections_of_a_proxy_are_those_of_many_clients():
    """It names them with each request only; so it has as many as there may be."""

    class Held:
        holder = ""

        def make_room(self) -> None:
            raise AssertionError

        read_on = make_room

    places = Connections(lambda _: None, None, lambda address: address == "192.0.2.1")

    for address, room in (("192.0.2.1", Room.TAKEN), ("192.0.2.7", Room.REFUSED)):
        entered = [Held() for _ in range(places.most_each + 1)]
        rooms = [places.enter(each, (address, 1)) for each in entered]
        assert [Room.TAKEN] * places.most_each == rooms[:-1]
        assert room is rooms[-1]
        for each in entered:
            places.leave(each)


def test_the_turns_of_one_client_are_one_after_the_other():
    """A page of somebody else beside twenty of a viewer waited for the interpreter twenty times as long."""
    turns, at_work, most = Turns(), list[str](), dict[str, int]()

    async def make(client: str) -> None:
        async with turns.of(client):
            at_work.append(client)
            most[client] = max(
                most.get(client, 0), at_work.count(client), len(set(at_work)) * (client == "ada")
            )
            await asyncio.sleep(0)
            at_work.remove(client)

    async def all_of_them() -> None:
        await asyncio.gather(*(make("viewer") for _ in range(20)), make("ada"))

    asyncio.run(all_of_them())

    assert {"viewer": 1, "ada": 2} == most


def test_who_asks_for_more_at_once_pauses_between_turns_while_others_are_at_work():
    """Fifteen watched pages of a viewer were made without an end, so that an admin's page beside them always took twice as long."""
    turns, order = Turns(), list[str]()

    async def make(client: str, name: str, seconds: float) -> None:
        async with turns.of(client):
            order.append(name)
            await asyncio.sleep(seconds)

    async def viewer_beside(others: float) -> list[str]:
        order.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(make("ada", "ada", others))
            first = group.create_task(make("viewer", "first", 0.5))
            group.create_task(make("viewer", "second", 0.0))
            await first
            for number in range(3):
                await make("ada" if others else "bob", f"other {number}", 0.0)
        return list(order)

    alone, beside = asyncio.run(viewer_beside(0.0)), asyncio.run(viewer_beside(0.6))

    assert ["ada", "first"] == alone[:2] == beside[:2]
    assert alone.index("second") < alone.index("other 1")
    assert "second" == beside[-1]
