"""Many lines: what is read when nothing happens, counted, since times on a shared machine tell little."""

import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving import worker as tending
from linewright.capabilities.serving.changed_lines import ALL, Changes
from linewright.capabilities.serving.worker import Tending
from linewright.line.factory import Factory
from linewright.line.record.checked_files import CheckedFiles
from linewright.release.facts import Configured, Promoted
from linewright.release.promotion import project
from linewright.store.files import stamps
from linewright.store.protocols import Pointer

LINE = """line: {name}
sources: {{rows: {{file: rows.csv}}}}
label: {{column: y}}
watch: {{every: 1h}}
retrain: {{when: [{{every: 7d}}, {{labels: 100}}]}}
"""
PACKAGE = "sha256:" + "0" * 64


class Clock:
    def __init__(self):
        self.at = datetime(2026, 1, 19, 0, 10, tzinfo=UTC)

    def __call__(self):
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Counts:
    """What this process asks of the disk and of databases."""

    def __init__(self):
        self.opened, self.queries, self.looks = Counter(), 0, 0

    def see(self, event, arguments):
        if (
            event == "open" and arguments[1] is not None
        ):  # with a mode: the same again without one is how Python opens it
            self.opened[str(arguments[0]).rpartition(".")[2]] += 1
        elif event == "os.scandir" and Path(arguments[0]).name == "lines":
            self.looks += 1
        elif event == "sqlite3.connect":
            self.opened["connection"] += 1

    def query(self, _connection, _cursor, statement, *_):
        if statement.startswith("SELECT"):
            self.queries += 1


_counting = []
# Its own default: at the end of a process, when names of modules are gone, there are events yet.
sys.addaudithook(
    lambda event, arguments, counting=_counting: [each.see(event, arguments) for each in counting]
)


@contextmanager
def counts():
    found = Counts()
    sa.event.listen(sa.Engine, "before_cursor_execute", found.query)
    _counting.append(found)
    try:
        yield found
    finally:
        _counting.clear()
        sa.event.remove(sa.Engine, "before_cursor_execute", found.query)


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Take files as settled at once, and rest after no look: what is counted must not depend on how busy the machine is."""
    monkeypatch.setattr(stamps, "YOUNG_S", 0.0)
    monkeypatch.setattr(tending, "_REST", dict.fromkeys(tending._REST, 0.0))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fleet(tmp_path, clock):
    """Give a function that has a factory of so many lines, each with a champion that a person has promoted."""

    def make(lines):
        factory = Factory.create(tmp_path / f"factory-{lines}", now=clock)
        for name in (f"line-{number:03}" for number in range(lines)):
            (factory.root / "lines" / f"{name}.yaml").write_text(LINE.format(name=name))
            version = factory.metadata.register(name, PACKAGE, at=clock())
            promoted = Promoted(
                at=clock(),
                by="test",
                because="it is there",
                line=name,
                model=version,
                package=PACKAGE,
                before=None,
                generation=1,
                certificate=None,
                forced=True,
            )
            factory.metadata.move(name, Pointer(generation=1, champion=version), promoted)
        return factory

    return make


class Idle:
    """An engine that is asked for nothing."""


def wait_until(happened):
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def tended(factory, clock):
    """Look after lines until none has anything to do, and give what is asked for from then on."""
    with (
        closing(Tending(lambda: Factory.open(factory.root, now=clock), Idle(), every_s=0.01)),
        counts() as found,
    ):
        last = -1
        while last != (last := found.queries):
            seen = found.looks
            wait_until(lambda seen=seen: found.looks >= seen + 15)
        yield found


@pytest.mark.parametrize("lines", [3, 12])
def test_a_look_at_lines_that_rest_asks_no_question(fleet, clock, lines):
    """A worker that asks about each line by itself takes a core for a thousand lines with which nothing happens."""
    with tended(fleet(lines), clock) as asked:
        looks, queries, opened = asked.looks, asked.queries, asked.opened.total()
        wait_until(lambda: asked.looks >= looks + 40)

        assert queries == asked.queries
        assert opened == asked.opened.total()


def test_what_is_written_about_one_line_is_looked_up_for_that_line_alone(fleet, clock):
    """What one line costs must not depend on how many others there are."""
    asked = {}
    for lines in (3, 12):
        factory = fleet(lines)
        with tended(factory, clock) as counted:
            before, looks = counted.queries, counted.looks
            news = Configured(
                at=clock(), by="test", because="it says so", line="line-001", when_log_fails="serve-unlogged"
            )
            factory.metadata.record(news)
            wait_until(lambda looks=looks, counted=counted: counted.looks >= looks + 60)
            asked[lines] = counted.queries - before

    assert 0 < asked[3] == asked[12]


def test_all_lines_are_looked_at_when_the_clock_goes_back(fleet, clock):
    """What a line waits for was reckoned by another clock; nothing is written when it is set back."""
    changes = Changes(fleet(2))
    first = changes.look()
    clock.at -= timedelta(days=1)

    assert {"line-000": ALL, "line-001": ALL} == first == changes.look()
    assert {} == changes.look()


def test_the_lines_are_told_apart_that_something_was_written_about(fleet):
    """A look that misses what was written leaves a line alone until somebody wonders."""
    factory = fleet(3)
    changes = Changes(factory)
    changes.look()
    rested = changes.look()
    path = factory.root / "lines" / "line-001.yaml"
    path.write_text(path.read_text() + "about: it is edited\n")
    edited = changes.look()
    factory.labels_of("line-002").catch_up()
    labelled = changes.look()
    (factory.serving).mkdir(exist_ok=True)
    (factory.serving / "line-000.0190.outage").write_bytes(b"")
    outage = changes.look(), changes.look()
    path.unlink()
    gone = changes.look()

    assert {} == rested
    assert {"line-001": {"file"}} == edited
    assert {"line-002": {"labels"}} == labelled
    assert ({"line-000": {"outage"}},) * 2 == outage
    assert {"line-000": {"outage"}} == gone
    assert ["line-000", "line-002"] == changes.names


def test_the_status_of_ten_times_the_lines_asks_no_more_questions(fleet):
    """Whoever runs a thousand lines asks how they stand, and does not wait for forty queries each."""
    asked = {}
    for lines in (3, 12):
        factory = fleet(lines)
        for name in factory.names():
            project(factory.metadata, factory.serving, name)
        with counts() as first:
            assert lines == len(status(factory).lines)
        with counts() as again:
            told = status(factory)
        asked[lines] = first.queries
        # What endpoints follow says nothing that a record and the names of files do not.
        assert [1, 1] == [first.opened["json"], again.opened["json"]]
        # One of them is the factory's own file, with its prices.
        assert lines + 1 == first.opened["yaml"]
        assert 1 == again.opened["yaml"]
        assert first.queries == again.queries
        assert all(line.champion for line in told.lines)

    assert asked[3] == asked[12]


def test_a_line_file_that_was_right_is_not_parsed_by_the_next_command(fleet, clock):
    """A thousand files take ten seconds to parse; what is wrong, or was changed, is told each time."""
    factory = fleet(3)
    broken = factory.root / "lines" / "line-001.yaml"
    broken.write_text("line: line-001\nsauces: {}\n")
    names = factory.names()

    def trouble():
        with Factory.open(factory.root, now=clock) as other:
            checked = CheckedFiles(other)
            with counts() as asked:
                found = [name for name in names if checked.trouble_with(name)]
            checked.keep()
        return found, asked.opened["yaml"]

    first = trouble()
    second = trouble()
    changed = factory.root / "lines" / "line-002.yaml"
    changed.write_text(changed.read_text().replace("1h", "1x"))
    third = trouble()
    (factory.state / "checked.json").write_text("{")
    fourth = trouble()

    assert (["line-001"], 3) == first
    assert ["line-001"] == second[0]
    assert ["line-001", "line-002"] == third[0]
    assert third[0] == fourth[0]
