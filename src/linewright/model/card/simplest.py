"""The simplest of the settings that were tried and do as well as the chosen one, compared row by row."""

import math
from collections.abc import Sequence

import msgspec

from linewright.model.facts import Trained, Trial
from linewright.model.reasons import Fastest
from linewright.model.tasks import task as rules_of
from linewright.model.train.settings import PAIRS
from linewright.text.numbers import in_words

_FAMILIES = {
    "linear": "a linear model",
    "catboost": "fewer or smaller trees",
    "lightgbm": "fewer or smaller trees",
    "xgboost": "fewer or smaller trees",
}
_LEAVES, _DEPTH = ("num_leaves", "max_leaves"), ("max_depth", "depth")


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A simpler setting that does as well as the chosen one, as far as the rows that judged both can tell."""

    trial: Trial
    chosen: Trial


def simplest(trials: Sequence[Trial], chosen: str) -> Rival | None:
    """Return the simplest setting whose loss is not surely above the chosen one's.

    Parameters
    ----------
    trials
        What was tried, best first.
    chosen
        Name of the chosen one.

    Returns
    -------
    Rival or None
        `None` where nothing simpler than the chosen one is as good; where something else than the loss chose, or differences were
        not measured yet, so that it is not known; and where several were summed: whether the best of them alone does as well is
        asked in the same way when they are chosen, and `members.why` says it.

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


def simplest_in_words(trained: Trained) -> str:
    """Say which simpler setting is as good, and how to take it; empty where none is."""
    rival = simplest(trained.trials, trained.chosen)
    if rival is None:
        return ""
    trial, chosen = rival.trial, rival.chosen
    rules = rules_of(trained.task)
    word, read = (
        ("root mean squared error (RMSE)", math.sqrt) if rules.is_squared else (rules.loss_name, float)
    )
    loss, against = (in_words(read(one)) for one in (trial.loss, chosen.loss))
    kind = _FAMILIES.get(trial.family, f"a model of the family {trial.family}")
    named = f"{trial.name} ({kind})"
    # What is chosen as the fastest within noise was held against the best, by a standard error and not by the 95 % interval.
    opening = (
        f"Simpler, and not surely worse, is {named}; it was not taken, since it answers no faster or is further above the best than noise. It"
        if isinstance(trained.reason.choice, Fastest)
        else f"As far as these rows can tell, something simpler does as well: {named}"
    )
    return (
        f"{opening} has a {word} of {loss}, "
        f"{chosen.name} one of {against}; row by row its {rules.loss_name} is {_told(trial)}. "
        "In the place of a champion it comes only where it is surely better, or surely not worse by more than the gate allows "
        "(`{beats: champion, margin: -0.01}`)."
    )


def _told(trial: Trial) -> str:
    if trial.more is None or trial.more_low is None or trial.more_high is None:
        return "not compared"
    more, low, high = (
        "no other" if one == 0 else f"{in_words(abs(one))} {'more' if one > 0 else 'less'}"
        for one in (trial.more, trial.more_low, trial.more_high)
    )
    return f"{more}, with a 95 % interval of {low} to {high}"
