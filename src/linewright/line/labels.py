"""Labels from a file: the truth about predictions, by id or by key."""

from pathlib import Path

from linewright.data.read import read_source
from linewright.data.spec import FileSource
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.registry import find_model
from linewright.line.scoring import reading_options
from linewright.model.facts import Package

BATCH = 10_000


def hand_in(factory: Factory, line: str, file: Path) -> dict[str, int]:
    """Keep the labels of a file; all of a batch of 10,000 or, where one contradicts another, none of it.

    Returns
    -------
    dict
        How many were ``accepted``, ``repeated`` and ``unknown``.

    Raises
    ------
    RequestError
        If the file lacks a column, or a label has a wrong form.
    Conflict
        If another label is already kept for the same prediction; the batch that holds it is not kept.
    """
    package = factory.metadata.get(find_model(factory, line).digest, Package)
    frame = read_source(
        "file", FileSource(file=str(file.resolve()), **reading_options(factory, line)), factory.root
    ).frame
    who = _named(frame.columns, file, "id", "key", package.key)
    label = _named(frame.columns, file, "label", package.label)
    labels = [
        {
            "id" if who == "id" else "key": row[who],
            "label": _number(row[label], file) if package.task == "regression" else row[label],
            **({"at": row["at"]} if row.get("at") else {}),
        }
        for row in frame.iter_rows(named=True)
    ]
    total = {"accepted": 0, "repeated": 0, "unknown": 0}
    feedback = factory.labels_of(line)
    for start in range(0, len(labels), BATCH):
        for name, number in feedback.accept(labels[start : start + BATCH], package=package).items():
            total[name] += number
    return total


def _named(columns: list[str], file: Path, *names: str | None) -> str:
    for name in names:
        if name in columns:
            return name
    allowed = " or ".join(repr(name) for name in names if name)
    raise RequestError(
        "the file of labels lacks a column", where=str(file), found=", ".join(columns), allowed=allowed
    )


def _number(text: object, file: Path) -> float:
    try:
        return float(str(text))
    except ValueError as error:
        raise RequestError(
            "a label is not a number", where=str(file), found=text, allowed="a number"
        ) from error
