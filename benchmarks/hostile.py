"""Ask the endpoint what no friend would ask, and hold its sockets as slowly as they can be held.

    python benchmarks/hostile.py --requests 20000 --sockets 400

Some of the requests are made by schemathesis from the endpoint's own ``/openapi.json``, and its checks compare each answer with
that document; the others are of a corpus of mutilated requests. Printed are the answers by status and the server's memory; then,
beside slow sockets, the time of healthy requests as a ratio to without. Exit code 1 where there was a 5xx (but 503 for declared
overload), an answer that the document does not allow, or a socket that outlived its deadline.

schemathesis is no dependency of ours: ``pip install -r benchmarks/peers.txt``. It thinks for long about each request, so it makes
2,500 of them; with `--schemathesis 0` all are of the corpus.
"""

import argparse
import asyncio
import csv
import http.client
import importlib.util
import json
import multiprocessing
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.serve.http.protocol import HEAD_DEADLINE_S, LINGER_S
from linewright.serve.limits import BODY_DEADLINE_S
from linewright.serve.listener import endpoint

LINE = "claims"
HEALTHY_S = 10.0
PAUSE_S = 0.005
DROP_S = 0.5
"""Between two bytes of a slow client."""
LARGE_ROWS = 1_000
"""Rows whose answer does not fit into what the system buffers for a slow reader."""
KEEP_ALIVE_S = 5.0
DEADLINES_S = {
    "head": HEAD_DEADLINE_S,
    "body": BODY_DEADLINE_S,
    # Each may take so long: until an answer is read, until another request comes, until the rest is read.
    "reader": LINGER_S + KEEP_ALIVE_S + LINGER_S,
}
MARGIN_S = 2.0
"""A deadline is a timer on a busy machine, and sockets are looked at twice a second."""

Address = tuple[str, int]


# A factory


def make_factory(root: Path, rows: int = 600) -> Path:
    """Make a factory with one trained line of all types, and return its state folder."""
    chance = random.Random(7)  # noqa: S311
    root.mkdir(parents=True, exist_ok=True)
    with (root / "claims.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["PolicyNumber", "at", "Age", "Amount", "Insured", "Make", "opened", "Fraud"])
        for number in range(rows):
            age, amount = chance.randint(18, 90), round(chance.lognormvariate(6, 1), 2)
            fraud = chance.random() < (0.7 if amount > 600 and age < 45 else 0.1)
            day = f"2025-{1 + number * 12 // rows:02}-{chance.randint(1, 28):02}"
            make, insured = chance.choice(["Ford", "Fiat", "Seat"]), chance.choice(["true", "false"])
            opened = f"20{chance.randint(10, 24)}-0{chance.randint(1, 9)}-11"
            writer.writerow([f"p{number}", day, age, amount, insured, make, opened, "Yes" if fraud else "No"])
    new_line(
        root,
        LINE,
        root / "claims.csv",
        GivenRoles(label="Fraud", positive="Yes", time="at", key="PolicyNumber"),
    )
    line = root / "lines" / f"{LINE}.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
    Factory.create(root).close()
    command = [sys.executable, "-m", "linewright", "--factory", str(root)]
    subprocess.run([*command, "run", LINE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    state = root / ".linewright"
    if not (state / "serving" / f"{LINE}.json").exists():  # whether it is good is not the question here
        subprocess.run(
            [*command, "promote", f"{LINE}@1", "--force", "--because", "a benchmark"],
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return state


@contextmanager
def running(state: Path) -> Iterator[tuple[Address, int]]:
    """Serve a factory in a process of its own, and give its address and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "linewright.serve", str(state), "127.0.0.1", "0"], stderr=subprocess.DEVNULL
    )
    try:
        while (address := endpoint(state)) is None:
            assert process.poll() is None, "the endpoint ended"
            time.sleep(0.02)
        host, _, port = address.rpartition(":")
        yield (host, int(port)), process.pid
    finally:
        process.terminate()
        process.wait()


def memory(pid: int) -> dict[str, float]:
    """Return the resident memory of a process now and at its peak, in MB."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return {name: int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


# Mutilated requests


class Hostile(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


RAW = (
    *("1e999", "-1e999", "NaN", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1e", "'a'", "undefined"),
    "9" * 5000,
    '"' + "a" * 70_000 + '"',
    "[" * 600 + "]" * 600,
    '{"a":' * 5000 + "1" + "}" * 5000,
    "[" * 100_000,
)
"""What JSON does not have, or what is too large or too deep."""
LONGEST = 12 * 2**20
"""Bytes of a body: more than the endpoint takes, less than it reads to its end before it hangs up."""
MARK = "\N{SNOWMAN}"
ATOMS = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        -0.0,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        10**400,
        1.7e308,
        5e-324,
        "",
        " ",
        "\0",
        "\x7f\x80",
        "\ud800",
        "NaN",
        "null",
        "Yes",
        "0",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "2026-02-30",
        "0000-00-00",
        "9999-12-31T23:59:60+99:99",
        "0001-01-01T00:00:00+23:59",
        "__class__",
        "%s%n{0}",
        "' OR 1=1 --",
        "../../etc/passwd",
        [],
        {},
        [[[[]]]],
        {"": {"": {}}},
        [None] * 50,
    ]
)
JSON = st.recursive(
    ATOMS | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "\xff",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List where the parts of a JSON value are."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with one part changed."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], change)
    return copy


def friendly(document: dict[str, Any], line: str) -> dict[str, Any]:
    """Return a good body for each path of a line that takes one."""
    good = {"integer": 41, "number": 12.5, "boolean": True, "string": "Fiat", "date": "2026-03-01"}
    schemas = document["components"]["schemas"]
    row: dict[str, Any] = {}
    for name, schema in schemas[f"{line}.Row"]["properties"].items():
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        row[name] = good["date" if str(schema.get("format", "")).startswith("date") else kinds[0]]
    of_type = {"INT64": 41, "FP64": 12.5, "BOOL": True}
    tensors: list[dict[str, Any]] = []
    for one in schemas[f"{line}.Infer"]["properties"]["inputs"]["items"]["oneOf"]:
        name, datatype = (one["properties"][part]["const"] for part in ("name", "datatype"))
        data = [of_type.get(datatype, row[name])]
        tensors.append({"name": name, "shape": [1], "datatype": datatype, "data": data})
    label = {"key": good["string"], "label": schemas.get(f"{line}.Class", {"enum": [1.0]})["enum"][0]}
    return {
        f"/v1/lines/{line}/predict": {"rows": [row, row], "explain": False, "durable": False},
        f"/v1/lines/{line}/feedback": {"labels": [label, {**label, "at": "2026-01-31T12:00:00Z"}]},
        f"/v2/models/{line}/infer": {
            "id": "a",
            "inputs": tensors,
            "outputs": [{"name": "prediction"}],
            "parameters": {"durable": False},
        },
    }


@st.composite
def mutilated(draw: st.DrawFn, bodies: dict[str, Any]) -> Hostile:
    """Make a good request with some things wrong: in its JSON, in its bytes, in its head."""
    path = draw(st.sampled_from(sorted(bodies)))
    body = bodies[path]
    for _ in range(draw(st.integers(0, 3))):
        body = draw(changed(body))
    text = json.dumps(body)
    for number, token in enumerate(RAW):
        text = text.replace(json.dumps(f"{MARK}{number}{MARK}"), token)
    return Hostile("POST", path, *draw(dressed(text.encode()[:LONGEST])))


@st.composite
def changed(draw: st.DrawFn, body: Any) -> Any:
    """Change one part of a JSON value."""
    place = draw(st.sampled_from(places(body)))
    match draw(st.sampled_from(["replace", "replace", "wrap", "rename", "many", "raw"])):
        case "wrap":
            depth = draw(st.integers(1, 3))
            return put(body, place, lambda old: wrapped(old, depth))
        case "rename" if place and isinstance(place[-1], str):
            name = draw(st.text(max_size=8) | st.sampled_from(["Age", "rows", "name", "a" * 500]))
            return put(body, place[:-1], lambda old: {**old, name: old[place[-1]]})
        case "many":
            times = draw(st.sampled_from([0, 2, 40]))
            return put(body, place, lambda old: [old] * times)
        case "raw":
            token = draw(st.integers(0, len(RAW) - 1))
            return put(body, place, lambda _: f"{MARK}{token}{MARK}")
        case _:
            part = draw(ATOMS | JSON)
            return put(body, place, lambda _: part)


def wrapped(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def dressed(draw: st.DrawFn, body: bytes) -> tuple[dict[str, str], bytes]:
    """Headers, and bytes that may be broken."""
    headers = {"Content-Type": "application/json"}
    match draw(
        st.sampled_from(["as it is"] * 6 + ["cut", "flip", "insert", "after", "coded", "head", "binary"])
    ):
        case "cut":
            body = body[: draw(st.integers(0, len(body)))]
        case "flip" if body:
            at = draw(st.integers(0, len(body) - 1))
            body = body[:at] + bytes([body[at] ^ draw(st.integers(1, 255))]) + body[at + 1 :]
        case "insert":
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(st.binary(min_size=1, max_size=6)) + body[at:]
        case "after":
            body += draw(st.sampled_from([b" ", b"\0", b"{}", b"]", b"\xff" * 9, b" " * 100_000]))
        case "coded":
            body = body.decode().encode(draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-7", "utf-32"])))
        case "head":
            name = draw(
                st.sampled_from(
                    [
                        "Content-Type",
                        "Idempotency-Key",
                        "Origin",
                        "Content-Encoding",
                        "Accept",
                        "Expect",
                        "X-A",
                    ]
                )
            )
            value = draw(
                st.sampled_from(TYPES)
                | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=300)
            )
            headers[name] = value.strip()
        case "binary":
            size = draw(st.integers(-2, len(body) + 9) | st.sampled_from([2**64, 10**30]))
            spelled = draw(st.sampled_from([str(size), f"{size:x}", f" {size}", f"+{size}", f"{size}.0", ""]))
            headers["Inference-Header-Content-Length"] = spelled
            body += draw(st.binary(max_size=12))
        case _:
            pass
    return headers, body


@st.composite
def packed(draw: st.DrawFn, bodies: dict[str, Any]) -> Hostile:
    """Make a request of tensors as bytes, with some sizes, lengths or bytes wrong."""
    path = next(path for path in bodies if path.endswith("/infer"))
    blobs: list[bytes] = []
    tensors: list[dict[str, Any]] = []
    for tensor in bodies[path]["inputs"]:
        blob = packed_value(tensor["datatype"], tensor["data"][0])
        if draw(st.integers(0, 15)) == 0:
            blob = draw(
                st.binary(max_size=12) | st.sampled_from([b"", blob * 2, blob[:-1], b"\xff" * len(blob)])
            )
        size = len(blob) + draw(st.sampled_from([0] * 30 + [1, -1, 2**40, -(2**70)]))
        bare = {name: part for name, part in tensor.items() if name != "data"}
        tensors.append({**bare, "parameters": {"binary_data_size": size}})
        blobs.append(blob)
    body = {
        "inputs": tensors,
        "parameters": {"binary_data_output": draw(st.sampled_from([True] * 4 + [False, None, 1, "yes"]))},
    }
    if draw(st.integers(0, 3)) == 0:
        body = draw(changed(body))
    text = json.dumps(body).encode()
    length = len(text) + draw(st.sampled_from([0] * 9 + [1, -1, 10**6]))
    headers = {"Inference-Header-Content-Length": str(length)}
    return Hostile("POST", path, headers, text + b"".join(blobs) + draw(st.sampled_from([b""] * 9 + [b"\0"])))


def packed_value(datatype: str, value: Any) -> bytes:
    """Return a value as the protocol packs it."""
    if datatype == "BYTES":
        text = str(value).encode()
        return struct.pack("<I", len(text)) + text
    return struct.pack({"INT64": "<q", "FP64": "<d", "BOOL": "<?"}[datatype], value)


@st.composite
def misdirected(draw: st.DrawFn, paths: list[str]) -> Hostile:
    """Make a request with a wrong method, path or query."""
    segments = st.sampled_from(
        ["v1", "v2", "lines", "models", LINE, "versions", "1", "..", ".", "", "%2e%2e", "%00"]
    )
    path = draw(
        st.sampled_from(paths)
        | st.lists(
            segments | st.text(max_size=5).map(lambda text: quote(text.encode("utf-8", "replace"))),
            max_size=7,
        ).map(lambda parts: "/" + "/".join(parts))
    )
    query = draw(
        st.sampled_from(["", "", "", "?line=claims", "?line=x&line=y", "?" + "a" * 3000, "?line=%ff", "?;&="])
    )
    method = draw(st.sampled_from(METHODS))
    return Hostile(method, path + query, {}, draw(st.none() | st.binary(max_size=20)))


def hostile(document: dict[str, Any], line: str = LINE) -> st.SearchStrategy[Hostile]:
    """Make requests that nobody means well by."""
    bodies, paths = friendly(document, line), sorted(document["paths"])
    many = mutilated(bodies)
    anything = st.builds(
        Hostile,
        st.just("POST"),
        st.sampled_from(sorted(bodies)),
        st.just({"Content-Type": "application/json"}),
        JSON.map(lambda value: json.dumps(value).encode()),
    )
    return st.one_of(many, many, packed(bodies), anything, misdirected(paths))


class Asker:
    """One connection, made anew where the server ended it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, request: Hostile) -> tuple[int, bytes]:
        """Return status and body; the status is 0 where the server hung up without an answer."""
        for _ in range(2):
            fresh = self._connection is None
            try:
                return self._ask(request)
            except (http.client.HTTPException, OSError):
                self.close()
                if fresh:
                    return 0, b""
        return 0, b""

    def _ask(self, request: Hostile) -> tuple[int, bytes]:
        connection = self._connection or http.client.HTTPConnection(*self._address, timeout=30)
        self._connection = connection
        connection.putrequest(request.method, request.path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        answer = connection.getresponse()
        body = answer.read()
        if answer.will_close:
            self.close()
        return answer.status, body

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Told:
    """What came of many requests."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    wrong: list[str] = field(default_factory=list[str])
    """Answers that must not be, the first 20."""

    def note(self, status: int, body: bytes, request: object) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status == 0:
            size = len(getattr(request, "body", b"") or b"")
            self.blame(f"hung up on {size:,} bytes of {str(request)[:300]}")
        if status >= 500 and not (status == 503 and b'"error":"Transient"' in body):
            self.blame(f"{status} for {str(request)[:300]}: {body[:200]!r}")
        if status >= 400 and body and not body.startswith(b'{"error":'):
            self.blame(f"{status} in another form: {body[:200]!r}")

    def blame(self, what: str) -> None:
        """Keep what is wrong."""
        if len(self.wrong) < 20:
            self.wrong.append(what)


def ask_corpus(
    address: Address, document: dict[str, Any], requests: int, told: Told, line: str = LINE
) -> None:
    """Ask this many requests of the corpus."""
    asker, left = Asker(address), requests

    @settings(
        max_examples=requests,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile(document, line))
    def ask(request: Hostile) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            told.note(*asker.ask(request), request)

    while left > 0:
        before = left
        ask()
        if left == before:
            break
    asker.close()


# What the document itself brings up


def ask_schemathesis(address: Address, requests: int, told: Told) -> int:
    """Ask what schemathesis makes of our document, at most this many, and return how many it were."""
    schemathesis: Any = importlib.import_module("schemathesis")
    checks: Any = importlib.import_module("schemathesis.specs.openapi.checks")
    general: Any = importlib.import_module("schemathesis.checks")
    wanted = [
        general.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    url = f"http://{address[0]}:{address[1]}"
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    session = importlib.import_module("requests").Session()
    asked = 0

    def ask_one(case: Any) -> None:
        nonlocal asked
        if asked >= requests:
            return
        asked += 1
        answer = case.call(base_url=url, session=session)
        told.note(answer.status_code, answer.content, (case.method, case.path, case.body))
        try:
            case.validate_response(answer, checks=wanted)
        except Exception as error:  # noqa: BLE001 -- a group of failures of theirs
            told.blame(f"{case.method} {case.path}: {error} {getattr(error, 'exceptions', '')}"[:1500])

    bodies = [operation for operation in operations if operation.body]
    plain = [operation for operation in operations if not operation.body]
    for operation in plain:
        ask_many(operation, schemathesis.GenerationMode.POSITIVE, max(requests // 200, 2), ask_one)
    while asked < requests:
        before = asked
        each = max((requests - asked) // (2 * len(bodies)), 5)
        for operation in bodies:
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                ask_many(operation, mode, each, ask_one)
        if asked == before:
            break
    return asked


def ask_many(operation: Any, mode: Any, requests: int, ask: Callable[[Any], None]) -> None:
    @settings(
        max_examples=requests,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        ask(case)

    one()


# Slow sockets


@dataclass
class Slow:
    """One socket that is held."""

    kind: str
    sent_at: float = 0.0
    port: int = 0
    closed_s: float | None = None
    """Seconds until the server ended it."""
    said: bytes = b""


def hold(
    address: Address, sockets: int, body: bytes, longest_s: float, tell: Callable[[object], None]
) -> list[Slow]:
    """Hold this many sockets, a third each with a slow head, a slow body and slow reading, until the server ends them.

    `tell` is called once all are held, and with the list in the end, which is returned too.
    """
    slow = asyncio.run(_hold(address, sockets, body, longest_s, tell))
    tell(slow)
    return slow


async def _hold(
    address: Address, sockets: int, body: bytes, longest_s: float, tell: Callable[[object], None]
) -> list[Slow]:
    slow = [Slow(("head", "body", "reader")[number % 3]) for number in range(sockets)]
    readers = [each for each in slow if each.kind == "reader"]
    # Answers to the readers are computed first: it is slowness that is measured, not that work.
    holds = [asyncio.create_task(_hold_one(address, each, body, longest_s)) for each in readers]
    await _until(lambda: all(each.said for each in readers), longest_s)
    others = [each for each in slow if each.kind != "reader"]
    holds += [asyncio.create_task(_hold_one(address, each, body, longest_s)) for each in others]
    await _until(lambda: all(each.port for each in others), longest_s)
    tell("all are held")
    watching = asyncio.create_task(_watch(address[1], slow))
    await asyncio.gather(*holds)
    watching.cancel()
    return slow


async def _until(is_so: Callable[[], bool], longest_s: float) -> None:
    until = time.monotonic() + longest_s
    while not is_so() and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _watch(port: int, slow: list[Slow]) -> None:
    """Note when the server, and the system for it, lets go of sockets."""
    seen: set[int] = set()  # a connection that waits to be accepted is nobody's yet
    while True:
        held = _held_by_server(port)
        seen |= held
        now = time.monotonic()
        for each in slow:
            if each.port in seen - held and each.closed_s is None:
                each.closed_s = now - each.sent_at
        await asyncio.sleep(0.25)


def _held_by_server(port: int) -> set[int]:
    """Return the ports of the clients whose connection the server has, or for whom the system keeps bytes of it."""
    found: set[int] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, _, _, _, _, owner, *_ = line.split()
        unsent = int(queues.partition(":")[0], 16)
        if int(local.partition(":")[2], 16) == port and (owner != "0" or unsent):
            found.add(int(remote.partition(":")[2], 16))
    return found


async def _hold_one(address: Address, slow: Slow, body: bytes, longest_s: float) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setblocking(False)
        await loop.sock_connect(connection, address)
        head = (
            f"POST /v1/lines/{LINE}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        drop, data = b"", f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if slow.kind == "head":
            drop, data = b"X-A: a\r\n", head.encode()
        elif slow.kind == "body":
            drop, data = b" ", f"{head}Content-Length: 100000\r\n\r\n".encode()
        begun = time.monotonic()
        await loop.sock_sendall(connection, data)
        slow.sent_at, slow.port = begun, connection.getsockname()[1]
        while slow.closed_s is None and time.monotonic() - begun < longest_s:
            await asyncio.sleep(DROP_S)
            with suppress(OSError):
                slow.said = (slow.said + connection.recv(1 if slow.said else 12))[:12]
            if drop and not slow.said:
                with suppress(OSError):
                    connection.send(drop)


def healthy(address: Address, body: bytes, seconds: float) -> list[float]:
    """Ask for one row again and again, and return the seconds that each took."""
    asker, took = Asker(address), []
    request = Hostile("POST", f"/v1/lines/{LINE}/predict", {"Content-Type": "application/json"}, body)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.perf_counter()
        status, said = asker.ask(request)
        took.append(time.perf_counter() - begun)
        assert status == 200, said
        time.sleep(PAUSE_S)
    asker.close()
    return took


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def beside_slow_sockets(address: Address, pid: int, row: dict[str, Any], sockets: int) -> bool:
    """Print the table of slow sockets, and return whether each was closed by its deadline."""
    one = json.dumps({"rows": [row]}).encode()
    large = json.dumps({"rows": [row] * LARGE_ROWS}).encode()
    healthy(address, one, 2.0)
    alone = healthy(address, one, HEALTHY_S)
    longest = max(DEADLINES_S.values()) + 2 * MARGIN_S
    time.sleep(1.0)
    files = open_files(pid)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # A process of its own: what the slow clients cost themselves is not measured.
    holder = context.Process(target=hold, args=(address, sockets, large, longest, theirs.send))
    holder.start()
    ours.recv()  # all are held
    held = open_files(pid) - files
    beside = healthy(address, one, HEALTHY_S)
    held_still, peak = open_files(pid) - files, memory(pid)["VmRSS"]
    slow: list[Slow] = ours.recv()
    holder.join()
    time.sleep(1.0)
    left = open_files(pid) - files
    print(
        f"\n{held} slow sockets held when healthy requests began, {held_still} when they ended; server {peak:.0f} MB then\n"
    )
    print("| healthy requests | number | p50 ms | p99 ms | p99, of alone |\n|---|---:|---:|---:|---:|")
    for name, took in (("alone", alone), ("beside slow sockets", beside)):
        row_of = f"| {name} | {len(took):,} | {statistics.median(took) * 1000:.2f} | {p99(took) * 1000:.2f} "
        print(f"{row_of}| {p99(took) / p99(alone):.2f} |")
    print(
        "\n| slow | sockets | ended by the server | last after s | deadline s | answered |\n|---|---:|---:|---:|---:|---|"
    )
    fine = True
    for kind, deadline in DEADLINES_S.items():
        of_kind = [each for each in slow if each.kind == kind]
        ended = [each.closed_s for each in of_kind if each.closed_s is not None]
        said = Counter(each.said[9:12].decode("latin-1") or "-" for each in of_kind)
        fine &= len(ended) == len(of_kind) and max(ended, default=0.0) <= deadline + MARGIN_S
        shown = ", ".join(f"{status}: {count}" for status, count in said.most_common())
        print(
            f"| {kind} | {len(of_kind)} | {len(ended)} | {max(ended, default=0.0):.1f} | {deadline:.0f} | {shown} |"
        )
    print(f"\n{left} of their sockets are left in the server")
    return fine and left <= 0


# All of it


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--sockets", type=int, default=400)
    parser.add_argument("--schemathesis", type=int, default=2_500, help="how many of the requests it makes")
    asked = parser.parse_args()
    told, fine = Told(), True
    with tempfile.TemporaryDirectory() as folder:
        state = make_factory(Path(folder))
        with running(state) as (address, pid):
            document = json.loads(Asker(address).ask(Hostile("GET", "/openapi.json", {}, None))[1])
            row = friendly(document, LINE)[f"/v1/lines/{LINE}/predict"]["rows"][0]
            healthy(address, json.dumps({"rows": [row]}).encode(), 1.0)
            before, begun = memory(pid), time.monotonic()
            made = 0
            if asked.schemathesis:
                made = ask_schemathesis(address, min(asked.schemathesis, asked.requests), told)
            ask_corpus(address, document, asked.requests - made, told)
            took = time.monotonic() - begun
            after = memory(pid)
            total = told.statuses.total()
            print(f"{total:,} requests, {made:,} of them by schemathesis, in {took:.0f} s\n")
            print("| status | answers |\n|---|---:|")
            for status, count in sorted(told.statuses.items()):
                print(f"| {status or 'hung up'} | {count:,} |")
            bad = sum(count for status, count in told.statuses.items() if status >= 500 and status != 503)
            print(f"\n{bad} answers of 5xx (503 is declared overload: {told.statuses[503]})")
            print(
                f"server: {before['VmRSS']:.0f} MB before, {after['VmRSS']:.0f} MB after, {after['VmHWM']:.0f} MB at most"
            )
            for each in told.wrong:
                print("WRONG:", each)
            if asked.sockets:
                fine = beside_slow_sockets(address, pid, row, asked.sockets)
    return 0 if fine and not told.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
