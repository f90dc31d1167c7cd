"""A dataset version that is to be written for others: which columns, and what is known of it."""

from dataclasses import dataclass

from linewright.data.facts import Column, Dataset, Split
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns, personal_columns
from linewright.line.record.data.readings import Reading, labelled_rows, reading, readings
from linewright.line.spec import LineSpec
from linewright.model.facts import Package, Registered, Trained


@dataclass(frozen=True, kw_only=True)
class VersionToExport:
    """A dataset version, with what the record has about it."""

    spec: LineSpec
    digest: str
    dataset: Dataset
    columns: tuple[Column, ...]
    """Those that are written."""
    left_out: tuple[str, ...]
    """Columns that are not written: personal ones, which who asks may not see."""
    personal: tuple[str, ...]
    """Columns that are declared personal, written or not."""
    number: int
    """Which of the versions of its line, from 1; 1 too for one that annotations made."""
    read: Reading | None
    """How its rows were read; `None` if the record does not say."""
    split: Split | None
    """The newest split of it by which a model was trained."""


def version_to_export(factory: Factory, line: str, digest: str) -> VersionToExport:
    """Return a dataset version of a line, by its digest; columns that who asks may not see are left out."""
    dataset, hidden = factory.metadata.get(digest, Dataset), hidden_columns(factory, line)
    found, declared = readings(factory, line), personal_columns(factory, line)
    read = reading(factory, line, found[digest]) if digest in found else labelled_rows(factory, line, digest)
    return VersionToExport(
        spec=factory.line(line),
        digest=digest,
        dataset=dataset,
        columns=tuple(one for one in dataset.columns if one.name not in hidden),
        left_out=tuple(one.name for one in dataset.columns if one.name in hidden),
        personal=tuple(one.name for one in dataset.columns if one.name in declared),
        number=list(found).index(digest) + 1 if digest in found else 1,
        read=read,
        split=_split_of(factory, line, digest),
    )


def _split_of(factory: Factory, line: str, digest: str) -> Split | None:
    for one in factory.metadata.events(Registered, line=line, newest_first=True):
        trained = factory.metadata.get(factory.metadata.get(one.package, Package).trained, Trained)
        if trained.dataset == digest:
            return factory.metadata.get(trained.split, Split)
    return None
