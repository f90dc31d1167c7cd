"""FLAML."""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from automl_cell import Job
from contestants.frames import Frames
from flaml import AutoML
from numpy.typing import NDArray
from sklearn import ensemble, linear_model

LOADED = (lightgbm, xgboost, ensemble, linear_model)
"""It loads these when it first fits; that is not fitting."""


class Flaml(Frames):
    """Its time budget, the loss, and how the rows are split."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._file = job.folder / "model.joblib"

    def fit(self) -> None:
        job = self.job
        told: dict[str, Any] = {}
        if job.by == "time":
            told = {"split_type": "time"}
        elif self.group is not None:
            told = {"split_type": "group", "groups": self.group.iloc[job.train].to_numpy()}
        model = AutoML()
        model.fit(
            self.take(job.train),
            self.label.iloc[job.train].reset_index(drop=True),
            task="classification" if job.classes else "regression",
            metric="log_loss" if job.classes else "rmse",
            time_budget=job.seconds,
            n_jobs=1,
            seed=job.seed,
            verbose=0,
            **told,
        )
        joblib.dump(model, self._file)

    def open(self) -> None:
        self.model = joblib.load(self._file)

    def size(self) -> int:
        return self._file.stat().st_size

    def answer(self, request: pd.DataFrame) -> Any:
        return self.model.predict_proba(request) if self.job.classes else self.model.predict(request)

    def scores(self, answer: Any) -> NDArray[np.float64]:
        return self.in_order(answer, self.model.classes_) if self.job.classes else np.asarray(answer)
