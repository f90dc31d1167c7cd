"""The demo: a line's first life, through the same operations that users call."""

import csv
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sklearn.datasets import load_breast_cancer

from linewright.engine.context import Progress
from linewright.errors import Terminal
from linewright.line.execute import execute
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.new import new_line
from linewright.operations.declare import operation
from linewright.serve.server import endpoint

LINE = "tumours"
LABEL = "diagnosis"
_START_S = 30.0


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo did."""

    factory: str
    run: RunResult
    asked: dict[str, Any]
    answered: dict[str, Any]
    truth: str
    seconds: float

    def to_text(self) -> str:
        """Tell the story: three commands, one served prediction."""
        first = dict(list(self.asked.items())[:4])
        prediction = self.answered["predictions"][0]
        return "\n".join(
            [
                f"1. linewright new {LINE} --data data/breast_cancer.csv --label {LABEL} --positive malignant --key sample",
                f"   wrote {self.factory}/lines/{LINE}.yaml, each choice with its reason: worth a read",
                f"2. linewright run {LINE}",
                *(f"   {line}" for line in self.run.to_text().splitlines()[:-1]),
                "3. linewright up",
                f"   asked     POST /v1/lines/{LINE}/predict  {json.dumps(first)[:-1]}, ...}}",
                f"   answered  {prediction['prediction']}  {json.dumps(prediction['probabilities'])}",
                f"   by        {self.answered['model']}  {self.answered['digest'][:19]}...  (not in the table; the truth: {self.truth})",
                "",
                f"The whole of it took {self.seconds:.0f} s. It is yours to keep:",
                f"  linewright up --factory {self.factory}",
                f"  linewright card {LINE}@1 --factory {self.factory}",
                "With your own data, in an empty folder:",
                "  linewright new NAME --data FILE --label COLUMN",
                "  linewright run NAME",
                "  linewright up",
            ]
        )


@operation(writes=True, local=True, anywhere=True)
def demo(factory: Factory, /) -> Demo:
    """Show a line's first life on this machine, on data that scikit-learn ships."""
    began = time.monotonic()
    root = factory.root / "demo-factory" if factory.root == Path.cwd() else factory.root
    asked, truth = _write_table(root / "data" / "breast_cancer.csv")
    if not (root / "lines" / f"{LINE}.yaml").exists():
        factory.report(Progress(station="new", says="looking at 568 tumours and writing the line file"))
        new_line(
            root,
            LINE,
            data=root / "data" / "breast_cancer.csv",
            label=LABEL,
            positive="malignant",
            key="sample",
        )
    with Factory.create(root, report=factory.report, actor=factory.actor) as own:
        ran = execute(own, LINE)
        factory.report(Progress(station="up", says="serving it, and asking for one prediction"))
        with _served(own) as url:
            answered = _ask(f"{url}/v1/lines/{LINE}/predict", {"rows": [asked]})
    return Demo(
        factory=str(root),
        run=ran,
        asked=asked,
        answered=answered,
        truth=truth,
        seconds=time.monotonic() - began,
    )


def _write_table(path: Path) -> tuple[dict[str, Any], str]:
    """Write the table without its first row; return that row as a client would send it, with its truth."""
    bunch: Any = load_breast_cancer()
    names = ["sample", *(name.replace(" ", "_") for name in bunch.feature_names), LABEL]
    asked, *rows = [
        [f"S{number:04}", *map(float, values), str(bunch.target_names[target])]
        for number, (values, target) in enumerate(zip(bunch.data, bunch.target, strict=True), start=1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
    row: dict[str, Any] = dict(zip(names, asked, strict=True))
    return row, row.pop(LABEL)


@contextmanager
def _served(factory: Factory) -> Generator[str]:
    command = [sys.executable, "-m", "linewright.serve", str(factory.state), "127.0.0.1", "0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://{_address(factory, process)}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def _address(factory: Factory, process: "subprocess.Popen[str]") -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        address = endpoint(factory.state)
        if address is not None:
            return address
        time.sleep(0.05)
    process.terminate()
    raise Terminal("the endpoint did not start", found=process.communicate()[1])


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 -- a loopback address of our own
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)
