"""A small line on data that scikit-learn ships, run in process."""

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sklearn.datasets import load_breast_cancer
from templates import copied, made_once

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.runs.execute import execute_inline


def write_tumours(path: Path, rows: int = 569) -> None:
    """Write the first rows of the table, in an order that mixes both classes."""
    bunch: Any = load_breast_cancer()
    names = ["sample", *(name.replace(" ", "_") for name in bunch.feature_names[:8]), "diagnosis"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in range(rows):
            values = [f"{value:.6g}" for value in bunch.data[number][:8]]
            writer.writerow([f"S{number:04}", *values, bunch.target_names[bunch.target[number]]])


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Factory]]:
    """Give a function that has a factory made by a function and what it is given, each in a folder of its own, and closes all at the end."""
    numbers = count()
    with ExitStack() as closing:
        yield lambda declare, **given: closing.enter_context(
            declare(tmp_path / f"factory{next(numbers)}", **given)
        )


@pytest.fixture
def tumours(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Factory]]:
    """Give a function that makes a factory with the line ``tumours`` in a folder of its own."""
    opened = ExitStack()

    def make(name: str = "factory", *, rows: int = 569) -> Factory:
        template = made_once(
            tmp_path_factory, f"tumours-{rows}", lambda root: declare_tumours(root, rows).close()
        )
        return opened.enter_context(Factory.open(copied(template, tmp_path / name)))

    with opened:
        yield make


@pytest.fixture
def ran(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], tuple[Factory, RunResult]]]:
    """Give a function that returns a factory whose line ``tumours`` has run once, and what the run gave."""
    template = made_once(tmp_path_factory, "tumours-ran", run_tumours)
    numbers, opened = count(), ExitStack()

    def make() -> tuple[Factory, RunResult]:
        root = copied(template / "factory", tmp_path / f"ran{next(numbers)}")
        given = msgspec.json.decode((template / "result.json").read_bytes(), type=RunResult)
        return opened.enter_context(Factory.open(root)), given

    with opened:
        yield make


@pytest.fixture(scope="module")
def tumours_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """Give one factory with the line ``tumours`` to all tests of a module."""
    with declare_tumours(tmp_path_factory.mktemp("once") / "factory", 569) as factory:
        yield factory


def declare_tumours(root: Path, rows: int) -> Factory:
    """Make a factory with the line ``tumours``."""
    root.mkdir()
    write_tumours(root / "cancer.csv", rows)
    new_line(
        root,
        "tumours",
        root / "cancer.csv",
        GivenRoles(label="diagnosis", positive="malignant", key="sample"),
    )
    change(root, "budget: normal", "budget: quick")
    return Factory.create(root)


def run_tumours(folder: Path) -> None:
    """Make a factory with the line ``tumours``, run it, and keep what the run gave beside it."""
    folder.mkdir()
    with declare_tumours(folder / "factory", 569) as factory:
        (folder / "result.json").write_bytes(msgspec.json.encode(execute_inline(factory, "tumours")))


def change(root: Path, old: str, new: str) -> None:
    """Replace a text of the line file that must be there."""
    path = root / "lines" / "tumours.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))
