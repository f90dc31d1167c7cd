"""What a retraining had to learn from that the run before it had not: a training may end like a fresh one without a new row."""

from typing import Literal

import polars as pl

from linewright.data.dataset.split import identities
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested, Split
from linewright.line.facts import Accepted, Finished, Learned
from linewright.line.record.data.quarantine import reading_of
from linewright.line.run_context import Work
from linewright.line.spec import LineSpec
from linewright.line.split_rows import label_text
from linewright.line.steps.ingest import ANSWERED_AT, in_types_of, served_rows
from linewright.model.facts import Certificate


def learned_since(work: Work, run: str, *, trained: bool) -> Learned | None:
    """Compare the rows of a retraining with those of the run before it."""
    finished = work.metadata.events(Finished, line=work.spec.line, newest_first=True)
    at = next((number for number, one in enumerate(finished) if one.run == run), -1)
    for one in finished[at + 1 :]:
        read = reading_of(work.factory, one)
        if read is not None:
            before = work.metadata.get(read, Ingested).dataset
            new, relabelled = _apart(work, before)
            outweighed, contradicting = _outweighed(work, before, _known_to(work, one))
            return Learned(
                since=one.run,
                at=one.at,
                new=new,
                relabelled=relabelled,
                trained=trained,
                outweighed=outweighed,
                contradicting=contradicting,
                differs=_differs(work, before, one),
            )
    return None


def _differs(work: Work, before: str, run: Finished) -> Literal["rows", "parts", "training", "unknown"]:
    if before != work.ingested.dataset:
        return "rows"
    if run.certificate is None:
        return "unknown"
    split = work.metadata.get(work.metadata.get(run.certificate, Certificate).split, Split)
    return "training" if split.parts == work.split.parts else "parts"


def _known_to(work: Work, run: Finished) -> str | None:
    """Return the instant whose knowledge a run used; `None` where it used no label by feedback."""
    accepted = work.metadata.events(Accepted, line=work.spec.line, newest_first=True)
    return next((one.as_of for one in accepted if one.run == run.run), None)


def _outweighed(work: Work, before: str, known: str | None) -> tuple[int, int]:
    """Return how many labels came by feedback about rows that the sources have, and how many of them say otherwise.

    Which rows of a dataset came from the sources is not kept. A row did that was there before any label by feedback of it
    was known, or that has another label than feedback says.
    """
    if work.as_of is None or not work.factory.labels_of(work.spec.line).count_since(known or ""):
        return 0, 0
    columns = _common(work, work.metadata.get(before, Dataset))
    if work.spec.label.column not in columns:
        return 0, 0
    then = _told(work, known, columns)
    told = _told(work, work.as_of, columns).join(then, on=["row", "label"], how="anti", nulls_equal=True)
    if told.is_empty():
        return 0, 0
    now = _known(work, work.dataset, columns).unique("row", keep="last")
    sourced = (
        now if before == work.ingested.dataset else _known(work, work.metadata.get(before, Dataset), columns)
    )
    sourced = sourced.join(then, on="row", how="anti").select("row", had=True).unique()
    both = told.join(now, on="row", suffix=" now").join(sourced, on="row", how="left")
    says_otherwise = both["label"].ne_missing(both["label now"])
    return int((both["had"].fill_null(value=False) | says_otherwise).sum()), int(says_otherwise.sum())


def _told(work: Work, known_by: str | None, columns: list[str]) -> pl.DataFrame:
    """Return the rows that were answered and whose label was known at an instant; none before the first."""
    rows = [] if known_by is None else served_rows(work.factory, work.spec, known_by)
    used = _used(work, columns)
    frame = in_types_of([one for one in work.dataset.columns if one.name in used], rows, work.spec)
    return _identified(frame.drop(ANSWERED_AT), _by(work, columns)).unique("row", keep="last")


def _apart(work: Work, before: str) -> tuple[int, int]:
    """Return how many rows a dataset did not have before, and how many of the others have another label now."""
    if before == work.ingested.dataset:
        return 0, 0
    then = work.metadata.get(before, Dataset)
    common = _common(work, then)
    if work.spec.label.column not in common:
        return work.dataset.rows, 0
    now, old = (_known(work, one, common) for one in (work.dataset, then))
    new = now.join(old.select("row").unique(), on="row", how="anti").height
    return new, now.join(old.unique(), on=["row", "label"], how="anti").height - new


def _common(work: Work, then: Dataset) -> list[str]:
    types = {column.name: column.type for column in then.columns}
    return [one.name for one in work.dataset.columns if types.get(one.name) == one.type]


def _known(work: Work, dataset: Dataset, columns: list[str]) -> pl.DataFrame:
    frame = read_dataset(dataset, work.factory.artifacts, work.metadata, _used(work, columns))
    return _identified(frame, _by(work, columns))


def _used(work: Work, columns: list[str]) -> list[str]:
    """Return the columns that tell rows and their labels: the key and the label, where there is a key."""
    key, label = work.spec.table.key, work.spec.label.column
    return list(dict.fromkeys([key, label])) if key in columns else columns


def _by(work: Work, columns: list[str]) -> LineSpec:
    """Return the line by whose key rows are known, or without one where not both tables have it."""
    spec = work.spec
    if spec.table.key in columns:
        return spec
    return spec.model_copy(update={"table": spec.table.model_copy(update={"key": None})})


def _identified(frame: pl.DataFrame, spec: LineSpec) -> pl.DataFrame:
    return pl.DataFrame(
        {"row": identities(frame, spec), "label": label_text(frame, spec.label.column)},
        schema={"row": pl.UInt64, "label": pl.String},
    )
