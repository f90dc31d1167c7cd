"""The tutorial is carried out, command by command, as a reader would."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def examples(text: str) -> Iterator[tuple[str, list[str]]]:
    """Give each command of the page's console blocks with the lines that must follow it."""
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        command, expected = "", list[str]()
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, expected
                command, expected = line[2:], []
            elif line.startswith("> "):
                command += "\n" + line[2:]
            else:
                expected.append(line)
        yield command, expected


def is_printed(expected: list[str], printed: str) -> bool:
    """Return whether the expected lines occur in order; ``...`` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in "\n".join(expected).split("..."))
    return re.search(pattern, printed, flags=re.DOTALL) is not None


@pytest.mark.slow
def test_the_tutorial_prints_what_it_says(tmp_path):
    """A page that fails on its third line loses the reader."""
    port, control = free_port(), free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
    server = None
    try:
        for command, expected in examples(TUTORIAL.read_text()):
            if "curl" in command and server is None:
                server = subprocess.Popen(
                    ["linewright", "up", "--port", str(port), "--control-port", str(control)],
                    cwd=tmp_path,
                    env=environment,
                    stderr=subprocess.DEVNULL,
                )
                wait_until_ready(port)
            done = subprocess.run(
                ["bash", "-c", command.replace("localhost:8000", f"localhost:{port}")],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            printed = (done.stdout + done.stderr).replace(f"127.0.0.1:{port}", "127.0.0.1:8000")

            assert is_printed(expected, printed), f"$ {command}\n{printed}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=40)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the endpoint never became ready")
