"""Labels from a file: the truth about predictions, by id or by key."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from linewright.data.read.file.sniff import means_missing
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.file.mistakes import either
from linewright.line.predict.input_file import HandedWhole, read_handed
from linewright.line.record.registry import find_model
from linewright.model.facts import Package
from linewright.serve.feedback.parse import Label, Place, check_labels, no_key
from linewright.serve.feedback.store import MOST_NAMED
from linewright.serve.log.ids import is_id

BATCH = 10_000
_LOOKED_AT = 100
"""Rows that tell whether a column `id` names predictions."""


def hand_in(factory: Factory, line: str, file: Path) -> dict[str, Any]:
    """Keep the labels of a file; all of a batch of 10,000 or, where one contradicts another, none of it.

    A row without a label, or with a usual spelling of "no value" there, says nothing yet: it is counted and passed over.
    """
    package = factory.metadata.get(find_model(factory, line).digest, Package)
    handed = read_handed(factory, line, file)
    rows, labels = _labels(handed, package)
    total: dict[str, Any] = {"accepted": 0, "repeated": 0, "corrected": 0, "unknown": 0, "unknown_first": []}
    starts = range(0, len(labels), BATCH)
    places = [partial(_place, handed, rows[start:]) for start in starts]
    batches = [
        _checked(labels[start : start + BATCH], package, place)
        for start, place in zip(starts, places, strict=True)
    ]
    feedback = factory.labels_of(line)
    for batch, place in zip(batches, places, strict=True):
        for name, kept in feedback.accept_checked(batch, place=place).items():
            total[name] += kept
    unknown = total.pop("unknown_first")[:MOST_NAMED]
    passed_over = handed.frame.height - len(rows)
    return total | {"unlabelled": passed_over, "unknown_first": unknown, "note": handed.note}


def _place(handed: HandedWhole, rows: Sequence[int], number: int, part: str) -> str:
    return handed.place(rows[number]) + (f", {part}" if part else "")


def _checked(batch: list[dict[str, Any]], package: Package, place: Place) -> list[Label]:
    try:
        return check_labels(batch, package, place)
    except RequestError as error:
        error.what += "; nothing of this file is kept"
        error.hint = error.hint or (
            "correct the row and hand the file in again; where a label is not known yet, leave it empty, or add what "
            "stands for it to `missing` of the source"
        )
        raise


def _labels(handed: HandedWhole, package: Package) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the rows (from 0) that hold a label, and their labels."""
    field, who = _who(handed, package)
    label = _named(handed, ("label", package.label), "holds the label")
    rows: list[int] = []
    labels: list[dict[str, Any]] = []
    for number, row in enumerate(handed.frame.iter_rows(named=True)):
        value = row[label]
        if value is None or _is_no_label(value, package):
            continue
        rows.append(number)
        old = row.get("corrects")
        labels.append(
            {
                field: row[who],
                "label": _spelled(value, package),
                **({"at": row["at"]} if row.get("at") else {}),
                **({} if old is None or _is_no_label(old, package) else {"corrects": _spelled(old, package)}),
            }
        )
    return rows, labels


def _is_no_label(value: object, package: Package) -> bool:
    text = str(value).strip()
    return text not in package.classes and means_missing(text, among_numbers=not package.classes)


def _who(handed: HandedWhole, package: Package) -> tuple[Literal["id", "key"], str]:
    """Return whether the file names predictions by id or by key, and the column that does."""
    columns = handed.frame.columns
    # Where the key column is itself called id, answers from `predict` hold the prediction's id beside it.
    ids = ("prediction_id",) if package.key == "id" else ("id",)
    found = next((name for name in ids if name in columns), None)
    if found and not (package.key in columns and _is_of_the_table(handed.frame[found])):
        return "id", found
    if package.key is None and "key" in columns:
        raise no_key(str(handed.file))
    keys = () if package.key is None else ("key", package.key)
    found = _named(handed, keys if found else (*ids, *keys), "says which prediction a label is about")
    return "key", found


def _is_of_the_table(ids: pl.Series) -> bool:
    """Return whether a column `id` is one of the table's own, which names no prediction."""
    return not any(is_id(str(one)) for one in ids.head(_LOOKED_AT))


def _named(handed: HandedWhole, names: Sequence[str], purpose: str) -> str:
    columns = handed.frame.columns
    for name in names:
        if name in columns:
            return name
    raise RequestError(
        f"the file of labels lacks the column that {purpose}",
        where=str(handed.file),
        found=", ".join(columns),
        allowed=either([repr(name) for name in dict.fromkeys(names)]),
        hint="rename a column, or add one",
    )


def _spelled(text: object, package: Package) -> object:
    if package.classes or package.encoder.listed:
        return text
    try:
        return float(str(text))
    except ValueError:
        return text  # refused with its place, like any other label
