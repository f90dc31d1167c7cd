"""What a package makes of its columns, and where it is weak: everything on a card that explains a model to people.

Made once, of test rows and by the package that serves. Its cost is bounded in rows that are answered, not in time, so that it
is the same on any machine: about `_ANSWERS` for importance, a few thousand for the plots. Of many columns those are shuffled
that move the answers most by a cheaper look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.errors import RequestError
from linewright.model.explain.importance import REPEATS, Judged, alike, correlation, importance, ranked
from linewright.model.explain.inputs import Floats, Input, swapped
from linewright.model.explain.partial_dependence import dependence
from linewright.model.explain.slices import weak_slices
from linewright.model.facts import Contribution, Explanation, Missed, NotExplained
from linewright.model.package.model import Model
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import figure

MOST_ROWS = 2_000
"""Test rows that are shuffled, at most."""
MOST_COLUMNS = 20
"""Columns that are."""
MOST_PLOTS = 6
MOST_SLICED = 10_000
"""Test rows that slices are looked for in."""
_ANSWERS = 48_000
"""Rows that are answered for importance, at most."""
_ANSWERED = 4e11
"""Bytes of the graph times such rows."""
_FEWEST = 200
"""Rows that are shuffled however dear an answer is."""
_GLANCES = 20_000
"""Rows that are answered to see which columns matter, where the answers cannot be explained."""
_GLANCED = 400
"""Columns of such a model that are looked at."""
_WORK = 3.5e8
"""Bytes of the graph times rows that are explained: about a third of a second."""
_EXPLAINED = (100, 1_000)
"""Fewest and most rows that are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """The test rows of a split, as `explanation` takes them."""

    x: NDArray[Any]
    """Encoded."""
    inputs: Sequence[Input]
    """What the model reads, in the order of its columns."""
    truth: NDArray[Any]
    scores: Floats
    """What the package answers."""
    weight: Floats
    clusters: NDArray[Any] | None


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What the model says of single answers."""

    contributions: tuple[Contribution, ...] = ()
    unit: str = ""
    rows: int = 0
    why_not: NotExplained | None = None


def explanation(model: Model, rows: HeldOut, *, split: str, seed: int) -> Explanation:
    """Explain a package to people."""
    chance = np.random.default_rng(seed)
    counted = chance.permutation(np.flatnonzero(rows.weight > 0))
    everything = _judged(model, rows, seed)
    told = _contributions(model, rows, counted)
    likely = _likely(model, everything, rows.inputs, counted, told)
    groups, n = _planned(likely, counted, model.package.graph_bytes)
    sample = np.sort(counted[:n])
    judged = everything.at(sample)
    chosen = [one.at(sample) for one in likely]
    near = [[one for one in chosen if one.name in names] for names in groups]
    made = importance(judged, [*([one] for one in chosen), *near])
    order = sorted(range(len(chosen)), key=lambda place: (-made[place].rise, place))
    sliced = np.sort(counted[:MOST_SLICED])
    rules = rules_of(model.package.task)
    answers = _answers(
        rows.scores, len(model.package.classes) if rules.is_class or rows.scores.ndim == 1 else 3
    )
    # Half of the good rows are odder than the others: that is not a weakness.
    looked = [] if rules.learns_good else [likely[place].at(sliced) for place in order]
    weak = weak_slices(everything.at(sliced), looked, answers=None if answers is None else answers[sliced])
    # Few texts are spelled alike in several rows, and those say nothing of the words that the others are told by.
    texts = {column.name for column in model.package.columns if column.type == "text"}
    needed = (chosen[place] for place in order if made[place].rise > 0 and chosen[place].name not in texts)
    plots = (dependence(judged, one, model.package.classes) for one in needed)
    return Explanation(
        package=model.digest,
        split=split,
        loss="rmse" if rules.is_squared else rules.objective,
        value=figure(float(judged.mean(judged.loss)(judged.weight[np.newaxis])[0]), 6),
        columns=len(rows.inputs),
        shuffled=tuple(made[place] for place in order),
        together=made[len(chosen) :],
        rows=n,
        repeats=REPEATS,
        contributions=told.contributions,
        unit=told.unit,
        explained=told.rows,
        not_explained=told.why_not,
        dependence=tuple(islice((plot for plot in plots if plot is not None), MOST_PLOTS)),
        slices=weak.slices,
        looked_at=weak.looked_at,
        confirmed_on=weak.confirmed_on,
    )


def with_missed(told: Explanation, model: Model, rows: HeldOut, *, seed: int) -> Explanation:
    """Return the explanation of a model whose threshold is chosen: also of where it misses positives."""
    counted = np.random.default_rng(seed).permutation(np.flatnonzero(rows.weight > 0))
    sliced = np.sort(counted[:MOST_SLICED])
    inputs = {one.name: one for one in rows.inputs}
    columns = [inputs[name].at(sliced) for one in told.shuffled for name in one.columns if name in inputs]
    missed = _missed(model, _judged(model, rows, seed).at(sliced), columns)
    return msgspec.structs.replace(told, package=model.digest, missed=missed)


def _missed(model: Model, judged: Judged, columns: Sequence[Input]) -> Missed | None:
    """Look among the positives alone for slices of which more than of the others are answered negative."""
    rules = rules_of(model.package.task)
    if not rules.has_positive:
        return None
    positives = np.flatnonzero(judged.truth == 1)
    if not len(positives):
        return None
    decided = rules.decide(judged.scores[positives], model.package.threshold)
    among = replace(judged.at(positives), loss=(decided == 0).astype(np.float64))
    found = weak_slices(among, [one.at(positives) for one in columns], answers=None)
    return Missed(
        slices=found.slices,
        looked_at=found.looked_at,
        confirmed_on=found.confirmed_on,
        positives=len(positives),
        share=figure(float(np.average(among.loss, weights=among.weight)), 6),
    )


def _judged(model: Model, rows: HeldOut, seed: int) -> Judged:
    rules = rules_of(model.package.task)
    return Judged(
        x=rows.x,
        truth=rows.truth,
        weight=rows.weight,
        clusters=rows.clusters,
        scores=rows.scores,
        loss=rules.row_loss(rows.truth, rows.scores),
        answer=model.scores,
        row_loss=rules.row_loss,
        task=rules.name,
        seed=seed,
    )


def _answers(scores: Floats, classes: int) -> Floats | None:
    return scores if classes == 0 else scores[:, 1] if classes == 2 else None


def _planned(
    likely: Sequence[Input], counted: NDArray[np.intp], graph_bytes: int
) -> tuple[list[list[str]], int]:
    """Return which columns are shuffled together, by name, and on how many rows."""
    sample = counted[:MOST_ROWS]
    groups = [[one.name for one in group] for group in alike([one.at(sample) for one in likely])]
    answers = min(_ANSWERS, int(_ANSWERED / max(graph_bytes, 1)))
    affordable = max(answers // (REPEATS * max(len(likely) + len(groups), 1)), _FEWEST)
    return groups, min(len(counted), MOST_ROWS, affordable)


def _likely(
    model: Model, judged: Judged, inputs: Sequence[Input], counted: NDArray[np.intp], told: _Told
) -> list[Input]:
    """Return the columns that seem to matter, at most `MOST_COLUMNS`: what moves no answer is not needed either."""
    if told.rows:
        place = {one.column: at for at, one in enumerate(told.contributions)}
        moving = {one.column for one in told.contributions if one.size > 0}
        found = sorted((one for one in inputs if one.name in moving), key=lambda one: place[one.name])
        return (found or list(inputs))[:MOST_COLUMNS]
    if len(inputs) <= MOST_COLUMNS:
        return list(inputs)
    looked = inputs[:_GLANCED]
    rows = counted[: max(_GLANCES // len(looked), 10)]
    before, other = judged.scores[rows], np.roll(rows, 1)
    moved = [
        float(np.abs(model.scores(swapped(judged.x, rows, one.places, other)) - before).mean())
        for one in looked
    ]
    return [looked[at] for at in np.argsort(-np.array(moved), kind="stable")[:MOST_COLUMNS]]


def _contributions(model: Model, rows: HeldOut, counted: NDArray[np.intp]) -> _Told:
    fewest, most = _EXPLAINED
    n = min(len(counted), max(fewest, min(most, int(_WORK / max(model.package.graph_bytes, 1)))))
    sample = counted[:n]
    try:
        answers = model.explain(rows.x[sample])
    except RequestError as error:
        if (reason := error.details.get("not_explained")) is None:
            raise
        return _Told(why_not=reason)
    weight = rows.weight[sample]
    made = [_contribution(one.at(sample), answers, weight) for one in rows.inputs]
    return _Told(
        contributions=tuple(sorted(made, key=lambda one: (-one.size, one.column))),
        unit=answers[0]["score_unit"],
        rows=n,
    )


def _contribution(column: Input, answers: Sequence[Mapping[str, Any]], weight: Floats) -> Contribution:
    told = [answer["contributions"] for answer in answers]
    if isinstance(answers[0]["score"], Mapping):
        by_class = np.array([[one.get(column.name, 0.0) for one in row.values()] for row in told])
        return Contribution(
            column=column.name, size=figure(float(weight @ np.abs(by_class).mean(axis=1) / weight.sum()), 6)
        )
    moved = np.array([cast("float", row.get(column.name, 0.0)) for row in told])
    size = figure(float(weight @ np.abs(moved) / weight.sum()), 6)
    if size == 0:
        return Contribution(column=column.name, size=size)
    if column.kind == "category":
        up, down = _ends(column, moved, weight)
        return Contribution(column=column.name, size=size, up=up, down=down)
    known = ~np.isnan(column.values)
    ranks, moves = ranked(column.values[known]), ranked(moved[known])
    if not known.any() or np.ptp(ranks) == 0:
        return Contribution(column=column.name, size=size)
    direction = correlation(ranks - ranks.mean(), moves - moves.mean())
    return Contribution(column=column.name, size=size, direction=figure(direction, 4))


def _ends(column: Input, moved: Floats, weight: Floats) -> tuple[str, str]:
    """Return the categories that raise and that lower the score most on average; those of few rows are passed over."""
    codes = np.where(np.isnan(column.values), -1, column.values).astype(np.intp)
    names, place = np.unique(codes, return_inverse=True)
    rows = np.bincount(place)
    mean = np.bincount(place, weights=moved * weight) / np.maximum(np.bincount(place, weights=weight), 1e-300)
    told = np.flatnonzero(rows >= min(5, rows.max()))
    said = [column.levels[code] if code >= 0 else "no value" for code in names.tolist()]
    return said[told[mean[told].argmax()]], said[told[mean[told].argmin()]]
