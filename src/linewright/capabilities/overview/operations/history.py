"""Operations that list runs, models and predictions."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import convert

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, Forgotten, Rebuilt
from linewright.line.personal import because_of
from linewright.line.predict.find_answers import Order, find_answers, wanted_of
from linewright.line.proposals.record import PromotionStanding, promotions_of
from linewright.line.record.comments import words_of
from linewright.line.record.costs import declared_costs, durations_of
from linewright.line.record.registry import Judged, challenger_of, judged, rebuilt_of
from linewright.model.facts import Evaluation, Metric
from linewright.operations.declare import operation
from linewright.people.facts import Applied, ChangeProposed, Commented, LineMade, PromotionChange, Voted
from linewright.people.spec import CostsSpec
from linewright.release.facts import Deployed, Halted, Promoted, Refused, RolledBack, Withdrawn
from linewright.serve.facts import LoggedAnswer, Prediction, Truth
from linewright.serve.log.ids import is_id
from linewright.store.metadata.snapshot import FEW
from linewright.store.protocols import Version
from linewright.store.values import Event, decoder
from linewright.watch.facts import Alerted, Cleared


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a list."""

    run: str
    line: str
    at: str
    by: str
    state: str
    """``done``, ``failed``, ``cancelled`` or ``unfinished``."""
    promoted: bool
    """Whether this run promoted its candidate; one whose candidate was the champion already did not."""
    because: str
    started: str = ""
    """When it was accepted, as `at`; it may have waited for its turn."""
    ended: str | None = None
    """`None` while it has not."""
    wall_s: float | None = None
    """Seconds in which processes were at work on it; `None`, as the next two, where it has not ended or was not measured."""
    cpu_s: float | None = None
    """Seconds of processor time of all attempts, with all that they started."""
    peak_bytes: int | None = None
    """The most resident memory at one time."""
    cost: float | None = None
    """What it cost, in the currency; `None` where ``factory.yaml`` names no costs."""
    currency: str | None = None


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, newest first."""

    runs: tuple[RunLine, ...]


@operation(permission="view", effect="read")
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
    return Runs(runs=tuple(newest_runs(factory, line, limit)))


How = Literal[
    "automatic",
    "after-trial",
    "by-hand",
    "approved",
    "forced",
    "hold",
    "reject",
    "need-more-data",
    "halted",
    "freed",
    "approve",
    "decline",
    "withdraw",
]
"""Of a promotion or a trial: by the rule of the line file in a run, or at the end of its trial; by a person; by an approved proposal; in
spite of the gates. Of a candidate that was not promoted: what was decided. Of a halt: which way. Of a vote: which."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: str
    kind: str
    """``promoted``, ``refused``, ``rolled_back``, ``halted``, ``alerted`` and the like: the kind of the event in the record."""
    by: str
    because: str
    model: str | None = None
    """As LINE@VERSION, if it is about one."""
    evidence: str | None = None
    """Digest or id of what it rests on, for `why` and `show`; of a comment, what it is about."""
    before: str | None = None
    """The champion before, as LINE@VERSION, if another took its place."""
    how: How | None = None
    """What the kind leaves open; `None` if nothing."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a line, newest first."""

    line: str
    entries: tuple[HistoryEntry, ...]


_DECISIONS: tuple[type[Event], ...] = (
    *(Promoted, Refused, RolledBack, Halted, Deployed, Withdrawn),
    *(Alerted, Cleared, Rebuilt, Forgotten, ChangeProposed, Voted, Applied, LineMade, Commented),
)
_EVIDENCE = ("certificate", "evidence", "proposal", "id", "alert", "file")
"""Fields that name what an event rests on, the best first."""
_ABOUT: Mapping[type[Event], tuple[str, ...]] = {Commented: ("about",), Alerted: ("id",), Cleared: ("alert",)}
"""The same of events whose subject has a page."""


@operation(permission="view", effect="read")
def history(
    factory: Factory,
    line: str,
    /,
    *,
    about: Annotated[int, msgspec.Meta(ge=1)] | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50,
) -> History:
    """List what was decided about a line, who did it and why, newest first.

    Parameters
    ----------
    line
        Name of the line.
    about
        Only what is about this version of the model, or took its place (default: all).
    limit
        Most entries to list.
    """
    factory.require(line)
    found = [
        event
        for kind in _DECISIONS
        for event in factory.metadata.events(
            kind, line=line, newest_first=True, limit=limit if about is None else 0
        )
    ]
    found.sort(key=lambda event: event.at, reverse=True)
    models = _models_proposed(factory, line)
    entries = (_entry_of(factory, event, models) for event in found)
    wanted = (one for one in entries if about is None or f"{line}@{about}" in {one.model, one.before})
    return History(line=line, entries=tuple(islice(wanted, limit)))


def _models_proposed(factory: Factory, line: str) -> Mapping[str, int]:
    """Return the version that each proposal to promote one is about, by its id."""
    proposed = factory.metadata.events(ChangeProposed, line=line)
    return {
        one.id: factory.metadata.get(one.change, PromotionChange).model
        for one in proposed
        if one.change_kind == "promotion"
    }


def _entry_of(factory: Factory, event: Event, models: Mapping[str, int]) -> HistoryEntry:
    proposed = getattr(event, "id" if isinstance(event, ChangeProposed) else "proposal", None)
    model, before = getattr(event, "model", models.get(proposed or "")), getattr(event, "before", None)
    named = _ABOUT.get(type(event), _EVIDENCE)
    return HistoryEntry(
        at=event.at,
        kind=str(event.__struct_config__.tag),
        by=event.by,
        because=words_of(factory, event).text if isinstance(event, Commented) else event.because,
        model=None if model is None else f"{event.line}@{model}",
        evidence=next((found for name in named if (found := getattr(event, name, None))), None),
        before=None if before is None else f"{event.line}@{before}",
        how=_how(event),
    )


def _how(event: Event) -> How | None:
    match event:
        case Promoted(forced=True):
            return "forced"
        case Promoted() | Deployed() if event.proposal is not None:
            return "approved"
        case Promoted(run=None):
            return "by-hand"
        case Promoted(evidence=None):
            return "automatic"
        case Promoted():
            return "after-trial"
        case Refused():
            return convert(event.verdict, How)
        case Halted():
            return "halted" if event.halt else "freed"
        case Voted():
            return event.vote
        case _:
            return None


def newest_runs(factory: Factory, line: str | None, limit: int) -> list[RunLine]:
    """Return the runs of a line, or of all lines, that were accepted last, newest first; of the record nothing older is read."""
    equal = {"kind": _name(Accepted)} | ({} if line is None else {"line": line})
    found = factory.metadata.latest_links(before=None, limit=limit, equal=equal, since="", until="")
    if not found:
        return []
    # A run ends, and promotes, after it was accepted.
    ended, promoted = dict[str, Finished](), set[str | None]()
    for one in factory.metadata.links(
        after=found[-1].seq, kinds=(_name(Finished), _name(Promoted)), line=line
    ):
        if one.kind == _name(Finished):
            finished = decoder(Finished).decode(one.body)
            ended[finished.run] = finished
        else:
            promoted.add(decoder(Promoted).decode(one.body).run)
    prices = declared_costs(factory)
    accepted = [decoder(Accepted).decode(one.body) for one in found]
    return [
        _run_line(factory, one, ended.get(one.run), prices, promoted=one.run in promoted) for one in accepted
    ]


def last_runs(factory: Factory, line: str) -> list[RunLine]:
    """Return the few runs of a line that were accepted last, newest first: of a factory `at_once` they are read for all lines at once."""
    metadata, prices = factory.metadata, declared_costs(factory)
    ended = {one.run: one for one in metadata.events(Finished, line=line)}
    promoted = {one.run for one in metadata.events(Promoted, line=line)}
    newest = metadata.events(Accepted, line=line, newest_first=True, limit=FEW)
    return [
        _run_line(factory, one, ended.get(one.run), prices, promoted=one.run in promoted) for one in newest
    ]


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


def _run_line(
    factory: Factory, accepted: Accepted, ended: Finished | None, prices: CostsSpec | None, *, promoted: bool
) -> RunLine:
    return RunLine(
        run=accepted.run,
        line=accepted.line,
        at=accepted.at,
        by=accepted.by,
        state=ended.outcome if ended else "unfinished",
        promoted=promoted,
        because=because_of(factory, ended) if ended and ended.outcome != "done" else accepted.because,
        **msgspec.structs.asdict(durations_of(accepted, ended, prices)),
    )


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One model in a list."""

    version: int
    digest: str
    role: str
    """``champion``, ``challenger`` or empty."""
    verdict: str
    """What the newest certificate says, or ``hold`` where the run held the model back in spite of it; with the words
    ``by earlier gates`` where the gates were changed since and asked about another model."""
    metric: Metric | None
    """Of all models the one that the latest was judged by, where it was measured."""
    at: str
    certificate: str | None = None
    """Evidence id of the newest certificate."""
    promoted_on: str | None = None
    """Evidence id of the certificate that it was promoted on."""
    rebuilt: str = ""
    """What its newest rebuild reached: ``R0``, ``R1``, ``R2`` or ``differs``; empty where it was never rebuilt."""
    certified: str = ""
    """What the newest certificate itself says."""
    proposed: PromotionStanding | None = None
    """How the newest proposal to promote it stands; `None` if there was none."""


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """The models of a line, newest first."""

    line: str
    models: tuple[ModelLine, ...]


@operation(permission="view", effect="read")
def models(factory: Factory, line: str, /) -> Models:
    """List the models of a line.

    Parameters
    ----------
    line
        Name of the line.
    """
    factory = factory.at_once([line])  # many runs end with one certificate, which is then read once
    versions = list(reversed(factory.metadata.versions(line)))
    if not versions:
        factory.path_of(line)  # an unknown line is an error; a line without models is an empty list
    pointer, found = factory.metadata.pointer(line), judged(factory, line)
    proposed = promotions_of(factory, line)
    evaluations = {one: _evaluation_of(factory, said) for one, said in found.items()}
    latest = next(reversed(evaluations.values())).metrics[0].name if evaluations else ""
    roles = {challenger_of(factory, line): "challenger", pointer.champion: "champion"}
    return Models(
        line=line,
        models=tuple(
            _model_line(
                factory,
                version,
                roles.get(version.version, ""),
                found.get(version.digest),
                _by_name(evaluations.get(version.digest), latest),
                proposed.get(version.digest),
            )
            for version in versions
        ),
    )


def _evaluation_of(factory: Factory, found: Judged) -> Evaluation:
    return factory.metadata.get(found.certificate.evaluation, Evaluation)


def _by_name(evaluation: Evaluation | None, name: str) -> Metric | None:
    """Return a model's metric of that name, so that models judged by different ones can be compared; else its own first one."""
    if evaluation is None:
        return None
    return next((one for one in evaluation.metrics if one.name == name), evaluation.metrics[0])


def _model_line(  # noqa: PLR0917 -- one place for each of its parts
    factory: Factory,
    version: Version,
    role: str,
    found: Judged | None,
    metric: Metric | None,
    proposed: PromotionStanding | None,
) -> ModelLine:
    rebuilt = rebuilt_of(factory.metadata, version)
    return ModelLine(
        version=version.version,
        digest=version.digest,
        role=role,
        verdict=_verdict(found) if found else "",
        metric=metric,
        at=version.at,
        certificate=found.digest if found else None,
        promoted_on=found.promoted_on if found else None,
        rebuilt=rebuilt.level if rebuilt else "",
        certified=found.certificate.verdict if found else "",
        proposed=proposed,
    )


def _verdict(found: Judged) -> str:
    return f"{found.verdict} by earlier gates" if found.is_outdated else found.verdict


MOST_PREDICTIONS = 10_000
"""Answers of one list, at most."""


class PredictionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One logged answer in a list."""

    id: str
    at: str
    """When the row was received."""
    key: str | None
    model: str
    """As LINE@VERSION."""
    arm: str
    """``champion``, ``canary`` or ``shadow``."""
    via: str
    """``endpoint``, ``batch`` or ``replay``."""
    answer: dict[str, Any]
    label: Truth | None
    """What turned out to be true; `None` where that is not known."""


class PredictionLines(msgspec.Struct, frozen=True, kw_only=True):
    """Logged answers of a line."""

    line: str
    predictions: tuple[PredictionLine, ...]
    """In the order of `order`."""
    next: str | None
    """What `before` is for those that follow; `None` if there are none."""
    found: int | None = None
    """How many there are among those that were looked at; `None` if nothing was looked for."""
    looked_at: int = 0
    back_to: str | None = None
    """When the oldest answer that was looked at was given."""
    is_whole: bool = True
    """Whether all answers of the days that are wanted were looked at; those before `back_to` were not."""


@operation(permission="view-rows", effect="read")
def predictions(
    factory: Factory,
    line: str,
    /,
    *,
    key: str | None = None,
    by: Annotated[int, msgspec.Meta(ge=1)] | None = None,
    answer: str | None = None,
    between: str | None = None,
    probability: str | None = None,
    order: Order = "newest",
    before: str | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_PREDICTIONS)] = 50,
) -> PredictionLines:
    """List the answers that a line gave last, with what turned out to be true.

    What is looked for is looked for among the last 100,000 answers of the days that are wanted, of a key among its last 5,000.

    Parameters
    ----------
    line
        Name of the line.
    key
        Only answers about this key, or the one that has this id.
    by
        Only answers of this version of the model.
    answer
        Only this answer, such as a class.
    between
        Only answers of these days, UTC: ``FROM/TO``, of which one may be missing, such as ``2026-01-01/2026-01-31``.
    probability
        Only answers this probable: ``LEAST/MOST``, of which one may be missing, such as ``0.8/``. It is that of the class which a
        binary model looks for, else of the predicted one.
    order
        ``newest`` or ``probable``: what stands first.
    before
        Only what follows the answer with this id: `next` of the page before.
    limit
        Most answers to list.
    """
    factory.path_of(line)
    feedback = factory.labels_of(line)
    if key is not None and is_id(key) and (found := feedback.find(key)) is not None:
        return PredictionLines(line=line, predictions=(_prediction_line(*found),), next=None)
    wanted = wanted_of(key=key, model=by, answer=answer, between=between, probability=probability)
    if order == "newest" and wanted._replace(key=None).is_any:
        latest = feedback.latest(limit + 1, before=before, key=key)
        shown = tuple(_prediction_line(*one) for one in latest[:limit])
        return PredictionLines(
            line=line, predictions=shown, next=shown[-1].id if len(latest) > limit else None
        )
    page = find_answers(feedback, wanted, before=before, limit=limit, order=order)
    labels = feedback.labels_of(page.answers)
    return PredictionLines(
        line=line,
        predictions=tuple(_prediction_line(*one) for one in zip(page.answers, labels, strict=True)),
        next=page.answers[-1].id if page.goes_on else None,
        found=page.found,
        looked_at=page.looked_at,
        back_to=page.back_to,
        is_whole=page.is_whole,
    )


def _prediction_line(record: Prediction | LoggedAnswer, label: Truth | None) -> PredictionLine:
    return PredictionLine(
        id=record.id,
        at=record.at,
        key=record.key,
        model=f"{record.line}@{record.model}",
        arm=record.arm,
        via=record.via,
        answer=record.answer,
        label=label,
    )
