"""What may go: what lines keep no longer, stored bytes that nothing refers to, and what killed writes left behind."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from linewright.capabilities.care.forget import resume
from linewright.capabilities.care.referenced_artifacts import clock_of_files, drop_features, unnamed
from linewright.capabilities.care.retention import Retired, blobs_that_go, retire
from linewright.engine.lock import ProcessLock
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.problem import Problem, worst
from linewright.store.files.disk import explained
from linewright.store.files.fit_files import LocalFits

SHORTEST_S = 3600.0
"""Least age of what may go while another process is at work: longer than any step takes from bytes to result."""
_TEMPORARY = (
    re.compile(r"\.FORMAT\.[0-9]+"),
    re.compile(r"\.[a-z0-9][a-z0-9.-]*-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
)
"""How drafts are named: of the mark of a state folder, and of `serve.files`."""


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go."""

    blobs: int
    temporary: int
    """Temporary files of killed writes."""
    bytes: int
    kept: int
    """Blobs that something refers to, or that are younger than the grace."""
    dry_run: bool
    retired: tuple[Retired, ...] = ()
    """What each line keeps no longer; its blobs are among those that went, or go once they are older than the grace."""

    problems: tuple[Problem, ...] = ()
    """What kept removals of persons that were interrupted from being ended."""

    @property
    def exit_code(self) -> int:
        """That of the worst of what kept something from going; 0 where nothing did."""
        of_lines = (one.problem for one in self.retired if one.problem is not None)
        return worst((*self.problems, *of_lines))


def collect(factory: Factory, *, grace_s: float, dry_run: bool) -> Freed:
    """Take out what lines keep no longer, and free what nothing refers to and is older than the grace.

    A run that was killed finds what it needs afterwards: whatever it had noted is referred to, and what it had not it
    writes anew. While it works, no run begins in another process; one that asks is carried out right after it.
    """
    problems = () if dry_run else resume(factory).problems
    with ProcessLock(factory.state / "gc.lock"):
        executor = ProcessLock(factory.state / "executor.lock")
        is_alone = executor.acquire()
        try:
            if not is_alone and grace_s < SHORTEST_S:
                raise Transient(
                    "another process is at work in this factory, and may need what it wrote just now",
                    where=str(factory.root),
                    found=f"a grace of {grace_s:g} s beside process {executor.holder()}",
                    allowed=f"{SHORTEST_S:g} s and more",
                    hint="take a longer --grace, or stop that process first",
                )
            freed = _collect(factory, grace_s=grace_s, dry_run=dry_run)
        finally:
            executor.release()
    return msgspec.structs.replace(freed, problems=problems)


def _collect(factory: Factory, *, grace_s: float, dry_run: bool) -> Freed:
    before = clock_of_files(factory) - grace_s
    if not dry_run:
        factory.artifacts.bring_back()
    retired = retire(factory, dry_run=dry_run, prices=True)
    everything = set(factory.artifacts.digests())
    planned = {digest for one in retired for digest in one.results}
    unwanted = unnamed(factory, everything, planned) | (blobs_that_go(factory, planned) & everything)
    blobs = size = 0
    for digest in sorted(unwanted):
        length = _old_size(factory.artifacts.path(digest), before)
        if length is not None and (dry_run or factory.artifacts.free(digest, before=before)):
            blobs, size = blobs + 1, size + length
            if not dry_run:
                drop_features(factory, (digest,))
    litter = [path for path in _temporary(factory) if _old_size(path, before) is not None]
    size += sum(_size(path) for path in litter)
    if not dry_run:
        for path in litter:
            with explained(path, "the temporary file"):
                path.unlink(missing_ok=True)
    return Freed(
        blobs=blobs,
        temporary=len(litter),
        bytes=size,
        kept=len(everything) - blobs,
        dry_run=dry_run,
        retired=retired,
    )


def retire_now(factory: Factory) -> tuple[Retired, ...] | None:
    """Take out what lines keep no longer and free its bytes, beside whatever is at work; `None` where a `gc` is.

    What is younger than an hour by the clock of the files goes the next time.
    """
    lock = ProcessLock(factory.state / "gc.lock")
    if not lock.acquire():
        return None
    try:
        retired = retire(factory, dry_run=False)
        before = clock_of_files(factory) - SHORTEST_S
        for digest in sorted(blobs_that_go(factory)):
            factory.artifacts.free(digest, before=before)
    finally:
        lock.release()
    return retired


def _temporary(factory: Factory) -> Iterator[Path]:
    yield from factory.artifacts.leftovers()
    # A training that goes on loses nothing by it that it still reads; one that is killed later does these fits again.
    yield from LocalFits(factory.state / "fits").files()
    for folder in (factory.state, factory.serving):
        for path in sorted(folder.glob(".*")):
            if any(form.fullmatch(path.name) for form in _TEMPORARY):
                yield path


def _old_size(path: Path, before: float) -> int | None:
    """Return the size of a file that is older than an instant; `None` for any other."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if found.st_mtime < before else None


def _size(path: Path) -> int:
    return path.lstat().st_size
