"""AutoGluon chooses the estimator and its settings: ``train: {engine: autogluon}``; extra ``autogluon``.

Of what AutoGluon fits, only single models of LightGBM, XGBoost and scikit-learn's forests can be exported, so only those are asked
for: no bags, stacks or networks, which would have to be served out of process. It compares them on the last of our folds, without
a clock; the best is fitted again on each fold and on all rows, like a setting of our own.
"""

import logging
import warnings
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import clone
from xgboost import XGBClassifier, XGBRegressor

from linewright.errors import UserCodeError
from linewright.model.custom.estimator import EstimatorTrainer, Maker, libraries_of, others_code, spelled
from linewright.model.reasons import ChosenByAutoGluon
from linewright.model.spec import TrialsBudget
from linewright.model.tasks import link_of
from linewright.model.train.search import Asked, Offered
from linewright.model.train.settings import Setting

SECTION = "train.engine"
FAMILIES = ("GBM", "XGB", "RF", "XT")
"""AutoGluon's names of the models that can be exported."""
_PRESETS: Mapping[str, str] = {"quick": "light", "normal": "default", "thorough": "zeroshot"}
"""Its own lists of settings that a budget buys."""
_LABEL, _WEIGHT = "label", "weight"


def offer(asked: Asked) -> Offered:
    """Let AutoGluon fit and compare, and return the best as an estimator."""
    # Here and not at the top, so that the file can be read where the extra is absent.
    tabular: Any = import_module("autogluon.tabular")
    maker = Maker(name="AutoGluon", make=dict, section=SECTION, at=SECTION)
    settings = _settings(asked)
    many = sum(len(each) for each in settings.values())
    asked.pace.more(1)
    asked.pace.next(f"AutoGluon: {many} settings on one fold")
    with others_code("AutoGluon", maker), TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, name = _best(asked, settings, folder, tabular.TabularPredictor)
    if found is None:
        raise UserCodeError(
            "AutoGluon fitted nothing",
            where=SECTION,
            hint="take another engine, or the built-in one; its own messages are on stderr",
        )
    spelt = spelled(found)
    return Offered(
        setting=Setting(name="autogluon", family="autogluon", settings={"model": name, "estimator": spelt}),
        trainer=EstimatorTrainer(
            Maker(name="AutoGluon", make=partial(clone, found), section=SECTION, at=SECTION), asked.names
        ),
        by=ChosenByAutoGluon(model=name, settings=many),
        libraries=libraries_of(found) | {"autogluon.tabular": str(tabular.__version__)},
    )


def _settings(asked: Asked) -> dict[str, list[dict[str, Any]]]:
    """Return AutoGluon's own settings of the families that can be exported, as many as the budget buys."""
    budget = asked.budget
    preset = "zeroshot" if isinstance(budget, TrialsBudget) else _PRESETS[budget]
    configs: Any = import_module("autogluon.tabular.configs.hyperparameter_configs")
    listed: Mapping[str, Any] = configs.get_hyperparameter_config(preset)
    found = [
        (family, each)
        for family in FAMILIES
        for each in (listed[family] if isinstance(listed.get(family), list) else [listed.get(family, {})])
        if isinstance(each, dict)
    ]
    chosen = found[: budget.trials] if isinstance(budget, TrialsBudget) else found
    return {family: own for family in FAMILIES if (own := [each for name, each in chosen if name == family])}


def _best(asked: Asked, settings: Mapping[str, Any], folder: str, predict_by: Any) -> tuple[Any, str]:
    rows = asked.rows
    taken, held = asked.folds[-1]
    # It logs each step, and warns of what is not installed, whatever it is told of its verbosity.
    log = logging.getLogger("autogluon")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        is_weighted = bool(np.ptp(rows.weight[rows.learned]))
        predictor = predict_by(
            label=_LABEL,
            problem_type=link_of(rows.task).native,
            eval_metric="log_loss" if link_of(rows.task).is_class else "root_mean_squared_error",
            path=folder,
            verbosity=0,
            **({"sample_weight": _WEIGHT, "weight_evaluation": True} if is_weighted else {}),
        )
        predictor.fit(
            _frame(asked, taken, is_weighted=is_weighted),
            tuning_data=_frame(asked, held, is_weighted=is_weighted),
            hyperparameters=settings,
            fit_weighted_ensemble=False,
            calibrate=False,
            num_cpus=1,
            num_gpus=0,
        )
        board = predictor.leaderboard(silent=True)
        if not len(board):
            return None, ""
        name = str(board.sort_values("score_val", ascending=False, kind="stable")["model"].iloc[0])
        fitted = predictor._trainer.load_model(name)  # noqa: SLF001 -- there is no public way to one model
        return _estimator(fitted, is_class=link_of(rows.task).is_class), name
    finally:
        log.setLevel(level)


def _frame(asked: Asked, places: Any, *, is_weighted: bool) -> Any:
    """Return rows as AutoGluon takes them: by name, so that `pandas` is its own affair."""
    rows = asked.rows
    columns = {f"f{i}": rows.x[places, i].astype(np.float64) for i in range(rows.x.shape[1])}
    columns[_LABEL] = rows.target[places]
    if is_weighted:
        columns[_WEIGHT] = rows.weight[places]
    pandas: Any = import_module("pandas")
    return pandas.DataFrame(pl.DataFrame(columns).to_dict(as_series=False))


def _estimator(fitted: Any, *, is_class: bool) -> Any:
    """Return an unfitted estimator with the settings, and the rounds, of a model of AutoGluon."""
    own = {
        name: value
        for name, value in {**fitted.params, **fitted.params_trained}.items()
        if not name.startswith(("proc.", "ag."))
        and name not in {"seed", "random_state", "n_jobs", "objective"}
    }
    match type(fitted).__name__:
        case "LGBModel":
            rounds = own.pop("num_boost_round")
            kind = LGBMClassifier if is_class else LGBMRegressor
            return kind(n_estimators=rounds, verbose=-1, **own)
        case "XGBoostModel":
            kind = XGBClassifier if is_class else XGBRegressor
            return kind(**own)
        case _:
            plain: Any = clone(fitted.model)
            return plain.set_params(random_state=None, n_jobs=None, n_estimators=own["n_estimators"])
