"""What a card says about columns and weak slices, from the record's explanation, in sentences, bars and plots."""

import math
from collections.abc import Iterator, Sequence

from linewright.model.card.parts import Bar, CardFacts, Section, Sentence, Table, cite, placed
from linewright.model.card.plots import apart, plot_of, said_answer, said_apart, said_place, said_rarer
from linewright.model.explanation_text import NOT_EXPLAINED, where_in_words
from linewright.model.facts import Contribution, Dependence, Explanation, Point, Shuffled, WeakSlice
from linewright.text.numbers import count, in_words, listed

MOST_SHOWN = 12
_TWICE = 2
"""Columns that have a bar."""
_CLEAR = 0.6
"""Rank correlation from which on a direction is said."""


def weak(facts: CardFacts) -> Section:
    """Say on which rows the model is surely worse than on the others."""
    found, cited = facts.explanation, cite(facts.explanation_digest)
    name, title = "weak", "Where it is weak"
    if found is None:
        return Section(name=name, title=title)
    if not found.slices:
        text = (
            f"Nowhere surely: {count(found.looked_at, 'slice')} of the test rows, by one column or two, "
            f"{'was' if found.looked_at == 1 else 'were'} looked at, and on none is the {_loss(found)} surely larger than on the others."
            if found.looked_at
            else "Not known: there are too few test rows to look at slices of them."
        )
        sentences = (Sentence(text=text, evidence=cited), *_where_missed(facts, found))
        return Section(name=name, title=title, sentences=sentences)
    how = (
        f"{count(found.looked_at, 'slice')} of one half of the test rows, by one column or two, were looked at; what is told here is measured on the "
        f"other half ({count(found.confirmed_on, 'row')}) and surely worse there too, with 95 % confidence for all of them together."
    )
    return Section(
        name=name,
        title=title,
        sentences=(
            *(Sentence(text=_weak(one, found, facts), evidence=cited) for one in found.slices),
            Sentence(text=how),
            *_where_missed(facts, found),
        ),
    )


def _where_missed(facts: CardFacts, found: Explanation) -> Iterator[Sentence]:
    """Say where more positives are answered negative than elsewhere: there the loss need not be large."""
    missed = found.missed
    if not missed:
        return
    cited = cite(facts.explanation_digest)
    negative, positive = (repr(one) for one in facts.package.classes)
    text = (
        f"Of {missed.positives:,} test rows that are {positive}, {missed.share:.0%} are answered {negative}"
    )
    if not missed.looked_at:
        yield Sentence(text=f"{text}; they are too few to tell where these are.", evidence=cited)
        return
    looked = count(missed.looked_at, "slice")
    if not missed.slices:
        yield Sentence(text=f"{text}; of none of {looked} surely more than of the others.", evidence=cited)
        return
    yield Sentence(
        text=f"{text}; surely more than elsewhere on these, of {looked}, found and measured as above on {positive} alone:",
        evidence=cited,
    )
    for one in missed.slices:
        yield Sentence(
            text=f"Rows with {_where(one)}: of {one.rows:,} that are {positive}, {one.loss:.0%} are missed, against "
            f"{one.elsewhere:.0%} elsewhere.",
            evidence=cited,
        )


def _where(one: WeakSlice) -> str:
    return " and ".join(where_in_words(one.conditions))


def _weak(one: WeakSlice, found: Explanation, facts: CardFacts) -> str:
    text = (
        f"Rows with {_where(one)}: {_loss(found)} {in_words(one.loss)} against {in_words(one.elsewhere)} elsewhere, "
        f"{count(one.rows, 'row')}."
    )
    if one.answered is None or one.true is None:
        return text
    if facts.package.classes:
        what = repr(facts.package.classes[-1])
        return f"{text} It gives {what} a probability of {one.answered:.0%} on average; {one.true:.0%} are."
    return f"{text} It predicts {in_words(one.answered)} on average; the truth is {in_words(one.true)}."


def _loss(found: Explanation) -> str:
    return {"log_loss": "log-loss", "rmse": "root mean squared error (RMSE)"}.get(
        found.loss
    ) or found.loss.replace("_", " ")


def needed(facts: CardFacts) -> Section:
    """Say which columns the model needs: by how much it gets worse without what they tell."""
    found, cited = facts.explanation, cite(facts.explanation_digest)
    name, title = "needed", "Which columns it needs"
    if found is None or not found.shuffled:
        return Section(name=name, title=title)
    shown, rest = found.shuffled[:MOST_SHOWN], found.shuffled[MOST_SHOWN:]
    groups = [one for one in found.together if one.low > 0]
    every = sorted((*groups, *shown), key=lambda one: -one.rise)
    text = (
        f"The values of each column in turn were shuffled among {_sampled(facts, found)}, so that they tell nothing any more: by "
        f"how much the {_loss(found)} rises then, from {in_words(found.value)} (mean of {found.repeats} shuffles)."
    )
    low, high = min(0.0, *(one.low for one in every)), max(one.high for one in every)
    return Section(
        name=name,
        title=title,
        sentences=(
            Sentence(text=text, evidence=cited),
            *(Sentence(text=said) for said in _besides(found, groups, rest)),
        ),
        bars=tuple(
            Bar(
                name=_and(one.columns),
                note=_surely(one),
                text="{} ({})".format(*_rise(one, high)),
                at=placed((one.low, one.rise, one.high), low, high),
                zero=placed((0.0, 0.0, 0.0), low, high)[0],
                ends=("", ""),
            )
            for one in every
        ),
        key="by how much it gets worse, 95 % interval",
        plain=Table(
            head=("Column", "Worse by", "95 % interval"),
            rows=tuple((_and(one.columns), *_rise(one, high)) for one in every),
        ),
    )


def _surely(one: Shuffled) -> str:
    if len(one.columns) > 1:
        return "shuffled together"
    if one.low > 0:
        return "surely needed"
    return "moves no answer here" if one.low == one.high == 0 else "perhaps not needed"


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _leaned_on(found: Explanation) -> Iterator[str]:
    """Ask of a column that is needed far more than any other whether it is known in time: no figure says so."""
    first, *others = sorted(found.shuffled, key=lambda one: -one.rise)
    if first.low > 0 and first.low > _TWICE * max((one.high for one in others), default=math.inf):
        yield (
            f"It leans on {first.columns[0]} surely more than twice as much as on any other column: if that is known only once the truth is, "
            "this card does not show how the model does in use, and table.exclude keeps the column from it."
        )


def _besides(found: Explanation, groups: Sequence[Shuffled], rest: Sequence[Shuffled]) -> Iterator[str]:
    yield from _leaned_on(found)
    if groups:
        yield (
            "Columns that say nearly the same stand in for each other: each alone looks less needed than it is, so they were shuffled "
            "together too."
        )
    if rest:
        most = max(0.0, *(one.high for one in rest))
        names = listed([one.columns[0] for one in rest], MOST_SHOWN)
        yield (
            f"Not shown, since the {_loss(found)} rises least without them (the upper ends of their intervals are at most "
            f"{in_words(most)}): {names}."
        )
    others = found.columns - len(found.shuffled)
    if others > 0:
        how = "by a glance at fewer rows, " if not found.explained else ""
        yield (
            f"It reads {found.columns:,} columns; {how}the {'other ' if others == 1 else f'{others:,} others '}"
            f"{'moves' if others == 1 else 'move'} its answers less than these, or not at all, and {'was' if others == 1 else 'were'} not tried."
        )


def _sampled(facts: CardFacts, found: Explanation) -> str:
    """Say among how many test rows: of a sample the loss is another than that of all."""
    every = facts.evaluation.n if facts.evaluation else found.rows
    shuffled = count(found.rows, "test row")
    return f"{shuffled}, a sample of the {every:,}" if found.rows < every else shuffled


def _rise(one: Shuffled, most: float) -> tuple[str, str]:
    """Return a rise and its interval, all rises with as many decimals as four digits of the largest have."""
    decimals = max(0, 3 - math.floor(math.log10(most))) if most > 0 else 3
    rise, low, high = (
        f"{round(value, decimals) + 0.0:,.{decimals}f}" for value in (one.rise, one.low, one.high)
    )
    return f"+{rise}" if one.rise > 0 else rise, f"{low} to {high}"


def moved(facts: CardFacts) -> Section:
    """Say how far each column moves the answers, and which way."""
    found, cited = facts.explanation, cite(facts.explanation_digest)
    name, title = "moved", "What moves its answers"
    if found is None:
        return Section(name=name, title=title)
    if not found.explained:
        text = f"Not known: {NOT_EXPLAINED[found.not_explained]}." if found.not_explained else ""
        return Section(
            name=name, title=title, sentences=(Sentence(text=text, evidence=cited),) if text else ()
        )
    shown = [one for one in found.contributions[:MOST_SHOWN] if one.size > 0]
    if not shown:
        text = "Nothing does: it answers all rows alike."
        return Section(name=name, title=title, sentences=(Sentence(text=text, evidence=cited),))
    score = {
        "log-odds": f"the log-odds of {facts.package.classes[-1]!r}"
        if facts.package.classes
        else "the log-odds",
        "log-weight": "the log-weights of the classes",
        "value": facts.package.label,
    }.get(found.unit, found.unit)
    method = facts.package.calibration.method
    before = {"none": "An answer", "clip": "An answer that is within its ends"}.get(
        method, "Before calibration an answer"
    )
    text = (
        f"{before} is the sum of what its columns contribute to {score} (their Shapley "
        f"values): how far each moved {count(found.explained, 'test row')}, on average, up or down.{_meaning(found.unit)}"
    )
    most = max(one.size for one in shown)
    # Of several classes none is said: what raises one lowers another.
    has_way = any(map(_way, shown))
    return Section(
        name=name,
        title=title,
        sentences=(Sentence(text=text, evidence=cited),),
        bars=tuple(
            Bar(
                name=one.column,
                note="",
                text=f"{in_words(one.size)}{'; ' if _way(one) else ''}{_way(one)}",
                at=placed((0.0, one.size, one.size), 0.0, most),
                ends=("", ""),
            )
            for one in shown
        ),
        key=f"how far it moves {score}",
        plain=Table(
            head=("Column", "Moves it by", *(("Which way",) if has_way else ())),
            rows=tuple((one.column, in_words(one.size), *((_way(one),) if has_way else ())) for one in shown),
        ),
    )


def _meaning(unit: str) -> str:
    return " A contribution of 0.69 doubles the odds, one of -0.69 halves them." if unit == "log-odds" else ""


def _way(one: Contribution) -> str:
    if one.up and one.up != one.down:
        return f"{one.up!r} raises it most, {one.down!r} lowers it most"
    if one.direction is None:
        return ""
    if abs(one.direction) < _CLEAR:
        return "in no single direction"
    return "larger values raise it" if one.direction > 0 else "larger values lower it"


def plotted(facts: CardFacts) -> Section:
    """Draw how the answer goes with the columns that are needed most, as differences from the average answer."""
    found, cited = facts.explanation, cite(facts.explanation_digest)
    name, title = "plots", "How the answer goes with a column"
    if found is None:
        return Section(name=name, title=title)
    told = found.dependence
    texts = [column.name for column in facts.package.columns if column.type == "text"]
    if not told:
        return Section(name=name, title=title)
    classes = facts.package.classes
    is_share = bool(classes)
    what = (
        facts.package.label
        if not classes
        else f"the probability of {classes[-1]!r}"
        if len(classes) == 2
        else "the probability of a class"
    )
    average = "" if len(classes) > 2 else f" ({said_answer(told[0].average[0], is_share=is_share)})"
    text = (
        f"By how much the answer, {what}, is more or less than the average answer{average} as one column changes and the rest of a row stays "
        f"as it is{', in percentage points' if is_share else ''} (accumulated local effects, on {count(found.rows, 'test row')}). They are added "
        "up over steps that different rows take, so the whole way may be longer than any one row goes."
    )
    warning = (
        "They show the model, not the world: that changing a column would change the truth does not follow."
    )
    spans = [_span(one) for one in told]
    widest = max(high - low for low, high in spans)
    return Section(
        name=name,
        title=title,
        sentences=(
            Sentence(text=text, evidence=cited),
            Sentence(text=warning),
            *(Sentence(text=said) for said in _without_texts(texts)),
            *(
                Sentence(text=f"Of {one.column} not shown, since they are rarer: {rarer}.", evidence=cited)
                for one in told
                if (rarer := said_rarer(one))
            ),
        ),
        plots=tuple(
            plot_of(one, span, widest=widest, is_share=is_share)
            for one, span in zip(told, spans, strict=True)
        ),
        key="Dashed: 0, the average answer. Below: how many rows there are; where there are few, mistrust the line. Mind the scale at the left of each.",
        plain=Table(
            head=("Column", *(("Of",) if len(classes) > 2 else ()), "Lowest", "At", "Highest", "At"),
            rows=tuple(row for one in told for row in _extremes(one, is_share=is_share)),
        ),
    )


def _without_texts(texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"Columns of text are left out here ({listed(texts, MOST_SHOWN)})."


def _points(one: Dependence) -> list[Point]:
    return [*one.points, *([one.missing] if one.missing else [])]


def _span(one: Dependence) -> tuple[float, float]:
    every = [0.0, *(difference for point in _points(one) for difference in apart(point, one))]
    return min(every), max(every)


def _extremes(one: Dependence, *, is_share: bool) -> Iterator[tuple[str, ...]]:
    for place in range(len(one.average)):
        differences = [(apart(point, one)[place], point) for point in _points(one)]
        ends = (
            word
            for difference, point in (
                min(differences, key=lambda pair: pair[0]),
                max(differences, key=lambda pair: pair[0]),
            )
            for word in (
                said_apart(difference, is_share=is_share, has_unit=True),
                said_place(point.at, one),
            )
        )
        yield (one.column, *(one.curves[place : place + 1]), *ends)
