"""The two seams of the store: metadata (what was computed, what happened) and artifacts (bytes by digest)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from linewright.store.values import Event, Result

R = TypeVar("R", bound=Result)
E = TypeVar("E", bound=Event)


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """Which models of a line serve. One row a line; it moves only by compare-and-set on `generation`."""

    generation: int = 0
    """How often it was written: by promotions, rollbacks and halts, and by candidates that were refused."""
    champion: int | None = None
    """Version of the model that answers; `None` before the first promotion."""
    challenger: int | None = None
    """Version of the newest candidate that was neither promoted nor rejected."""
    halt: bool = False
    """Whether the endpoint refuses to answer, by a person's wish."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One registered model of a line."""

    line: str
    version: int
    digest: str
    """Digest of the `Package`."""
    at: str


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the order of all events."""

    seq: int
    kind: str
    event: Event


class Tally(NamedTuple):
    """How often something of one kind happened to a line."""

    line: str
    kind: str
    number: int
    at: str
    """When it happened last."""


class Artifacts(Protocol):
    """Bytes by digest. What was put can be got for ever; equal bytes are kept once.

    `put` returns only after the bytes would survive power loss. `get` hashes what it read and raises
    `Corrupt` where the digest differs, `NotFound` where there is nothing.
    """

    def put(self, data: bytes) -> str:
        """Keep `data` durably and return its digest."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes with that digest, verified."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether `get` would find it (its bytes are not verified)."""
        ...

    def digests(self) -> Iterator[str]:
        """All digests, in ascending order."""
        ...


class MetadataReader(Protocol):
    """What was computed and what happened, in order. Nothing returned ever changes."""

    def get(self, digest: str, kind: type[R]) -> R:
        """Return the result with that digest; raise `NotFound`, or `Corrupt` where the bytes changed."""
        ...

    def get_all(self, digests: Iterable[str], kind: type[R]) -> dict[str, R]:
        """Return the results with some digests, as `get` does each: many take a few queries."""
        ...

    def find(self, prefix: str) -> list[tuple[str, str]]:
        """Return (digest, kind) of at most 20 results whose digest starts with `prefix` (with or without "sha256:")."""
        ...

    def body(self, digest: str) -> bytes:
        """Return the canonical JSON of a result, verified."""
        ...

    def settled(self, key: str) -> str | None:
        """Return the digest that the step with this key computed, or `None`."""
        ...

    def last_inputs(self, line: str, step: str) -> Mapping[str, str]:
        """Return the inputs (name to digest or text) of the latest settled step of a line; empty if none."""
        ...

    def events(
        self, kind: type[E], *, line: str | None = None, newest_first: bool = False, limit: int = 0
    ) -> list[E]:
        """Return events of one kind, in order; `limit` 0 means all."""
        ...

    def history(self, *, line: str | None = None, limit: int = 50) -> list[Recorded]:
        """Return events of all known kinds, newest first."""
        ...

    def pointer(self, line: str) -> Pointer:
        """Return which models serve; the default `Pointer` for a line without one."""
        ...

    def versions(self, line: str) -> list[Version]:
        """Return the registered models of a line, oldest first."""
        ...

    def lines(self) -> list[str]:
        """Return the names of lines with a pointer or a version, sorted."""
        ...


class Metadata(MetadataReader, Protocol):
    """The only way to make something have happened. Each method is one durable transaction."""

    def keep(self, result: Result) -> str:
        """Keep `result` and return its digest; keeping it twice is keeping it once."""
        ...

    def settle(self, key: str, *, line: str, step: str, inputs: Mapping[str, str], digest: str) -> None:
        """Note that the step with this key computed `digest`. Twice is once; another digest raises `Conflict`.

        `last_inputs` of the line and step then returns these inputs, also where the key was settled before
        (a line that returns to an older spec).
        """
        ...

    def link(self, digests: Mapping[str, str]) -> None:
        """Note the digest that each key stands for, as `settle` does, for all or none of them."""
        ...

    def record(self, event: Event) -> None:
        """Append `event`."""
        ...

    def register(
        self, line: str, digest: str, *, at: str, event: Callable[[int], Event] | None = None
    ) -> int:
        """Give a package its version (1, 2, …) in a line, and return it; a registered digest keeps its version.

        A new version and the event that `event` makes of it are kept together or not at all.
        """
        ...

    def move(self, line: str, pointer: Pointer, event: Event) -> None:
        """Replace the pointer of a line and append `event`, both or neither.

        Compare-and-set: `pointer.generation` must be exactly the stored generation + 1, else `Conflict`.
        """
        ...
