"""A factory in which a model has not been computed yet.

Steps work as ever, nothing is kept, and nothing that the model gave before is found. A rebuild that read its own results would prove nothing. So what was settled by key is not found here, nor is any result or blob
that the rebuild is to be compared with; what is computed stays in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from linewright.engine.context import Context, Progress
from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.sealed_segments import SealedLog
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.artifacts.memory import MemoryArtifacts
from linewright.store.files.fit_files import LocalFits
from linewright.store.files.names import line_path
from linewright.store.metadata.sql import SqlMetadata
from linewright.store.protocols import Artifacts, MetadataReader, Pointer, Version
from linewright.store.values import Event, Result, canonical_json, decode, digest_of_bytes

R = TypeVar("R", bound=Result)
E = TypeVar("E", bound=Event)
CHUNKS = "chunk:"
"""Keys of links from the content of rows to their bytes: what a dataset is, not what a step computed."""


class Afresh(Factory):
    """A factory as it was before a model was computed."""

    def __init__(
        self,
        factory: Factory,
        *,
        hidden: frozenset[str],
        workers: int,
        scratch: Path,
        report: Callable[[Progress], None],
    ) -> None:
        super().__init__(factory.root, report=report, actor=factory.actor, now=factory.now)
        self._factory, self._hidden, self._workers, self._scratch = factory, hidden, workers, scratch

    @cached_property
    def metadata(self) -> SqlMetadata:
        """The record without what is hidden; what is kept here is kept in memory."""
        return cast("SqlMetadata", Unsettled(self._factory.metadata, self._hidden))

    @cached_property
    def artifacts(self) -> LocalArtifacts:
        """The bytes without those that are hidden; what is put here is kept in memory."""
        return cast("LocalArtifacts", Unput(self._factory.artifacts, self._hidden))

    def sealed_of(self, line: str) -> SealedLog:
        """Return the sealed segments of the log, which no step computed."""
        return self._factory.sealed_of(line)

    @property
    def scratch(self) -> Path:
        """A folder of its own."""
        return self._scratch

    def fits_of(self, line: str) -> LocalFits:
        """Return what was finished in the folder of its own: nothing that another training did is found."""
        return LocalFits(line_path(self._scratch / "fits", line))

    def features_of(self, way: str) -> LocalFits:
        """Return the numbers of pictures that this rebuild has computed."""
        return LocalFits(self._scratch / "features" / way.removeprefix("sha256:"))

    @property
    def context(self) -> Context:
        """What a step may touch."""
        whole = super().context
        return Context(
            now=whole.now,
            seed=whole.seed,
            new_id=whole.new_id,
            actor=whole.actor,
            metadata=whole.metadata,
            artifacts=whole.artifacts,
            report=whole.report,
            workers=self._workers,
        )

    def close(self) -> None:
        """Close nothing: the factory that is read stays open."""


class Unput:
    """`Artifacts` that reads another without some blobs, and keeps in memory."""

    def __init__(self, below: Artifacts, hidden: frozenset[str]) -> None:
        self._below, self._hidden, self._own = below, hidden, MemoryArtifacts()

    def put(self, data: bytes) -> str:
        """Keep `data` in memory and return its digest."""
        return self._own.put(data)

    def get(self, digest: str) -> bytes:
        """Return the bytes with that digest, verified; raise `NotFound` for hidden ones that were not put here."""
        if self._own.has(digest):
            return self._own.get(digest)
        if digest in self._hidden:
            raise NotFound("not computed yet", where=digest)
        return self._below.get(digest)

    def has(self, digest: str) -> bool:
        """Return whether `get` would find it."""
        return self._own.has(digest) or (digest not in self._hidden and self._below.has(digest))

    def digests(self) -> Iterator[str]:
        """All digests, in ascending order."""
        below = (one for one in self._below.digests() if one not in self._hidden)
        return iter(sorted({*below, *self._own.digests()}))


class Unsettled:
    """`Metadata` that reads another without what steps settled and without some results, and keeps in memory.

    Nothing can happen in it: there are no events to append, and no pointer to move.
    """

    def __init__(self, below: MetadataReader, hidden: frozenset[str]) -> None:
        self._below, self._hidden = below, hidden
        self._bodies: dict[str, bytes] = {}
        self._settled: dict[str, str] = {}
        self.find, self.last_inputs, self.history = below.find, below.last_inputs, below.history
        self.lines = below.lines

    def get(self, digest: str, kind: type[R]) -> R:
        """Return the result with that digest; raise `NotFound` for hidden ones that were not kept here."""
        return decode(kind, self.body(digest), digest=digest)

    def body(self, digest: str) -> bytes:
        """Return the canonical JSON of a result, verified."""
        if digest in self._bodies:
            return self._bodies[digest]
        if digest in self._hidden:
            raise NotFound("not computed yet", where=digest)
        return self._below.body(digest)

    def settled(self, key: str) -> str | None:
        """Return what was settled here; of what is settled below only where the rows of datasets lie."""
        if key in self._settled or not key.startswith(CHUNKS):
            return self._settled.get(key)
        return self._below.settled(key)

    def events(
        self, kind: type[E], *, line: str | None = None, newest_first: bool = False, limit: int = 0
    ) -> list[E]:
        """Return what has happened."""
        return self._below.events(kind, line=line, newest_first=newest_first, limit=limit)

    def pointer(self, line: str) -> Pointer:
        """Return which models serve."""
        return self._below.pointer(line)

    def versions(self, line: str) -> list[Version]:
        """Return the registered models of a line, oldest first."""
        return self._below.versions(line)

    def keep(self, result: Result) -> str:
        """Keep `result` in memory and return its digest."""
        body = canonical_json(result)
        digest = digest_of_bytes(body)
        self._bodies[digest] = body
        return digest

    def settle(
        self,
        key: str,
        *,
        line: str,  # noqa: ARG002 -- the seam's
        step: str,  # noqa: ARG002
        inputs: Mapping[str, str],  # noqa: ARG002
        digest: str,
    ) -> None:
        """Note in memory what a step computed."""
        self.link({key: digest})

    def link(self, digests: Mapping[str, str]) -> None:
        """Note in memory the digest that each key stands for."""
        self._settled.update(digests)

    def record(self, event: Event) -> None:
        """Refuse: nothing happens here."""
        raise RequestError("nothing may happen in a rebuild", found=type(event).__name__)

    def close(self) -> None:
        """Close nothing."""
