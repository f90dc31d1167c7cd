"""A group of processes that cannot start: what may pass is waited for, and what repeats ends."""

import sys
import time
from pathlib import Path

import pytest

from linewright.engine import supervise
from linewright.engine.supervise import Child, Group
from linewright.errors import LinewrightError, RequestError, Terminal, Transient

BEGINS = """\
import os, signal, sys
from pathlib import Path
counted = Path(__file__).with_suffix(".count")
number = len(counted.read_text()) if counted.exists() else 0
counted.write_text("x" * (number + 1))
"""


def outcome(
    folder: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> tuple[int, type[LinewrightError] | None]:
    """Look after a program that does so at its start, until it ends the group or listens; return how often it was started."""
    monkeypatch.setattr(supervise, "_pause", lambda _failures: 0.0)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (folder / "starts.py").write_text(BEGINS + does)
    group, until, error = (
        Group(Child(name="it", arguments=("starts",)), lambda _: None),
        time.monotonic() + 60,
        None,
    )
    group.start()
    try:
        while not group.has_listened and time.monotonic() < until:
            group.look()
            time.sleep(0.01)
    except LinewrightError as caught:
        error = type(caught)
    finally:
        group.stop()
        group.wait(time.monotonic() + 10)
    return len((folder / "starts.count").read_text()), error


LISTENS = """
os.write(int(sys.argv[-1].partition(":")[0]), b"1")
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals as Linux has them")
@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("does", "starts", "error"),
    [
        (f"if number < 6: os.kill(os.getpid(), signal.SIGKILL){LISTENS}", 7, None),
        (f"if number < 2: sys.exit(6){LISTENS}", 3, None),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 3, Terminal),
        ("sys.exit(6)", 3, Transient),
        ("sys.exit(2)", 1, RequestError),
        ("sys.exit(1)", 1, Terminal),
    ],
    ids=["killed", "busy", "crashes", "stays busy", "wrong", "bug"],
)
def test_what_others_ended_begins_again_and_what_repeats_ends(tmp_path, monkeypatch, does, starts, error):
    """An out-of-memory kill at the start needs nobody; a taken port or a bad file does, and is said once."""
    assert (starts, error) == outcome(tmp_path, monkeypatch, does)
