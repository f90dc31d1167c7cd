"""Why a model is what it is, as values: `model.reason_text` says them in sentences."""

from typing import Literal

import msgspec


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another setting, or sum of several, that could have been chosen, judged on the same out-of-fold rows."""

    name: str
    loss: float
    more: float
    """Mean of its loss less that of the chosen one, row by row; below 0 where it loses less."""
    error: float
    """Standard error of that."""
    low: float
    high: float
    """95 % interval of that."""

    @property
    def is_surely_better(self) -> bool:
        """Whether it surely loses less than the chosen one."""
        return self.high < 0


class LowestLoss(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lowest-loss"):
    """No other setting has a lower out-of-fold loss."""

    trials: int
    loss: float
    """Mean log-loss, or mean squared error."""
    rows: int
    """Rows that judged."""
    next: Alternative | None = None
    """The best of the other settings; `None` where there is none."""


class Fastest(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fastest"):
    """The fastest to answer of those that are as good as the best, or that are worth their time."""

    loss: float
    rows: int
    best: Alternative
    """The one of the lowest loss, which is slower."""
    dear_ms: float
    """Milliseconds for 10,000 rows above which a member has to be worth `price`."""
    price: float
    """Share of the loss."""


class Sum(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sum"):
    """Several settings are summed; which ones and their weights: `Executed.members`."""

    loss: float
    rows: int
    best: Alternative | None
    """The one of the lowest loss, which is slower; `None` where it is the chosen one."""
    next: Alternative | None
    """The best setting alone."""
    dear_ms: float
    price: float
    """As in `Fastest`."""


class BestMetric(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="best-metric"):
    """The line's metric is surely of another opinion than the loss."""

    metric: str
    value: float
    loss: float
    rows: int
    """Rows that the metric was asked on."""
    instead: str
    """What the loss would have chosen."""
    instead_value: float
    instead_loss: float
    least: float
    """By how much the metric of that is worse at least, with 99 % confidence."""


class ChosenByFlaml(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="flaml"):
    """FLAML chose it on the same folds."""

    estimator: str
    """Name of its class."""
    trials: int


class ChosenByAutoGluon(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="autogluon"):
    """It is AutoGluon's best single model that can be exported, by one fold."""

    model: str
    """What AutoGluon calls it."""
    settings: int
    """Settings that were compared."""


class NamedInFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="python"):
    """The line file names a function that returns it."""

    function: str
    file: str
    estimator: str
    """As it prints itself."""
    takes_weights: bool
    """Whether its fit takes the weights of rows, where they differ."""


Named = ChosenByFlaml | ChosenByAutoGluon | NamedInFile


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="offer"):
    """Another engine than the built-in one chose it."""

    by: Named
    loss: float
    rows: int


class MadeElsewhere(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="made-elsewhere"):
    """The line file names an imported model."""


class FoundMost(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="found-most"):
    """Of models that learned from good rows alone, no other has a higher average precision on rows that are known to be faulty."""

    value: float
    """Its average precision, good rows scored by folds that did not learn from them."""
    faulty: int
    rows: int
    """Rows that were scored, the faulty ones among them."""
    next: str | None
    """The other that was tried."""
    next_value: float | None


class NothingFaulty(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="nothing-faulty"):
    """Too few training rows are known to be faulty to compare models by; the default was taken."""

    faulty: int
    needed: int
    rows: int


Choice = LowestLoss | Fastest | Sum | BestMetric | Offer | MadeElsewhere | FoundMost | NothingFaulty


class SmallCosts(msgspec.Struct, frozen=True, kw_only=True):
    """One setting was asked for: by how much the best sum of several would have been better."""

    best: Alternative | None
    """That sum; `None` where no sum of several is better."""


class PairsGain(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="surely"):
    """What pairs of numbers are together makes the loss surely lower."""

    name: str
    loss: float
    """Of the best with pairs."""
    without: str
    without_loss: float
    more: float
    """Mean loss without pairs less that with them."""
    error: float
    """Standard error of that."""


class PairsUnsure(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="not-surely"):
    """The best with pairs has a lower loss, but not surely, and was not taken."""

    name: str
    loss: float


class ChosenReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model was chosen."""

    choice: Choice
    small: SmallCosts | None = None
    """Where one setting was asked for (`prefer: small`) and several were tried."""
    pairs: PairsGain | PairsUnsure | None = None
    """Where pairs of numbers were tried."""


Judging = Literal["out-of-fold", "training"]
"""Rows that a threshold was chosen by: those of folds, or, for an imported model, all training rows."""


class LikelierClass(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="likelier-class"):
    """Nothing says what the decisions of an imported model are worth."""


class NoPositive(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="no-positive"):
    """No row is positive, so nothing speaks against one half."""

    of: Judging


class BestF1(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="best-f1"):
    """No threshold has a better F1."""

    of: Judging
    rows: int
    f1: float
    precision: float
    recall: float


class EarnedMost(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="earned-most"):
    """It earned more than the break-even of the declared amounts, and more than chance explains."""

    of: Judging
    rows: int
    more: float
    """Than the break-even, in the declared currency."""
    break_even: float
    """The threshold at which both answers are worth the same."""
    chance: float
    """What chance would explain if the probabilities were right."""


class BreakEven(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="break-even"):
    """Both answers are worth the same there, and no other threshold earned surely more."""

    of: Judging
    rows: int
    is_each: bool
    """Whether amounts differ from row to row: then it is what is expected to be worth most."""
    gain: float
    """Of a hit, on average."""
    cost: float
    """Of a false alarm, on average."""
    added: float
    """What alarms from there added on these rows."""


class Alarms(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alarms"):
    """The share of good rows that may alarm was declared, or is the default."""

    share: float
    faulty: int
    """Training rows that are known to be faulty."""
    needed: int | None = None
    """If amounts were declared: so many would set the threshold by them."""


class WorthMost(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="worth-most"):
    """By the declared amounts no other threshold was worth more on these rows."""

    faulty: int
    rows: int
    """Rows, the faulty ones among them."""
    added: float
    """What alarms from there added to leaving all rows alone, in the declared currency."""


ThresholdReason = LikelierClass | NoPositive | BestF1 | EarnedMost | BreakEven | Alarms | WorthMost
