"""Whether the files of records are what was written, which endpoints read feature views from."""

from collections.abc import Iterator

from linewright.errors import Corrupt, LinewrightError, Transient
from linewright.features.views.records import ENDING, FOLDER, check_records, records_path
from linewright.line.factory import Factory
from linewright.line.maintenance.problem import Problem, problem_of
from linewright.line.release.view_maintenance import views_served


def check_feature_records(factory: Factory) -> Iterator[Problem]:
    """Check each byte of each file of records, and tell of those that a serving model needs and that are missing."""
    paths = set((factory.state / FOLDER).glob(f"*{ENDING}"))
    needed = {
        records_path(factory.state, facts)
        for line in factory.metadata.lines()
        for facts in views_served(factory, line)
    }
    for path in sorted(paths | needed):
        try:
            check_records(path)
        except FileNotFoundError:
            if path in needed:
                what = "the records of a feature view are missing, and a model that serves reads them"
                again = "linewright up writes them again, or a run of the line"
                # No backup has the folder.
                code = Corrupt.exit_code if path.parent.exists() else Transient.exit_code
                yield Problem(what=what, where=str(path), next=again, exit_code=code)
        except LinewrightError as error:
            yield problem_of(error)
