"""Rows a second and memory of batch scoring on files that grow, beside polars and ONNX Runtime by hand.

    python benchmarks/predict.py [--rows N ...] [--rounds N]

The model is that of `serving.py`: 200 trees on 30 numbers and 4 texts. Files are CSV, and so are the answers. By hand the file is
read whole, encoded with polars, answered by ONNX Runtime at once, and written with the probabilities. Linewright reads it in
batches, twice (it answers no row where one cannot be read), keeps each row with its answer in the prediction log, and writes
the id of each answer beside it. Every way is a process of its own, each file is asked in turns.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
from serving import make, table

ROWS = (100_000, 1_000_000, 3_000_000)
BY_HAND, OURS = "polars + onnxruntime by hand", "linewright predict"


def by_hand(others: Path, file: Path, out: Path) -> None:
    """Do it as a user of polars and ONNX Runtime would."""
    columns = json.loads((others / "made.json").read_text())["columns"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(others / "model.onnx", options)
    frame = pl.read_csv(file)
    encoded = frame.select(
        pl.col(one["name"])
        if one["levels"] is None
        else pl.col(one["name"]).replace_strict(
            {level: code for code, level in enumerate(one["levels"], one["first"])}, default=0
        )
        for one in columns
    )
    x = encoded.cast(pl.Float32).to_numpy(order="c")
    shares = np.asarray(session.run(None, {"x": x})[0])
    frame.select("key").with_columns(no=shares[:, 0], yes=shares[:, 1]).write_csv(out)


def write_file(file: Path, rows: int) -> None:
    """Write the rows of the table again and again, each with a key of its own."""
    frame = table().drop("y", "key")
    with file.open("wb") as out:
        for start in range(0, rows, frame.height):
            part = frame.head(rows - start)
            keys = pl.Series("key", [f"k{start + i:08}" for i in range(part.height)])
            part.insert_column(0, keys).write_csv(out, include_header=start == 0)


def measured(way: str, folder: Path, file: Path) -> dict[str, float]:
    """Run one way in a process of its own, on a log that is empty."""
    root, out = folder / "factory", folder / "answers.csv"
    shutil.rmtree(root / ".linewright" / "log", ignore_errors=True)
    command = [sys.executable, "-m", "linewright", "predict", "bench", str(file), "-o", str(out), "--quiet"]
    if way == BY_HAND:
        command = [sys.executable, __file__, "--by-hand", str(folder / "others"), str(file), str(out)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{way} failed")
    seconds = time.perf_counter() - began
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "megabytes": usage.ru_maxrss / 1024}


def in_a_child(work: object, *arguments: object) -> None:
    """Do it in a process of its own: a child's peak would begin with the memory of whoever started it."""
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)  # type: ignore[arg-type]
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit("the factory or a file could not be made")


def main() -> None:
    """Make a factory and the files, ask for each in turns, print a table of medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--by-hand", type=Path, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by_hand:
        by_hand(*asked.by_hand)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_a_child(make, folder)
        print(
            f"Python {platform.python_version()}, polars {version('polars')}, onnxruntime {version('onnxruntime')}, "
            f"{os.cpu_count()} cores, median of {asked.rounds}\n"
        )
        print("| rows | MB of CSV | way | rows/s | seconds | of by hand | CPU s | of by hand | peak MB |")
        print("|---:|---:|---|---:|---:|---:|---:|---:|---:|")
        for rows in asked.rows:
            file = folder / "rows.csv"
            in_a_child(write_file, file, rows)
            runs: dict[str, list[dict[str, float]]] = {BY_HAND: [], OURS: []}
            for _ in range(asked.rounds):
                for way, found in runs.items():
                    found.append(measured(way, folder, file))
            show(rows, file.stat().st_size / 1e6, runs)


def show(rows: int, megabytes: float, runs: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians, and how many times as long as by hand."""
    middle = {
        way: {name: statistics.median(run[name] for run in found) for name in found[0]}
        for way, found in runs.items()
    }
    hand = middle[BY_HAND]
    for way, one in middle.items():
        print(
            f"| {rows:,} | {megabytes:,.0f} | {way} | {rows / one['seconds']:,.0f} | {one['seconds']:.1f} "
            f"| {one['seconds'] / hand['seconds']:.2f} | {one['cpu']:.1f} | {one['cpu'] / hand['cpu']:.2f} "
            f"| {one['megabytes']:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
