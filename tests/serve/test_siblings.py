"""What processes tell each other through files: nothing is counted twice, and nothing is taken back."""

import pytest

from linewright.serve import peers as siblings
from linewright.serve.answers import Health
from linewright.serve.metrics import Metrics, Sample
from linewright.serve.peers import Siblings, Told, added, fold, shared


@pytest.fixture
def folder(tmp_path):
    with shared(tmp_path) as folder:
        yield folder


def told(requests: int, number: int = 0) -> Told:
    """Return what a process tells that answered so many requests, and has one file open for each."""
    metrics = Metrics()
    for _ in range(requests):
        metrics.count("claims", "1", 200, 0.002)
    samples = [Sample("files", "Open files.", (), requests), Sample("cpu", "Time.", (), requests, "counter")]
    return Told(
        number=number,
        tallies=metrics.tallies,
        samples=samples,
        health=Health(live=True, ready=True, processes=1, lines=[]),
    )


def numbers(told: list[Told]) -> tuple[int, dict[str, float]]:
    """Return the requests and the samples of all together."""
    whole = added(told)
    requests = sum(counts.requests[200] for _, _, counts in whole.tallies)
    return requests, {sample.name: sample.value for sample in whole.samples}


def entered(folder, requests: int) -> Siblings:
    one = Siblings(folder)
    one.enter()
    one.tell(told(requests))
    return one


def test_a_process_that_ended_leaves_its_counts_and_nothing_else(folder):
    """Its memory and files are gone; what it counted was told, and monitoring takes a smaller number for a restart."""
    asked = entered(folder, 1)
    entered(folder, 2).close()
    entered(folder, 4).close()
    before = asked.ask(told(1))
    fold(folder)
    after = asked.ask(told(1))
    entered(folder, 8).close()
    fold(folder)
    last = asked.ask(told(1))
    asked.close()

    assert (7, {"cpu": 7, "files": 1}) == numbers(before)
    assert (7, {"cpu": 7, "files": 1}) == numbers(after)
    assert (15, {"cpu": 15, "files": 1}) == numbers(last)
    assert [True] == [one.health["ready"] for one in last if one.health]


def test_files_do_not_grow_with_the_processes_that_ended(folder):
    """An endpoint that is restarted each day for years, or each second for a night, is told of as fast as a new one."""
    counts = set()
    for _ in range(3):
        entered(folder, 1).close()
        fold(folder)
        counts.add(len(list(folder.iterdir())))

    assert 1 == len(counts)


def test_a_file_that_was_read_before_it_was_folded_is_not_counted_twice(folder, monkeypatch):
    """Someone else may fold between the two readings of a scrape."""
    asked = entered(folder, 1)
    entered(folder, 2).close()
    read = siblings._read

    def read_late(folder, name):
        if name == "ended":
            fold_once()
        return read(folder, name)

    def fold_once():
        monkeypatch.setattr(siblings, "_read", read)
        fold(folder)

    monkeypatch.setattr(siblings, "_read", read_late)
    found = asked.ask(told(1))
    asked.close()

    assert (3, {"cpu": 3, "files": 1}) == numbers(found)


def test_a_process_that_does_not_answer_is_told_of_by_what_it_told_last(folder, monkeypatch):
    """It may be at work in one long computation; a scrape has a deadline too."""
    monkeypatch.setattr(siblings, "PATIENCE_S", 0.1)
    asked, busy = entered(folder, 1), entered(folder, 2)
    found = asked.ask(told(1))
    busy.tell(told(5, busy.rung()))
    later = [one.number for one in asked.ask(told(1))]
    asked.close()
    busy.close()

    assert (3, {"cpu": 3, "files": 3}) == numbers(found)
    assert 1 in later


def test_what_killed_endpoints_left_goes_with_the_next_one(tmp_path):
    """It would stay for ever; that of an endpoint which serves beside this one stays."""
    with shared(tmp_path) as living:
        left = tmp_path / "endpoints" / "0190"
        left.write_bytes(b"")
        left.with_suffix(".told").mkdir()
        (left.with_suffix(".told") / "bell").write_bytes(bytes(8))
        with shared(tmp_path) as folder:
            assert {living.name, folder.name} == {path.name for path in living.parent.glob("*.told")}
    assert [] == list((tmp_path / "endpoints").iterdir())
