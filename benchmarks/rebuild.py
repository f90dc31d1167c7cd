"""Whether every model of the shared tables is rebuilt to the same bytes, also one whose training was killed.

    python benchmarks/rebuild.py --data FOLDER [--only PART-OF-A-NAME] [--budget quick]

Each table of `shared_data.py`, and each of `FURTHER`, becomes a line and runs with the budget. A second, equal factory runs it too, is killed with
SIGKILL in the middle of its training, and runs again. Then `linewright rebuild` computes the first model with one worker and with
two, and the second with two, each time in a fresh process. Tables come smallest first; each line is printed when it is known.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared_data import DONE, EXPECTATIONS, REGRESSION, Expected, Outcome, carry_out, make

from linewright.text.numbers import count

ENDED_ENGINES = """\
line: cmapss-fd001-test
sources: {engines: {file: "FILE"}, ends: {file: "FOLDER/cmapss_fd001_test_rul.csv"}}
table:
  sql: |
    select engines.*, max(cycle) over (partition by unit) - cycle + rul as remaining
    from engines join ends using (unit)
  group: unit
label: {column: remaining}
train: {task: regression}
"""
RATINGS = """\
line: movielens-small-ratings
sources: {ratings: {file: "FILE"}, items: {file: "FOLDER/movielens_small_items.csv"}}
table:
  sql: |
    select user_id::varchar as person, rating, make_timestamp(timestamp::bigint * 1000000) as rated_at,
      year, genres, title
    from ratings left join items using (item_id)
  time: rated_at
label: {column: rating}
train: {task: regression}
"""
FURTHER = (
    Expected(
        file="cmapss_fd001_test.csv.gz",
        label="remaining",
        tasks=REGRESSION,
        excluded=("unit",),
        line=ENDED_ENGINES,
    ),
    Expected(
        file="movielens_small_ratings.csv.gz",
        label="rating",
        tasks=REGRESSION,
        line=RATINGS,
    ),
)
"""Tables that nobody compares models on: of two files joined, and of texts, names of people and times."""
PROGRAM = (sys.executable, "-m", "linewright")
WORKERS = (1, 2)
HEAD = (
    "table",
    "test rows",
    "run s",
    "train s",
    "killed after s",
    "1 worker",
    "2 workers",
    "killed, 2 workers",
    "rebuild s",
)


@dataclass
class Table:
    """What came of one table."""

    name: str
    rows: int = 0
    run_s: float = 0.0
    train_s: float = 0.0
    killed_s: float | None = None
    """Seconds into the training at which it was killed; `None` where it had ended by then."""
    levels: list[str] = field(default_factory=list[str])
    """What each rebuild reached, in the order of the head."""
    rebuild_s: float = 0.0
    """Of the slowest."""
    trouble: list[str] = field(default_factory=list[str])

    @property
    def same(self) -> int:
        """How many rebuilds gave the same bytes."""
        return sum(level == "R0" for level in self.levels)

    def cells(self) -> list[str]:
        """Return the row of the table."""
        killed = "-" if self.killed_s is None else f"{self.killed_s:.1f}"
        levels = [*self.levels, *["-"] * (len(WORKERS) + 1 - len(self.levels))]
        seconds = (f"{self.run_s:.0f}", f"{self.train_s:.1f}", killed)
        return [self.name, f"{self.rows:,}", *seconds, *levels, f"{self.rebuild_s:.0f}"]


@dataclass
class Ran:
    """A run whose steps were timed."""

    code: int
    digest: str = ""
    seconds: float = 0.0
    train_s: float = 0.0
    killed_s: float | None = None
    said: str = ""


def run(root: Path, line: str, *, kill_after: float | None = None) -> Ran:
    """Run a line by the command; with `kill_after`, kill it so many seconds after its training began."""
    began, train, package = time.monotonic(), 0.0, 0.0
    process = subprocess.Popen(
        [*PROGRAM, "run", line, "--factory", str(root), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    killed_s = None
    for told in process.stderr:
        if told.startswith("train "):
            train = time.monotonic()
            if kill_after is not None:
                try:
                    process.wait(kill_after)
                except subprocess.TimeoutExpired:
                    process.kill()
                    killed_s = time.monotonic() - train
                break
        elif told.startswith("package "):
            package = time.monotonic()
    said = process.stdout.read()
    code = process.wait()
    answer = json.loads(said) if code in DONE else {}
    return Ran(
        code=code,
        digest=answer.get("digest", ""),
        seconds=time.monotonic() - began,
        train_s=max(0.0, package - train),
        killed_s=killed_s if code == -signal.SIGKILL else None,
        said=said,
    )


def look_at(expected: Expected, data: Path, folder: Path, budget: str) -> Table:
    """Make the line of a table twice, run it, kill it once, and rebuild what came out."""
    table, whole, killed = Table(expected.name), folder / "whole", folder / "killed"
    (whole / "lines").mkdir(parents=True)
    carry_out(whole, "init", str(whole))
    outcome = Outcome(expected)
    if not make(whole, data, outcome):
        table.trouble.append(outcome.crashed)
        return table
    line = whole / "lines" / f"{expected.name}.yaml"
    line.write_text(with_budget(line.read_text(), budget))
    shutil.copytree(whole, killed)
    first = run(whole, expected.name)
    table.run_s, table.train_s = first.seconds, first.train_s
    if first.code not in DONE:
        table.trouble.append(f"run ended with {first.code}: {first.said[:300]}")
        return table
    table.levels = [rebuilt(whole, expected.name, table, workers) for workers in WORKERS]
    table.killed_s = run(killed, expected.name, kill_after=first.train_s / 2).killed_s
    second = run(killed, expected.name)
    if second.digest != first.digest:
        table.trouble.append(f"the run that was killed gave {second.digest}, not {first.digest}")
    table.levels.append(rebuilt(killed, expected.name, table, WORKERS[-1]))
    return table


def with_budget(text: str, budget: str) -> str:
    """Return a line file with another budget.

    Examples
    --------
    >>> with_budget("train: {task: binary}", "quick"), with_budget("  budget: normal  # why", "quick")
    ('train: {budget: quick, task: binary}', '  budget: quick  # why')
    """
    if re.search(r"\bbudget:", text):
        return re.sub(r"\bbudget: *\w+", f"budget: {budget}", text)
    return text.replace("train: {", f"train: {{budget: {budget}, ", 1)


def rebuilt(root: Path, line: str, table: Table, workers: int) -> str:
    """Rebuild the first model of a line in a fresh process, and return what was reached."""
    ended = carry_out(root, "rebuild", f"{line}@1", "--workers", str(workers), "--quiet")
    table.rebuild_s = max(table.rebuild_s, ended.seconds)
    if ended.code not in DONE:
        table.trouble.append(f"rebuild with {workers} ended with {ended.code}: {ended.said[:300]}")
        return "failed"
    said = json.loads(ended.said)
    table.rows = said["answers"]["rows"]
    if said["level"] != "R0":
        differs = [f"{one['name']}: {text}" for one in said["parts"] for text in one["differs"]]
        table.trouble.append(f"{said['level']} with {workers}: {'; '.join([*differs, *said['environment']])}")
    return str(said["level"])


def summary(tables: list[Table]) -> Iterator[str]:
    """Count what was reached, and say what was not."""
    rebuilds, same = sum(len(one.levels) for one in tables), sum(one.same for one in tables)
    killed = sum(one.killed_s is not None for one in tables)
    yield f"{same} of {rebuilds} rebuilds of {len(tables)} tables are R0; {count(killed, 'training')} killed in the middle"
    yield from (f"{one.name}: {text}" for one in tables for text in one.trouble)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", default="quick")
    given = parser.parse_args()
    every = (*EXPECTATIONS, *FURTHER)
    wanted = [one for one in every if given.only in one.name and (given.data / one.file).exists()]
    print(f"| {' | '.join(HEAD)} |\n|---|{'---:|' * 4}---|---|---|---:|", flush=True)
    tables: list[Table] = []
    for expected in sorted(wanted, key=lambda one: (given.data / one.file).stat().st_size):
        with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
            tables.append(look_at(expected, given.data, Path(folder), given.budget))
        print(f"| {' | '.join(tables[-1].cells())} |", flush=True)
    print("\n" + "\n".join(summary(tables)))
    return int(any(one.same < len(WORKERS) + 1 for one in tables))


if __name__ == "__main__":
    sys.exit(main())
