"""What a retraining had to learn from that the run before it had not: a training may end like a fresh one without a new row."""

import polars as pl

from linewright.data.dataset import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.data.split import identities
from linewright.line.facts import Finished, Learned
from linewright.line.quarantine import reading_of
from linewright.line.work import Work, label_text


def learned_since(work: Work, run: str, *, trained: bool) -> Learned | None:
    """Compare the rows of a retraining with those of the run before it.

    Parameters
    ----------
    work
        A finished retraining.
    run
        Its id.
    trained
        Whether it computed a model; else the one of an earlier run was found again.

    Returns
    -------
    Learned or None
        `None` where no earlier run kept rows.
    """
    finished = work.metadata.events(Finished, line=work.spec.line, newest_first=True)
    at = next((number for number, one in enumerate(finished) if one.run == run), -1)
    for one in finished[at + 1 :]:
        read = reading_of(work.factory, one)
        if read is not None:
            before = work.metadata.get(read, Ingested).dataset
            new, relabelled = _apart(work, before)
            return Learned(since=one.run, at=one.at, new=new, relabelled=relabelled, trained=trained)
    return None


def _apart(work: Work, before: str) -> tuple[int, int]:
    """Return how many rows a dataset did not have before, and how many of the others have another label now."""
    if before == work.ingested.dataset:
        return 0, 0
    then = work.metadata.get(before, Dataset)
    types = {column.name: column.type for column in then.columns}
    common = [one.name for one in work.dataset.columns if types.get(one.name) == one.type]
    if work.spec.label.column not in common:
        return work.dataset.rows, 0
    now, old = (_known(work, one, common) for one in (work.dataset, then))
    new = now.join(old.select("row").unique(), on="row", how="anti").height
    return new, now.join(old.unique(), on=["row", "label"], how="anti").height - new


def _known(work: Work, dataset: Dataset, columns: list[str]) -> pl.DataFrame:
    key, label = work.spec.table.key, work.spec.label.column
    spec = work.spec
    if key in columns:
        columns = list(dict.fromkeys([key, label]))
    else:
        spec = spec.model_copy(update={"table": spec.table.model_copy(update={"key": None})})
    frame = read_dataset(dataset, work.factory.artifacts, work.metadata, columns)
    return pl.DataFrame({"row": identities(frame, spec), "label": label_text(frame, label)})
