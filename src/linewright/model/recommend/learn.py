"""Learn a recommender: try candidates on the latest rows, then learn the best from all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.data.spec import RecommendSpec
from linewright.engine.context import Progress
from linewright.errors import SpecError
from linewright.features.history import HistoryReader
from linewright.model.facts import Executed, MemberOf, Trial
from linewright.model.onnx.session import LISTS_AT_ONCE, open_graph
from linewright.model.reasons import Alternative, ChosenReason, LowestLoss
from linewright.model.recommend.candidates import Candidate, candidates, fit
from linewright.model.recommend.graph import Lists, to_graph
from linewright.model.recommend.interactions import Taken, taken_by
from linewright.model.spec import TrainSpec
from linewright.model.tasks import task
from linewright.text.lists import read_spelled
from linewright.text.numbers import figure

MOST_HELD_OUT = 4_000
"""Rows that candidates are compared on, the latest."""
HELD_OUT = 0.2
"""Share of the training rows that candidates are compared on, at most `MOST_HELD_OUT` rows."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class HistoryRows:
    """Training rows: what users had before, what they took then, and when."""

    users: Sequence[object]
    """`None` for a row of nobody known."""
    histories: Sequence[str]
    labels: Sequence[str]
    """Lists, see `text.lists`."""
    at: NDArray[Any]
    """Shape (n,): when, in any unit."""
    categories: Sequence[str | None] = ()
    """Lists of the category of each item of a label, `None` if a row does not tell it; empty unless a rule needs them."""
    weights: tuple[Sequence[str | None], ...] = ()
    """Lists of the weight of each item of a history, and of a label, `None` if a row does not tell them; empty if all count alike."""
    allowed: frozenset[str] | None = None
    """Items that may be listed; `None` if all may."""

    def some(self, rows: NDArray[np.int64]) -> "HistoryRows":
        """Return some of the rows."""
        places = rows.tolist()
        return replace(
            self,
            users=[self.users[row] for row in places],
            histories=[self.histories[row] for row in places],
            labels=[self.labels[row] for row in places],
            at=self.at[rows],
            categories=[self.categories[row] for row in places] if self.categories else (),
            weights=tuple([column[row] for row in places] for column in self.weights),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Recommender:
    """What learning gives."""

    graph: bytes
    """ONNX, see `recommend.graph`."""
    items: tuple[str, ...]
    """All that it can list, ascending."""
    shares: tuple[float, ...]
    """The share of users who took each."""
    trials: tuple[Trial, ...]
    """Best first."""
    reason: ChosenReason
    executed: Executed


def learn_recommender(
    rows: HistoryRows, train: TrainSpec, spec: RecommendSpec, *, report: Callable[[Progress], None]
) -> Recommender:
    """Choose among popularity, item-kNN and EASE, and learn the best from all rows.

    Candidates learn from the rows before a moment and are compared on those from it on, all items ranked, so that none knows what comes
    later. Of equal losses the one that is tried first is taken, popularity before the others.

    Examples
    --------
    >>> shelf = ['["ale","bread"]', '["tea","milk"]'] * 20
    >>> rows = HistoryRows(users=list(range(40)), histories=["[]"] * 40, labels=shelf, at=np.arange(40))
    >>> found = learn_recommender(rows, TrainSpec(), RecommendSpec(items=1), report=lambda _: None)
    >>> found.items, found.trials[-1].family
    (('ale', 'bread', 'milk', 'tea'), 'ease')
    """
    values = np.unique(rows.at)
    if len(values) < 2:
        raise SpecError(
            "all training rows have one time, so none of them is later than the others",
            where="table.time",
            hint="bring events of several days",
        )
    order = np.sort(rows.at)
    most = min(max(int(len(order) * HELD_OUT), 1), MOST_HELD_OUT)
    cut = max(order[-most], values[1])
    earlier, later = (rows.some(np.flatnonzero(side)) for side in (rows.at < cut, rows.at >= cut))
    taken = _taken(earlier)
    tried = candidates(train, items=len(taken.items), again=spec.again)
    lists = _lists(earlier, taken, spec)
    x = HistoryReader(taken.items).read(later.histories, length=spec.history)[:-1]
    target = task("recommend").target(later.labels, taken.items)
    losses: list[Floats] = []
    for number, one in enumerate(tried):
        says = f"{one.name}: {len(later.labels):,} later rows"
        report(Progress(step="train", says=says, done=number, of=len(tried) + 1))
        losses.append(_losses(to_graph(fit(one, taken), lists), lists, x, target))
    best = min(range(len(tried)), key=lambda number: (float(losses[number].mean()), number))
    says = f"{tried[best].name}: all training rows"
    report(Progress(step="train", says=says, done=len(tried), of=len(tried) + 1))
    taken = _taken(rows)
    lists = _lists(rows, taken, spec)
    ranked = sorted(range(len(tried)), key=lambda number: (number != best, float(losses[number].mean())))
    users = _codes(later.users)
    second = ranked[1] if len(ranked) > 1 else best
    following = None if second == best else _alternative(tried[second], losses[second], losses[best], users)
    return Recommender(
        graph=to_graph(fit(tried[best], taken), lists),
        items=taken.items,
        shares=tuple(float(share) for share in taken.shares),
        trials=tuple(_trial(tried[number], losses[number], losses[best], users) for number in ranked),
        reason=ChosenReason(
            choice=LowestLoss(
                trials=len(tried), loss=figure(losses[best].mean()), rows=len(later.labels), next=following
            )
        ),
        executed=Executed(folds=1, of=1, members=(MemberOf(trial=tried[best].name, weight=1.0, rounds=0),)),
    )


def popular_graph(rows: HistoryRows, spec: RecommendSpec) -> tuple[bytes, int]:
    """Return the graph that ranks by popularity among these rows, what every recommender is held against, and the width of what it answers."""
    taken = _taken(rows)
    lists = _lists(rows, taken, spec)
    return to_graph(fit(Candidate(family="popularity"), taken), lists), lists.outputs


def _taken(rows: HistoryRows) -> Taken:
    taken = taken_by(rows.users, [rows.histories, rows.labels], rows.weights)
    if len(taken.items) < 2:
        raise SpecError(
            "there are fewer than two items to choose from",
            where="label.column",
            found=len(taken.items),
            hint="bring events of more items",
        )
    return taken


def _lists(rows: HistoryRows, taken: Taken, spec: RecommendSpec) -> Lists:
    newest = categories_of(rows.labels, rows.categories)
    return Lists(
        shares=taken.shares,
        length=spec.history,
        shown=spec.items,
        again=spec.again,
        categories=[newest.get(item, "") for item in taken.items] if newest else (),
        at_most=next(iter(spec.at_most.values()), 0),
        allowed=None if rows.allowed is None else _may_be_listed(taken, rows.allowed),
    )


def categories_of(labels: Sequence[str], categories: Sequence[str | None]) -> dict[str, str]:
    """Return the category of each item, the newest one that the rows tell: lists of items, and of their categories if a row tells them."""
    newest: dict[str, str] = {}
    for label, of in zip(labels, categories, strict=bool(categories)):
        if of is not None:
            newest.update(zip(read_spelled(label), read_spelled(of), strict=True))
    return newest


def _may_be_listed(taken: Taken, allowed: frozenset[str]) -> NDArray[np.bool_]:
    found = np.array([item in allowed for item in taken.items])
    if not found.any():
        raise SpecError(
            "none of the items that may be listed is in the training rows",
            where="recommend.allowed",
            found=min(allowed),
            allowed=f"items such as {taken.items[0]!r}",
            hint="look whether both columns spell items alike",
        )
    return found


def _losses(graph: bytes, lists: Lists, x: NDArray[np.float32], target: NDArray[Any]) -> Floats:
    opened = open_graph(
        graph, inputs=[("x", "float", lists.length)], outputs=lists.outputs, at_once=LISTS_AT_ONCE
    )
    return task("recommend").row_loss(target, opened.run({"x": x}, len(x)).astype(np.float64))


def _codes(users: Sequence[object]) -> NDArray[np.int64]:
    """Return a number for the user of each row; a row of nobody known is alone."""
    seen: dict[object, int] = {}
    return np.array(
        [
            seen.setdefault(("alone", row) if user is None else ("user", user), len(seen))
            for row, user in enumerate(users)
        ]
    )


def _trial(one: Candidate, losses: Floats, best: Floats, users: NDArray[np.int64]) -> Trial:
    mean, error = _mean(losses, users)
    more, apart = _mean(losses - best, users)
    return Trial(
        name=one.name,
        family=one.family,
        settings=one.settings,
        loss=figure(mean),
        low=figure(max(mean - _Z * error, 0.0)),
        high=figure(min(mean + _Z * error, 1.0)),
        rounds=0,
        more=figure(more),
        more_low=figure(more - _Z * apart),
        more_high=figure(more + _Z * apart),
    )


def _alternative(one: Candidate, losses: Floats, best: Floats, users: NDArray[np.int64]) -> Alternative:
    more, error = _mean(losses - best, users)
    return Alternative(
        name=one.name,
        loss=figure(losses.mean()),
        more=figure(more),
        error=figure(error),
        low=figure(more - _Z * error),
        high=figure(more + _Z * error),
    )


_Z = 1.959964


def _mean(values: Floats, users: NDArray[np.int64]) -> tuple[float, float]:
    """Return a mean over rows and its standard error, rows of one user drawn together."""
    mean = float(values.mean())
    sums = np.bincount(users, weights=values - mean)
    return mean, float(np.sqrt((sums**2).sum())) / len(values)
