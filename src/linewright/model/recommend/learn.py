"""Learn a recommender: try candidates on the latest rows, then learn the best from all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from linewright.data.spec import RecommendSpec
from linewright.engine.context import Progress
from linewright.errors import SpecError
from linewright.features.history import HistoryReader
from linewright.model.export.onnx_writer import Graph
from linewright.model.facts import Executed, MemberOf, Trial
from linewright.model.list_loss import CUT
from linewright.model.onnx.session import LISTS_AT_ONCE, open_graph
from linewright.model.reasons import Alternative, ChosenReason, LowestLoss
from linewright.model.recommend.candidates import Candidate, Weights, candidates, fit
from linewright.model.recommend.interactions import Taken, taken_by
from linewright.model.spec import TrainSpec
from linewright.model.tasks import task
from linewright.model.tasks.explore import POOL
from linewright.model.tasks.item_lists import MORE
from linewright.text.lists import read_spelled
from linewright.text.numbers import figure

LOOKED_AT = 256
"""The best items, among which those of a category are counted."""
_NEVER = -1e30
_TIE = 1e-4
"""What popularity adds to what a history says, so that it decides between items of which that says nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """What lists are made of."""

    shares: NDArray[np.float32]
    """The share of users who took each item, shape (items,)."""
    length: int
    """Items of a history that are read."""
    shown: int
    """Items that an answer lists."""
    again: bool
    """Whether items of the history may be listed."""
    categories: Sequence[str] = ()
    """The category of each item, if a list may have few of one."""
    at_most: int = 0
    """How many of one category; 0 for any number. Items of no known category, the empty text, count as one each."""
    allowed: NDArray[np.bool_] | None = None
    """Which items may be listed, shape (items,); `None` if all may."""

    @property
    def ranks(self) -> int:
        """How long ranked lists are: a list is drawn from `POOL` times as many items as it shows, and metrics look at `CUT` ranks."""
        return max(1, min(max(self.shown * POOL, CUT), len(self.shares)))

    @property
    def outputs(self) -> int:
        """Columns of the scores."""
        return 3 * self.ranks + MORE


def to_graph(weights: Weights, lists: Lists) -> bytes:
    """Return the graph from codes, float32 [n, length], to ranked lists, float32 [n, outputs].

    Items have codes from 1; code 0, nothing, has a row and a column that add nothing and are never listed. Of equal scores the
    item of the lower code comes first.
    """
    graph, items = Graph(), len(lists.shares)
    shares = np.concatenate([[np.float32(0)], lists.shares]).astype(np.float32)
    base = shares.copy()
    barred = np.zeros(len(base), dtype=np.bool_)
    barred[0] = True
    if lists.allowed is not None:
        barred[1:] = ~lists.allowed
    base[barred] = _NEVER
    whole = graph.add("Cast", "x", to=TensorProto.INT64)
    is_read = graph.cast(graph.add("Greater", whole, graph.constant(0, np.int64)), "float")
    used = graph.add("ReduceSum", is_read, graph.constant([1], np.int64), keepdims=1)
    # Items stand at the front: what no history has is not added up.
    longest = graph.add("ReduceMax", used, axes=[0, 1], keepdims=0)
    longest = graph.add("Max", longest, graph.constant(1, np.float32))
    end = graph.add(
        "Unsqueeze", graph.add("Cast", longest, to=TensorProto.INT64), graph.constant([0], np.int64)
    )
    first, second = graph.constant([0], np.int64), graph.constant([1], np.int64)
    codes, is_item = (graph.add("Slice", one, first, end, second) for one in (whole, is_read))
    nothing = graph.add("Mul", used, graph.constant(0, np.float32))
    popular = graph.add("Add", nothing, graph.constant(base[np.newaxis], np.float32))
    total = _by_history(graph, codes, is_item, nothing, weights)
    if total is None:
        scores = popular
    else:
        tie = (_TIE * shares / max(float(shares.max()), 1e-9)).astype(np.float32)
        tie[barred] = _NEVER
        own = graph.add("Add", total, graph.constant(tie[np.newaxis], np.float32))
        scores = graph.add("Where", graph.add("Greater", used, graph.constant(0, np.float32)), own, popular)
    if not lists.again:
        never = graph.add(
            "Add",
            graph.add("Mul", is_item, graph.constant(0, np.float32)),
            graph.constant(_NEVER, np.float32),
        )
        scores = graph.add("ScatterElements", scores, codes, never, axis=1)
    values, places = _ranked(graph, scores, lists)
    is_listed = graph.cast(graph.add("Greater", values, graph.constant(_NEVER / 2, np.float32)), "float")
    listed = graph.add("Mul", graph.cast(places, "float"), is_listed)
    of_listed = graph.add(
        "Gather", graph.constant(shares, np.float32), graph.add("Cast", listed, to=TensorProto.INT64)
    )
    graph.add(
        "Concat",
        listed,
        graph.add("Mul", values, is_listed),
        of_listed,
        used,
        *(graph.add("Add", nothing, graph.constant(count, np.float32)) for count in (items, lists.shown)),
        axis=1,
        output="y",
    )
    return graph.serialize(width=lists.length, outputs=lists.outputs)


def _by_history(graph: Graph, codes: str, is_item: str, nothing: str, weights: Weights) -> str | None:
    """Add up what the items of a history say, [n, items + 1]."""
    if weights.dense is not None:
        items = len(weights.dense)
        rows = np.zeros((items + 1, items + 1), dtype=np.float32)
        rows[1:, 1:] = weights.dense
        said = graph.add("Gather", graph.constant(rows, np.float32, name="weights"), codes, axis=0)
        # A product adds rows up in a third of the time that a sum over them takes.
        one = graph.constant([1], np.int64)
        return graph.add("Squeeze", graph.add("MatMul", graph.add("Unsqueeze", is_item, one), said), one)
    if weights.neighbours is not None:
        places, numbers = weights.neighbours
        items = len(places)
        shape = graph.constant([0, -1], np.int64)
        none = np.zeros((1, places.shape[1]))
        near = graph.constant(np.concatenate([none, places + 1]), np.int64, name="neighbours")
        alike = graph.constant(np.concatenate([none, numbers]), np.float32, name="weights")
        where, what = (
            graph.add("Reshape", graph.add("Gather", table, codes, axis=0), shape) for table in (near, alike)
        )
        empty = graph.add("Add", nothing, graph.constant(np.zeros((1, items + 1)), np.float32))
        return graph.add("ScatterElements", empty, where, what, axis=1, reduction="add")
    return None


def _ranked(graph: Graph, scores: str, lists: Lists) -> tuple[str, str]:
    if not lists.at_most:
        return graph.top(scores, lists.ranks)
    most = max(lists.ranks, min(LOOKED_AT, len(lists.shares)))
    values, places = graph.top(scores, most)
    known = {name: number for number, name in enumerate(sorted({*lists.categories} - {""}), start=1)}
    # Items of no category get one number each.
    numbers = [known.get(name, -1 - place) for place, name in enumerate(lists.categories)]
    category = graph.add("Gather", graph.constant([0, *numbers], np.int64), places)
    down, across = (graph.add("Unsqueeze", category, graph.constant([axis], np.int64)) for axis in (2, 1))
    same = graph.cast(graph.add("Equal", down, across), "float")
    before = graph.constant(np.tril(np.ones((most, most)), -1)[np.newaxis], np.float32)
    better = graph.add("ReduceSum", graph.add("Mul", same, before), graph.constant([2], np.int64), keepdims=0)
    may = graph.add("Less", better, graph.constant(lists.at_most, np.float32))
    kept = graph.add("Where", may, values, graph.constant(_NEVER, np.float32))
    best, chosen = graph.top(kept, lists.ranks)
    return best, graph.add("GatherElements", places, chosen, axis=1)


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
