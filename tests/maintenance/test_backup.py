"""`backup` and `restore`: the copy gives the same answers, and half a copy is none."""

import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Conflict, Corrupt, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.runs.plan import make_plan


def backed_up(root, file):
    with Factory.open(root) as factory:
        return make_backup(factory, file)


def test_a_restored_factory_is_whole_plans_nothing_and_answers_alike(root, tmp_path, linewright):
    """The only backup that counts is one that was restored."""
    made = backed_up(root, tmp_path / "copy.tar")
    shutil.rmtree(root)
    restored = restore_backup(Factory(tmp_path / "new" / "place"), tmp_path / "copy.tar")
    with Factory.open(tmp_path / "new" / "place") as factory:
        found = verify_factory(factory)
        changes = make_plan(factory, factory.line("tumours")).changes
        served = (factory.serving / "tumours.json").exists()
        before = {
            row.id: row for row in (one for one, _ in factory.labels_of("tumours").labelled(known_by="9"))
        }

    assert (made.head, made.blobs, 20) == (restored.head, restored.blobs, made.predictions)
    assert ((), 20, 10) == (found.problems, found.predictions, found.labels)
    assert () == changes
    assert served
    assert 20 == len(before)
    assert 0o600 == (tmp_path / "copy.tar").stat().st_mode & 0o777
    assert [] == list(tmp_path.glob(".copy*"))
    again = restored.factory
    rows = Path(again, "cancer.csv").read_text().splitlines()[:5]
    Path(again, "ask.csv").write_text("\n".join(rows) + "\n")
    code, answered, _ = linewright(
        tmp_path / "new" / "place", "predict", "tumours", "ask.csv", "-o", "out.csv"
    )

    assert (0, 4) == (code, answered["rows"])


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_backup_that_was_cut_off_or_changed_leaves_nothing_behind(root, tmp_path, share):
    """A folder that looks like a factory and is none would be believed."""
    backed_up(root, tmp_path / "copy.tar")
    data = bytearray((tmp_path / "copy.tar").read_bytes())
    (tmp_path / "cut.tar").write_bytes(data[: int(len(data) * share) // 512 * 512])
    with tarfile.open(tmp_path / "copy.tar") as archive:
        member = next(one for one in archive if "metadata.sqlite" in one.name)
    data[member.offset_data + int(member.size * share)] ^= 1
    (tmp_path / "flipped.tar").write_bytes(data)

    for name in ("cut.tar", "flipped.tar"):
        with pytest.raises(Corrupt, match=r"the backup (is cut off|was changed)"):
            restore_backup(Factory(tmp_path / "new"), tmp_path / name)
        assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_and_a_file_that_is_none_are_refused(root, tmp_path):
    """Nothing that is there is ever overwritten."""
    backed_up(root, tmp_path / "copy.tar")
    with pytest.raises(Conflict, match="empty or a new folder"):
        restore_backup(Factory(root), tmp_path / "copy.tar")
    with pytest.raises(Conflict, match="a file of that name"):
        backed_up(root, tmp_path / "copy.tar")
    with pytest.raises(RequestError, match="no backup of a factory"):
        restore_backup(Factory(tmp_path / "new"), root / "cancer.csv")


def test_sources_in_folders_and_patterns_are_copied_or_named(root, tmp_path):
    """A line whose rows are in many files cannot run again without them."""
    rows = (root / "cancer.csv").read_text().splitlines(keepends=True)
    line = root / "lines" / "tumours.yaml"
    written = line.read_text()
    for folder in (root / "data", tmp_path / "elsewhere"):
        folder.mkdir()
        (folder / "a.csv").write_text("".join(rows[:100]))
        (folder / "b.csv").write_text("".join([rows[0], *rows[100:]]))
    (root / "latest.csv").symlink_to("data/b.csv")
    copied: list[tuple[list[str], tuple[str, ...]]] = []
    for number, source in enumerate(
        ("data/", "data/*.csv", "latest.csv", str(tmp_path / "elsewhere"), "none/")
    ):
        line.write_text(written.replace('"cancer.csv"}', f'"{source}"}}'))
        made = backed_up(root, tmp_path / f"{number}.tar")
        restored = tmp_path / str(number)
        restore_backup(Factory(restored), tmp_path / f"{number}.tar")
        copied.append(
            (sorted(str(one.relative_to(restored)) for one in restored.rglob("*.csv")), made.left_out)
        )

    both = ["data/a.csv", "data/b.csv"]
    assert [
        (both, ()),
        (both, ()),
        (["latest.csv"], ()),
        ([], (str(tmp_path / "elsewhere"),)),
        ([], ()),
    ] == copied


def test_what_a_killed_writer_left_half_done_is_no_ailment_and_no_obstacle(root, tmp_path):
    """The power went at night; the copy and the examination come in the morning."""
    states = root / ".linewright"
    for file in (
        states / "engine.sqlite",
        states / "metadata.sqlite",
        states / "feedback" / "tumours.sqlite",
    ):
        killed_while_writing(file)
    shutil.copytree(root, tmp_path / "other")
    with Factory.open(root) as factory:
        examined = examine(factory, Needs(free_bytes=0, ports=()))
    backed_up(tmp_path / "other", tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    with Factory.open(tmp_path / "new") as factory:
        found = verify_factory(factory)

    assert () == examined.problems
    assert ((), 10) == (found.problems, found.labels)


def killed_while_writing(file):
    """Leave a database as a process does that is killed after it wrote into it and before it was done."""
    code = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size=5")
connection.execute("begin immediate")
connection.execute("create table half_done (x)")
connection.executemany("insert into half_done values (?)", [("x" * 4000,)] * 500)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, file], check=False)
    journal = Path(f"{file}-journal")

    assert -signal.SIGKILL == done.returncode
    assert journal.read_bytes()[:8] == bytes.fromhex(
        "d9d505f920a163d7"
    )  # a header: what it holds must be undone


RESTORES = """
import sys
from pathlib import Path
from linewright.capabilities.care import restore
from linewright.line.factory import Factory
{before}
restore.restore_backup(Factory(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("rename", "a restore into it was interrupted: remove it"),
        ("rmdir", "it was restored already: linewright verify"),
    ],
)
def test_a_restore_that_was_killed_at_its_end_says_what_the_folder_is(root, tmp_path, step, says):
    """Else one that is whole would be thrown away, or half of one be looked for."""
    backed_up(root, tmp_path / "copy.tar")
    dies = (
        "import os, signal\n"
        f"do = Path.{step}\n"
        f"def dies(path, *more):\n"
        f"    if path.name in ('.factory.yaml', '.restoring'):\n"
        f"        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"    return do(path, *more)\n"
        f"Path.{step} = dies"
    )
    command = [sys.executable, "-c", RESTORES.format(before=dies), tmp_path / "new", tmp_path / "copy.tar"]
    done = subprocess.run(command, check=False)

    assert -signal.SIGKILL == done.returncode
    with pytest.raises(Conflict, match=says):
        restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")


def test_of_two_restores_into_one_folder_at_once_one_is_refused(root, tmp_path):
    """Each would remove what the other has unpacked."""
    backed_up(root, tmp_path / "copy.tar")
    waits = (
        "unpack = restore._unpack\n"
        "def waits(*arguments, **named):\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    return unpack(*arguments, **named)\n"
        "restore._unpack = waits"
    )
    command = [sys.executable, "-c", RESTORES.format(before=waits), tmp_path / "new", tmp_path / "copy.tar"]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    first.stdout.readline()
    with pytest.raises(
        Transient, match=r"another process restores into this folder.*wait until it has ended"
    ):
        restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    first.communicate("go\n", timeout=60)

    assert 0 == first.returncode
    with Factory.open(tmp_path / "new") as factory:
        assert () == verify_factory(factory).problems


def test_damaged_bytes_are_left_out_and_told(root, tmp_path, damage):
    """A backup of what is left is worth more than none."""
    damage(next((root / ".linewright" / "artifacts").glob("??/*")))
    made = backed_up(root, tmp_path / "copy.tar")

    assert (8, 1, 7) == (made.blobs, len(made.problems), made.exit_code)
    assert 8 == restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar").blobs
