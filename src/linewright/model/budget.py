"""What is tried: settings that worked, and how much work each may cost.

Work is counted, never timed, so that equal tables get equal plans on any machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from types import MappingProxyType
from typing import Any, Literal

from linewright.model.spec import TrialsBudget

Budget = Literal["quick", "normal", "thorough"] | TrialsBudget


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One entry of the table of settings."""

    name: str
    family: str
    """A key of `trainers.TRAINERS`."""
    settings: Mapping[str, Any]


def _boosted(name: str, **settings: Any) -> Setting:
    shared = {"bagging_freq": 1, "max_cat_to_onehot": 16}
    return Setting(name=name, family="lightgbm", settings=MappingProxyType(shared | settings))


def _xgboost(name: str, **settings: Any) -> Setting:
    return Setting(name=name, family="xgboost", settings=MappingProxyType(settings))


def _linear(name: str, **settings: Any) -> Setting:
    return Setting(name=name, family="linear", settings=MappingProxyType(settings))


SETTINGS = (
    _boosted(
        "lgb",
        learning_rate=0.035,
        num_leaves=31,
        feature_fraction=0.53,
        min_data_in_leaf=5,
        bagging_fraction=0.95,
        lambda_l2=0.84,
        cat_l2=1.0,
        cat_smooth=5.0,
    ),
    _linear("lin_s", c=0.3, hinges=True),
    _boosted(
        "lgb_xt",
        extra_trees=True,
        learning_rate=0.04,
        num_leaves=39,
        feature_fraction=0.46,
        min_data_in_leaf=3,
        bagging_fraction=0.88,
        lambda_l1=0.24,
        lambda_l2=0.36,
        cat_l2=0.34,
        cat_smooth=15.0,
    ),
    _xgboost(
        "xgb",
        learning_rate=0.06,
        max_depth=6,
        subsample=0.8,
        colsample_bytree=0.7,
        min_child_weight=2.0,
    ),
    _boosted(
        "lgb_s",
        learning_rate=0.06,
        num_leaves=6,
        feature_fraction=0.6,
        min_data_in_leaf=15,
        bagging_fraction=0.8,
    ),
    _linear("lin", c=0.3, hinges=False),
    _boosted(
        "lgb_l",
        extra_trees=True,
        learning_rate=0.04,
        num_leaves=120,
        feature_fraction=0.4,
        min_data_in_leaf=12,
        bagging_fraction=0.9,
    ),
)
"""In the order in which they are worth trying. Each was good on some of 16 real tables; the first on most."""

_BUDGETS: Mapping[str, tuple[tuple[str, ...], float]] = MappingProxyType(
    {
        "quick": (("lin", "lgb_s"), 1.2e8),
        "normal": (("lgb", "lgb_s", "lgb_xt", "lin"), 2.5e8),
        "thorough": (tuple(setting.name for setting in SETTINGS), 1e9),
    }
)
"""Names, and the most work that one fit may cost."""

_ROWS_PER_LEAF = 60
"""A leaf costs as much as scanning so many rows once more."""
_FILLED = 0.6
"""Share of the leaves that a depth allows which trees have."""
_FEWEST_ROUNDS, _MOST_ROUNDS = 60, 2_000
_ENOUGH = 30.0
"""Rounds times learning rate after which boosting has usually converged."""
_FASTEST = 4.5
"""Most that a learning rate is multiplied by."""
_TREE_LEVEL = 0.05
"""Milliseconds of ONNX Runtime for a level of one tree and 10,000 rows: 0.03 without categories, 0.08 with many."""
_PATIENCE = 3.0
"""Rounds without improvement, times learning rate, after which to stop."""


def planned(budget: Budget, *, rows: int, width: int, outputs: int) -> tuple[Setting, ...]:
    """Return the settings that a budget buys for a table, with rounds and learning rates fitted to its size.

    Parameters
    ----------
    budget
        As in the line file. ``{trials: N}`` takes the first N settings of the whole table, each as in ``normal``.
    rows, width
        Shape of the training matrix.
    outputs
        Trees a round: the number of classes for multiclass tasks, else 1.

    Examples
    --------
    >>> small = planned("normal", rows=1_000, width=10, outputs=1)
    >>> [setting.name for setting in small]
    ['lgb', 'lgb_s', 'lgb_xt', 'lin']
    >>> large = planned("normal", rows=100_000, width=50, outputs=1)
    >>> [setting[0].settings["learning_rate"] for setting in (small, large)]
    [0.035, 0.1575]
    """
    if isinstance(budget, TrialsBudget):
        settings, work = SETTINGS[: budget.trials], _BUDGETS["normal"][1]
    else:
        names, work = _BUDGETS[budget]
        settings = tuple(next(setting for setting in SETTINGS if setting.name == name) for name in names)
    return tuple(_sized(setting, work, rows=rows, width=width, outputs=outputs) for setting in settings)


def _sized(setting: Setting, work: float, *, rows: int, width: int, outputs: int) -> Setting:
    own = setting.settings
    if "learning_rate" not in own:
        return setting
    leaves = own["num_leaves"] if "num_leaves" in own else _FILLED * 2 ** own["max_depth"]
    a_round = outputs * width * (rows + _ROWS_PER_LEAF * leaves)
    affordable = min(max(int(work / a_round), _FEWEST_ROUNDS), _MOST_ROUNDS)
    wanted = _ENOUGH / own["learning_rate"]
    rate = own["learning_rate"] * min(max(1.0, wanted / affordable), _FASTEST)
    sized = {
        "learning_rate": round(rate, 4),
        "rounds": min(affordable, ceil(2 * _ENOUGH / rate)),
        "patience": max(10, ceil(_PATIENCE / rate)),
    }
    return Setting(name=setting.name, family=setting.family, settings=MappingProxyType({**own, **sized}))


def milliseconds(setting: Setting, *, rounds: int, outputs: int) -> float:
    """Return about what the trees of a model cost for 10,000 rows on one thread, counted and not timed; 0 for a linear one.

    Parameters
    ----------
    setting
        A setting; its leaves count.
    rounds
        Rounds of boosting; 0 for a linear model.
    outputs
        Trees a round.

    Examples
    --------
    >>> boosted = next(one for one in SETTINGS if one.name == "lgb")
    >>> round(milliseconds(boosted, rounds=400, outputs=1))
    99
    """
    leaves = setting.settings.get("num_leaves", 0)
    return _TREE_LEVEL * rounds * outputs * log2(leaves) if leaves else 0.0
