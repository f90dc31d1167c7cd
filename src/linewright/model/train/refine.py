"""Seek better settings near a good one: a tree-structured Parzen estimator proposes, folds judge [1]_.

The number of proposals is part of the plan, and the sampler has a seed of its own, so that equal rows give equal proposals.

References
----------
.. [1] T. Akiba et al., Optuna: A next-generation hyperparameter optimization framework, KDD 2019.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from linewright.model.train.settings import Setting

_SPACES: Mapping[str, Mapping[str, BaseDistribution]] = MappingProxyType(
    {
        "lightgbm": {
            "num_leaves": IntDistribution(4, 127, log=True),
            "min_data_in_leaf": IntDistribution(1, 100, log=True),
            "feature_fraction": FloatDistribution(0.3, 1.0),
            "bagging_fraction": FloatDistribution(0.5, 1.0),
            "lambda_l2": FloatDistribution(0.01, 20.0, log=True),
        },
        "xgboost": {
            "max_depth": IntDistribution(2, 9),
            "min_child_weight": FloatDistribution(0.5, 50.0, log=True),
            "colsample_bytree": FloatDistribution(0.3, 1.0),
            "subsample": FloatDistribution(0.5, 1.0),
            "reg_lambda": FloatDistribution(0.01, 20.0, log=True),
        },
        "catboost": {
            "max_depth": IntDistribution(3, 8),
            "reg_lambda": FloatDistribution(0.1, 30.0, log=True),
            "colsample_bylevel": FloatDistribution(0.3, 1.0),
        },
    }
)
_UNLESS_SAID: Mapping[str, float] = MappingProxyType({"reg_lambda": 1.0})
"""What libraries take where a setting does not say it; 0 for all others."""
_DIGITS = 4
"""Significant digits of a proposed number, so that people can read it."""


def refined(best: Setting, loss: float, *, count: int, seed: int, judge: Callable[[Setting], float]) -> None:
    """Propose settings near a good one, one after the other, each in the light of what was said of those before."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = _SPACES[best.family]
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_startup(count))
    )
    known = {
        name: _within(best.settings.get(name, _UNLESS_SAID.get(name, 0.0)), space[name]) for name in space
    }
    study.add_trial(create_trial(params=known, distributions=dict(space), value=loss))
    for number in range(1, count + 1):
        asked = study.ask(dict(space))
        own = {name: _rounded(asked.params[name]) for name in space}
        proposal = Setting(
            name=f"{best.name}.{number}",
            family=best.family,
            settings=MappingProxyType({**best.settings, **own}),
        )
        study.tell(asked, judge(proposal))


def _startup(count: int) -> int:
    return max(2, count // 3)


def _within(value: float, allowed: BaseDistribution) -> Any:
    low, high = (getattr(allowed, end) for end in ("low", "high"))
    return min(max(value, low), high)


def _rounded(value: float) -> Any:
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")
