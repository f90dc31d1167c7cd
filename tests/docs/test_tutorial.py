"""The README and the pages with commands are carried out, command by command, as a reader would."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import commands
import httpx
import pytest
from pages import blocks, examples, is_printed, write_customers
from ports import free_port
from pydantic import ValidationError
from ruamel.yaml import YAML

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.data.spec import PLUGINS as SOURCES
from linewright.features.spec import ViewSpec
from linewright.line.file.factory_file import FactoryFile
from linewright.line.spec import LineSpec
from linewright.model.task_names import PLUGINS as TASKS
from linewright.watch.spec import RetrainSpec, WatchSpec

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
SKETCHES = {
    "benchmarks/README.md": 3,
    "docs/how-to/console.md": 1,
    "docs/how-to/notify.md": 3,
    "docs/how-to/push.md": 1,
    "docs/how-to/remote.md": 5,
    "docs/how-to/retention.md": 1,
    "docs/how-to/value.md": 4,
}
"""How many blocks `text` a page may have: what is not carried out, or printed by what takes minutes, and is not compared."""
READINGS = (
    (
        "docs/tutorial/first-line.md",
        "docs/how-to/serving.md",
        "docs/how-to/catalogue.md",
        "docs/reference/endpoint.md",
        "docs/how-to/people.md",
    ),
    ("docs/tutorial/machines.md",),
    ("docs/how-to/own-model.md",),
    ("docs/how-to/own-estimator.md",),
    ("docs/how-to/recommend.md",),
    ("docs/tutorial/lists.md",),
    ("docs/how-to/watching.md",),
    ("docs/how-to/annotation.md",),
    ("docs/how-to/pictures.md",),
    ("docs/how-to/anomaly.md",),
    ("docs/how-to/forecast.md",),
    ("docs/how-to/features.md",),
    ("README.md",),
    ("CONTRIBUTING.md",),
)
"""Pages in the order in which a reader carries them out in one folder."""
ELSEWHERE = frozenset(
    {"docs/how-to/git.md", "docs/how-to/incremental.md", "docs/how-to/schedule.md", "docs/how-to/sources.md"}
)
"""Pages that other tests follow, since their commands need a server or git: `test_incremental_pages.py`, `test_sources_page.py`, `test_git_page.py`."""

FOLLOWS_S = 2
"""How long an endpoint may take to follow, in seconds; a reader types no faster."""


class Reader:
    """Types the commands of a page in one folder, with `linewright up` in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.control = free_port(), free_port()
        path = os.pathsep.join(map(str, (commands.folder(), Path(sys.executable).parent, os.environ["PATH"])))
        self.environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        self.code = 0
        """What the last command exited with; one that shows nothing has to succeed."""
        self.server: subprocess.Popen[bytes] | None = None

    def type(self, command: str) -> str:
        """Carry a command out and return what it prints."""
        if command.startswith("make "):
            return self.make(command)
        printed = self.start() if command == "linewright up" else self.run(command)
        if " halt " in command:
            time.sleep(FOLLOWS_S)
        if moved := re.search(r"\bcd (\S+)$", command):
            self.folder /= moved[1]
            write_customers(self.folder / "customers.csv")
        return printed.replace(f"127.0.0.1:{self.port}", "127.0.0.1:8000")

    def make(self, command: str) -> str:
        """See that a command of `make` is there; it is not carried out, since it would install, or run these tests."""
        found = re.fullmatch(r"make ([a-z-]+)(?: && source (\.venv)/bin/activate)?", command)

        assert found, command
        assert re.search(rf"^{found[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), command
        return ""

    def read(self, language: str, block: str) -> None:
        """Carry out a block of a page; what is shown must be so."""
        match language:
            case "console":
                for command, expected in examples(block):
                    printed = self.type(command)

                    assert is_printed(expected, printed), f"$ {command}\n{printed}"
                    assert expected or not self.code, f"$ {command}\n{printed}"
            case "python":
                # From beside the factory, whose folder it names.
                done = subprocess.run(
                    [sys.executable, "-c", block],
                    cwd=self.folder.parent,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )

                assert (0, "") == (done.returncode, done.stderr)
            case "yaml" if named := re.match(r"line: (\S+)", block):
                assert f"\n{block}" in f"\n{(self.folder / 'lines' / f'{named[1]}.yaml').read_text()}"

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self.addressed(command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.code = done.returncode
        return done.stdout + done.stderr

    def addressed(self, command: str) -> str:
        """Return a command with the ports that our servers have in place of the usual ones."""
        ports = {8000: self.port, 8080: self.control}
        return re.sub(r"localhost:(8000|8080)", lambda usual: f"localhost:{ports[int(usual[1])]}", command)

    def start(self) -> str:
        said = self.folder.with_name("up.log")
        with said.open("w") as stderr:
            self.server = commands.begin(
                [
                    sys.executable,
                    "-m",
                    "linewright",
                    "up",
                    "--port",
                    str(self.port),
                    "--control-port",
                    str(self.control),
                ],
                cwd=self.folder,
                env=self.environment,
                stderr=stderr,
            )
        wait_until_ready(self.port)
        deadline = time.monotonic() + 10
        while said.read_text().count("try: ") < 2 and time.monotonic() < deadline:  # of both servers
            time.sleep(0.05)
        return said.read_text()


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """Give a reader; what it started is stopped at the end."""
    folder.mkdir()
    reader = Reader(folder)
    try:
        yield reader
    finally:
        if reader.server is not None:
            reader.server.send_signal(signal.SIGTERM)
            reader.server.wait(timeout=40)


@pytest.mark.slow
@pytest.mark.parametrize("pages", READINGS, ids=lambda pages: pages[0])
def test_the_pages_print_what_they_say(tmp_path, pages):
    """A page that fails on its third line loses the reader."""
    with reading(tmp_path / "factory") as reader:
        for page in pages:
            for language, block in blocks((ROOT / page).read_text()):
                reader.read(language, block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_example_is_carried_out_or_compared(page):
    """An example that nobody runs is wrong within a month."""
    name = str(page.relative_to(ROOT))
    carried_out = {each for pages in READINGS for each in pages} | ELSEWHERE
    found = blocks(page.read_text())

    assert page.read_text().count("```") == 2 * len(found)
    assert {language for language, _ in found} <= {"console", "yaml", "python", "pycon", "toml", "text"}
    assert SKETCHES.get(name, 0) == sum(language == "text" for language, _ in found)
    for language, block in found:
        assert language not in {"console", "python"} or name in carried_out
        assert language != "console" or block.startswith("$ ")
        assert language != "pycon" or block.startswith(">>> ")  # the doctests of all pages are run
        if language == "yaml":
            fits(block)
        if language == "toml":
            assert {SOURCES, TASKS} > set(tomllib.loads(block)["project"]["entry-points"])


def fits(block: str) -> None:
    """See that a part of a line file is one: with what it does not say, it is a line; or that it is a `factory.yaml` or a feature view."""
    said = YAML(typ="safe").load(block)
    if "format" in said:
        FactoryFile.model_validate(said)
        return
    if "view" in said:
        least = {"entity": "x", "source": {"file": "x.csv"}, "time": "y", "columns": {"n": "count() over 1d"}}
        ViewSpec.model_validate(least | said)
        return
    least = {"line": "x", "sources": {"x": {"file": "x.csv"}}, "label": {"column": "y"}}

    LineSpec.model_validate(least | said)


def test_a_line_file_that_is_wrong_is_seen():
    """The check above can fail."""
    with pytest.raises(ValidationError, match="evry"):
        fits("watch: {evry: 1h}\n")


def test_what_is_taken_where_nothing_is_said_is_what_the_page_says():
    """The page about watching writes out the defaults."""
    (block,) = [
        block
        for _, block in blocks((ROOT / "docs/how-to/watching.md").read_text())
        if block.startswith("watch:\n")
    ]
    said = YAML(typ="safe").load(block)
    watch = WatchSpec().model_dump(mode="json", exclude_none=True)

    assert watch == said["watch"]
    assert RetrainSpec().cooldown == said["retrain"]["cooldown"]


def test_a_draft_ends_with_the_lines_that_the_readme_shows(tmp_path):
    """Who takes the `#` away has what the page says."""
    block, *_ = [block for language, block in blocks((ROOT / "README.md").read_text()) if language == "yaml"]
    write_customers(tmp_path / "customers.csv")
    new_line(tmp_path, "churn", tmp_path / "customers.csv", GivenRoles(label="churned", key="customer"))
    last = (tmp_path / "lines" / "churn.yaml").read_text().splitlines()[-2:]

    assert [f"# {line}" for line in block.splitlines()] == [re.sub(r" {2,}#.*", "", line) for line in last]


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the endpoint never became ready")
