"""Seconds and memory of a whole run on tables that grow: read, check, split, encode, train, package, judge.

    python benchmarks/scale.py [--rows N ...] [--columns N] [--wide] [--budget quick]

Each size is a CSV file made here and a line over it, with nothing declared but the label; each `linewright run` is a process of
its own. A table has numbers, some missing, categories of few levels, one of very many, a date and a text of few words; the
label depends on some of them. `--wide` adds 100,000 rows of 2,000 columns. Growth is told beside that of n·log n, from the size before.
"""

import argparse
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

ROWS = (10_000, 100_000, 1_000_000)
LARGEST = 5_000_000
COLUMNS = 30
WIDE = (100_000, 2_000)
_AT_ONCE = 100_000
_WORDS = np.array(
    [
        "late",
        "paid",
        "call",
        "again",
        "new",
        "old",
        "gone",
        "moved",
        "card",
        "cash",
        "shop",
        "web",
        "sent",
        "lost",
        "back",
        "free",
        "open",
        "shut",
        "north",
        "south",
        "east",
        "west",
        "more",
        "less",
        "first",
        "last",
        "soon",
        "never",
        "always",
        "today",
        "week",
        "month",
        "year",
        "door",
        "street",
        "road",
    ]
)
_STEPS = ("ingest", "split", "train", "package", "evaluate", "gate")


@dataclass
class Ran:
    """What one run took."""

    rows: int
    columns: int
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    total: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    code: int = 0
    said: str = ""


def rows_of(start: int, n: int, columns: int) -> pl.DataFrame:
    """Make the rows from `start` on; the same for the same numbers."""
    chance = np.random.default_rng([start, columns])
    numbers = columns - 7
    x = chance.normal(size=(n, numbers)).astype(np.float32)
    few = chance.integers(0, 12, (n, 3))
    many = np.minimum(chance.zipf(1.2, n), 1_000_000)
    days = chance.integers(0, 1_000, n)
    words = chance.integers(0, len(_WORDS), (n, 6))
    score = x[:, 0] + x[:, 1] * (x[:, 2] > 0) + 0.4 * (few[:, 0] > 8) + 0.6 * (words == 0).any(axis=1) - 1.5
    label = chance.random(n) < 1 / (1 + np.exp(-score))
    gaps = chance.random((n, 2)) < 0.1
    table: dict[str, pl.Series] = {
        "label": pl.Series(np.where(label, "yes", "no")),
        **{f"n{i}": pl.Series(x[:, i]).round(4) for i in range(numbers)},
        **{f"kind{i}": pl.Series(few[:, i]).cast(pl.String) + "k" for i in range(3)},
        "place": pl.Series(many).cast(pl.String) + "p",
        "day": pl.Series(days).cast(pl.Int32).cast(pl.Date).dt.offset_by("50y"),
        "said": pl.Series([" ".join(row) for row in _WORDS[words]]),
    }
    frame = pl.DataFrame(table)
    return frame.with_columns(
        pl.when(pl.Series(~gaps[:, i])).then(pl.col(f"n{i}")).alias(f"n{i}") for i in range(2)
    )


def make(root: Path, rows: int, columns: int, budget: str) -> None:
    """Write the table and a line that says no more than it must."""
    with (root / "table.csv").open("wb") as out:
        for start in range(0, rows, _AT_ONCE):
            part = rows_of(start, min(_AT_ONCE, rows - start), columns)
            part.write_csv(out, include_header=start == 0)
    subprocess.run([sys.executable, "-m", "linewright", "init", str(root)], check=True, capture_output=True)
    (root / "lines" / "scale.yaml").write_text(
        "line: scale\nsources: {table: {file: table.csv}}\nlabel: {column: label, positive: 'yes'}\n"
        f"train: {{task: binary, budget: {budget}}}\n"
    )


def run(root: Path, ran: Ran) -> None:
    """Run the line in a process of its own; its steps tell when they begin."""
    command = [sys.executable, "-m", "linewright", "run", "scale", "--factory", str(root)]
    began = last = time.perf_counter()
    current, lines = "", list[str]()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        word = re.match(r"\w+", line)
        if word and word[0] in _STEPS:
            now = time.perf_counter()
            if current:
                ran.seconds[current] = ran.seconds.get(current, 0.0) + now - last
            current, last = word[0], now
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = ran.code = os.waitstatus_to_exitcode(status)
    ran.total = time.perf_counter() - began
    ran.seconds[current] = ran.seconds.get(current, 0.0) + time.perf_counter() - last
    ran.cpu, ran.peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    ran.said = "".join(lines[-8:])


HEAD = (
    "| rows | columns | s | CPU s | ingest | split | train | package | judge | peak MB | growth, of n·log n |\n"
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def cells(ran: Ran, before: Ran | None) -> str:
    """Return a row of the table."""
    growth = "-"
    if before is not None and before.columns == ran.columns:
        expected = ran.rows * math.log(ran.rows) / (before.rows * math.log(before.rows))
        growth = f"{ran.cpu / before.cpu:.1f}, {ran.cpu / before.cpu / expected:.2f}"
    steps = [f"{ran.seconds.get(name, 0.0):.1f}" for name in _STEPS[:4]]
    judged = ran.seconds.get("evaluate", 0.0) + ran.seconds.get("gate", 0.0)
    shown = [f"{ran.rows:,}", f"{ran.columns:,}", f"{ran.total:.1f}", f"{ran.cpu:.1f}", *steps]
    return f"| {' | '.join([*shown, f'{judged:.1f}', f'{ran.peak_mb:,.0f}', growth])} |"


def sizes(rows: list[int], columns: int, *, wide: bool) -> Iterator[tuple[int, int]]:
    yield from ((n, columns) for n in rows)
    if wide:
        yield WIDE


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS), help=f"up to {LARGEST:,}")
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--wide", action="store_true", help="100,000 rows of 2,000 columns too")
    parser.add_argument("--budget", default="quick")
    asked = parser.parse_args()
    print(
        f"Linewright {version('linewright')}, Python {platform.python_version()}, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, budget {asked.budget}, {time.strftime('%Y-%m-%d')}\n\n{HEAD}",
        flush=True,
    )
    before, failed = None, 0
    for rows, columns in sizes(asked.rows, asked.columns, wide=asked.wide):
        ran = Ran(rows, columns)
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), rows, columns, asked.budget)
            run(Path(folder), ran)
        print(cells(ran, before), flush=True)
        if ran.code not in (0, 4):
            failed = 1
            print(f"ended with {ran.code}:\n{ran.said}", file=sys.stderr)
        before = ran
    return failed


if __name__ == "__main__":
    sys.exit(main())
