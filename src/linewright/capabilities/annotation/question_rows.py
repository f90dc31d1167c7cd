"""The rows that questions are about: of the prediction log, or of dataset versions."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from linewright.data.dataset.version import read_chunk
from linewright.data.facts import Dataset
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.people.annotations import Question


class QuestionRow(NamedTuple):
    """What a question is about."""

    row: Mapping[str, Any]
    """By column; times are ISO 8601."""
    answer: Mapping[str, Any] | None
    """The answer of a model; `None` for a row of a dataset version."""


def question_row(factory: Factory, line: str, question: Question) -> QuestionRow | None:
    """Return what a question is about; `None` if it is not stored any more."""
    return question_rows(factory, line, [question]).get(question.id)


def question_rows(factory: Factory, line: str, questions: Sequence[Question]) -> dict[str, QuestionRow]:
    """Return what questions are about, by the question's id, as far as it is stored."""
    predicted = [one for one in questions if one.dataset is None]
    logged = factory.labels_of(line).find_all([one.prediction for one in predicted]) if predicted else {}
    found = {
        one.id: QuestionRow(logged[one.prediction][0].row, logged[one.prediction][0].answer)
        for one in predicted
        if one.prediction in logged and logged[one.prediction][0].row
    }
    for asked, frame in dataset_rows(factory, questions):
        rows = zip(asked, frame.iter_rows(named=True), strict=True)
        found |= {
            one.id: QuestionRow({name: plain(value) for name, value in row.items()}, None)
            for one, row in rows
        }
    return found


def dataset_rows(
    factory: Factory, questions: Sequence[Question]
) -> Iterator[tuple[list[Question], pl.DataFrame]]:
    """Give the questions about rows of each dataset version with these rows, in order; none about rows that are stored no longer."""
    about = [one for one in questions if one.dataset is not None]
    for digest, some in groupby(sorted(about, key=_place), key=lambda one: str(one.dataset)):
        dataset, asked = factory.metadata.get(digest, Dataset), list(some)
        parts = list(_of_chunks(factory, dataset, asked))
        if parts:
            yield [one for those, _ in parts for one in those], pl.concat(rows for _, rows in parts)


def plain(value: Any) -> Any:
    """Return a value of a table as JSON has it."""
    return value if value is None or isinstance(value, str | int | float | bool) else value.isoformat()


def _place(question: Question) -> tuple[str, int]:
    return str(question.dataset), question.row or 0


def _of_chunks(
    factory: Factory, dataset: Dataset, asked: Sequence[Question]
) -> Iterator[tuple[list[Question], pl.DataFrame]]:
    start = 0
    for chunk in dataset.chunks:
        those = [one for one in asked if start <= (one.row or 0) < start + chunk.rows]
        if those:
            try:
                rows = read_chunk(chunk, dataset.columns, factory.artifacts, factory.metadata)
            except NotFound:  # kept no longer
                rows = pl.DataFrame()
            if rows.height:
                taken = rows[[(one.row or 0) - start for one in those]]
                is_there = taken.select(~pl.all_horizontal(pl.all().is_null())).to_series()
                kept = [one for one, there in zip(those, is_there.to_list(), strict=True) if there]
                if kept:
                    yield kept, taken.filter(is_there)
        start += chunk.rows
