"""Cox and a random survival forest of scikit-survival (GPL: in an environment of its own), and the one measure for all.

    python with_survival.py tables FOLDER
    python with_survival.py judge TRAIN.csv TEST.csv CURVES.csv

`tables` writes the sets that scikit-survival ships. `judge` fits both rivals to the training rows, and prints the integrated Brier score
and the concordance of theirs and of the given curves (a row a test row, a column a time) by scikit-survival's own functions.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sksurv.datasets import load_flchain, load_gbsg2, load_whas500
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_ipcw, integrated_brier_score
from sksurv.util import Surv

LOADERS = {"gbsg2": load_gbsg2, "flchain": load_flchain, "whas500": load_whas500}
TIMES = 50
FOREST_ROWS = 2000
"""Rows that the forest learns from, at most: each leaf keeps a curve over all times, so that more would take gigabytes."""


def tables(folder: Path) -> None:
    for name, load in LOADERS.items():
        rows, label = load()
        event, time = label.dtype.names
        if name == "flchain":
            rows = rows.drop(columns="chapter")  # what somebody died of, which nobody knows before
        frame = rows.assign(days=label[time], died=label[event].astype(int))
        frame.insert(0, "patient", range(len(frame)))
        frame.to_csv(folder / f"{name}.csv", index=False)


def judge(train_file: Path, test_file: Path, curves_file: Path) -> dict[str, dict[str, float]]:
    train, test = pd.read_csv(train_file), pd.read_csv(test_file)
    curves = pd.read_csv(curves_file)
    y, truth = (Surv.from_dataframe("died", "days", one.astype({"died": bool})) for one in (train, test))
    x, asked = (one.drop(columns=["patient", "days", "died"]) for one in (train, test))
    numbers = make_column_selector(dtype_include="number")(x)
    words = [name for name in x.columns if name not in numbers]
    ready = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), words),
    )
    # What is weighted by the censoring of the training rows has to be seen by them.
    last = min(train["days"].max(), test["days"].max())
    events = test["days"][test["died"] == 1]
    is_seen = (test["days"] < train["days"].max()).to_numpy()
    test, truth, asked, curves = test[is_seen], truth[is_seen], asked[is_seen], curves[is_seen]
    times = np.linspace(*np.quantile(events[events < last], [0.1, 0.9]), TIMES)
    found = {"linewright": left_at(curves, times)}
    for name, model in (
        ("cox", CoxPHSurvivalAnalysis(alpha=1e-4)),
        ("forest", RandomSurvivalForest(n_estimators=100, min_samples_leaf=10, n_jobs=1, random_state=0)),
    ):
        most = slice(FOREST_ROWS) if name == "forest" else slice(None)
        fitted = make_pipeline(ready, model).fit(x[most], y[most])
        functions = fitted.predict_survival_function(asked)
        found[name] = np.array(
            [[one(min(max(t, one.domain[0]), one.domain[1])) for t in times] for one in functions]
        )
    told = {}
    for name, left in found.items():
        told[name] = {
            "ibs": float(integrated_brier_score(y, truth, left, times)),
            "concordance": float(concordance_index_ipcw(y, truth, -left.sum(axis=1), tau=times[-1])[0]),
        }
    return told


def left_at(curves: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    grid = [0.0, *map(float, curves.columns)]
    return np.array([np.interp(times, grid, [1.0, *row]) for row in curves.to_numpy()])


if __name__ == "__main__":
    if sys.argv[1] == "tables":
        tables(Path(sys.argv[2]))
    else:
        print(json.dumps(judge(*map(Path, sys.argv[2:5]))))
