"""A factory with a champion, answered rows and labels, made once and copied for each test."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import commands
import pytest
from sklearn.datasets import load_breast_cancer
from templates import copied, made_once

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli import main
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute

Command = Callable[..., tuple[int, Any, str]]


def write_rows(path: Path, rows: int = 300) -> None:
    bunch: Any = load_breast_cancer()
    names = ["sample", *(name.replace(" ", "_") for name in bunch.feature_names[:4]), "diagnosis"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number in range(rows):
            values = [f"{value:.6g}" for value in bunch.data[number][:4]]
            writer.writerow([f"S{number:04}", *values, bunch.target_names[bunch.target[number]]])


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a factory whose line has not run."""
    return made_once(tmp_path_factory, "cancer", _declare)


def _declare(root: Path) -> None:
    root.mkdir()
    write_rows(root / "cancer.csv")
    new_line(
        root,
        "tumours",
        root / "cancer.csv",
        GivenRoles(label="diagnosis", positive="malignant", key="sample"),
    )
    line = root / "lines" / "tumours.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
    Factory.create(root).close()


@pytest.fixture(scope="session")
def template(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a factory with a champion, 20 answered rows and 10 labels."""
    return made_once(tmp_path_factory, "cancer-served", lambda root: _serve(copied(fresh, root)))


def _serve(root: Path) -> None:
    with Factory.open(root) as factory:
        execute(factory, "tumours")
    rows = (root / "cancer.csv").read_text().splitlines()
    (root / "ask.csv").write_text("\n".join(rows[:21]) + "\n")
    truth = ["key,label", *(f"{row.split(',')[0]},{row.split(',')[-1]}" for row in rows[1:11])]
    (root / "truth.csv").write_text("\n".join(truth) + "\n")
    for arguments in (
        ("predict", "tumours", "ask.csv", "-o", "answers.csv"),
        ("feedback", "tumours", "truth.csv"),
    ):
        code, _, said = linewright(root, *arguments)
        assert 0 == code, said


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """Make a copy of the factory that a test may damage."""
    return copied(template, tmp_path / "factory")


OF_THEIR_OWN = ("run", "up", "serve")
"""Commands that need a process of their own, since they start threads that outlive a command."""


def linewright(folder: Path, *arguments: str, before: str = "", **how: Any) -> tuple[int, Any, str]:
    """Run a command in a folder; return its exit code, its JSON and what it said besides.

    In this process where that may be: to start one takes a second.

    Parameters
    ----------
    before
        Python that the process carries out first: a limit, say.
    """
    is_apart = before or how or arguments[0] in OF_THEIR_OWN
    carry_out = _apart if is_apart else _here
    code, out, told = carry_out(folder, (*arguments, "--json"), before, **how)
    assert "Traceback" not in told, told
    assert "bug in linewright" not in out, out
    return code, json.loads(out), told


def _apart(folder: Path, arguments: tuple[str, ...], before: str, **how: Any) -> tuple[int, str, str]:
    code = f"import sys; {before or 'pass'}\nfrom linewright.interfaces.cli import main\nsys.exit(main())"
    is_plain = arguments[0] == "run" and not before and not how
    words = [*commands.python(), "-m", "linewright"] if is_plain else [sys.executable, "-c", code]
    done = subprocess.run(
        [*words, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False, **how,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _here(folder: Path, arguments: tuple[str, ...], _: str) -> tuple[int, str, str]:
    out, told = StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(told), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["linewright", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), out.getvalue(), told.getvalue()


@pytest.fixture(name="linewright")
def linewright_command() -> Command:
    return linewright


@pytest.fixture
def damage() -> Callable[[Path], None]:
    """Give a function that flips one bit in the middle of a file."""

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.chmod(0o644)
        path.write_bytes(data)

    return flip
