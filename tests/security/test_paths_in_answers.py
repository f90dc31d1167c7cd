"""Errors over the network say where something is in the factory's folder, and not where that folder is on this machine."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from ports import free_port

from linewright.interfaces.http.app import control_app
from linewright.interfaces.python.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator

TOKEN = "lw_00000000_" + "a" * 43
LINE = """
line: parts
sources: {parts: {file: parts.csv}}
table: {key: part}
label: {column: bad}
train: {budget: quick}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paths") / "a factory"
    root.mkdir()
    rows = [f"{n},{n * 7 % 50}.5,{'yes' if n * 7 % 50 > 24 else 'no'}" for n in range(400)]
    (root / "parts.csv").write_text("\n".join(["part,w,bad", *rows]) + "\n")
    with Factory.create(root) as factory:
        (root / "lines" / "parts.yaml").write_text(LINE)
        ran = execute_inline(factory, "parts")
        if not ran.promoted:
            factory.promote(ran.candidate, force=True, because="any model will do")
    return root


def test_the_endpoint_names_no_path_of_its_machine(root, tmp_path):
    """User names, layouts and mounts help whoever looks for a way in; 503 and 502 named them on 10deb10."""
    damaged = tmp_path / "damaged"
    shutil.copytree(root, damaged)
    for artifact in (damaged / ".linewright" / "artifacts").glob("*/*"):
        artifact.chmod(0o600)
        artifact.write_bytes(b"x")
    port = free_port()
    command = [sys.executable, "-m", "linewright", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=damaged, stderr=subprocess.DEVNULL)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            assert time.monotonic() < until
            try:
                answer = httpx.post(f"{url}/v1/lines/parts/predict", json={"rows": [{"w": 1.5}]})
                break
            except httpx.TransportError:
                time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(timeout=60)

    assert 503 == answer.status_code, answer.text
    assert ".linewright/artifacts/" in answer.text
    assert str(damaged) not in answer.text
    assert str(tmp_path) not in answer.text


def test_errors_of_the_control_plane_name_no_path_of_its_machine(root):
    """A path in the folder is enough to find the file, and stays right in a copy of it."""
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(TOKEN),
        root=root,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        (root / "lines" / "wrong.yaml").write_text("line: wrong\n")
        answers = [
            httpx.post(f"{url}/plan", json={"lines": ["nothing"]}, headers=headers),
            httpx.post(f"{url}/plan", json={"lines": ["wrong"]}, headers=headers),
        ]
    finally:
        (root / "lines" / "wrong.yaml").unlink()
        server.should_exit = True
        thread.join()

    assert [404, 422] == [answer.status_code for answer in answers]
    assert "lines/wrong.yaml:1:1" == answers[1].json()["where"]
    assert not [answer.text for answer in answers if str(root.parent) in answer.text]
