"""A fortnight of `linewright up`, lived in about a minute: real processes, a clock that a script moves, and accidents.

libfaketime gives all processes but this one the time of a file. It stands still until the script moves it; pauses and
deadlines, which are of the monotonic clock, take real time.
"""

import csv
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import commands
import httpx
import pytest
from ports import free_port

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.serve.log.segments import read_log
from linewright.store.values import Event
from linewright.watch.facts import Alerted, Proposed, RetrainProposal, Watched

BEGIN = datetime(2026, 1, 19, 0, 10, tzinfo=UTC)
DAY = 24
STEP = 2
"""Simulated hours between two requests."""
STEP_S = 0.2
"""Real seconds that they take."""
ROWS = 6
DELAY_H = 2 * DAY
TELL_H = 12
ENDPOINT, WORKER = "linewright.serve", "linewright.capabilities.serving.control_plane"
WINDOW = timedelta(hours=12)
GROWTH = 30 * 2**20
"""Bytes by which a process may grow in most of a week."""

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (apt-get install faketime)"),
]


class Clock:
    """The time of all processes but this one; it stands still until it is moved."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.at = BEGIN
        self.move(timedelta())

    @property
    def text(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def move(self, by: timedelta) -> None:
        self.at += by
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{self.at:%Y-%m-%d %H:%M:%S}\n")
        draft.replace(self._file)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONFAULTHANDLER": "1",  # SIGABRT prints the stack of each thread
            "TZ": "UTC",
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # looks at the file each time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # pauses and deadlines take real time
            "FAKETIME_DISABLE_SHM": "1",  # what is killed leaves nothing in /dev/shm
            "NO_FAKE_STAT": "1",
        }


def row(number: int, chance: random.Random, at: datetime) -> dict[str, Any]:
    amount, age = round(chance.lognormvariate(3, 1), 2), chance.randint(18, 80)
    score = 0.05 * (age - 45) + 0.8 * (amount > 25) + chance.gauss(0, 0.7)
    return {
        "order": f"O{number:06}",
        "at": f"{at:%Y-%m-%d %H:%M:%S}",
        "amount": amount,
        "age": age,
        "country": chance.choice(["de", "fr", "it"]),
        "returned": "yes" if score > 0.4 else "no",
    }


@dataclass
class Up:
    """`linewright up` with its children."""

    folder: Path
    clock: Clock
    begin: Callable[..., "subprocess.Popen[Any]"]
    """Begins a command at that time."""
    port: int = field(default_factory=free_port)
    control: int = field(default_factory=free_port)
    process: "subprocess.Popen[Any] | None" = None

    @property
    def log(self) -> Path:
        return self.folder / "up.log"

    def start(self) -> None:
        ports = ("--port", str(self.port), "--control-port", str(self.control))
        with self.log.open("ab") as log:
            self.process = self.begin("up", *ports, cwd=self.folder, stderr=log)
        self.wait()

    def wait(self) -> None:
        """Wait until endpoint and control plane answer."""
        for url in (f"{self.url}/v2/health/ready", f"http://127.0.0.1:{self.control}/"):
            wait_until(lambda url=url: answers(url), f"{url} does not answer")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill the supervisor; its children end with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        for module in (ENDPOINT, WORKER):
            wait_until(lambda m=module: self.child(m) is None, partial(self.outlives, module))

    def outlives(self, module: str) -> str:
        """End a process that its supervisor's death did not, and say where its threads were."""
        pid = self.child(module)
        if pid is not None:
            os.kill(pid, signal.SIGABRT)
            time.sleep(2)
        return f"{module} outlives its supervisor: {self.log.read_text()[-20_000:]}"

    def kill_child(self, module: str) -> None:
        pid = self.child(module)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def child(self, module: str) -> int | None:
        """Return the id of the process that runs a module for this factory."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
                ports = {str(self.port).encode(), str(self.control).encode()}
                if module.encode() in arguments and ports & set(arguments):
                    return int(folder.name)
        return None

    def sizes(self) -> dict[int, int]:
        """Return the memory of both children, in bytes, by their process ids."""
        found = [self.child(module) for module in (ENDPOINT, WORKER)]
        return {pid: resident(pid) for pid in found if pid is not None}


def resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, timeout=5).status_code == 200
    return False


def wait_until(is_so: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, otherwise() if callable(otherwise) else otherwise
        time.sleep(0.05)


@dataclass
class Traffic:
    """Asks each hour, and hands in the truth two days later: by id or by key, some of it twice."""

    up: Up
    client: httpx.Client
    chance: random.Random
    number: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    asked: dict[int, list[tuple[str, str, str]]] = field(default_factory=dict)
    """Of each hour what was answered: id, key, truth."""
    answered: set[str] = field(default_factory=set)
    unlabelled: list[tuple[str, str, str]] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """Truth that was acknowledged, by prediction id."""

    def step(self, hour: int) -> None:
        self._ask(hour)
        for ripe in [asked for asked in self.asked if asked <= hour - DELAY_H]:
            self.unlabelled += self.asked.pop(ripe)
        if hour % TELL_H == 0:
            self.tell()

    def _ask(self, hour: int) -> None:
        rows = [row(self.number + i, self.chance, self.up.clock.at) for i in range(ROWS)]
        self.number += ROWS
        truths = [one.pop("returned") for one in rows]
        answer = self._post("predict", {"rows": rows})
        if answer is not None:
            ids = [one["id"] for one in answer["predictions"]]
            keys = [one["order"] for one in rows]
            self.asked.setdefault(hour, []).extend(zip(ids, keys, truths, strict=True))
            self.answered.update(ids)

    def tell(self) -> None:
        """Hand in what is due; what is not acknowledged, for it may be lost, is handed in again the next time."""
        if not self.unlabelled:
            return
        labels = [
            {"label": truth} | ({"id": i} if number % 2 else {"key": key})
            for number, (i, key, truth) in enumerate(self.unlabelled)
        ]
        answer = self._post("feedback", {"labels": labels})
        if answer is None:
            return
        self.known |= {i: truth for i, _, truth in self.unlabelled}
        self.unlabelled = []
        if self.chance.random() < 0.5:
            again = self._post("feedback", {"labels": labels})
            assert again is None or again == {"accepted": 0, "repeated": len(labels), "unknown": 0}

    def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            answer = self.client.post(f"{self.up.url}/v1/lines/orders/{what}", json=body)
        except httpx.TransportError:
            return None
        self.statuses[answer.status_code] += 1
        return answer.json() if answer.status_code == 200 else None


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def up(tmp_path: Path, clock: Clock) -> Iterator[Up]:
    root, environment = tmp_path / "factory", clock.environment()
    there = commands.preloaded(environment)
    Factory.create(root).close()
    write_line(root)

    def begin(*words: str, **how: Any) -> commands.Forked:
        command = [sys.executable, "-m", "linewright", *words]
        return commands.begin(command, env=environment, of=there, **how)

    with begin("run", "orders", cwd=root, stderr=subprocess.PIPE, text=True) as run:
        _, told = run.communicate(timeout=120)
    assert 0 == run.returncode, told
    one = Up(root, clock, begin)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def write_line(root: Path) -> None:
    chance = random.Random(7)
    rows = [row(900_000 + i, chance, BEGIN - timedelta(hours=700 - i)) for i in range(600)]
    with (root / "orders.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made = new_line(
        root,
        "orders",
        root / "orders.csv",
        GivenRoles(label="returned", positive="yes", key="order", time="at"),
    )
    path = Path(made.path)
    text = path.read_text().replace("budget: normal", "budget: quick", 1)
    text = text.replace('positive: "yes"}', 'positive: "yes", delay: 2d}', 1)
    kept = [line for line in text.splitlines() if not line.startswith(("# watch:", "# retrain:"))]
    sections = ["watch: {every: 12h}", "retrain: {when: [performance, {every: 7d}], cooldown: 1d}", ""]
    path.write_text("\n".join([*kept, *sections]))


@dataclass
class Script:
    """Lives through a fortnight with accidents, and notes what it sees."""

    up: Up
    clock: Clock
    traffic: Traffic
    seen: Factory
    """The same factory, opened to be read."""
    hour: int = 0
    down: tuple[str, str] = ("", "")
    """When everything was killed, and when it was started again."""
    sizes: list[dict[int, int]] = field(default_factory=list)

    def live(self) -> None:
        accidents = {
            1 * DAY: self.weigh,
            4 * DAY - 4: self.weigh,
            4 * DAY: self.endpoint_is_killed,
            7 * DAY + 2: self.training_is_killed,
            9 * DAY: self.all_are_killed,
            10 * DAY + 12: self.weigh,
            12 * DAY: self.clock_is_wrong,
            14 * DAY - 4: self.weigh,
            14 * DAY + 4: lambda: self.await_runs(3, ended=2),
        }
        self.up.start()
        for hour in sorted(accidents):
            self.until(hour)
            accidents[hour]()
        self.until(15 * DAY)
        self.rest()
        assert self.up.stop() == 0

    def until(self, hour: int) -> None:
        while self.hour < hour:
            began = time.monotonic()
            self.traffic.step(self.hour)
            self.pass_(STEP)
            time.sleep(max(0.0, began + STEP_S - time.monotonic()))

    def pass_(self, hours: int) -> None:
        self.hour += hours
        self.clock.move(timedelta(hours=hours))

    def weigh(self) -> None:
        self.sizes.append(self.up.sizes())

    def endpoint_is_killed(self) -> None:
        self.up.kill_child(ENDPOINT)
        self.until(self.hour + 6)
        self.up.wait()

    def training_is_killed(self) -> None:
        self.await_runs(2, ended=1)
        self.up.kill_child(WORKER)
        self.until(self.hour + 14)
        self.up.wait()
        self.await_runs(2, ended=2)

    def all_are_killed(self) -> None:
        before = self.clock.text
        self.up.kill()
        self.pass_(20)
        self.down = (before, self.clock.text)
        self.up.start()

    def clock_is_wrong(self) -> None:
        """Set the clock an hour ahead for a while, so that a window ends; then back."""
        self.until(self.hour + 10)  # to ten minutes past ten
        self.clock.move(timedelta(hours=1, minutes=20))
        self.traffic.step(self.hour)
        self.clock.move(timedelta(minutes=40))
        self.traffic.step(self.hour)
        wait_until(lambda: self.window_end()[:13] == self.clock.text[:13], "no window is closed")
        self.clock.move(timedelta(hours=-2))

    def await_runs(self, accepted: int, *, ended: int) -> None:
        wait_until(
            lambda: self.count(Accepted) == accepted and self.count(Finished) >= ended,
            f"there are not {accepted} runs, {ended} of them ended",
        )

    def count(self, kind: type[Event]) -> int:
        return len(self.seen.metadata.events(kind, line="orders"))

    def window_end(self) -> str:
        return self.seen.metadata.events(Watched, line="orders", newest_first=True, limit=1)[0].end

    def rest(self) -> None:
        """Wait for the last training, and hand in the labels that nobody acknowledged."""
        self.await_runs(3, ended=3)
        self.traffic.tell()
        assert not self.traffic.unlabelled


@pytest.mark.timeout(600)
def test_a_fortnight_of_up_keeps_every_promise(up, clock):
    """Kills, a night without power and a wrong clock come to all who let a factory run; nobody watches it for so long."""
    with httpx.Client(timeout=20) as client, Factory.open(up.folder) as seen:
        script = Script(up, clock, Traffic(up, client, random.Random(11)), seen)
        try:
            script.live()
        finally:
            print(script.sizes, up.log.read_text()[-8000:])

    assert {200} == set(script.traffic.statuses)
    assert "Traceback" not in up.log.read_text()
    with Factory.open(up.folder, now=lambda: clock.text) as factory:
        assert_nothing_is_lost(factory, script.traffic)
        windows = factory.metadata.events(Watched, line="orders")
        assert_each_is_counted_once(factory, windows)
        assert_a_gap_is_one_window(windows, *script.down)
        assert_no_surplus_is_told(factory)
        assert_weekly_trainings(factory)
    assert_no_growth(script.sizes)


def assert_nothing_is_lost(factory: Factory, traffic: Traffic) -> None:
    ids = Counter(one.record.id for one in read_log(factory.log_of("orders")))

    assert {1} == set(ids.values())
    assert traffic.answered <= ids.keys()

    feedback = factory.labels_of("orders")
    labelled = feedback.labelled(known_by=factory.now())
    truths = {record.id: truth.label for record, truth in labelled if truth is not None}

    assert traffic.known == truths
    assert (len(ids), len(truths)) == feedback.counts()
    assert len(truths) > 500


def assert_a_gap_is_one_window(windows: list[Watched], down: str, again: str) -> None:
    assert len([one for one in windows if down < one.end <= again]) <= 1
    assert [one for one in windows if one.start < down and again < add(one.end, WINDOW)]


def assert_no_surplus_is_told(factory: Factory) -> None:
    """Check the window that holds what several should have held: it has more rows than usual, and that is no news."""
    alerts = factory.metadata.events(Alerted, line="orders")

    assert not [one.because for one in alerts if one.monitor == "traffic" and one.value > one.bar]


def assert_weekly_trainings(factory: Factory) -> None:
    metadata = factory.metadata
    proposed, accepted, finished = (
        metadata.events(kind, line="orders") for kind in (Proposed, Accepted, Finished)
    )

    assert ["every", "every"] == [metadata.get(one.proposal, RetrainProposal).trigger for one in proposed]
    assert [None, *(one.proposal for one in proposed)] == [one.proposal for one in accepted]
    assert [one.run for one in accepted] == [one.run for one in finished]
    assert {"done"} == {one.outcome for one in finished}
    for before, after in itertools.pairwise(accepted):
        assert add(before.at, timedelta(days=7)) <= after.at < add(before.at, timedelta(days=8))


def assert_no_growth(sizes: list[dict[int, int]]) -> None:
    for young, old in (sizes[:2], sizes[2:]):
        assert young.keys() == old.keys()
        assert len(young) == 2
        for pid, before in young.items():
            assert old[pid] - before < GROWTH


def assert_each_is_counted_once(factory: Factory, windows: list[Watched]) -> None:
    log = factory.log_of("orders")
    counted: Counter[str] = Counter()
    position: dict[str, int] = {}
    end = windows[0].start
    for one in windows:
        assert one.start == end < one.end
        records = [each.record for each in read_log(log, position, until=one.position)]

        assert one.n == sum(record.digest == one.package for record in records)
        counted.update(record.id for record in records)
        position, end = one.position, one.end
    rest = [each.record for each in read_log(log, position)]

    assert {1} == set(counted.values())
    assert not counted.keys() & {one.id for one in rest}
    assert len(counted) + len(rest) == sum(1 for _ in read_log(log))
    assert all(one.at >= end for one in rest)


def add(at: str, by: timedelta) -> str:
    return (datetime.fromisoformat(at) + by).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
