"""Servers for tests, on this machine alone: one that says what a test wants, and a bucket that speaks the protocol of S3."""

import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from ports import free_port

KEYS = {"key": "AKPLANT7", "secret": "Pa55/w0rd+secret"}  # of a bucket that lives for a test


class Asked(http.server.BaseHTTPRequestHandler):
    """One request, with ways to answer it well and badly."""

    protocol_version = "HTTP/1.1"
    server: "WebServer"

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the URL."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def say(self, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with bytes, or with JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.begin(len(data), status=status, headers=headers)
        if self.command != "HEAD":
            self.wfile.write(data)

    def begin(self, length: int, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Say how an answer begins that has so many bytes."""
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def cut(self, body: object, *, most: int) -> None:
        """Answer with the first bytes of a body, and break off."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.begin(len(data))
        self.wfile.write(data[:most])
        self.wfile.flush()
        self.close_connection = True

    def stall(self) -> None:
        """Say nothing, until the test is over."""
        self.server.is_over.wait(20)
        self.close_connection = True

    def do_GET(self) -> None:
        """Answer as the test wants."""
        self.server.asked.append((self.path, dict(self.headers)))
        with suppress(ConnectionError):
            self.server.answer(self)

    do_HEAD = do_GET  # noqa: N815 -- the name is that of the library

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is that of the library
        """Say nothing."""


class WebServer(http.server.ThreadingHTTPServer):
    """A server that answers by a function of the test's."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Asked], None]) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Paths with parameters, and headers, of all requests."""
        self.is_over = threading.Event()

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


Serve = Callable[[Callable[[Asked], None]], WebServer]
"""Starts a server that answers so."""


@contextmanager
def bucket_server(folder: Path) -> Iterator[str]:
    """Run a server of buckets, each a folder in this one; give its URL."""
    pytest.importorskip("localbucket")
    with _server("localbucket", str(folder), "--port") as url:
        yield url


@contextmanager
def moto_server() -> Iterator[str]:
    """Run another one, which holds buckets in memory, has none at first and takes any keys; give its URL."""
    pytest.importorskip("moto")
    with _server("moto.server", "-H", "127.0.0.1", "-p") as url:
        yield url


@contextmanager
def _server(module: str, *command: str) -> Iterator[str]:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", module, *command, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with suppress(OSError):
                    urllib.request.urlopen(url, timeout=5).close()
                    break
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def allow_here(root: Path) -> None:
    """Let sources read from this machine: in a folder, and in the one beside it that a copy of its files goes to."""
    for folder in (root, root.parent / "there"):
        if folder.is_dir():
            (folder / "factory.yaml").write_text("format: 1\nhosts: [127.0.0.1]\n")
