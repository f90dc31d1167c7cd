"""Other users of the machine: what they can read and lock of a factory's state, and what a person wants them to read."""

import csv
import fcntl
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import commands
import httpx
import pytest
from ports import free_port

from linewright.line.factory import Factory
from linewright.serve.listener import endpoint
from linewright.store.files.rights import OTHERS

NOBODY = 65534
"""The user without rights, by convention."""
UMASK = 0o022
"""What most people have: others may read what they make."""
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def say(folder: Path, *arguments: str, umask: int = UMASK) -> str:
    """Carry out a command as a person does, in a process of its own."""
    done = subprocess.run(
        [*commands.python(), "-m", "linewright", *arguments],
        cwd=folder, umask=umask, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr
    return done.stdout


def write_table(path: Path, first: int, rows: int) -> None:
    chance = random.Random(first)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "age", "calls", "left"])
        for number in range(first, first + rows):
            age, calls = chance.randint(18, 80), chance.randint(0, 9)
            writer.writerow([f"C{number}", age, calls, "yes" if age + chance.gauss(0, 8) > 50 else "no"])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder that every user may enter; pytest's own is for its user alone."""
    made = Path(tempfile.mkdtemp(prefix="linewright-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def lived(folder: Path) -> Path:
    """Give a factory that commands and `up` have worked in, with a model, answers and labels."""
    write_table(folder / "people.csv", 1, 400)
    write_table(folder / "later.csv", 1001, 20)
    say(
        folder,
        "new",
        "leavers",
        "--data",
        "people.csv",
        "--label",
        "left",
        "--positive",
        "yes",
        "--key",
        "id",
    )
    file = folder / "lines" / "leavers.yaml"
    file.write_text(file.read_text().replace("budget: normal", "budget: quick"))
    say(folder, "run", "leavers")
    say(folder, "predict", "leavers", "later.csv", "-o", "answers.csv")
    (folder / "truth.csv").write_text("id,label\nC1001,yes\n")
    say(folder, "feedback", "leavers", "truth.csv")
    with (folder / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "linewright", "up", "--port", "0", "--control-port", str(free_port())],
            cwd=folder, umask=UMASK, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while "control plane and worker on" not in (folder / "up.log").read_text():
            assert time.monotonic() < until, (folder / "up.log").read_text()
            time.sleep(0.05)
        address = f"http://{endpoint(folder / '.linewright')}/v1/lines/leavers/predict"
        row = {"id": "C9", "age": 30, "calls": 2}
        assert 200 == httpx.post(address, json={"rows": [row]}, timeout=30).status_code
        (folder / "while-up.json").write_text(json.dumps(wide(folder / ".linewright")))
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(timeout=60)
    return folder


def rights(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def wide(state: Path) -> list[str]:
    """Return what of the state has rights for others; files of processes at work may go meanwhile."""
    found = []
    for path in (state, *state.rglob("*")):
        try:
            found += [f"{path} {rights(path):04o}"] if rights(path) & OTHERS else []
        except FileNotFoundError:
            continue
    return found


def as_nobody(act: Callable[[], object]) -> str:
    """Do something as a user without rights, in a fork of this process; return what came of it."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            act()
            os.write(writes, b"done")
        except OSError as error:
            os.write(writes, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        found = told.read()
    os.waitpid(child, 0)
    return found


def hold(path: Path) -> None:
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)


def share(path: Path) -> None:
    """Lock what SQLite's writers have to have for themselves, as any reader may."""
    fcntl.lockf(os.open(path, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB, 510, 0x40000002)


@as_root
def test_another_user_can_neither_read_nor_lock(lived):
    """Rows and labels are personal data; and who may only read a lock file keeps `up`, `run` and `halt` from working."""
    state = lived / ".linewright"
    logs, (labels,) = sorted(state.glob("log/*/*")), state.glob("feedback/*.sqlite")
    # The same acts on a file that others may read, so that a refusal is one of the rights.
    assert ["done"] * 3 == [
        as_nobody(lambda act=act: act(lived / "people.csv")) for act in (Path.read_bytes, hold, share)
    ]

    files = [state / "metadata.sqlite", state / "engine.sqlite", labels, *logs]
    locks = [state / "up.lock", state / "executor.lock", *state.glob("serving/.*.lock")]

    assert 3 == len(locks)
    assert {"PermissionError"} == {as_nobody(lambda path=path: path.read_bytes()) for path in files}
    assert {"PermissionError"} == {as_nobody(lambda path=path: hold(path)) for path in locks}
    assert "PermissionError" == as_nobody(lambda: share(state / "metadata.sqlite"))
    assert "PermissionError" == as_nobody(lambda: list(state.iterdir()))


def test_all_state_is_its_owners(lived):
    """The folder is the barrier; the files are kept so too, since a folder's rights are changed with one word."""
    assert 0o700 == rights(lived / ".linewright")
    assert [] == json.loads((lived / "while-up.json").read_text())
    assert [] == wide(lived / ".linewright")


def test_what_a_person_asks_for_is_as_their_umask_says(lived):
    """A colleague of the same group reads answers and edits line files; the state's secrecy must not take that away."""
    say(lived, "predict", "leavers", "later.csv", "-o", "shared.csv", umask=0o027)
    say(lived, "new", "others", "--data", "people.csv", "--label", "left", "--positive", "yes", umask=0o027)
    say(lived, "backup", "copy.tar")

    names = (
        "factory.yaml",
        "lines/leavers.yaml",
        "answers.csv",
        "shared.csv",
        "lines/others.yaml",
        "copy.tar",
    )

    assert [0o644, 0o644, 0o644, 0o640, 0o640, 0o600] == [rights(lived / name) for name in names]
    assert 0o755 == rights(lived / "lines")
    assert [] == wide(lived / ".linewright")


def test_a_factory_of_a_program_is_its_owners(folder):
    """A program that uses the library has its own umask, which is not ours to change; the folder keeps others out."""
    before = os.umask(UMASK)
    try:
        with Factory.create(folder / "of a program") as factory:
            factory.metadata.head()
            found = rights(factory.state)
    finally:
        assert UMASK == os.umask(before)

    assert 0o700 == found
    assert 0o755 == rights(folder / "of a program")


def test_a_restored_factory_is_its_owners(lived):
    """A backup holds what the state holds, and is often unpacked on a machine that more people use."""
    say(lived, "backup", "kept.tar")
    say(lived, "restore", "kept.tar", "--factory", "restored")

    assert 0o700 == rights(lived / "restored" / ".linewright")


def test_doctor_tells_of_a_state_that_others_may_enter_and_changes_nothing(folder):
    """Factories of before stay as wide as they were made; a person may have wanted that, so that a person changes it."""
    root = folder / "it's one"
    with Factory.create(root) as factory:
        factory.state.chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-m", "linewright", "doctor", "--json", "--factory", str(root)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    (problem,) = [one for one in json.loads(done.stdout)["problems"] if "other users" in one["what"]]

    assert 6 == done.returncode
    assert "0755" in problem["what"]
    assert 0o755 == rights(root / ".linewright")
    subprocess.run(["sh", "-c", problem["next"]], check=True)  # a shell understands what it says
    assert 0o700 == rights(root / ".linewright")
