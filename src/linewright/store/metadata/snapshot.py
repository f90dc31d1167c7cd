"""The record of all lines, read by some queries: for those who ask the same of each of a thousand lines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from linewright.store.metadata.sql import SqlMetadata
from linewright.store.protocols import Pointer, Version
from linewright.store.values import Event, Result, decode

R = TypeVar("R", bound=Result)
E = TypeVar("E", bound=Event)
FEW = 8
"""Newest events of a line that are read for all lines at once; where more are asked for, those of the one line are."""
MANY = 2**31 - 1
"""As a limit: all events of one line, without those of the others, whom nobody may ask about."""
_FEW_LINES = 20
"""Lines whose events are looked up by an index; of more, it takes less to read the events of all lines."""
_REFERS = ("certificate", "performance")
"""Fields of events with the digest of a result: those who ask for one of a line will ask for those of the others."""


class Snapshot:
    """`MetadataReader` that reads what it is asked of one line for all lines, once. Everything else it asks the record for.

    What is written after it was read is not seen: it serves one request, and is then dropped.
    """

    def __init__(self, metadata: SqlMetadata, lines: Sequence[str]) -> None:
        self._metadata, self._lines, self._known = metadata, lines, frozenset(lines)
        self._pointers = metadata.pointers()
        self._versions: dict[str, list[Version]] = defaultdict(list)
        for one in metadata.all_versions():
            self._versions[one.line].append(one)
        self._all: dict[type[Event], dict[str, list[Any]]] = {}
        """Of a kind and a line: all events, oldest first."""
        self._newest: dict[type[Event], dict[str, list[Any]]] = {}
        """The newest `FEW`, or fewer where `_read` says so, newest first."""
        self._read: dict[type[Event], int] = {}
        self._referred: dict[str, None] = {}
        self._bodies: dict[str, bytes] = {}
        self._results: dict[tuple[str, type[Result]], Result] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)

    def pointer(self, line: str) -> Pointer:
        """Return which models serve; the default `Pointer` for a line without one."""
        return self._pointers.get(line) or Pointer()

    def versions(self, line: str) -> list[Version]:
        """Return the registered models of a line, oldest first."""
        return list(self._versions.get(line, ()))

    def events(
        self, kind: type[E], *, line: str | None = None, newest_first: bool = False, limit: int = 0
    ) -> list[E]:
        """Return events of one kind, in order; `limit` 0 means all."""
        found: list[E]
        if line is None or line not in self._known or (kind not in self._all and limit > FEW):
            return self._metadata.events(kind, line=line, newest_first=newest_first, limit=limit)
        if kind not in self._all and limit and newest_first:
            return self._newest_of(kind, limit).get(line, [])[:limit]
        if kind not in self._all:
            few = len(self._lines) <= _FEW_LINES
            read = self._metadata.events_of(kind, self._lines) if few else self._metadata.events(kind)
            self._all[kind] = self._by_line(read)
        found = self._all[kind].get(line, [])
        found = found[::-1] if newest_first else list(found)
        return found[:limit] if limit else found

    def get(self, digest: str, kind: type[R]) -> R:
        """Return the result with that digest; raise `NotFound`, or `Corrupt` where the bytes changed."""
        known = self._results.get((digest, kind))
        if known is None:
            if digest in self._referred:
                self._bodies |= self._metadata.bodies([*self._referred])
                self._referred.clear()
            body = self._bodies.get(digest)
            found = self._metadata.get(digest, kind) if body is None else decode(kind, body, digest=digest)
            self._results[digest, kind] = known = found
        return known  # type: ignore[return-value] -- kept under its kind

    def get_all(self, digests: Iterable[str], kind: type[R]) -> dict[str, R]:
        """Return the results with some digests, as `get` does each."""
        return {digest: self.get(digest, kind) for digest in digests}

    def _newest_of(self, kind: type[E], limit: int) -> dict[str, list[E]]:
        if self._read.get(kind, 0) < limit:
            self._read[kind] = 1 if limit == 1 else FEW
            found = self._metadata.newest(kind, self._lines, most=self._read[kind])
            self._newest[kind] = self._by_line(found)
        return self._newest[kind]

    def _by_line(self, events: Iterable[E]) -> dict[str, list[E]]:
        found: dict[str, list[E]] = defaultdict(list)
        for one in events:
            found[one.line].append(one)
            for field in _REFERS:
                if (digest := getattr(one, field, None)) is not None and digest not in self._bodies:
                    self._referred[digest] = None
        return found
