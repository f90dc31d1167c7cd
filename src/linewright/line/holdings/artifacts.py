"""Artifacts: bytes under the name of their digest."""

import shlex

from linewright.engine.context import Progress
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.holding import Archive, Check, Holding
from linewright.line.problem import problem_of

_REPORTED = 10_000


class Artifacts(Holding):
    """Stored bytes. Nothing of them is ever changed; what nothing refers to may go."""

    name = "artifacts"
    files = ("artifacts/*",)
    kept = r"artifacts/[0-9a-f]{2}/[0-9a-f]{62}"

    def read(self, check: Check) -> None:
        """Hash all of them."""
        check.guarded(lambda: _hash_all(check))

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy all that are as their names say."""
        for number, digest in enumerate(factory.artifacts.digests(), 1):
            path = factory.artifacts.path(digest)
            try:
                factory.artifacts.verify(digest)
                archive.add_blob(digest, path)
            except (NotFound, FileNotFoundError):  # freed meanwhile: nothing refers to it
                continue
            except Corrupt as error:
                archive.problems.append(problem_of(error, next="restore it from an earlier backup"))
            if number % 1000 == 0:
                factory.report(Progress(step="backup", says=f"{number:,} artifacts", done=number))


def _hash_all(check: Check) -> None:
    artifacts = check.factory.artifacts
    for digest in artifacts.digests():
        check.counts["blobs"] += 1
        try:
            check.counts["bytes"] += artifacts.verify(digest)
        except NotFound:  # freed meanwhile, so nothing referred to it
            continue
        except LinewrightError as error:
            check.damaged[digest] = error
        if artifacts.has_other_name(digest):
            path = artifacts.path(digest)
            check.say(
                "stored bytes have another name, by which they can be changed",
                str(path),
                f"find it (find / -xdev -samefile {shlex.quote(str(path))}), and put a copy in the place of the file",
            )
        if (number := check.counts["blobs"]) % _REPORTED == 0:
            check.factory.report(Progress(step="verify", says=f"artifacts: {number:,}", done=number))
