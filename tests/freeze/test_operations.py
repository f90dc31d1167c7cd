"""What each operation says, as text and as JSON, with its exit code; and the help of each command."""

import contextlib
import io
import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from golden import compare
from kept_factories import NAMES, Kept, kept
from masked import Masks, mask_groups, without_drawings
from operation_cases import CASES, HELP_ONLY, VARIES, Case

import linewright.interfaces.cli.build as command_line
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.access.rights import Identity

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes")]

_WIDTH = "100"
_FACT = re.compile(r"\{([a-z:]+)\}")
Ran = tuple[int, str, str]
"""Exit code, stdout and stderr."""


class Console:
    """Carries out commands of this process on one folder.

    Parameters
    ----------
    root
        The factory.
    now
        What commands find on its clock.
    """

    def __init__(self, root: Path, now: str) -> None:
        self.root, self._now = root, now

    def run(self, words: list[str], *, root: Path | None = None) -> Ran:
        """Carry out a command."""
        out, err = io.StringIO(), io.StringIO()
        asked = [*words, "--factory", str(root or self.root)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line.run(asked, OPERATIONS, self._open)
        return code, out.getvalue(), err.getvalue()

    def help(self, words: list[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = command_line.run([*words, "--help"], OPERATIONS, self._open)
        return "\n".join([f"$ linewright {shlex.join([*words, '--help'])}", f"exit {code}", out.getvalue()])

    def json(self, words: str) -> Any:
        """Return what a command gives that succeeds."""
        code, out, err = self.run([*shlex.split(words), "--json", "--quiet"])

        assert 0 == code, (words, out, err)
        return json.loads(out)

    def _open(
        self, folder: Path, report: Any, anywhere: bool, identity: Identity
    ) -> AbstractContextManager[Factory]:
        made = Factory if anywhere else Factory.open
        return made(folder, report=report, identity=identity, now=lambda: self._now)


FACTS: Mapping[str, Callable[[Console], str]] = {
    "root": lambda at: str(at.root),
    "dead": lambda _: "sha256:" + "0" * 64,
    "run": lambda at: at.json("runs")["runs"][0]["run"],
    "prediction": lambda at: at.json("predictions claims --key C003")["predictions"][0]["id"],
    "question": lambda at: at.json("annotate next claims")["question"]["id"],
    "proposal": lambda at: at.json("proposals")["proposals"][0]["proposal"],
    "disputed": lambda at: at.json("annotate next claims --decide")["question"]["id"],
    "proposal:restore": lambda at: _where(at.json("proposals")["proposals"], "kind", "restore")["proposal"],
    "head": lambda at: at.json("audit entries")["entries"][-1]["hash"],
    "dataset": lambda at: at.json("datasets claims")["datasets"][0]["dataset"],
    "package": lambda at: at.json("models claims")["models"][0]["digest"],
    "certificate": lambda at: at.json("models claims")["models"][0]["certificate"],
    "alert:drift": lambda at: _where(at.json("alerts")["alerts"], "monitor", "drift")["id"],
    "alert:performance": lambda at: _where(at.json("alerts")["alerts"], "monitor", "performance")["id"],
}
"""What a word in braces stands for."""


def _where(values: list[dict[str, Any]], name: str, value: str) -> dict[str, Any]:
    return next(one for one in values if one[name] == value)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have commands know nothing of who started them, and write lines of a fixed width."""
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("LINEWRIGHT_FACTORY", "LINEWRIGHT_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", _WIDTH)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(command_line, "_become", lambda *_, **__: None)
    return monkeypatch


@pytest.fixture(scope="module")
def factories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    return {name: kept(tmp_path_factory, name) for name in NAMES}


class Asker:
    """Carries out cases, each command on a copy of its own."""

    def __init__(self, base: Path, place: pytest.MonkeyPatch, factories: Mapping[str, Kept]) -> None:
        self._base, self._n, self._place, self._factories = base, 0, place, factories

    def shown(self, name: str, case: Case) -> str:
        """Return what a case says as text and as JSON."""
        of = self._factories[case.of]
        masks = of.masks()
        said = [self._said(name, case, of, masks, option) for option in ("", "--json")]
        return "\n".join(said)

    def _said(self, name: str, case: Case, of: Kept, masks: Masks, option: str) -> str:
        self._n += 1
        root = of.copy(self._base, f"{self._n:03}")
        self._place.chdir(root)
        at = Console(root, of.now)
        for one in case.before:
            who, _, words = one.rpartition(": ")
            self._become(who or case.by, of)
            at.json(_filled(words, at))
        self._become("", of)
        words = " ".join(filter(None, (name, _filled(case.words, at), option)))
        self._become(case.by, of)
        new = root.with_name(root.name.replace("-", "n", 1))
        code, out, err = at.run(shlex.split(words), root=new if case.is_elsewhere else root)
        places = {**of.places(root), str(new): "<new>"}
        who = f"{case.by}$" if case.by else "$"
        parts = [f"{who} linewright {words}", f"exit {code}", out]
        if err:
            parts += ["stderr:", err]
        for pattern in case.files if not option else ():
            parts += [
                f"file {file.relative_to(root)}:\n{file.read_text()}" for file in sorted(root.glob(pattern))
            ]
        shown = mask_groups(masks.text("\n".join(parts), places), VARIES.get(name, ()))
        return without_drawings(shown) if "--html" in words else shown

    def _become(self, who: str, of: Kept) -> None:
        self._place.setenv("LINEWRIGHT_TOKEN", of.tokens[who] if who else "")


def _filled(words: str, at: Console) -> str:
    """Put what is looked up in a factory in the place of words in braces."""
    return _FACT.sub(lambda found: FACTS[found.group(1)](at), words)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_says_what_it_said(name, place, factories, tmp_path_factory):
    """Whatever is moved in the source, a person and a program read the same."""
    assert name in CASES, f"a new operation: add a row for {name!r} to tests/support/operation_cases.py"
    asker = Asker(tmp_path_factory.mktemp("f"), place, factories)
    helped = Console(Path(), "").help(shlex.split(name))
    cases = [asker.shown(name, case) for case in CASES[name]]

    compare(f"operations/{name.replace(' ', '-')}.txt", "\n\n".join([helped, *cases]))


def test_the_list_of_commands_is_what_it_was():
    """It is the first thing that a person reads."""
    compare("operations/_help.txt", Console(Path(), "").help([]))


def test_only_operations_have_rows():
    """What is gone from the table is gone from the freeze."""
    assert set(OPERATIONS) == set(CASES)
    assert HELP_ONLY == {name for name, cases in CASES.items() if not cases}
