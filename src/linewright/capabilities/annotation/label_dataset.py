"""Labels that people gave to rows of dataset versions become a separate dataset version, which the next run trains with.

The questions stay where they are, with the labels in their file. Here these become values: the labelled rows as a dataset version, and a line
for each row that says who gave its label and when. A reading of the sources then gives the labels to the rows that have none.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from linewright.capabilities.annotation.question_rows import dataset_rows
from linewright.capabilities.annotation.settle import givers_of
from linewright.data.dataset.version import read_dataset, write_dataset
from linewright.data.facts import AnnotatedRows, Column, Dataset
from linewright.data.types import DTYPES, cast
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.record.data.readings import GivenLabel, given_labels
from linewright.line.record.monitoring.alerts import newest_of
from linewright.people.annotations import Annotations, Question
from linewright.people.facts import RowsAnnotated

_END = b"\n"


def keep_labels(factory: Factory, line: str) -> RowsAnnotated | None:
    """Make a dataset version of all labels that people gave to rows of dataset versions.

    Done again, also after a kill, it does nothing if the last version has all labels.
    """
    last = newest_of(factory, line, RowsAnnotated)
    store = Annotations.of(factory.state, line)
    with store.reading() as held:
        questions = [one for one in held.questions() if _counts(one)]
        given = {one.id: held.answers(one.id) for one in questions}
    if not questions:
        return last
    label = factory.line(line).label.column
    asked, rows, columns = _rows_of(factory, questions, label, last)
    if not asked:
        return last
    dataset = write_dataset(rows, columns, (), factory.artifacts, factory.metadata)
    digest = factory.metadata.keep(dataset)
    if last is not None and last.dataset == digest:
        return last
    lines: list[bytes] = []
    for one in asked:
        annotators, decided = givers_of(given[one.id])
        said = GivenLabel(question=one.id, annotators=annotators, decided=decided, at=one.at or "")
        lines.append(msgspec.json.encode(said) + _END)
    annotated = AnnotatedRows(
        before=str(max(asked, key=lambda one: one.place).dataset),
        dataset=digest,
        labels=len(asked),
        given=factory.artifacts.put(b"".join(lines)),
    )
    event = RowsAnnotated(
        at=factory.now(),
        by=factory.actor,
        because="closed",
        line=line,
        annotated=factory.metadata.keep(annotated),
        dataset=digest,
        labels=len(asked),
    )
    factory.metadata.record(event)
    return event


def unclosed(factory: Factory, line: str, questions: Sequence[Question]) -> int:
    """Count the labels of rows that no dataset version has yet."""
    last = newest_of(factory, line, RowsAnnotated)
    return sum(_counts(one) and (last is None or (one.at or "") > last.at) for one in questions)


def _counts(question: Question) -> bool:
    return question.dataset is not None and question.gold is None and question.kept is not None


def _rows_of(
    factory: Factory, questions: Sequence[Question], label: str, last: RowsAnnotated | None
) -> tuple[list[Question], pl.DataFrame, tuple[Column, ...]]:
    """Return the labelled rows in the order of their questions, in the columns of the newest version that they are of."""
    newest = max(questions, key=lambda one: one.place)
    columns = factory.metadata.get(str(newest.dataset), Dataset).columns
    found = list(dataset_rows(factory, questions))
    missing = {one.id for one in questions} - {one.id for some, _ in found for one in some}
    if missing and last is not None:
        # Their dataset version is kept no longer; the last version of labels has them.
        found += _from_last(factory, [one for one in questions if one.id in missing], last)
    asked = [one for some, _ in found for one in some]
    if not asked:
        return [], pl.DataFrame(), columns
    rows = pl.concat(_in_columns(frame, columns) for _, frame in found)
    order = sorted(range(len(asked)), key=lambda at: asked[at].place)
    asked, rows = [asked[at] for at in order], rows[order]
    kind = next(one.type for one in columns if one.name == label)
    texts = pl.Series(label, [_text(msgspec.json.decode(one.kept or "null"), kind) for one in asked])
    return asked, rows.with_columns(cast(texts, kind).alias(label)), columns


def _from_last(
    factory: Factory, questions: Sequence[Question], last: RowsAnnotated
) -> list[tuple[list[Question], pl.DataFrame]]:
    annotated = factory.metadata.get(last.annotated, AnnotatedRows)
    dataset = factory.metadata.get(annotated.dataset, Dataset)
    places = {one.question: at for at, one in enumerate(given_labels(factory, annotated))}
    known = [one for one in questions if one.id in places]
    try:
        rows = read_dataset(dataset, factory.artifacts, factory.metadata)
    except NotFound:
        return []
    taken = rows[[places[one.id] for one in known]]
    is_there = taken.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    kept = [one for one, there in zip(known, is_there.to_list(), strict=True) if there]
    return [(kept, taken.filter(is_there))] if kept else []


def _in_columns(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    lacking = [pl.lit(None).alias(one.name) for one in columns if one.name not in frame.columns]
    wanted = [pl.col(one.name).cast(DTYPES[one.type], strict=False) for one in columns]
    return frame.with_columns(lacking).select(wanted)


def _text(label: Any, kind: str) -> str | None:
    if isinstance(label, float) and kind == "integer":
        return str(int(label))
    return None if label is None else str(label)
