"""Answers that are classes: which mistakes are made, and how good the model is class by class."""

from collections.abc import Iterator, Sequence

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, say
from linewright.model.evaluate.per_class import (
    ClassFound,
    Share,
    found_by_class,
    is_surely_apart,
    rows_in_words,
    share_in_words,
)
from linewright.model.facts import Evaluation, Expected

MOST_CLASSES = 12
"""Confusion matrices of more classes are told by their commonest mistakes."""
MOST_ROWS = 40
"""Classes that have a row of their own; of more, those with the most test rows."""


def confusion(facts: CardFacts) -> Section | None:
    """Return which mistakes it makes, and of several classes what is found of each."""
    evaluation, classes = facts.evaluation, facts.package.classes
    if evaluation is None or not evaluation.confusion:
        return None
    counts = evaluation.confusion
    return Section(
        name="confusion",
        statements=tuple(_statements(evaluation, classes, facts.evaluation_digest)),
        lead=_by_class(evaluation, classes) if len(classes) > 2 else None,
        table=_matrix(counts, classes) if len(classes) <= MOST_CLASSES else _commonest(counts, classes),
    )


def misread(facts: CardFacts) -> Section | None:
    """Return which pictures of the test part were misread; `None` if there are none."""
    found = facts.evaluation.misread if facts.evaluation else ()
    if not found:
        return None
    names = facts.misread or tuple(f"{one.row + 1:,}" for one in found)
    classes = facts.package.classes
    return Section(
        name="misread",
        statements=(
            say("misread.read", facts.evaluation_digest, shown=len(found), named=bool(facts.misread)),
        ),
        table=Table(
            head=("Picture" if facts.misread else "Row", "Label", "Answer", "Probability"),
            rows=tuple(
                (name, classes[one.label], classes[one.answer], f"{one.probability:.0%}")
                for name, one in zip(names, found, strict=True)
            ),
        ),
    )


def _statements(evaluation: Evaluation, classes: Sequence[str], cited: str | None) -> Iterator[Statement]:
    counts, is_two = evaluation.confusion, len(classes) == 2
    if evaluation.only_answer is not None:
        yield say("confusion.only", cited, answer=classes[evaluation.only_answer])
    if is_two:
        (_, false), (missed, right) = counts
        yield say("confusion.found", cited, positive=classes[1], found=right, missed=missed)
        yield say("confusion.right", cited, positive=classes[1], found=right, called=right + false)
    elif evaluation.unfound:
        unfound = {classes[code]: rows for code, rows in evaluation.unfound.items()}
        yield say("confusion.unfound", cited, rows=unfound)
    found = found_by_class(counts)
    if not is_two and any(one.is_hardly_found for one in found):
        yield say("confusion.hardly", cited, found=found, classes=classes)
    if few := [(classes[code], rows) for code, rows in evaluation.few if rows or not is_two]:
        yield say("confusion.few", cited, classes=few)
    if not is_two:
        apart = [one for one in evaluation.expected if is_surely_apart(one)]
        yield from (say("confusion.promised", cited, expected=one, classes=classes) for one in apart)
        yield say(
            "confusion.read",
            cited,
            clusters=evaluation.cluster_kind if evaluation.clusters else "",
            expected="unknown" if not evaluation.expected else "apart" if apart else "true",
        )


def _by_class(evaluation: Evaluation, classes: Sequence[str]) -> Table:
    found = found_by_class(evaluation.confusion)
    shown = sorted(sorted(found, key=lambda one: -one.recall.of)[:MOST_ROWS], key=lambda one: one.code)
    expected = {one.code: one for one in evaluation.expected}
    # Expected rows are weighted; where weights differ, so are those that they stand beside.
    is_weighted = any(abs(one.true - found[one.code].recall.of) > 0.5 for one in expected.values())
    head = ("Class", "Test rows", "Found", "95 % interval", "Answered", "Right", "95 % interval")
    cells = 2 + is_weighted if expected else 0
    more = ("Expected", "If probabilities are true", "Rows, weighted")[:cells]
    rows = ((classes[one.code], *_found(one), *_expected(expected.get(one.code))[:cells]) for one in shown)
    return Table(head=(*head, *more), rows=tuple(rows))


def _found(one: ClassFound) -> tuple[Text, ...]:
    recall, precision = _share(one.recall, "no_rows"), _share(one.precision, "never")
    return f"{one.recall.of:,}", *recall, f"{one.precision.of:,}", *precision


def _expected(one: Expected | None) -> tuple[str, ...]:
    if one is None:
        return ()
    said, low, high, true = map(rows_in_words, (one.said, one.low, one.high, one.true))
    return said, f"{low} to {high}", true


def _share(share: Share, none: str) -> tuple[Text, str]:
    if not share.of:
        return say(f"confusion.{none}"), ""
    low, high = (share_in_words(end) for end in share.interval)
    return share_in_words(share.value), f"{low.removesuffix(' %')} to {high}"


def _matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    return Table(
        head=("truth ↓ answer →", *classes),
        rows=tuple((name, *(f"{n:,}" for n in row)) for name, row in zip(classes, counts, strict=True)),
        shades=tuple(tuple(n / max(sum(row), 1) for n in row) for row in counts),
    )


def _commonest(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    mistakes = [
        (-n, truth, answer)
        for truth, row in enumerate(counts)
        for answer, n in enumerate(row)
        if n and truth != answer
    ]
    return Table(
        head=("Truth", "Answer", "Rows"),
        rows=tuple(
            (classes[truth], classes[answer], f"{-n:,}")
            for n, truth, answer in sorted(mistakes)[:MOST_CLASSES]
        ),
    )
