"""`backup` and `restore`: the copy gives the same answers, and half a copy is none."""

import shutil
import tarfile
from pathlib import Path

import pytest

from linewright.errors import Conflict, Corrupt, RequestError
from linewright.line.care.backup import make_backup
from linewright.line.care.restore import restore_backup
from linewright.line.care.verify import verify_factory
from linewright.line.factory import Factory
from linewright.line.plan import make_plan


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


def test_damaged_bytes_are_left_out_and_told(root, tmp_path, damage):
    """A backup of what is left is worth more than none."""
    damage(next((root / ".linewright" / "artifacts").glob("??/*")))
    made = backed_up(root, tmp_path / "copy.tar")

    assert (5, 1, 7) == (made.blobs, len(made.problems), made.exit_code)
    assert 5 == restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar").blobs
