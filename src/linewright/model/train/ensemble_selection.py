"""Which tried settings become the model: one, or a few with weights, by what they say of rows that they have not seen [1]_.

References
----------
.. [1] R. Caruana et al., Ensemble selection from libraries of models, ICML 2004.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.families.ensemble import MOST_MEMBERS
from linewright.model.metrics.bootstrap import bootstrap
from linewright.model.metrics.definitions import MetricRule
from linewright.model.reasons import Alternative, BestMetric, Fastest, LowestLoss, PairsGain, SmallCosts, Sum
from linewright.model.tasks import link_of
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.links import Floats, weighted
from linewright.model.train.settings import PAIRS, Setting

NOISE = 0.01
"""Losses that differ by less than this share are not worth a larger model."""
DEAR = 100.0
"""Milliseconds for 10,000 rows above which a member must be worth it."""
PRICE = 0.01
"""Share of the loss that a dear member must be worth."""

_STEPS = 12
"""Settings that greedy selection draws, with replacement: weights are twelfths at the finest."""
_ROWS = 50_000
"""Most rows that greedy selection looks at; what it makes is judged on all."""
_PAIRS_SURELY = 2.0
"""Standard errors by which pairs of numbers have to make a model better."""
_SURELY, _DRAWS = 0.99, 400
"""How sure a metric must be that the loss has chosen wrongly."""
_NORMAL = 1.959964
"""Standard errors to each side of a mean that its 95 % interval reaches."""
_AS_THE_LOSS = frozenset({"log_loss", "rmse", "mse", "r2"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Tried:
    """A setting, and what it says of the judged rows."""

    setting: Setting
    margins: Floats
    scores: Floats
    loss: Floats
    """Loss of each judged row."""
    rounds: int
    """Of the fit to all rows."""
    stopped: tuple[int, ...]
    """Rounds after which each fold stopped; 0 for families without rounds."""
    milliseconds: float
    """About what an answer to 10,000 rows costs, counted from trees and leaves."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Blend:
    """Tried settings with weights that sum to 1, and what they say together of the judged rows."""

    members: tuple[tuple[float, Tried], ...]
    """The heaviest first."""
    scores: Floats
    loss: Floats

    @property
    def name(self) -> str:
        """The names of its members."""
        return " + ".join(one.setting.name for _, one in self.members)

    @property
    def names(self) -> frozenset[str]:
        """The settings of the table that its members are, or were sought near to."""
        return frozenset(one.setting.name.partition(".")[0] for _, one in self.members)

    @property
    def is_paired(self) -> bool:
        """Whether a member reads what pairs of numbers are together."""
        return any(PAIRS in one.setting.settings for _, one in self.members)

    @property
    def milliseconds(self) -> float:
        """About what an answer to 10,000 rows costs."""
        return sum(one.milliseconds for _, one in self.members)

    @property
    def price(self) -> float:
        """By how much its loss counts more for the members that are dear."""
        return 1 + PRICE * sum(one.milliseconds > DEAR for _, one in self.members)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """The rows that were judged: their truth, and the weight of each."""

    task: Task
    truth: npt.NDArray[np.generic]
    mass: Floats

    @property
    def word(self) -> str:
        """What the loss is called."""
        return rules_of(self.task).loss_name

    def loss(self, margins: Floats) -> Floats:
        """Return the loss of each row."""
        return rules_of(self.task).row_loss(self.truth, link_of(self.task).to_scores(margins))

    def mean(self, loss: Floats) -> float:
        """Return the weighted mean."""
        return float(self.mass @ loss / self.mass.sum())

    def error(self, loss: Floats) -> float:
        """Return the standard error of the weighted mean."""
        return float(np.sqrt(np.sum((self.mass * (loss - self.mean(loss))) ** 2)) / self.mass.sum())

    def interval(self, loss: Floats) -> tuple[float, float]:
        """Return the 95 % interval of the weighted mean; rows are taken to be independent."""
        mean, reach = self.mean(loss), _NORMAL * self.error(loss)
        return mean - reach, mean + reach

    def at(self, rows: npt.NDArray[np.int64]) -> "Judged":
        """Return some of the rows."""
        return Judged(task=self.task, truth=self.truth[rows], mass=self.mass[rows])


def alone(one: Tried) -> Blend:
    """Return a setting as the only member."""
    return Blend(members=((1.0, one),), scores=one.scores, loss=one.loss)


def blends(tried: Sequence[Tried], judged: Judged, *, most: int = MOST_MEMBERS) -> list[Blend]:
    """Return what may become the model: each setting alone, and the best of 2, 3, … `most` that greedy selection finds."""
    singles = [alone(one) for one in tried]
    rows = _some_rows(len(judged.mass))
    seen = judged.at(rows)
    margins = [one.margins[rows] for one in tried]
    found: dict[frozenset[int], Counter[int]] = {}
    for distinct in range(2, min(most, len(tried)) + 1):
        counts = _greedy(tried, margins, seen, distinct)
        if len(counts) > 1:
            found[frozenset(counts)] = counts
    return [*singles, *(_blend(tried, counts, judged) for counts in found.values())]


def _greedy(tried: Sequence[Tried], margins: Sequence[Floats], seen: Judged, distinct: int) -> Counter[int]:
    """Draw settings one by one, each the one that makes the mean of all drawn best; return the best that came about."""
    prices = [PRICE * (one.milliseconds > DEAR) for one in tried]
    drawn: Counter[int] = Counter()
    total = np.zeros_like(margins[0])
    best, lowest = drawn, np.inf
    for step in range(1, _STEPS + 1):
        allowed = range(len(tried)) if len(drawn) < distinct else sorted(drawn)
        losses = [
            (seen.mean(seen.loss((total + margins[i]) / step)) * (1 + sum(prices[j] for j in {*drawn, i})), i)
            for i in allowed
        ]
        loss, taken = min(losses)
        drawn = drawn + Counter([taken])
        total = total + margins[taken]
        if loss < lowest:
            best, lowest = drawn, loss
    return best


def _blend(tried: Sequence[Tried], counts: Counter[int], judged: Judged) -> Blend:
    order = sorted(counts, key=lambda i: (-counts[i], i))
    weights = [counts[i] / counts.total() for i in order]
    margins = weighted([tried[i].margins for i in order], weights)
    return Blend(
        members=tuple((weight, tried[i]) for weight, i in zip(weights, order, strict=True)),
        scores=link_of(judged.task).to_scores(margins),
        loss=judged.loss(margins),
    )


def choose(candidates: Sequence[Blend], judged: Judged) -> Blend:
    """Return the one that answers fastest of those that are as good as the best, as far as the judged rows can tell.

    Of those that answer equally fast, the best: a linear member beside trees costs nothing that counts.
    """
    best = min(candidates, key=lambda one: (judged.mean(one.loss) * one.price, one.milliseconds))
    least = judged.mean(best.loss)

    def is_as_good(one: Blend) -> bool:
        more = one.price * one.loss - best.price * best.loss
        return one is best or judged.mean(more) <= min(judged.error(more), NOISE * least)

    fastest_first = sorted(
        candidates, key=lambda one: (one.milliseconds, judged.mean(one.loss), len(one.members))
    )
    return next(one for one in fastest_first if is_as_good(one))


def of_least_loss(candidates: Sequence[Blend], judged: Judged) -> Blend:
    """Return the one of the lowest loss, whatever it costs to answer."""
    return min(candidates, key=lambda one: judged.mean(one.loss))


def why(
    chosen: Blend, candidates: Sequence[Blend], judged: Judged, *, trials: int
) -> LowestLoss | Fastest | Sum:
    """Return why the chosen one was chosen, and by how much the best of the others lost."""
    n, own = len(judged.mass), judged.mean(chosen.loss)
    lowest = of_least_loss(candidates, judged)
    best = _beside(lowest, chosen, judged) if judged.mean(lowest.loss) < own else None
    singles = [one for one in candidates if len(one.members) == 1 and one is not chosen]
    after = _beside(of_least_loss(singles, judged), chosen, judged) if singles else None
    if len(chosen.members) > 1:
        return Sum(loss=own, rows=n, best=best, next=after, dear_ms=DEAR, price=PRICE)
    if best is not None:
        return Fastest(loss=own, rows=n, best=best, dear_ms=DEAR, price=PRICE)
    return LowestLoss(trials=trials, loss=own, rows=n, next=after)


def _beside(other: Blend, chosen: Blend, judged: Judged) -> Alternative:
    more = other.loss - chosen.loss
    low, high = judged.interval(more)
    return Alternative(
        name=other.name,
        loss=judged.mean(other.loss),
        more=judged.mean(more),
        error=judged.error(more),
        low=low,
        high=high,
    )


def what_small_costs(chosen: Blend, candidates: Sequence[Blend], judged: Judged) -> SmallCosts:
    """Return by how much the best sum of several models would have been better."""
    best = of_least_loss(candidates, judged)
    is_better = judged.mean(chosen.loss - best.loss) > 0 and len(best.members) > 1
    return SmallCosts(best=_beside(best, chosen, judged) if is_better else None)


def what_pairs_give(
    tried: Sequence[Tried], paired: Sequence[Tried], judged: Judged, *, most: int, folds: Sequence[int]
) -> PairsGain | None:
    """Return by how much the best with pairs of numbers is surely better than the best without; `None` where it is not.

    A model with pairs is harder to explain, and a gain that the rows are not sure of is as often a loss. Both are the best by loss,
    sums of several with sums of several: against a single model that answers faster, a sum would win that owes nothing to pairs.
    """
    if not paired:
        return None
    without, with_them = (
        of_least_loss(blends(some, judged, most=most), judged) for some in (tried, [*tried, *paired])
    )
    less = without.loss - with_them.loss
    gain, error = judged.mean(less), max(judged.error(less), _error_of_folds(less, judged, folds))
    if not gain > _PAIRS_SURELY * error:
        return None
    return PairsGain(
        name=with_them.name,
        loss=judged.mean(with_them.loss),
        without=without.name,
        without_loss=judged.mean(without.loss),
        more=gain,
        error=error,
    )


def _error_of_folds(loss: Floats, judged: Judged, folds: Sequence[int]) -> float:
    """Return the standard error of the mean of a loss from how far the folds are apart: rows of one time or group err together."""
    if len(folds) < 2:
        return 0.0
    apart = judged.mass * (loss - judged.mean(loss)) / judged.mass.sum()
    each = np.add.reduceat(apart, np.cumsum([0, *folds[:-1]]))
    return float(np.sqrt(each @ each * len(each) / (len(each) - 1)))


def surely_better(
    candidates: Sequence[Blend], chosen: Blend, judged: Judged, rule: MetricRule, seed: int
) -> tuple[Blend, BestMetric] | None:
    """Return the best by a metric, and why, where it is surely better by it than what the loss has chosen; else `None`.

    A loss is steadier than most metrics, so that it decides unless it is surely wrong. Metrics of decisions are not asked:
    the threshold is set later.
    """
    if rule.uses != "scores" or rule.name in _AS_THE_LOSS:
        return None
    rows = _some_rows(len(judged.mass))
    mass = judged.mass[rows]
    made = [rule.prepare(judged.truth[rows], one.scores[rows]) for one in candidates]
    values = [rule.sign * float(each(mass[np.newaxis])[0]) for each in made]
    best = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
    own = next(i for i, one in enumerate(candidates) if one is chosen)
    if best == own or not values[best] > values[own]:
        return None
    drawn = bootstrap([made[best], made[own]], weight=mass, clusters=None, seed=seed, draws=_DRAWS).drawn
    low = float(np.nanquantile(rule.sign * (drawn[0] - drawn[1]), 1 - _SURELY))
    if not low > 0:
        return None
    other = candidates[best]
    return other, BestMetric(
        metric=rule.name,
        value=abs(values[best]),
        loss=judged.mean(other.loss),
        rows=len(rows),
        instead=chosen.name,
        instead_value=abs(values[own]),
        instead_loss=judged.mean(chosen.loss),
        least=low,
    )


def _some_rows(n: int) -> npt.NDArray[np.int64]:
    """Return at most `_ROWS` row numbers, spread evenly."""
    return np.unique(np.linspace(0, n - 1, min(_ROWS, n)).astype(np.int64))
