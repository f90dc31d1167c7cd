"""A small line with a hand-made model, and a real endpoint in a process of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import commands
import numpy as np
import pytest
from onnx import TensorProto, helper

from linewright.features.encode import encode
from linewright.features.facts import Boolean, Category, DatePart, Encoder, Number
from linewright.model.facts import Band, Calibration, Limit, Package, RequestColumn
from linewright.model.package.model import Golden, open_model
from linewright.release.facts import Arm, Serving
from linewright.serve.listener import endpoint
from linewright.serve.log import index
from linewright.serve.rows.body.reader import RowReader
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import canonical_json, digest_of_bytes

ENCODER = Encoder(
    encodings=(
        Number(column="Age"),
        Number(column="Amount"),
        Boolean(column="Insured"),
        Category(column="Make", levels=("Ford", "Fiat")),
        DatePart(column="opened", part="month"),
    )
)
WEIGHTS = (0.05, -0.01, 0.5, 0.3, 0.02)
COLUMNS = (
    RequestColumn(name="Age", type="integer", nullable=False),
    RequestColumn(name="Amount", type="number", optional=True),
    RequestColumn(name="Insured", type="boolean", optional=True),
    RequestColumn(name="Make", type="category", optional=True),
    RequestColumn(name="opened", type="date", optional=True),
    RequestColumn(name="PolicyNumber", type="integer", nullable=False, role="carried"),
    RequestColumn(name="Fraud", type="category", nullable=False, role="carried"),
    RequestColumn(name="at", type="datetime", role="carried"),
)
ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
GOLDEN_ROWS = (
    {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01"},
    {"Age": 17, "Amount": None, "Insured": None, "Make": None, "opened": None},
)
TASKS = {
    "binary": {"task": "binary", "classes": ("No", "Yes"), "threshold": 0.4, "half_width": None},
    "multiclass": {"task": "multiclass", "classes": ("a", "b", "c"), "threshold": None, "half_width": None},
    "regression": {
        "task": "regression",
        "classes": (),
        "threshold": None,
        "half_width": 2.5,
        "band": Band(at=(0.0,), half_widths=(2.5,), least=None),
    },
}


def graph_of(outputs: int, bias: float) -> bytes:
    """Make a graph: x with 0 for missing, times one column of weights an output, then softmax where there are classes."""
    columns = np.outer(WEIGHTS, np.arange(outputs) if outputs > 1 else [1.0]).astype(np.float32)
    shift = np.linspace(0, bias, outputs) if outputs > 1 else np.array([bias])
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("w", TensorProto.FLOAT, columns.shape, columns.ravel()),
        helper.make_tensor("b", TensorProto.FLOAT, [outputs], shift.astype(np.float32)),
    ]
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["known"]),
        helper.make_node("MatMul", ["known", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["z" if outputs > 1 else "y"]),
    ]
    if outputs > 1:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"], axis=1))
    graph = helper.make_graph(
        nodes,
        "hand-made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", len(WEIGHTS)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        constants,
    )
    opsets = [helper.make_opsetid("", 15)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def make_package(artifacts, *, task: str = "binary", bias: float = -2.0, **changes) -> tuple[Package, str]:
    """Keep a package that answers by `bias`, with golden rows, and return it with its digest."""
    rules = TASKS[task]
    graph = graph_of(len(rules["classes"]) or 1, bias)
    draft = Package(
        **rules,
        label="Fraud",
        key="PolicyNumber",
        columns=COLUMNS,
        encoder=ENCODER,
        graph=digest_of_bytes(graph),
        graph_bytes=len(graph),
        calibration=Calibration(),
        golden="",
        trained="sha256:00",
    )
    model = open_model(draft, graph)
    x = encode(ENCODER, RowReader(COLUMNS).read(list(GOLDEN_ROWS)))
    golden = Golden(rows=GOLDEN_ROWS, predictions=tuple(model.answers(model.scores(x))))
    parts = {name: getattr(draft, name) for name in draft.__struct_fields__}
    parts["golden"] = artifacts.put(canonical_json(golden))
    package = Package(**{**parts, **changes})
    artifacts.put(graph)
    return package, artifacts.put(canonical_json(package))


@dataclass
class Claims:
    """A factory's state with one line, moved by writing its pointer."""

    state: Path
    line: str = "claims"
    generation: int = 0
    models: dict[int, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    @property
    def artifacts(self) -> LocalArtifacts:
        return LocalArtifacts(self.state / "artifacts")

    def make(self, version: int, **settings) -> str:
        package, self.models[version] = make_package(self.artifacts, bias=-2.0 + version / 10, **settings)
        self.package = package
        return self.models[version]

    def point(
        self,
        version: int | None,
        *,
        halt: bool = False,
        digest: str | None = None,
        canary: int | None = None,
        share: float = 0.25,
        shadow: int | None = None,
        **canary_settings: str,
    ) -> None:
        """Replace the pointer, as a promotion or a step of a candidate that is tried does."""
        self.generation += 1
        package = digest or (self.models[version] if version else "")
        arm = Arm(model=version, package=package, limits=self.limits) if version else None
        beside = Arm(model=canary, package=self.models[canary], share=share) if canary else None
        mirrored = Arm(model=shadow, package=self.models[shadow], share=0.0) if shadow else None
        serving = Serving(
            line=self.line,
            generation=self.generation,
            champion=arm,
            halt=halt,
            canary=beside,
            shadow=mirrored,
            **canary_settings,
        )
        folder = self.state / "serving"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{self.line}"
        temporary.write_bytes(canonical_json(serving))
        temporary.replace(folder / f"{self.line}.json")

    def flip_a_bit(self, digest: str) -> None:
        path = self.state / "artifacts" / digest[7:9] / digest[9:]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)


class Endpoint:
    """An endpoint in a process of its own, and one kept-alive connection to it."""

    def __init__(
        self,
        state: Path,
        *,
        head_deadline_s: float = 15.0,
        linger_s: float = 30.0,
        patience_s: float = 15.0,
        workers: int | None = None,
        path: Path | None = None,
        computes_s: float = 15.0,
        **capacity,
    ) -> None:
        self.state = state
        code = (
            "import sys; from pathlib import Path; from linewright.serve.http import protocol, server; "
            f"protocol.HEAD_DEADLINE_S, protocol.LINGER_S = {head_deadline_s}, {linger_s}; "
            f"from linewright.serve.http import app; from linewright.serve.models import probe, shadow; app.CATCH_UP_S, probe.PATIENCE_S = 1.0, {patience_s}; "
            f"shadow.COMPUTES_S = {computes_s}; "
            "import msgspec; from linewright.serve.limits import Capacity; "
            "server.serve(Path(sys.argv[1]), port=0, capacity=msgspec.json.decode(sys.argv[2], type=Capacity))"
        )
        command = [sys.executable, "-c", code, str(state), json.dumps(capacity)]
        if workers is not None:  # as a program, with a supervisor where there are several
            command = [sys.executable, "-m", "linewright.serve", str(state), "127.0.0.1", "0", str(workers)]
        environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
        self.log = (state.parent / f"endpoint-{time.monotonic_ns()}.log").open("w")
        is_plain = workers is None and path is None
        start = commands.programs("linewright.serve.http.server") if is_plain else subprocess.Popen
        self.process = start(command, stderr=self.log, stdout=self.log, env=environment)
        self.connection = None
        self.source: tuple[str, int] | None = None
        self.used = 0.0
        self.address = self._wait_for_address()

    def _wait_for_address(self) -> tuple[str, int]:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"the endpoint ended: {self.said()}")
            if found := endpoint(self.state):
                host, _, port = found.rpartition(":")
                return host, int(port)
            time.sleep(0.02)
        raise AssertionError("the endpoint did not start")

    def ask_until(self, done: threading.Event) -> list[tuple[int, str | None, str | None]]:
        """Ask for predictions on a connection of its own until told to stop; return (status, model, digest) of every answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        body, seen = json.dumps({"rows": [ROW]}), []
        while not done.is_set():
            connection.request("POST", "/v1/lines/claims/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
            seen.append((answer.status, said.get("model"), said.get("digest")))
        connection.close()
        return seen

    def said(self) -> str:
        """Return the whole lines of its output; `seek` in the file it inherited would move where it writes."""
        return "".join(re.findall(r".*\n", Path(self.log.name).read_text()))

    def ask(self, method: str, path: str, body=None, **headers):
        """Return (status, headers, JSON or text) of a request; `body` is bytes, or a value to send as JSON."""
        if time.monotonic() - self.used > 3:
            self.hang_up()  # the endpoint closes idle connections after 5 s
        self.used = time.monotonic()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(
                *self.address, timeout=30, source_address=self.source
            )
        if body is not None:
            headers = {
                "Content-Type": "application/json",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            }
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, body=body, headers=headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.getheader("connection") == "close":
            self.hang_up()
        is_json = "json" in (answer.getheader("content-type") or "")
        return answer.status, answer.headers, json.loads(text) if is_json and text else text.decode()

    def predict(self, *rows, line: str = "claims"):
        """Return the answer to rows that must be answered."""
        status, _, answer = self.ask("POST", f"/v1/lines/{line}/predict", {"rows": list(rows)})
        assert status == 200, answer
        return answer

    def wait_for(self, is_so, within_s: float = 5.0):
        """Return how long it took, in seconds, until `is_so()`."""
        begun = time.monotonic()
        while time.monotonic() - begun < within_s:
            if is_so():
                return time.monotonic() - begun
            time.sleep(0.02)
        raise AssertionError(f"not within {within_s} s: {self.said()}")

    def come_from(self, client: int) -> None:
        """Ask as another client from now on: at an address of its own of this machine."""
        self.hang_up()
        self.source = (f"127.0.0.{1 + client}", 0)

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.hang_up()
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.log.close()


@pytest.fixture(scope="session")
def claims_at():
    """Give a function that makes a line with a champion, version 1, in a state folder."""

    def make(state: Path, *, line: str = "claims", **settings) -> Claims:
        made = Claims(state, line=line)
        made.make(1, **settings)
        made.point(1)
        return made

    return make


@pytest.fixture(scope="session")
def endpoint_at():
    """Give the class of running endpoints, for tests that share one."""
    return Endpoint


@pytest.fixture
def claims(tmp_path, claims_at) -> Claims:
    """Make a line with a champion, version 1."""
    return claims_at(tmp_path / ".linewright")


@pytest.fixture
def start():
    """Give a function that starts an endpoint on a state folder; all are ended afterwards."""
    started: list[Endpoint] = []

    def begin(state: Path, **settings) -> Endpoint:
        started.append(Endpoint(state, **settings))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def small_parts(monkeypatch):
    """Give what is indexed at one time a part of its own, however little it is."""
    monkeypatch.setattr(index, "PART", 1)
    monkeypatch.setattr(index, "PARTS", 10**6)
