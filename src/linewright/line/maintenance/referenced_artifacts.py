"""Which stored bytes something names: a result, an event, a settled step, a model, a log, a served file, or a cell of a dataset version."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec
import polars as pl

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.engine.context import Progress
from linewright.errors import Corrupt, NotFound
from linewright.line.factory import FEATURES, Factory
from linewright.line.maintenance.references import DIGEST, digests_in
from linewright.line.retention.dropped import gone
from linewright.model.facts import Package
from linewright.serve.log.segments import read_frames
from linewright.store.values import decode

_TOLD = 10_000
_BINARY = re.compile(DIGEST.pattern.encode())


def unnamed(
    factory: Factory,
    digests: Collection[str],
    planned: Collection[str] = (),
    *,
    in_packages: bool = True,
) -> set[str]:
    """Return those of some digests that nothing names.

    Whatever has the form of a digest counts as a reference, so that a kind that is unknown here keeps what it needs.

    Parameters
    ----------
    planned
        Results whose rows are kept no longer, and of which no event says so yet: their cells name nothing.
    in_packages
        Whether rows that a package tries when it is loaded name their pictures.
    """
    left = set(digests)
    for number, text in enumerate(_texts(factory), 1):
        if not left:
            break
        left.difference_update(digests_in(text))
        if number % _TOLD == 0:
            factory.report(Progress(step="gc", says=f"{number:,} references read", done=number))
    # A log of which all is sealed has no folder in a factory that was restored.
    for line in sorted({*factory.metadata.lines(), *factory.logged()}):
        for frame in read_frames(factory.log_of(line), sealed=factory.sealed_of(line)):
            left.difference_update(match.decode() for match in _BINARY.findall(frame.payload))
    for folder in sorted(factory.state.glob("shadow/*/*")):
        for frame in read_frames(folder):
            left.difference_update(match.decode() for match in _BINARY.findall(frame.payload))
    if left:
        left.difference_update(*_of_rows(factory, {*gone(factory).at, *planned}, in_packages=in_packages))
    return left


def clock_of_files(factory: Factory) -> float:
    """Return the time by the clock that stamps files, which in a world that simulates is another one than the factory's."""
    probe = factory.state / "gc.lock"
    probe.touch()
    return probe.stat().st_mtime


def drop_features(factory: Factory, pictures: Collection[str]) -> None:
    """Remove the numbers of pictures that are gone."""
    for picture in pictures:
        for path in (factory.state / FEATURES).glob(f"*/{picture.removeprefix('sha256:')}.fit"):
            path.unlink(missing_ok=True)


def _of_rows(factory: Factory, dropped: Collection[str], *, in_packages: bool) -> Iterator[set[str]]:
    """Give the files that cells name, dataset version by dataset version, and those that packages try when they are loaded."""
    artifacts, metadata = factory.artifacts, factory.metadata
    for digest, kind, body in metadata.results():
        if kind == "dataset" and '"file"' in body and digest not in dropped:
            dataset = decode(Dataset, body.encode(), digest=digest)
            names = [column.name for column in dataset.columns if column.type == "file"]
            # Each chunk by itself: of a damaged dataset the others count all the same.
            for chunk in dataset.chunks if names else ():
                part = msgspec.structs.replace(dataset, chunks=(chunk,))
                with suppress(
                    NotFound, Corrupt
                ):  # what cannot be read for a moment stops all: it may name something
                    frame = read_dataset(part, artifacts, metadata, names)
                    yield set(pl.concat([frame[name] for name in names]).drop_nulls().to_list())
        elif in_packages and kind == "package" and '"picture_part"' in body:
            with suppress(NotFound):
                yield set(
                    digests_in(artifacts.get(decode(Package, body.encode(), digest=digest).golden).decode())
                )


def _texts(factory: Factory) -> Iterator[str]:
    metadata = factory.metadata
    for line in metadata.lines():
        yield from (version.digest for version in metadata.versions(line))
    for path in factory.serving.glob("*.json"):
        yield path.read_text()
    for digest, _, body in metadata.results():
        yield digest
        yield body
    for link in metadata.links():
        yield link.body
    for _, digest in metadata.settlements():
        yield digest
