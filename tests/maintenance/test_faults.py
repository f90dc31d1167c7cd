"""What a bad disk, a wrong clock, a held database or another command may do: nothing acknowledged is lost or half-written."""

import http.client
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

import commands
import pytest
from control import bearer
from disks import small_disk
from ports import free_port

from linewright.capabilities.care.verify import verify_factory
from linewright.interfaces.cli import main
from linewright.line.factory import Factory
from linewright.line.holding import Verified
from linewright.release.facts import Promoted
from linewright.serve.feedback import store as labels
from linewright.serve.log.segments import read_log
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.metadata import database

Asked = Callable[..., tuple[int, Any, str]]
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Give a function that carries out a command in this process, and returns its code, its JSON and what it said besides."""

    def ask(root: Path, *arguments: str) -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "argv", ["linewright", *arguments, "--json", "--factory", str(root)])
        capsys.readouterr()
        with own_stream_of_dbos(), pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        assert "bug in linewright" not in said.out, said.out
        return int(end.value.code or 0), json.loads(said.out), said.err

    return ask


@contextmanager
def own_stream_of_dbos() -> Iterator[None]:
    """Let DBOS not keep the stream that it met first, since that is closed with the test that it was of."""
    handlers = logging.getLogger("dbos").handlers
    handlers.clear()
    yield
    handlers.clear()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def fill(disk: Path, free_kb: int) -> None:
    """Leave so much space on a disk; where another process writes meanwhile, less."""
    (disk / "filler").unlink(missing_ok=True)
    found = os.statvfs(disk)
    try:
        (disk / "filler").write_bytes(bytes(max(found.f_bavail * found.f_frsize - free_kb * 1024, 0)))
    except OSError as error:
        if error.errno != ENOSPC:
            raise


def verified(root: Path) -> Verified:
    with Factory.open(root) as factory:
        return verify_factory(factory)


def promotions(root: Path) -> int:
    with Factory.open(root) as factory:
        return len(factory.metadata.events(Promoted, line="tumours"))


def logged(root: Path) -> list[str]:
    return [one.record.id for one in read_log(root / ".linewright" / "log" / "tumours")]


def more_labels(root: Path, folder: Path) -> str:
    """Write the labels of the rows that have none yet."""
    rows = (root / "cancer.csv").read_text().splitlines()[11:21]
    file = folder / "more.csv"
    file.write_text("\n".join(["key,label", *(f"{row.split(',')[0]},{row.split(',')[-1]}" for row in rows)]))
    return str(file)


# A full disk


def test_the_doctor_of_a_full_disk_speaks_of_space_and_not_of_owners(template, disk, asked):
    """Whoever gives the files another owner then has two troubles."""
    root = Path(shutil.copytree(template, disk / "factory"))
    fill(disk, 0)
    problems = asked(root, "doctor")[1]["problems"]
    (disk / "filler").unlink()

    assert ["linewright gc, or free space"] == list(dict.fromkeys(one["next"] for one in problems))
    assert any("no space is left" in one["what"] for one in problems)


@pytest.mark.slow
def test_a_run_on_a_full_disk_ends_with_what_to_do_and_goes_on_when_there_is_space(fresh, disk, asked):
    """Wherever the space runs out: in the record, in the artifacts, or in the engine's own tables."""
    root = Path(shutil.copytree(fresh, disk / "factory"))
    codes: list[int] = []
    for free_kb in (0, 40, 200, 8, 64, 24):
        fill(disk, free_kb)
        code, said, _ = asked(root, "run", "tumours")
        codes.append(code)
        assert "no space is left" in said["message"]
        assert "free some space" in said["hint"]
    (disk / "filler").unlink()
    code, result, _ = asked(root, "run", "tumours")
    found = verified(root)

    assert [6] * 6 == codes
    assert (0, True, 1) == (code, result["promoted"], promotions(root))
    assert ((), 0) == (found.problems, found.unfinished)


def test_on_a_full_disk_no_answer_appears_that_is_not_logged(template, disk, tmp_path, asked):
    """Its truth could not be handed in."""
    root = Path(shutil.copytree(template, disk / "factory"))
    out = tmp_path / "answers.csv"
    command = ("predict", "tumours", str(root / "ask.csv"), "-o", str(out))
    before = logged(root)
    fill(disk, 0)
    full, said, _ = asked(root, *command)
    kept = logged(root)
    (disk / "filler").unlink()

    assert (6, before) == (full, kept)
    assert "the prediction log cannot be written" in said["message"]
    assert "free some space" in said["hint"]
    assert [out.exists(), asked(root, *command)[0], len(logged(root))] == [False, 0, 40]
    assert () == verified(root).problems


def test_on_a_full_disk_labels_are_refused_and_what_can_be_read_is(template, disk, tmp_path, asked):
    """Whoever looks for what is wrong must not meet the same fault."""
    root = Path(shutil.copytree(template, disk / "factory"))
    file = more_labels(root, tmp_path)
    assert 0 == asked(root, "predict", "tumours", str(root / "ask.csv"), "-o", str(tmp_path / "a.csv"))[0]
    fill(disk, 0)
    full, said, _ = asked(root, "feedback", "tumours", file)
    code, status, _ = asked(root, "status")
    (disk / "filler").unlink()

    assert (6, 0) == (full, code)
    assert "no space is left" in said["message"]
    assert (20, 10) == (status["lines"][0]["predictions"], status["lines"][0]["labels"])
    assert "no space is left" in status["lines"][0]["uncounted"]
    assert 10 == asked(root, "feedback", "tumours", file)[1]["accepted"]
    assert () == verified(root).problems


def test_an_endpoint_on_a_full_disk_refuses_until_there_is_space(template, disk, tmp_path):
    """An acknowledged answer is in the log; one that cannot be logged is none."""
    root = Path(shutil.copytree(template, disk / "factory"))
    row = asking(root)
    labelled = [line.split(",") for line in Path(more_labels(root, tmp_path)).read_text().splitlines()[1:]]
    truth = {"labels": [{"key": key, "label": label} for key, label in labelled]}
    answered: list[str] = []
    with serving(root) as port:
        # The address of the endpoint takes two pages, which may be written only now.
        for free_kb, says in ((12, 200), (0, 503), (None, 200)):
            fill(disk, free_kb) if free_kb is not None else (disk / "filler").unlink()
            statuses: set[int] = set()
            for _ in range(30 if free_kb is not None else 1):
                status, said = post(port, "predict", {"rows": [row]})
                statuses.add(status)
                answered += [one["id"] for one in said.get("predictions", ())]
            assert says in statuses
            assert statuses <= {200, 503}
            assert (200 if free_kb is None else 503) == post(port, "feedback", truth)[0]

    assert set(answered) <= set(logged(root))
    assert () == verified(root).problems


def asking(root: Path) -> dict[str, Any]:
    """Return a row to ask for."""
    names, first = (line.split(",")[:-1] for line in (root / "cancer.csv").read_text().splitlines()[:2])
    return dict(zip(names, [first[0], *map(float, first[1:])], strict=True))


class serving:  # noqa: N801 -- reads as what it does
    """Serve a factory's endpoint in another process."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> int:
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "linewright.serve",
            self._root / ".linewright",
            "127.0.0.1",
            str(port),
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(lambda: is_answering(port))
        return port

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def up(root: Path, said: Path, **environment: str) -> Iterator[tuple[int, int]]:
    """Hold a factory up, and give the ports of its endpoint and its control plane once both answer; it ends in order."""
    port, control = free_port(), free_port()
    command = [sys.executable, "-m", "linewright", "up", "--port", str(port), "--control-port", str(control)]
    with said.open("w") as file:
        process = commands.begin(command, cwd=root, stderr=file, env=os.environ | environment)
    try:
        until(lambda: is_answering(port) and is_answering(control) and "worker on" in said.read_text())
        yield port, control
    finally:
        process.terminate()
        process.wait(60)

    assert 0 == process.returncode


def is_answering(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that will happen."""
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def post(port: int, what: str, body: Any) -> tuple[int, Any]:
    return _asked(
        port, "POST", f"/v1/lines/tumours/{what}", json.dumps(body), {"Content-Type": "application/json"}
    )


def newest_run(root: Path, port: int) -> str:
    return _asked(port, "GET", "/api/v1/runs", None, bearer(root))[1]["runs"][0]["state"]


def get(port: int, path: str) -> tuple[int, Any]:
    return _asked(port, "GET", path)


def _asked(port: int, *request: Any) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(*request)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("command", ["serve --port 0", "up --port 0 --control-port 0"])
def test_an_endpoint_that_starts_on_a_full_disk_says_only_what_to_do(template, disk, linewright, command):
    """Its address cannot be announced; the stack of the server around it helps nobody."""
    root = Path(shutil.copytree(template, disk / "factory"))
    fill(disk, 0)
    code, said, news = linewright(root, *command.split(" "))
    told = news + said["message"]

    assert 6 == code
    assert "no space is left on the disk. Next: free some space, then try again" in told
    assert [] == list((root / ".linewright" / "serving").glob(".endpoint-*"))


WAITING = """
import time
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def build():
    Path({at_work!r}).touch()
    while not Path({go_on!r}).exists():
        time.sleep(0.02)
    return LogisticRegression()
"""


@pytest.mark.slow
def test_under_up_a_full_disk_ends_the_worker_with_what_to_do_until_there_is_space(template, disk, tmp_path):
    """Whoever is called at night must read what to do, and nothing else to do once it is done."""
    root = Path(shutil.copytree(template, disk / "factory"))
    line, at_work, go_on = root / "lines" / "tumours.yaml", tmp_path / "at-work", tmp_path / "go-on"
    (root / "waiting.py").write_text(WAITING.format(at_work=str(at_work), go_on=str(go_on)))
    line.write_text(line.read_text().replace("budget: quick", 'python: "waiting.py:build"\n  budget: quick'))
    with up(root, tmp_path / "said") as (port, control):
        run = begun(root, "run", "tumours")
        until(at_work.exists)
        fill(disk, 0)
        go_on.touch()
        code, refused = ended(run)
        until(lambda: (tmp_path / "said").read_text().count("worker ended (6); it starts again") == 2)
        full, answer = post(port, "predict", {"rows": [asking(root)]})
        alive = get(port, "/v2/health/live")[0]
        (disk / "filler").unlink()
        until(lambda: is_answering(control) and newest_run(root, control) == "done")
        again = post(port, "predict", {"rows": [asking(root)]})[0]
    said, found = (tmp_path / "said").read_text(), verified(root)

    assert 6 == code
    assert "no space is left" in refused["message"]
    assert "free some space" in refused["hint"]
    assert "no space is left: found 'database or disk is full'. Next: free some space, then try again" in said
    assert "Traceback" not in said
    assert full == 200 or (full == 503 and "free some space" in answer["hint"])
    assert (200, 200) == (alive, again)
    assert ((), 0) == (found.problems, found.unfinished)


# A disk that may not be written


def test_a_read_only_factory_can_be_looked_at_and_is_not_changed(template, disk, tmp_path, asked):
    """A copy on a snapshot, or a disk that the system took away, is still good for finding out."""
    root = Path(shutil.copytree(template, disk / "factory"))
    file, out = more_labels(root, tmp_path), tmp_path / "a.csv"
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    looks = {
        words: asked(root, *words.split(" "))[0]
        for words in (
            "status", "runs", "models tumours", "card tumours@1", "alerts", "check", "verify", "audit verify",
            f"backup {tmp_path / 'copy.tar'}",
        )
    }  # fmt: skip
    writes = [
        asked(root, *words.split(" "))[:2]
        for words in (
            "run tumours",
            "plan",
            "halt tumours --because x",
            f"feedback tumours {file}",
            "gc",
            "up",
        )
    ]
    code, answer, _ = asked(root, "predict", "tumours", str(root / "ask.csv"), "-o", str(out))
    problems = asked(root, "doctor")[1]["problems"]
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)

    assert {0} == set(looks.values()), looks
    assert {7} == {code for code, _ in writes}, writes
    assert all("let this user" in said["hint"] or "user may write" in said["hint"] for _, said in writes)
    assert (6, False) == (code, out.exists())
    assert "let this user read and write it" in answer["hint"]
    assert not any(".probe" in problem["where"] for problem in problems)
    assert 10 == asked(root, "feedback", "tumours", file)[1]["accepted"]
    assert () == verified(root).problems


# A clock that jumps


@pytest.mark.slow
@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (apt-get install faketime)")
def test_a_clock_that_jumps_loses_nothing(root, tmp_path, linewright):
    """A laptop wakes with the time of its battery, and then asks the network."""

    def at(offset: str, *arguments: str) -> Any:
        clock = os.environ | {"LD_PRELOAD": str(LIBRARY), "FAKETIME": offset, "FAKETIME_DISABLE_SHM": "1"}
        code, said, _ = linewright(root, *arguments, env=clock)
        assert 0 == code, said
        return said

    file = more_labels(root, tmp_path)
    at("-1h", "predict", "tumours", "ask.csv", "-o", "earlier.csv")
    first, again = at("+365d", "feedback", "tumours", file), at("-1h", "feedback", "tumours", file)
    run = at("-1h", "run", "tumours")

    assert (10, 0, 0, 10) == (first["accepted"], first["repeated"], again["accepted"], again["repeated"])
    assert (40, 20) == (len(logged(root)), verified(root).labels)
    assert (False, []) == (run["moved"], run["did"])
    assert () == verified(root).problems


# Damaged artifacts


def test_whatever_meets_a_damaged_artifact_refuses_it_or_does_not_need_it(root, damage, asked):
    """Bytes that are back are good again; nothing was written over them meanwhile."""
    for path in sorted((root / ".linewright" / "artifacts").glob("??/*")):
        whole = path.read_bytes()
        for is_cut in (False, True):
            damage(path)
            if is_cut:
                path.write_bytes(whole[:-1])
            found = {
                words: asked(root, *words.split(" "))[:2]
                for words in ("run tumours", "card tumours@1", "verify")
            }
            path.write_bytes(whole)

            assert 7 == found["verify"][0]
            for words, (code, said) in found.items():
                assert code in (0, 7), (words, path, said)
                assert not code or words == "verify" or (str(path) == said["where"] and said["hint"])
    assert () == verified(root).problems
    assert 1 == promotions(root)


# Something else in the place of a file


@pytest.mark.parametrize("name", ["tumours.json", "tumours.go"])
@pytest.mark.parametrize("kind", ["folder", "link to itself"])
def test_what_endpoints_are_told_is_no_file(root, asked, name, kind):
    """Who copies or restores by hand leaves such things; they are told and nothing is written beside them."""
    file = root / ".linewright" / "serving" / name
    file.rename(root / "kept")
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(name)

    codes = {words: asked(root, *words.split())[0] for words in ("status", "run tumours", "verify")}

    file.rmdir() if kind == "folder" else file.unlink()
    (root / "kept").rename(file)
    assert set(codes.values()) <= {0, 6, 7}, codes
    assert codes["verify"] or name.endswith("go"), codes
    assert () == verified(root).problems


def test_up_of_a_state_with_a_folder_in_the_place_of_a_file_says_which(root):
    """It ends as a whole, before anything answers."""
    file = root / ".linewright" / "serving" / "tumours.json"
    file.unlink()
    file.mkdir()
    command = [*commands.python(), "-m", "linewright", "up", "--port", "0", "--control-port", "0"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)

    assert 7 == done.returncode
    assert "something else is in the place of the file" in done.stderr
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


# A database that another process holds


IMPATIENT = """
from linewright.store.metadata import database
database._PRAGMAS = ("busy_timeout=100", *(each for each in database._PRAGMAS if "busy" not in each))
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wait for others 0.1 s instead of 30, here and in the processes that carry out runs, which read `PYTHONPATH` as they start."""
    folder = tmp_path_factory.mktemp("impatient")
    (folder / "sitecustomize.py").write_text(IMPATIENT)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    pragmas = [each for each in database._PRAGMAS if "busy" not in each]
    monkeypatch.setattr(database, "_PRAGMAS", ("busy_timeout=100", *pragmas))
    monkeypatch.setattr(labels, "BUSY_S", 0.1)


def held(file: Path, how: str = "IMMEDIATE") -> "closing[sqlite3.Connection]":
    """Hold a write transaction until it is closed."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(f"BEGIN {how}")
    return closing(connection)


@pytest.mark.usefixtures("impatient")
def test_a_record_that_another_process_writes_can_be_read_and_asks_to_try_again(root, tmp_path, asked):
    """A backup tool, or somebody with a shell, must not turn into a bug or a loss."""
    state, file = root / ".linewright", more_labels(root, tmp_path)
    with held(state / "metadata.sqlite"):
        looks = [asked(root, "status")[0], asked(root, "card", "tumours@1")[0], asked(root, "verify")[0]]
        refused = [asked(root, "plan")[:2]]
        halted = asked(root, "halt", "tumours", "--because", "x")[:2]
    with held(state / "metadata.sqlite", "EXCLUSIVE"):
        refused += [asked(root, "status")[:2], asked(root, "run", "tumours")[:2]]
    with held(state / "feedback" / "tumours.sqlite"):
        refused += [asked(root, "feedback", "tumours", file)[:2]]
        looks += [asked(root, "status")[0]]

    assert [0] * 4 == looks
    assert (0, True, False) == (halted[0], halted[1]["halted"], halted[1]["recorded"])
    assert "another process holds" in halted[1]["not_recorded"]
    assert [6] * 4 == [code for code, _ in refused]
    assert all("another process holds" in said["message"] and said["hint"] for _, said in refused)
    assert 10 == asked(root, "feedback", "tumours", file)[1]["accepted"]
    assert () == verified(root).problems


def accepted(root: Path) -> bool:
    """Whether the run of a factory is in its record."""
    file = root / ".linewright" / "metadata.sqlite"
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            return connection.execute("select count(*) from events where kind = 'accepted'").fetchone()[0] > 0
        except sqlite3.OperationalError:
            return False


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_run_whose_end_cannot_be_recorded_gets_it_from_the_next_command(fresh, tmp_path, asked):
    """Else the engine would know an end that the record never has."""
    root = Path(shutil.copytree(fresh, tmp_path / "factory"))
    released = threading.Event()

    def hold_once_at_work() -> None:
        while not accepted(root) and not released.wait(0.005):
            pass
        with held(root / ".linewright" / "metadata.sqlite"):
            released.wait(60)

    holding = threading.Thread(target=hold_once_at_work)
    holding.start()
    try:
        code, said, _ = asked(root, "run", "tumours")
    finally:
        released.set()
        holding.join()
    before = verified(root)
    again, result, _ = asked(root, "run", "tumours")
    after = verified(root)

    assert (6, 1) == (code, before.unfinished)
    assert "another process holds the database" in said["message"]
    assert (0, True) == (again, result["promoted"])
    assert ((), 0, 1) == (after.problems, after.unfinished, promotions(root))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_run_that_cannot_begin_since_the_engine_is_held_asks_to_try_again(root, asked, how):
    """Nothing is begun then, so nothing is lost."""
    line = root / "lines" / "tumours.yaml"
    line.write_text(line.read_text().replace("confidence: 0.95", "confidence: 0.9"))
    with held(root / ".linewright" / "engine.sqlite", how):
        code, said, _ = asked(root, "run", "tumours")

    assert 6 == code
    assert "another process holds the database" in said["message"]
    assert "engine.sqlite" in said["where"]
    assert "try again" in said["hint"]
    assert 0 == asked(root, "run", "tumours")[0]
    assert ((), 0) == (verified(root).problems, verified(root).unfinished)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_run_whose_engine_another_process_holds_says_so_and_goes_on(fresh, tmp_path, asked):
    """Who looks at its tables must not end it; who waits for it must know for what."""
    root = Path(shutil.copytree(fresh, tmp_path / "factory"))

    def hold_for_a_while() -> None:
        until((root / ".linewright" / "artifacts").exists)
        with held(root / ".linewright" / "engine.sqlite"):
            time.sleep(5)

    holding = threading.Thread(target=hold_for_a_while)
    holding.start()
    code, result, said = asked(root, "run", "tumours")
    holding.join()

    assert (0, True) == (code, result["promoted"])
    assert 1 == said.count("another process holds ")
    assert "runs go on once it has ended" in said
    assert "database is locked" not in said
    assert ((), 0, 1) == (verified(root).problems, verified(root).unfinished, promotions(root))


HURRY = """
from linewright.store.metadata import database
database._PRAGMAS = ("busy_timeout=1000", *(one for one in database._PRAGMAS if "busy" not in one))
"""


@pytest.mark.slow
def test_under_up_a_held_engine_is_told_and_its_runs_go_on(fresh, tmp_path):
    """The endpoint needs no engine, so it answers meanwhile."""
    root = Path(shutil.copytree(fresh, tmp_path / "factory"))
    (tmp_path / "sitecustomize.py").write_text(HURRY)
    with up(root, tmp_path / "said", PYTHONPATH=str(tmp_path)) as (port, _):
        run = begun(root, "run", "tumours")
        until((root / ".linewright" / "artifacts").exists)
        with held(root / ".linewright" / "engine.sqlite"):
            until(lambda: "runs go on once it has ended" in (tmp_path / "said").read_text())
            alive = get(port, "/v2/health/live")[0]
        code, result = ended(run)
    said = (tmp_path / "said").read_text()

    assert (200, 0, True) == (alive, code, result["promoted"])
    assert "database is locked" not in said
    assert ((), 0, 1) == (verified(root).problems, verified(root).unfinished, promotions(root))


@pytest.mark.slow
def test_up_whose_engine_is_held_when_it_starts_asks_to_try_again(root, tmp_path):
    """It ends as a whole: whoever started it sees that it is not up."""
    (tmp_path / "sitecustomize.py").write_text(HURRY)
    command = [*commands.python(), "-m", "linewright", "up", "--port", "0", "--control-port", "0"]
    with held(root / ".linewright" / "engine.sqlite"):
        done = subprocess.run(
            command, cwd=root, env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    assert 6 == done.returncode
    assert "engine.sqlite: another process holds the database" in done.stderr
    assert "Next: try again" in done.stderr
    assert "Traceback" not in done.stderr


# Two commands at once


def begun(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*commands.python(), "-m", "linewright", *arguments, "--json"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]") -> tuple[int, Any]:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out)


@pytest.mark.slow
def test_two_runs_and_gc_at_once_promote_one_model_and_lose_nothing(fresh, template, tmp_path, asked):
    """A schedule and a person may have the same thought, and a third one tidies up; among what is old are bytes that the runs need."""
    root = Path(shutil.copytree(fresh, tmp_path / "factory"))
    stored = Path(shutil.copytree(template / ".linewright" / "artifacts", root / ".linewright" / "artifacts"))
    needed = aged(stored)
    both = [begun(root, "run", "tumours") for _ in range(2)]
    tidied: list[tuple[int, Any]] = []
    litter: list[Path] = []
    while any(process.poll() is None for process in both):
        litter += old_litter(root, len(tidied))
        tidied.append(asked(root, "gc", "--grace", "1h")[:2])
        time.sleep(0.2)
    codes, results = zip(*map(ended, both), strict=True)
    aged(stored)
    tidied.append(asked(root, "gc", "--grace", "1h")[:2])
    found = verified(root)
    freed = [said for code, said in tidied if code == 0]

    assert (0, 0) == codes
    assert 1 == len({(one["digest"], one["certificate"]) for one in results})
    assert {code for code, _ in tidied} <= {0, 6}
    assert len(freed) > 2
    assert len(litter) <= sum(one["blobs"] + one["temporary"] for one in freed)
    assert [] == [path for path in litter if path.exists()]
    assert [] == [path for path in needed if not path.exists()]
    assert ((), 0, 1) == (found.problems, found.unfinished, promotions(root))


def aged(artifacts: Path) -> list[Path]:
    """Make artifacts look as if they were of long ago, and return where they are."""
    paths = sorted(artifacts.glob("??/*"))
    for path in paths:
        os.utime(path, (1, 1))
    return paths


def old_litter(root: Path, number: int) -> list[Path]:
    """Leave what nothing refers to, and what a killed write leaves, as if it were of long ago."""
    artifacts = LocalArtifacts(root / ".linewright" / "artifacts")
    lost = artifacts.path(artifacts.put(b"nobody refers to this: %d" % number))
    half = lost.with_name(f".new-{number:016x}")
    half.write_bytes(b"half")
    for path in (lost, half):
        os.utime(path, (1, 1))
    return [lost, half]


@pytest.mark.slow
def test_a_run_beside_up_is_carried_out_once(fresh, tmp_path):
    """`up` holds the executor; the command follows it."""
    root = Path(shutil.copytree(fresh, tmp_path / "factory"))
    with up(root, tmp_path / "said"):
        both = [begun(root, "run", "tumours") for _ in range(2)]
        codes, results = zip(*map(ended, both), strict=True)
    found = verified(root)

    assert (0, 0) == codes
    assert 1 == len({(one["digest"], one["certificate"]) for one in results})
    assert ((), 0, 1) == (found.problems, found.unfinished, promotions(root))


def test_the_same_labels_handed_in_twice_at_once_count_once(root, tmp_path):
    """A job that is started twice must not count double."""
    file = more_labels(root, tmp_path)
    both = [begun(root, "feedback", "tumours", file) for _ in range(2)]
    codes, results = zip(*map(ended, both), strict=True)

    assert (0, 0) == codes
    assert [(0, 10), (10, 0)] == sorted((one["accepted"], one["repeated"]) for one in results)
    assert (20, ()) == (verified(root).labels, verified(root).problems)
