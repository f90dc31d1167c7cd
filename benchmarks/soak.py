"""Hold a factory up for an hour under load, labels, retrainings and canaries, and see what grows.

    python benchmarks/soak.py [--minutes N] [--rows-per-second N] [--samples FILE]

Clients of a process of their own ask over kept connections for a steady number of rows a second and hand in the truth about some of
the answers. The line watches windows of 10 s, trains again on a schedule, twelve times in all, and its candidates begin as canaries. Every minute the
memory, open files and threads of endpoint and worker, the children that are at work, and the disk by folder are looked at (`--samples`
keeps all of them, one JSON object a line). The table holds the tenth minute against the end; of a run of less than 30 minutes it is a
third of it. What turns out depends a little more on `speed` as time goes on, so that there is something to learn.

Exit code 1 where a client was refused, lost its connection or got another answer than it should, or where nothing was trained or
promoted.
"""

import argparse
import http.client
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from siege import PROGRAM, SPAWN, Up, status_of, up

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.release.facts import Deployed, Promoted, Withdrawn
from linewright.watch.facts import Alerted, Watched

LINE = "steady"
"""The line that `siege.up` waits for."""
CONNECTIONS, ROWS_EACH = 4, 5
LABELLED = 0.2
"""Share of the requests whose answers get their truth, at once."""
RETRAININGS = 12
SETTLED_MINUTES = 10
ANSWER_S = 30.0
MINUTE_S = 60.0
LINE_FILE = """\
line: steady
sources: {{rows: {{file: rows.csv}}}}
table: {{key: unit}}
label: {{column: bad, positive: "yes"}}
train: {{budget: {{trials: 2}}, split: {{by: random, test: 0.3}}}}
gates:
  - {{metric: roc_auc, at_least: 0.6}}
release: {{rollout: canary, steps: [0.2, 0.5, 1.0], bake: {bake_s:g}s}}
watch: {{every: 10s}}
retrain: {{when: [{{every: {every_s:g}s}}], cooldown: {every_s:g}s}}
"""
FOLDERS = (
    "log",
    "sealed",
    "artifacts",
    "datasets",
    "feedback",
    "metadata.sqlite",
    "engine.sqlite",
    "replies.sqlite",
)
"""Of the state; what is beside them is told as the rest."""


# A small world


def drawn(chance: random.Random, pull: float) -> tuple[dict[str, float], str]:
    """Draw a row and what turns out, which depends on `speed` by `pull`."""
    size, speed = chance.random(), chance.random()
    bad = size + pull * speed + 0.3 * chance.random() > 0.75 + 0.5 * pull
    return {"size": round(size, 4), "speed": round(speed, 4)}, "yes" if bad else "no"


def make_factory(root: Path, *, every_s: float) -> None:
    """Make a factory with one line, and its first model."""
    (root / "lines").mkdir(parents=True)
    (root / "factory.yaml").write_text("format: 1\n")
    chance, rows = random.Random(1), ["unit,size,speed,bad"]  # noqa: S311 -- no secret
    for number in range(2_000):
        one, bad = drawn(chance, 0.0)
        rows.append(f"u{number},{one['size']},{one['speed']},{bad}")
    (root / "rows.csv").write_text("\n".join(rows) + "\n")
    (root / "lines" / f"{LINE}.yaml").write_text(LINE_FILE.format(every_s=every_s, bake_s=every_s / 10))
    done = subprocess.run([*PROGRAM, "run", LINE], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the first model was not made: {done.stdout}{done.stderr}")


# Clients


@dataclass
class Load:
    """What clients did."""

    requests: int = 0
    rows: int = 0
    labels: int = 0
    late: int = 0
    """Requests that began more than a second behind their time."""
    slowest_ms: float = 0.0
    failures: Counter[str] = field(default_factory=Counter[str])


def keep_loading(port: int, rows_per_second: float, seconds: float, pipe: Connection) -> None:
    """Ask and hand in labels until told to stop; tell of it."""
    stop, loads = threading.Event(), [Load() for _ in range(CONNECTIONS)]
    pace_s = CONNECTIONS * ROWS_EACH / rows_per_second
    threads = [
        threading.Thread(
            target=_one_client, args=(port, number, load, stop), kwargs={"pace_s": pace_s, "seconds": seconds}
        )
        for number, load in enumerate(loads)
    ]
    for each in threads:
        each.start()
    while pipe.recv() != "stop":
        pipe.send(_sum(loads))
    stop.set()
    for each in threads:
        each.join()
    pipe.send(_sum(loads))


def _one_client(
    port: int, number: int, load: Load, stop: threading.Event, *, pace_s: float, seconds: float
) -> None:
    chance = random.Random(100 + number)  # noqa: S311 -- no secret
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    began = due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        now = time.monotonic()
        load.late += now - due > 1
        pull = min(1.0, (now - began) / seconds)
        drew = [drawn(chance, pull) for _ in range(ROWS_EACH)]
        rows = [{**row, "unit": f"c{number}-{load.rows + i}"} for i, (row, _) in enumerate(drew)]
        said = _post(connection, "predict", {"rows": rows}, load)
        load.slowest_ms = max(load.slowest_ms, 1000 * (time.monotonic() - now))
        load.requests += 1
        load.rows += len(rows)
        due += pace_s
        answered = said.get("predictions", ())
        if len(answered) != len(rows):
            load.failures["answers without a prediction for each row"] += 1
        elif chance.random() < LABELLED:
            labels = [{"id": one["id"], "label": bad} for one, (_, bad) in zip(answered, drew, strict=True)]
            kept = _post(connection, "feedback", {"labels": labels}, load).get("accepted", 0)
            load.labels += kept
            if kept != len(labels):
                load.failures["labels that were not accepted"] += 1


def _post(connection: http.client.HTTPConnection, what: str, body: Any, load: Load) -> dict[str, Any]:
    """Ask, and return what was answered; nothing where that failed, which is counted."""
    try:
        if connection.sock is None:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = json.dumps(body)
        connection.request("POST", f"/v1/lines/{LINE}/{what}", sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        load.failures[f"{what}: {type(error).__name__}"] += 1
        return {}
    if answer.status == 200:
        return said
    load.failures[f"{what}: {answer.status} {said.get('message', '')}"] += 1
    return {}


def _sum(loads: list[Load]) -> Load:
    return Load(
        requests=sum(one.requests for one in loads),
        rows=sum(one.rows for one in loads),
        labels=sum(one.labels for one in loads),
        late=sum(one.late for one in loads),
        slowest_ms=max(one.slowest_ms for one in loads),
        failures=sum((one.failures.copy() for one in loads), Counter[str]()),
    )


# Samples


@dataclass(frozen=True)
class Sample:
    """What a factory takes at one moment."""

    minute: float
    rows: int
    """That clients had asked about by then."""
    figures: dict[str, float]


def sample(of: Up, minute: float, load: Load) -> Sample:
    """Look at processes and disk; of the endpoint's processes at the one that lasts."""
    figures = dict.fromkeys(
        (
            f"{part} {what}"
            for part in ("endpoint", "worker")
            for what in ("MB", "files", "threads", "processes")
        ),
        0.0,
    )
    figures |= {"children": 0.0, "children MB": 0.0}
    for pid, kind in of.processes():
        status = status_of(pid)
        megabytes = int(status.get("VmRSS", "0 kB").split()[0]) / 1024
        if kind in {"endpoint", "worker"}:
            figures[f"{kind} processes"] += 1
            if figures[f"{kind} processes"] > 1:  # it tries a new model, for a moment
                continue
            figures[f"{kind} MB"] = megabytes
            figures[f"{kind} files"] = _open_files(pid)
            figures[f"{kind} threads"] = int(status.get("Threads", "0"))
        else:
            figures["children"] += 1
            figures["children MB"] += megabytes
    state = of.root / ".linewright"
    sizes = {name: sum(map(disk_bytes, state.glob(f"{name}*"))) for name in FOLDERS}
    sizes["the rest"] = disk_bytes(state) - sum(sizes.values())
    figures |= {f"disk MB: {name}": size / 2**20 for name, size in sizes.items() if size}
    return Sample(round(minute, 1), load.rows, figures)


def _open_files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def disk_bytes(path: Path) -> int:
    """Return what a file, or all files of a folder, take on the disk; what vanishes meanwhile takes nothing."""
    total = 0
    folders = [path]
    while folders:
        one = folders.pop()
        try:
            total += one.lstat().st_blocks * 512
            if one.is_dir() and not one.is_symlink():
                folders += one.iterdir()
        except OSError:
            continue
    return total


# The table


def settled_of(samples: list[Sample], minutes: float) -> Sample:
    """Return the sample that the end is held against: of the tenth minute, or of a third of a short run."""
    wanted = SETTLED_MINUTES if minutes >= 3 * SETTLED_MINUTES else minutes / 3
    return min(samples, key=lambda one: abs(one.minute - wanted))


def table(samples: list[Sample], minutes: float) -> str:
    settled, end = settled_of(samples, minutes), samples[-1]
    span = [one for one in samples if one.minute >= settled.minute]
    lines = [
        f"| what | minute {settled.minute:g} | minute {end.minute:g} | grown by | times | highest between | by 1,000 rows |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = max(1, end.rows - settled.rows)
    for name, last in end.figures.items():
        first = settled.figures.get(name, 0.0)
        times = f"{last / first:.2f}" if first else "-"
        form = ",.1f" if "MB" in name else ",.0f"
        highest = max(one.figures.get(name, 0.0) for one in span)
        by_rows = f"{1000 * 1024 * (last - first) / rows:.1f} kB" if name.startswith("disk") else ""
        lines.append(
            f"| {name} | {first:{form}} | {last:{form}} | {last - first:{form}} | {times} | {highest:{form}} | {by_rows} |"
        )
    return "\n".join(lines)


def counts(root: Path) -> dict[str, int]:
    """Return what the record has of the line."""
    with Factory.open(root) as factory:
        ended = Counter(one.outcome for one in factory.metadata.events(Finished, line=LINE))
        kinds = {
            "runs": Accepted,
            "steps of canaries": Deployed,
            "promotions": Promoted,
            "taken back": Withdrawn,
            "closed windows": Watched,
        }
        found = {name: len(factory.metadata.events(kind, line=LINE)) for name, kind in kinds.items()}
        return {
            **found,
            **{f"runs that {outcome}": n for outcome, n in sorted(ended.items())},
            "alerts": len(factory.metadata.events(Alerted, line=LINE)),
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rows-per-second", type=float, default=200.0)
    parser.add_argument("--samples", type=Path, help="a file for all samples")
    given = parser.parse_args()
    seconds = given.minutes * MINUTE_S
    samples = list[Sample]()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "factory"
        make_factory(root, every_s=seconds / RETRAININGS)
        with up(root) as of:
            ours, theirs = SPAWN.Pipe()
            clients = SPAWN.Process(
                target=keep_loading, args=(of.port, given.rows_per_second, seconds, theirs), daemon=True
            )
            clients.start()
            began = time.monotonic()
            step_s = min(MINUTE_S, seconds / 9)
            for number in range(1, round(seconds / step_s) + 1):
                time.sleep(max(0.0, began + number * step_s - time.monotonic()))
                ours.send("tell")
                load = ours.recv()
                samples.append(sample(of, (time.monotonic() - began) / MINUTE_S, load))
                if given.samples is not None:
                    with given.samples.open("a") as file:
                        file.write(json.dumps(asdict(samples[-1])) + "\n")
                sys.stderr.write(f"minute {samples[-1].minute:g} of {given.minutes:g}: {load}\n")
            ours.send("stop")
            load = ours.recv()
            clients.join()
        says = (root.parent / "up.txt").read_text(errors="replace")
        found = counts(root)
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, {time.strftime('%Y-%m-%d')}; "
        f"{given.minutes:g} minutes, {given.rows_per_second:g} rows/s asked for over {CONNECTIONS} kept connections\n"
    )
    print(table(samples, given.minutes))
    print("\n| counted | |\n|---|---:|")
    found = {
        "requests": load.requests,
        "rows": load.rows,
        "labels": load.labels,
        "requests begun a second late": load.late,
        **found,
    }
    found["failures of clients"] = load.failures.total()
    found["parts of `up` that were started again"] = says.count("it starts again in")
    for what, number in found.items():
        print(f"| {what} | {number:,} |")
    print(f"| slowest answer, ms | {load.slowest_ms:,.0f} |")
    for what, number in load.failures.most_common():
        print(f"\nfailed {number} times: {what}")
    return 1 if load.failures or found["runs"] < 2 or found["promotions"] < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
