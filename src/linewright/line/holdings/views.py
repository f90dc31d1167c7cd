"""Records of feature views, which endpoints read them from: they must be what was written."""

import os
from collections.abc import Iterator
from pathlib import Path

from linewright.errors import Corrupt, LinewrightError, Transient
from linewright.features.facts import RecordsWritten
from linewright.features.views.records import FOLDER, check_records, files_of_records, records_path
from linewright.line.factory import Factory
from linewright.line.holding import Archive, Check, Holding
from linewright.line.problem import Problem, problem_of
from linewright.line.release.view_maintenance import views_served
from linewright.line.views.write_records import records_lock
from linewright.store.pushed_rows import SOURCE
from linewright.store.shared_features import are_features_shared

_LOOKS = 3
"""Times that a file is looked at: it may be replaced meanwhile, and so once more."""
_AGAIN = "linewright up writes them again, or a run of the line"


class ViewRecords(Holding):
    """Records of feature views, a file for each view as a model has learned it."""

    name = "records of feature views"
    files = (f"{FOLDER}/*",)
    kept = rf"{FOLDER}/{SOURCE}-[0-9a-f]{{12}}\.records"

    def verify(self, check: Check) -> None:
        """Check each byte, compare the digest with the record, and note records that a serving model needs and that are missing."""
        check.guarded(lambda: check.problems.extend(_wrong_records(check.factory)))

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy them as the copied record says they are."""
        if os.access(factory.state, os.W_OK):  # where nobody can write, nobody replaces them either
            archive.hold(records_lock(factory))
        for path in files_of_records(factory.state):
            archive.add(path)


def _wrong_records(factory: Factory) -> Iterator[Problem]:
    paths = set(files_of_records(factory.state))
    needed = {
        records_path(factory.state, facts)
        for line in factory.metadata.lines()
        for facts in views_served(factory, line)
    }
    for path in sorted(paths | needed):
        try:
            if not any(_is_recorded(factory, path) for _ in range(_LOOKS)):
                what = "the records of a feature view are others than the record says"
                yield Problem(
                    what=what, where=str(path), next=f"remove the file: {_AGAIN}. Find out who wrote it"
                )
        except FileNotFoundError:
            if path in needed:
                what = "the records of a feature view are missing, and a model that serves reads them"
                # Backups of before have no records.
                code = Corrupt.exit_code if path.parent.exists() else Transient.exit_code
                yield Problem(what=what, where=str(path), next=_AGAIN, exit_code=code)
        except LinewrightError as error:
            yield problem_of(error)


def _is_recorded(factory: Factory, path: Path) -> bool:
    digest = check_records(path)
    # Read after the file: who replaces it records it before.
    last = factory.metadata.newest_with(RecordsWritten, "file", path.name)
    # Those of before have no event; where machines share features, another one may have written the file.
    return last is None or digest in {last.digest, last.before} or are_features_shared(factory.state)
