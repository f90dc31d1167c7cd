"""What clients may ask of an endpoint, and that people hear of it before the disk is full."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
import pytest

from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import Tending
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.archive_log import seal_next
from linewright.line.record.monitoring.disk_space import forecast
from linewright.line.runs.execute import execute_inline
from linewright.serve.http.gates import Gates, LogUse
from linewright.serve.http.request import Refusal
from linewright.serve.limits import AllLimits, Limits
from linewright.serve.listener import endpoint

FREE = "free"
LIMITS = """
limits:
  lines:
    few: {concurrent_requests: 1}
    slow: {rows_per_second: 50}
    small: {log_bytes_per_day: 1MiB}
"""
ROW = {"id": "C1", "age": 40, "calls": 3}


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    """Give a factory with a model that four lines serve, three of which have limits."""
    root = tmp_path_factory.mktemp("quotas") / "factory"
    root.mkdir()
    chance = random.Random(1)
    ages = [chance.randint(18, 80) for _ in range(400)]
    pl.DataFrame(
        {
            "id": [f"C{number}" for number in range(400)],
            "age": ages,
            "calls": [chance.randint(0, 9) for _ in ages],
            "left": ["yes" if age + chance.gauss(0, 8) > 50 else "no" for age in ages],
        }
    ).write_csv(root / "people.csv")
    new_line(root, FREE, root / "people.csv", GivenRoles(label="left", positive="yes", key="id"))
    path = root / "lines" / f"{FREE}.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    with Factory.create(root) as made:
        assert execute_inline(made, FREE).promoted
        for line in ("few", "slow", "small"):  # what was trained for one is found for the others
            path.with_name(f"{line}.yaml").write_text(
                path.read_text().replace(f"line: {FREE}", f"line: {line}")
            )
            assert execute_inline(made, line).promoted
        with (root / "factory.yaml").open("a") as file:
            file.write(LIMITS)
        yield made


@contextmanager
def serving(factory, *options):
    """Give a client of an endpoint, a process of its own."""
    with (factory.root / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "linewright", "serve", "--port", "0", *options],
            cwd=factory.root, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while endpoint(factory.state) is None:
            assert process.poll() is None, (factory.root / "serve.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        with httpx.Client(base_url=f"http://{endpoint(factory.state)}", timeout=60) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def client(factory):
    with serving(factory) as asked:
        yield asked


def predict(client, line, rows):
    return client.post(f"/v1/lines/{line}/predict", json={"rows": [ROW] * rows})


def infer(client, line, rows):
    inputs = [
        {"name": name, "shape": [rows], "datatype": kind, "data": [ROW[name]] * rows}
        for name, kind in (("age", "INT64"), ("calls", "INT64"), ("id", "BYTES"))
    ]
    return client.post(f"/v2/models/{line}/infer", json={"inputs": inputs})


def assert_limited(answer, reason):
    assert 429 == answer.status_code, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    told = answer.json()
    assert "Transient" == told.get("kind", told["error"])
    assert f"{reason}` of factory.yaml" in told["hint"]


@pytest.mark.parametrize("ask", [predict, infer])
def test_requests_at_one_time_are_limited(client, ask):
    """One client with many large requests would take the turns of all others."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(client, "few", 4_000), range(8)))

    assert {200, 429} == {one.status_code for one in answers}, answers[0].text
    for one in answers:
        if one.status_code == 429:
            assert_limited(one, "limits: lines: few: concurrent_requests")
    assert 200 == ask(client, "few", 1).status_code  # all places are free again


@pytest.mark.parametrize("ask", [predict, infer])
def test_rows_a_second_are_limited(client, ask):
    """Of rows beyond the limit the next request pays: one of any size is possible, and many are not."""
    until = time.monotonic() + 10
    while ask(client, "slow", 1).status_code == 429 and time.monotonic() < until:
        time.sleep(0.1)  # until nothing is owed of the other way to ask
    time.sleep(1.0)

    first, second = ask(client, "slow", 120), ask(client, "slow", 1)

    assert 200 == first.status_code
    assert_limited(second, "limits: lines: slow: rows_per_second")
    time.sleep(int(second.headers["retry-after"]))
    assert 200 == ask(client, "slow", 1).status_code


def test_small_requests_at_one_moment_are_counted_before_they_are_answered(client):
    """They are answered together: each would else be let in before the first one counts."""
    time.sleep(2.0)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: predict(client, "slow", 40).status_code, range(16)))

    assert 1 <= answers.count(200) <= 4
    assert {200, 429} == set(answers)


def test_bytes_of_log_a_day_are_limited_by_all_processes_and_after_a_restart(factory, client):
    """A client that nobody stops fills the disk: 864 MB in 200 s."""
    statuses = []
    while len(statuses) < 100 and 429 not in statuses:
        statuses.append(predict(client, "small", 2_000).status_code)
    logged = sum(path.stat().st_size for path in factory.log_of("small").iterdir())

    assert [200] * (len(statuses) - 1) + [429] == statuses
    assert 2**20 <= logged < 2 * 2**20
    for ask in (predict, infer):
        assert_limited(ask(client, "small", 1), "limits: lines: small: log_bytes_per_day")
    with serving(factory, "--workers", "2") as other:
        for _ in range(4):
            assert_limited(predict(other, "small", 1), "limits: lines: small: log_bytes_per_day")
        assert 200 == predict(other, FREE, 1).status_code


def test_a_limit_of_one_line_is_none_of_another_nor_of_labels(client):
    """A line is not to suffer from the clients of another one, and the truth about answers is always welcome."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: predict(client, FREE, 40).status_code, range(64)))
    labelled = client.post("/v1/lines/small/feedback", json={"labels": [{"key": "C1", "label": "yes"}]})

    assert {200} == set(answers)
    assert 200 == labelled.status_code


def test_metrics_count_what_was_refused_and_what_is_free(factory, client):
    """Whoever runs the endpoint sees whom it turns away, and the disk before it is full."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: predict(client, "few", 4_000).status_code, range(8)))
    lines = client.get("/metrics").text.splitlines()
    found = {name: float(value) for name, value in (one.rsplit(" ", 1) for one in lines if one[0] != "#")}

    refused = found['linewright_limited_total{line="few",reason="concurrent_requests"}']
    assert answers.count(429) <= refused
    assert "# TYPE linewright_limited_total counter" in lines
    free = os.statvfs(factory.state).f_bavail * os.statvfs(factory.state).f_frsize
    assert abs(found["linewright_disk_free_bytes"] - free) < 2**30


class Time:
    """A clock that stands still until it is moved, and the log of a line that nobody writes."""

    at, day, written = 0.0, "2026-01-19T23:59:30.000000Z", 0


@pytest.fixture
def still():
    return Time()


@pytest.fixture
def gates(tmp_path, still):
    def make(limits):
        use = LogUse(tmp_path / "log", lambda: still.day, lambda _: still.written)
        use.look()
        return Gates(limits, use, clock=lambda: still.at), use

    return make


def test_all_lines_together_are_limited(gates, still):
    """What each line may alone is more than the machine has, where there are a thousand."""
    both, _ = gates(AllLimits(together=Limits(concurrent_requests=2, rows_per_second=10)))
    with both.of("a"), both.of("b"), pytest.raises(Refusal, match="more is asked for"), both.of("c"):
        pass
    with both.of("c"):
        pass
    both.of("a").take(25)
    with pytest.raises(Refusal) as refused:
        both.of("b").take(1)

    assert "2" == refused.value.headers["retry-after"]  # 16 rows to wait for, at 10 a second
    still.at += 1.6
    both.of("b").take(1)


def test_a_new_day_has_its_own_bytes(gates, still, tmp_path):
    """A line that was stopped by its limit answers again after midnight, of UTC, though its segment goes on."""
    gate, use = gates(AllLimits(lines={"a": Limits(log_bytes_per_day=1000)}))
    (tmp_path / "log" / "a").mkdir(parents=True)
    segment = tmp_path / "log" / "a" / "2026-01-19T120000.000000Z-x.log"
    segment.write_bytes(bytes(900))
    use.look()
    gate.of("a").take(1)
    still.written = 100  # known before the next look
    with pytest.raises(Refusal) as refused:
        gate.of("a").take(1)
    assert "30" == refused.value.headers["retry-after"]
    segment.write_bytes(bytes(1000))
    use.look()
    segment.unlink()  # sealed: its bytes were logged today all the same
    use.look()
    assert 1000 == use.of("a")

    still.day = "2026-01-20T00:00:01.000000Z"
    use.look()

    gate.of("a").take(1)
    assert 0 == use.of("a")


def test_a_wrong_limit_is_told_with_its_place(tmp_path):
    """A limit with a mistake in its name would else be none."""
    (tmp_path / "factory.yaml").write_text("format: 1\nlimits:\n  rows_per_secnd: 5\n")
    done = subprocess.run(
        [sys.executable, "-m", "linewright", "serve", "--port", "0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert 2 == done.returncode
    assert "factory.yaml:3:3" in done.stderr
    assert "did you mean 'rows_per_second'" in done.stderr


# Before the disk is full


@pytest.fixture
def growing(tmp_path):
    """Give a factory whose log has grown in the last hour by a quarter of what is free.

    A file with a hole takes no space; its first record is torn, so nobody reads the hole.
    """
    with Factory.create(tmp_path / "growing") as made:
        begun = time.strftime("%Y-%m-%dT%H%M%S.000000Z", time.gmtime(time.time() - 3600))  # noqa: TID251 -- stamps of files are of the real clock
        folder = made.log_of(FREE)
        folder.mkdir(parents=True)
        with (folder / f"{begun}-x.log").open("wb") as file:
            file.write(b"\x01")
            file.truncate(forecast(made).free_bytes // 4)
        yield made


def test_status_and_doctor_tell_when_the_disk_will_be_full(growing):
    """When it is full all lines stop; a person has to know the day before."""
    told, found = status(growing), examine(growing, Needs(free_bytes=0, ports=()))

    assert 4.0 == pytest.approx(told.disk.full_in_h, rel=0.05)
    assert f"the disk of {growing.root} is full in " in result_text(told)
    (problem,) = [one for one in found.problems if "is full in" in one.what]
    assert ("log_bytes_per_day" in problem.next, problem.exit_code) == (True, 6)


def test_the_worker_tells_once_that_the_disk_will_be_full(growing):
    """Who looks at the output of `up` hears of it, and not each minute."""
    told, looked = [], threading.Event()

    def report(progress):
        told.append(progress.says)
        looked.set()

    class Idle:
        def close(self):
            pass

    root = Path(growing.root)
    tending = Tending(lambda: Factory.open(root, report=report), Idle(), every_s=0.02)
    assert looked.wait(20)
    tending.close()

    assert 1 == len([one for one in told if "is full in" in one])


def test_what_sealing_gives_back_is_no_growth(factory):
    """A sealed segment takes a tenth of what it did: a forecast by what is written alone would warn for ever."""
    rows = pl.DataFrame([{**ROW, "id": f"X{number}"} for number in range(3_000)])
    rows.write_csv(factory.root / "ask.csv")
    known = set(factory.log_of(FREE).glob("*.log"))
    predict_file(factory, FREE, factory.root / "ask.csv", factory.root / "answers.csv")
    (segment,) = set(factory.log_of(FREE).glob("*.log")) - known
    size, before = segment.stat().st_size, forecast(factory).growth_bytes_per_hour
    long_ago = time.time() - 7 * 3600  # noqa: TID251 -- stamps of files are of the real clock
    os.utime(segment, (long_ago, long_ago))
    while (sealed := seal_next(factory, FREE)) is not None and sealed.name != segment.name:
        pass

    # Measured over ten minutes at least: six times as much an hour.
    assert sealed.bytes == size
    assert -6 * size < forecast(factory).growth_bytes_per_hour - before < -3 * size


def test_a_log_that_hardly_grows_is_no_news(factory):
    """A warning that is always there is read by nobody."""
    told = status(factory)

    assert told.disk.full_in_h is None or not told.disk.is_near
    assert "is full in" not in result_text(told)
