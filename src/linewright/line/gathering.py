"""The stations ``ingest`` and ``split``: from sources to a dataset version whose rows are parted."""

from linewright.data.facts import Ingested, Split
from linewright.data.ingest import ingest
from linewright.data.split import split
from linewright.line.check import contradictions, refuse
from linewright.line.work import Work, resolve_task


def ingest_station(work: Work) -> Ingested:
    """Read the sources, check the contract, keep a dataset version."""
    return ingest(work.factory.context, work.spec, work.factory.root)


def split_station(work: Work) -> Split:
    """Part the rows into training and test."""
    columns = [column.name for column in work.dataset.columns]
    task = resolve_task(work.spec, work.dataset, work.ingested.labels)
    refuse(contradictions(work.spec, columns, task))
    return split(work.factory.context, work.ingested.dataset, work.dataset, work.spec.train.split, work.spec)
