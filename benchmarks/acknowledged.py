"""What a factory that is up acknowledged is there, once, after kills of every kind of process.

    python benchmarks/acknowledged.py [--kills 600] [--seed N]

A factory is held up: one line serves and is trained again and again, a scheduled job predicts for it, and `doctor` is asked for. Eight kinds of
write go on without a pause: predictions, labels, sent rows, comments, promotions, tokens, answers of an annotator and saved views. Each writer
sends what was not acknowledged again, to the control plane with the same `Idempotency-Key`, until it hears what became of it. SIGKILL comes
at random moments to one of seven kinds of process: all at once, the supervisor, the endpoint, the control plane with its worker, a run, a
scheduled job, an expensive operation. `up` is started again where the supervisor was killed, and then alone. At the end everything that was
acknowledged is looked for in what is stored, once, and `verify` looks at all. Exit code 1 if something is lost, double or damaged, or if `up` ended by itself.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siege import tree, words_of

from linewright.capabilities.care.verify import verify_factory
from linewright.line.factory import Factory
from linewright.line.record.comments import words_of as words_of_comment
from linewright.people.annotations import Annotations
from linewright.people.facts import Commented
from linewright.people.preferences import OWNER, read_preferences
from linewright.release.facts import Promoted
from linewright.serve.access.accounts import read_accounts
from linewright.serve.log.segments import read_log
from linewright.store.clock import now_utc
from linewright.store.pushed_rows import PushedRows

LINE, TRAINED, SOURCE = "steady", "again", "events"
PROGRAM = (sys.executable, "-m", "linewright")
MODULES = {
    "endpoint": "linewright.serve",
    "control plane and worker": "linewright.capabilities.serving.control_plane",
    "run": "linewright.line.runs.attempt",
    "scheduled job": "linewright.capabilities.schedules.run_tasks",
    "expensive operation": "linewright.interfaces.http.operation_process",
}
KINDS = ("everything", "supervisor", *MODULES)
LONGEST_S, READY_S = 1.0, 90.0
"""Longest pause before a kill, and longest wait until both servers answer."""
WHILE_STARTING = 0.1
"""Share of the kills that do not wait until both servers answer."""
QUESTIONS = 5_000
LINE_FILE = """\
line: {name}
sources: {{rows: {{file: {file}}}}}
table: {{key: key}}
label: {{column: bad, positive: "yes"}}
train: {{budget: {{trials: 1}}, split: {{by: random, test: 0.3}}}}
gates:
  - {{metric: roc_auc, at_least: 0.6}}
"""
JOB = """\
predict:
  often:
    rows: rows
    to: {file: "out/answers.csv"}
    when: [{every: 2s}]
"""
SENT = """\
line: sent
sources: {rows: {push: events, key: id}}
label: {column: bad}
"""


def make(root: Path) -> None:
    """Make a factory with a line that serves two versions' worth, one that is trained again, and one that learns from sent rows."""
    (root / "lines").mkdir(parents=True)
    (root / "factory.yaml").write_text("format: 1\n")
    for name in (LINE, TRAINED):
        rows = [f"{name}-{number},{row_text(number)}" for number in range(400)]
        (root / f"{name}.csv").write_text("\n".join(["key,size,speed,bad", *rows]) + "\n")
        text = LINE_FILE.format(name=name, file=f"{name}.csv") + (JOB if name == LINE else "")
        (root / "lines" / f"{name}.yaml").write_text(text)
    (root / "lines" / "sent.yaml").write_text(SENT)
    _command(root, "run", LINE)
    with (root / f"{LINE}.csv").open("a") as file:
        file.writelines(f"{LINE}-{number},{row_text(number)}\n" for number in range(400, 600))
    _command(root, "run", LINE, may_end=(0, 4))
    _command(root, "check", "sent", may_end=(0, 2, 3))


def _command(root: Path, *words: str, may_end: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([*PROGRAM, *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in may_end:
        sys.exit(f"{' '.join(words)}: {done.stdout}{done.stderr}")


def row_text(number: int) -> str:
    """Return a row of a table, as CSV: its size decides its label."""
    chance = random.Random(number)  # noqa: S311 -- no secret
    size = chance.random()
    return f"{size:.4f},{chance.random():.4f},{'yes' if size + 0.3 * chance.random() > 0.65 else 'no'}"


def free_ports(number: int) -> list[int]:
    """Return ports that are free, and from which no client of this machine connects while a server is down."""
    first, found = random.SystemRandom().randrange(20_000, 30_000), list[int]()
    for port in range(first, first + 1_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == number:
            break
    return found


class Killed:
    """A factory that is up, and whose processes are killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, self.control = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for it."""
        command = [*PROGRAM, "up", "--port", str(self.port), "--control-port", str(self.control)]
        with self.says.open("ab") as says:
            self.process = subprocess.Popen(command, cwd=self.root, stdout=says, stderr=says)

    @property
    def says(self) -> Path:
        """What it printed."""
        return self.root.parent / "up.txt"

    def wait(self) -> None:
        """Wait until both servers answer; it is an error if `up` has ended."""
        deadline = time.monotonic() + READY_S
        while not (self._answers(self.port, f"/v2/models/{LINE}/ready") and self._answers(self.control, "/")):
            if self.process is not None and not self.lives():
                said = self.says.read_text(errors="replace")[-1_500:]
                raise RuntimeError(f"`up` ended with {self.process.returncode} by itself, and said: {said}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer within {READY_S:g} s")
            time.sleep(0.05)

    def lives(self) -> bool:
        """Return whether the supervisor lives."""
        return self.process is not None and self.process.poll() is None

    def pids(self, kind: str) -> list[int]:
        """Return the processes of a kind."""
        assert self.process is not None
        if kind == "supervisor":
            return [self.process.pid]
        every = tree(self.process.pid)
        return every if kind == "everything" else [one for one in every if MODULES[kind] in words_of(one)]

    def kill(self, kind: str, patience_s: float) -> bool:
        """Kill what is there of a kind, once some is; return whether there was any."""
        deadline = time.monotonic() + patience_s
        while not (found := self.pids(kind)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind in {"everything", "supervisor"}:
            assert self.process is not None
            self.process.wait()
        return True

    def end(self) -> int:
        """End it in order, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(120)

    def _answers(self, port: int, path: str) -> bool:
        try:
            return ask(port, "GET", path, timeout_s=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def token(self) -> dict[str, str]:
        """Return the header by which the owner of the machine asks the control plane."""
        with suppress(FileNotFoundError):
            said = (self.root / ".linewright" / "control.token").read_text().strip()
            return {"Authorization": f"Bearer {said}"}
        return {}


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    timeout_s: float = 60,
) -> tuple[int, Any]:
    """Ask a server, and return the status and what it said."""
    sent = {**(headers or {}), **({} if body is None else {"Content-Type": "application/json"})}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        said = answer.read()
    try:
        return answer.status, json.loads(said)
    except ValueError:
        return answer.status, None


@dataclass
class Writes:
    """Writes of one kind."""

    sent: set[str] = field(default_factory=set[str])
    acknowledged: dict[str, str] = field(default_factory=dict[str, str])
    unknown: set[str] = field(default_factory=set[str])
    """Of which the factory said that nobody knows how far they came: at most once is all that can be asked."""
    refused: Counter[str] = field(default_factory=Counter[str])


class Writers:
    """Write, each kind in a thread of its own, until they are stopped."""

    def __init__(self, of: Killed) -> None:
        self._of, self._stopped = of, threading.Event()
        self.done = {name: Writes() for name in self.kinds}
        self._threads = [
            threading.Thread(target=self._go_on, args=(name, write)) for name, write in self.kinds.items()
        ]
        self._threads += [threading.Thread(target=self._keep, args=(one,)) for one in (self._run, self._look)]
        for thread in self._threads:
            thread.start()

    @property
    def kinds(self) -> dict[str, "Callable[[Writes, str], None]"]:
        """The eight kinds, each with what writes one."""
        return {
            "predictions": self._predict,
            "labels": self._label,
            "sent rows": self._push,
            "comments": self._comment,
            "promotions": self._promote,
            "tokens": self._token,
            "answers of an annotator": self._annotate,
            "saved views": self._save,
        }

    def stop(self) -> None:
        """Let each end what it has begun."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, name: str, write: Callable[[Writes, str], None]) -> None:
        number = 0
        while not self._stopped.wait(0.02):
            number += 1
            with suppress(OSError, http.client.HTTPException):
                write(self.done[name], f"{name[:2]}{number}")

    def _keep(self, what: Callable[[], None]) -> None:
        while not self._stopped.wait(0.1):
            with suppress(OSError, http.client.HTTPException):
                what()

    # The endpoint

    def _predict(self, to: Writes, name: str) -> None:
        row = {"key": name, "size": 0.4, "speed": 0.5}
        to.sent.add(name)
        status, said = ask(
            self._of.port,
            "POST",
            f"/v1/lines/{LINE}/predict",
            {"rows": [row], "durable": name.endswith("0")},
        )
        if status == 200 and said["durability"] != "none":
            to.acknowledged[said["predictions"][0]["id"]] = name
        else:
            to.refused[str(status)] += 1

    def _label(self, to: Writes, _name: str) -> None:
        answered = list(self.done["predictions"].acknowledged)
        free = [one for one in answered[-200:] if one not in to.acknowledged]
        if not free:
            return
        one = secrets.choice(free)
        label = "yes" if int(one[-1], 16) % 2 else "no"
        to.sent.add(one)
        body = {"labels": [{"id": one, "label": label}]}
        status, said = self._until_heard(self._of.port, f"/v1/lines/{LINE}/feedback", body)
        if status == 200 and said["accepted"] + said["repeated"] == 1:
            to.acknowledged[one] = label
        else:
            to.refused[f"{status} {said}"] += 1

    def _push(self, to: Writes, name: str) -> None:
        to.sent.add(name)
        body = {"rows": [{"id": name, "size": 0.5, "bad": "no"}]}
        status, said = self._until_heard(self._of.port, f"/v1/sources/{SOURCE}/rows", body)
        if status == 200 and said["accepted"] + said["repeated"] == 1:
            to.acknowledged[name] = ""
        else:
            to.refused[str(status)] += 1

    # The control plane

    def _comment(self, to: Writes, name: str) -> None:
        self._operate(to, name, "comment", {"line": LINE, "text": name})

    def _promote(self, to: Writes, name: str) -> None:
        version = 1 + len(to.sent) % 2
        body = {"model": f"{LINE}@{version}", "force": True, "because": name}
        self._operate(to, name, "promote", body)

    def _token(self, to: Writes, name: str) -> None:
        if len(to.sent) >= 500 or self._stopped.wait(3):  # there is a limit of tokens
            return
        # No answer to it is kept, so that it is asked for once.
        to.sent.add(name)
        body = {"name": name, "kind": "predict"}
        try:
            status, said = ask(self._of.control, "POST", "/api/v1/token-create", body, self._of.token())
        except ConnectionRefusedError:
            to.sent.discard(name)
            return
        if status == 200:
            to.acknowledged[name] = ""
        else:
            to.refused[f"{status} {(said or {}).get('message')}"] += 1

    def _save(self, to: Writes, name: str) -> None:
        self._operate(to, name, "save-view", {"name": "mine", "page": f"/?q={name}"})

    def _annotate(self, to: Writes, name: str) -> None:
        status, said = ask(
            self._of.control, "POST", "/api/v1/annotate-next", {"line": LINE}, self._of.token()
        )
        if status == 200 and (question := (said.get("question") or {}).get("id")) is not None:
            body = {"line": LINE, "question": question, "label": "yes", "because": name}
            self._operate(to, name, "annotate-answer", body)
        else:
            to.refused[f"next {status}"] += 1
            self._stopped.wait(0.5)

    def _operate(self, to: Writes, name: str, operation: str, body: dict[str, Any]) -> None:
        to.sent.add(name)
        key = {"Idempotency-Key": secrets.token_hex(16)}
        status, said = self._until_heard(self._of.control, f"/api/v1/{operation}", body, key)
        if status == 200:
            to.acknowledged[name] = ""
        elif status == 409 and "interrupted" in str(said.get("message")):
            to.unknown.add(name)
        else:
            to.refused[f"{status} {(said or {}).get('message')}"] += 1

    def _until_heard(
        self, port: int, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask until there is an answer that says more than that one should ask again."""
        deadline = time.monotonic() + 2 * READY_S
        while True:
            with suppress(OSError, http.client.HTTPException):
                mine = self._of.token() if port == self._of.control else {}
                status, said = ask(port, "POST", path, body, {**mine, **(headers or {})})
                is_again = status in {401, 429, 502, 503} or "being carried out" in str(said)
                if not is_again or time.monotonic() > deadline:
                    return status, said
            if time.monotonic() > deadline:
                return 0, {}
            time.sleep(0.1)

    # What keeps processes busy

    def _run(self) -> None:
        table = self._of.root / f"{TRAINED}.csv"
        number = table.read_text().count("\n")
        with table.open("a") as file:
            file.write(f"{TRAINED}-{number},{row_text(number)}\n")
        ask(self._of.control, "POST", "/api/v1/run", {"lines": [TRAINED]}, self._of.token(), timeout_s=300)

    def _look(self) -> None:
        ask(self._of.control, "GET", "/api/v1/doctor", None, self._of.token(), timeout_s=300)


def wrong(root: Path, done: dict[str, Writes]) -> list[str]:
    """Say what was acknowledged and is not there exactly once, or was sent once and is there more often."""
    with Factory.open(root) as factory:
        logged = [one.record for one in read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))]
        labels = factory.labels_of(LINE)
        labels.catch_up()
        truths = labels.labelled(known_by=now_utc())
        pushed = PushedRows.of(factory.state, SOURCE)
        with Annotations.of(factory.state, LINE).reading() as held:
            answers = held.answers()
        there = {
            "predictions": Counter(one.id for one in logged),
            "labels": Counter(one.id for one, truth in truths if truth is not None),
            "sent rows": Counter(json.loads(one.row)["id"] for page in pushed.rows() for one in page),
            "comments": Counter(
                words_of_comment(factory, one).text for one in factory.metadata.events(Commented, line=LINE)
            ),
            "promotions": Counter(one.because for one in factory.metadata.events(Promoted, line=LINE)),
            "tokens": Counter(one.name for one in read_accounts(factory.state).tokens.values()),
            "answers of an annotator": Counter(one.because for one in answers),
        }
        found = [f"verify: {one.what} ({one.where})" for one in verify_factory(factory).problems]
        for one, truth in truths:
            told = done["labels"].acknowledged.get(one.id)
            if told is not None and (truth is None or truth.label != told):
                found.append(f"labels: {one.id} is not {told}")
    for name, counts in there.items():
        lost = [one for one in done[name].acknowledged if not counts[one]]
        double = [one for one, many in counts.items() if many > 1]
        found += [f"{name}: {len(lost)} are lost, first {lost[0]}"] if lost else []
        found += [f"{name}: {len(double)} are double, first {double[0]}"] if double else []
    view = [one.address for one in read_preferences(root / ".linewright", OWNER, "").views]
    last = list(done["saved views"].acknowledged)[-1:]
    newer = done["saved views"].sent - set(done["saved views"].acknowledged)
    if last and not any(one.removeprefix("/?q=") in {*last, *newer} for one in view):
        found.append(f"saved views: {view} is there, {last[0]} was acknowledged last")
    return found


@dataclass
class Kills:
    """What was killed, and what became of `up`."""

    counts: Counter[str] = field(default_factory=Counter[str])
    absent: Counter[str] = field(default_factory=Counter[str])
    """How often there was none of a kind."""
    trouble: list[str] = field(default_factory=list[str])

    def go_on(self, of: Killed, chance: random.Random, kills: int) -> None:
        """Kill so many times."""
        while self.counts.total() < kills:
            time.sleep(chance.uniform(0, LONGEST_S))
            kind = chance.choice(KINDS)
            if not of.kill(kind, 3.0):
                self.absent[kind] += 1
                continue
            self.counts[kind] += 1
            if self.counts.total() % 50 == 0:
                print(f"{self.counts.total()} kills", file=sys.stderr, flush=True)
            if not of.lives():
                if kind not in {"everything", "supervisor"}:
                    self.trouble.append(f"kill {self.counts.total()}, {kind}: `up` ended by itself")
                of.start()
            if chance.random() >= WHILE_STARTING:
                self._wait(of, kind)
        of.wait()

    def _wait(self, of: Killed, kind: str) -> None:
        try:
            of.wait()
        except RuntimeError as error:
            self.trouble.append(f"kill {self.counts.total()}, {kind}: {error}")
            print(self.trouble[-1], file=sys.stderr, flush=True)
            if not of.lives():
                of.start()
                of.wait()


def queue_questions(of: Killed) -> None:
    """Have questions for the annotator, each about a prediction."""
    rows = [{"key": f"asked-{number}", "size": 0.4, "speed": 0.5} for number in range(QUESTIONS)]
    for start in range(0, QUESTIONS, 1_000):
        ask(of.port, "POST", f"/v1/lines/{LINE}/predict", {"rows": rows[start : start + 1_000]})
    time.sleep(1)
    body = {"line": LINE, "size": QUESTIONS}
    status, said = ask(of.control, "POST", "/api/v1/annotate-queue", body, of.token(), timeout_s=300)
    if status != 200:
        raise RuntimeError(f"no questions were queued: {said}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=600, help="how many (default: 600)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of kinds and moments")
    given = parser.parse_args()
    begun, kills = time.monotonic(), Kills()
    with tempfile.TemporaryDirectory() as folder:
        of = Killed(Path(folder) / "factory")
        make(of.root)
        of.start()
        writers: Writers | None = None
        try:
            of.wait()
            queue_questions(of)
            writers = Writers(of)
            kills.go_on(of, random.Random(given.seed), given.kills)  # noqa: S311 -- no secret
            time.sleep(2)
        finally:
            if writers is not None:
                writers.stop()
            code = of.end()
        trouble = [*kills.trouble, *([f"`up` ended with {code} in the end"] if code else [])]
        trouble += wrong(of.root, writers.done)
        if trouble:
            print(of.says.read_text(errors="replace")[-4000:], file=sys.stderr)
    print("| killed | times |\n|---|---:|")
    for kind in KINDS:
        print(f"| {kind} | {kills.counts[kind]} |")
    print("\n| writes | acknowledged | nobody knows | refused |\n|---|---:|---:|---:|")
    for name, one in writers.done.items():
        print(f"| {name} | {len(one.acknowledged):,} | {len(one.unknown)} | {one.refused.total()} |")
        for what, many in one.refused.most_common(3):
            print(f"{name} refused {many} times: {what[:200]}", file=sys.stderr)
    print("\n" + "\n".join(trouble or ["Nothing is lost, double or damaged."]))
    took = time.monotonic() - begun
    print(
        f"{given.kills} kills (seed {given.seed}; {kills.absent.total()} times none was there), {took:.0f} s"
    )
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
