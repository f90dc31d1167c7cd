"""LightGBM as it comes."""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

import json
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from automl_cell import Job
from numpy.typing import NDArray

NUMERIC = 0.95
"""Share of a column's values that must be numbers for it to be taken as numbers."""


class LightGBM:
    """Numbers where 95 % of the training values are numbers, else categories; asked with rows of texts."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.frame = pl.read_csv(job.table, infer_schema=False)
        unread = {job.label, *job.unread}
        self.columns = [name for name in self.frame.columns if name not in unread]
        self._file = job.folder / "model.txt"
        self._levels_file = job.folder / "levels.json"

    def fit(self) -> None:
        job, rows = self.job, self.frame[self.job.train]
        self.levels = {name: self._levels(rows[name]) for name in self.columns}
        x = self._encode(rows.select(self.columns).rows())
        categories = [i for i, name in enumerate(self.columns) if self.levels[name] is not None]
        shared = {"verbose": -1, "random_state": job.seed, "n_jobs": 1}
        if job.classes:
            codes = {name: code for code, name in enumerate(job.classes)}
            known = np.array([codes[value] for value in rows[job.label]])
            model = lightgbm.LGBMClassifier(**shared)
        else:
            known = rows[job.label].cast(pl.Float64).to_numpy()
            model = lightgbm.LGBMRegressor(**shared)
        model.fit(x, known, categorical_feature=categories or "auto")
        model.booster_.save_model(self._file)
        present = np.unique(known).tolist() if job.classes else []
        self._levels_file.write_text(json.dumps({"levels": self.levels, "present": present}))

    @staticmethod
    def _levels(column: pl.Series) -> dict[str, int] | None:
        numbers = column.cast(pl.Float64, strict=False)
        if len(column) - numbers.null_count() >= NUMERIC * (len(column) - column.null_count()):
            return None
        return {level: code for code, level in enumerate(column.drop_nulls().unique().sort())}

    def _encode(self, rows: list[tuple[str | None, ...]]) -> NDArray[np.float64]:
        kinds = [self.levels[name] for name in self.columns]
        return np.array(
            [
                [
                    np.nan
                    if value is None
                    else _number(value)
                    if levels is None
                    else levels.get(value, np.nan)
                    for value, levels in zip(row, kinds, strict=True)
                ]
                for row in rows
            ]
        )

    def open(self) -> None:
        told = json.loads(self._levels_file.read_text())
        self.levels, self.present = told["levels"], told["present"]
        self.booster = lightgbm.Booster(model_file=self._file)

    def size(self) -> int:
        return self._file.stat().st_size + self._levels_file.stat().st_size

    def take(self, rows: NDArray[np.int64]) -> list[tuple[str | None, ...]]:
        return self.frame[rows].select(self.columns).rows()

    def answer(self, request: list[tuple[str | None, ...]]) -> NDArray[np.float64]:
        return np.asarray(self.booster.predict(self._encode(request), num_threads=1))

    def scores(self, answer: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.job.classes:
            return answer
        if answer.ndim == 1:
            return np.column_stack([1 - answer, answer])
        whole = np.zeros((len(answer), len(self.job.classes)))
        whole[:, self.present] = answer
        return whole

    def ways(self) -> Mapping[str, Callable[[Any], Any]]:
        return {}


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return np.nan
