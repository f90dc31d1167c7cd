"""Both servers in processes of their own, with as many files as a test allows, and sockets that speak to them byte by byte."""

import http.client
import importlib.util
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import commands

PREDICT, FEEDBACK = "/v1/lines/claims/predict", "/v1/lines/claims/feedback"
ROW = '{"Age": 41, "PolicyNumber": 7}'
LIVE = {"data": "/v2/health/live", "control": "/api/v1/status", "console": "/api/v1/status"}
"""What a healthy client reads of each plane."""
WRITE = {
    "data": (PREDICT, f'{{"rows": [{ROW}]}}', 200),
    "control": ("/api/v1/halt", '{"line": "claims"}', 404),
}
"""A write of each plane, and how it is answered once nothing refuses it (the factory of the control plane has no line)."""
PLANES = ("data", "control")
_OF_CONTROL = ("control", "console")
"""The second has pages, files of clients and processes for what is expensive too."""

_WATCH = """
import os, signal, sys
from pathlib import Path
sys.addaudithook(lambda event, _: event == "pickle.find_class" and sys.stderr.write("PICKLE\\n"))
taken = []
def take(*_):
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
def give(*_):
    while taken:
        os.close(taken.pop())
signal.signal(signal.SIGUSR1, take)
signal.signal(signal.SIGUSR2, give)
"""
_APP = """
import asyncio, socket, uvicorn
from linewright.serve.http import server
async def held(scope, receive, send):
    await asyncio.sleep(3600)
LARGE = bytes(8 * 2**20)
async def large(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE, "more_body": True})
    await send({"type": "http.response.body"})
config = uvicorn.Config(APP, http=server.bounded(), log_config=None, lifespan="off", ws="none", loop="uvloop")
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listening])
"""
_SERVE = {
    "data": """
from linewright.serve.http import connections, server
connections.TOLD_EVERY_S = 1.0
server.serve(Path(sys.argv[1]), port=0, started=lambda address: print(address.rpartition(":")[2], flush=True))
""",
    "control": """
from linewright.interfaces.http import guard
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.replies import SqliteReplies
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.http import connections
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import owner
class Anyone(Authenticator):  # these tests are about what comes before the token
    def identify(self, given): return owner("anyone")
connections.TOLD_EVERY_S = 1.0
guard.Guard.__init__.__kwdefaults__["body_seconds"] = 2.0
root = Path(sys.argv[1])
replies = SqliteReplies(root / "replies.sqlite")
app = control_app(lambda _: Factory.open(root), OPERATIONS, authenticator=Anyone(""), replies=replies)
serve_control(app, bound("127.0.0.1", 0), ready=lambda port: print(port, flush=True))
""",
    "held": _APP.replace("APP", "held"),
    "large": _APP.replace("APP", "large"),
}

_SERVE["console"] = "from linewright.interfaces.http.expensive import Expensive\n" + _SERVE[
    "control"
].replace("replies=replies)", "replies=replies, root=root, expensive=Expensive(root, report=lambda _: None))")


class Plane:
    """A server in a process of its own."""

    def __init__(self, kind: str, root: Path, *, files: tuple[int, int] | None = None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self._log = (root / f"{kind}.log").open("w")
        limit = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, {files})\n" if files else ""
        # The control plane imports all operations anyway, as the server that forks commands has.
        start = commands.Forked if kind in _OF_CONTROL else commands.programs("linewright.serve.http.server")
        self.process = start(
            [sys.executable, "-c", limit + _WATCH + _SERVE[kind], str(_state(kind, root))],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        assert told, self.said()
        self.port = int(told)

    def said(self) -> str:
        """Return its stderr; `seek` in the file it inherited would move where it writes."""
        return Path(self._log.name).read_text()

    def memory(self) -> float:
        """Return its resident memory, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def connect(self, timeout: float = 20.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def say(self, data: bytes, *, timeout: float = 20.0) -> bytes:
        """Send bytes on a connection of their own, and return all that comes back until the server hangs up."""
        with self.connect(timeout) as connection:
            with suppress(ConnectionError):
                connection.sendall(data)
            return rest_of(connection)

    def ask(self, method: str = "GET", path: str = "", body: str = "", *headers: str) -> tuple[int, str]:
        """Return the status and all of the answer to one request on a connection of its own; status 0 if there is none."""
        return ask_on(self.connect(), self.port, method, path or LIVE[self.kind], body, *headers)

    def write(self, *headers: str) -> int:
        """Return the status of the write that nothing is wrong with but these headers."""
        path, body, _ = WRITE[self.kind]
        return self.ask("POST", path, body, *(headers or ("Content-Type: application/json",)))[0]

    def stop(self) -> float:
        """Tell it to stop, and return the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        return time.monotonic() - begun

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


def request(method: str, path: str, body: str = "", *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def ask_on(
    connection: socket.socket, port: int, method: str, path: str, body: str = "", *headers: str
) -> tuple[int, str]:
    """Ask on a connection, which is closed then."""
    with connection:
        with suppress(ConnectionError):
            connection.sendall(
                request(method, path, body, "Connection: close", *headers, host=f"127.0.0.1:{port}")
            )
        answer = rest_of(connection)
    return status_of(answer), answer.decode("latin-1")


def answer_on(connection: socket.socket) -> int:
    """Read one answer of a connection that stays, and return its status."""
    with http.client.HTTPResponse(connection) as answer:
        answer.begin()
        answer.read()
        return answer.status


def rest_of(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def push(connections: list[socket.socket], data: bytes, *, seconds: float) -> Iterator[int]:
    """Send again and again on connections without reading, and give how many bytes went out so far, until the time is over."""
    for each in connections:
        each.setblocking(False)
    until, sent, open_ = time.monotonic() + seconds, 0, list(connections)
    while open_ and time.monotonic() < until:
        _, writable, _ = select.select([], open_, [], 0.1)
        for each in writable:
            try:
                sent += each.send(data)
            except BlockingIOError:
                continue
            except OSError:
                open_.remove(each)
        yield sent


def hang_up_hard(connection: socket.socket) -> None:
    """Reset a connection, as a process that is killed does with what it had not read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextmanager
def running(kind: str, root: Path, *, files: tuple[int, int] | None = None) -> Iterator[Plane]:
    """Give a server that is ended afterwards.

    Parameters
    ----------
    kind
        ``data``, ``control``, ``console`` (the control plane with all that it has), or, behind the same protocol, an app that never answers (``held``) or by 8 MiB (``large``).
    files
        Soft and hard limit of open files (default: those of the tests).
    """
    plane = Plane(kind, root, files=files)
    try:
        yield plane
    finally:
        plane.close()


def _state(kind: str, root: Path) -> Path:
    if kind == "data":
        state = root / ".linewright"
        if not state.exists():
            claims = _serve_conftest().Claims(state)
            claims.make(1)
            claims.point(1)
        return state
    if kind in _OF_CONTROL and not (root / "factory.yaml").exists():
        from linewright.line.factory import Factory

        Factory.create(root).close()
    return root


def _serve_conftest() -> Any:
    """Return what makes a line with a hand-made model."""
    path = Path(__file__).parents[1] / "serve" / "conftest.py"
    if "serve_conftest" not in sys.modules:
        spec = importlib.util.spec_from_file_location("serve_conftest", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["serve_conftest"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["serve_conftest"]


def open_files(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
