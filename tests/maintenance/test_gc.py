"""`gc` frees what nothing refers to, and nothing else, between any two moments of a run."""

import os
import shutil
import signal
import subprocess

import commands
import pytest

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.engine.lock import ProcessLock
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute
from linewright.store.clock import uuid7


def files(root):
    return sorted(
        str(path.relative_to(root))
        for path in (root / ".linewright" / "artifacts").rglob("*")
        if path.is_file()
    )


def test_only_litter_goes_and_the_dry_run_says_the_same(root):
    """Whoever frees space wants to know what first."""
    before = files(root)
    with Factory.open(root) as factory:
        lost = factory.artifacts.path(factory.artifacts.put(b"nobody refers to this"))
        (lost.parent / ".new-0123456789abcdef").write_bytes(b"half")
        kept = factory.artifacts.path(factory.artifacts.put(b"just written"))
        for path in (lost, lost.parent / ".new-0123456789abcdef"):
            os.utime(path, (1, 1))
        told = collect(factory, grace_s=86_400, dry_run=True)
        still_there = lost.exists()
        done = collect(factory, grace_s=86_400, dry_run=False)
        again = collect(factory, grace_s=86_400, dry_run=False)

    assert still_there
    assert (1, 1, 25, 10) == (told.blobs, told.temporary, told.bytes, told.kept)
    assert (1, 1, 25, 10) == (done.blobs, done.temporary, done.bytes, done.kept)
    assert (0, 0, 0) == (again.blobs, again.temporary, again.bytes)
    assert sorted([*before, str(kept.relative_to(root))]) == files(root)


def test_drafts_of_what_processes_tell_each_other_go_too(root):
    """A kill leaves them, and nothing else ever looks at them; what they are the drafts of stays."""
    with Factory.open(root) as factory:
        factory.serving.mkdir(exist_ok=True)
        names = ["claims.json", "claims.trouble", f"claims.{uuid7()}.outage", "endpoint"]
        drafts = [f".{name}-{uuid7()}" for name in names]
        for name in [*names, *drafts]:
            (factory.serving / name).write_bytes(b"half")
            os.utime(factory.serving / name, (1, 1))
        done = collect(factory, grace_s=86_400, dry_run=False)
        left = {path.name for path in factory.serving.iterdir()}

    assert len(drafts) == done.temporary
    assert set(names) <= left
    assert not left & set(drafts)


def test_what_is_put_again_is_young_again(root):
    """A run that needs old bytes anew must find them."""
    with Factory.open(root) as factory:
        digest = factory.artifacts.put(b"old")
        os.utime(factory.artifacts.path(digest), (1, 1))
        factory.artifacts.put(b"old")

        assert 0 == collect(factory, grace_s=3600, dry_run=False).blobs
        assert b"old" == factory.artifacts.get(digest)


def test_bytes_that_a_killed_gc_set_aside_come_back(root):
    """It may have died on bytes that somebody had just asked for."""
    with Factory.open(root) as factory:
        path = factory.artifacts.path(factory.metadata.versions("tumours")[0].digest)
        path.rename(path.with_name(f".gone-{path.name}"))
        collect(factory, grace_s=3600, dry_run=False)

        assert () == verify_factory(factory).problems


def test_a_short_grace_beside_a_process_at_work_is_refused(root):
    """Its newest bytes have no reference yet."""
    with Factory.open(root) as factory, ProcessLock(factory.state / "executor.lock"):
        with pytest.raises(Transient, match=r"another process is at work.*Next: take a longer --grace"):
            collect(factory, grace_s=0, dry_run=False)
        assert 9 == collect(factory, grace_s=3600, dry_run=False).kept


def digests(result):
    return result.dataset, result.split, result.digest, result.certificate


@pytest.mark.slow
def test_a_gc_after_a_kill_changes_nothing(fresh, template, tmp_path):
    """Nobody looks whether a run was interrupted before freeing space; every thirty-first boundary is a moment of its own kind."""
    with Factory.open(template) as factory:
        expected = digests(execute(factory, "tumours"))
    for moment in range(1, 200, 31):
        root = tmp_path / f"killed-{moment}"
        shutil.copytree(fresh, root)
        command = [
            *commands.python(), "-m", "linewright.testing.faults", str(root), "tumours", str(moment)
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if done.returncode == 0:
            break
        assert -signal.SIGKILL == done.returncode
        with Factory.open(root) as factory:
            collect(factory, grace_s=-60, dry_run=False)
            assert expected == digests(execute(factory, "tumours"))
            assert () == verify_factory(factory).problems
        shutil.rmtree(root)
    else:
        pytest.fail("the run never ended")
