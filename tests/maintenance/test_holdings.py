"""The table of holdings names all stores of a factory, each once."""

import re

import pytest
from every_state import make_every_state

from linewright.line.holdings.small_files import WorkingFiles
from linewright.line.holdings.table import holdings

STATE = ".linewright"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the files of a state that has something of every kind, below it."""
    state = make_every_state(tmp_path_factory, tmp_path_factory.mktemp("holdings") / "factory") / STATE
    return sorted(path.relative_to(state).as_posix() for path in state.rglob("*") if path.is_file())


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
