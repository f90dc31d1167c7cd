"""Real servers of databases, for tests: they listen on this machine alone, let in by password, and are gone afterwards."""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest
from ports import free_port

ROOT = 0
PASSWORD = "S3cret-%40-pg"  # noqa: S105 -- of a server that lives for a test
"""As a URL has it; it stands for ``S3cret-@-pg``."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs."""

    scheme: str
    port: int
    folder: Path
    user: str
    password: str = PASSWORD
    driver: str = ""
    """What fetches rows, if not what usually does."""

    def url(self, database: str = "", *, host: str = "localhost", password: str | None = None) -> str:
        """URL of a database, as a source's `at` stands for it."""
        scheme = f"{self.scheme}+{self.driver}" if self.driver else self.scheme
        return f"{scheme}://{self.user}:{password or self.password}@{host}:{self.port}/{database}"


def postgres_programs() -> Path | None:
    """Return the folder that holds `initdb` and `pg_ctl`, the newest first; `None` where there is none."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
    )
    on_path = shutil.which("pg_ctl")
    candidates = [*installed, *([Path(on_path).parent] if on_path else [])]
    return next(
        (path for path in candidates if (path / "initdb").exists() and (path / "pg_ctl").exists()), None
    )


def run_as_nobody(*command: str | Path, scratch: Path | None = None) -> None:
    """Run a program; PostgreSQL refuses to run as root, so in containers it runs as whoever owns nothing."""
    user = "nobody" if os.getuid() == ROOT else None
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        user=user,
        extra_groups=[] if user else None,
        cwd="/",
        env={**os.environ, "TMPDIR": str(scratch)} if scratch else None,
    )


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Run a PostgreSQL that listens on the loopback address and asks for a password."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    data, file, port = folder / "data", folder / "password", free_port()
    file.write_text(PASSWORD.replace("%40", "@"))
    file.chmod(0o644)
    if os.getuid() == ROOT:
        shutil.chown(folder, "nobody")
    run_as_nobody(
        programs / "initdb",
        "--no-sync",
        "--auth=scram-sha-256",
        "--username=reader",
        f"--pwfile={file}",
        "--encoding=UTF8",
        "-D",
        data,
    )
    settings = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    )
    run_as_nobody(programs / "pg_ctl", "start", "-w", "-D", data, "-l", folder / "log", "-o", settings)
    try:
        yield Server(scheme="postgresql", port=port, folder=folder, user="reader")
    finally:
        run_as_nobody(programs / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", data)
        shutil.rmtree(folder)


def allow(root: Path) -> None:
    """Let sources read from this machine: in a folder, and in the one beside it that a copy of its files goes to."""
    for folder in (root, root.parent / "there"):
        if folder.is_dir():
            (folder / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")


def share_features(root: Path) -> None:
    """Have a factory keep what feature views need in the database that `env:TEST_DB` names, as other machines of it do."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "factory.yaml").write_text("format: 1\nfeatures: {store: env:TEST_DB}\n")


@contextmanager
def at_postgres(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """Connect to an empty database, which `env:TEST_DB` names."""
    plain = replace(server, driver="")
    with psycopg.connect(plain.url("postgres"), autocommit=True) as connection:
        connection.execute("drop database if exists shop with (force)")
        connection.execute("create database shop")
    monkeypatch.setenv("TEST_DB", server.url("shop"))
    with psycopg.connect(plain.url("shop"), autocommit=True) as connection:
        yield connection


def mariadb_programs() -> tuple[str, str] | None:
    """Return `mariadbd` and what makes its folder; `None` where they are not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    server, maker = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    return (server, maker) if server and maker else None


@contextmanager
def mariadb_server() -> Iterator[Server]:
    """Run a MariaDB that listens on the loopback address and asks for a password."""
    pytest.importorskip("pymysql")
    programs = mariadb_programs()
    if programs is None:
        pytest.skip("needs mariadbd (apt-get install mariadb-server)")
    server, maker = programs
    folder = Path(tempfile.mkdtemp(prefix="my-"))
    data, start, port = folder / "data", folder / "start.sql", free_port()
    password = PASSWORD.replace("%40", "@")
    statements = (
        f"create user reader@'%' identified by '{password}'",
        "grant all on *.* to reader@'%'",
        "create database shop",
    )
    start.write_text("".join(f"{one};\n" for one in statements))  # one a line, as this server wants it
    if os.getuid() == ROOT:
        shutil.chown(folder, "nobody")
    run_as_nobody(
        maker,
        "--no-defaults",
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        scratch=folder,
    )
    user = "nobody" if os.getuid() == ROOT else None
    command = [
        server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/s",
        f"--pid-file={folder}/pid", "--skip-name-resolve", f"--tmpdir={folder}", f"--init-file={start}", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, user=user, extra_groups=[] if user else None, cwd="/"
        )
    try:
        _wait_for(port, process, folder)
        yield Server(scheme="mysql", port=port, folder=folder, user="reader")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError((folder / "log").read_text())


@contextmanager
def at_mariadb(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Connect to an empty database, which `env:TEST_DB` names."""
    import pymysql

    monkeypatch.setenv("TEST_DB", server.url("shop"))
    password = unquote(server.password)
    with (
        pymysql.connect(
            host="127.0.0.1", port=server.port, user=server.user, password=password, autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("drop database if exists shop")
        cursor.execute("create database shop character set utf8mb4")
        cursor.execute("use shop")
        yield cursor


class Between(threading.Thread):
    """Stands between a client and a server: after so many bytes of answers nothing comes any more, or the connection breaks off."""

    def __init__(self, server: Server, *, most: int, drops: bool) -> None:
        super().__init__()
        self._server, self._most, self._drops = server, most, drops
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._other: dict[socket.socket, socket.socket] = {}
        self._left: dict[socket.socket, int] = {}
        self._is_ended = threading.Event()

    def run(self) -> None:
        while not self._is_ended.is_set():
            for one in select.select([self._listening, *self._other], [], [], 0.05)[0]:
                if one is self._listening:
                    client, behind = (
                        one.accept()[0],
                        socket.create_connection(("127.0.0.1", self._server.port)),
                    )
                    self._other |= {client: behind, behind: client}
                    self._left[behind] = self._most
                elif one in self._other:
                    self._pass_on(one)
        for one in (self._listening, *self._other, *self._left):
            one.close()

    def _pass_on(self, one: socket.socket) -> None:
        other = self._other[one]
        try:
            data = one.recv(4096)
            if one in self._left:
                self._left[one] -= len(data)
            if data and self._left.get(one, 0) >= 0:
                other.sendall(data)
                return
        except OSError:
            data = b""
        if data and not self._drops:
            del self._other[one]  # it is not listened to any more
            return
        for each in (one, other):
            self._other.pop(each, None)
            each.close()

    def __enter__(self) -> int:
        self.start()
        return self.port

    def __exit__(self, *_: object) -> None:
        self._is_ended.set()
        self.join()
