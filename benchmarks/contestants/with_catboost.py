"""CatBoost as it comes."""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

from typing import Any

import catboost
import numpy as np
import pandas as pd
from automl_cell import Job
from contestants.frames import Frames
from numpy.typing import NDArray


class CatBoost(Frames):
    """Default settings; texts are categories, or text where the table says so."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        texts = [name for name in self.frame if not pd.api.types.is_numeric_dtype(self.frame[name])]
        self.frame[texts] = self.frame[texts].astype(object).fillna("missing").astype(str)
        self.texts = [name for name in texts if name in job.text]
        self.categories = [name for name in texts if name not in job.text]
        self._file = job.folder / "model.cbm"

    def fit(self) -> None:
        job = self.job
        kind = catboost.CatBoostClassifier if job.classes else catboost.CatBoostRegressor
        model = kind(random_seed=job.seed, thread_count=1, verbose=False, allow_writing_files=False)
        model.fit(
            self.frame.iloc[job.train],
            self.label.iloc[job.train],
            cat_features=self.categories or None,
            text_features=self.texts or None,
        )
        model.save_model(self._file)

    def open(self) -> None:
        self.model = catboost.CatBoostClassifier() if self.job.classes else catboost.CatBoostRegressor()
        self.model.load_model(self._file)

    def size(self) -> int:
        return self._file.stat().st_size

    def answer(self, request: pd.DataFrame) -> Any:
        if self.job.classes:
            return self.model.predict_proba(request, thread_count=1)
        return self.model.predict(request, thread_count=1)

    def scores(self, answer: Any) -> NDArray[np.float64]:
        return self.in_order(answer, self.model.classes_) if self.job.classes else np.asarray(answer)
