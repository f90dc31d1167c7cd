"""What the line does about a proposal: it waits for the labels that can decide, trains once, and stops after refusals."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.data.logged import ENOUGH, ENOUGH_NUMBERS, can_judge, latest_with
from linewright.data.spec import duration_micros
from linewright.data.split import is_hashed_to_test
from linewright.line.alerts import newest_of, open_alerts, open_proposal
from linewright.line.closing import earlier
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.gathering import in_types_of
from linewright.line.made import rows_with_made
from linewright.line.promised import before_of
from linewright.line.refusals import REFUSALS, refusals, undecided
from linewright.line.registry import find_model, judged
from linewright.line.spec import LineSpec
from linewright.line.watching import closed_windows
from linewright.model.facts import Evaluation, Package
from linewright.release.facts import RolledBack
from linewright.release.pointer import canary_of
from linewright.serve.facts import Prediction, Truth
from linewright.store.clock import said
from linewright.watch.facts import Alerted, Cleared, Proposed, RetrainProposal
from linewright.watch.retrain import propose
from linewright.watch.spec import EveryTrigger

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
    if found is not None and _must_wait(factory, spec, found[1], is_stopped=is_stopped):
        found = _propose(factory, spec, only_every=True)  # a schedule waits for no finding
    return Due(proposal=found[0], as_of=factory.now()) if found is not None else None


def _must_wait(factory: Factory, spec: LineSpec, proposal: RetrainProposal, *, is_stopped: bool) -> bool:
    if proposal.trigger == "every":
        return False
    return is_stopped or waits_for(factory, spec, proposal) is not None


def _propose(factory: Factory, spec: LineSpec, *, only_every: bool) -> tuple[str, RetrainProposal] | None:
    assert spec.retrain is not None  # noqa: S101 -- only lines with the section are retrained
    context, metadata = factory.context, factory.metadata
    trained = _last_training(factory, spec.line)
    wanted = spec.retrain
    if only_every:
        every = tuple(one for one in wanted.when if isinstance(one, EveryTrigger))
        wanted = wanted.model_copy(update={"when": every})
    proposal = propose(
        spec.line,
        wanted,
        now=context.now(),
        trained=trained,
        labels=factory.labels_of(spec.line).count_since(trained) if trained else 0,
        open_alerts=_about_the_champion(factory, spec.line),
    )
    if proposal is None:
        return None
    digest = metadata.keep(proposal)
    if digest not in {one.proposal for one in metadata.events(Proposed, line=spec.line)}:
        metadata.record(
            Proposed(
                at=context.now(), by=context.actor, because=proposal.because, line=spec.line, proposal=digest
            )
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


def waits_for(factory: Factory, spec: LineSpec, proposal: RetrainProposal) -> str | None:
    """Say what a proposal still waits for; `None` where a training can be decided now.

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
        return f"none is new since the training that knew those of {said(known)}"
    task = factory.metadata.get(find_model(factory, spec.line).digest, Package).task
    is_class, of = task != "regression", f"labelled rows{' of the rarer class' if task == 'binary' else ''}"
    at, codes = _coded(pairs)
    times = 2 ** undecided(factory, spec.line, before=factory.now())
    wanted = times * _wanted(factory, spec.line, is_class=is_class)
    since = said(proposal.since)
    latest = latest_with(codes[::-1], wanted, is_class=is_class)
    judged = None if latest is None else len(codes) - latest
    learned = 0
    if judged is not None:
        delay = duration_micros(spec.label.delay) if spec.label.delay and _is_by_time(spec) else 0
        before = at <= at[judged] - delay if _is_by_time(spec) else np.ones(len(at), dtype=bool)
        learned = _rarest(codes[before & (np.arange(len(at)) < judged)], is_class=is_class)
    have = min(_rarest(codes, is_class=is_class), wanted)
    if judged is None:
        return f"{have:,} of {wanted:,} {of} since {since}"
    if not _is_by_time(spec):
        judging = _judging(factory, spec, pairs)
        return (
            None
            if can_judge(judging, times)
            else f"more {of} since {since}: {len(judging):,} of them may judge"
        )
    if learned >= wanted:
        return None
    return f"{have:,} of {wanted:,} {of} since {since}, {learned:,} of them old enough to learn from"


def _is_by_time(spec: LineSpec) -> bool:
    by = spec.train.split.by
    return by == "time" or (by == "auto" and spec.table.time is not None)


def _last_known(factory: Factory, line: str) -> str | None:
    """Return the instant whose knowledge the newest retraining used that came to its end; `None` before the first."""
    done = {one.run for one in factory.metadata.events(Finished, line=line) if one.outcome == "done"}
    accepted = factory.metadata.events(Accepted, line=line, newest_first=True)
    return next((one.as_of for one in accepted if one.as_of and one.run in done), None)


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
        (record, truth)
        for record, truth in factory.labels_of(spec.line).labelled(
            known_by=factory.now(), after=before[-1] if before else None
        )
        if truth is not None and since <= record.at <= until
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
    has_schedule = any(isinstance(one, EveryTrigger) for one in spec.retrain.when)
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
