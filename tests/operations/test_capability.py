"""What capabilities declare by name is there."""

from importlib import import_module
from pathlib import Path

import pytest

import linewright
from linewright.operations.capability import GROUPS, Capability
from linewright.operations.table import CAPABILITIES, HOMES

FOLDERS = Path(linewright.__file__).parent / "capabilities"


def named(one: Capability) -> str:
    return one.home.rpartition(".")[2]


@pytest.mark.parametrize("capability", CAPABILITIES, ids=named)
def test_what_a_capability_names_is_there(capability):
    """Names are loaded when they are needed: without this, a wrong one fails on a person who waits."""
    threads = [capability.load(one) for one in capability.background]

    assert all(callable(thread) and hasattr(thread, "close") for thread in threads)
    assert all(callable(capability.load(one)) for one in capability.changes.values())
    assert not capability.pages or import_module(capability.module(capability.pages)).PAGES
    assert {group for _, group, _ in capability.operations.values()} <= set(GROUPS)


def test_each_folder_of_a_capability_has_its_row():
    """A folder without a row of `HOMES` has commands that nobody can call."""
    folders = {f"linewright.capabilities.{one.parent.name}" for one in FOLDERS.glob("*/__init__.py")}

    assert folders == {home for home in HOMES if home.startswith("linewright.capabilities.")}
