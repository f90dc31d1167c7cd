"""The simplest of the settings that were tried and are as good as the chosen one, as far as its interval tells."""

import math
from collections.abc import Sequence

import msgspec

from linewright.model.facts import Trained, Trial
from linewright.model.figures import in_words

_FAMILIES = {
    "linear": "a linear model",
    "catboost": "fewer or smaller trees",
    "lightgbm": "fewer or smaller trees",
    "xgboost": "fewer or smaller trees",
}
_LEAVES, _DEPTH = ("num_leaves", "max_leaves"), ("max_depth", "depth")


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A simpler setting whose loss is within the interval of the chosen one."""

    trial: Trial
    chosen: Trial


def simplest(trials: Sequence[Trial], chosen: str) -> Rival | None:
    """Return the simplest setting whose loss is within the chosen one's 95 % interval.

    Parameters
    ----------
    trials
        What was tried, best first.
    chosen
        Name of the chosen one.

    Returns
    -------
    Rival or None
        `None` where nothing simpler than the chosen one is as good, and where several were summed: whether the best of them alone
        does as well was asked row by row when they were chosen, and `members.why` says it.

    Notes
    -----
    Linear models are simpler than trees, and of trees those with fewer leaves in all are simpler.

    Examples
    --------
    >>> trees = Trial(name="lgb", family="lightgbm", settings={"num_leaves": 31}, loss=0.41, low=0.40, high=0.42, rounds=90)
    >>> line = Trial(name="lin", family="linear", settings={}, loss=0.416, low=0.40, high=0.43, rounds=0)
    >>> simplest([trees, line], "lgb").trial.name, simplest([trees, line], "lin")
    ('lin', None)
    """
    taken = next((one for one in trials if one.name == chosen), None)
    if taken is None:
        return None
    near = [one for one in trials if one.loss <= taken.high and one is not taken]
    best = min(near, key=lambda one: (_size(one), one.loss), default=None)
    return None if best is None or _size(best) >= _size(taken) else Rival(trial=best, chosen=taken)


def _size(trial: Trial) -> float:
    """Return about how many leaves a setting has in all; 0 for linear models."""
    if trial.family == "linear":
        return 0.0
    leaves = next((trial.settings[word] for word in _LEAVES if trial.settings.get(word)), None)
    depth = next((trial.settings[word] for word in _DEPTH if trial.settings.get(word)), 6)
    return float(max(trial.rounds, 1) * (leaves or 2**depth))


def simplest_in_words(trained: Trained) -> str:
    """Say which simpler setting is as good, and how to take it; empty where none is."""
    rival = simplest(trained.trials, trained.chosen)
    if rival is None:
        return ""
    trial, chosen = rival.trial, rival.chosen
    word, read = ("typical error (RMSE)", math.sqrt) if trained.task == "regression" else ("log-loss", float)
    loss, against, low, high = (
        in_words(read(one)) for one in (trial.loss, chosen.loss, chosen.low, chosen.high)
    )
    kind = _FAMILIES.get(trial.family, f"a model of the family {trial.family}")
    return (
        f"As far as these rows can tell, something simpler does as well: {trial.name} ({kind}) has a {word} of {loss}, "
        f"{chosen.name} one of {against}, whose 95 % interval is {low} to {high}. "
        "`train: {prefer: small}` in the line file takes the smallest that does as well; in the place of a champion it comes only "
        "where it is surely better, or surely not worse by more than the gate allows (`{beats: champion, margin: -0.01}`)."
    )
