"""Kill a factory with SIGKILL, let it resume, and compare every digest with a factory that was not killed.

    python benchmarks/kill.py --boundaries
    python benchmarks/kill.py --fits
    python benchmarks/kill.py --random N [--seed K]

`--boundaries` kills a run at the start and the end of each step and at both sides of each write to the metadata
store; `--fits` right before and right after each finished fit is kept. `--random` kills `run`, or `up` while it carries out a run and answers and labels come in, at moments that are uniform over
the time that an uninterrupted one takes: the whole of `up`, or its supervisor, endpoint or worker alone. A row is printed for
each kill that broke something, and the counts; exit code 1 if there was any.
"""

import argparse
import csv
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.engine.durable import EngineClient
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, RunResult
from linewright.line.runs.execute import execute, execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.record import WORKFLOW, prepare
from linewright.model.facts import Package
from linewright.release.facts import Promoted, Refused
from linewright.serve.log.segments import read_log

LINE, SERVED = "tumours", "lumps"
"""The line whose run is killed, and one beside it that answers already."""
PROGRAM = (sys.executable, "-m", "linewright")
TARGETS = ("run", "run", "run", "up", "supervisor", "endpoint", "worker")
"""What is killed, each as often as it stands here; `up` is all of its processes at once."""
MODULES = {"endpoint": b"linewright.serve", "worker": b"linewright.capabilities.serving.control_plane"}
LONGEST_S = 120.0
PAUSE_S = 0.01


def make_fresh(root: Path, *lines: str) -> None:
    bunch: Any = load_breast_cancer()
    root.mkdir(parents=True)
    with (root / "cancer.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(name.replace(" ", "_") for name in bunch.feature_names), "diagnosis"])
        writer.writerows(
            [*map(float, row), bunch.target_names[target]]
            for row, target in zip(bunch.data, bunch.target, strict=True)
        )
    for name in lines:
        new_line(root, name, root / "cancer.csv", GivenRoles(label="diagnosis", positive="malignant"))
        line = root / "lines" / f"{name}.yaml"
        line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
    Factory.create(root).close()


def digests(result: RunResult) -> tuple[str, ...]:
    return (result.dataset, result.split, result.digest, result.certificate)


def broken(root: Path, expected: tuple[str, ...]) -> list[str]:
    """Resume, and say what is not as it was without the kill."""
    with Factory.open(root) as factory:
        result = execute(factory, LINE)
        promotions = factory.metadata.events(Promoted, line=LINE)
        refusals = factory.metadata.events(Refused, line=LINE)
        accepted = factory.metadata.events(Accepted, line=LINE)
        certificates = {one.certificate for one in (*promotions, *refusals)}
        pointer = factory.metadata.pointer(LINE)
        verified = verify_factory(factory)
        left = list(factory.fits_of(LINE).files())
    found = [f"verify: {problem.what} ({problem.where})" for problem in verified.problems]
    if left:
        found.append(f"{len(left)} kept fits left behind")
    if digests(result) != expected:
        found.append("other digests")
    if not result.promoted or pointer.champion != 1 or pointer.generation != 1:
        found.append(f"champion {pointer.champion}, generation {pointer.generation}")
    if len(promotions) != 1 or len(certificates) != 1:
        found.append(f"{len(promotions)} promotions, {len(certificates)} certificates decided")
    if len(accepted) != 1 or verified.unfinished:
        found.append(f"{len(accepted)} runs accepted, {verified.unfinished} not ended")
    return found


# At each boundary


def at_boundaries(kind: str = "") -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        whole, inline, fresh = (Path(folder) / name for name in ("whole", "inline", "fresh"))
        make_fresh(fresh, LINE)
        for copy in (whole, inline):
            shutil.copytree(fresh, copy)
        with Factory.open(whole) as factory:
            expected = digests(execute(factory, LINE))
        with Factory.open(inline) as factory:
            agrees = digests(execute_inline(factory, LINE)) == expected
        print(f"inline and durable engine give equal digests: {'yes' if agrees else 'NO'}")
        bad, moment = 0 if agrees else 1, 0
        while True:
            moment += 1
            root = Path(folder) / f"killed-{moment}"
            shutil.copytree(fresh, root)
            command = [sys.executable, "-m", "linewright.testing.faults", str(root), LINE, f"{kind}{moment}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
            if done.returncode == 0:
                break
            if done.returncode != -signal.SIGKILL:
                print(done.stderr)
                return 1
            for what in broken(root, expected):
                bad += 1
                print(f"killed at boundary {moment}: {what}")
            shutil.rmtree(root)
    print(f"{moment - 1} boundaries, {bad} violations, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


# At random moments


@dataclass
class Client:
    """Asks the endpoint and hands in labels until it is stopped; keeps what was acknowledged."""

    port: int
    row: dict[str, float]
    answered: list[str] = field(default_factory=list[str])
    labelled: dict[str, str] = field(default_factory=dict[str, str])
    odd: set[str] = field(default_factory=set[str])
    """Answers that no kill explains."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask, also while nothing listens yet."""
        self._thread = threading.Thread(target=self._keep_asking)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_asking(self) -> None:
        while not self._stop.wait(PAUSE_S):
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
                    while not self._stop.wait(PAUSE_S):
                        self._ask(connection)
            except (OSError, http.client.HTTPException):  # it was killed, or does not listen yet
                continue

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        said = self._post(connection, "predict", {"rows": [self.row, self.row]})
        new = [one["id"] for one in said.get("predictions", ())]
        self.answered += new
        labels = {one: "malignant" if int(one[-1], 16) % 2 else "benign" for one in new[:1]}
        said = self._post(
            connection, "feedback", {"labels": [{"id": one, "label": label} for one, label in labels.items()]}
        )
        if said.get("accepted") == 1:
            self.labelled |= labels

    def _post(self, connection: http.client.HTTPConnection, what: str, body: Any) -> dict[str, Any]:
        connection.request(
            "POST",
            f"/v1/lines/{SERVED}/{what}",
            json.dumps(body),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            self.odd.add(f"{what} was answered {answer.status}: {said.get('message')}")
        return said

    def lost(self, root: Path) -> list[str]:
        """Say what was acknowledged and is not there exactly once."""
        with Factory.open(root) as factory:
            logged = Counter(
                one.record.id for one in read_log(factory.log_of(SERVED), sealed=factory.sealed_of(SERVED))
            )
            package = factory.metadata.get(factory.metadata.versions(SERVED)[0].digest, Package)
            labels = [{"id": one, "label": label} for one, label in self.labelled.items()]
            again = factory.labels_of(SERVED).accept(labels, package=package) if labels else {"repeated": 0}
        missing = [one for one in self.answered if logged[one] != 1]
        found = (
            [f"{len(missing)} acknowledged answers are not logged once, first {missing[0]}"]
            if missing
            else []
        )
        if again["repeated"] != len(labels):
            found.append(f"of {len(labels)} acknowledged labels {again['repeated']} are there")
        return [*found, *sorted(self.odd)]


@dataclass(frozen=True)
class Killed:
    """How a killed factory was left, and what was acknowledged before."""

    is_hit: bool
    """Whether there was still something to kill."""
    client: Client | None = None


def kill_run(root: Path, after: float) -> Killed:
    process = subprocess.Popen(
        [*PROGRAM, "run", LINE], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    return Killed(process.wait() == -signal.SIGKILL)


def kill_up(root: Path, target: str, after: float) -> Killed:
    """Start `up` with a run in its queue and kill a part of it; what lives on finishes the run and is stopped."""
    run, client = queue(root), Client(free_port(), row_of(root))
    process = start_up(root, client.port)
    client.start()
    try:
        time.sleep(after)
        is_hit = kill_part(process, target)
        if is_hit and target in MODULES:
            if not ends(root, run, process):
                client.odd.add(f"the run did not go on; up ended with {process.poll()}")
            process.terminate()
        if not is_hit:
            process.kill()
        process.wait(LONGEST_S)
    finally:
        client.stop()
        end_group(process)
    return Killed(is_hit, client)


def kill_part(process: "subprocess.Popen[bytes]", target: str) -> bool:
    """Kill `up` or a part of it; return whether there was such a process."""
    if target == "up":
        os.killpg(process.pid, signal.SIGKILL)
    elif target == "supervisor":
        process.kill()
    else:
        pid = child_of(process.pid, MODULES[target])
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
    return True


def child_of(parent: int, module: bytes) -> int | None:
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if module in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return int(pid)
    return None


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Wait until no process of the group is left; its children end by themselves when the supervisor is killed."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(PAUSE_S)
    os.killpg(process.pid, signal.SIGKILL)
    raise RuntimeError("children outlived a supervisor that was killed")


def start_up(root: Path, port: int) -> "subprocess.Popen[bytes]":
    with (root / "up.txt").open("wb") as says:
        return subprocess.Popen(
            [*PROGRAM, "up", "--port", str(port), "--control-port", str(free_port())],
            cwd=root,
            stdout=says,
            stderr=says,
            start_new_session=True,
        )


def queue(root: Path) -> str:
    """Ask for a run, as a `run` beside `up` does, and return its id."""
    with Factory.open(root) as factory, closing(EngineClient(factory.engine_url)) as client:
        spec = factory.line(LINE)
        run, request = prepare(factory, spec, make_plan(factory, spec))
        client.start(WORKFLOW, run, request)
    return run


def ends(root: Path, run: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the end of a run that a process carries out, and return whether it came."""
    deadline = time.monotonic() + LONGEST_S
    with Factory.open(root) as factory, closing(EngineClient(factory.engine_url)) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                client.follow(run, timeout=1)
            except Transient:  # not yet
                continue
            return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def row_of(root: Path) -> dict[str, float]:
    with (root / "cancer.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    return {name: float(value) for name, value in first.items() if name != "diagnosis"}


def lengths(fresh: Path, folder: Path) -> dict[str, float]:
    """Return how many seconds an uninterrupted `run`, and a run of `up`, takes from the start of its process."""
    took: dict[str, float] = {}
    root = Path(shutil.copytree(fresh, folder / "run"))
    began = time.monotonic()
    subprocess.run([*PROGRAM, "run", LINE], cwd=root, capture_output=True, check=True)
    took["run"] = time.monotonic() - began
    root = Path(shutil.copytree(fresh, folder / "up"))
    run = queue(root)
    began = time.monotonic()
    process = start_up(root, free_port())
    assert ends(root, run, process)
    took["up"] = time.monotonic() - began
    process.terminate()
    process.wait(LONGEST_S)
    return took


def at_random(kills: int, seed: int) -> int:
    began, chance = time.monotonic(), random.Random(seed)  # noqa: S311 -- no secret
    counts, bad = Counter[str](), Counter[str]()
    answers = labels = late = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh = folder / "fresh"
        make_fresh(fresh, LINE, SERVED)
        with Factory.open(fresh) as factory:
            execute(factory, SERVED)
        whole = Path(shutil.copytree(fresh, folder / "whole"))
        with Factory.open(whole) as factory:
            expected = digests(execute(factory, LINE))
        took = lengths(fresh, folder)
        print(f"seed {seed}; uninterrupted: " + ", ".join(f"{what} {s:.1f} s" for what, s in took.items()))
        while sum(counts.values()) < kills:
            target = chance.choice(TARGETS)
            after = chance.uniform(0, took["run" if target == "run" else "up"])
            root = Path(shutil.copytree(fresh, folder / "killed"))
            killed = kill_run(root, after) if target == "run" else kill_up(root, target, after)
            if not killed.is_hit:  # it had ended, or not begun
                late += 1
                shutil.rmtree(root)
                continue
            counts[target] += 1
            found = broken(root, expected)
            if killed.client is not None:
                answers += len(killed.client.answered)
                labels += len(killed.client.labelled)
                found += killed.client.lost(root)
            if found:
                bad[target] += 1
                kept = shutil.move(root, tempfile.mkdtemp(prefix="killed-"))
                print(
                    f"kill {sum(counts.values())}, {target} after {after:.3f} s: {'; '.join(found)}; see {kept}"
                )
            else:
                shutil.rmtree(root)
    for target in sorted(counts):
        print(f"{target}: {counts[target]} kills, {bad[target]} with violations")
    print(
        f"{late} moments found nothing to kill; {answers:,} answers and {labels:,} labels were acknowledged"
    )
    bound = f" (at 95 % confidence fewer than {3 / kills:.2%} of kills)" if not bad else ""
    print(f"{kills} random kills, {bad.total()} violations{bound}, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--boundaries", action="store_true")
    what.add_argument("--fits", action="store_true")
    what.add_argument("--random", type=int, metavar="N", help="how many kills")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the moments (default: a new one)"
    )
    given = parser.parse_args()
    if given.boundaries or given.fits:
        return at_boundaries("fit:" if given.fits else "")
    return at_random(given.random, given.seed)


if __name__ == "__main__":
    sys.exit(main())
