"""What `factory.yaml` says and nothing follows is told: a limit that limits nothing leaves an endpoint open, and its owner at ease."""

import subprocess
from pathlib import Path
from typing import Any

import commands
import msgspec
import pytest

from linewright import Factory

LINE = "line: claims\nsources: {claims: {file: claims.csv}}\nlabel: {column: y}\ntrain: {python: 'model.py:build'}\n"
CODE = (
    "from sklearn.linear_model import LogisticRegression\n\n\ndef build():\n    return LogisticRegression()\n"
)
HOG = "def build():\n    return [bytes(2**40)]\n"


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    """Make a factory with one sound line, whose estimator comes from a file."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    (root / "factory.yaml").write_text("format: 1\n")
    (root / "lines" / "claims.yaml").write_text(LINE)
    (root / "model.py").write_text(CODE)
    rows = [f"{number % 7},{number % 3},{int(number % 5 > 2)}" for number in range(300)]
    (root / "claims.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    with Factory.open(root) as opened:
        assert [] == opened.metadata.lines()  # the record is made when it is first read
    return root


def asked(root: Path, *words: str, where: str = "") -> tuple[int, Any]:
    """Carry out a command, by default with an absolute folder; return its exit code and what it says."""
    done = subprocess.run(
        [*commands.python(), "-m", "linewright", *words, "--json", "--factory", where or str(root)],
        cwd=root, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, msgspec.json.decode(done.stdout)


def examined(root: Path, where: str = "") -> list[str]:
    """Return what `doctor` finds but for the machine's own matters."""
    ports = ("--port", "0", "--control-port", "0", "--free", "0")
    _, said = asked(root, "doctor", *ports, where=where)
    assert not said["skipped"]
    return [f"{one['where']}: {one['what']}. {one['next']}" for one in said["problems"]]


@pytest.mark.parametrize("where", [".", "../factory"])
def test_a_relative_folder_is_the_same_folder(factory, where):
    """A sound line was said to have its file outside of the factory's folder, as if somebody had planted it."""
    assert [] == examined(factory, where)


def test_an_unknown_word_is_no_good_health(factory):
    """A limit with a slip of the pen is none, and `doctor` is asked just then: all was well."""
    (factory / "factory.yaml").write_text("format: 1\nlimts: {}\nruns: {memry: 3GiB}\n")

    first, second = examined(factory)
    assert "factory.yaml:2:1" in first
    assert "did you mean 'limits'?" in first
    assert "factory.yaml:3:8" in second
    assert "did you mean 'memory'?" in second


def test_a_limit_of_no_line_is_told(factory):
    """The line that it was meant for is without limit."""
    (factory / "factory.yaml").write_text("format: 1\nlimits: {lines: {claim: {rows_per_second: 5}}}\n")

    (told,) = examined(factory)
    code, said = asked(factory, "check")
    assert "there is no such line" in told
    assert "did you mean 'claims'?" in told
    assert 2 == code
    assert [("claim", "claims")] == [(one["found"], one["allowed"]) for one in said["factory"]]
    assert 0 == said["lines"][0]["exit_code"]
    assert 0 == asked(factory, "check", "claims")[0]


def test_a_limit_of_a_line_is_none_of_that(factory):
    """What is right is not told of."""
    (factory / "factory.yaml").write_text("format: 1\nlimits: {lines: {claims: {rows_per_second: 5}}}\n")

    assert [] == examined(factory)
    assert [] == asked(factory, "check")[1]["factory"]


def test_it_is_said_what_a_head_looks_like(factory):
    """Whoever checks the record against a head has it from a log or a letter, and may have copied too little."""
    code, said = asked(factory, "audit", "verify", "--against", "nonsense")

    assert 2 == code
    assert "sha256: and 64 hexadecimal digits" in said["allowed"]


def test_own_code_that_wants_too_much_memory_is_told_where_the_limit_is(factory):
    """The limit is ours; whoever meets it cannot know that from their own code."""
    (factory / "factory.yaml").write_text("format: 1\nruns: {memory: 3GiB}\n")
    (factory / "model.py").write_text(HOG)
    code, said = asked(factory, "run", "claims")

    assert 5 == code
    assert "MemoryError" in str(said)
    assert "runs: {memory: …}; it is 3GiB now" in str(said)
