"""Whatever else fails, a person can stop a line: its endpoints answer 503 within 2 seconds, and the record says so as soon as it can.

EU AI Act, article 14 (4e): a stop button. Whoever presses it must not be told to free some space first.
"""

import http.client
import importlib.util
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import commands
import pytest
from control import factory_up
from disks import small_disk
from ports import free_port

from linewright import Factory
from linewright.capabilities.serving.worker import UNKNOWN_AFTER_S, Tending
from linewright.engine.inline import InlineEngine
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.replies import SqliteReplies
from linewright.operations.table import OPERATIONS
from linewright.release.endpoint_settings import configure
from linewright.release.facts import Halted
from linewright.release.halt_file import Note, leave, stop
from linewright.release.promotion import Candidate, promote
from linewright.serve.access.authenticate import Authenticator
from linewright.store.clock import user

BY = user()
PROMISED_S = 2.0
"""From the start of the command to the last answer but 503, in seconds."""
WAIT_S, IDLE_S = 30.0, 3.0
ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
PATH = "/v1/lines/claims/predict"
TOKEN = "lw_00000000_" + "a" * 43
JSON = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
"""Headers of a request to the control plane."""
SHARED = (0x40000002, 510)
"""Where SQLite's shared lock lies in a file: its first byte, and how many."""


def _made_by_hand() -> ModuleType:
    """Return what makes a small model without training, and runs an endpoint in a process of its own."""
    path = Path(__file__).parents[1] / "serve" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_by_hand", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hand = _made_by_hand()


def factory_in(root: Path, *, unlogged: bool = False) -> Path:
    """Make a factory whose line `claims` serves."""
    with Factory.create(root) as factory:
        package, digest = hand.make_package(factory.artifacts)
        factory.metadata.keep(package)
        model = factory.metadata.register("claims", digest, at=factory.now())
        promote(
            factory.context,
            factory.serving,
            Candidate(line="claims", model=model, package=digest, certificate=None),
            because="by hand",
            forced=True,
        )
        if unlogged:
            configure(factory.context, factory.serving, "claims", log_fails="serve-unlogged")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return factory_in(tmp_path / "factory")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def fill(disk: Path) -> None:
    """Leave no byte on a disk."""
    with (disk / "filler").open("wb") as file, suppress(OSError):
        file.write(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    for number in range(100):
        try:
            (disk / f"filler-{number}").write_bytes(bytes(4096))
        except OSError:
            return


def empty(disk: Path) -> None:
    for path in disk.glob("filler*"):
        path.unlink()


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Give a function that starts an endpoint of a factory; all are ended afterwards."""
    with ExitStack() as started:

        def begin(root: Path, **settings: Any) -> Any:
            return started.enter_context(closing(hand.Endpoint(root / ".linewright", **settings)))

        yield begin


class Client:
    """One kept-alive connection that asks for predictions; after a pause another one, since an endpoint closes idle ones."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=30)
        self._used = time.monotonic()

    def ask(self) -> tuple[int, Any]:
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()
        self._used = time.monotonic()
        body = json.dumps({"rows": [ROW]})
        self._connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def health(self) -> Any:
        """Return how the line is."""
        self.ask()  # also keeps the connection alive
        self._connection.request("GET", "/v2/health")
        return json.loads(self._connection.getresponse().read())["lines"][0]

    def until(self, status: int, deadline: float) -> None:
        """Ask until the answer has a status."""
        while (found := self.ask()[0]) != status:
            assert time.monotonic() < deadline, f"it still answers {found}"
            time.sleep(0.01)

    def close(self) -> None:
        self._connection.close()


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "linewright", *words, "--json", "--factory", str(root)]


def spared(root: Path, *words: str) -> list[str]:
    """Return a command that spares its imports, where nothing is asked of how soon it is carried out."""
    return [*commands.python(), *command(root, *words)[1:]]


def asked(root: Path, what: str, *arguments: Any, **options: Any) -> Any:
    """Carry out an operation in this process, and return what it says."""
    with Factory.open(root, actor="grace") as factory:
        return getattr(factory, what)(*arguments, **options)


def stopped(root: Path, client: Client, *before: str) -> Any:
    """Halt the line while a client asks; return what the command said.

    Parameters
    ----------
    before
        What the command is run by.
    """
    assert 200 == client.ask()[0]
    deadline = time.monotonic() + PROMISED_S
    with subprocess.Popen(
        [*before, *command(root, "halt", "claims", "--because", "fire")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as halting:  # fmt: skip
        try:
            client.until(503, deadline)
            out, told = halting.communicate(timeout=60)
        finally:
            halting.kill()

    assert "Traceback" not in told, told
    assert 503 == client.ask()[0]
    assert 0 == halting.returncode, out
    return json.loads(out)


def halts(root: Path) -> list[Halted]:
    with Factory.open(root) as factory:
        return factory.metadata.events(Halted, line="claims")


@contextmanager
def tended(root: Path, *, unknown_after_s: float = UNKNOWN_AFTER_S) -> Iterator[None]:
    """Look after the lines of a factory, as the worker of `up` does."""
    with closing(
        Tending(
            lambda: Factory.open(root, actor="linewright"),
            InlineEngine({}),
            every_s=0.05,
            unknown_after_s=unknown_after_s,
        )
    ):
        yield


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_recorded_later(root: Path, said: Any, client: Client, why: str) -> None:
    """Assert that a halt which could not be recorded is, by nobody's doing, once that is possible, and can be lifted then."""
    assert (True, False, None) == (said["halted"], said["recorded"], said["generation"])
    assert why in said["not_recorded"]
    line = asked(root, "status", "claims").lines[0]
    assert (True, BY, "fire", False) == (
        line.halted, line.halted_by, line.halted_because, line.halt_recorded,
    )  # fmt: skip
    with tended(root):
        until(lambda: bool(halts(root)))
    (event,) = halts(root)
    assert (True, BY, "fire") == (event.halt, event.by, event.because)
    assert event.stopped < event.at
    line = asked(root, "status", "claims").lines[0]
    assert (True, BY, "fire", True) == (
        line.halted, line.halted_by, line.halted_because, line.halt_recorded,
    )  # fmt: skip
    assert 503 == client.ask()[0]
    assert [] == problems(root)
    assert asked(root, "halt", "claims", off=True).recorded
    client.until(200, time.monotonic() + WAIT_S)


def problems(root: Path) -> list[str]:
    """Return what `verify` and `doctor` find, but for what a model that is made by hand lacks."""
    found = [*asked(root, "verify").problems, *asked(root, "doctor", port=0, control_port=0, free=0).problems]
    return [one.what for one in found if one.what != "sha256:00 is missing"]


def test_on_a_full_disk(disk, start):
    """A line that answers without its log goes on when the disk is full: then nothing else would end its answers."""
    root = factory_in(disk / "factory", unlogged=True)
    with closing(Client(start(root).address)) as client:
        assert 200 == client.ask()[0]
        fill(disk)
        until(lambda: client.ask()[1]["durability"] == "none")
        said = stopped(root, client)
        again = asked(root, "halt", "claims")
        empty(disk)

        assert (True, False) == (again.halted, again.recorded)
        assert_recorded_later(root, said, client, "no space is left")


@contextmanager
def held(file: Path, how: str) -> Iterator[None]:
    """Have another process hold a database: all of it, or only as one who reads it, which keeps out who writes."""
    code = {
        "exclusive": f"import sqlite3; c = sqlite3.connect({str(file)!r}); c.execute('BEGIN EXCLUSIVE')",
        "shared": f"import fcntl, os; f = os.open({str(file)!r}, os.O_RDONLY); "
        f"fcntl.lockf(f, fcntl.LOCK_SH, {SHARED[1]}, {SHARED[0]})",
    }[how]
    holding = [sys.executable, "-c", f"{code}; print(flush=True); input()"]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert "\n" == holder.stdout.readline()
        yield
        holder.communicate("\n", timeout=30)


@pytest.mark.parametrize("how", ["exclusive", "shared"])
def test_while_another_process_holds_the_record(root, start, how):
    """A byte-range lock is enough, which needs no more than leave to read the file."""
    with closing(Client(start(root).address)) as client:
        with held(root / ".linewright" / "metadata.sqlite", how):
            said = stopped(root, client)

        assert_recorded_later(root, said, client, "another process holds")


def test_where_the_record_is_damaged(root, start):
    """Who restores it needs hours; the answers have to end now."""
    file = root / ".linewright" / "metadata.sqlite"
    whole = file.read_bytes()
    with closing(Client(start(root).address)) as client:
        file.write_bytes(b"\xff" * 4096 + whole[4096:])
        said = stopped(root, client)
        file.write_bytes(whole)

        assert_recorded_later(root, said, client, "damaged")


def test_where_the_record_is_missing(root, start, tmp_path):
    """Nothing is made in its place, which would have forgotten what serves."""
    file = root / ".linewright" / "metadata.sqlite"
    with closing(Client(start(root).address)) as client:
        file.rename(tmp_path / "elsewhere")
        said = stopped(root, client)
        assert not file.exists()
        (tmp_path / "elsewhere").rename(file)

        assert_recorded_later(root, said, client, "is gone")


def test_where_the_disk_fails_to_keep_what_is_written(root, start):
    """A disk that answers each fsync with EIO."""
    failing = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null",
               "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"]  # fmt: skip
    if not shutil.which("strace") or subprocess.run([*failing, "true"], check=False).returncode:
        pytest.skip("needs strace and leave to trace (apt-get install strace)")
    with closing(Client(start(root).address)) as client:
        said = stopped(root, client, *failing)

        assert_recorded_later(root, said, client, "disk")


def test_where_the_endpoint_has_no_descriptor_left(root, start):
    """As many idle connections as a process may have files, and a client that was there before goes on asking."""
    endpoint = start(root, head_deadline_s=60.0)
    with closing(Client(endpoint.address)) as client, ExitStack() as holders:
        assert 200 == client.ask()[0]
        resource.prlimit(endpoint.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        for _ in range(300):
            holder = holders.enter_context(socket.create_connection(endpoint.address))
            holder.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: ")
        open_files = Path(f"/proc/{endpoint.process.pid}/fd")
        until(lambda: len(list(open_files.iterdir())) >= 250)
        said = stopped(root, client)

        assert said["recorded"]
        assert [(True, BY, "fire")] == [(one.halt, one.by, one.because) for one in halts(root)]
        asked(root, "halt", "claims", off=True)
        client.until(200, time.monotonic() + WAIT_S)
        holders.close()
        # What could not be read meanwhile is read now, and was no reason to refuse what serves.
        until(lambda: client.health()["generation"] == 3)
        assert None is client.health()["refused"]


def test_in_all_processes_of_an_endpoint(root, start):
    """Each of them answers on the same socket; one that did not hear would answer every other client."""
    endpoint = start(root, workers=2)
    with held(root / ".linewright" / "metadata.sqlite", "exclusive"), ExitStack() as clients:
        connected = [clients.enter_context(closing(Client(endpoint.address))) for _ in range(16)]
        until(lambda: all(client.ask()[0] == 200 for client in connected))
        deadline = time.monotonic() + PROMISED_S
        with subprocess.Popen(command(root, "halt", "claims"), stdout=subprocess.DEVNULL) as halting:
            for client in connected:
                client.until(503, deadline)
            assert 0 == halting.wait(60)


@pytest.mark.slow
def test_where_the_worker_is_dead_and_the_record_damaged(root, tmp_path):
    """It begins anew once the record is back, and enters the halt by itself."""
    file, port, control = root / ".linewright" / "metadata.sqlite", free_port(), free_port()
    starting = command(root, "up", "--port", str(port), "--control-port", str(control))
    with (tmp_path / "said").open("w") as said:
        up = commands.begin(starting, stderr=said, stdout=said)
    try:
        until(lambda: "worker on" in (tmp_path / "said").read_text())
        with closing(Client(("127.0.0.1", port))) as client:
            whole = file.read_bytes()
            file.write_bytes(b"\xff" * 4096 + whole[4096:])
            os.kill(worker_of(up.pid), 9)
            assert not stopped(root, client)["recorded"]
            file.write_bytes(whole)
            until(lambda: bool(halts(root)))
            assert 503 == client.ask()[0]
    finally:
        up.terminate()
        up.wait(60)

    assert [(BY, "fire")] == [(one.by, one.because) for one in halts(root)]


def worker_of(parent: int) -> int:
    """Return the process that is control plane and worker."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(
        int(one)
        for one in children
        if b"linewright.capabilities.serving.control_plane" in Path(f"/proc/{one}/cmdline").read_bytes()
    )


@contextmanager
def controlled(root: Path) -> Iterator[str]:
    """Serve the control plane of a factory in this process, and give its address."""
    replies = SqliteReplies(root / ".linewright" / "replies.sqlite")
    opened = bound("127.0.0.1", 0)
    port, listens, ended = opened.getsockname()[1], threading.Event(), threading.Event()
    app = control_app(
        lambda _: Factory.open(root),
        OPERATIONS,
        authenticator=Authenticator(TOKEN),
        replies=replies,
        root=root,
    )
    how = {"ready": lambda _: listens.set(), "is_stopped": ended.is_set}
    serving = threading.Thread(target=serve_control, args=(app, opened), kwargs=how)
    serving.start()
    try:
        assert listens.wait(WAIT_S)
        yield f"127.0.0.1:{port}"
    finally:
        ended.set()
        serving.join()


def test_over_http_while_others_wait(root, start):
    """Who presses the button in a browser is not to wait for a key to be kept, nor for those who pressed another before."""
    state, replies = root / ".linewright", list[tuple[int, Any]]()

    def press(address: str) -> None:
        body = json.dumps({"line": "claims", "because": "fire"})
        headers = {**JSON, "Idempotency-Key": "halt-1"}
        with closing(http.client.HTTPConnection(address, timeout=90)) as connection:
            connection.request("POST", "/api/v1/halt", body, headers)
            answer = connection.getresponse()
            replies.append((answer.status, json.loads(answer.read())))

    with closing(Client(start(root).address)) as client, controlled(root) as control:
        waiting = [threading.Thread(target=_post_another, args=(control,)) for _ in range(8)]
        with held(state / "metadata.sqlite", "exclusive"), held(state / "replies.sqlite", "exclusive"):
            assert 200 == client.ask()[0]
            for thread in waiting:
                thread.start()
            time.sleep(0.2)
            deadline = time.monotonic() + PROMISED_S
            pressing = threading.Thread(target=press, args=(control,))
            pressing.start()
            client.until(503, deadline)
        for thread in (pressing, *waiting):
            thread.join()
        with tended(root):
            until(lambda: bool(halts(root)))

    assert [(200, True)] == [(status, said["halted"]) for status, said in replies]
    assert [(True, BY, "fire")] == [(one.halt, one.by, one.because) for one in halts(root)]


def _post_another(address: str) -> None:
    with suppress(OSError), closing(http.client.HTTPConnection(address, timeout=90)) as connection:
        body = json.dumps({"line": "nobody"})
        connection.request("POST", "/api/v1/halt", body, JSON)
        connection.getresponse().read()


def test_a_halt_that_is_not_recorded_yet_holds_for_everything(root, start, tmp_path):
    """Files are not answered either; a restart, `gc`, and a backup do not lose it."""
    file = root / ".linewright" / "metadata.sqlite"
    endpoint = start(root)
    with closing(Client(endpoint.address)) as client, held(file, "exclusive"):
        assert not stopped(root, client)["recorded"]
    endpoint.close()
    asked(root, "gc", grace="0s")
    with closing(Client(start(root).address)) as client:
        assert 503 == client.ask()[0]
        assert ["the line is halted, and the record does not say so yet"] == problems(root)
        asked(root, "backup", tmp_path / "copy.tar")
        assert 503 == client.ask()[0]
    assert (
        0
        == subprocess.run(
            spared(tmp_path / "restored", "restore", str(tmp_path / "copy.tar")), check=False
        ).returncode
    )

    assert [(BY, "fire")] == [(one.by, one.because) for one in halts(root)]
    assert [(BY, "fire")] == [(one.by, one.because) for one in halts(tmp_path / "restored")]
    with closing(Client(start(tmp_path / "restored").address)) as client:
        assert 503 == client.ask()[0]
        asked(tmp_path / "restored", "halt", "claims", off=True)
        client.until(200, time.monotonic() + WAIT_S)


def test_with_nothing_but_a_shell(root, start):
    """Where not even Python starts; nobody knows who did it, and the record says that."""
    with closing(Client(start(root).address)) as client:
        assert 200 == client.ask()[0]
        (root / ".linewright" / "serving" / "claims.go").unlink()
        client.until(503, time.monotonic() + PROMISED_S)
        with tended(root, unknown_after_s=1.0):
            until(lambda: bool(halts(root)))

    (event,) = halts(root)
    assert (True, "unknown") == (event.halt, event.by)
    assert "not known who" in event.because


def test_one_halt_is_one_entry_while_the_factory_is_up(root):
    """The worker looks for halts that are not recorded, and sees one before the command that made it is there to record it.

    A second entry by nobody knows whom, before the true one, would have people look for an intruder.
    """
    with factory_up(root, forked=True):
        said = list[Any]()
        for number in range(5):
            halting = command(root, "halt", "claims", "--because", f"fire {number}")
            said.append(json.loads(subprocess.check_output(halting)))
            subprocess.run(spared(root, "halt", "claims", "--off"), check=True, capture_output=True)

    fires = [(BY, f"fire {number}") for number in range(5)]
    assert [(True, False, True)] * 5 == [(one["halted"], one["was_halted"], one["recorded"]) for one in said]
    assert fires == [(one.by, one.because) for one in halts(root) if one.halt]
    assert 5 == len([one for one in halts(root) if not one.halt])


def test_without_a_record_it_is_told_which_lines_are_halted(root):
    """Who has halted a line since its record is damaged asks whether it stopped, and was told of the damage alone."""
    file = root / ".linewright" / "metadata.sqlite"
    whole = file.read_bytes()
    file.write_bytes(b"\xff" * 4096 + whole[4096:])
    asking = spared(root, "status")
    before = json.loads(subprocess.run(asking, stdout=subprocess.PIPE, check=False).stdout)
    subprocess.run(spared(root, "halt", "claims"), check=True, capture_output=True)
    after = subprocess.run(asking, stdout=subprocess.PIPE, check=False)

    assert "halted" not in before["hint"]
    assert 7 == after.returncode
    assert "claims: halted all the same" in json.loads(after.stdout)["hint"]


def test_the_note_is_there_before_the_command_imports_the_factory(root):
    """Who is killed while their command starts, or waits for a slow disk, has said already who they are and why."""
    code = (
        "import sys\n"
        "class Killed:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'linewright.line.factory':\n"
        "            import os; os.kill(os.getpid(), 9)\n"
        "sys.meta_path.insert(0, Killed())\n"
        "from linewright.interfaces.cli import main\n"
        "main()\n"
    )
    halting = [sys.executable, "-c", code, "halt", "claims", "--because", "fire", "--factory", str(root)]
    done = subprocess.run(halting, check=False)
    assert -9 == done.returncode
    with tended(root):
        until(lambda: bool(halts(root)))

    assert [(BY, "fire")] == [(one.by, one.because) for one in halts(root)]


def test_a_halt_whose_note_comes_late_is_not_somebody_elses(root):
    """The worker waits for the one who stopped the line to say who they are, as long as a busy machine may need."""
    serving = root / ".linewright" / "serving"
    with tended(root):
        assert stop(serving, "claims")
        time.sleep(1.5)
        assert leave(serving, "claims", Note(by=BY, because="fire", at="2026-11-28T09:30:00.000000Z"))
        until(lambda: bool(halts(root)))

    assert [(BY, "fire")] == [(one.by, one.because) for one in halts(root)]


@pytest.mark.parametrize("name", ["../../elsewhere", "../elsewhere", "a/b", ".", "", "claims\0"])
def test_a_name_that_is_none_takes_no_file_away(root, tmp_path, name):
    """The class of CVE-2023-1177: a name becomes a path. Here it would be one of a file to be removed."""
    victims = [tmp_path / "elsewhere.go", root / "elsewhere.go", root / ".linewright" / "elsewhere.go"]
    for victim in victims:
        victim.touch()
    if "\0" not in name:
        done = subprocess.run(spared(root, "halt", name), capture_output=True, check=False)
        assert 2 == done.returncode
    with controlled(root) as control, closing(http.client.HTTPConnection(control, timeout=30)) as connection:
        body = json.dumps({"line": name})
        connection.request("POST", "/api/v1/halt", body, JSON)
        assert connection.getresponse().status in {404, 422}

    assert all(victim.exists() for victim in victims)
    assert (root / ".linewright" / "serving" / "claims.go").exists()


def test_a_file_that_was_written_before_there_was_such_a_stop_still_serves(root, start):
    """An endpoint that is upgraded must not fall silent; what it follows knows of no file that lets it answer."""
    served = root / ".linewright" / "serving" / "claims.json"
    before = json.loads(served.read_text())
    served.write_text(json.dumps({name: value for name, value in before.items() if name != "go"}))
    (served.parent / "claims.go").unlink()
    with closing(Client(start(root).address)) as client:
        assert 200 == client.ask()[0]
        assert asked(root, "halt", "claims").recorded
        client.until(503, time.monotonic() + WAIT_S)
        asked(root, "halt", "claims", off=True)
        client.until(200, time.monotonic() + WAIT_S)

    assert json.loads(served.read_text())["go"]
    assert (served.parent / "claims.go").exists()
