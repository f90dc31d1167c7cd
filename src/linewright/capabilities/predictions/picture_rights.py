"""Which pictures somebody may see on a line: those of rows that they may see, and those that they sent shortly before."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.errors import LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.personal import HiddenColumns, hidden_columns
from linewright.line.record.registry import find_model
from linewright.model.facts import Package
from linewright.model.package.model import read_golden
from linewright.serve.log.ids import is_id
from linewright.store.clock import later
from linewright.store.files.fit_files import LocalFits
from linewright.store.values import digest_of

_SENT = "sent-pictures"
"""Folder of what says who sent which picture, by hour, in the state folder."""
_HOUR = len("2026-11-30T04")
_HOUR_MICROS = 3_600_000_000


def note_sent(factory: Factory, line: str, digest: str) -> None:
    """Let the one who sends a picture see it on a line for an hour."""
    hours = _hours(factory)
    with suppress(OSError):
        for folder in (factory.state / _SENT).iterdir():
            if folder.name not in hours:
                shutil.rmtree(folder, ignore_errors=True)
    LocalFits(factory.state / _SENT / hours[0]).put(_who_sent(factory, line, digest), b"")


def require_seen(factory: Factory, line: str, digest: str, of: str | None, asked: Mapping[str, Any]) -> None:
    """Refuse a picture that no row names which the viewer may see."""
    if not factory.may("annotate", line):
        factory.identity.require("view-rows", [line])
    hidden = hidden_columns(factory, line)
    if _is_sent(factory, line, digest) or digest in _shown(asked, hidden):
        return
    if factory.may("view-rows", line) and (
        (of and _is_predicted(factory, line, digest, of, hidden))
        or _is_golden(factory, line, digest, hidden)
        or _is_in_datasets(factory, line, digest, hidden)
    ):
        return
    raise NotFound(
        "no row that you may see names this picture",
        where=line,
        found=digest[:100],
        hint="name the prediction or the question whose row does: --of ID",
    )


def _shown(row: Mapping[str, Any], hidden: HiddenColumns) -> list[Any]:
    return [cell for name, cell in row.items() if name not in hidden]


def _hours(factory: Factory) -> tuple[str, str]:
    now = factory.now()
    return now[:_HOUR], later(now, -_HOUR_MICROS)[:_HOUR]


def _who_sent(factory: Factory, line: str, digest: str) -> str:
    return digest_of([factory.identity.member or factory.actor, line, digest])


def _is_sent(factory: Factory, line: str, digest: str) -> bool:
    key = _who_sent(factory, line, digest)
    return any(LocalFits(factory.state / _SENT / hour).get(key) is not None for hour in _hours(factory))


def _is_predicted(factory: Factory, line: str, digest: str, prediction: str, hidden: HiddenColumns) -> bool:
    if not is_id(prediction) or line not in factory.metadata.lines():
        return False
    found = factory.labels_of(line).find(prediction)
    return found is not None and digest in _shown(found[0].row, hidden)


def _is_golden(factory: Factory, line: str, digest: str, hidden: HiddenColumns) -> bool:
    with suppress(LinewrightError):  # nothing serves, or its rows are stored no longer
        package = factory.metadata.get(find_model(factory, line).digest, Package)
        return any(digest in _shown(row, hidden) for row in read_golden(package, factory.artifacts.get).rows)
    return False


def _is_in_datasets(factory: Factory, line: str, digest: str, hidden: HiddenColumns) -> bool:
    looked_at = set[str]()
    for dataset in _datasets(factory, line):
        files = (column.name for column in dataset.columns if column.type == "file")
        names = [name for name in files if name not in hidden]
        for chunk in dataset.chunks if names else ():
            if chunk.content in looked_at:
                continue
            looked_at.add(chunk.content)
            with suppress(LinewrightError):  # a chunk that is damaged hides no other
                rows = read_dataset(
                    replace(dataset, chunks=(chunk,)), factory.artifacts, factory.metadata, names
                )
                if any((rows[name] == digest).any() for name in names):
                    return True
    return False


def _datasets(factory: Factory, line: str) -> Iterator[Dataset]:
    """Give the dataset versions that runs of a line read, the newest first."""
    runs = reversed(factory.metadata.events(Finished, line=line))
    for ingested in dict.fromkeys(run.ingested for run in runs if run.ingested):
        with suppress(NotFound):  # dropped by retention
            yield factory.metadata.get(factory.metadata.get(ingested, Ingested).dataset, Dataset)
