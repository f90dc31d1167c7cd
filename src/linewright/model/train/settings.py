"""What is tried: settings that worked, and how much work each may cost.

Work is counted, never timed, so that equal tables get equal plans on any machine.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, log2
from types import MappingProxyType
from typing import Any, Literal

from linewright.model.spec import TrialsBudget

Budget = Literal["quick", "normal", "thorough"] | TrialsBudget


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One entry of the table of settings."""

    name: str
    family: str
    """A key of `trainers.TRAINERS`, or a family that a line asks for."""
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
        learning_rate=0.08,
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
    _boosted(
        "lgb_a",
        learning_rate=0.035,
        num_leaves=31,
        feature_fraction=1.0,
        min_data_in_leaf=5,
        bagging_fraction=0.95,
        lambda_l2=0.84,
        cat_l2=1.0,
        cat_smooth=5.0,
    ),
    _xgboost(
        "xgb_s",
        learning_rate=0.05,
        max_depth=4,
        subsample=0.8,
        colsample_bytree=0.6,
        min_child_weight=3.0,
        reg_lambda=3.0,
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
"""In the order in which they are worth trying. Each was good on some of 16 real tables; the first on most. ``lgb_a`` shows
every tree all columns: where few columns only say something together, a tree that lacks one of them says nothing."""

ALSO = (
    Setting(
        name="cb",
        family="catboost",
        settings=MappingProxyType(
            {"learning_rate": 0.06, "max_depth": 6, "reg_lambda": 3.0, "colsample_bylevel": 1.0}
        ),
    ),
    Setting(
        name="cb_s",
        family="catboost",
        settings=MappingProxyType(
            {"learning_rate": 0.08, "max_depth": 4, "reg_lambda": 3.0, "colsample_bylevel": 1.0}
        ),
    ),
)
"""Of families that only a line that asks for them has; each in every budget, behind the first setting."""


@dataclass(frozen=True, kw_only=True)
class Bought:
    """What a budget buys on any table."""

    names: tuple[str, ...]
    """Settings."""
    work: float
    """Most that one fit may cost."""
    on_folds: float = inf
    """Most that all fits may cost on more than three folds."""
    refined: int = 0
    """Settings that are sought around the best one afterwards, at most."""
    refining: float = 0.0
    """Most that seeking them may cost."""
    paired: int = 0
    """Best settings of trees that are tried again with what two numbers are together (`linewright.model.train.feature_pairs`)."""


_BUDGETS: Mapping[str, Bought] = MappingProxyType(
    {
        "quick": Bought(names=("lin", "lgb_s"), work=1.2e8),
        "normal": Bought(
            names=("lgb", "lgb_s", "lgb_xt", "xgb", "lgb_a", "xgb_s", "lin_s", "lin"),
            work=2.5e8,
            on_folds=4.5e9,
        ),
        "thorough": Bought(
            names=tuple(setting.name for setting in SETTINGS),
            work=1e9,
            refined=24,
            refining=8e9,
            paired=4,
        ),
    }
)

PAIRS = "pairs"
"""The setting that says how many pairs of numbers are read beside the columns, at most; in names it stands after a dot."""
MOST_PAIRS = 8
PAIRED_COLUMNS = 8
"""Columns of numbers of which pairs are made, at most."""
ROWS_FOR_PAIRS = 10_000
"""Most rows by which pairs are chosen."""
PAIR_LEAVES = 15
"""Of the trees by which they are chosen."""
_MOST_CANDIDATES = 4 * PAIRED_COLUMNS * (PAIRED_COLUMNS - 1) // 2
_PAIRED_ROWS = 500
"""Fewest rows of which pairs are chosen."""
_PAIRING_ROUNDS, _FEWEST_PAIRING_ROUNDS = 60, 20
_PAIRING = 0.5
"""Share of the work of one fit that choosing may cost."""

_ROWS_PER_LEAF = 60
"""A leaf costs as much as scanning so many rows once more."""
_HINGED, _STRAIGHT = 100.0, 35.0
"""What a linear model with and without hinges costs for each number of the matrix and output, in numbers that a tree looks at."""
_FILLED = 0.6
"""Share of the leaves that a depth allows which trees have."""
_FEWEST_ROUNDS, _MOST_ROUNDS = 60, 2_000
_ENOUGH = 30.0
"""Rounds times learning rate after which boosting has usually converged."""
_FASTEST = 4.5
"""Most that a learning rate is multiplied by."""
_FAST, _LONGEST_STEP = 2.0, 2.0
"""From what a learning rate is multiplied by, and how far a leaf may then move the log-weight of a class before it is multiplied with the rate."""
_MEDIUM_LEAVES = 31
FEWER_FOLDS = 3
"""Folds that settings are validated on in place of all of them."""
_FEW_FOLDS = 4.0
"""Times that the fewest rounds may cost more than a fit should before one fold has to do."""
_ROWS_OF_ONE = 5_000
"""Rows of a fold that judges alone, at least."""
_WIDE = 250
"""Columns above which a linear model is held the more, the more there are: what many of them say by chance adds up."""
_TREE_LEVEL = 0.05
"""Milliseconds of ONNX Runtime for a level of one tree and 10,000 rows: 0.03 without categories, 0.08 with many."""
_PATIENCE = 3.0
"""Rounds without improvement, times learning rate, after which to stop."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a table is for those who learn from it."""

    rows: int
    width: int
    """Columns of the training matrix."""
    outputs: int
    """Trees a round: the number of classes for multiclass tasks, else 1."""

    def a_round(self, leaves: float) -> float:
        """Return the work of one round of boosting: rows that are looked at, once a column and tree."""
        return self.outputs * self.width * (self.rows + _ROWS_PER_LEAF * leaves)


def planned(budget: Budget, size: Size, also: Collection[str] = ()) -> tuple[Setting, ...]:
    """Return the settings that a budget buys for a table, with rounds and learning rates fitted to its size.

    Examples
    --------
    >>> small = planned("normal", Size(rows=1_000, width=10, outputs=1))
    >>> [setting.name for setting in small]
    ['lgb', 'lgb_s', 'lgb_xt', 'xgb', 'lgb_a', 'xgb_s', 'lin_s', 'lin']
    >>> large = planned("normal", Size(rows=100_000, width=50, outputs=1))
    >>> [setting[0].settings["learning_rate"] for setting in (small, large)]
    [0.035, 0.1575]
    >>> many = planned("quick", Size(rows=10_000, width=300, outputs=5))
    >>> many[1].settings["learning_rate"], many[1].settings["max_delta_step"]
    (0.27, 2.0)
    """
    if isinstance(budget, TrialsBudget):
        settings = SETTINGS
    else:
        settings = tuple(next(one for one in SETTINGS if one.name == name) for name in _bought(budget).names)
    settings = (settings[0], *(one for one in ALSO if one.family in also), *settings[1:])
    if isinstance(budget, TrialsBudget):
        settings = settings[: budget.trials]
    fitted = tuple(sized(setting, budget, size) for setting in settings)
    return fitted if isinstance(budget, TrialsBudget) else (*fitted, *_loose(settings, size))


def _loose(settings: Sequence[Setting], size: Size) -> Iterator[Setting]:
    """Give the plain linear model of a wide table as it is of any other: columns of pictures and texts say much together, and folds decide.

    Examples
    --------
    >>> [one.settings["c"] for one in planned("quick", Size(rows=600, width=2_500, outputs=1)) if one.family == "linear"]
    [0.003, 0.3]
    """
    for one in settings:
        if one.name == "lin" and size.width > _WIDE:
            yield replace(one, name="lin.loose")


def _bought(budget: Budget) -> Bought:
    return _BUDGETS["normal" if isinstance(budget, TrialsBudget) else budget]


def sized(setting: Setting, budget: Budget, size: Size) -> Setting:
    """Return a setting with rounds, patience and learning rate, or the hold on a linear model, fitted to a table."""
    own = setting.settings
    if setting.family == "linear":
        held = own["c"] * min(1.0, (_WIDE / max(size.width, 1)) ** 2)
        return replace(setting, settings=MappingProxyType({**own, "c": round(held, 6)}))
    if "learning_rate" not in own:
        return setting
    affordable = int(_bought(budget).work / size.a_round(_leaves(setting)))
    affordable = min(max(affordable, _FEWEST_ROUNDS), _MOST_ROUNDS)
    wanted = _ENOUGH / own["learning_rate"]
    faster = min(max(1.0, wanted / affordable), _FASTEST)
    rate = own["learning_rate"] * faster
    # Where a class is rare a leaf of it asks for steps without end; small rates forgive one, large ones do not.
    bounded = (
        {"max_delta_step": _LONGEST_STEP}
        if size.outputs > 1 and faster > _FAST and setting.family == "lightgbm"
        else {}
    )
    fitted = {
        **bounded,
        "learning_rate": round(rate, 4),
        "rounds": min(affordable, ceil(2 * _ENOUGH / rate)),
        "patience": max(10, ceil(_PATIENCE / rate)),
    }
    return Setting(name=setting.name, family=setting.family, settings=MappingProxyType({**own, **fitted}))


def plain(setting: Setting) -> Setting:
    """Return a setting of the table as it was before it was fitted to the size of a table, with its pairs if it has some."""
    table = next(one for one in (*SETTINGS, *ALSO) if one.name == setting.name.partition(".")[0])
    return with_pairs(table) if PAIRS in setting.settings else table


def with_pairs(setting: Setting) -> Setting:
    """Return a setting that reads what pairs of numbers are together, too."""
    return Setting(
        name=f"{setting.name}.{PAIRS}",
        family=setting.family,
        settings=MappingProxyType({**setting.settings, PAIRS: MOST_PAIRS}),
    )


def paired(budget: Budget, size: Size) -> tuple[int, int]:
    """Return how many of the best settings of trees are tried again with pairs of numbers, and by how many rounds pairs are chosen.

    Examples
    --------
    >>> [paired("thorough", Size(rows=rows, width=10, outputs=1)) for rows in (200, 5_000)]
    [(0, 0), (4, 60)]
    >>> paired("normal", Size(rows=5_000, width=10, outputs=1))
    (0, 0)
    """
    if isinstance(budget, TrialsBudget) or size.rows < _PAIRED_ROWS:
        return 0, 0
    bought = _bought(budget)
    seen = replace(size, rows=min(size.rows, ROWS_FOR_PAIRS), width=size.width + _MOST_CANDIDATES)
    rounds = min(_PAIRING_ROUNDS, int(_PAIRING * bought.work / seen.a_round(PAIR_LEAVES)))
    return (bought.paired, rounds) if bought.paired and rounds >= _FEWEST_PAIRING_ROUNDS else (0, 0)


def _leaves(setting: Setting) -> float:
    own = setting.settings
    return own["num_leaves"] if "num_leaves" in own else _FILLED * 2 ** own["max_depth"]


def folds_judged(budget: Budget, size: Size, folds: int) -> int:
    """Return on how many of the folds settings are judged: all, 3 or 1, for fewer tell as much where there are many rows.

    One judges alone only with enough rows of its own: a table may be dear for its columns and classes.

    Examples
    --------
    >>> [
    ...     folds_judged("normal", Size(rows=rows, width=30, outputs=1), 5)
    ...     for rows in (12_000, 300_000, 5_000_000)
    ... ]
    [5, 3, 1]
    >>> folds_judged("normal", Size(rows=13_000, width=300, outputs=5), 5)
    3
    """
    above = _FEWEST_ROUNDS * size.a_round(_MEDIUM_LEAVES) / _bought(budget).work
    if above <= 1:
        return folds
    return min(folds, FEWER_FOLDS if above <= _FEW_FOLDS or size.rows < folds * _ROWS_OF_ONE else 1)


def folds_within(
    budget: Budget, size: Size, folds: int, settings: Collection[Setting], *, share: float = 1.0
) -> int:
    """Return on how many of the folds settings are validated, so that all their fits stay within a budget: all or 3.

    Examples
    --------
    >>> size = Size(rows=10_000, width=25, outputs=1)
    >>> [folds_within("normal", size, 5, planned("normal", size), share=share) for share in (0.3, 0.9)]
    [5, 3]
    """
    if isinstance(budget, TrialsBudget):
        return folds
    work = folds * sum(_work(one, size, share) for one in settings)
    return folds if work <= _bought(budget).on_folds else min(folds, FEWER_FOLDS)


def _work(setting: Setting, size: Size, share: float) -> float:
    """Return the work of one fit; trees are expected to take a share of their rounds."""
    own = setting.settings
    if "rounds" in own:
        return share * own["rounds"] * size.a_round(_leaves(setting))
    return size.outputs * size.width * size.rows * (_HINGED if own.get("hinges") else _STRAIGHT)


def share_of_rounds(setting: Setting, rounds: float) -> float:
    """Return which part of its rounds a setting took that stopped after so many, those without improvement included.

    Examples
    --------
    >>> first = planned("normal", Size(rows=10_000, width=25, outputs=1))[0]
    >>> first.settings["rounds"], first.settings["patience"], round(share_of_rounds(first, 323), 2)
    (843, 85, 0.48)
    """
    own = setting.settings
    return min(1.0, (rounds + own["patience"]) / own["rounds"])


def refinements(
    budget: Budget, size: Size, best: Setting, *, rounds: int, folds: int, also: Collection[str] = ()
) -> int:
    """Return how many settings are sought around the best one.

    Examples
    --------
    >>> size, best = Size(rows=1_000, width=10, outputs=1), SETTINGS[0]
    >>> [refinements(budget, size, best, rounds=200, folds=5) for budget in ("normal", "thorough")]
    [0, 24]
    >>> refinements(TrialsBudget(trials=20), size, best, rounds=200, folds=5)
    11
    """
    most = most_refinements(budget, also)
    if isinstance(budget, TrialsBudget):
        return most
    one = folds * max(rounds, 1) * size.a_round(_leaves(best))
    return min(most, int(_bought(budget).refining / one))


def most_refinements(budget: Budget, also: Collection[str] = ()) -> int:
    """Return how many settings are sought around the best one at most, whatever the table and the best one.

    Examples
    --------
    >>> [most_refinements(budget) for budget in ("normal", "thorough", TrialsBudget(trials=12))]
    [0, 24, 3]
    """
    if isinstance(budget, TrialsBudget):
        return max(0, budget.trials - len(SETTINGS) - sum(one.family in also for one in ALSO))
    return _bought(budget).refined


def milliseconds(setting: Setting, *, rounds: int, outputs: int) -> float:
    """Return about what the trees of a model cost for 10,000 rows on one thread, counted and not timed; 0 for a linear one.

    Examples
    --------
    >>> boosted = next(one for one in SETTINGS if one.name == "lgb")
    >>> round(milliseconds(boosted, rounds=400, outputs=1))
    99
    """
    if "learning_rate" not in setting.settings:
        return 0.0
    return _TREE_LEVEL * rounds * outputs * log2(_leaves(setting))
