"""The stations ``ingest`` and ``split``: from sources to a dataset version whose rows are parted."""

from linewright.data.facts import Ingested, Split
from linewright.data.ingest import ingest
from linewright.data.split import split
from linewright.line.check import refuse_unknown_groups
from linewright.line.work import Work


def ingest_station(work: Work) -> Ingested:
    """Read the sources, check the contract, keep a dataset version."""
    return ingest(work.factory.context, work.spec, work.factory.root)


def split_station(work: Work) -> Split:
    """Part the rows into training and test."""
    columns = [column.name for column in work.dataset.columns]
    refuse_unknown_groups(work.spec, columns, where=work.spec.line)
    return split(work.factory.context, work.ingested.dataset, work.dataset, work.spec.train.split, work.spec)
