"""The simplest of the settings that were tried and do as well as the chosen one, compared row by row."""

from collections.abc import Sequence

import msgspec

from linewright.model.facts import Trial
from linewright.model.train.settings import PAIRS

_LEAVES, _DEPTH = ("num_leaves", "max_leaves"), ("max_depth", "depth")


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A simpler setting that does as well as the chosen one, as far as the rows that judged both can tell."""

    trial: Trial
    chosen: Trial


def simplest(trials: Sequence[Trial], chosen: str) -> Rival | None:
    """Return the simplest setting whose loss is not surely above the chosen one's.

    Notes
    -----
    Linear models are simpler than trees, of trees those with fewer leaves in all, and what reads pairs of numbers is never simpler than what does not. Both settings were judged on the
    same rows, so that the 95 % interval of their difference counts (`facts.Trial.more`): those of the two losses overlap also where
    one is surely better, since rows that are hard for one are hard for the other.

    Examples
    --------
    >>> trees = Trial(name="lgb", family="lightgbm", settings={"num_leaves": 31}, loss=0.41, low=0.40, high=0.42, rounds=90)
    >>> line = Trial(name="lin", family="linear", settings={}, loss=0.416, low=0.40, high=0.43, rounds=0, more=0.006,
    ...     more_low=-0.002, more_high=0.014)
    >>> simplest([trees, line], "lgb").trial.name, simplest([trees, line], "lin")
    ('lin', None)
    """
    taken = next((one for one in trials if one.name == chosen), None)
    if taken is None:
        return None
    near = [
        one
        for one in trials
        if one is not taken
        and one.more_low is not None
        and one.more_low <= 0
        and (PAIRS not in one.settings or PAIRS in taken.settings)
    ]
    best = min(near, key=lambda one: (_size(one), one.loss), default=None)
    return None if best is None or _size(best) >= _size(taken) else Rival(trial=best, chosen=taken)


def _size(trial: Trial) -> float:
    """Return about how many leaves a setting has in all; 0 for linear models."""
    if trial.family == "linear":
        return 0.0
    leaves = next((trial.settings[word] for word in _LEAVES if trial.settings.get(word)), None)
    depth = next((trial.settings[word] for word in _DEPTH if trial.settings.get(word)), 6)
    return float(max(trial.rounds, 1) * (leaves or 2**depth))
