"""Artifacts: the suite on each store, and what only a folder can do wrong."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import printed_by

from linewright.errors import Corrupt, NotFound, Terminal, Transient
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.artifacts.memory import MemoryArtifacts
from linewright.store.files.disk import explain
from linewright.testing.store import ArtifactsContract


class TestMemoryArtifacts(ArtifactsContract):
    @pytest.fixture
    def artifacts(self):
        return MemoryArtifacts()


class TestLocalArtifacts(ArtifactsContract):
    @pytest.fixture
    def artifacts(self, tmp_path):
        return LocalArtifacts(tmp_path / "not" / "there" / "yet")


def _file_of(root: Path, digest: str) -> Path:
    return root / digest[7:9] / digest[9:]


def test_a_blob_lies_under_the_first_two_digits_of_its_digest_and_is_read_only(tmp_path):
    """Backups and people rely on the layout; nobody changes a blob by accident."""
    file = _file_of(tmp_path, LocalArtifacts(tmp_path).put(b"model"))

    assert b"model" == file.read_bytes()
    assert 0 == file.stat().st_mode & 0o333
    assert [file] == [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("bit", [0, 17, 39])
def test_one_flipped_bit_is_corrupt(tmp_path, bit):
    """No model byte is parsed before it is hashed and found right."""
    artifacts = LocalArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    file = _file_of(tmp_path, digest)
    flipped = bytearray(file.read_bytes())
    flipped[bit // 8] ^= 1 << bit % 8
    file.chmod(0o600)
    file.write_bytes(flipped)

    with pytest.raises(Corrupt, match="stored bytes have changed"):
        artifacts.get(digest)


def test_putting_the_right_bytes_again_heals_a_corrupt_blob(tmp_path):
    """What is rebuilt or restored must be readable afterwards."""
    artifacts = LocalArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    _file_of(tmp_path, digest).unlink()
    _file_of(tmp_path, digest).write_bytes(b"mod")
    artifacts.put(b"model")

    assert b"model" == artifacts.get(digest)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "sha256:",
        "sha256:../../../../etc/passwd",
        "sha256:" + "A" * 64,
        "md5:" + "0" * 64,
        "sha256:" + "0" * 65,
    ],
)
def test_only_a_digest_ever_becomes_a_path(tmp_path, name):
    """Digests come from requests too."""
    with pytest.raises(NotFound, match="not a digest"):
        LocalArtifacts(tmp_path).get(name)


def test_a_put_killed_half_way_leaves_nothing_that_can_be_found(tmp_path):
    """Whatever is killed and when, a blob is complete or absent."""
    dies_before_rename = (
        "import os, signal, sys; from pathlib import Path; from linewright.store.artifacts.local import LocalArtifacts\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "(Path(sys.argv[1]) / '93').mkdir(parents=True)\n"
        "LocalArtifacts(Path(sys.argv[1])).put(b'model')"
    )
    done = subprocess.run([sys.executable, "-c", dies_before_rename, str(tmp_path / "blobs")], check=False)
    artifacts = LocalArtifacts(tmp_path / "blobs")

    assert -9 == done.returncode
    assert 1 == len(list((tmp_path / "blobs").rglob(".new-*")))
    assert [] == list(artifacts.digests())
    assert b"model" == artifacts.get(artifacts.put(b"model"))


def test_a_put_syncs_the_file_before_its_name_and_then_the_folder(tmp_path, monkeypatch):
    """A digest that was returned survives power loss."""
    seen = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor):
        seen.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def watched_replace(old, new):
        seen.append(("name", new.name))
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    digest = LocalArtifacts(tmp_path / "blobs").put(b"model")
    steps = [(what, ".new" if name.startswith(".new") else name) for what, name in seen]

    assert [
        ("sync", tmp_path.name),
        ("sync", "blobs"),
        ("sync", ".new"),
        ("name", digest[9:]),
        ("sync", digest[7:9]),
    ] == steps


def test_a_full_disk_is_worth_another_try_and_a_forbidden_folder_is_not():
    """Whoever retries decides by the type."""
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert isinstance(explain(OSError(code, "full"), Path("x")), Transient)
    for code in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
        assert isinstance(explain(OSError(code, "no"), Path("x")), Terminal)


def test_a_disk_that_fills_up_says_so_and_leaves_no_rubbish(tmp_path):
    """A temporary file kept on a full disk would make it worse."""
    limited = (
        "import resource, sys; from pathlib import Path; from linewright.errors import Transient\n"
        "from linewright.store.artifacts.local import LocalArtifacts\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: LocalArtifacts(Path(sys.argv[1])).put(bytes(5000))\n"
        "except Transient as error: print(error.what)"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path)], check=True, capture_output=True, text=True
    )

    assert "no space is left on the disk" == done.stdout.strip()
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_may_not_be_written_says_what_to_do(tmp_path):
    """The user of a service account sees a sentence, not a traceback."""
    file = tmp_path / "file"
    file.write_bytes(b"")

    with pytest.raises(
        Corrupt, match=r"something else is in the place of the artifact folder: found 'Not a directory'"
    ):
        LocalArtifacts(file / "blobs").put(b"model")


def test_bytes_that_a_killed_free_set_aside_come_back_unless_they_were_put_again(tmp_path):
    """What was put again is wanted, and young: the next `gc` must not take its age for that of the old file."""
    artifacts = LocalArtifacts(tmp_path)
    lost, again = artifacts.put(b"lost"), artifacts.put(b"put again")
    for digest in (lost, again):
        file = _file_of(tmp_path, digest)
        os.utime(file, (1, 1))
        file.rename(file.with_name(f".gone-{file.name}"))
    artifacts.put(b"put again")
    artifacts.bring_back()
    times = [_file_of(tmp_path, digest).stat().st_mtime for digest in (lost, again)]

    assert b"lost" == artifacts.get(lost)
    assert b"put again" == artifacts.get(again)
    assert times[0] == 1 < times[1]
    assert [] == list(tmp_path.rglob(".gone-*"))


def test_the_endpoint_can_read_artifacts_without_loading_anything_heavy():
    """A replica starts fast: what it imports is a contract."""
    heavy = {"pydantic", "polars", "pyarrow", "sklearn", "lightgbm", "scipy", "sqlalchemy", "numpy", "dbos"}
    code = f"import sys, linewright.store.artifacts.local, linewright.store.clock; print(sorted({heavy!r} & set(sys.modules)))"
    printed = printed_by(code)

    assert "[]" == printed.strip()
