"""A kind of source that a package brings goes the whole way of a line, though no file of `src` knows it."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import commands
import numpy as np
import pytest
from toy_source import MAGIC, install_toys

SUPPORT = Path(__file__).parents[1] / "support"
ROWS = 240


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Make what pip leaves of a package with the kinds of `toy_source`."""
    install_toys(tmp_path / "site")
    return tmp_path / "site"


def write_toy(path: Path, *, rows: int = ROWS) -> None:
    chance = np.random.default_rng(7)
    size = chance.normal(size=rows)
    lines = [
        f"K{number:04}|{value:.3f}|{('red', 'blue')[number % 2]}|{('no', 'yes')[int(value + noise > 0)]}"
        for number, (value, noise) in enumerate(zip(size, chance.normal(size=rows) * 0.3, strict=True))
    ]
    path.write_text(MAGIC + "\n".join(["key|size|colour|y", *lines]) + "\n")


@pytest.fixture
def linewright(site: Path, tmp_path: Path):
    """Give a function that runs a command where the package is installed, and returns what it printed."""
    root = tmp_path / "factory"
    root.mkdir()
    paths = os.pathsep.join(map(str, (site, SUPPORT)))

    def run(*arguments: str, folder: Path = root, code: int = 0) -> str:
        done = subprocess.run(
            [*commands.python(), "-m", "linewright", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_line_of_another_kind_of_source_is_written_checked_run_and_restored(linewright, tmp_path):
    """Whoever adds a kind writes one file; every command that touches sources takes it from the table."""
    root, copy = tmp_path / "factory", tmp_path / "copy"
    write_toy(root / "rows.toy")
    linewright("new", "toys", "--data", "rows.toy", "--label", "y", "--key", "key")
    line = root / "lines" / "toys.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))

    assert "toy: rows.toy" in line.read_text().replace('"', "")
    assert f"{ROWS} rows keep the contract" in linewright("check", "toys")

    linewright("run", "toys")
    planned = json.loads(linewright("plan", "toys", "--json"))

    assert {"toys": "rows.toy"} == planned["sources"]
    assert [] == planned["changes"]

    linewright("backup", str(tmp_path / "toys.tar"))
    with tarfile.open(tmp_path / "toys.tar") as backup:
        assert any(name.endswith("rows.toy") for name in backup.getnames())
    copy.mkdir()
    linewright("restore", str(tmp_path / "toys.tar"), folder=copy)

    assert [] == json.loads(linewright("plan", "toys", "--json", folder=copy))["changes"]

    write_toy(root / "rows.toy", rows=ROWS + 1)
    changed = json.loads(linewright("plan", "toys", "--json"))["changes"]

    assert "source 'toys' changed" == changed[0]["because"]


def test_a_source_of_no_file_is_read_and_planned(linewright, tmp_path):
    """What a line reads over the network, say, has no path that a backup or a clock could look at."""
    root = tmp_path / "factory"
    write_toy(root / "rows.toy")
    rows = (root / "rows.toy").read_text().splitlines()[1:]
    (root / "lines").mkdir()
    said = {
        "line": "a",
        "sources": {"a": {"listed": rows}},
        "label": {"column": "y"},
        "table": {"key": "key"},
    }
    (root / "lines" / "a.yaml").write_text(json.dumps(said))
    linewright("init")

    assert f"{ROWS} rows keep the contract" in linewright("check", "a")
    assert {"a": f"{ROWS} rows of the line file"} == json.loads(linewright("plan", "a", "--json"))["sources"]
