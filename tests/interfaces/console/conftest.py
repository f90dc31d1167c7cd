"""A browser for the tests of a file, and a factory with members, a served line and a proposal that waits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import approvals
import browser as browsers
import pytest
from control import Up, factory_up
from shown_pages import Get, hostile_factory, pages_of

from linewright.capabilities.members.operations.members import member_add
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a browser, of which nothing is left for the tests of other files: it has an event loop."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Give a factory that is up: claims@1 serves, claims@2, which ada's run made, waits for another approver; vic may only look.

    Of the line ``trial``, whose rows are those of claims, a candidate answers a fifth of the rows.
    """
    root = approvals.waiting_factory(tmp_path_factory, tmp_path_factory.mktemp("console") / "factory")
    with Factory.open(root) as factory:
        member_add(factory, "vic", role="viewer")
        member_add(factory, "una", role="viewer", lines=("claims",))
        member_add(factory, "ana", role="analyst")
        _begin_trial(factory)
    with factory_up(root, forked=True) as up:
        yield up


def _begin_trial(factory: Factory) -> None:
    """Make a line with a champion and a canary: its model with the threshold of other amounts, so that nothing else is trained."""
    text = (factory.root / "lines" / "claims.yaml").read_text().replace("line: claims", "line: trial", 1)
    text = text.replace(
        "release: {approve: [approver]}", "release: {rollout: canary, steps: [0.2, 1.0], bake: 1h}"
    )
    for value in ("-1", "-3"):
        changed = text.replace("false_positive: -1", f"false_positive: {value}")
        (factory.root / "lines" / "trial.yaml").write_text(changed)
        execute_inline(factory, "trial")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with hostile names, which nobody changes."""
    return hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("hostile") / "factory")


@pytest.fixture(scope="session")
def get(hostile: Path) -> Get:
    """Give a function that shows a page of it to somebody with a role."""
    return pages_of(hostile)
