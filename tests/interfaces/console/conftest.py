"""A browser for the tests of a file, and a factory with members, a served line and a proposal that waits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import approvals
import browser as browsers
import pytest
from control import Up, factory_up
from shown_pages import Get, hostile_factory, pages_of

from linewright.line.factory import Factory
from linewright.operations.people.members import member_add


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a browser, of which nothing is left for the tests of other files: it has an event loop."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Give a factory that is up: claims@1 serves, claims@2, which ada's run made, waits for another approver; vic may only look."""
    root = approvals.waiting_factory(tmp_path_factory, tmp_path_factory.mktemp("console") / "factory")
    with Factory.open(root) as factory:
        member_add(factory, "vic", role="viewer")
        member_add(factory, "una", role="viewer", lines=("claims",))
    with factory_up(root, forked=True) as up:
        yield up


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with hostile names, which nobody changes."""
    return hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("hostile") / "factory")


@pytest.fixture(scope="session")
def get(hostile: Path) -> Get:
    """Give a function that shows a page of it to somebody with a role."""
    return pages_of(hostile)
