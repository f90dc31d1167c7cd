"""SIGTERM while clients wait for a run: each learns at once which run it is, and the run goes on later."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from control import factory_up

from linewright.line.factory import Factory

LINE = """
line: slow
sources: {parts: {file: parts.csv}}
table: {key: part}
label: {column: bad}
train: {python: "slow.py:build", budget: quick}
"""
CODE = """
import time
from pathlib import Path
from sklearn.linear_model import LogisticRegression


def build():
    Path(__file__).with_name("at-work").touch()
    while not Path(__file__).with_name("go-on").exists():
        time.sleep(0.05)
    return LogisticRegression()
"""


@pytest.mark.slow
def test_who_follows_a_run_is_told_its_id_at_once_when_the_server_ends(tmp_path: Path):
    """On 10deb10 it took 24 s, and the answer was "500 Internal Server Error"; the run could not be found again."""
    root = tmp_path / "factory"
    root.mkdir()
    rows = [f"{n},{n * 7 % 50}.5,{'yes' if n * 7 % 50 > 24 else 'no'}" for n in range(400)]
    (root / "parts.csv").write_text("\n".join(["part,w,bad", *rows]) + "\n")
    (root / "slow.py").write_text(CODE)
    Factory.create(root).close()
    (root / "lines" / "slow.yaml").write_text(LINE)
    answers: list[tuple[float, httpx.Response]] = []

    with factory_up(root, forked=True) as up:

        def follow() -> None:
            answer = up.post("/api/v1/run", {"lines": ["slow"]}, timeout=120)
            answers.append((time.monotonic(), answer))

        asking = threading.Thread(target=follow)
        asking.start()
        until = time.monotonic() + 90
        while not (root / "at-work").exists():
            assert time.monotonic() < until, up.log.read_text()
            time.sleep(0.05)
        stopped = time.monotonic()
    asking.join(60)
    (at, answer), ended = answers[0], time.monotonic()
    (root / "go-on").touch()
    with factory_up(root, forked=True) as up:
        until = time.monotonic() + 90
        run = answer.json()["details"]["unfinished"]
        while up.get("/api/v1/runs").json()["runs"][0]["state"] == "unfinished":
            assert time.monotonic() < until
            time.sleep(0.1)
        runs = up.get("/api/v1/runs").json()["runs"]

    assert (503, "Transient") == (answer.status_code, answer.json()["error"])
    assert "retry-after" in answer.headers
    assert at - stopped < 4
    assert ended - stopped < 20
    assert [(run, "done")] == [(one["run"], one["state"]) for one in runs]
