"""Requests that are wrong, to a factory that is up: each is refused by its place, and nothing is kept of it."""

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from control import bearer
from ports import free_port

ROW = {"part": "Q1", "width": 11.5, "colour": "red", "made": "2025-03-01"}
DATA, CONTROL = "data", "control"
PREDICT, FEEDBACK, INFER = "/v1/lines/parts/predict", "/v1/lines/parts/feedback", "/v2/models/parts/infer"
PROMOTE, HALT, STATUS = "/api/v1/promote", "/api/v1/halt", "/api/v1/status"
JSON = {"content-type": "application/json"}
WIDTH = {"name": "width", "datatype": "FP64", "shape": [1], "data": [11.5]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad request, and how it must be refused."""

    path: str
    body: Any = None
    """Bytes as they are, or a value to send as JSON."""
    status: int
    says: tuple[str, ...] = ()
    """Parts of the answer: the place first."""
    method: str = "POST"
    headers: Mapping[str, str | bytes] = field(default_factory=lambda: JSON)
    raw: bytes = b""
    """The whole request as it is sent, where a client library would not send such a thing; the sender then hangs up."""


def rows(*values: Any) -> dict[str, Any]:
    return {"rows": list(values)}


def labels(*values: Any) -> dict[str, Any]:
    return {"labels": list(values)}


def head(path: str, *more: bytes, method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1".encode(),
        b"Host: localhost",
        b"Content-Type: application/json",
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


DEEP = b"[" * 50_000 + b"]" * 50_000

CASES: dict[str, Case] = {
    # Rows to be answered
    "predict: no json": Case(path=PREDICT, body=b"width=1", status=400, says=("byte 0",)),
    "predict: nothing": Case(path=PREDICT, body=b"", status=400, says=("byte 0",)),
    "predict: cut off": Case(path=PREDICT, body=b'{"rows": [{"width": 1', status=400, says=("byte 21",)),
    "predict: nul byte": Case(
        path=PREDICT, body=b'{"rows": [{"colour": "r\0d"}]}', status=400, says=("byte",)
    ),
    "predict: utf-16": Case(
        path=PREDICT, body=json.dumps(rows(ROW)).encode("utf-16"), status=400, says=("byte",)
    ),
    "predict: byte order mark": Case(
        path=PREDICT,
        body=b"\xef\xbb\xbf" + json.dumps(rows(ROW)).encode(),
        status=400,
        says=("byte 0: the body begins with a byte order mark", "send UTF-8 without it"),
    ),
    "predict: not utf-8": Case(
        path=PREDICT, body=b'{"rows": [{"colour": "\xff"}]}', status=400, says=("byte 22",)
    ),
    "predict: half of a character": Case(
        path=PREDICT, body=b'{"rows": [{"colour": "\\ud800"}]}', status=400, says=("byte",)
    ),
    "predict: nan": Case(
        path=PREDICT,
        body=b'{"rows": [{"width": NaN}]}',
        status=400,
        says=("byte 20: NaN is not JSON", "send null where a value is missing"),
    ),
    "predict: infinity": Case(
        path=PREDICT,
        body=b'{"rows": [{"width": Infinity}]}',
        status=400,
        says=("byte 20: Infinity is not JSON", "send null where a value is missing"),
    ),
    "predict: less than any number": Case(
        path=PREDICT,
        body=b'{"rows": [{"width": -Infinity}]}',
        status=400,
        says=("byte 20: -Infinity is not JSON", "send null where a value is missing"),
    ),
    "predict: a word that begins like no number": Case(
        path=PREDICT,
        body=b'{"rows": [{"width": NaNometre}]}',
        status=400,
        says=("byte 20: the body is not JSON",),
    ),
    "predict: 1e999": Case(
        path=PREDICT,
        body=b'{"rows": [{"width": 1e999, "colour": "red"}]}',
        status=422,
        says=("rows[0].width",),
    ),
    "predict: many digits": Case(
        path=PREDICT, body=rows({**ROW, "width": 10**4000}), status=422, says=("rows[0].width",)
    ),
    "predict: deep": Case(path=PREDICT, body=DEEP, status=422, says=("body",)),
    "predict: deep in a value": Case(
        path=PREDICT, body=b'{"rows": [{"colour": ' + DEEP + b"}]}", status=400, says=("body",)
    ),
    "predict: a list": Case(path=PREDICT, body=[ROW], status=422, says=("body", 'send {\\"rows\\"')),
    "predict: explain in quotes": Case(
        path=PREDICT,
        body={**rows(ROW), "explain": "yes"},
        status=422,
        says=("explain", "not true or false", "a text", 'send {\\"explain\\": true}, without quotes'),
    ),
    "predict: a misspelt field": Case(
        path=PREDICT,
        body={**rows(ROW), "explian": True},
        status=422,
        says=("explian", "rows, explain, durable", "did you mean 'explain'?"),
    ),
    "predict: rows that are no list": Case(
        path=PREDICT, body={"rows": ROW}, status=422, says=("rows", "not a list", "an object")
    ),
    "predict: without rows": Case(
        path=PREDICT, body={"explain": True}, status=422, says=("'rows' is missing",)
    ),
    "predict: no rows": Case(path=PREDICT, body=rows(), status=422, says=("rows",)),
    "predict: a second row of another form": Case(
        path=PREDICT, body=rows(ROW, {**ROW, "width": "wide"}), status=422, says=("rows[1].width",)
    ),
    "predict: unknown column": Case(
        path=PREDICT, body=rows({**ROW, "heigth": 1}), status=422, says=("rows[0].heigth",)
    ),
    "predict: text for a number": Case(
        path=PREDICT, body=rows({**ROW, "width": "11.5"}), status=422, says=("rows[0].width", "send 11.5")
    ),
    "predict: key of a list": Case(
        path=PREDICT, body=rows({**ROW, "part": [1]}), status=422, says=("rows[0].part",)
    ),
    "predict: too many rows": Case(path=PREDICT, body=rows(*[ROW] * 10_001), status=422, says=("rows",)),
    "predict: too large": Case(path=PREDICT, body=b" " * (11 << 20), status=413, says=("body",)),
    "predict: as a form": Case(
        path=PREDICT,
        body=b"{}",
        headers={"content-type": "application/x-www-form-urlencoded"},
        status=415,
        says=("application/json",),
    ),
    "predict: without a type": Case(
        path=PREDICT, body=b"{}", headers={}, status=415, says=("application/json",)
    ),
    "predict: compressed": Case(
        path=PREDICT, body=b"\x1f\x8b", headers={**JSON, "content-encoding": "gzip"}, status=415
    ),
    "predict: put": Case(path=PREDICT, body=rows(ROW), method="PUT", status=405, says=(PREDICT,)),
    "predict: get": Case(path=PREDICT, method="GET", status=405, says=(PREDICT,)),
    "predict: no such line": Case(
        path="/v1/lines/prats/predict", body=rows(ROW), status=404, says=("prats",)
    ),
    "predict: out of the factory": Case(path="/v1/lines/..%2f..%2fx/predict", body=rows(ROW), status=404),
    "predict: line of nul": Case(path="/v1/lines/parts%00/predict", body=rows(ROW), status=404),
    "predict: a page of another site": Case(
        path=PREDICT,
        body=rows(ROW),
        headers={**JSON, "origin": "http://evil.example"},
        status=403,
        says=("evil.example",),
    ),
    "predict: header of bytes": Case(
        path=PREDICT, body=rows(ROW), headers={**JSON, "host": b"\xff\xfe"}, status=403
    ),
    "predict: chunks cut off": Case(
        path=PREDICT, status=0, raw=head(PREDICT, b"Transfer-Encoding: chunked") + b'400\r\n{"rows": ['
    ),
    "predict: chunk of words": Case(
        path=PREDICT, status=400, raw=head(PREDICT, b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n"
    ),
    "predict: body cut off": Case(
        path=PREDICT, status=0, raw=head(PREDICT, b"Content-Length: 1000") + b'{"rows": ['
    ),
    "predict: two lengths": Case(
        path=PREDICT, status=400, raw=head(PREDICT, b"Content-Length: 2", b"Content-Length: 3") + b"{} "
    ),
    "predict: length of words": Case(
        path=PREDICT, status=400, raw=head(PREDICT, b"Content-Length: two") + b"{}"
    ),
    "predict: a line break in the path": Case(
        path=PREDICT, status=400, raw=head("/v1/lines/pa\nrts/predict", b"Content-Length: 2") + b"{}"
    ),
    # Tensors
    "infer: no inputs": Case(path=INFER, body={}, status=422, says=("inputs",)),
    "infer: shape of another size": Case(
        path=INFER, body={"inputs": [{**WIDTH, "shape": [2]}]}, status=422, says=("inputs[width]",)
    ),
    "infer: shape of many": Case(
        path=INFER, body={"inputs": [{**WIDTH, "shape": [2**62]}]}, status=422, says=("inputs[width].shape",)
    ),
    "infer: shape below nothing": Case(
        path=INFER, body={"inputs": [{**WIDTH, "shape": [-1]}]}, status=422, says=("inputs[width].shape",)
    ),
    "infer: an unknown type": Case(
        path=INFER,
        body={"inputs": [{**WIDTH, "datatype": "FP128"}]},
        status=422,
        says=("inputs[width].datatype",),
    ),
    "infer: twice": Case(
        path=INFER,
        body={"inputs": [WIDTH, WIDTH]},
        status=422,
        says=(
            "inputs",
            "twice",
            "'width'",
        ),
    ),
    "infer: text for numbers": Case(
        path=INFER,
        body={"inputs": [{**WIDTH, "data": ["wide"]}]},
        status=422,
        says=("inputs[width].data[0]",),
    ),
    "infer: no such version": Case(
        path="/v2/models/parts/versions/9/infer", body={"inputs": [WIDTH]}, status=404, says=("parts",)
    ),
    "infer: a version of many digits": Case(
        path="/v2/models/parts/versions/" + "9" * 5000 + "/infer", body={"inputs": [WIDTH]}, status=404
    ),
    # Labels
    "feedback: no such class": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad"}, {"key": "P0002", "label": "Bad"}),
        status=422,
        says=("labels[1].label",),
    ),
    "feedback: neither id nor key": Case(
        path=FEEDBACK, body=labels({"label": "bad"}), status=422, says=("labels[0]",)
    ),
    "feedback: both id and key": Case(
        path=FEEDBACK,
        body=labels({"id": "x", "key": "P0001", "label": "bad"}),
        status=422,
        says=("labels[0]",),
    ),
    "feedback: no such time": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad", "at": "yesterday"}),
        status=422,
        says=("labels[0].at",),
    ),
    "feedback: of a far future": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad", "at": "99999-01-01"}),
        status=422,
        says=("labels[0].at",),
    ),
    "feedback: against what is kept": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad"}, {"key": "P0000", "label": "good"}),
        status=409,
        says=("P0000",),
    ),
    "feedback: against itself": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad"}, {"key": "P0001", "label": "good"}),
        status=409,
        says=("P0001",),
    ),
    "feedback: more than labels": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad", "sure": True}),
        status=422,
        says=("labels[0]",),
    ),
    "feedback: too many": Case(
        path=FEEDBACK, body=labels(*[{"key": "P0001", "label": "bad"}] * 10_001), status=422, says=("labels",)
    ),
    "feedback: an empty idempotency key": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad"}),
        headers={**JSON, "idempotency-key": ""},
        status=422,
        says=("dempotency",),
    ),
    "feedback: a long idempotency key": Case(
        path=FEEDBACK,
        body=labels({"key": "P0001", "label": "bad"}),
        headers={**JSON, "idempotency-key": "x" * 256},
        status=422,
        says=("Idempotency-Key",),
    ),
    "feedback: no such line": Case(
        path="/v1/lines/prats/feedback",
        body=labels({"key": "P0001", "label": "bad"}),
        status=404,
        says=("prats",),
    ),
    "feedback: half of a key": Case(
        path=FEEDBACK, body=b'{"labels": [{"key": "\\udc00", "label": "bad"}]}', status=400, says=("byte",)
    ),
    # The control plane
    "control: no such path": Case(path="/api/v1/nowhere", body={}, status=404, says=("/api/v1/nowhere",)),
    "control: a command that stays here": Case(path="/api/v1/up", body={}, status=404),
    "control: a path of this machine": Case(
        path="/api/v1/new",
        body={"name": "x", "data": "/etc/passwd", "label": "a"},
        status=422,
        says=("data", "/etc/passwd"),
    ),
    "control: a write as a read": Case(
        path=PROMOTE + "?model=parts@1", method="GET", status=405, says=(PROMOTE,)
    ),
    "control: a read as a write": Case(path=STATUS, body={}, status=405, says=(STATUS,)),
    "control: no json": Case(path=PROMOTE, body=b"model=parts@1", status=422),
    "control: cut off": Case(path=PROMOTE, body=b'{"model": "parts', status=422),
    "control: a list": Case(path=PROMOTE, body=["parts@1"], status=422),
    "control: a key twice": Case(
        path=PROMOTE, body=b'{"model": "parts@9", "model": "parts@1"}', status=422, says=("model",)
    ),
    "control: nan": Case(path=PROMOTE, body=b'{"model": NaN}', status=422),
    "control: deep": Case(path=PROMOTE, body=b'{"model": ' + DEEP + b"}", status=422),
    "control: not utf-8": Case(path=PROMOTE, body=b'{"model": "\xff"}', status=422),
    "control: half of a character": Case(path=PROMOTE, body=b'{"model": "\\ud800"}', status=422),
    "control: a number for a text": Case(path=PROMOTE, body={"model": 10**400}, status=422, says=("model",)),
    "control: an unknown word": Case(
        path=PROMOTE, body={"model": "parts@1", "sure": True}, status=422, says=("sure",)
    ),
    "control: nothing": Case(path=PROMOTE, body={}, status=422, says=("model",)),
    "control: no such model": Case(
        path=PROMOTE, body={"model": "parts@9"}, status=404, says=("parts@9", "parts@1")
    ),
    "control: a version of many digits": Case(
        path=PROMOTE, body={"model": "parts@" + "9" * 5000}, status=422
    ),
    "control: a line of nul": Case(path=HALT, body={"line": "pa\0rts"}, status=422, says=("line",)),
    "control: out of the factory": Case(path=HALT, body={"line": "../parts"}, status=422, says=("../parts",)),
    "control: a run of no line": Case(
        path="/api/v1/run", body={"lines": ["prats"]}, status=404, says=("prats", "did you mean 'parts'?")
    ),
    "control: as a form": Case(
        path=PROMOTE,
        body=b"model=parts@1",
        headers={"content-type": "application/x-www-form-urlencoded"},
        status=415,
    ),
    "control: a page of another site": Case(
        path=HALT, body={"line": "parts"}, headers={**JSON, "origin": "http://evil.example"}, status=403
    ),
    "control: another host": Case(
        path=HALT, body={"line": "parts"}, headers={**JSON, "host": "evil.example"}, status=403
    ),
    "control: too large": Case(path=HALT, body=b" " * (2 << 20), status=413),
    "control: an empty idempotency key": Case(
        path=HALT, body={"line": "parts"}, headers={**JSON, "idempotency-key": ""}, status=422
    ),
    "control: query not utf-8": Case(path=STATUS + "?line=%ff%fe", method="GET", status=422),
    "control: query of nul": Case(path=STATUS + "?line=%00", method="GET", status=422),
    "control: query twice": Case(
        path=STATUS + "?line=parts&line=prats", method="GET", status=422, says=("line",)
    ),
    "control: an unknown query": Case(
        path=STATUS + "?lien=parts", method="GET", status=422, says=("lien", "line")
    ),
    "control: id out of the factory": Case(
        path="/api/v1/show?id=..%2f..%2fetc%2fpasswd", method="GET", status=404
    ),
    "control: a card of no model": Case(
        path="/api/v1/card?model=parts@9", method="GET", status=404, says=("parts@9",)
    ),
    "control: chunks cut off": Case(
        path=HALT, status=0, raw=head(HALT, b"Transfer-Encoding: chunked") + b'400\r\n{"line": "parts"'
    ),
}


@dataclass(frozen=True)
class Up:
    """A factory that is up, and its two addresses."""

    root: Path
    data: str
    control: str

    def address(self, path: str) -> str:
        return self.control if path.startswith("/api/") else self.data


@pytest.fixture(scope="module")
def up(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Serve a copy of the factory, as `linewright up` does."""
    root = tmp_path_factory.mktemp("up") / "factory"
    shutil.copytree(trained, root)
    ports = [free_port(), free_port()]
    words = ["up", "--port", str(ports[0]), "--control-port", str(ports[1]), "--factory", str(root)]
    with (root.parent / "said").open("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", "linewright", *words], stderr=said)
        served = Up(root, *(f"127.0.0.1:{port}" for port in ports))
        try:
            wait_for(f"http://{served.data}/v2/models/parts/ready", process)
            wait_for(f"http://{served.control}/", process)
            wait_for_checkpoint(root, process)
            yield served
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
        said.seek(0)
        assert "Traceback" not in said.read()


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not come up")


def wait_for_checkpoint(root: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the worker has entered what it found: the next time is ten minutes away, after all these requests."""
    deadline = time.monotonic() + 90
    with closing(sqlite3.connect(root / ".linewright" / "metadata.sqlite")) as database:
        while time.monotonic() < deadline and process.poll() is None:
            if database.execute("select 1 from events where kind = 'checkpointed'").fetchone():
                return
            time.sleep(0.1)
    raise AssertionError("no checkpoint was made")


def send(up: Up, case: Case) -> tuple[int, str]:
    """Send it, and return the status (0 where the endpoint only hung up) and the text of the answer."""
    host, _, port = up.address(case.path).partition(":")
    asked_by = bearer(up.root) if case.path.startswith("/api/") else {}
    if case.raw:
        with socket.create_connection((host, int(port)), timeout=90) as connection:
            start, _, rest = case.raw.partition(b"\r\n")
            fields = "".join(f"{name}: {value}\r\n" for name, value in asked_by.items())
            connection.sendall(start + b"\r\n" + fields.encode() + rest)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer[9:12] or 0), answer.decode()
    body = case.body if case.body is None or isinstance(case.body, bytes) else json.dumps(case.body).encode()
    with closing(http.client.HTTPConnection(host, int(port), timeout=90)) as connection:
        connection.putrequest(case.method, case.path, skip_host="host" in case.headers)
        for name, value in {**asked_by, **case.headers}.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # what is too large is refused before it came
            connection.send(body or b"")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def remembered(root: Path, kept: Any) -> dict[str, str]:
    """Return what a refused request must not change: lines, models, promotions, log and labels."""
    parts = ("lines/", ".linewright/log/", ".linewright/serving/", ".linewright/metadata.sqlite")
    found = {name: held for name, held in kept(root).items() if name.startswith(parts)}
    for path in (root / ".linewright" / "feedback").rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as database:
            found[path.name] = repr(
                [
                    database.execute(select).fetchall()
                    for select in ("select * from by_id", "select * from by_key")
                ]
            )
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_a_bad_request_is_refused_by_its_place_and_nothing_is_kept_of_it(name, up, kept):
    """A client's mistake is answered to the client, and is nobody else's trouble."""
    case = CASES[name]
    before = remembered(up.root, kept)

    status, answer = send(up, case)

    assert case.status == status, answer
    assert [] == [part for part in case.says if part not in answer], answer
    if status and not case.raw:
        assert {"error", "message"} <= json.loads(answer).keys()
    assert "Traceback" not in answer
    assert before == remembered(up.root, kept)
    good = httpx.post(f"http://{up.data}{PREDICT}", json=rows(ROW), timeout=90)
    assert 200 == good.status_code, good.text
    status = httpx.get(f"http://{up.control}{STATUS}", headers=bearer(up.root), timeout=90)
    assert 200 == status.status_code
