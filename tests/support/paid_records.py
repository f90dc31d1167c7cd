"""A factory whose model serves from the records of a feature view, for tests that damage them."""

from pathlib import Path

import pytest
from paid import LINE, write_factory
from templates import copied, made_once

from linewright.features.views.records import records_path
from linewright.line.factory import Factory
from linewright.line.release.view_maintenance import views_served
from linewright.line.runs.execute import execute_inline

CUSTOMERS = [f"C{number}" for number in range(63)]
ROWS = [{"customer": one, "basket": 20.0} for one in CUSTOMERS]


def copied_factory(folders: pytest.TempPathFactory, to: Path) -> Path:
    """Copy the factory to a folder that is not there yet, and return that."""
    return copied(made_once(folders, "paid-inline", _make), to)


def _make(root: Path) -> None:
    write_factory(root)
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)


def records_of(factory: Factory) -> Path:
    """Return the path of the file of records."""
    (facts,) = views_served(factory, LINE)
    return records_path(factory.state, facts)


def damage(path: Path) -> None:
    """Put a file in place that differs by a bit in 64 bytes of the events."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) * 6 // 10, len(data) * 6 // 10 + 64):
        data[at] ^= 1 << 4
    draft = path.with_name("draft")
    draft.write_bytes(data)
    draft.replace(path)
