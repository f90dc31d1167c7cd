"""Asking the control plane of a factory that is up."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import commands
import httpx
import uvicorn
from ports import free_port
from starlette.types import ASGIApp

from linewright.serve.http.protocol import bounded


def bearer(root: Path) -> dict[str, str]:
    """Return the header that the control plane of a factory wants; empty as long as it has no token."""
    file = root / ".linewright" / "control.token"
    return {"Authorization": f"Bearer {file.read_text().strip()}"} if file.exists() else {}


@dataclass(frozen=True)
class Up:
    """A factory that is up."""

    root: Path
    port: int
    control: int
    log: Path
    """What it says on stderr."""

    def get(self, path: str, *, timeout: float = 60) -> httpx.Response:
        """Read an operation, with the token."""
        url = f"http://127.0.0.1:{self.control}{path}"
        return httpx.get(url, headers=bearer(self.root), timeout=timeout)

    def post(self, path: str, body: object, *, timeout: float = 60) -> httpx.Response:
        """Ask for an operation that writes, with the token."""
        url = f"http://127.0.0.1:{self.control}{path}"
        return httpx.post(url, json=body, headers=bearer(self.root), timeout=timeout)

    def worker(self) -> int:
        """Return the id of the process of the control plane."""
        found = processes(b"linewright.capabilities.serving.control_plane", str(self.root).encode())
        assert 1 == len(found), found
        return found[0]

    def children(self) -> list[int]:
        """Return the ids of the processes that carry out expensive operations."""
        return processes(b"linewright.interfaces.http.operation_process", str(self.root).encode())


@contextmanager
def factory_up(root: Path, *, forked: bool = False) -> Iterator[Up]:
    """Hold a factory up by the command, and give it once endpoint and control plane answer; it ends in order.

    Parameters
    ----------
    forked
        Whether all but the endpoint spare their imports (`commands.begin`).
    """
    up = Up(root, free_port(), free_port(), root.parent / f"{root.name}.log")
    ports = ("--port", str(up.port), "--control-port", str(up.control))
    with up.log.open("w") as log:
        start = commands.begin if forked else subprocess.Popen
        process = start([sys.executable, "-m", "linewright", "up", *ports], cwd=root, stderr=log)
    try:
        for url in (f"http://127.0.0.1:{up.control}/", f"http://127.0.0.1:{up.port}/v2"):
            _wait_for(url, process)
        yield up
    finally:
        process.terminate()
        code = process.wait(timeout=60)

    assert 0 == code, up.log.read_text()


@contextmanager
def control_here(root: Path, app: ASGIApp) -> Iterator[Up]:
    """Serve a control plane in a thread of this process, without an endpoint and a worker: for pages, that is cheaper than `factory_up`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=bounded(), log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Up(root, 0, listening.getsockname()[1], root.parent / "control.log")
        finally:
            server.should_exit = True
            thread.join()


def processes(*words: bytes) -> list[int]:
    """Return the ids of the processes whose command has these words."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if set(words) <= set(arguments):
            found.append(int(folder.name))
    return found


def memory_kib(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} did not come up")
