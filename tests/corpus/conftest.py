"""A factory with a model that serves, and what bad input must leave as it was."""

import csv
import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from templates import copied, made_once

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.python.factory import Factory
from linewright.line.runs.execute import execute_inline

ROWS = 600
VOLATILE = {"executor.lock", "endpoint.json", "up.json"}


def write_parts(path: Path, *, with_truth: bool = True) -> None:
    """Write a table of parts: key, number, category, date, and whether the part is good or bad."""
    chance = random.Random(7)
    names = ["part", "width", "colour", "made", *(["state"] if with_truth else [])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in range(ROWS):
            width, colour = chance.gauss(10, 2), chance.choice(["red", "blue"])
            state = "bad" if width + (colour == "red") + chance.gauss(0, 2) > 10.5 else "good"
            row = [f"P{number:04}", f"{width:.3f}", colour, f"2025-{1 + number % 12:02}-10"]
            writer.writerow([*row, state] if with_truth else row)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a factory whose line ``parts`` has a champion and one kept label."""
    return made_once(tmp_path_factory, "parts", _train)


def _train(root: Path) -> None:
    root.mkdir()
    write_parts(root / "parts.csv")
    new_line(
        root, "parts", root / "parts.csv", GivenRoles(label="state", positive="bad", key="part", time="made")
    )
    line = root / "lines" / "parts.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
    write_parts(root / "ask.csv", with_truth=False)
    with Factory.create(root) as factory:
        ran = execute_inline(factory, "parts")
        if not ran.promoted:
            factory.promote(ran.candidate, force=True, because="any model will do")
        factory.predict("parts", root / "ask.csv", out=root / "answers.csv")
        (root / "truth.csv").write_text("key,label\nP0000,bad\n")
        factory.feedback("parts", root / "truth.csv")


@pytest.fixture
def factory(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy that factory and stand in it."""
    root = copied(trained, tmp_path / "factory")
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="session")
def kept() -> Callable[[Path], dict[str, str]]:
    """Give a function that says what a folder holds: each file's bytes, and of a database its rows."""
    return _kept


def _kept(root: Path) -> dict[str, str]:
    return dict(_files(root))


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.name in VOLATILE or path.name.endswith(("-journal", "-wal", "-shm")):
            continue
        name = str(path.relative_to(root))
        if path.is_symlink() or not path.is_file():
            yield name, "not a file"
        elif path.suffix == ".sqlite" and path.name != "engine.sqlite":
            yield name, json.dumps(_rows(path))
        elif path.suffix != ".sqlite":
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def _rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())
