"""AutoGluon. It has no word for rows in time, and its word for groups makes one fold of each group, so it is told neither."""

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from autogluon.tabular import TabularPredictor
from automl_cell import Job
from contestants.frames import Frames
from numpy.typing import NDArray
from sklearn import ensemble, linear_model, neighbors

LOADED = (catboost, lightgbm, xgboost, ensemble, linear_model, neighbors)
"""It loads these when it first fits; that is not fitting."""


class _AutoGluon(Frames):
    presets: str

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._path = job.folder / "fitted"

    def fit(self) -> None:
        job = self.job
        TabularPredictor(
            label=job.label,
            problem_type=job.task,
            eval_metric="log_loss" if job.classes else "root_mean_squared_error",
            path=str(self._path),
            verbosity=0,
        ).fit(
            self.take(job.train).assign(**{job.label: self.label.iloc[job.train].to_numpy()}),
            presets=self.presets,
            time_limit=job.seconds,
            num_cpus=1,
            num_gpus=0,
        )

    def open(self) -> None:
        deployed = self.job.folder / "deployed"
        TabularPredictor.load(str(self._path)).clone_for_deployment(str(deployed), dirs_exist_ok=True)
        self.deployed = deployed
        self.model = TabularPredictor.load(str(deployed))
        self.model.persist()

    def size(self) -> int:
        return sum(file.stat().st_size for file in Path(self.deployed).rglob("*") if file.is_file())

    def answer(self, request: pd.DataFrame) -> Any:
        return self.model.predict_proba(request) if self.job.classes else self.model.predict(request)

    def scores(self, answer: Any) -> NDArray[np.float64]:
        return self.in_order(answer.to_numpy(), answer.columns) if self.job.classes else answer.to_numpy()


class Medium(_AutoGluon):
    """What its first page trains with."""

    presets = "medium_quality"


class Best(_AutoGluon):
    """Its best on a CPU."""

    presets = "best_quality_v150"
