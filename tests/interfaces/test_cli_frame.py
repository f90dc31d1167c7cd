"""The command line as people and scripts meet it, with operations of its own."""

import io
import json
import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from linewright.engine.context import Progress
from linewright.errors import GateRefused, SpecError, Transient
from linewright.interfaces.cli.build import run
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.show import ProgressLine, render
from linewright.interfaces.cli.text import table
from linewright.operations.declare import Entry, operation
from linewright.operations.table import OPERATIONS
from linewright.serve.access.rights import Identity

HEAVY = {
    "rich",
    "sqlalchemy",
    "polars",
    "pyarrow",
    "pydantic",
    "starlette",
    "dbos",
    "lightgbm",
    "xgboost",
    "typer",
    "uvicorn",
}
pytestmark = pytest.mark.usefixtures("factory")
DIGEST = "sha256:" + "0123456789abcdef" * 4


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: float


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    root: str
    model: str
    champion: str | None = None
    digest: str = DIGEST
    rate: float = 0.123456
    metrics: tuple[Measured, ...] = (
        Measured(name="roc_auc", value=0.9),
        Measured(name="log_loss", value=0.25),
    )


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    line: str

    @property
    def exit_code(self) -> int:
        return 4


@renderer.register
def _said(verdict: Verdict) -> str:
    return f"{verdict.line} was held back\x1b[2J"


@operation(permission="run", effect="act")
def promote(
    factory: "FakeFactory",
    model: str,
    /,
    *,
    force: bool = False,
    level: Literal["low", "high"] = "low",
    seeds: int = 10,
    out: Path | None = None,
    exclude: tuple[str, ...] = (),
    diff: tuple[str, str] | None = None,
) -> Shown:
    """Make a model the champion.

    More about it.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION.
    force
        Whether to insist.
    level
        How much.
    seeds
        How many.
    out
        Where to write.
    exclude
        Columns to leave out.
    diff
        Two digests.
    """
    del force, level, seeds, out, exclude, diff
    return Shown(root=str(factory.root), model=model)


@operation(permission="run", effect="act")
def train(factory: "FakeFactory", /, *lines: str) -> Verdict:
    """Train lines.

    Parameters
    ----------
    lines
        Names of lines.
    """
    factory.report(Progress(step="split", says="by time"))
    factory.report(Progress(step="train", says="trial", done=1, of=2))
    factory.report(Progress(step="train", says="trial", done=2, of=2))
    return Verdict(line=",".join(lines))


@operation(permission="view", effect="read")
def fail(factory: "FakeFactory", how: str, /) -> None:
    """Fail in a way of one's choice.

    Parameters
    ----------
    how
        Name of the way.
    """
    del factory
    errors = [{"what": "unknown word", "where": "a.yaml:3:1", "found": "tran"}, {"message": "no label"}]
    ways: dict[str, BaseException] = {
        "gate": GateRefused("not good enough", found=0.5, allowed="at least 0.6"),
        "later": Transient("the store is busy"),
        "many": SpecError("the line file has mistakes", where="a.yaml", details={"errors": errors}),
        "long": SpecError("w" * 60, where="lines/a.yaml:3:1", found="x\x1b[31m", allowed="y", hint="z " * 30),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError("oops"),
    }
    raise ways[how]


@operation(permission="view", effect="read", streams=True)
def follow(factory: "FakeFactory") -> Iterator[Verdict]:
    """Follow what happens."""
    del factory
    return iter([Verdict(line="a"), Verdict(line="b")])


@operation(permission="view", effect="read", anywhere=True)
def audit_verify(factory: "FakeFactory") -> dict[str, Any]:
    """Verify the audit."""
    return {"anywhere": factory.anywhere}


def entry(summary: str, group: str = "Use") -> Entry:
    return Entry(module=__name__, summary=summary, group=group)


TABLE = {
    "train": entry("Train lines.", "Make"),
    "promote": entry("Make a model the champion."),
    "fail": entry("Fail in a way of one's choice."),
    "follow": entry("Follow what happens."),
    "audit verify": entry("Verify the audit."),
}


class FakeFactory:
    def __init__(self, root: Path, report: Any, *, anywhere: bool) -> None:
        self.root, self.report, self.anywhere = root, report, anywhere


@contextmanager
def open_factory(root: Path, report: Any, anywhere: bool, _: Identity) -> Iterator[FakeFactory]:
    yield FakeFactory(root, report, anywhere=anywhere)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a factory with two lines, from a folder inside which commands are given."""
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines").mkdir()
    for name in ("claims", "churn"):
        (tmp_path / "lines" / f"{name}.yaml").touch()
    monkeypatch.chdir(tmp_path / "lines")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


def say(*argv: str) -> int:
    return run(argv, TABLE, open_factory)


def in_terminal(*argv: str, **environment: str) -> str:
    """Return what a terminal of 80 columns receives from this module run as a program."""
    main, other = pty.openpty()
    with subprocess.Popen(
        [sys.executable, __file__, *argv],
        stdin=other,
        stdout=other,
        stderr=other,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
    ) as process:
        os.close(other)
        received = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
            received += part
        process.wait()
    os.close(main)
    return received.decode()


def test_help_says_how_to_start_and_lists_commands_by_group(capsys):
    """A newcomer reads this first, and no operation is imported for it."""
    absent = {name: each._replace(module="not.there") for name, each in TABLE.items()}

    assert 0 == run(["--help"], absent, open_factory)
    out = capsys.readouterr().out
    assert "linewright new NAME --data FILE --label COLUMN" in out
    assert re.search(r"Make:\n  train +Train lines\.\n\nUse:\n  promote +Make a model the champion\.", out)


def test_without_a_command_help_is_shown(capsys):
    """It is what a person who knows nothing types."""
    assert 0 == say()
    assert "Usage: linewright COMMAND" in capsys.readouterr().out


def test_help_of_a_command_describes_each_argument(capsys):
    """The docstring is the manual."""
    assert 0 == say("promote", "--help")
    out = capsys.readouterr().out
    assert "Usage: linewright promote [OPTIONS] MODEL" in out
    assert "More about it." in out
    assert re.search(r"MODEL +Which model, as LINE@VERSION\.", out)
    assert re.search(r"--level low\|high +How much\.  \[default: low\]", out)
    assert re.search(r"-o, --out PATH +Where to write\.", out)
    assert re.search(r"--exclude TEXT,… +Columns to leave out\.", out)
    assert "--diff TEXT TEXT" in out


def test_a_result_is_shown_to_people_with_short_digests_and_tables(factory, capsys):
    """What fits on a screen; the whole is in --json."""
    assert 0 == say("promote", "claims@1")
    assert (
        f"root      {factory}\n"
        "model     claims@1\n"
        "champion  -\n"
        "digest    0123456789ab\n"
        "rate      0.1235\n"
        "\n"
        "metrics:\n"
        "  name      value\n"
        "  roc_auc     0.9\n"
        "  log_loss   0.25\n"
    ) == capsys.readouterr().out


@pytest.mark.parametrize("argv", [("--json", "promote", "claims@1"), ("promote", "claims@1", "--json")])
def test_json_is_one_whole_document_wherever_the_option_stands(factory, capsys, argv):
    """Scripts read stdout to its end and parse it."""
    assert 0 == say(*argv)
    document = json.loads(capsys.readouterr().out)
    assert (DIGEST, 0.123456, str(factory)) == (document["digest"], document["rate"], document["root"])


@pytest.mark.parametrize("before", [True, False])
def test_the_factory_is_the_nearest_upward_or_the_one_named(factory, tmp_path_factory, capsys, before):
    """People stand in any folder of their project."""
    other = tmp_path_factory.mktemp("other")
    named = ("--factory", str(other))
    say("promote", "claims@1", "--json")
    nearest = json.loads(capsys.readouterr().out)["root"]
    say(*(named if before else ()), "promote", "claims@1", "--json", *(() if before else named))

    assert str(factory) == nearest
    assert str(other) == json.loads(capsys.readouterr().out)["root"]


def test_a_result_may_set_the_exit_code(capsys):
    """A pipeline sees that a candidate was not promoted."""
    assert 4 == say("train", "claims", "churn", "--quiet")
    assert ("claims,churn was held back\ufffd[2J\n", "") == capsys.readouterr()


def test_two_words_may_name_a_command(capsys):
    """`audit verify` reads better than `audit-verify`."""
    assert 0 == say("audit", "verify")
    assert {"anywhere": True} == json.loads(capsys.readouterr().out)


def test_a_stream_is_shown_part_by_part_and_is_one_array_as_json(capsys):
    """A person wants each at once, a script wants one document."""
    assert 0 == say("follow")
    assert "a was held back\ufffd[2J\nb was held back\ufffd[2J\n" == capsys.readouterr().out
    assert 0 == say("follow", "--json")
    assert [{"line": "a"}, {"line": "b"}] == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["promot"], "no such command: found 'promot'. Next: did you mean `linewright promote`?"),
        (["audit"], "no such command: found 'audit'. Next: did you mean `linewright audit verify`?"),
        (["promote"], "Missing argument 'MODEL'. Next: `linewright promote --help`"),
        (["promote", "a", "b"], "Got unexpected extra argument (b). Next: `linewright promote --help`"),
        (["promote", "a", "--forse"], "No such option '--forse'"),
        (
            ["promote", "a", "--seeds", "x"],
            "promote: wrong value of 'seeds': found 'x', allowed: a whole number",
        ),
        (["promote", "a", "--seeds", "1", "--seeds", "2"], "'seeds' is given 2 times: allowed: one value"),
        (["promote", "caf\udce9"], "the command line is not UTF-8"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_right(capsys, argv, message):
    """Exit code 2: the request is wrong."""
    assert 2 == say(*argv)
    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("error: ")
    assert message in err
    assert 2 == say(*argv, "--json")
    assert {"error", "message", "hint"} <= json.loads(capsys.readouterr().out).keys()


@pytest.mark.parametrize(
    ("how", "code", "name"), [("gate", 4, "GateRefused"), ("later", 6, "Transient"), ("many", 2, "SpecError")]
)
def test_an_error_of_an_operation_gives_its_own_exit_code(capsys, how, code, name):
    """Scripts branch on the code; with --json they read why."""
    assert code == say("fail", how)
    assert "" == capsys.readouterr().out
    assert code == say("fail", how, "--json")
    out, err = capsys.readouterr()
    assert (name, "") == (json.loads(out)["error"], err)


def test_several_mistakes_are_listed_one_a_line(capsys):
    """A person repairs all of them in one go."""
    say("fail", "many")

    assert (
        "error: a.yaml: the line file has mistakes\n"
        "  - a.yaml:3:1: unknown word: found 'tran'\n"
        "  - no label\n"
    ) == capsys.readouterr().err


def test_a_long_error_has_a_line_for_each_part_and_cannot_steer_the_terminal(capsys):
    """What a file holds is shown, never obeyed."""
    say("fail", "long")
    lines = capsys.readouterr().err.splitlines()

    assert f"error: {'w' * 60}" == lines[0]
    assert ["  where    lines/a.yaml:3:1", r"  found    'x\x1b[31m'", "  allowed  y"] == lines[1:4]
    assert lines[4].startswith("  next     z z")


def test_an_interrupted_command_ends_quietly_with_130(capsys):
    """Ctrl-C is a wish, not a fault."""
    assert 130 == say("fail", "interrupt")
    assert ("", "") == capsys.readouterr()


def test_an_unforeseen_error_is_called_a_bug_with_its_traceback(capsys):
    """A report of it must be worth reading; a script still gets its document."""
    assert 70 == say("fail", "bug", "--json")
    out, err = capsys.readouterr()
    assert "Bug" == json.loads(out)["error"]
    assert "Traceback" in err
    assert err.endswith("this is a bug in linewright, please report it: ZeroDivisionError: oops\n")


def test_progress_without_a_terminal_is_one_line_for_each_step(capsys):
    """A log file of a nightly run stays readable."""
    say("train", "claims")

    assert "split  by time\ntrain  1/2  trial\n" == capsys.readouterr().err


def test_progress_that_nobody_reads_any_more_fails_nothing():
    """`linewright run claims 2>&1 | head` ends its pipe in mid-run; the run goes on."""
    with subprocess.Popen(
        [sys.executable, __file__, "train", "claims"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        out = process.stdout.read()

    assert b"claims was held back" in out
    assert say("train", "claims") == process.returncode


def test_progress_in_a_terminal_is_one_line_that_goes_away():
    """The result stands alone at the end."""
    received = in_terminal("train", "claims")

    assert "\r\x1b[Ksplit  by time\r\x1b[Ktrain  1/2  trial\r\x1b[Ktrain  2/2  trial\r\x1b[K" in received
    assert received.endswith("\x1b[Kclaims was held back\ufffd[2J\r\n")


def test_colour_is_for_terminals_that_want_it():
    """The convention of no-color.org."""
    assert "\x1b[1;31merror:\x1b[0m not good enough" in in_terminal("fail", "gate")
    assert "error: not good enough" in in_terminal("fail", "gate", NO_COLOR="1")


def test_nobody_reading_the_output_is_no_error():
    """`linewright runs | head` is ordinary use."""
    with subprocess.Popen(
        [sys.executable, __file__, "promote", "claims@1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate()

    assert (141, b"") == (process.returncode, errors)


def test_a_table_keeps_to_the_width_of_the_terminal():
    """A long reason wraps in its own column."""
    shown = table(["run", "because", "rows"], [["a1", "the champion was better " * 3, 12]], width=40)

    assert max(map(len, shown.splitlines())) <= 40
    assert "run  because                        rows" == shown.splitlines()[0]
    assert 72 - 1 == len(" ".join(re.findall(r"the|champion|was|better", shown)))


def test_nothing_to_show_shows_nothing():
    """An operation without a result says nothing, as in any shell."""
    assert "" == render(None)


FAKE_MODULE = '''
import time
from pathlib import Path
from typing import Literal
from linewright.operations.declare import operation
time.sleep(60)

@operation(permission="view", effect="read")
def status(factory, line: str | None = None, /, *, deep: bool = False, form: Literal["short", "long"] = "short"):
    """Show."""

@operation(permission="view", effect="read")
def train(factory, /, *lines: str, plan: Path | None = None):
    """Train."""
'''
ASK = """
import sys
from linewright.interfaces.cli.build import run
from linewright.operations.declare import Entry
names = {"status": "Show.", "train": "Train.", "audit verify": "Verify.", "audit export": "Export."}
table = {name: Entry(module="slow_operations", summary=says, group="Use") for name, says in names.items()}
raise SystemExit(run(sys.argv[1:], table, None))
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("linewright ", ["status", "train", "audit"]),
        ("linewright st", ["status"]),
        ("linewright --fac", ["--factory"]),
        ("linewright audit ", ["verify", "export"]),
        ("linewright status ", ["churn", "claims"]),
        ("linewright train claims c", ["churn", "claims"]),
        ("linewright status --", ["--deep", "--form", "--factory", "--json", "--quiet", "--help"]),
        ("linewright status --form ", ["short", "long"]),
    ],
)
def test_shells_complete_commands_options_and_line_names_at_once(tmp_path, words, expected):
    """A person waits at the Tab key, so nothing slow is imported: the operations here take a minute."""
    (tmp_path / "slow_operations.py").write_text(FAKE_MODULE)
    asked = {
        "_LINEWRIGHT_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    environment = {**os.environ, **asked, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True, timeout=20
    )

    assert expected == [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("processes")  # it asks the shell for its version
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_once(tmp_path, monkeypatch, capsys, shell):
    """A second time changes nothing in the person's own files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / f".{shell}rc").write_text("alias ll='ls -l'")
    assert 0 == say("--install-completion", shell)
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert 0 == say("--install-completion", shell)

    assert files == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert any("_LINEWRIGHT_COMPLETE" in text for text in files.values())
    assert files[tmp_path / f".{shell}rc"].startswith("alias ll='ls -l'")
    assert f"completion for {shell} is installed" in capsys.readouterr().out


def test_the_completion_script_is_bash(tmp_path, capsys):
    """A script with a mistake would greet the person in every new shell."""
    assert 0 == say("--show-completion", "bash")
    (tmp_path / "complete.bash").write_text(capsys.readouterr().out)

    assert 0 == subprocess.run(["bash", "-n", tmp_path / "complete.bash"], check=False).returncode


def test_an_unknown_shell_is_refused(monkeypatch, capsys):
    """The message names those that work."""
    monkeypatch.setenv("SHELL", "/usr/bin/elvish")

    assert 2 == say("--show-completion")
    assert "found 'elvish', allowed: bash, zsh, fish" in capsys.readouterr().err


def test_the_real_help_imports_nothing_heavy_and_is_fast():
    """Half a second at each look at help is what people remember of a tool."""
    code = f"""
import sys
sys.argv = ["linewright", "--help"]
from linewright.interfaces.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
loaded = {{name.partition(".")[0] for name in sys.modules}}
operations = [name for name in sys.modules if name.endswith(".operations") or ".operations." in name]
print(sorted(loaded & {HEAVY!r}), sorted(operations))
"""
    took: list[float] = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert (
        "[] ['linewright.operations', 'linewright.operations.capability', 'linewright.operations.declare', "
        "'linewright.operations.parameter', 'linewright.operations.table']" == done.stdout.splitlines()[-1]
    )
    assert (
        min(took) < 0.3
    )  # seconds of CPU, since other work on the machine is no fault of ours; 0.12 was measured


def test_the_program_says_its_version():
    """The first thing that a bug report needs."""
    done = subprocess.run(
        [sys.executable, "-m", "linewright", "--version"], capture_output=True, text=True, check=True
    )

    assert re.fullmatch(r"linewright \d+\.\d+\.\d+\n", done.stdout)


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], TABLE, open_factory))


@pytest.mark.parametrize("name", OPERATIONS)
def test_help_is_written_for_a_terminal(name, capsys):
    """Marks that a page turns into code are noise there."""
    run([name, "--help"], OPERATIONS, lambda *_: None)

    assert "``" not in capsys.readouterr().out


def test_the_time_left_is_not_promised_for_stages_that_may_follow():
    """Four seconds became a minute three times over: what is not planned yet is not in the estimate."""
    stream = io.StringIO()
    told = ProgressLine(stream)
    step = Progress(step="train", says="lgb: fold 5 of 5", done=51, of=56, seconds_left=4.0, stages_left=2)
    told(step)
    told(replace(step, step="train again", stages_left=0))

    first, last = stream.getvalue().splitlines()
    assert "train  51/56  about 4 s left of this stage, 2 may follow  lgb: fold 5 of 5" == first
    assert "train again  51/56  about 4 s left  lgb: fold 5 of 5" == last
