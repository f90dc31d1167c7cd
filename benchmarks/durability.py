"""What an endpoint acknowledged is there: after kills, on a disk that fails, and without the metadata store.

    python benchmarks/durability.py [--kills 300] [--seed N]    killed with SIGKILL at random moments, then on a disk that fails
    python benchmarks/durability.py --alone [MINUTES]           alone for so many minutes (10), the factory's databases moved away

A factory with one trained line is made, and an endpoint (`python -m linewright.serve`, as `up` starts it) answers clients that ask for rows (some `durable`) and hand in
labels by id and by key without a pause. Each row has a key of its own, so that every record of the log is the answer to something
that was asked once. A table is printed for each part, and each violation: an acknowledged answer or label that is not there, one
that is there twice or otherwise than it was acknowledged, one that nobody sent. Exit code 1 if there was any. That a record is
there whose answer nobody got is no violation: the kill came between the two.

The disk fails by `strace`, which makes each fsync of the endpoint say EIO; without it, or where no process may be traced, that
part is left out and says so.
"""

import argparse
import http.client
import json
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from swap import table

from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.monitoring.operations import alerts
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.release.endpoint import follow_file, tend_log
from linewright.line.runs.execute import execute_inline
from linewright.release.facts import WhenLogFails
from linewright.serve.http.predict import MANY
from linewright.serve.listener import endpoint
from linewright.serve.log.segments import Damage, read_log
from linewright.store.clock import now_utc
from linewright.watch.facts import Watched

LINE, ROWS = "durable", 600
CONNECTIONS, PATIENCE_S = 6, 60.0
LONGEST_S = 0.7
"""How long an endpoint answers at most before it is killed."""
DURABLE, LABELLED, BY_KEY = 0.2, 0.2, 0.2
"""Shares of the requests that are durable and that are followed by a label, and of labels that are by key."""
LARGE = 0.05
"""Share of the requests that have so many rows that these are logged together."""
STARTING = 0.1
"""Share of the kills that come while the endpoint starts."""
LIGHT_S = 0.05
"""Pause of a client after each request, where the load is light."""
AWAY = ("metadata.sqlite", "engine.sqlite", "replies.sqlite")

Row = dict[str, Any]


# A factory and its endpoint


def make(root: Path, *, watch: str = "10s") -> list[Row]:
    """Make a factory whose line serves, and return rows to ask about, without their keys."""
    frame = table().head(ROWS)
    with Factory.create(root) as factory:
        frame.write_csv(root / "table.csv")
        new_line(root, LINE, root / "table.csv", GivenRoles(label="y", positive="yes", key="key"))
        path = root / "lines" / f"{LINE}.yaml"
        path.write_text(path.read_text().replace("budget: normal", "budget: quick", 1))
        execute_inline(factory, LINE)
        configure(factory, "refuse", watch=watch)
    return frame.drop("key", "y").head(50).to_dicts()


def configure(factory: Factory, when_log_fails: WhenLogFails, *, watch: str = "10s") -> None:
    """Say in the line file what happens while the log cannot be written, and have endpoints follow it."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    kept = [one for one in path.read_text().splitlines() if not one.startswith(("release:", "watch:"))]
    said = [f"release: {{when_log_fails: {when_log_fails}}}", f"watch: {{every: {watch}}}"]
    path.write_text("\n".join([*kept, *said]) + "\n")
    follow_file(factory, factory.line(LINE))


class Server:
    """The endpoint of a factory, started again as often as it was killed."""

    def __init__(self, root: Path) -> None:
        self._root, self.state = root, root / ".linewright"
        self._process: subprocess.Popen[bytes] | None = None
        self.address: tuple[str, int] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, without waiting for it."""
        with (self._root / "serve.txt").open("ab") as says:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "linewright.serve", str(self.state), "127.0.0.1", "0"],
                stdout=says,
                stderr=says,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + PATIENCE_S
        while (address := endpoint(self.state)) is None:
            assert self._process is not None
            assert self._process.poll() is None, (self._root / "serve.txt").read_text()[-2000:]
            assert time.monotonic() < until, "the endpoint did not start"
            time.sleep(0.01)
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))

    def end(self, how: int = signal.SIGKILL) -> None:
        """End it and wait for that."""
        self.address = None
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)


@contextmanager
def serving(root: Path) -> Generator[Server]:
    """Give a server that answers, and end it afterwards."""
    server = Server(root)
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.end()


# What was asked, and what was acknowledged


class Answered(NamedTuple):
    """One acknowledged prediction."""

    key: str
    probabilities: dict[str, float]
    durability: str


@dataclass
class Ledger:
    """What clients sent, what they were told, and what the log has."""

    asked: set[str] = field(default_factory=set[str])
    answered: dict[str, Answered] = field(default_factory=dict[str, Answered])
    sent: dict[str, str] = field(default_factory=dict[str, str])
    """Labels by prediction id, whether they were acknowledged or not."""
    labelled: dict[str, str] = field(default_factory=dict[str, str])
    """Labels that were acknowledged."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """Refused requests, by what they asked for and how they were refused."""
    logged: dict[str, str] = field(default_factory=dict[str, str])
    """Keys by prediction id, as the log has them."""
    torn: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    wrong: list[str] = field(default_factory=list[str])
    _position: dict[str, int] = field(default_factory=dict[str, int])
    _keys: set[str] = field(default_factory=set[str])

    def read_on(self, factory: Factory) -> None:
        """Read what was logged since the last time, and hold it against what was asked and answered."""
        answered = dict(self.answered)
        for one in read_log(
            factory.log_of(LINE),
            self._position,
            damaged=self._damaged(factory),
            sealed=factory.sealed_of(LINE),
        ):
            self._position[one.segment] = one.end
            record = one.record
            if record.id in self.logged:
                self.wrong.append(f"id {record.id} is there twice")
            if record.key is None or record.key not in self.asked or record.key in self._keys:
                self.wrong.append(f"a record that nobody asked for: key {record.key}, id {record.id}")
            self.logged[record.id] = record.key or ""
            self._keys.add(record.key or "")
            told = self.answered.get(record.id)
            if told is not None and told != Answered(
                record.key or "", record.answer["probabilities"], record.durability
            ):
                self.wrong.append(f"the record of {record.id} is not what was answered")
        lost = [one for one, told in answered.items() if told.durability != "none" and one not in self.logged]
        self.wrong += [f"an acknowledged answer is not there: {one}" for one in lost]

    def _damaged(self, factory: Factory) -> Callable[[Damage], None]:
        counted = factory.labels_of(LINE).counted()

        def look(damage: Damage) -> None:
            if damage.is_end_of_killed(counted):
                self.torn.add((damage.segment, damage.offset))
            else:
                self.wrong.append(f"the log is damaged: {damage}")

        return look

    def hold_against(self, factory: Factory) -> None:
        """Hold everything that is kept against what was acknowledged, at the end."""
        self.read_on(factory)
        labels = factory.labels_of(LINE)
        labels.catch_up()
        pairs = labels.labelled(known_by=now_utc())
        kept = {record.id: str(truth.label) for record, truth in pairs if truth is not None}
        for one, label in self.labelled.items():
            if kept.get(one) != label:
                self.wrong.append(
                    f"an acknowledged label is not there: {label} of {one}, found {kept.get(one)}"
                )
        for one, label in kept.items():
            if self.sent.get(one) != label:
                self.wrong.append(f"a label that nobody sent: {label} of {one}")
        counts = labels.counts()
        if counts != (len(self.logged), len(kept)):
            self.wrong.append(
                f"{counts} are counted, {len(self.logged)} answers and {len(kept)} labels are there"
            )
        self.wrong += labels.audit().wrong
        self.wrong += [f"verify: {one.what} ({one.where})" for one in verify_factory(factory).problems]

    @property
    def unanswered(self) -> int:
        """Records whose answer nobody got."""
        return len(self.logged.keys() - self.answered.keys())


class Clients:
    """Ask a server, each on a connection of its own, until they are stopped; they wait while it is down."""

    def __init__(
        self, server: Server, ledger: Ledger, rows: list[Row], *, seed: int, pause_s: float = 0.0
    ) -> None:
        self._server, self._ledger, self._rows, self._pause_s = server, ledger, rows, pause_s
        self._stopped = threading.Event()
        begun = secrets.token_hex(4)
        self._threads = [
            threading.Thread(target=self._keep_asking, args=(random.Random(seed + i), f"{begun}-{i}"))  # noqa: S311
            for i in range(CONNECTIONS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each end its request."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _keep_asking(self, chance: random.Random, name: str) -> None:
        number, pending = 0, dict[str, str]()
        while not self._stopped.wait(0.005):
            if (address := self._server.address) is None:
                continue
            connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
            with suppress(OSError, http.client.HTTPException):  # it was killed
                while not self._stopped.wait(self._pause_s):
                    number += 1
                    self._one(connection, chance, f"{name}-{number}", pending)
            connection.close()

    def _one(
        self,
        connection: http.client.HTTPConnection,
        chance: random.Random,
        name: str,
        pending: dict[str, str],
    ) -> None:
        if pending:  # a label whose acknowledgement did not come is sent again
            self._label(connection, chance, pending)
        new = self._predict(connection, chance, name)
        if new and chance.random() < LABELLED:
            pending.update({one: chance.choice(["yes", "no"]) for one in new})

    def _predict(self, connection: http.client.HTTPConnection, chance: random.Random, name: str) -> list[str]:
        most, least = (200, MANY) if chance.random() < LARGE else (3, 1)
        keys = [f"{name}-{i}" for i in range(chance.randint(least, most))]
        self._ledger.asked.update(keys)
        rows = [{**chance.choice(self._rows), "key": key} for key in keys]
        said = self._post(connection, "predict", {"rows": rows, "durable": chance.random() < DURABLE})
        new = {
            one["id"]: Answered(one["key"], one["probabilities"], said["durability"])
            for one in said.get("predictions", ())
        }
        self._ledger.answered |= new
        return [one for one, told in new.items() if told.durability != "none"]

    def _label(
        self, connection: http.client.HTTPConnection, chance: random.Random, pending: dict[str, str]
    ) -> None:
        self._ledger.sent |= pending
        by_key = chance.random() < BY_KEY
        labels = [
            {"key": self._ledger.answered[one].key, "label": label} if by_key else {"id": one, "label": label}
            for one, label in pending.items()
        ]
        said = self._post(connection, "feedback", {"labels": labels})
        if "unknown" not in said:
            return
        if said["unknown"]:
            self._ledger.wrong.append(f"labels of acknowledged answers are unknown: {said}")
        self._ledger.labelled |= pending
        pending.clear()

    def _post(self, connection: http.client.HTTPConnection, what: str, body: Any) -> dict[str, Any]:
        path, headers = f"/v1/lines/{LINE}/{what}", {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            self._ledger.refused[f"{what} {answer.status}"] += 1
            return {}
        return said


# Kills


def kill(root: Path, rows: list[Row], kills: int, seed: int) -> list[str]:
    """Kill an endpoint under load so many times, print what became of it, and return the violations."""
    chance, begun, ledger, starting = random.Random(seed), time.monotonic(), Ledger(), 0  # noqa: S311
    server = Server(root)
    clients = Clients(server, ledger, rows, seed=seed)
    starts: list[float] = []
    try:
        with Factory.open(root) as factory:
            for _ in range(kills):
                started = time.monotonic()
                server.start()
                if starts and chance.random() < STARTING:
                    starting += 1
                    time.sleep(chance.uniform(0, max(starts)))
                else:
                    server.wait()
                    starts.append(time.monotonic() - started)
                    time.sleep(chance.uniform(0, LONGEST_S))
                server.end()
                ledger.read_on(factory)
            clients.stop()
            ledger.hold_against(factory)
    finally:
        clients.stop()
        server.end()
    ledger.wrong += [f"a request was refused {n} times: {what}" for what, n in ledger.refused.items()]
    durable = sum(one.durability == "durable" for one in ledger.answered.values())
    _print_table(
        {
            f"kills (seed {seed}, {time.monotonic() - begun:.0f} s)": kills,
            "of them while it started": starting,
            "acknowledged answers": len(ledger.answered),
            "of them durable": durable,
            "acknowledged labels": len(ledger.labelled),
            "records whose answer nobody got": ledger.unanswered,
            "torn ends that the kills left": len(ledger.torn),
            "violations": len(ledger.wrong),
        }
    )
    return ledger.wrong


# A disk that fails


def why_no_tracing() -> str | None:
    """Return why no fault can be injected here; `None` where it can."""
    if shutil.which("strace") is None:
        return "there is no strace"
    tried = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False, text=True
    )
    return None if tried.returncode == 0 else f"no process may be traced: {tried.stderr.strip()[-200:]}"


@contextmanager
def failing_disk(pid: int) -> Generator[None]:
    """Let each fsync of a process fail with EIO."""
    inject = "inject=fsync,fdatasync:error=EIO"
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        assert "attached" in said, said
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE_S)
        tracer.stderr.close()


class _Asker:
    """One client, that hears what it is answered."""

    def __init__(self, server: Server, ledger: Ledger, rows: list[Row], name: str) -> None:
        self._server, self._ledger, self._rows, self._name, self._number = server, ledger, rows, name, 0

    def get(self, path: str) -> str:
        """Return what stands at a path."""
        return self._ask("GET", path)[1]

    def health(self) -> dict[str, Any]:
        """Return how the line is."""
        return json.loads(self.get("/v2/health"))["lines"][0]

    def predict(self, *, durable: bool = False) -> tuple[int, str, str]:
        """Return status, durability and id of an answer."""
        self._number += 1
        key = f"{self._name}-{self._number}"
        self._ledger.asked.add(key)
        body = {"rows": [{**self._rows[0], "key": key}], "durable": durable}
        status, text = self._ask("POST", f"/v1/lines/{LINE}/predict", body)
        said = json.loads(text)
        if status != 200:
            return status, "", ""
        (one,) = said["predictions"]
        self._ledger.answered[one["id"]] = Answered(key, one["probabilities"], said["durability"])
        return status, said["durability"], one["id"]

    def label(self, prediction: str) -> tuple[int, dict[str, Any]]:
        """Hand in a label, and return the status and the answer."""
        self._ledger.sent[prediction] = "yes"
        body = {"labels": [{"id": prediction, "label": "yes"}]}
        status, text = self._ask("POST", f"/v1/lines/{LINE}/feedback", body)
        said = json.loads(text)
        if status == 200 and not said["unknown"]:
            self._ledger.labelled[prediction] = "yes"
        return status, said

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        assert self._server.address is not None
        connection = http.client.HTTPConnection(*self._server.address, timeout=PATIENCE_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


@dataclass
class _Seen:
    """What was seen while the disk failed, and what of it is wrong."""

    table: dict[str, object]
    wrong: list[str] = field(default_factory=list[str])

    def expect(self, what: str, seen: object, *wanted: object) -> None:
        """Note what was seen, and whether it is one of what may be."""
        self.table[what] = seen
        if seen not in wanted:
            self.wrong.append(f"{what}: {seen!r}, not {' or '.join(map(repr, wanted))}")


def fail(root: Path, rows: list[Row], when: WhenLogFails) -> list[str]:
    """Let the disk of an endpoint fail, print what it says then, and return the violations."""
    ledger, seen = Ledger(), _Seen({f"`when_log_fails: {when}`": "seen"})
    with Factory.open(root) as factory:
        configure(factory, when)
        before = factory.labels_of(LINE).counts()
        with serving(root) as server:
            asker = _Asker(server, ledger, rows, f"fails-{when}-{secrets.token_hex(4)}")
            seen.expect("an answer before", asker.predict()[:2], (200, "buffered"))
            segment = _newest(factory)
            with failing_disk(server.pid):
                _while_it_fails(factory, asker, seen, _FURTHER[when])
                size = segment.stat().st_size
            _afterwards(factory, asker, seen)
            seen.expect("bytes written to the refused segment since", segment.stat().st_size - size, 0)
            seen.expect("another segment is written to", _newest(factory) != segment, True)
            unlogged = [one for one, told in ledger.answered.items() if told.durability == "none"]
            if unlogged:
                seen.expect(
                    "a label of an answer that no log has: unknown", asker.label(unlogged[0])[1]["unknown"], 1
                )
        labelled = factory.labels_of(LINE).counts().labelled - before.labelled
        kept = {one.record.id for one in read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))}
    lost = [one for one, told in ledger.answered.items() if told.durability != "none" and one not in kept]
    seen.expect("acknowledged answers that are not there", len(lost), 0)
    seen.expect("labels that are there, of those acknowledged", (labelled, len(ledger.labelled)), (1, 1))
    _print_table(seen.table | {"violations": len(seen.wrong)}, head=False)
    return [f"{when}: {each}" for each in seen.wrong]


def _while_it_fails(factory: Factory, asker: "_Asker", seen: _Seen, further: tuple[int, str]) -> None:
    status_, said, doubted = asker.predict()
    seen.expect("an answer that has still to be forced to the disk", (status_, said), (200, "buffered"))
    _until(lambda: asker.health()["log_fails"] is not None)
    told = asker.health()
    seen.expect("health: `log_fails`", told["log_fails"], "Input/output error")
    seen.expect("health: `log_trouble`", told["log_trouble"], "not forced to the disk: Input/output error")
    metrics = dict(one.rsplit(" ", 1) for one in asker.get("/metrics").splitlines())
    labels = f'{{line="{LINE}"}}'
    seen.expect("`linewright_log_fails`", metrics[f"linewright_log_fails{labels}"], "1")
    unsynced = metrics[f"linewright_log_unsynced_bytes{labels}"]
    seen.expect("`linewright_log_unsynced_bytes` is above 0", unsynced != "0", True)
    seen.expect("a `durable` request", asker.predict(durable=True)[0], 503)
    seen.expect("a label", asker.label(doubted)[0], 502, 503)
    # A new segment cannot be begun, since its name cannot be forced to the disk either.
    for _ in range(5):
        seen.expect("further answers", asker.predict()[:2], further)
    tend_log(factory, LINE)
    seen.expect("alerts", [one.state for one in alerts(factory).alerts if one.monitor == "log"], ["open"])
    seen.expect("`status` tells of it", status(factory).lines[0].log_fails is not None, True)


def _afterwards(factory: Factory, asker: "_Asker", seen: _Seen) -> None:
    answered = [asker.predict(), asker.predict(durable=True)]
    seen.expect("answers afterwards", [one[:2] for one in answered], [(200, "buffered"), (200, "durable")])
    seen.expect("a label afterwards", asker.label(answered[1][2])[0], 200)
    _until(lambda: asker.health()["log_fails"] is None)
    tend_log(factory, LINE)
    seen.expect(
        "alerts afterwards", [one.state for one in alerts(factory).alerts if one.monitor == "log"], []
    )


_FURTHER: dict[WhenLogFails, tuple[int, str]] = {"refuse": (503, ""), "serve-unlogged": (200, "none")}


def _newest(factory: Factory) -> Path:
    return max(factory.log_of(LINE).iterdir())


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


# Alone


def alone(root: Path, rows: list[Row], seconds: float, *, window_s: float = 10.0) -> list[str]:
    """Serve without the factory's databases, put them back, print what was caught up, and return the violations."""
    ledger, state = Ledger(), root / ".linewright"
    away, begun = root / "away", time.monotonic()
    with serving(root) as server:
        with _moved(state, away):
            clients = Clients(server, ledger, rows, seed=1, pause_s=LIGHT_S)
            try:
                time.sleep(seconds / 2)
                server.end()  # it starts again without them too
                server.start()
                server.wait()
                time.sleep(seconds / 2)
            finally:
                clients.stop()
            if made := [name for name in AWAY if (state / name).exists()]:
                ledger.wrong.append(f"the endpoint made {made}")
                for name in made:
                    (state / name).unlink()
        took = time.monotonic() - begun
        time.sleep(window_s + 0.5)  # until the window of the last answers has ended
        with Factory.open(root) as factory:
            told = status(factory, LINE).lines[0]
            ledger.read_on(factory)
            tend_inline(factory, LINE)
            watched = sum(one.n for one in factory.metadata.events(Watched, line=LINE))
            ledger.hold_against(factory)
    if (told.predictions, told.labels) != (len(ledger.logged), len(ledger.labelled)):
        ledger.wrong.append(f"`status` counts {told.predictions} answers and {told.labels} labels")
    if watched != len(ledger.logged):
        ledger.wrong.append(f"windows count {watched} answers, {len(ledger.logged)} are logged")
    ledger.wrong += [f"a request was refused {n} times: {what}" for what, n in ledger.refused.items()]
    _print_table(
        {
            "seconds without the databases, killed once": round(took),
            "acknowledged answers": len(ledger.answered),
            "acknowledged labels": len(ledger.labelled),
            "records whose answer nobody got": ledger.unanswered,
            "answers that `status` counts afterwards": told.predictions,
            "labels that `status` counts afterwards": told.labels,
            "answers in closed windows afterwards": watched,
            "violations": len(ledger.wrong),
        }
    )
    return ledger.wrong


@contextmanager
def _moved(state: Path, away: Path) -> Generator[None]:
    away.mkdir()
    files = [path for path in state.iterdir() if path.name.startswith(AWAY)]
    for path in files:
        path.rename(away / path.name)
    try:
        yield
    finally:
        for path in files:
            (away / path.name).rename(path)


def _print_table(table: dict[str, object], *, head: bool = True) -> None:
    rows = {"what": "how many", **table} if head else table
    for number, (what, seen) in enumerate(rows.items()):
        shown = f"{seen:,}" if isinstance(seen, int) and not isinstance(seen, bool) else _shown(seen)
        print(f"| {what} | {shown} |")
        if number == 0:
            print("|---|---:|")
    print(flush=True)


def _shown(seen: object) -> str:
    match seen:
        case bool():
            return "yes" if seen else "no"
        case tuple():
            return " ".join(str(one) for one in seen if one != "")
        case list():
            return "; ".join(_shown(one) for one in seen) or "none"
        case _:
            return str(seen)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the moments (default: a new one)"
    )
    parser.add_argument("--alone", type=float, nargs="?", const=10.0, metavar="MINUTES")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "factory"
        rows = make(root)
        if given.alone is not None:
            wrong = alone(root, rows, given.alone * 60)
        else:
            wrong = kill(root, rows, given.kills, given.seed)
            if (because := why_no_tracing()) is not None:
                print(f"left out, the disk that fails: {because}")
            else:
                wrong += fail(root, rows, "refuse") + fail(root, rows, "serve-unlogged")
    for each in wrong[:50]:
        print(f"violation: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
