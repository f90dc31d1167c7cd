"""FLAML chooses the estimator and its settings: ``train: {engine: flaml}``; extra ``flaml``.

It searches on our folds, by our loss, and for a number of trials: a clock would decide differently each time. What it found is
fitted again on each fold and on all rows, like a setting of our own.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from linewright.model.custom.estimator import EstimatorTrainer, Maker, libraries_of, others_code, spelled
from linewright.model.reasons import ChosenByFlaml
from linewright.model.spec import TrialsBudget
from linewright.model.tasks import link_of
from linewright.model.train.search import Asked, Offered
from linewright.model.train.settings import Setting

SECTION = "train.engine"
LEARNERS = ("lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree")
"""Its learners that can be exported and read missing values."""
TRIALS: Mapping[str, int] = {"quick": 10, "normal": 40, "thorough": 160}
"""Trials that a budget buys."""


class _Folds:
    """Our folds as FLAML takes a splitter."""

    shuffle = False

    def __init__(self, folds: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> None:
        self._folds = folds

    def split(self, *_: Any, **__: Any) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        yield from self._folds

    def get_n_splits(self, *_: Any, **__: Any) -> int:
        return len(self._folds)


def offer(asked: Asked) -> Offered:
    """Search with FLAML, and return what it found."""
    rows, budget = asked.rows, asked.budget
    trials = max(len(LEARNERS), budget.trials if isinstance(budget, TrialsBudget) else TRIALS[budget])
    # Here and not at the top, so that the file can be read where the extra is absent.
    flaml: Any = import_module("flaml")
    # It tells its progress to a log that nobody asked for.
    logging.getLogger("flaml.automl.logger").setLevel(logging.ERROR)
    maker = Maker(name="FLAML", make=flaml.AutoML, section=SECTION, at=SECTION)
    is_class = link_of(rows.task).is_class
    learned = np.flatnonzero(rows.learned)
    place = np.full(len(rows.target), -1)
    place[learned] = np.arange(len(learned))
    weight = rows.weight[learned]
    asked.pace.more(1)
    asked.pace.next(f"FLAML: {trials} trials on {len(asked.folds)} folds")
    search = flaml.AutoML()
    with others_code("the search of FLAML", maker), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(
            rows.x[learned].astype(np.float64),
            rows.target[learned],
            task="classification" if is_class else "regression",
            metric="log_loss" if is_class else "mse",
            estimator_list=list(LEARNERS),
            time_budget=-1,
            max_iter=trials,
            learner_selector="roundrobin",
            sample=False,
            eval_method="cv",
            split_type=_Folds([(place[taken], place[held]) for taken, held in asked.folds]),
            n_splits=len(asked.folds),
            n_jobs=1,
            seed=rows.seed,
            verbose=0,
            log_file_name="",
            early_stop=False,
            **({"sample_weight": weight} if np.ptp(weight) else {}),
        )
    found = search.model.estimator
    plain: Any = clone(found)
    spelt = spelled(plain)
    maker = Maker(name="FLAML", make=partial(clone, plain), section=SECTION, at=SECTION)
    return Offered(
        setting=Setting(
            name="flaml", family="flaml", settings={"learner": search.best_estimator, "estimator": spelt}
        ),
        trainer=EstimatorTrainer(maker, asked.names),
        by=ChosenByFlaml(estimator=type(found).__name__, trials=trials),
        libraries=libraries_of(found) | libraries_of(search),
    )
