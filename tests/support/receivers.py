"""Receivers of news for tests: webhooks and a mail server, on real sockets of this machine."""

import base64
import http.server
import json
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ports import free_port

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Webhook:
    """A webhook in a thread: it keeps what it gets, and answers as it is told."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers (their names in small letters) and body of each request that was taken."""
    asked: list[float] = field(default_factory=list)
    """When each request came, by the monotonic clock."""
    answer: Callable[[bytes], Answer] = lambda _: (204, {}, b"")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies that were taken, as JSON."""
        return [json.loads(body) for _, body in self.got]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Give a webhook that takes everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.asked.append(time.monotonic())
            status, headers, said = hook.answer(body)
            if 200 <= status < 300:
                hook.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            for name, value in {"content-length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST  # noqa: N815 -- what a client would ask that followed a redirect

        def log_message(self, *_: object) -> None:
            pass

    with _serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        hook = Webhook(f"http://127.0.0.1:{port}/hook")
        yield hook


@dataclass
class Mail:
    """One mail as a server took it."""

    sender: str
    recipient: str
    text: str


@dataclass
class MailServer:
    """A server that speaks SMTP (RFC 5321) with STARTTLS and AUTH PLAIN, in a thread."""

    address: str
    mails: list[Mail] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    """USER:PASSWORD of each one who signed in."""
    encrypted: list[bool] = field(default_factory=list)
    """Of each mail, whether it came so."""
    at_recipient: Callable[[str], str] = lambda _: "250 ok"
    """What is said to RCPT TO."""
    at_end: Callable[[str], str] = lambda _: "250 taken"
    """What is said to a whole mail; what does not begin with 2 refuses it."""


class _Session(socketserver.StreamRequestHandler):
    """One client of a mail server."""

    mail_server: MailServer
    certificate: tuple[Path, Path] | None
    sender = recipient = ""
    is_encrypted = False

    def handle(self) -> None:
        self.say("220 here")
        verbs = {
            "EHLO": self.offer,
            "STARTTLS": self.encrypt,
            "AUTH": self.sign_in,
            "MAIL": self.begin,
            "RCPT": self.address,
            "DATA": self.take,
        }
        while (line := self.rfile.readline().decode().rstrip("\r\n")) and not line.upper().startswith("QUIT"):
            verbs.get(line.partition(" ")[0].upper(), lambda _: self.say("250 ok"))(line)
        if line:
            self.say("221 bye")

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()  # of TLS it is another one than the server knows

    def offer(self, _: str) -> None:
        is_offered = self.certificate is not None and not self.is_encrypted
        for one in ("here", *(["STARTTLS"] if is_offered else [])):
            self.say(f"250-{one}")
        self.say("250 AUTH PLAIN")

    def encrypt(self, _: str) -> None:
        assert self.certificate is not None
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        with suppress(OSError):  # a client that does not like the certificate hangs up
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.is_encrypted = self.connection.makefile("rb"), True

    def sign_in(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        self.mail_server.signed_in.append(f"{user}:{password}")
        self.say("235 welcome")

    def begin(self, line: str) -> None:
        self.sender = _address_in(line)
        self.say("250 ok")

    def address(self, line: str) -> None:
        self.recipient = _address_in(line)
        self.say(self.mail_server.at_recipient(self.recipient))

    def take(self, _: str) -> None:
        self.say("354 go on")
        text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
        said = self.mail_server.at_end(text)
        if said.startswith("2"):
            self.mail_server.mails.append(Mail(self.sender, self.recipient, text))
            self.mail_server.encrypted.append(self.is_encrypted)
        self.say(said)

    def say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())


def _address_in(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


@contextmanager
def mail_server(certificate: tuple[Path, Path] | None = None) -> Iterator[MailServer]:
    """Give a mail server; with a certificate and its key it offers STARTTLS."""
    server = MailServer("")
    session = type("Session", (_Session,), {"mail_server": server, "certificate": certificate})
    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), session)) as port:
        server.address = f"127.0.0.1:{port}"
        yield server


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_KILLABLE = """
import http.server, json, os, sys
out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        os.write(out, (event["id"] + "\\n").encode())  # before it answers: what it has acknowledged it has
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class KillableWebhook:
    """A webhook in a process of its own, which writes the id of each event into a file before it acknowledges it."""

    def __init__(self, folder: Path) -> None:
        self.port, self._file = free_port(), folder / "ids"
        self._file.touch()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Let it live; it takes a moment until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _KILLABLE, str(self.port), str(self._file)]
        )

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ids(self) -> list[str]:
        """Return the ids of the events that it got, in their order."""
        return self._file.read_text().split()
