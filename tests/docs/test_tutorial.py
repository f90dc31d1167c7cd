"""The tutorial and the pages about endpoint, own models and watching are carried out, command by command, as a reader would."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

DOCS = Path(__file__).parents[2] / "docs"
READINGS = (("tutorial.md", "serving.md"), ("own-model.md",), ("watching.md",))
"""Pages in the order in which a reader carries them out in one folder."""


def examples(text: str) -> Iterator[tuple[str, list[str]]]:
    """Give each command of the page's console blocks with the lines that must follow it."""
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        command, expected = "", list[str]()
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, expected
                command, expected = line[2:], []
            elif line == ">" or line.startswith("> "):
                command += "\n" + line[2:]
            else:
                expected.append(line)
        yield command, expected


def is_printed(expected: list[str], printed: str) -> bool:
    """Return whether the expected lines occur in order; ``...`` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in "\n".join(expected).split("..."))
    return re.search(pattern, printed, flags=re.DOTALL) is not None


class Reader:
    """Types the commands of a page in one folder, with `linewright up` in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.control = free_port(), free_port()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        self.server: subprocess.Popen[bytes] | None = None

    def type(self, command: str) -> str:
        """Carry a command out and return what it prints."""
        printed = self.start() if command == "linewright up" else self.run(command)
        return printed.replace(f"127.0.0.1:{self.port}", "127.0.0.1:8000")

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:8000", f"localhost:{self.port}")],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout + done.stderr

    def start(self) -> str:
        said = self.folder.with_name("up.log")
        with said.open("w") as stderr:
            self.server = subprocess.Popen(
                ["linewright", "up", "--port", str(self.port), "--control-port", str(self.control)],
                cwd=self.folder,
                env=self.environment,
                stderr=stderr,
            )
        wait_until_ready(self.port)
        deadline = time.monotonic() + 10
        while "try: " not in said.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        return said.read_text()


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """Give a reader; what it started is stopped at the end."""
    folder.mkdir()
    reader = Reader(folder)
    try:
        yield reader
    finally:
        if reader.server is not None:
            reader.server.send_signal(signal.SIGTERM)
            reader.server.wait(timeout=40)


@pytest.mark.slow
@pytest.mark.parametrize("pages", READINGS, ids=lambda pages: pages[0])
def test_the_pages_print_what_they_say(tmp_path, pages):
    """A page that fails on its third line loses the reader."""
    with reading(tmp_path / "factory") as reader:
        for page in pages:
            for command, expected in examples((DOCS / page).read_text()):
                printed = reader.type(command)

                assert is_printed(expected, printed), f"{page}: $ {command}\n{printed}"


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
