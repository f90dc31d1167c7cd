"""Operations that say how lines, runs and models stand."""

from typing import Annotated

import msgspec

from linewright.errors import NotFound
from linewright.line.alerts import open_alerts, open_proposal
from linewright.line.example import curl
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.registry import Judged, judged
from linewright.model.facts import Evaluation, Metric
from linewright.model.figures import count
from linewright.operations.declare import operation
from linewright.operations.words import short
from linewright.release.facts import Halted, Promoted, RolledBack
from linewright.serve.server import endpoint
from linewright.store.seams import Version


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one line stands."""

    line: str
    champion: str | None
    digest: str | None
    endpoint: str | None
    """URL at which its predictions are asked for; `None` while nothing serves."""
    since: str | None
    because: str | None
    challenger: str | None
    """The newest candidate that was neither promoted nor rejected."""
    halted: bool
    halted_by: str | None
    halted_because: str | None
    predictions: int
    labels: int
    alerts: int
    proposals: int
    log_damage: tuple[str, ...] = ()
    """Places of the prediction log that hold no record."""
    example: str | None = None
    """Command that asks the endpoint for a prediction; where one line was asked for and something serves."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the factory stands."""

    factory: str
    endpoint: str | None
    lines: tuple[LineStatus, ...]

    def to_text(self) -> str:
        """Say, line by line, what serves."""
        up = f"endpoint {self.endpoint}" if self.endpoint else "nothing serves: `linewright up`"
        return "\n".join([f"factory {self.factory}, {up}", *(_status_text(line) for line in self.lines)])


def _status_text(line: LineStatus) -> str:
    told, halted = list[str](), " HALTED" if line.halted else ""
    if line.halted:
        told.append(
            f"  halted by {line.halted_by}: {line.halted_because}; linewright halt {line.line} --off frees it"
        )
    if line.challenger:
        told.append(f"  challenger {line.challenger}; why it waits: linewright card {line.challenger}")
    if line.champion is None:
        return "\n".join([f"{line.line}:{halted} no champion yet. Next: linewright run {line.line}", *told])
    return "\n".join(
        [
            f"{line.line}: {line.champion} ({short(line.digest or '')}){halted}, since {(line.since or '')[:19]}Z",
            f"  because {line.because}",
            *told,
            f"  {count(line.predictions, 'prediction')}, {count(line.labels, 'label')}, "
            f"{count(line.alerts, 'open alert')}" + (", a training is proposed" if line.proposals else ""),
            *_damage_text(line.log_damage),
            *([f"  try: {line.example}"] if line.example else []),
        ]
    )


def _damage_text(places: tuple[str, ...]) -> list[str]:
    if not places:
        return []
    return [f"  the prediction log holds no record in {count(len(places), 'place')}, first {places[0]}"]


@operation(writes=False)
def status(factory: Factory, line: str | None = None, /) -> Status:
    """Show what serves, since when, and what waits.

    Parameters
    ----------
    line
        Name of one line (default: all).
    """
    names = sorted({*factory.names(), *factory.metadata.lines()})
    if line is not None:
        if line not in names:
            raise NotFound("there is no such line", found=line, allowed=", ".join(names) or "(none yet)")
        names = [line]
    address = endpoint(factory.state)
    url = f"http://{address}" if address else None
    return Status(
        factory=str(factory.root),
        endpoint=url,
        lines=tuple(_line_status(factory, name, url, with_example=line is not None) for name in names),
    )


def _line_status(factory: Factory, name: str, url: str | None, *, with_example: bool) -> LineStatus:
    metadata = factory.metadata
    pointer = metadata.pointer(name)
    digests = {one.version: one.digest for one in metadata.versions(name)}
    moves: list[Promoted | RolledBack] = [
        *metadata.events(Promoted, line=name, newest_first=True, limit=1),
        *metadata.events(RolledBack, line=name, newest_first=True, limit=1),
    ]
    last = max(moves, key=lambda event: event.generation, default=None)
    halts = metadata.events(Halted, line=name, newest_first=True, limit=1) if pointer.halt else []
    feedback = factory.labels_of(name)
    damage, (predictions, labels) = feedback.catch_up(), feedback.counts()
    return LineStatus(
        line=name,
        champion=_named(name, pointer.champion),
        digest=None if pointer.champion is None else digests[pointer.champion],
        endpoint=f"{url}/v1/lines/{name}/predict" if url and pointer.champion is not None else None,
        since=last.at if last else None,
        because=last.because if last else None,
        challenger=_named(name, pointer.challenger),
        halted=pointer.halt,
        halted_by=halts[0].by if halts else None,
        halted_because=halts[0].because if halts else None,
        predictions=predictions,
        labels=labels,
        alerts=len(open_alerts(factory, name)),
        proposals=int(open_proposal(factory, name) is not None),
        log_damage=tuple(f"{each.segment} at byte {each.offset}: {each.why}" for each in damage),
        example=curl(factory, name, url) if url and with_example else None,
    )


def _named(line: str, version: int | None) -> str | None:
    return None if version is None else f"{line}@{version}"


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a list."""

    run: str
    line: str
    at: str
    by: str
    state: str
    """``done``, ``failed`` or ``unfinished``."""
    promoted: bool
    because: str


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, newest first."""

    runs: tuple[RunLine, ...]


@operation(writes=False)
def runs(
    factory: Factory, line: str | None = None, /, *, limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
) -> Runs:
    """List runs, newest first.

    Parameters
    ----------
    line
        Name of one line (default: all).
    limit
        Most runs to list.
    """
    ended = {one.run: one for one in factory.metadata.events(Finished, line=line)}
    accepted = factory.metadata.events(Accepted, line=line, newest_first=True, limit=limit)
    return Runs(runs=tuple(_run_line(one, ended.get(one.run)) for one in accepted))


def _run_line(accepted: Accepted, ended: Finished | None) -> RunLine:
    return RunLine(
        run=accepted.run,
        line=accepted.line,
        at=accepted.at,
        by=accepted.by,
        state=ended.outcome if ended else "unfinished",
        promoted=ended is not None and ended.promoted,
        because=ended.because if ended and ended.outcome == "failed" else accepted.because,
    )


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One model in a list."""

    version: int
    digest: str
    role: str
    """``champion``, ``challenger`` or empty."""
    verdict: str
    """What the newest certificate says, or ``hold`` where the run held the model back in spite of it."""
    metric: Metric | None
    at: str
    certificate: str | None = None
    """Evidence id of the newest certificate."""
    promoted_on: str | None = None
    """Evidence id of the certificate that it was promoted on."""


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """The models of a line, newest first."""

    line: str
    models: tuple[ModelLine, ...]


@operation(writes=False)
def models(factory: Factory, line: str, /) -> Models:
    """List the models of a line.

    Parameters
    ----------
    line
        Name of the line.
    """
    versions = list(reversed(factory.metadata.versions(line)))
    if not versions:
        factory.path_of(line)  # an unknown line is an error; a line without models is an empty list
    pointer, found = factory.metadata.pointer(line), judged(factory, line)
    roles = {pointer.challenger: "challenger", pointer.champion: "champion"}
    return Models(
        line=line,
        models=tuple(
            _model_line(factory, version, roles.get(version.version, ""), found.get(version.digest))
            for version in versions
        ),
    )


def _model_line(factory: Factory, version: Version, role: str, found: Judged | None) -> ModelLine:
    evaluation = factory.metadata.get(found.certificate.evaluation, Evaluation) if found else None
    return ModelLine(
        version=version.version,
        digest=version.digest,
        role=role,
        verdict=found.verdict if found else "",
        metric=evaluation.metrics[0] if evaluation else None,
        at=version.at,
        certificate=found.digest if found else None,
        promoted_on=found.promoted_on if found else None,
    )
