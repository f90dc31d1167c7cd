"""What is kept no longer: which results have lost their bytes on purpose, and when. Whoever misses something asks here first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from linewright.data.dataset.blobs import is_whole
from linewright.data.facts import Dataset, Ingested
from linewright.line.factory import Factory
from linewright.line.facts import Dropped, Finished, Forgotten
from linewright.release.facts import SeriesRead
from linewright.store.protocols import MetadataReader
from linewright.store.values import Event, decoder

_KINDS: Mapping[str, type[Event]] = {"dropped": Dropped, "finished": Finished, "series_read": SeriesRead}


@dataclass
class Gone:
    """What events say is kept no longer, as far as they were read."""

    at: dict[str, str] = field(default_factory=dict[str, str])
    """When each result was dropped, by its digest."""
    segments: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Names of the segments of the prediction log that were dropped, by line."""

    def see(self, event: Event, metadata: MetadataReader) -> None:
        """Take the next event: what a run has read since is there again."""
        match event:
            case Dropped():
                self.at |= dict.fromkeys(event.results, event.at)
                self.segments.setdefault(event.line, set()).update(event.segments)
            case Finished() if self.at and event.ingested is not None:
                read = metadata.get(event.ingested, Ingested)
                for digest in (read.dataset, read.quarantine or "", read.series or ""):
                    self.at.pop(digest, None)
            case SeriesRead():
                self.at.pop(event.values, None)
            case _:
                pass


def gone(factory: Factory, line: str | None = None) -> Gone:
    """Return what is kept no longer, of a line or of all."""
    found = Gone()
    if factory.metadata.events(Dropped, line=line, limit=1):
        for one in factory.metadata.links(kinds=_KINDS, line=line):
            found.see(decoder(_KINDS[one.kind]).decode(one.body), factory.metadata)
    return found


def forgotten_at(factory: Factory, dataset: str) -> str | None:
    """Return when rows of a dataset were emptied, since somebody was forgotten; `None` where all are there."""
    at = next((one.at for one in factory.metadata.events(Forgotten) if _is_in(one, factory, dataset)), None)
    if at is None or is_whole(factory.metadata.get(dataset, Dataset), factory.artifacts, factory.metadata):
        return None
    return at


def _is_in(event: Forgotten, factory: Factory, dataset: str) -> bool:
    chunks = factory.metadata.get(dataset, Dataset).chunks
    return dataset in event.datasets or any(chunk.content in event.instead for chunk in chunks)


def dropped_at(factory: Factory, dataset: str, events: Iterable[Dropped] | None = None) -> str | None:
    """Return when the rows of a dataset were dropped; `None` where they are there, or were lost otherwise."""
    events = factory.metadata.events(Dropped) if events is None else events
    at = next((one.at for one in events if dataset in one.results), None)
    if at is None or is_whole(factory.metadata.get(dataset, Dataset), factory.artifacts, factory.metadata):
        return None
    return at
