"""Rows of a dataset version that people may label, and what its line's champion is unsure of among them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from linewright.capabilities.annotation.allowed_labels import newest_dataset
from linewright.capabilities.annotation.question_rows import plain
from linewright.capabilities.annotation.sample import uncertainty_of
from linewright.data.dataset.split import identities
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.errors import NotFound
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.record.data.readings import readings
from linewright.line.retention.dropped import dropped_at
from linewright.line.split_rows import label_text
from linewright.model.package.model import load
from linewright.people.annotations import row_name
from linewright.serve.feedback.parse import AllowedLabels
from linewright.serve.rows.scorer import Scorer
from linewright.store.protocols import Version

NEWEST = "newest"


class TableRows(NamedTuple):
    """The rows of a dataset version."""

    digest: str
    frame: pl.DataFrame
    names: list[str]
    """What names each row, see `row_name`."""
    unlabelled: list[int]
    """Places of the rows without a label; rows of people who are forgotten are none of them."""
    labelled: list[int]
    labels: list[str]
    """Each label as text; null if there is none."""

    def row(self, at: int) -> dict[str, Any]:
        """Return a row as JSON has it."""
        return {name: plain(value) for name, value in self.frame.row(at, named=True).items()}

    def label(self, at: int, allowed: AllowedLabels) -> str | float:
        """Return the label of a row that has one, as feedback spells it."""
        text = self.labels[at]
        return text if allowed.classes else float(text)


def read_rows(factory: Factory, line: str, dataset: str) -> TableRows:
    """Read a dataset version of a line."""
    digest = newest_dataset(factory, line)[0] if dataset == NEWEST else _found(factory, line, dataset)
    if (at := dropped_at(factory, digest)) is not None:
        raise NotFound(
            f"its rows are there no more: dataset dropped by retention on {at[:10]}",
            where=digest,
            hint=f"take a newer one: --dataset {NEWEST}",
        )
    spec = factory.line(line)
    frame = read_dataset(factory.metadata.get(digest, Dataset), factory.artifacts, factory.metadata)
    names = [row_name(one) for one in identities(frame, spec).tolist()]
    is_there = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    has_label = frame[spec.label.column].is_not_null()
    return TableRows(
        digest=digest,
        frame=frame,
        names=names,
        unlabelled=_different((is_there & ~has_label).arg_true().to_list(), names),
        labelled=_different(has_label.arg_true().to_list(), names),
        labels=label_text(frame, spec.label.column),
    )


def _different(places: Sequence[int], names: Sequence[str]) -> list[int]:
    """Return those of some places whose row is another one than those before: without a key, equal rows are one."""
    return list({names[at]: at for at in reversed(places)}.values())[::-1]


def uncertainties(
    factory: Factory, champion: Version | None, table: TableRows, places: Sequence[int]
) -> list[float]:
    """Return how unsure the champion is of some rows; 0 if there is none, or the rows lack a column that it reads."""
    if champion is None or not places:
        return [0.0] * len(places)
    model = load(champion.digest, factory.artifacts.get)
    names = model.package.encoder.columns
    if not set(names) <= set(table.frame.columns):
        return [0.0] * len(places)
    answers = Scorer(model).columns(to_columns(table.frame[list(places)], names))
    return [uncertainty_of(one) for one in answers]


def _found(factory: Factory, line: str, dataset: str) -> str:
    wanted = dataset.removeprefix("sha256:")
    known = list(readings(factory, line))
    found = [one for one in known if wanted and one.removeprefix("sha256:").startswith(wanted)]
    if len(found) != 1:
        raise NotFound(
            "more than one dataset begins so" if found else "this line has no such dataset",
            where="--dataset",
            found=dataset[:80],
            allowed=", ".join([NEWEST, *(one[:19] for one in (found or known)[-10:])]),
        )
    return found[0]
