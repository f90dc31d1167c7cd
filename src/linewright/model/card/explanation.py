"""Columns and weak slices, from the record's explanation: statements, bars and plots."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, say, that_hold
from linewright.model.card.plots import apart, plot_of, said_apart, said_place
from linewright.model.facts import Contribution, Dependence, Explanation, Missed, Point, Shuffled
from linewright.model.task_facts import has_classes, has_times, learns_good
from linewright.text.numbers import in_words

MOST_SHOWN = 12
"""Columns that have a bar."""
_TWICE = 2
_CLEAR = 0.6
"""Rank correlation from which on a direction is said."""


def weak(facts: CardFacts) -> Section:
    """Return on which rows the model is surely worse than on the others."""
    return Section(name="weak", statements=tuple(_weak(facts)))


def _weak(facts: CardFacts) -> Iterator[Statement]:
    found, cited = facts.explanation, facts.explanation_digest
    if found is None or facts.package.encoder.listed:
        return
    of = "_of_class" if has_classes(facts.package.task) else "_of_numbers"
    for one in found.slices:
        kind = "weak.slice" if one.answered is None or one.true is None else f"weak.slice{of}"
        yield say(kind, cited, one=one, loss=found.loss, positive=facts.positive)
    if learns_good(facts.package.task):
        yield say("weak.odd")
    elif found.slices:
        yield say("weak.how", found=found)
    elif found.looked_at:
        yield say("weak.nowhere", cited, found=found)
    else:
        yield say("weak.unknown", cited)
    if found.missed:
        yield from _missed(found.missed, facts.package.classes, cited)


def _missed(found: Missed, classes: Sequence[str], cited: str | None) -> Iterator[Statement]:
    """Return where more positives are answered negative than elsewhere: there the loss need not be large."""
    kind = "here" if found.slices else "nowhere" if found.looked_at else "too_few"
    yield say(f"weak.missed_{kind}", cited, found=found, classes=classes)
    for one in found.slices:
        yield say("weak.missed", cited, one=one, positive=classes[1])


def needed(facts: CardFacts) -> Section | None:
    """Return which columns the model needs: by how much it gets worse without what they tell."""
    found = facts.explanation
    if found is None or not found.shuffled:
        return None
    groups = [one for one in found.together if one.low > 0]
    every = sorted((*groups, *found.shuffled[:MOST_SHOWN]), key=lambda one: -one.rise)
    most = max(one.high for one in every)
    tests = facts.evaluation.n if facts.evaluation else found.rows
    shuffled = say("needed.shuffled", facts.explanation_digest, found=found, every=tests)
    return Section(
        name="needed",
        statements=(shuffled, *_besides(found, groups)),
        table=Table(
            head=("Column", "Worse by", "95 % interval", "Meaning"),
            rows=tuple((_columns(one), *_rise(one, most), say(f"needed.is_{_kind(one)}")) for one in every),
            bars=tuple((one.low, one.rise, one.high) for one in every),
        ),
    )


def _kind(one: Shuffled) -> str:
    if len(one.columns) > 1:
        return "together"
    if one.low > 0:
        return "needed"
    return "still" if one.low == one.high == 0 else "open"


def _columns(one: Shuffled) -> Text:
    return one.columns[0] if len(one.columns) == 1 else say("needed.columns", names=one.columns)


def _besides(found: Explanation, groups: Sequence[Shuffled]) -> tuple[Statement, ...]:
    # No figure says whether a column that is needed far more than any other is known in time: a person must.
    first, *less = sorted(found.shuffled, key=lambda one: -one.rise)
    leans = first.low > 0 and first.low > _TWICE * max((one.high for one in less), default=math.inf)
    rest, others = found.shuffled[MOST_SHOWN:], found.columns - len(found.shuffled)
    names, most = [one.columns[0] for one in rest], max((0.0, *(one.high for one in rest)))
    return that_hold(
        (leans, say("needed.leans", column=first.columns[0])),
        (groups, say("needed.together")),
        (rest, say("needed.not_shown", loss=found.loss, most=most, names=names)),
        (others > 0, say("needed.not_tried", found=found, others=others)),
    )


def _rise(one: Shuffled, most: float) -> tuple[str, str]:
    """Return a rise and its interval, all rises with as many decimals as four digits of the largest have."""
    decimals = max(0, 3 - math.floor(math.log10(most))) if most > 0 else 3
    rise, low, high = (
        f"{round(value, decimals) + 0.0:,.{decimals}f}" for value in (one.rise, one.low, one.high)
    )
    return f"+{rise}" if one.rise > 0 else rise, f"{low} to {high}"


def moved(facts: CardFacts) -> Section | None:
    """Return how far each column moves the answers, and which way."""
    found, cited = facts.explanation, facts.explanation_digest
    if found is None or not (found.explained or found.not_explained):
        return None
    shown = [one for one in found.contributions[:MOST_SHOWN] if one.size > 0]
    if not found.explained:
        why = say("moved.unexplained", cited, why=found.not_explained)
        return Section(name="moved", statements=(why,))
    if not shown:
        return Section(name="moved", statements=(say("moved.nothing", cited),))
    score, method = _score(facts, found.unit), facts.package.calibration.method
    kind = "moved.added_to_odds" if found.unit == "log-odds" else "moved.added"
    if learns_good(facts.package.task):
        kind = "moved.odd"
    # Of several classes none is said: what raises one lowers another.
    ways = [_way(one) for one in shown]
    return Section(
        name="moved",
        statements=(say(kind, cited, calibration=method, score=score, rows=found.explained),),
        table=Table(
            head=("Column", "Moves it by", *(("Which way",) if any(ways) else ())),
            rows=tuple(
                (one.column, in_words(one.size), *((way,) if any(ways) else ()))
                for one, way in zip(shown, ways, strict=True)
            ),
            bars=tuple((0.0, one.size, one.size) for one in shown),
        ),
    )


def _score(facts: CardFacts, unit: str) -> Text:
    """Return what an answer is the sum of."""
    if unit == "log-odds":
        positive = facts.positive
        return say("moved.log_odds_of", positive=positive) if positive else say("moved.log_odds")
    if unit == "log-weight":
        return say("moved.log_weight")
    return facts.package.label if unit == "value" else unit


def _way(one: Contribution) -> Text:
    if one.up and one.up != one.down:
        return say("moved.levels", up=one.up, down=one.down)
    if one.direction is None:
        return ""
    if abs(one.direction) < _CLEAR:
        return say("moved.neither")
    return say("moved.raises" if one.direction > 0 else "moved.lowers")


def plotted(facts: CardFacts) -> Section | None:
    """Draw how the answer goes with the columns that are needed most, as differences from the average answer."""
    found = facts.explanation
    if found is None or not found.dependence:
        return None
    drawn, classes = found.dependence, facts.package.classes
    is_share = bool(classes)
    spans = [_span(one) for one in drawn]
    widest = max(high - low for low, high in spans)
    return Section(
        name="plots",
        statements=(_effects(facts, found), say("plots.not_causes"), *_not_drawn(facts, drawn)),
        plots=tuple(
            plot_of(one, span, widest=widest, is_share=is_share)
            for one, span in zip(drawn, spans, strict=True)
        ),
        key=say("plots.key"),
        plain=Table(
            head=("Column", *(("Of",) if len(classes) > 2 else ()), "Lowest", "At", "Highest", "At"),
            rows=tuple(row for one in drawn for row in _extremes(one, is_share=is_share)),
        ),
    )


def _effects(facts: CardFacts, found: Explanation) -> Statement:
    cited, classes, rows = facts.explanation_digest, facts.package.classes, found.rows
    if len(classes) > 2 and not has_times(facts.package.task):
        return say("plots.each_class", cited, rows=rows)
    if has_times(facts.package.task):
        return say("plots.each_time", cited, rows=rows)
    average = found.dependence[0].average[0]
    if learns_good(facts.package.task):
        return say("plots.odd", cited, average=average, rows=rows)
    if classes:
        return say("plots.one_class", cited, positive=facts.positive, average=average, rows=rows)
    return say("plots.number", cited, label=facts.package.label, average=average, rows=rows)


def _not_drawn(facts: CardFacts, drawn: Sequence[Dependence]) -> tuple[Statement, ...]:
    texts = [column.name for column in facts.package.columns if column.type == "text"]
    return that_hold(
        (texts, say("plots.texts", columns=texts)),
        *((one.rarer, say("plots.rarer", facts.explanation_digest, found=one)) for one in drawn),
    )


def _points(one: Dependence) -> list[Point]:
    return [*one.points, *([one.missing] if one.missing else [])]


def _span(one: Dependence) -> tuple[float, float]:
    every = [0.0, *(difference for point in _points(one) for difference in apart(point, one))]
    return min(every), max(every)


def _extremes(one: Dependence, *, is_share: bool) -> Iterator[tuple[str, ...]]:
    for place in range(len(one.average)):
        differences = [(apart(point, one)[place], point) for point in _points(one)]
        ends = (pick(differences, key=itemgetter(0)) for pick in (min, max))
        cells = (
            (said_apart(difference, is_share=is_share, has_unit=True), said_place(point.at, one))
            for difference, point in ends
        )
        yield (one.column, *(one.curves[place : place + 1]), *chain(*cells))
