"""A backup has all state but what the page on maintenance names, and a factory that is restored from it is whole."""

import runpy
import tarfile
from fnmatch import fnmatch
from pathlib import Path

import polars as pl
import pytest
from paid import LINE as ORDERS
from paid_database import write_database_factory
from templates import copied, made_once

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.data.facts import SourceHistory
from linewright.data.history.versions import read_versions
from linewright.features.views.records import records_path
from linewright.interfaces.cli.build import run as run_command
from linewright.line.factory import Factory
from linewright.line.record.data.source_histories import history_store
from linewright.line.release.view_maintenance import views_served
from linewright.line.runs.execute import execute_inline
from linewright.operations.table import OPERATIONS

_OTHER = runpy.run_path(str(Path(__file__).with_name("test_forget_everywhere.py")))
LINE, make = _OTHER["LINE"], _OTHER["make"]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "care.md"
STATE = ".linewright"
LEFT_OUT = {
    "serving/*",
    "head.json",
    "tags.json",
    ".gitignore",
    "checked.json",
    "*.lock",
    "*/lock",
    "*/.*",
    "endpoints/*",
    "cancel/*",
    "scratch/*",
    "files/*",
    "fits/*",
    "features/*",
    "remote/*",
    "shadow/*",
    "runs/*",
    "scheduled/*.json",
    "scheduled/*/draft/*",
    "scheduled/*/ready/*",
    "control.token",
    "tokens/*",
    "proposals/*",
    "refused/*",
    "checkpoints/*",
}
"""Files of the state that no backup has, as the page has them."""
OF_OTHERS = (
    "tags.json", "checked.json", "up.lock", "endpoints/a/1", "cancel/a", "features/a/b.fit", "remote/a.json",
    f"scheduled/{LINE}/predict.nightly/ready/run.json", "control.token", "tokens/a", "proposals/a", "refused/a", "checkpoints/a",
)  # fmt: skip
"""Files that this factory has nothing of yet."""


@pytest.fixture
def full(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Copy a factory that uses all kinds of state."""
    return copied(made_once(tmp_path_factory, "forget-everywhere", make), tmp_path / "factory")


def names_in(backup: Path) -> set[str]:
    """Return the files of the state that a backup has."""
    with tarfile.open(backup) as tar:
        return {
            name.removeprefix(f"factory/{STATE}/")
            for name in tar.getnames()
            if name.startswith(f"factory/{STATE}/")
        }


def forms_of(name: str) -> set[str]:
    """Return the forms in `LEFT_OUT` that a file has."""
    return {one for one in LEFT_OUT if fnmatch(name, one)}


def test_a_backup_has_each_file_of_the_state_or_the_page_says_why_not(full: Path, tmp_path: Path) -> None:
    """Whoever adds a store says whether backups have it, or this fails; and nothing is on the list that they have."""
    state = full / STATE
    for name in OF_OTHERS:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).touch()
    there = {path.relative_to(state).as_posix() for path in state.rglob("*") if path.is_file()}
    with Factory.open(full) as factory:
        made = make_backup(factory, tmp_path / "all.tar")
    held = names_in(tmp_path / "all.tar")
    missing = {one for one in there - held if not one.endswith((".sqlite-wal", ".sqlite-shm"))}

    assert () == made.problems
    assert set() == {one for one in missing if not forms_of(one)}
    assert set() == {one for one in held if forms_of(one)}
    assert set() == LEFT_OUT - {form for one in missing for form in forms_of(one)}


def test_the_page_names_just_these_files() -> None:
    """Its table is what people rely on when they make a backup."""
    table = PAGE.read_text().partition("| not in it, of `.linewright/` | why |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]

    assert LEFT_OUT == {one.strip(" `") for row in rows for one in row.split(",")}


def codes(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Return how the commands end that look at a whole factory."""
    asked = (("verify",), ("audit", "verify"), ("doctor",))
    found = {
        " ".join(words): run_command(
            [*words, "--factory", str(root)], OPERATIONS, lambda folder, *_: Factory.open(folder)
        )
        for words in asked
    }
    capsys.readouterr()
    return found


def test_a_restored_factory_is_whole(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The records of feature views are there too, so that an endpoint answers with them at once."""
    before = codes(full, capsys)
    with Factory.open(full) as factory:
        make_backup(factory, tmp_path / "all.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "all.tar")
    after = codes(tmp_path / "new", capsys)
    with Factory.open(tmp_path / "new") as restored:
        (facts,) = views_served(restored, LINE)
        records = records_path(restored.state, facts).relative_to(restored.state)

    assert {"verify": 0, "audit verify": 0, "doctor": before["doctor"]} == after
    assert (full / STATE / records).read_bytes() == (tmp_path / "new" / STATE / records).read_bytes()


def test_the_history_of_a_view_is_in_a_backup(tmp_path: Path) -> None:
    """What a source deleted since is nowhere else."""
    root = tmp_path / "factory"
    write_database_factory(root)
    with Factory.create(root) as factory:
        execute_inline(factory, ORDERS)
        make_backup(factory, tmp_path / "all.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "all.tar")
    rows = [versions_of(one) for one in (root, tmp_path / "new")]

    assert rows[0].height > 1_000
    assert rows[0].equals(rows[1])


def versions_of(root: Path) -> pl.DataFrame:
    """Return all versions of the rows that the view of a factory has read."""
    with Factory.open(root) as factory:
        metadata = factory.metadata
        found = [digest for digest, kind, _ in metadata.results() if kind == "source_history"]
        newest = max((metadata.get(one, SourceHistory) for one in found), key=lambda one: one.number)
        return pl.concat(read_versions(newest, history_store(factory)))
