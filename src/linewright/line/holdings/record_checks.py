"""Whether the record keeps its invariants: what happened, read once from its first event to its last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Dropped, Finished, Forgotten
from linewright.line.problem import Problem
from linewright.line.retention.dropped import Gone
from linewright.model.facts import Certificate, Registered
from linewright.release.facts import Deployed, Halted, Promoted, Refused, RolledBack, Withdrawn
from linewright.serve.facts import ChangesEnd, Checkpointed
from linewright.store.metadata.audit_chain import Link
from linewright.store.protocols import Pointer, Version
from linewright.store.values import Event, decoder

_BACKUP = "restore a backup that was made before: linewright restore FILE --factory NEW-FOLDER"
_KINDS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        *(Accepted, Finished, Registered, Promoted, Refused, RolledBack, Halted, Deployed, Withdrawn),
        *(Checkpointed, Dropped, Forgotten),
    )
}


@dataclass
class _Told:
    """What the events of one line add up to, as far as they were read."""

    generation: int = 0
    champions: list[int] = field(default_factory=list[int])
    halt: bool = False
    accepted: dict[str, str] = field(default_factory=dict[str, str])
    """Digest of the line file, by run."""
    finished: set[str] = field(default_factory=set[str])
    promoted: set[str] = field(default_factory=set[str])
    """Runs that promoted."""
    segments: dict[str, dict[int, str]] = field(default_factory=dict[str, dict[int, str]])
    """Digests of the log's segments at its checkpoints, by name and position."""
    labels: dict[int, str] = field(default_factory=dict[int, str])
    """Digests of the labels, by how many changes of them there were."""
    fixed_before: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Digests of the line files that had been accepted when a package was registered."""

    def note(self, event: Checkpointed) -> None:
        """Note the digests of a checkpoint."""
        for name, prefix in event.segments.items():
            self.segments.setdefault(name, {})[prefix.bytes] = prefix.digest
        if event.changes:
            self.labels[event.changes] = event.labels

    def drop(self, event: Dropped) -> Iterator[str]:
        """Take out what is kept no longer; the digests of labels of before say nothing of those that are left."""
        for name in event.segments:
            self.segments.pop(name, None)
        yield from self._without(event)

    def forget(self, event: Forgotten) -> Iterator[str]:
        """Take what is left for what there is: segments and labels of before are no more."""
        for name, prefix in event.segments.items():
            self.segments[name] = {prefix.bytes: prefix.digest}
        yield from self._without(event)

    def _without(self, event: Dropped | Forgotten) -> Iterator[str]:
        if event.labels_before is None or event.labels_after is None:
            return
        known = self.labels.get(event.labels_before.changes, event.labels_before.digest)
        if known != event.labels_before.digest:
            yield "labels were not what was kept when some of them were removed"
        self.labels = {event.labels_after.changes: event.labels_after.digest}
        self.labels.pop(0, None)


class Record:
    """Reads events in order, and gathers what contradicts the invariants."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._lines: dict[str, _Told] = {}
        self._models: dict[str, dict[int, Version]] = {}
        self.problems: list[Problem] = []
        self.events = 0
        self.gone = Gone()
        """What is kept no longer, as far as events were read."""
        self.ends: dict[str, dict[int, str]] = {}
        """Digests of the files of `chained_files`, by name and number of the last change."""
        self._removed_from: dict[str, ChangesEnd] = {}
        self.forgotten: dict[str, list[Forgotten]] = {}
        """The removals of persons, by line."""
        self.has_head = False
        """Whether a checkpoint says that the head of the record stood in the state."""
        self.instead: set[str] = set()
        """Blobs that are in the place of others, without those who were forgotten."""

    def read(self, links: Iterable[Link]) -> Iterator[Link]:
        """Pass events on, and look at each."""
        for one in links:
            self.events += 1
            kind = _KINDS.get(one.kind)
            if kind is not None:
                self._see(one, kind)
            yield one

    def close(self) -> int:
        """Compare what the events add up to with what the tables say; return how many runs have not ended."""
        for line in self._factory.metadata.lines():
            self._compare(line, self._lines.get(line, _Told()))
        return sum(len(told.accepted.keys() - told.finished) for told in self._lines.values())

    def checkpoints(self) -> dict[str, tuple[Mapping[str, Mapping[int, str]], Mapping[int, str]]]:
        """Return by line the digests that its checkpoints have: of segments by position, and of labels by the number of their changes."""
        told = self._lines.items()
        return {line: (one.segments, one.labels) for line, one in told if one.segments or one.labels}

    def _see(self, one: Link, kind: type[Event]) -> None:
        where = f"event {one.seq} ({one.kind} of {one.line})"
        try:
            event = decoder(kind).decode(one.body)
        except msgspec.MsgspecError as error:
            self._tell(f"it cannot be read: {error}", where)
            return
        told = self._lines.setdefault(one.line, _Told())
        try:
            self.gone.see(event, self._factory.metadata)
        except LinewrightError as error:
            self._tell(f"what it rests on cannot be read: {error.what} ({error.where})", where)
        wrong = self._move(told, event) if isinstance(event, _MOVES) else self._run(told, event)
        for what in wrong:
            self._tell(what, where)

    def _tell(self, what: str, where: str) -> None:
        self.problems.append(Problem(what=what, where=where, next=_BACKUP))

    def _run(self, told: _Told, event: Event) -> Iterator[str]:
        match event:
            case Accepted():
                if event.run in told.accepted:
                    yield f"run {event.run} was accepted twice"
                told.accepted[event.run] = event.declared
            case Finished():
                if event.run not in told.accepted:
                    yield f"run {event.run} ended without having been accepted"
                if event.run in told.finished:
                    yield f"run {event.run} has two final states"
                told.finished.add(event.run)
            case Registered():
                told.fixed_before[event.package] = frozenset(told.accepted.values())
                if self._registered(event.line, event.model) != event.package:
                    yield f"{event.line}@{event.model} is registered as another package"
                yield from self._since_when(event)
            case Checkpointed():
                self._note(told, event)
            case Dropped() | Forgotten():
                yield from self._removed(told, event)
            case _:
                pass

    def _note(self, told: _Told, event: Checkpointed) -> None:
        told.note(event)
        self.has_head = self.has_head or event.has_head
        for name, end in event.ends.items():
            self.ends.setdefault(name, {})[end.changes] = end.digest

    def _removed(self, told: _Told, event: Dropped | Forgotten) -> Iterator[str]:
        if isinstance(event, Dropped):
            yield from told.drop(event)
            return
        self.instead |= {*event.instead.values()}
        self.forgotten.setdefault(event.line, []).append(event)
        yield from told.forget(event)
        for name, shortened in event.shortened.items():
            known = self.ends.get(name, {}).get(shortened.before.changes, shortened.before.digest)
            # One that was killed after its event is done again.
            if known != shortened.before.digest and self._removed_from.get(name) != shortened.before:
                yield f"{name} was not what was kept when some of it was removed"
            self.ends[name] = {shortened.after.changes: shortened.after.digest}
            self._removed_from[name] = shortened.before

    def _move(self, told: _Told, event: Event) -> Iterator[str]:
        told.generation += 1
        generation = getattr(event, "generation", told.generation)
        if generation != told.generation:
            yield f"the chain of generations is broken: found {generation}, expected {told.generation}"
            told.generation = generation
        match event:
            case Promoted():
                yield from self._promotion(told, event)
            case RolledBack():
                if len(told.champions) < 2 or told.champions[-2:] != [event.model, event.before]:
                    yield "it goes back to a model that was not the champion before"
                told.champions = [*told.champions[:-2], event.model]
            case Halted():
                told.halt = event.halt
            case Deployed():
                yield from self._trial(told, event)
            case _:
                pass

    def _trial(self, told: _Told, event: Deployed) -> Iterator[str]:
        if event.champion != (told.champions[-1] if told.champions else None):
            yield f"its candidate was tried beside {event.champion}, which was not the champion"
        if self._registered(event.line, event.model) != event.package:
            yield f"{event.line}@{event.model} is another package than the one that was tried"
        share = {"shadow": 0.0, "blue-green": 1.0}.get(event.rollout)
        if event.share != share if share is not None else not 0 < event.share < 1:
            yield f"as {event.rollout} its candidate answered {event.share:.0%} of the rows"
        yield from self._grounds(event)

    def _promotion(self, told: _Told, event: Promoted) -> Iterator[str]:
        if event.before != (told.champions[-1] if told.champions else None):
            yield f"it follows {event.before}, which was not the champion"
        told.champions.append(event.model)
        if self._registered(event.line, event.model) != event.package:
            yield f"{event.line}@{event.model} is another package than the one that was promoted"
        if event.run is not None and event.run in told.promoted:
            yield f"run {event.run} promoted twice"
        told.promoted |= {event.run} if event.run is not None else set()
        yield from self._grounds(event)
        if event.declared is not None and event.declared not in told.fixed_before.get(event.package, ()):
            yield "the line file that it names was not fixed before the model was registered"

    def _grounds(self, event: Promoted | Deployed) -> Iterator[str]:
        forced = isinstance(event, Promoted) and event.forced
        if forced and not event.because.strip():
            yield "it was forced and does not say why"
        if event.certificate is None:
            if not forced:
                yield "it has no certificate and does not say that it was forced"
            return
        try:
            certificate = self._factory.metadata.get(event.certificate, Certificate)
            if isinstance(event, Promoted) and event.declared is not None:
                self._factory.metadata.get(event.declared, Declared)
        except LinewrightError as error:
            yield f"what it rests on cannot be read: {error.what} ({error.where})"
            return
        if certificate.package != event.package:
            yield "its certificate is for another model"
        if certificate.verdict != "promote" and not forced:
            yield f"its certificate says {certificate.verdict}, and it does not say that it was forced"

    def _registered(self, line: str, model: int) -> str | None:
        version = self._version(line, model)
        return None if version is None else version.digest

    def _since_when(self, event: Registered) -> Iterator[str]:
        version = self._version(event.line, event.model)
        if version is not None and version.at != event.at:
            yield f"{event.line}@{event.model} was registered at {event.at}, and the list of models says {version.at[:40]}"

    def _version(self, line: str, model: int) -> Version | None:
        if model not in self._models.get(line, {}):
            self._models[line] = {one.version: one for one in self._factory.metadata.versions(line)}
        return self._models[line].get(model)

    def _compare(self, line: str, told: _Told) -> None:
        now: Any = self._factory.metadata.pointer(line)
        champion = told.champions[-1] if told.champions else None
        expected = Pointer(
            generation=told.generation, champion=champion, challenger=now.challenger, halt=told.halt
        )
        # Events that came while the record was read are a later generation.
        if now != expected and now.generation <= told.generation:
            self._tell(
                f"the pointer says champion {now.champion}, generation {now.generation}, and the events say "
                f"champion {champion}, generation {told.generation}",
                f"line {line}",
            )


_MOVES = (Promoted, RolledBack, Halted, Refused, Deployed, Withdrawn)
"""Events of which each moves the pointer of a line by one generation."""
