"""A site without a connection: a folder serves a model by itself, and what it answered comes back exactly once."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import small

from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.serving.operations import serve
from linewright.capabilities.sites.folder import PACKAGE, ready_to_serve
from linewright.capabilities.sites.handover import take_over
from linewright.capabilities.sites.operations import detach, sync
from linewright.capabilities.value.operations import value
from linewright.errors import Conflict, Corrupt, Denied, GateRefused, NotFound, RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Detached, HandedOver
from linewright.line.runs.execute import execute
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.feedback.store import Feedback
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.listener import announced
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.canary import Guard
from linewright.serve.models.follow import Lines
from linewright.serve.rows.body.reader import in_rows
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.clock import now_utc

LINE = small.LINE


@pytest.fixture
def factory(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with Factory.open(small.make_factory(tmp_path_factory, tmp_path / "factory")) as opened:
        yield opened


@pytest.fixture
def site(factory: Factory, tmp_path: Path) -> Path:
    return Path(detach(factory, LINE, tmp_path / "site").folder)


class Away:
    """The endpoint of a folder, in this process."""

    def __init__(self, folder: Path) -> None:
        self.state = ready_to_serve(folder)
        self.log = PredictionLog(self.state / "log" / LINE)
        self.lines = Lines(
            self.state / "serving", LocalArtifacts(self.state / "artifacts").get, tell=lambda _: None
        )
        self.lines.look()
        for future in [*self.lines._loading.values()]:
            future.result()
        self.lines.look()

    def answer(self, *keys: str) -> list[str]:
        """Answer a row of each key, and return the ids."""
        live = self.lines.live[LINE]
        loaded = Loaded(LINE, live.generation, live.arm, live.scorer, now_utc, None, Guard(), None, None)
        rows = [{"claim": key, "amount": 1.0, "age": 40.0} for key in keys]
        return list(answer(loaded, self.log, rows, in_rows).ids)

    def label(self, **labels: object) -> None:
        package = self.lines.live[LINE].scorer.model.package
        Feedback.of(self.state, LINE).accept([labels], package=package)

    def close(self) -> None:
        self.log.close()
        self.lines.close()


@pytest.fixture
def away(site: Path) -> Iterator[Away]:
    one = Away(site)
    yield one
    one.close()


def answers(factory: Factory) -> int:
    return factory.labels_of(LINE).counts().predictions


def test_answers_and_labels_come_over_once(factory: Factory, site: Path, away: Away):
    before = answers(factory)
    first, second = away.answer("D1", "D2")
    away.label(id=first, label="yes")
    away.label(key="D2", label="no")
    away.close()

    got = sync(factory, site)
    again = sync(factory, site)

    assert (1, 2, 2) == (got.segments, got.answers, got.labels)
    assert (0, 0, 0) == (again.segments, again.answers, again.labels)
    assert before + 2 == answers(factory)
    found = factory.labels_of(LINE).find_all([first, second])
    assert ["yes", "no"] == [found[one][1].label for one in (first, second)]
    assert 0 == verify_factory(factory).exit_code
    assert "2 answers of 1 segment and 2 labels came over" in result_text(got)


def test_what_is_being_written_to_comes_over_the_next_time(factory: Factory, site: Path, away: Away):
    """An endpoint need not stop for those who fetch."""
    (first,) = away.answer("D1")
    away.label(id=first, label="yes")

    got = sync(factory, site)
    away.close()
    then = sync(factory, site)

    assert (0, 0, 1) == (got.answers, got.labels, got.waiting)
    assert (1, 1, 0) == (then.answers, then.labels, then.waiting)


def test_a_label_that_was_corrected_there_is_corrected_here(factory: Factory, site: Path, away: Away):
    (first,) = away.answer("D1")
    away.label(id=first, label="yes")
    away.close()
    sync(factory, site)
    away.label(id=first, label="no", corrects="yes")

    assert 1 == sync(factory, site).labels
    assert "no" == factory.labels_of(LINE).find(first)[1].label


def test_a_label_that_contradicts_one_here_is_named_and_the_others_come(
    factory: Factory, site: Path, away: Away
):
    first, second = away.answer("D1", "D2")
    away.close()
    sync(factory, site)
    package = away.lines.live[LINE].scorer.model.package
    factory.labels_of(LINE).accept([{"id": first, "label": "no"}], package=package)
    away.label(id=first, label="yes")
    away.label(id=second, label="yes")

    got = sync(factory, site)

    assert (1, 1, (first,), 2) == (got.labels, got.conflicting, got.conflicts, got.exit_code)
    assert "no" == factory.labels_of(LINE).find(first)[1].label


KILLED = """
import os, signal, sys
from pathlib import Path
from linewright.capabilities.sites import handover
from linewright.line.factory import Factory
from linewright.store.metadata.sql import SqlMetadata

at, count = int(sys.argv[3]), 0
def stop(name, module, real):
    def call(*given, **more):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **more)
    setattr(module, name, call)

for name in ("sync_file", "sync_folder"):
    stop(name, handover, getattr(handover, name))
stop("record", SqlMetadata, SqlMetadata.record)
accept = handover.Feedback.accept
def accepting(self, *given, **more):
    done = accept(self, *given, **more)
    os.kill(os.getpid(), signal.SIGKILL) if at == 99 else None
    return done
handover.Feedback.accept = accepting
with Factory.open(Path(sys.argv[1])) as factory:
    handover.take_over(factory, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 99])
def test_a_kill_loses_nothing_and_doubles_nothing(factory: Factory, site: Path, away: Away, at: int):
    """A stick is pulled at any moment."""
    first, second = away.answer("D1", "D2")
    away.label(id=first, label="yes")
    away.close()
    later = Away(site)
    (third,) = later.answer("D3")
    later.label(id=third, label="no")
    later.close()
    before = answers(factory)

    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(factory.root), str(site), str(at)],
        capture_output=True,
        check=False,
    )
    take_over(factory, site)

    assert -signal.SIGKILL == done.returncode
    assert before + 3 == answers(factory)
    found = factory.labels_of(LINE).find_all([first, second, third])
    assert ["yes", None, "no"] == [one[1] and one[1].label for one in found.values()]
    assert 2 == len(factory.metadata.events(HandedOver, line=LINE))
    assert (0, 0) == ((got := take_over(factory, site)).answers, got.labels)
    assert 0 == verify_factory(factory).exit_code


def test_a_torn_end_of_a_killed_endpoint_is_left_behind(factory: Factory, site: Path, away: Away):
    away.answer("D1")
    away.close()
    (segment,) = (away.state / "log" / LINE).glob("*.log")
    segment.write_bytes(segment.read_bytes() + b"\x40\x00\x00\x00half")

    assert 1 == sync(factory, site).answers
    assert 0 == verify_factory(factory).exit_code


def test_a_flipped_bit_is_refused(site: Path):
    blob = next(path for path in (site / ".linewright" / "artifacts").rglob("*") if path.is_file())
    blob.chmod(0o600)
    body = bytearray(blob.read_bytes())
    body[len(body) // 2] ^= 1
    blob.write_bytes(body)

    with pytest.raises(Corrupt):
        ready_to_serve(site)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "null"])
def test_a_package_that_says_nothing_is_refused(site: Path, text: str):
    (site / PACKAGE).write_text(text)

    with pytest.raises(Corrupt):
        ready_to_serve(site)


def test_answers_that_nobody_of_this_factory_gave_are_refused(
    factory: Factory, site: Path, away: Away, tmp_path: Path
):
    away.answer("D1")
    away.close()
    text = (site / PACKAGE).read_text()
    (site / PACKAGE).write_text(text.replace('"generation": 1', '"generation": 2'))

    with pytest.raises(RequestError, match="this factory wrote no such folder"):
        sync(factory, site)
    with pytest.raises(NotFound, match="holds no detached model"):
        sync(factory, tmp_path)
    (site / PACKAGE).write_text(text)
    (segment,) = (away.state / "log" / LINE).glob("*.log")
    body = segment.read_bytes()
    segment.write_bytes(body[:20] + b"x" + body[21:])
    with pytest.raises(Corrupt, match="hold no record"):
        sync(factory, site)


def test_two_copies_of_a_folder_are_two_endpoints(factory: Factory, site: Path, tmp_path: Path):
    """A folder on two machines answers for both, and nothing of either is lost."""
    other = Path(shutil.copytree(site, tmp_path / "other"))
    for folder, key in ((site, "D1"), (other, "D2")):
        one = Away(folder)
        one.answer(key)
        one.close()

    assert [1, 1] == [sync(factory, folder).answers for folder in (site, other)]


def test_nothing_is_written_over_and_what_was_written_is_on_record(factory: Factory, site: Path):
    with pytest.raises(Conflict):
        detach(factory, LINE, site)

    (event,) = factory.metadata.events(Detached, line=LINE)
    assert f"{LINE}@1" == f"{event.line}@{event.model}"


def test_it_serves_this_machine_alone(factory: Factory, site: Path):
    with pytest.raises(RequestError, match="serves this machine alone"):
        serve(factory, host="0.0.0.0", detached=site)


def test_the_command_serves_a_folder_where_there_is_no_factory(factory: Factory, site: Path, tmp_path: Path):
    """From package to answer and back, as an operator does it."""
    empty = tmp_path / "plant"
    empty.mkdir()
    folder = Path(shutil.copytree(site, empty / "site"))
    program = Path(sys.executable).with_name("linewright")
    process = subprocess.Popen([program, "serve", "--detached", str(folder), "--port", "0"], cwd=empty)
    try:
        until = time.monotonic() + 60
        while (found := announced(folder / ".linewright")) is None and time.monotonic() < until:
            time.sleep(0.05)
        url = found.url
        body = {"rows": [{"claim": "D9", "amount": 1.0, "age": 40.0}]}
        got = post(f"{url}/v1/lines/{LINE}/predict", body)
        said = {"labels": [{"id": got["predictions"][0]["id"], "label": "yes"}]}
        assert 1 == post(f"{url}/v1/lines/{LINE}/feedback", said)["accepted"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    taken = sync(factory, folder)

    assert (1, 1) == (taken.answers, taken.labels)
    assert "yes" == factory.labels_of(LINE).find(got["predictions"][0]["id"])[1].label


def post(url: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310 -- our own endpoint
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answered:  # noqa: S310 -- as above
        return json.load(answered)


def test_what_came_over_counts_in_the_value_account(factory: Factory, tmp_path: Path):
    """A site is worth something on days without a connection too."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(
        path.read_text()
        + "value: {currency: EUR, true_positive: 9, false_positive: -1, false_negative: -9, true_negative: 1}\n"
    )
    assert execute(factory, LINE).promoted
    folder = Path(detach(factory, LINE, tmp_path / "away").folder)
    before = sum(one.total.matured for one in value(factory, LINE).accounts)
    one = Away(folder)
    (first, second) = one.answer("D1", "D2")
    one.label(id=first, label="yes")
    one.label(id=second, label="no")
    one.close()

    sync(factory, folder)

    assert before + 2 == sum(one.total.matured for one in value(factory, LINE).accounts)


def test_a_version_is_detached_as_it_would_be_promoted(factory: Factory, tmp_path: Path):
    """Else a folder would be the way round the gates, and round those who approve."""
    member_add(factory, "ada", role="engineer")
    ada = Identity(actor="ada", member="ada", scopes=(Scope(permissions=ROLES["engineer"]),))
    path = factory.root / "lines" / f"{LINE}.yaml"
    asks = path.read_text().replace("gates:\n", "release: {approve: [approver]}\ngates:\n")
    path.write_text(asks.replace("folds: 2", "folds: 3"))
    assert not execute(factory, LINE).promoted

    with Factory.open(factory.root, identity=ada) as hers:
        with pytest.raises(Denied, match=r"wants approval.*linewright promote claims@2"):
            detach(hers, f"{LINE}@2", tmp_path / "second")
        detach(hers, LINE, tmp_path / "first")
    detach(factory, f"{LINE}@2", tmp_path / "second")
    path.write_text(asks.replace("folds: 2", "folds: 4").replace("at_least: 0.5", "at_least: 0.9999"))
    execute(factory, LINE)
    with pytest.raises(GateRefused, match=r"no passing certificate.*linewright promote claims@3 --force"):
        detach(factory, f"{LINE}@3", tmp_path / "third")

    assert not (tmp_path / "third").exists()
