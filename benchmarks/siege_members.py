"""Attack both servers of a factory that is up with the least rights, and see what they take and what others notice.

    python benchmarks/siege_members.py [--only control|endpoint] [--seconds N] [--connections N]

A viewer attacks the control plane with all that a viewer may do: parts of files, bodies and heads that never end, pages that are watched,
expensive operations, pages whose bytes nobody reads, writes whose responses are kept by key. A token that may only predict attacks the
endpoint: large bodies that never end, predictions that nobody reads, heads, small predictions. Each does so by a few connections, and by
4,000. Meanwhile an admin at another address reads a page and comments on a line, or a client predicts, again and again, in a process of
its own; at the end of an attack on the control plane, while it goes on, the admin asks for `gc`.

Memory is that of the attacked process; what works for it in processes of its own has limits of its own, and `children` is the largest of
those. p99 is compared with that of a quiet time before. Attackers keep off one processor, as they do in `siege.py`. Exit code 1 if memory
grows by 64 MB or more, or a p99 by more than three times.
"""

import argparse
import http.client
import json
import os
import platform
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import count, cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from siege import (
    ANSWER_S,
    FACTORY_FILE,
    LINE,
    LOOK_S,
    MOST_P99,
    PROGRAM,
    REOPENED_PER_S,
    ROW,
    RUN_S,
    SETTLE_S,
    SPAWN,
    Asked,
    Up,
    children_of,
    in_a_process,
    make_factory,
    p99_ms,
    resident_mb,
    tree,
    up,
    words_of,
)

MOST_MB = 64.0
FEW = 40
ATTACKER, OTHER = "127.0.0.3", "127.0.0.2"
PAUSE_S = 0.02
"""Between two requests of the other client."""
MB = 2**20
HOLD_S = 10.0


def head(method: str, path: str, token: str, *more: str) -> bytes:
    return "\r\n".join(
        (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *more, "", "")
    ).encode()


class Sends(NamedTuple):
    """What a connection of an attack sends."""

    data: bytes
    is_read: bool = True
    """Whether what comes back is read; if not, the connection is held for `HOLD_S`."""


def of_a_viewer(token: str) -> list[Sends]:
    """Return what the connections to the control plane send, in turn."""
    as_json, page = "Content-Type: application/json", f"/lines/{LINE}"
    bytes_, checkpoint = "Content-Type: application/octet-stream", "/api/v1/audit-verify/files/m.csv"
    return [
        Sends(head("PUT", checkpoint, token, bytes_, f"Content-Length: {32 * MB}") + bytes(4 * MB - 1024)),
        Sends(head("POST", "/api/v1/inbox-read", token, as_json, f"Content-Length: {MB}") + bytes(MB - 1)),
        Sends(head("GET", page, token, "X: " + "x" * 60_000)[:-2]),
        Sends(head("GET", page, token, "Accept: text/event-stream"), is_read=False),
        Sends(head("GET", f"/api/v1/profile?line={LINE}", token)),
        Sends(head("GET", "/api/v1/audit-verify", token)),
        Sends(head("GET", "/api/v1/status", token)),
        Sends(head("GET", page, token, "Accept: text/html") * 20, is_read=False),
        Sends(head("POST", "/api/v1/inbox-read", token, as_json, "Content-Length: 2", "Idempotency-Key: KEY") + b"{}"),
    ]  # fmt: skip


def of_a_predictor(token: str) -> list[Sends]:
    """Return what the connections to the endpoint send, in turn."""

    def predict(rows: int) -> bytes:
        body = json.dumps({"rows": [ROW] * rows}).encode()
        return head("POST", path, token, as_json, f"Content-Length: {len(body)}") + body

    path, as_json = f"/v1/lines/{LINE}/predict", "Content-Type: application/json"
    return [
        Sends(head("POST", path, token, as_json, "Content-Length: 10000000") + bytes(9_900_000)),
        Sends(head("POST", path, token, as_json, "Content-Length: 100000") + bytes(60_000)),
        Sends(head("GET", path, token, "X: " + "x" * 60_000)[:-2]),
        Sends(predict(1_000), is_read=False),
        Sends(predict(1) * 20, is_read=False),
        Sends(predict(1)),
    ]


class Attackers:
    """Connections of one address that send, and are opened anew once they are answered or closed.

    Parameters
    ----------
    port
        Of the server.
    sends
        What they send, in turn.
    connections
        How many there are.
    """

    def __init__(self, port: int, sends: list[Sends], connections: int) -> None:
        self._port, self._sends, self._keys = port, sends, count()
        self._selector, self.statuses = selectors.DefaultSelector(), Counter[str]()
        self._missing, self._held = deque(range(connections)), deque[tuple[float, socket.socket, int]]()
        self._last = time.monotonic() - connections / REOPENED_PER_S  # at first all at once

    def go_on(self) -> None:
        """Open what is missing, and send and read what can be."""
        now = time.monotonic()
        for _ in range(min(len(self._missing), int((now - self._last) * REOPENED_PER_S))):
            self._begin(self._missing.popleft())
        self._last = now
        while self._held and self._held[0][0] < now:
            _, connection, number = self._held.popleft()
            self._end(connection, number)
        for key, ready in self._selector.select(0.05):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                if ready & selectors.EVENT_WRITE:
                    self._send(connection, *key.data)
                elif answer := connection.recv(65_536):
                    self.statuses[answer[9:12].decode(errors="replace")] += 1
                    raise ConnectionError  # one is enough
                else:
                    self.statuses["closed"] += 1
                    raise ConnectionError
            except BlockingIOError:
                continue
            except OSError:
                self._selector.unregister(connection)
                self._end(connection, key.data[-1])

    def _begin(self, number: int) -> None:
        connection = socket.socket()
        try:
            connection.bind((ATTACKER, 0))
            connection.settimeout(1.0)
            connection.connect(("127.0.0.1", self._port))
        except OSError:
            self._end(connection, number)
            return
        connection.setblocking(False)
        data, is_read = self._sends[number % len(self._sends)]
        left = memoryview(data.replace(b"KEY", b"%d" % next(self._keys)))
        self._selector.register(connection, selectors.EVENT_WRITE, (left, is_read, number))

    def _send(self, connection: socket.socket, left: memoryview, is_read: bool, number: int) -> None:
        left = left[connection.send(left[:MB]) :]
        if left:
            # What is refused meanwhile is seen as an error of sending.
            self._selector.modify(connection, selectors.EVENT_WRITE, (left, is_read, number))
        elif is_read:
            self._selector.modify(connection, selectors.EVENT_READ, (left, is_read, number))
        else:
            self._selector.unregister(connection)
            self._held.append((time.monotonic() + HOLD_S, connection, number))

    def _end(self, connection: socket.socket, number: int) -> None:
        connection.close()
        self._missing.append(number)


def attack(port: int, sends: list[Sends], connections: int, pipe: Connection) -> None:
    """Attack until told to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attackers = Attackers(port, sends, connections)
    pipe.send("begins")
    while not pipe.poll():
        attackers.go_on()
    pipe.send(attackers.statuses)


# Who is not to notice it


def keep_asking(port: int, asks: Sequence[bytes], pipe: Connection) -> None:
    """Send requests in turn over a kept connection, and send what came of them once told to stop."""
    with suppress(OSError):  # it would be on another machine, and waits for no processor here
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    asked, connection = list[Asked](), None
    pipe.send("begins")
    for ask in cycle(asks):
        if pipe.poll(PAUSE_S):
            break
        began, status = time.monotonic(), 0
        try:
            if connection is None:
                connection = socket.create_connection(
                    ("127.0.0.1", port), ANSWER_S, source_address=(OTHER, 0)
                )
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(ask)
            with http.client.HTTPResponse(connection) as answer:
                answer.begin()
                status = answer.status
                answer.read()
                if answer.will_close:
                    raise ConnectionError
        except (OSError, http.client.HTTPException):
            if connection is not None:
                connection.close()
            connection = None
        asked.append(Asked(began, time.monotonic(), status, is_halted=False))
    pipe.send(asked)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of one attack."""

    before: float
    """MB of memory."""
    peak: float
    children: float
    """MB of the largest process that works for the server."""
    quiet_ms: float
    p99_ms: float
    statuses: Counter[int]
    """Of the other client, in the attack."""
    told: Counter[str]
    """To the attackers: the statuses of the first responses, or that they were disconnected."""
    gc: str = "-"


def besiege(root: Path, plane: str, connections: int, seconds: float) -> Seen:
    """Attack one server, and return what was seen."""
    tokens = {name: made(root, name, kind) for name, kind in TOKENS.items()}
    with up(root) as of, ExitStack() as stack:
        if plane == "control":
            port, sends = of.control, of_a_viewer(tokens["viewer"])
            said = json.dumps({"line": LINE, "text": "all is well"}).encode()
            as_json = ("Content-Type: application/json", f"Content-Length: {len(said)}")
            asks = [
                head("GET", f"/lines/{LINE}", tokens["admin"], "Accept: text/html"),
                head("POST", "/api/v1/comment", tokens["admin"], *as_json) + said,
            ]
        else:
            port, sends = of.port, of_a_predictor(tokens["predict"])
            body = json.dumps({"rows": [ROW]}).encode()
            as_json = ("Content-Type: application/json", f"Content-Length: {len(body)}")
            asks = [head("POST", f"/v1/lines/{LINE}/predict", tokens["other"], *as_json) + body]
        pid = next(
            part
            for part in children_of(of.process.pid)
            if (
                "linewright.serve" if plane == "endpoint" else "linewright.capabilities.serving.control_plane"
            )
            in words_of(part)
        )
        ours, theirs = SPAWN.Pipe()
        stack.enter_context(in_a_process(keep_asking, port, asks, theirs))
        ours.recv()
        time.sleep(2 * SETTLE_S)
        quiet_began = time.monotonic()
        time.sleep(seconds)
        quiet_ended = time.monotonic()
        before = peak = resident_mb(pid)
        children = 0.0
        ends, other = SPAWN.Pipe()
        stack.enter_context(in_a_process(attack, port, sends, connections, other))
        ends.recv()
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            peak = max(peak, resident_mb(pid))
            children = max([children, *(resident_mb(one) for one in tree(pid)[1:])])
            time.sleep(LOOK_S)
        ended = time.monotonic()
        gc = collect(of, tokens["admin"]) if plane == "control" else "-"
        ends.send("stop")
        ours.send("stop")
        asked, told = ours.recv(), ends.recv()
    within = [one for one in asked if began <= one.began <= ended]
    return Seen(
        before=before,
        peak=peak,
        children=children,
        quiet_ms=p99_ms(asked, quiet_began, quiet_ended),
        p99_ms=p99_ms(asked, began, ended),
        statuses=Counter(one.status for one in within),
        told=told,
        gc=gc,
    )


def collect(of: Up, token: str) -> str:
    """Ask for `gc` as the admin; return the status and the seconds."""
    began, connection = time.monotonic(), http.client.HTTPConnection("127.0.0.1", of.control, timeout=RUN_S)
    with closing(connection):
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/api/v1/gc", json.dumps({"dry_run": True}), sent)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
    return f"{status or 'none'} in {time.monotonic() - began:.1f} s"


TOKENS = {"viewer": "viewer", "admin": "admin", "predict": "predict", "other": "predict"}


def made(root: Path, name: str, kind: str) -> str:
    """Make a member, unless it is a kind of its own, and a token; return it."""
    member = () if kind == "predict" else ("--member", name)
    if member:
        subprocess.run(
            [*PROGRAM, "member", "add", name, "--role", kind], cwd=root, check=True, capture_output=True
        )
    create = [*PROGRAM, "token", "create", f"{name}-token", "--kind", kind, *member, "--json"]
    said = subprocess.run(create, cwd=root, check=True, capture_output=True, text=True).stdout
    return json.loads(said)["token"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("control", "endpoint"), help="attack this server alone")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack (default: 20)")
    parser.add_argument(
        "--connections", type=int, default=4_000, help="of the larger attacks (default: 4000)"
    )
    given = parser.parse_args()
    all_ = dict[str, Seen]()
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name) / "fresh"
        make_factory(fresh)
        (fresh / "factory.yaml").write_text(FACTORY_FILE)
        for plane, who in (("control", "a viewer"), ("endpoint", "a token of predict")):
            for number in (FEW, given.connections):
                if given.only in {None, plane}:
                    what = f"{who}, {number:,} connections"
                    sys.stderr.write(f"{what}\n")
                    root = Path(shutil.copytree(fresh, Path(name) / f"{plane}-{number}" / "factory"))
                    all_[what] = besiege(root, plane, number, given.seconds)
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"{time.strftime('%Y-%m-%d')}; {given.seconds:g} s an attack\n\n"
        "| attack | MB before → peak | grown by | children MB | p99 ms quiet → attacked | times | statuses | `gc` | told |\n"
        "|---|---:|---:|---:|---:|---:|---|---|---|"
    )
    wrong = list[str]()
    for what, seen in all_.items():
        grown, times = seen.peak - seen.before, seen.p99_ms / seen.quiet_ms
        statuses, told = (
            ", ".join(f"{status or 'none'} x {number:,}" for status, number in sorted(each.items()))
            for each in (seen.statuses, seen.told)
        )
        print(
            f"| {what} | {seen.before:,.0f} → {seen.peak:,.0f} | {grown:,.0f} | {seen.children:,.0f} "
            f"| {seen.quiet_ms:.1f} → {seen.p99_ms:.1f} | {times:.1f} | {statuses} | {seen.gc} | {told} |"
        )
        wrong += [f"{what}: {grown:,.0f} MB more, under {MOST_MB:g} are wanted"] * (grown >= MOST_MB)
        wrong += [f"{what}: p99 is {times:.1f} times the quiet one, at most {MOST_P99:g} are wanted"] * (
            not times <= MOST_P99
        )
        wrong += [f"{what}: the other client was not answered each time"] * (set(seen.statuses) != {200})
    print("\n" + ("\n".join(f"missed: {one}" for one in wrong) or "Nothing that is wanted was missed."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
