"""A refused command leaves nothing behind: each operation, refused in each way that applies to it.

The walk reads the table of operations and their parameters, so a new operation is in it by itself.
"""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import approvals
import pytest
from templates import copied

import linewright.interfaces.cli.build as command_line
from linewright.capabilities.annotation.operations import annotate_import
from linewright.interfaces.cli import _open_factory
from linewright.line.factory import Factory
from linewright.operations.declare import Operation, load
from linewright.operations.parameter import Parameter
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant
from linewright.serve.access.change_accounts import change, new_token, with_token

LINES = ("missing", "untrained", "broken", "claims")
"""None; one whose file was never run; one whose file cannot be read; one that serves, asked about what it does not have."""
NAMES_LINE = {"line", "lines", "model"}
IDS = {
    "id": "0" * 64,
    "digest": "0" * 64,
    "evidence": "0" * 64,
    "dataset": "0" * 64,
    "diff": "0" * 64,
    "backup": "0" * 64,
    "head": "0" * 64,
    "prediction": "0" * 8,
    "run": "0" * 8,
    "plan": "0" * 8,
    "proposal": "0" * 12,
    "question": "0" * 12,
    "view": "nothing",
    "url": "http://127.0.0.1:1",
}
STARTS = {"demo", "up", "serve"}
"""Programs that run until they are stopped: only what is refused before they start."""
TRAINS = {"run", "retrain"}
"""An attempt at a line that is there is a run, and stays on record."""
COMES_AND_GOES = ("-wal", "-shm", ".lock")
"""Files of SQLite that hold no state once it is closed, and locks."""
TOLD = (".linewright/refused", ".linewright/tokens")
"""What was refused to whom, for the record of refused attempts; and the day on which a token was last used."""

SCRATCH = ".linewright/scratch"
"""A folder for files that are gone when their user is; files in it are looked for."""

Given = Mapping[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory where claims@1 serves and claims@2 waits, and a token that may do nothing on its lines."""
    root = approvals.waiting_factory(tmp_path_factory, tmp_path_factory.mktemp("refused") / "factory")
    text = (root / "lines" / "claims.yaml").read_text()
    (root / "lines" / "untrained.yaml").write_text(text.replace("line: claims", "line: untrained", 1))
    (root / "lines" / "broken.yaml").write_text("line: broken\nsources: [\n")
    made = new_token(
        name="bot",
        grant=Grant(role="feedback", lines=("other",)),
        member="",
        created="2026-01-01T00:00:00.000000Z",
        expires="2999-01-01T00:00:00.000000Z",
    )
    change(root / ".linewright", with_token(made))
    root.parent.joinpath("token").write_text(made.token)
    return root


class Place:
    """A factory, a folder to work in and a home; all that may be written to."""

    def __init__(self, template: Path, base: Path) -> None:
        self._template, self._base, self._copies = template, base, 0
        self._digests: dict[tuple[str, int, int], str] = {}
        self.work, self.home = base / "work", base / "home"
        self.home.mkdir()
        (self.work / "folder").mkdir(parents=True)
        (self.work / "folder" / "notes.txt").write_text("mine\n")
        (self.work / "garbage").write_bytes(b"\x00\xff garbage \xfe\n" * 9)
        self.anew()

    def anew(self) -> None:
        """Go on with a factory to which nothing has happened."""
        self._copies += 1
        self.root = copied(self._template, self._base / f"factory-{self._copies}")

    def files(self) -> dict[str, str]:
        """Return all files with the digest of each, and all folders."""
        found: dict[str, str] = {}
        for folder in (self.root, self.work, self.home):
            for path in folder.rglob("*"):
                name = str(path.relative_to(folder))
                if name.endswith(COMES_AND_GOES) or name.startswith(TOLD) or name == SCRATCH:
                    continue
                found[f"{folder.name}/{name}"] = "folder" if path.is_dir() else self._digest(path)
        return found

    def _digest(self, path: Path) -> str:
        seen = path.stat()
        key = (str(path), seen.st_size, seen.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = sha256(path.read_bytes()).hexdigest()
        return self._digests[key]


def value_of(one: Parameter) -> Any:
    """Return what a parameter takes where nothing about it is wrong."""
    if one.choices:
        return one.choices[0]
    if one.element is Path:
        return "garbage"
    kinds = {int: 1, float: 0.5, bool: True}
    return kinds.get(one.element) or IDS.get(one.name) or ("garbage" if one.from_file else "nothing")


def wrong_values(one: Parameter) -> tuple[Any, ...]:
    """Return what it does not take, or what leads nowhere."""
    if one.choices:
        return ("nonsense",)
    if one.element is Path or one.from_file:
        return ("nowhere/nothing", "folder", "garbage")
    kinds: dict[Any, tuple[Any, ...]] = {int: (-7, "many"), float: (-7.5, "nan"), bool: ()}
    return kinds.get(one.element, (IDS[one.name],) if one.name in IDS else ("%\n\x01",))


def cases(asked: Operation) -> Iterator[tuple[str, Given]]:
    """Give the ways in which an operation may be refused: in words, and with the arguments that are tried."""
    if asked.name in STARTS:
        return
    names = [one for one in asked.parameters if one.name in NAMES_LINE and one.element is str]
    needed = {one.name: value_of(one) for one in asked.parameters if one.required}

    def about(line: str) -> dict[str, Any]:
        return needed | {one.name: f"{line}@99" if one.name == "model" else line for one in names}

    others = [one for one in asked.parameters if one not in names]
    for line in LINES:
        if names and not (asked.name in TRAINS and line not in {"missing", "broken"}):
            yield f"line {line}", about(line)
    for one in others:
        if asked.name not in TRAINS or one.name == "plan":
            for wrong in wrong_values(one):
                yield f"{one.name}={wrong!r}", about("claims") | {one.name: wrong}
    yield from ((f"without {name}", {k: v for k, v in needed.items() if k != name}) for name in needed)


def words_of(asked: Operation, given: Given) -> list[str]:
    words = asked.name.split()
    for one in asked.parameters:
        if one.name in given and not (one.element is bool and given[one.name] is False):
            value = str(given[one.name])
            option = f"--{one.name.replace('_', '-')}"
            if one.positional:
                words += [value]
            elif one.element is bool:
                words += [option]
            else:
                words += [option, *[value] * max(1, one.count)]
    return words


def carry_out(place: Place, words: list[str]) -> tuple[int, str]:
    """Return the exit code of a command and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command_line.run([*words, "--factory", str(place.root)], OPERATIONS, _open_factory)
    return code, said.getvalue()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_refused_command_leaves_nothing(name, template, tmp_path, monkeypatch):
    """A refused `annotate queue-rows` once left a file, and with it eleven pages of the console failed."""
    place = Place(template, tmp_path)
    monkeypatch.chdir(place.work)
    monkeypatch.setenv("HOME", str(place.home))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(place.home))
    monkeypatch.setattr(command_line, "_become", lambda *_, **__: None)
    asked = load(name, OPERATIONS)
    token = template.parent.joinpath("token").read_text()
    needed = {one.name: value_of(one) for one in asked.parameters if one.required}
    tried = [("unknown option", [*words_of(asked, needed), "--nothing", "1"], "")]
    tried += [("no right", words_of(asked, needed), token)]
    tried += [(way, words_of(asked, given), "") for way, given in cases(asked)]
    left: list[str] = []
    refused = 0
    before = place.files()
    for way, words, who in tried:
        monkeypatch.setenv("LINEWRIGHT_TOKEN", who)
        code, said = carry_out(place, words)
        after = place.files()
        refused += code != 0
        assert code != command_line.BUG, (way, said)
        if code and after != before:
            changed = sorted(one for one in before.keys() | after.keys() if before.get(one) != after.get(one))
            left.append(f"{way}: exit {code}: {changed}")
        if after != before:
            place.anew()
            before = place.files()

    assert [] == left
    assert refused


def test_annotations_of_what_is_not_known_here_make_no_file(template, tmp_path):
    """A line of which nothing was queued would be asked about from then on."""
    root = copied(template, tmp_path / "factory")
    file = tmp_path / "tasks.json"
    label = {"from_name": "label", "to_name": "row", "type": "choices", "value": {"choices": ["yes"]}}
    data = {"linewright:prediction": "00000000-0000-7000-8000-000000000000"}
    file.write_text(json.dumps([{"data": data, "annotations": [{"completed_by": 1, "result": [label]}]}]))
    with Factory.open(root) as factory:
        found = annotate_import(factory, "claims", file)

    assert (1, 1, ("tasks[0]",)) == (found.tasks, found.unknown, found.first)
    assert not (root / ".linewright" / "annotate").exists()


def test_an_error_that_led_to_itself_ends(template, tmp_path):
    """`linewright plan` with a file that cannot be read never came back: `raise error from error` makes a circle."""
    root = copied(template, tmp_path / "factory")
    script = "import linewright.interfaces.cli as cli; cli.main()"
    command = [sys.executable, "-c", script, "plan", "broken", "--factory", str(root)]

    assert 2 == subprocess.run(command, timeout=60, check=False).returncode
