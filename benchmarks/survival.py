"""Times of which some are censored: ours beside Cox and a random survival forest, and remaining life of turbofan engines.

    python benchmarks/survival.py --peers PYTHON [--splits 10] [--tables gbsg2,flchain,whas500] [--budget normal]
    python benchmarks/survival.py --engines FOLDER [--budget normal]

PYTHON has scikit-survival (`benchmarks/peers.txt`), whose functions measure all contestants alike: the integrated Brier score from the
tenth to the ninth tenth of the times at which it happened, on 30 % of the rows that nobody learned from. Ours goes the whole way: a line
file, a run (a fiftieth of its rows are its own test part; with the engines a twentieth), and answers in batch. Splits are paired: the last columns are the mean
difference over splits and its 95 % interval by Student's t; what is below 0 is ours.

FOLDER has the shared files of C-MAPSS FD001. Lives count to 125 cycles, beyond which a label is censored; what is answered for the last row of
each of 100 test engines is held against its remaining life, at most 125 cycles and as it is.
"""

import argparse
import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import t as student

from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline

PEERS = Path(__file__).with_name("contestants") / "with_survival.py"
LINE = """\
line: {name}
sources: {{rows: {{file: train.csv}}}}
table: {{key: {key}{more}}}
label: {{column: {label}, event: {event}}}
train: {{task: {task}, budget: {budget}, split: {{by: {by}, test: {test}}}}}
gates: [{{beats: baseline, confidence: 0.51}}]
"""
CAP, WINDOW = 125, 15
_SENSORS = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
"""Of 21, those that are not constant."""


def answered(
    folder: Path, train: pl.DataFrame, test: pl.DataFrame, **said: str
) -> tuple[pl.DataFrame, float]:
    """Train a line on rows and answer others with it; return the answers and the CPU seconds of the run."""
    (folder / "lines").mkdir(parents=True)
    train.write_csv(folder / "train.csv")
    test.write_csv(folder / "asked.csv")
    name = said["name"]
    (folder / "lines" / f"{name}.yaml").write_text(LINE.format(**said))
    with Factory.create(folder) as factory:
        start = time.process_time()
        execute_inline(factory, name)
        spent = time.process_time() - start
        version = factory.metadata.versions(name)[-1].version
        predict_file(factory, f"{name}@{version}", folder / "asked.csv", folder / "answers.csv")
    return pl.read_csv(folder / "answers.csv"), spent


def compare(peers: str, names: list[str], splits: int, budget: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        subprocess.run([peers, PEERS, "tables", root], check=True)
        for name in names:
            rows = pl.read_csv(root / f"{name}.csv")
            found: list[dict[str, dict[str, float]]] = []
            cpu = 0.0
            for split in range(splits):
                is_test = np.random.default_rng([7, split]).permutation(rows.height) < round(
                    0.3 * rows.height
                )
                train, test = rows.filter(pl.Series(~is_test)), rows.filter(pl.Series(is_test))
                said = {
                    "name": name,
                    "key": "patient",
                    "more": "",
                    "label": "days",
                    "event": "died",
                    "task": "survival",
                    "test": "0.02",
                }
                folder = root / f"{name}-{split}"
                told, spent = answered(
                    folder, train, test.drop("days", "died"), budget=budget, by="random", **said
                )
                cpu += spent
                curves = told.select(
                    pl.col("^survival_.*$").name.map(lambda one: one.removeprefix("survival_"))
                )
                test.write_csv(folder / "test.csv")
                curves.write_csv(folder / "curves.csv")
                words = [
                    peers,
                    PEERS,
                    "judge",
                    folder / "train.csv",
                    folder / "test.csv",
                    folder / "curves.csv",
                ]
                judged = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                found.append(json.loads(judged))
                print(
                    name,
                    split,
                    {who: round(one["ibs"], 4) for who, one in found[-1].items()},
                    file=sys.stderr,
                )
            report(name, found, cpu / splits)


def report(name: str, found: list[dict[str, dict[str, float]]], cpu: float) -> None:
    scores = {who: np.array([one[who]["ibs"] for one in found]) for who in found[0]}
    order = {who: np.mean([one[who]["concordance"] for one in found]) for who in found[0]}
    shown = " ".join(f"| {scores[who].mean():.4f} / {order[who]:.3f}" for who in scores)
    print(
        f"| {name} {shown} | {apart(scores['linewright'], scores['cox'])} | {apart(scores['linewright'], scores['forest'])} | {cpu:.1f} |",
        flush=True,
    )


def apart(ours: np.ndarray, theirs: np.ndarray) -> str:
    less = ours - theirs
    if len(less) < 2:
        return f"{less.mean():+.4f}"
    half = student.ppf(0.975, len(less) - 1) * less.std(ddof=1) / np.sqrt(len(less))
    return f"{less.mean():+.4f} ({less.mean() - half:+.4f} to {less.mean() + half:+.4f})"


def engines(folder: Path, budget: str) -> None:
    """Print what the remaining lives of 100 engines are missed by."""
    train, test = (_read(folder / f"cmapss_fd001_{part}.csv.gz") for part in ("train", "test"))
    truth = np.loadtxt(folder / "cmapss_fd001_test_rul.csv", skiprows=1, delimiter=",", ndmin=2)[:, -1]
    unit, cycle = train.columns[:2]
    life = pl.col(cycle).max().over(unit) - pl.col(cycle)
    train = train.with_columns(life=pl.min_horizontal(life, pl.lit(CAP)), failed=(life <= CAP).cast(pl.Int8))
    train, test = (_means(one, unit, cycle) for one in (train, test))
    last = test.group_by(unit, maintain_order=True).last()
    with tempfile.TemporaryDirectory() as scratch:
        said = {
            "name": "engines",
            "key": "row",
            "more": f", group: {unit}",
            "label": "life",
            "event": "failed",
            "task": "rul",
            "test": "0.05",
        }
        told, cpu = answered(Path(scratch) / "factory", train, last, budget=budget, by="group", **said)
    off = told["prediction"].to_numpy() - np.minimum(truth, CAP)
    whole = told["prediction"].to_numpy() - truth
    print(
        f"FD001: RMSE {np.sqrt((off**2).mean()):.2f} of lives to {CAP}, {np.sqrt((whole**2).mean()):.2f} of whole lives; {cpu:.1f} CPU s"
    )


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())))


def _means(rows: pl.DataFrame, unit: str, cycle: str) -> pl.DataFrame:
    """Add the mean of the latest cycles to each sensor, as a machine that keeps its last readings would send it."""
    names = [
        name
        for name in rows.columns
        if name.startswith("s")
        and name[1:].lstrip("ensor_").isdigit()
        and int(name[1:].lstrip("ensor_")) in _SENSORS
    ]
    means = [
        pl.col(name).rolling_mean(WINDOW, min_samples=1).over(unit).alias(f"{name}_mean") for name in names
    ]
    slopes = [
        (pl.col(name).rolling_mean(5, min_samples=1) - pl.col(name).rolling_mean(30, min_samples=1))
        .over(unit)
        .alias(f"{name}_rise")
        for name in names
    ]
    kept = [name for name in ("life", "failed") if name in rows.columns]
    return rows.with_columns(*means, *slopes).select(
        pl.concat_str(unit, pl.lit("-"), cycle).alias("row"),
        unit,
        cycle,
        pl.selectors.ends_with("_mean", "_rise"),
        *kept,
    )


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--peers")
    asked.add_argument("--splits", type=int, default=10)
    asked.add_argument("--tables", default="gbsg2,flchain,whas500")
    asked.add_argument("--engines", type=Path)
    asked.add_argument("--budget", default="normal")
    said = asked.parse_args()
    if said.peers:
        print(
            "| table | linewright | cox | forest | less than cox | less than forest | CPU s |\n|---|---|---|---|---|---|---|"
        )
        compare(said.peers, said.tables.split(","), said.splits, said.budget)
    if said.engines:
        engines(said.engines, said.budget)


if __name__ == "__main__":
    main()
