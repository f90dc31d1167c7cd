"""The table of holdings names all stores of a factory, each once."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from every_state import make_every_state

from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.holdings.access import Access, Tags
from linewright.line.holdings.artifacts import Artifacts
from linewright.line.holdings.chained import AnnotationFiles, SentRows
from linewright.line.holdings.forgotten import ForgottenLists
from linewright.line.holdings.log import Labels, PredictionLogs
from linewright.line.holdings.record import RecordHolding
from linewright.line.holdings.serving import ServingFiles
from linewright.line.holdings.small_files import Replies, WorkingFiles
from linewright.line.holdings.table import holdings
from linewright.line.holdings.views import ViewRecords
from linewright.testing.holdings import HoldingContract

STATE = ".linewright"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the files of a state that has something of every kind, below it."""
    state = make_every_state(tmp_path_factory, tmp_path_factory.mktemp("holdings") / "factory") / STATE
    return sorted(path.relative_to(state).as_posix() for path in state.rglob("*") if path.is_file())


@pytest.fixture
def factory(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Factory]:
    """Open a copy of it."""
    with Factory.open(make_every_state(tmp_path_factory, tmp_path / "factory")) as opened:
        keep_tags(opened.root, opened.state)  # the files of lines have been copied
        yield opened


def test_each_file_of_a_state_belongs_to_one_holding(files: list[str]) -> None:
    """A store without a holding would be neither verified nor backed up, and nobody would notice."""
    working = WorkingFiles()
    owners = {name: [one.name for one in holdings() if one.claims(name)] for name in files}

    assert {} == {
        name: those for name, those in owners.items() if len(those) != 1 and not working.claims(name)
    }


def test_each_store_that_a_backup_has_is_there_in_a_full_factory(files: list[str]) -> None:
    """What the table says of a backup is compared with real files, so that a wrong pattern is found."""
    kept = {one.name: re.compile(one.kept) for one in holdings() if one.kept}
    without = {name for name, form in kept.items() if not any(map(form.fullmatch, files))}

    # This factory has sent nobody anything; what else it lacks, tests/security/test_backup_everything.py has.
    assert {"deliveries", "preferences of members", "schedules"} == without


def test_holdings_have_names_of_their_own() -> None:
    """Messages and tests tell them apart by name."""
    names = [one.name for one in holdings()]

    assert len(names) == len(set(names))


class TestRecord(HoldingContract):
    holding = RecordHolding
    names_artifacts = True


class TestArtifacts(HoldingContract):
    holding = Artifacts


class TestPredictionLogs(HoldingContract):
    holding = PredictionLogs
    names_artifacts = True


class TestLabels(HoldingContract):
    holding = Labels


class TestSentRows(HoldingContract):
    holding = SentRows


class TestAnnotations(HoldingContract):
    holding = AnnotationFiles

    def change(self, factory: Factory) -> None:
        """Say something else of what annotators said."""
        with closing(sqlite3.connect(self.files(factory)[0])) as database:
            assert database.execute("""UPDATE answers SET label = '"yes"'""").rowcount
            database.commit()


class TestViewRecords(HoldingContract):
    holding = ViewRecords


class TestForgottenLists(HoldingContract):
    holding = ForgottenLists


class TestAccess(HoldingContract):
    holding = Access


class TestTags(HoldingContract):
    holding = Tags

    def change(self, factory: Factory) -> None:
        """Give a line another tag, and so others a right to it."""
        (path,) = self.files(factory)
        path.write_bytes(path.read_bytes().replace(b'"eu"', b'"us"'))


class TestServingFiles(HoldingContract):
    holding = ServingFiles
    names_artifacts = True

    def change(self, factory: Factory) -> None:
        """Have endpoints serve another generation."""
        (path,) = factory.serving.glob("*.json")
        path.write_bytes(path.read_bytes().replace(b'"generation": 1', b'"generation": 2'))


class TestReplies(HoldingContract):
    holding = Replies
