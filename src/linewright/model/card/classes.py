"""What a card says of answers that are classes: which mistakes are made, and how good it is class by class."""

from collections.abc import Iterator, Sequence

from linewright.model.card.missed_classes import unfound_in_words
from linewright.model.card.parts import CardFacts, Section, Sentence, Table, cite, sentence_of
from linewright.model.evaluate.per_class import (
    Share,
    apart_by_class,
    found_by_class,
    hardly_in_words,
    is_surely_apart,
    rows_in_words,
    share_in_words,
)
from linewright.model.facts import Evaluation
from linewright.text.numbers import few_in_words

MOST_CLASSES = 12
"""Confusion matrices of more classes are told by their commonest mistakes."""
MOST_ROWS = 40
"""Classes that have a row of their own; of more, those with the most test rows."""


def confusion(facts: CardFacts) -> Section:
    """Say which mistakes it makes, and of several classes what is found of each."""
    name, title = "confusion", "Which mistakes it makes"
    evaluation, classes = facts.evaluation, facts.package.classes
    if evaluation is None or not evaluation.confusion:
        return Section(name=name, title=title)
    counts, cited = evaluation.confusion, cite(facts.evaluation_digest)
    few, only = evaluation.few, evaluation.only_answer
    told: list[str] = []
    if only is not None:
        told.append(
            f"It answers {classes[only]!r} to every test row, so no decision of it depends on the row."
        )
    if len(classes) == 2:
        told += _two_class_mistakes(counts, classes)
    elif evaluation.unfound:
        unfound = {classes[code]: rows for code, rows in evaluation.unfound.items()}
        told.append(f"It finds {unfound_in_words(unfound)}.")
    if len(classes) > 2 and (hardly := hardly_in_words(found_by_class(counts), classes)):
        told.append(
            f"It finds less than half of some classes, also at the upper end of the interval: {hardly}."
        )
    if few:
        told.append(sentence_of(few_in_words([(classes[code], rows) for code, rows in few])))
    if len(classes) > 2:
        told += _of_each(evaluation, classes)
    return Section(
        name=name,
        title=title,
        sentences=tuple(Sentence(text=text, evidence=cited) for text in told),
        lead=_by_class(evaluation, classes) if len(classes) > 2 else None,
        table=_matrix(counts, classes) if len(classes) <= MOST_CLASSES else _commonest(counts, classes),
    )


def _of_each(evaluation: Evaluation, classes: Sequence[str]) -> Iterator[str]:
    """Say whether the probability of each class is right as a whole, and how the table of classes is to be read."""
    expected = evaluation.expected
    yield from apart_by_class(expected, classes)
    alike = {"group": "a group", "block": "a block of time", "equal": "a set of equal rows"}
    hang = f", though rows of {alike[evaluation.cluster_kind]} may be alike: then it is wider"
    told = (
        "By class: found is the share of its test rows that are answered so (recall), right the share of these answers that are of it "
        f"(precision), each with a 95 % interval (Wilson) as of single rows{hang if evaluation.clusters else ''}."
    )
    if expected:
        told += (
            " Expected is the sum of its probabilities, beside it how many rows true probabilities would show in 95 % of cases, all "
            "classes together"
        )
        told += (
            "."
            if any(map(is_surely_apart, expected))
            else ": as far as these rows can tell, none is promised too often or too seldom."
        )
    yield told


def _by_class(evaluation: Evaluation, classes: Sequence[str]) -> Table:
    found = found_by_class(evaluation.confusion)
    shown = sorted(sorted(found, key=lambda one: -one.recall.of)[:MOST_ROWS], key=lambda one: one.code)
    expected = {one.code: one for one in evaluation.expected}
    # Expected rows are weighted; where weights differ, so are those that they stand beside.
    is_weighted = any(abs(one.true - found[one.code].recall.of) > 0.5 for one in expected.values())
    rows = [
        (
            classes[one.code],
            f"{one.recall.of:,}",
            *_share(one.recall, "no rows"),
            f"{one.precision.of:,}",
            *_share(one.precision, "never answered"),
        )
        for one in shown
    ]
    head = ("Class", "Test rows", "Found", "95 % interval", "Answered", "Right", "95 % interval")
    if not expected:
        return Table(head=head, rows=tuple(rows))
    more = [
        (
            rows_in_words(mine.said),
            f"{rows_in_words(mine.low)} to {rows_in_words(mine.high)}",
            *((rows_in_words(mine.true),) if is_weighted else ()),
        )
        for mine in (expected[one.code] for one in shown)
    ]
    return Table(
        head=(*head, "Expected", "If probabilities are true", *(("Rows, weighted",) if is_weighted else ())),
        rows=tuple((*row, *rest) for row, rest in zip(rows, more, strict=True)),
    )


def _share(share: Share, none: str) -> tuple[str, str]:
    if not share.of:
        return none, ""
    low, high = (share_in_words(end) for end in share.interval)
    return share_in_words(share.value), f"{low.removesuffix(' %')} to {high}"


def _two_class_mistakes(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    (_, false), (missed, found) = counts
    return [
        f"Of {found + missed:,} test rows that are {classes[1]!r} it finds {found:,} and misses {missed:,}.",
        f"Of {found + false:,} rows that it calls {classes[1]!r}, {found:,} are.",
    ]


def _matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    return Table(
        head=("truth ↓ answer →", *classes),
        rows=tuple((name, *(f"{n:,}" for n in row)) for name, row in zip(classes, counts, strict=True)),
        shades=tuple(tuple(n / max(sum(row), 1) for n in row) for row in counts),
    )


def _commonest(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    mistakes = [
        (n, truth, answer)
        for truth, row in enumerate(counts)
        for answer, n in enumerate(row)
        if n and truth != answer
    ]
    mistakes.sort(key=lambda one: (-one[0], one[1], one[2]))
    return Table(
        head=("Truth", "Answer", "Rows"),
        rows=tuple(
            (classes[truth], classes[answer], f"{n:,}") for n, truth, answer in mistakes[:MOST_CLASSES]
        ),
    )
