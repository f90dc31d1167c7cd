"""Rows a second through reading, contract and keeping, beside polars by hand and pandera.

    python benchmarks/data.py [--rows N] [--rounds N]

A table of 20 columns (a key, a time, 12 numbers, 5 categories, a label; one number and one category are missing in 2 % of
the rows) is made as CSV. Each way reads it, types every column, checks the same 44 rules, counts what breaks them, keeps the rows that break none in order of time, and writes
them as Parquet with zstd. Ours also writes content digests, and leaves a dataset version and the quarantine. Every way
is a process of its own; 24 rows break a rule. pandera is no dependency: `pip install 'pandera[polars]'`; without it its
row is left out.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from linewright.data.ingest import ingest
from linewright.data.spec import DataSpec
from linewright.line.factory import Factory

NUMBERS = [f"x{i}" for i in range(12)]
KINDS = [f"c{i}" for i in range(5)]
LEAST, MOST = -8.0, 8.0
SPELLED = [f"kind {i}" for i in range(30)]
GAPS = ("x0", "c0")
BROKEN = 24
_PART = 500_000


def make(file: Path, rows: int) -> None:
    """Write the table; every row of the last `BROKEN` breaks one rule."""
    chance = np.random.default_rng(20)
    with file.open("wb") as out:
        for start in range(0, rows, _PART):
            ids = np.arange(start, min(start + _PART, rows))
            at = pl.Series(1_600_000_000_000_000 + ids * 1_000_000).cast(pl.Datetime("us"))
            columns: dict[str, Any] = {"id": ids, "at": at.dt.to_string("%Y-%m-%d %H:%M:%S")}
            columns |= {name: chance.uniform(LEAST, MOST, len(ids)).round(4) for name in NUMBERS}
            columns |= {name: np.array(SPELLED)[chance.integers(0, 30, len(ids))] for name in KINDS}
            columns["y"] = chance.integers(0, 2, len(ids))
            is_broken = ids >= rows - BROKEN
            columns["x3"] = np.where(is_broken & (ids % 2 == 0), 99.0, columns["x3"])
            columns["c1"] = np.where(is_broken & (ids % 2 == 1), "odd", columns["c1"])
            gaps = [pl.when(chance.random(len(ids)) > 0.02).then(pl.col(name)).alias(name) for name in GAPS]
            pl.DataFrame(columns).with_columns(gaps).write_csv(out, include_header=start == 0)


def ours(file: Path, folder: Path) -> int:
    """Return how many rows are kept."""
    columns: dict[str, Any] = {"id": {"type": "integer"}, "at": {"type": "datetime"}}
    columns |= {name: {"type": "number", "min": LEAST, "max": MOST} for name in NUMBERS}
    columns |= {name: {"type": "category", "allowed": SPELLED} for name in KINDS}
    columns |= {name: {**columns[name], "nullable": name in GAPS} for name in [*NUMBERS, *KINDS]}
    columns["y"] = {"type": "integer", "min": 0, "max": 1}
    spec = DataSpec.model_validate(
        {
            "sources": {"a": {"file": str(file)}},
            "table": {"key": "id", "time": "at"},
            "label": {"column": "y"},
            "contract": {"columns": columns},
        }
    )
    with Factory.create(folder / "factory") as factory:
        done = ingest(factory.context, spec, factory.root, scratch=factory.scratch)
        return done.rows_read - sum(breach.failed for breach in done.breaches)


def _read(file: Path) -> pl.DataFrame:
    types = {"id": pl.Int64, "at": pl.String, "y": pl.Int64}
    types |= dict.fromkeys(NUMBERS, pl.Float64) | dict.fromkeys(KINDS, pl.String)
    frame = pl.read_csv(file, schema_overrides=types)
    return frame.with_columns(pl.col("at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_zone="UTC"))


def _rules() -> dict[str, pl.Expr]:
    rules = {
        "id is there": pl.col("id").is_not_null(),
        "at is there": pl.col("at").is_not_null(),
        "id occurs once": pl.col("id").is_first_distinct(),
        "y": pl.col("y").is_between(0, 1),
    }
    for name in NUMBERS:
        rules |= {f"{name} least": pl.col(name) >= LEAST, f"{name} most": pl.col(name) <= MOST}
    rules |= {f"{name} spelled": pl.col(name).is_in(SPELLED) for name in KINDS}
    full = [name for name in [*NUMBERS, *KINDS] if name not in GAPS]
    return rules | {f"{name} there": pl.col(name).is_not_null() for name in full}


def by_hand(file: Path, folder: Path) -> int:
    """Do it as a user of polars would."""
    frame, rules = _read(file), _rules()
    frame.select((~rule).sum().alias(name) for name, rule in rules.items())
    kept = frame.filter(pl.all_horizontal(rule.fill_null(value=True) for rule in rules.values())).sort(
        "at", "id"
    )
    kept.write_parquet(folder / "kept.parquet", compression="zstd")
    return kept.height


def pandera(file: Path, folder: Path) -> int:
    """Do it as a user of pandera would: its schema on a polars table, and the rows without a failure."""
    pa: Any = importlib.import_module("pandera.polars")  # optional

    columns: dict[str, Any] = {
        "id": pa.Column(pl.Int64, unique=True),
        "at": pa.Column(pl.Datetime("us", "UTC")),
    }
    columns |= {
        name: pa.Column(pl.Float64, pa.Check.in_range(LEAST, MOST), nullable=name in GAPS) for name in NUMBERS
    }
    columns |= {name: pa.Column(pl.String, pa.Check.isin(SPELLED), nullable=name in GAPS) for name in KINDS}
    columns["y"] = pa.Column(pl.Int64, pa.Check.in_range(0, 1))
    frame = _read(file)
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failed = error.failure_cases["index"].drop_nulls().unique()
        frame = frame.with_row_index("row").filter(~pl.col("row").is_in(failed.implode())).drop("row")
    frame.sort("at", "id").write_parquet(folder / "kept.parquet", compression="zstd")
    return frame.height


WAYS: dict[str, Callable[[Path, Path], int]] = {
    "polars by hand": by_hand,
    "linewright": ours,
    "pandera": pandera,
}


def measured(way: str, file: Path) -> dict[str, float]:
    """Run one way in a process of its own."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        command = [sys.executable, __file__, "--way", way, "--file", str(file), "--folder", folder]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        out = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{way} failed")
        return {
            "seconds": time.perf_counter() - began,
            "cpu": usage.ru_utime + usage.ru_stime,
            "megabytes": usage.ru_maxrss / 1024,
            "kept": json.loads(out),
        }


def main() -> None:
    """Make the table, run each way in turns, print a table of medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(WAYS[asked.way](asked.file, asked.folder))
        return
    ways = [way for way in WAYS if way != "pandera" or importlib.util.find_spec("pandera")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        # In a process of its own: a child's peak would begin with the memory of whoever started it.
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(file, asked.rows))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise SystemExit("the table could not be made")
        print(
            f"{asked.rows:,} rows of 20 columns, {file.stat().st_size / 1e6:,.0f} MB of CSV; "
            f"Python {platform.python_version()}, polars {version('polars')}, {os.cpu_count()} cores, "
            f"median of {asked.rounds}\n"
        )
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(asked.rounds):
            for way in ways:
                runs[way].append(measured(way, file))
    show(runs, asked.rows)


def show(runs: dict[str, list[dict[str, float]]], rows: int) -> None:
    """Print the medians, and each way's time as a multiple of polars by hand."""
    print("| way | rows/s | seconds | of polars by hand | CPU s | peak MB | rows kept |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    first = 0.0
    for way, found in runs.items():
        middle = {name: statistics.median(run[name] for run in found) for name in found[0]}
        first = first or middle["seconds"]
        print(
            f"| {way} | {rows / middle['seconds']:,.0f} | {middle['seconds']:.1f} | {middle['seconds'] / first:.2f} "
            f"| {middle['cpu']:.1f} | {middle['megabytes']:,.0f} | {middle['kept']:,.0f} |"
        )


if __name__ == "__main__":
    main()
