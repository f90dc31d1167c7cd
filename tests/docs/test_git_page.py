"""The page about git is followed, command by command, with git itself."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import commands
import pytest
from pages import blocks, examples

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.operations.maintenance import verify
from linewright.capabilities.care.restore import restore_backup
from linewright.line.factory import Factory
from linewright.serve.access.control_token import control_token

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "git.md"
FILE = "line: claims\nsources: {claims: {file: data/claims.csv}}\nlabel: {column: paid}\ntrain: {budget: quick}\n"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
NOBODY = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
}


def do(folder: Path, *words: str) -> str:
    """Carry out a command of the page in a folder."""
    command = [*commands.python(), "-m", *words] if words[0] == "linewright" else list(words)
    environment = {**os.environ, **NOBODY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def make(root: Path) -> Path:
    """Make a factory with a line, its table, and the owner's token."""
    (root / "data").mkdir(parents=True)
    rows = [
        f"{number},{number * 7919 % 101},{number * 7919 % 101 + number % 20 > 55}" for number in range(300)
    ]
    (root / "data" / "claims.csv").write_text("\n".join(["id,amount,paid", *rows]) + "\n")
    with Factory.create(root) as factory:
        control_token(factory.state)
    (root / "lines" / "claims.yaml").write_text(FILE)
    return root


@needs_git
def test_the_page_is_followed_by_two_people(tmp_path):
    """One changes a line on a branch of a clone; the factory that is at work gets it by a pull."""
    typed = [
        [shlex.split(command) for command, _ in examples(block)]
        for language, block in blocks(PAGE.read_text())
        if language == "console"
    ]
    begin, look, fetch = typed
    root, clone = make(tmp_path / "factory"), tmp_path / "clone"

    said = [do(root, *command) for command in begin]
    assert {"factory.yaml", "lines/claims.yaml", "data/claims.csv"} == {
        line[3:] for line in said[-1].splitlines()
    }
    do(root, "git", "commit", "--quiet", "-m", "A factory")
    do(root, "linewright", "run", "claims")
    do(tmp_path, "git", "clone", "--quiet", str(root), str(clone))
    (clone / "lines" / "claims.yaml").write_text(FILE + "gates:\n  - {metric: roc_auc, at_least: 0.5}\n")
    assert "ingest" in [do(clone, *command) for command in look][-1]
    do(clone, "git", "commit", "--quiet", "-am", "A gate")
    branch = do(root, "git", "branch", "--show-current").strip()
    do(root, "git", "remote", "add", "origin", str(clone))
    do(root, "git", "fetch", "--quiet")
    do(root, "git", "branch", "--quiet", "--set-upstream-to", "origin/more-rows", branch)
    _, plan, _ = [do(root, *command) for command in fetch]

    assert "gate" in plan
    assert "" == do(root, "git", "status", "--short")


@needs_git
def test_a_factory_in_git_publishes_no_token(tmp_path):
    """`git add -A` in the folder of a factory took the owner's token, and rows of customers."""
    root = make(tmp_path / "factory")
    do(root, "git", "init", "--quiet")
    do(root, "git", "add", "-A")

    assert ".linewright" not in do(root, "git", "ls-files")


def test_doctor_names_the_missing_file_and_its_command_writes_it(tmp_path):
    """A factory of an older version is mended by the command that it is told."""
    with Factory.create(tmp_path / "a b") as factory:
        file = factory.state / ".gitignore"
        said = file.read_text()
        file.unlink()
        needs = Needs(free_bytes=0, ports=())
        (problem,) = [one for one in examine(factory, needs).problems if "git" in one.what]
        subprocess.run(problem.next, shell=True, check=True)  # noqa: S602 -- as whoever is told it would

        assert "*\n" == said == file.read_text()
        assert [] == [one for one in examine(factory, needs).problems if "git" in one.what]


def test_a_restored_factory_has_the_file_too(tmp_path):
    """A backup does not have it: it is no state, and older versions refuse members that they do not know."""
    with Factory.create(tmp_path / "one") as factory:
        make_backup(factory, tmp_path / "backup.tar")
    with Factory(tmp_path / "two") as factory:
        restore_backup(factory, tmp_path / "backup.tar")
    with Factory.open(tmp_path / "two") as factory:
        assert "*\n" == (factory.state / ".gitignore").read_text()
        assert () == verify(factory).problems
