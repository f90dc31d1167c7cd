"""Release in rings: what changes at the sites of a template serves at those of the first ring first, and what it waits for there."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Self, cast

import msgspec

from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Finished
from linewright.line.file.sites import REST
from linewright.line.record.monitoring.alerts import newest_of, open_alerts
from linewright.line.record.registry import is_made_elsewhere, recorded
from linewright.line.release.trial_time import step_end, usual_end
from linewright.line.spec import LineSpec
from linewright.model.facts import Certificate, Package, Trained
from linewright.model.spec import ModelSpec
from linewright.release.facts import Halted, Promoted, Refused, RolledBack, Withdrawn
from linewright.release.halt_file import note_of
from linewright.release.promotion import canary_of
from linewright.store.clock import said

_MAKES_NO_MODEL = {
    "line",
    "about",
    "goal",
    "owner",
    "tags",
    "release",
    "watch",
    "retrain",
    "notify",
    "changes",
    "keep",
}
"""Sections that differ without another model."""
_QUALITY = frozenset({"performance", "calibration"})
"""Monitors that compare answers with labels."""
_Path = tuple[str, ...]
Reason = Literal[
    "no-model", "not-run", "refused", "trial", "taken-back", "rolled-back", "halted", "worse", "time"
]


class RingWait(msgspec.Struct, frozen=True, kw_only=True):
    """What the candidate of a site waits for at a site of a ring before its own."""

    line: str
    """The line of that site."""
    ring: int
    """Which ring that is, from 1."""
    reason: Reason
    """It has no model yet; what serves there is not made by the file as it is; what is, did not pass there, or waits; it is tried there; it was worse there; a person
    went back there; a person halted it; its answers are alerted as worse; it has not served there for long enough."""
    model: str | None = None
    """The model there, as LINE@VERSION."""
    until: str | None = None
    """When it is over at the earliest, UTC; `None` if no time ends it."""
    because: str = ""
    """Of `refused`, `taken-back`, `rolled-back`, `halted` and `worse`, what the record says."""


def ring_wait_in_words(wait: RingWait) -> str:
    """Say what a candidate waits for."""
    until = f" until {said(wait.until)}" if wait.until else ""
    at = f"ring {wait.ring} ({wait.line})"
    because = wait.because.rstrip(".")
    match wait.reason:
        case "no-model":
            return f"it waits for {at}, which serves no model yet: `linewright run {wait.line}`"
        case "not-run":
            return f"it waits for {at}, where {wait.model} is not made by the file as it is: `linewright run {wait.line}`"
        case "refused":
            return f"it waits for {at}, which does not serve {wait.model}: {because}"
        case "trial":
            return f"it waits for {at}, where {wait.model} is tried{until}"
        case "taken-back":
            return f"the release was halted at {at}: {wait.model} was withdrawn there: {because}"
        case "rolled-back":
            return f"the release was halted at {at}: a person went back to {wait.model} there: {because}"
        case "halted":
            return f"it waits for {at}, which is halted: {because}"
        case "worse":
            return f"it waits for {at}, which has an open alert about {wait.model}: {because}"
        case "time":
            return f"it waits for {at}, where {wait.model} serves its time{until}"


def rings_of(factory: Factory, spec: LineSpec) -> list[list[str]]:
    """Return the lines of the rings of a template, in their order; empty if it names no rings."""
    template = spec.line.partition(".")[0]
    named = {f"{template}.{site}" for ring in spec.release.rings or () if ring != REST for site in ring}
    lines = factory.lines_of_file(spec.line)
    return [
        [line for line in lines if line not in named]
        if ring == REST
        else [line for line in lines if line.partition(".")[2] in ring]
        for ring in spec.release.rings or ()
    ]


def ring_wait(factory: Factory, spec: LineSpec, package: str) -> RingWait | None:
    """Return what a candidate waits for in the rings before its own; `None` if nothing keeps it.

    What changes at its site by this candidate must serve at each site of the rings before as the file says it there, and must have served
    there for as long as a trial or `release.bake` takes, without a halt or an open alert about its quality. If the file changed nothing since
    the champion was made, as in a retraining with newer rows, nothing waits.
    """
    if not spec.release.rings:
        return None
    change = _Change.of(factory, spec, package)
    try:
        rings = rings_of(factory, spec)
    except NotFound:  # the line is gone from the file
        return None
    for number, ring in enumerate(rings, 1):
        if spec.line in ring or not change.is_any:
            return None
        for line in ring:
            if (wait := _wait_at(factory, line, number, change)) is not None:
                return wait
    return None


class _Change(NamedTuple):
    """What a candidate is made by that the champion of its line is not."""

    paths: frozenset[_Path]
    """Places in the line file."""
    file: str | None
    """Digest of the file that the line file names, of an imported model or a custom estimator, if its bytes are others."""
    named: tuple[ModelSpec | None, str | None, str | None]
    """How the line file names it."""

    @property
    def is_any(self) -> bool:
        return bool(self.paths) or self.file is not None

    @classmethod
    def of(cls, factory: Factory, spec: LineSpec, package: str) -> Self:
        now, champion = _flat(spec), champion_of(factory, spec.line)
        before = _made_by(factory, spec.line, champion) if champion is not None else {}
        paths = frozenset(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
        file = _file(factory, package)
        is_other = champion is None or file != _file(factory, champion)
        return cls(paths, file if is_other else None, _named(spec))

    def is_in(self, factory: Factory, spec: LineSpec, package: str) -> bool:
        """Return whether a package of another site is made by this change, as far as the file has it there."""
        now, made = _flat(spec), _made_by(factory, spec.line, package)
        if any(now.get(path) != made.get(path) for path in self.paths):
            return False
        return self.file is None or _named(spec) != self.named or _file(factory, package) == self.file


def _named(spec: LineSpec) -> tuple[ModelSpec | None, str | None, str | None]:
    pictures = spec.train.pictures
    return spec.train.model, spec.train.python, pictures and pictures.backbone


def _wait_at(factory: Factory, line: str, ring: int, change: _Change) -> RingWait | None:
    champion, canary = champion_of(factory, line), canary_of(factory.metadata, line)
    model = f"{line}@{factory.metadata.pointer(line).champion}"

    def wait(reason: Reason, **more: str | None) -> RingWait:
        return RingWait(line=line, ring=ring, reason=reason, **cast("Any", more))

    if factory.is_halted(line):
        return wait("halted", because=_why_halted(factory, line))
    if champion is None:
        return wait("no-model")
    spec = factory.line(line)
    if not change.is_in(factory, spec, champion):
        if canary is not None:
            return wait("trial", model=f"{line}@{canary.model}", until=step_end(spec.release, canary))
        taken, refused = newest_of(factory, line, Withdrawn), newest_of(factory, line, Refused)
        if taken is not None and taken.trigger != "newer" and change.is_in(factory, spec, taken.package):
            return wait("taken-back", model=f"{line}@{taken.model}", because=taken.because)
        if refused is not None and change.is_in(factory, spec, refused.package):
            return wait("refused", model=f"{line}@{refused.model}", because=refused.because)
        return wait("not-run", model=model)
    promoted, back = newest_of(factory, line, Promoted), newest_of(factory, line, RolledBack)
    if back is not None and (promoted is None or back.generation > promoted.generation):
        return wait("rolled-back", model=model, because=back.because)
    worse = [one for one in open_alerts(factory, line) if one.monitor in _QUALITY and one.package == champion]
    if worse:
        return wait("worse", model=model, because=worse[-1].because)
    # A trial that it has passed was its time.
    until = usual_end(spec.release, promoted.at) if promoted is not None and promoted.evidence is None else ""
    return wait("time", model=model, until=until) if until > factory.now() else None


def _why_halted(factory: Factory, line: str) -> str:
    halt = (
        newest_of(factory, line, Halted)
        if factory.metadata.pointer(line).halt
        else note_of(factory.serving, line)
    )
    return halt.because if halt is not None else "nobody said why"


def champion_of(factory: Factory, line: str) -> str | None:
    """Return the digest of the champion of a line; `None` if it has none."""
    champion = factory.metadata.pointer(line).champion
    found = (one.digest for one in factory.metadata.versions(line) if one.version == champion)
    return next(found, None)


def _file(factory: Factory, package: str) -> str | None:
    """Return the digest of the file that a model came from, of the code that estimated it, or of the network that read its pictures; else `None`."""
    trained = factory.metadata.get(factory.metadata.get(package, Package).trained, Trained)
    if trained.estimated is not None:
        return trained.estimated.code
    if is_made_elsewhere(factory, package):
        return trained.native
    return trained.pictures.backbone if trained.pictures else None


def _made_by(factory: Factory, line: str, package: str) -> Mapping[_Path, Any]:
    """Return what the line file said in the newest run that ended with a package, by path."""
    metadata = factory.metadata
    for ended in metadata.events(Finished, line=line, newest_first=True):
        if ended.certificate and metadata.get(ended.certificate, Certificate).package == package:
            return _flat(spec_of_run(factory, line, ended.run))
    return {}


def spec_of_run(factory: Factory, line: str, run: str) -> LineSpec:
    """Return what the line file said when a run was accepted."""
    events = factory.metadata.events(Accepted, line=line, newest_first=True)
    accepted = recorded((one for one in events if one.run == run), f"acceptance of {run}", line)
    return LineSpec.model_validate(factory.metadata.get(accepted.declared, Declared).spec)


def makes_the_same(one: LineSpec, other: LineSpec) -> bool:
    """Return whether two line files say the same about how a model is made."""
    return _flat(one) == _flat(other)


def _flat(spec: LineSpec) -> Mapping[_Path, Any]:
    """Return what a line file says about how a model is made, by path."""
    return dict(_leaves((), spec.model_dump(mode="json", exclude_defaults=True, exclude=_MAKES_NO_MODEL)))


def _leaves(path: _Path, said: Any) -> Iterator[tuple[_Path, Any]]:
    if isinstance(said, dict):
        for word, value in cast("dict[str, Any]", said).items():
            yield from _leaves((*path, word), value)
    else:
        yield path, said
