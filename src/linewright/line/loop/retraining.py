"""What the line does about a proposal: it waits for the labels that can decide, trains once, and stops after refusals."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from msgspec.structs import replace

from linewright.data.dataset.served_rows import ENOUGH, ENOUGH_NUMBERS, can_judge, latest_with
from linewright.data.dataset.split import is_hashed_to_test
from linewright.line.check.dataset_checks import before_of
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.instants import earlier, later
from linewright.line.loop.close_window import closed_windows
from linewright.line.loop.waiting import MissingLabels, Wait, wait_in_words
from linewright.line.predict.sql_columns import rows_with_made
from linewright.line.record.monitoring.alerts import (
    newest_of,
    open_alerts,
    open_proposal,
    proposal_because,
    runs_newest_first,
)
from linewright.line.record.monitoring.refused_candidates import REFUSALS, refusals, undecided
from linewright.line.record.registry import challenger_of, find_model, judged
from linewright.line.release.next_steps import waits_because
from linewright.line.release.trial_time import step_end
from linewright.line.spec import LineSpec
from linewright.line.steps.ingest import in_types_of
from linewright.model.facts import Evaluation, Package
from linewright.model.task_facts import has_classes
from linewright.release.facts import RolledBack
from linewright.release.promotion import canary_of
from linewright.serve.facts import Prediction, Truth
from linewright.store.clock import text_of
from linewright.text.durations import duration_micros
from linewright.text.schedule import read_schedule
from linewright.watch.facts import Alerted, Cleared, Proposed, RetrainProposal, Waiting
from linewright.watch.retrain_proposal import propose
from linewright.watch.spec import AtTrigger, EveryTrigger, RetrainSpec

_SCHEDULES = frozenset({"labels", "every"})


@dataclass(frozen=True, kw_only=True)
class Due:
    """A training that should begin now."""

    proposal: str
    """Digest of the `RetrainProposal`."""
    as_of: str
    """The instant whose knowledge counts."""


def retraining_due(factory: Factory, spec: LineSpec) -> Due | None:
    """Make a proposal where one is due, and return the open one once it can be decided.

    It may be called at any time, again and again: a proposal is made once, and its run is accepted once.
    """
    if spec.retrain is None or factory.metadata.pointer(spec.line).champion is None:
        return None
    if canary_of(factory.metadata, spec.line) is not None:
        return None  # what a training knew of would be beaten before it is tried
    _tell_of_refusals(factory, spec)
    is_stopped = len(refusals(factory, spec.line)) >= REFUSALS
    found = open_proposal(factory, spec.line) or _propose(factory, spec, only_every=is_stopped)
    if found is None:
        _tell_of_waiting(factory, None if is_stopped else _cooling(factory, spec))
    elif found[1].trigger != "every" and (
        is_stopped or _tell_of_waiting(factory, _lacking(factory, spec, *found))
    ):
        found = _propose(factory, spec, only_every=True)  # a schedule waits for no finding
    return Due(proposal=found[0], as_of=factory.now()) if found is not None else None


def next_proposal(factory: Factory, spec: LineSpec, *, after: str) -> str | None:
    """Return the instant at which a training may be due though nothing was written about the line by then."""
    if spec.retrain is None or factory.metadata.pointer(spec.line).champion is None:
        return None
    if canary_of(factory.metadata, spec.line) is not None:
        return None
    waiting, trained, now = (
        open_proposal(factory, spec.line),
        _last_training(factory, spec.line),
        factory.now(),
    )
    if waiting is not None:
        return now
    if trained is None:
        return None
    pauses = (
        spec.retrain.cooldown,
        *(one.every for one in spec.retrain.when if isinstance(one, EveryTrigger)),
    )
    instants = [at for pause in pauses if (at := later(trained, pause)) > after]
    return min([*instants, *_scheduled(spec.retrain, after=max(trained, after))], default=None)


def _scheduled(retrain: RetrainSpec, *, after: str) -> list[str]:
    """Return the next instant of each schedule after another one."""
    schedules = [read_schedule(one.at) for one in retrain.when if isinstance(one, AtTrigger)]
    instants = [one.following(datetime.fromisoformat(after)) for one in schedules]
    return [text_of(at) for at in instants if at is not None]


def waits_of(factory: Factory, spec: LineSpec) -> tuple[Wait, ...]:
    """Return what the line's next training waits for, and the candidate of the last one; nothing is recorded.

    Where something asks for a training and nothing is returned, it begins now.
    """
    champion, canary = factory.metadata.pointer(spec.line).champion, canary_of(factory.metadata, spec.line)
    if canary is not None:
        until = step_end(spec.release, canary)
        model = f"{spec.line}@{canary.model}"
        return (Wait(line=spec.line, reason="trial", until=until, model=model, because=canary.because),)
    approval = _unapproved(factory, spec.line)
    if spec.retrain is None or champion is None:
        return approval
    found, refused = open_proposal(factory, spec.line), len(refusals(factory, spec.line))
    if refused >= REFUSALS:
        asks = found[1] if found else _asked(factory, spec, spec.retrain)
        return approval if asks is None else (*approval, _stopped(factory, spec, asks, refused))
    wait = _cooling(factory, spec) if found is None else _lacking(factory, spec, *found)
    return approval if wait is None else (*approval, wait)


def waits_in(factory: Factory, line: str) -> tuple[Wait, ...]:
    """Return what `waits_of` does of a line by its name; nothing where its file is wrong, since nothing is trained then."""
    return waits_of(factory, factory.line(line)) if factory.trouble_with(line) is None else ()


def _unapproved(factory: Factory, line: str) -> tuple[Wait, ...]:
    """Return that the challenger waits for a person; nothing where it does not."""
    version = challenger_of(factory, line)
    digest = next((one.digest for one in factory.metadata.versions(line) if one.version == version), None)
    why = waits_because(factory, line, judged(factory, line).get(digest)) if digest else None
    if why is None:
        return ()
    return (Wait(line=line, reason="approval", model=f"{line}@{version}", because=why),)


def _stopped(factory: Factory, spec: LineSpec, asks: RetrainProposal, refused: int) -> Wait:
    assert spec.retrain is not None  # noqa: S101 -- only lines with the section are retrained
    trained = _last_training(factory, spec.line)
    every = [one.every for one in spec.retrain.when if isinstance(one, EveryTrigger)]
    until = [later(trained, max(one, spec.retrain.cooldown, key=duration_micros)) for one in every if trained]
    return Wait(
        line=spec.line,
        reason="refusals",
        until=min([*until, *(_scheduled(spec.retrain, after=trained) if trained else ())], default=None),
        refused=refused,
        because=proposal_because(factory.metadata, asks),
    )


def _cooling(factory: Factory, spec: LineSpec) -> Wait | None:
    """Return that a training would be proposed now, but for the shortest time between two; `None` where it would not."""
    assert spec.retrain is not None  # noqa: S101 -- as above
    trained = _last_training(factory, spec.line)
    until = later(trained, spec.retrain.cooldown) if trained else ""
    if until <= factory.now():
        return None
    asks = _asked(factory, spec, spec.retrain.model_copy(update={"cooldown": "0s"}))
    if asks is None:
        return None
    cooldown = spec.retrain.cooldown
    because = proposal_because(factory.metadata, asks)
    return Wait(line=spec.line, reason="cooldown", until=until, cooldown=cooldown, because=because)


def _lacking(factory: Factory, spec: LineSpec, digest: str, proposal: RetrainProposal) -> Wait | None:
    """Return that a proposal waits for labels; `None` where it does not."""
    missing = missing_labels(factory, spec, proposal)
    if missing is None:
        return None
    return Wait(
        line=spec.line,
        reason="labels",
        proposal=digest,
        missing=missing,
        about=missing.about,
        because=proposal_because(factory.metadata, proposal),
    )


def _tell_of_waiting(factory: Factory, wait: Wait | None) -> bool:
    """Record once that a training waits, and return whether it does."""
    if wait is None:
        return False
    context = factory.context
    told = newest_of(factory, wait.line, Waiting)
    # Until when labels will come is another guess each time.
    until = wait.until if wait.reason == "cooldown" else None
    if told is None or (told.reason, told.proposal, told.until) != (wait.reason, wait.proposal, until):
        context.metadata.record(
            Waiting(
                at=context.now(),
                by=context.actor,
                because=f"{wait_in_words(wait)}; {wait.because}",
                line=wait.line,
                reason="cooldown" if wait.reason == "cooldown" else "labels",
                proposal=wait.proposal,
                until=until,
            )
        )
    return True


def _asked(factory: Factory, spec: LineSpec, wanted: RetrainSpec) -> RetrainProposal | None:
    """Return the training that would be proposed now; nothing is recorded."""
    trained = _last_training(factory, spec.line)
    return propose(
        spec.line,
        wanted,
        now=factory.now(),
        trained=trained,
        labels=factory.labels_of(spec.line).count_since(trained) if trained else 0,
        open_alerts=_about_the_champion(factory, spec.line),
    )


def _propose(factory: Factory, spec: LineSpec, *, only_every: bool) -> tuple[str, RetrainProposal] | None:
    assert spec.retrain is not None  # noqa: S101 -- only lines with the section are retrained
    context, metadata = factory.context, factory.metadata
    wanted = spec.retrain
    if only_every:
        every = tuple(one for one in wanted.when if isinstance(one, EveryTrigger | AtTrigger))
        wanted = wanted.model_copy(update={"when": every})
    proposal = _asked(factory, spec, wanted)
    if proposal is None:
        return None
    digest = metadata.keep(proposal)
    if digest not in {one.proposal for one in metadata.events(Proposed, line=spec.line)}:
        because = proposal_because(metadata, proposal)
        metadata.record(
            Proposed(at=context.now(), by=context.actor, because=because, line=spec.line, proposal=digest)
        )
    return digest, proposal


def _about_the_champion(factory: Factory, line: str) -> list[Alerted]:
    """Return the open alerts that ask for a training: about the model that serves, and news since a person went back to it.

    Those about another model are over, though no window says so yet; those that a person knew of who rolled back would only
    bring back what was taken down.
    """
    champion, back = find_model(factory, line).digest, newest_of(factory, line, RolledBack)
    return [
        one
        for one in open_alerts(factory, line)
        if one.package == champion and (back is None or one.at > back.at)
    ]


def _last_training(factory: Factory, line: str) -> str | None:
    newest = newest_of(factory, line, Accepted)
    return newest.at if newest else None


# What decides


def missing_labels(factory: Factory, spec: LineSpec, proposal: RetrainProposal) -> MissingLabels | None:
    """Return which labels a proposal still waits for; `None` where a training can be decided now.

    Rows that a training has been judged with already would give its candidate and its certificate again: something has to
    be new. After a shift the new rows must be many enough to learn from and, later ones, to judge by: else the gates could
    only refuse. As many are wanted as the champion was certified on, at most `ENOUGH` of the rarer class; twice as many
    after each candidate about which they did not decide.
    """
    if proposal.trigger in _SCHEDULES:
        return None
    pairs = _ripe(factory, spec, proposal.since)
    known = _last_known(factory, spec.line)
    if known is not None and not any(_is_new(spec, known, *pair) for pair in pairs):
        return MissingLabels(lacks="news", since=known)
    package = factory.metadata.get(find_model(factory, spec.line).digest, Package)
    is_class = has_classes(package.task)
    at, codes = _coded(pairs)
    times = 2 ** undecided(factory, spec.line, before=factory.now())
    wanted = times * _wanted(factory, spec.line, is_class=is_class)
    latest = latest_with(codes[::-1], wanted, is_class=is_class)
    judged = None if latest is None else len(codes) - latest
    learned, is_by_time = 0, _is_by_time(spec)
    if judged is not None:
        delay = duration_micros(spec.label.delay) if spec.label.delay and is_by_time else 0
        before = at <= at[judged] - delay if is_by_time else np.ones(len(at), dtype=bool)
        learned = _rarest(codes[before & (np.arange(len(at)) < judged)], is_class=is_class)
    have = _rarest(codes, is_class=is_class)
    missing = MissingLabels(
        lacks="rows",
        of="labelled rows of the rarer class" if package.threshold is not None else "labelled rows",
        since=proposal.since,
        have=min(have, wanted),
        wanted=wanted,
        used=learned,
        about=_about(factory, spec, proposal.since, have, 2 * wanted) if is_by_time else None,
    )
    if judged is None:
        return missing
    if not is_by_time:
        judging = _judging(factory, spec, pairs)
        can = can_judge(judging, times)
        return None if can else replace(missing, lacks="judges", used=len(judging))
    return None if learned >= wanted else replace(missing, lacks="older rows")


def _about(factory: Factory, spec: LineSpec, since: str, have: int, wanted: int) -> str | None:
    """Return when so many rows are there, half of them to learn from and half to judge, if they go on to come as they did."""
    now = datetime.fromisoformat(factory.now())
    ripe = datetime.fromisoformat(earlier(factory.now(), spec.label.delay)) if spec.label.delay else now
    took = ripe - datetime.fromisoformat(since)
    if not 0 < have < wanted or took.total_seconds() <= 0:
        return None
    return text_of(now + took * ((wanted - have) / have))


def _is_by_time(spec: LineSpec) -> bool:
    by = spec.train.split.by
    return by == "time" or (by == "auto" and spec.table.time is not None)


def _last_known(factory: Factory, line: str) -> str | None:
    """Return the instant whose knowledge the newest retraining used that came to its end; `None` before the first."""
    done = {one.run for one in factory.metadata.events(Finished, line=line) if one.outcome == "done"}
    runs = runs_newest_first(factory, line)
    return next((one.as_of for one in runs if one.as_of and one.run in done), None)


def _is_new(spec: LineSpec, known: str, record: Prediction, truth: Truth) -> bool:
    """Return whether a retraining with the knowledge of an instant could not use a row: its label came or ripened later."""
    ripe = earlier(known, spec.label.delay) if spec.label.delay else known
    return truth.received > known or record.at > ripe


def _ripe(factory: Factory, spec: LineSpec, since: str) -> list[tuple[Prediction, Truth]]:
    """Return the rows answered since an instant whose delay has passed, with their labels, in order of time."""
    windows = closed_windows(factory, spec)
    before = [one.position for one in windows if one.end <= since]
    until = earlier(factory.now(), spec.label.delay) if spec.label.delay else factory.now()
    pairs = [
        (record, label)
        for record, label in factory.labels_of(spec.line).labelled_since(
            before[-1] if before else None, known_by=factory.now()
        )
        if since <= record.at <= until
    ]
    return sorted(pairs, key=lambda pair: pair[0].at)


def _judging(factory: Factory, spec: LineSpec, pairs: list[tuple[Prediction, Truth]]) -> list[object]:
    """Return the labels of those rows that a split which is not by time takes for its test part."""
    before = before_of(factory, spec.line)
    if before is None:
        return []
    seen = rows_with_made(factory, [record for record, _ in pairs])
    rows = [{**row, spec.label.column: truth.label} for row, (_, truth) in zip(seen, pairs, strict=True)]
    frame = in_types_of(before.columns, rows, spec)
    return (
        frame[spec.label.column].filter(pl.Series(is_hashed_to_test(frame, spec.train.split, spec))).to_list()
    )


def _coded(pairs: list[tuple[Prediction, Truth]]) -> tuple[np.ndarray, np.ndarray]:
    """Return moments (microseconds) and label codes of rows."""
    at = np.array([one.at.removesuffix("Z") for one, _ in pairs], dtype="datetime64[us]").astype(np.int64)
    labels = [truth.label for _, truth in pairs]
    return at, np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)[1]


def _wanted(factory: Factory, line: str, *, is_class: bool) -> int:
    found = judged(factory, line).get(find_model(factory, line).digest)
    if found is None:
        return ENOUGH if is_class else ENOUGH_NUMBERS
    evaluation = factory.metadata.get(found.certificate.evaluation, Evaluation)
    if not evaluation.confusion:
        return min(ENOUGH_NUMBERS, evaluation.n)
    return max(1, min(ENOUGH, *(sum(row) for row in evaluation.confusion)))


def _rarest(codes: np.ndarray, *, is_class: bool) -> int:
    kinds, counts = np.unique(codes, return_counts=True)
    if not is_class or len(kinds) > 2:
        return len(codes)
    return int(counts.min()) if len(kinds) == 2 else 0


# Refusals


def _but(spec: LineSpec) -> str:
    assert spec.retrain is not None  # noqa: S101 -- only lines with the section are retrained
    has_schedule = any(isinstance(one, EveryTrigger | AtTrigger) for one in spec.retrain.when)
    return ", but on its schedule" if has_schedule else ""


def _tell_of_refusals(factory: Factory, spec: LineSpec) -> None:
    """Open an alert when the line stops training by itself, and clear it when that is over."""
    told = [one for one in open_alerts(factory, spec.line) if one.monitor == "retraining"]
    refused = refusals(factory, spec.line)
    context, metadata = factory.context, factory.metadata
    if len(refused) >= REFUSALS and not told:
        metadata.record(
            Alerted(
                at=context.now(),
                by=context.actor,
                because=f"{len(refused)} candidates in a row were refused, so the line trains no more by itself"
                f"{_but(spec)}: look at `linewright models {spec.line}`, then `linewright retrain {spec.line}`",
                line=spec.line,
                id=f"retraining:{refused[0].run}",
                package=find_model(factory, spec.line).digest,
                monitor="retraining",
                column=None,
                value=float(len(refused)),
                bar=float(REFUSALS),
                evidence=_evidence(factory, refused[0]),
                since=refused[0].at,
            )
        )
    elif len(refused) < REFUSALS:
        for one in told:
            metadata.record(
                Cleared(
                    at=context.now(),
                    by=context.actor,
                    because="the line trains by itself again",
                    line=spec.line,
                    alert=one.id,
                    evidence=one.evidence,
                )
            )


def _evidence(factory: Factory, refused: Finished) -> str:
    """Return the certificate of a refused run; of one that failed before its gates, the plan that it followed."""
    accepted = factory.metadata.events(Accepted, line=refused.line)
    return refused.certificate or next(one.plan for one in accepted if one.run == refused.run)
