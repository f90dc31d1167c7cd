"""A candidate while it is tried: what its answers show, and whether it takes its next step, serves alone, or goes."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Conflict, GateRefused, RequestError
from linewright.line.factory import Factory
from linewright.line.record.registry import declared_before
from linewright.line.release.trial_time import step_end
from linewright.line.spec import LineSpec
from linewright.model.facts import Certificate, Package
from linewright.model.gates.text import certificate_in_words
from linewright.model.list_loss import loss_of_list
from linewright.model.step_loss import loss_of_steps
from linewright.model.task_facts import task_facts
from linewright.model.tasks.censoring import read_time
from linewright.release.confidence_sequence import bounds
from linewright.release.facts import TRIED, ArmQuality, Deployed, Pairs, Promoted, Rollout, Trial, Withdrawn
from linewright.release.promotion import Candidate, canary_of, deploy, promote, withdraw
from linewright.release.spec import ReleaseSpec
from linewright.serve.facts import Prediction, Truth
from linewright.serve.models.canary_failure import trouble_with
from linewright.store.clock import said
from linewright.store.values import decode
from linewright.text.lists import read_list, read_numbers
from linewright.text.numbers import count
from linewright.watch.facts import Watched

CONFIDENCE = 0.95
"""Of a whole trial: of candidates that are as good as their champions, at most 1 in 20 is taken back as worse."""
_WIDTHS = 4.0
"""An error of a number counts as a whole one from so many half-widths of the champion's prediction interval on."""


def begin_trial(
    factory: Factory,
    spec: LineSpec,
    certificate: Certificate,
    digest: str,
    run: str,
    *,
    because: str = "",
    proposal: str | None = None,
) -> Deployed:
    """Let a certified candidate be tried as its line file says, in place of an older one that is."""
    line, context = spec.line, factory.context
    rollout = spec.release.rollout
    rollout = "canary" if rollout == "immediate" else rollout
    share = {"canary": (spec.release.steps or (1.0,))[0], "shadow": 0.0, "blue-green": 1.0}[rollout]
    begins = {
        "canary": f"it begins with {share:.0%} of the rows",
        "shadow": "it begins with copies of the rows",
        "blue-green": "it answers all rows, and the champion stands by",
    }[rollout]
    model = next(one.version for one in context.metadata.versions(line) if one.digest == certificate.package)
    return deploy(
        context,
        factory.serving,
        Candidate(line=line, model=model, package=certificate.package, certificate=digest),
        because=because or f"{certificate_in_words(certificate)}; {begins}",
        share=share,
        unit=spec.release.unit,
        run=run,
        rollout=rollout,
        proposal=proposal,
    )


def is_tried_first(factory: Factory, spec: LineSpec) -> bool:
    """Return whether a candidate that passed its gates is tried before it serves; the first model of a line never is."""
    champion = factory.metadata.pointer(spec.line).champion
    return champion is not None and not spec.release.is_immediate


def tend_canary(factory: Factory, spec: LineSpec) -> Deployed | Promoted | Withdrawn | None:
    """Do what is due about the candidate of a line that is tried, and return what was done; `None` where nothing is.

    It may be called at any time, again and again.
    """
    context, line = factory.context, spec.line
    canary = canary_of(context.metadata, line)
    # The record has what it showed, and each answer can be computed again from the row in the prediction log.
    for folder in factory.copies_of(line).glob("*"):
        if canary is None or folder.name != canary.salt:
            # A child that is still ending may write on; then the next look removes the rest.
            shutil.rmtree(folder, ignore_errors=True)
    if canary is None:
        return None
    trouble = trouble_with(factory.serving, line, canary.package)
    if trouble is not None:
        return withdraw(context, factory.serving, line, trouble, trigger="trouble")
    trial = trial_of(factory, spec.release, canary)
    if trial.is_worse:
        evidence = context.metadata.keep(trial)
        return withdraw(context, factory.serving, line, _worse(trial), trigger="quality", evidence=evidence)
    if context.now() < step_end(spec.release, canary) or not trial.canary.rows:
        return None  # what answered nothing has shown nothing
    try:
        return _next_step(factory, spec, canary, trial, not_worse_in_words(trial, canary.rollout))
    except Conflict:
        return None  # someone moved the line meanwhile; the next look sees where it stands


def step_early(factory: Factory, spec: LineSpec, *, because: str) -> Deployed | Promoted:
    """Let the candidate that is tried take its next step before its time, as a person asks; all else that a step asks for stays.

    The bounds of a trial hold at all times, so that a look more errs no more often. What a step shows is only less.
    """
    line, canary = spec.line, canary_of(factory.metadata, spec.line)
    if canary is None:
        hint = f"`linewright status {line}` says what serves"
        raise RequestError("no candidate is tried", where=line, hint=hint)
    named, hint = f"{line}@{canary.model}", f"linewright rollback {line} --canary"
    if (trouble := trouble_with(factory.serving, line, canary.package)) is not None:
        raise GateRefused("the endpoint has trouble with it", where=named, found=trouble, hint=hint)
    trial = trial_of(factory, spec.release, canary)
    if trial.is_worse:
        raise GateRefused("it takes no step", where=named, found=_worse(trial), hint=hint)
    if not trial.canary.rows:
        raise GateRefused(
            "it takes no step before its first answer",
            where=named,
            found="none since " + said(canary.at),
            hint=f"ask the endpoint of {line}, then try again",
        )
    showed = not_worse_in_words(trial, canary.rollout)
    return _next_step(factory, spec, canary, trial, f"{because}; before its time: {showed}")


def is_trial_open(factory: Factory, line: str) -> bool:
    """Return whether `tend_canary` has more to do for a line: a candidate is tried, or copies of its rows are to be removed."""
    return canary_of(factory.metadata, line) is not None or any(factory.copies_of(line).glob("*"))


def _next_step(
    factory: Factory, spec: LineSpec, canary: Deployed, trial: Trial, because: str
) -> Deployed | Promoted:
    context, line = factory.context, spec.line
    steps = (spec.release.steps or ()) if canary.rollout == "canary" else ()
    share = next((one for one in steps if one > canary.share), 1.0)
    evidence = context.metadata.keep(trial)
    candidate = Candidate(
        line=line, model=canary.model, package=canary.package, certificate=canary.certificate
    )
    if share < 1:
        return deploy(
            context,
            factory.serving,
            candidate,
            because=because,
            share=share,
            unit=canary.unit,
            run=canary.run,
            evidence=evidence,
        )
    return promote(
        context,
        factory.serving,
        candidate,
        because=because,
        run=canary.run,
        declared=declared_before(context.metadata, line, canary.package),
        evidence=evidence,
    )


def _worse(trial: Trial) -> str:
    canary, champion, pairs = trial.canary, trial.champion, trial.pairs
    if pairs is not None:
        return (
            f"its answers are worse: on {count(pairs.labelled, 'row')} that both answered and whose label came, {trial.loss} "
            f"{canary.loss:.4g}, the champion's {champion.loss:.4g}; the difference is at least {pairs.low:.2g}"
        )
    return (
        f"its answers are worse: {trial.loss} {canary.loss:.4g} (at least {canary.low:.4g}) on {count(canary.labelled, 'label')}, "
        f"the champion's {champion.loss:.4g} (at most {champion.high:.4g}) on {count(champion.labelled, 'label')}"
    )


def not_worse_in_words(trial: Trial, rollout: Rollout) -> str:
    """Say what a candidate showed that is not surely worse, and whether it is surely better."""
    canary = trial.canary
    share = f"{TRIED[rollout]} it answered {count(canary.rows, 'row')}"
    if canary.loss is None or trial.champion.loss is None:
        return f"{share}, of which no label tells yet, and made no trouble"
    return (
        f"{share} and made no trouble; {trial.loss} {canary.loss:.4g} on {count(canary.labelled, 'label')}, "
        f"the champion's {trial.champion.loss:.4g} on {count(trial.champion.labelled, 'label')}: {_side(trial)}"
    )


def _side(trial: Trial) -> str:
    """Say on which side the losses are, of a candidate that is not surely worse."""
    if not trial.is_better:
        return "not surely worse"
    if trial.pairs is not None:
        return f"surely better, by at least {-trial.pairs.high:.2g}"
    return (
        f"surely better (at most {trial.canary.high:.4g}, the champion's at least {trial.champion.low:.4g})"
    )


# What the answers show


class _Told(NamedTuple):
    """What a label said of an answer. In the order in which labels came."""

    received: str
    id: str
    unit: str
    loss: float


def trial_of(factory: Factory, release: ReleaseSpec, canary: Deployed) -> Trial:
    """Return what the answers of the present step show by now.

    Of a canary the shares are fixed in one step, and chance decides which unit is whose: so both models answer rows of one
    kind, also where the world changes, and labels that come earlier for one class do so for both. The steps share what the
    whole canary may err. In the other trials both models answer the same rows, which are compared one by one. Of a unit the
    first label counts, since rows of a unit are alike.
    """
    now, line = factory.now(), canary.line
    rival = next(one.digest for one in factory.metadata.versions(line) if one.version == canary.champion)
    package = decode(Package, factory.artifacts.get(rival), digest=rival)
    windows = factory.metadata.events(Watched, line=line)
    before = [one.position for one in windows if one.end <= canary.at]
    rows = {canary.package: 0, rival: 0}
    told: dict[str, list[_Told]] = {canary.package: [], rival: []}
    for record, truth in _answers(factory, canary, now, before[-1] if before else None):
        if record.generation < canary.generation or record.via != "endpoint" or record.digest not in rows:
            continue
        rows[record.digest] += 1
        if truth is not None and (loss := loss_of(record, truth, package.half_width)) is not None:
            told[record.digest].append(_Told(truth.received, record.id, record.unit or record.id, loss))
    mine, theirs = told[canary.package], told[rival]
    pairs: Pairs | None = None
    if canary.has_mirror:
        mine, theirs = _paired(mine, theirs)
        pairs = _pairs(mine, theirs)
    steps = max(1, sum(share < 1 for share in release.steps or ()))
    confidence = 1 - (1 - CONFIDENCE) / steps
    return Trial(
        line=line,
        package=canary.package,
        rival=rival,
        since=canary.at,
        until=now,
        loss=_loss_name(package),
        confidence=confidence,
        canary=_quality(rows[canary.package], mine, confidence),
        champion=_quality(rows[rival], theirs, confidence),
        pairs=pairs,
    )


def _loss_name(package: Package) -> str:
    if package.encoder.window is not None:
        return "symmetric error"
    if package.encoder.items:
        return task_facts(package.task).loss_name
    if task_facts(package.task).learns_good:
        return "share of wrong answers"
    return "Brier score" if package.classes else "relative error"


def _answers(
    factory: Factory, canary: Deployed, now: str, after: Mapping[str, int] | None
) -> Iterator[tuple[Prediction, Truth | None]]:
    """Iterate over the answers that went out, and those beside their path, each with its label if that is known."""
    labels = factory.labels_of(canary.line)
    yield from labels.labelled(known_by=now, after=after)
    if canary.has_mirror:
        yield from labels.beside(factory.copies_of(canary.line) / canary.salt).labelled(known_by=now)


def _paired(mine: Iterable[_Told], theirs: Iterable[_Told]) -> tuple[list[_Told], list[_Told]]:
    """Return what was told of answers to the same rows, in the same order, and of each unit the first."""
    others = {one.id: one for one in theirs}
    first: dict[str, _Told] = {}
    for one in sorted(mine):
        if one.id in others:
            first.setdefault(one.unit, one)
    return list(first.values()), [others[one.id] for one in first.values()]


def _pairs(mine: Sequence[_Told], theirs: Sequence[_Told]) -> Pairs:
    # One end of one interval decides, which is beyond the truth with half of what is missing to its confidence.
    confidence = 1 - 2 * (1 - CONFIDENCE)
    differences: NDArray[np.float64] = np.array(
        [one.loss - other.loss for one, other in zip(mine, theirs, strict=True)]
    )
    low, high = bounds((differences + 1) / 2, confidence)
    is_known = len(differences) > 0
    return Pairs(
        labelled=len(differences),
        difference=float(differences.mean()) if is_known else None,
        low=2 * float(low[-1]) - 1 if is_known else -1.0,
        high=2 * float(high[-1]) - 1 if is_known else 1.0,
        confidence=confidence,
    )


def _quality(rows: int, told: Iterable[_Told], confidence: float) -> ArmQuality:
    first: dict[str, float] = {}
    for one in sorted(told):
        first.setdefault(one.unit, one.loss)
    losses: NDArray[np.float64] = np.array(list(first.values()))
    low, high = bounds(losses, confidence)
    return ArmQuality(
        rows=rows,
        labelled=len(losses),
        loss=float(losses.mean()) if len(losses) else None,
        low=float(low[-1]) if len(losses) else 0.0,
        high=float(high[-1]) if len(losses) else 1.0,
    )


def loss_of(record: Prediction, truth: Truth, half_width: float | None) -> float | None:
    """Return how wrong an answer was, from 0 to 1; `None` where that cannot be told.

    A list that was drawn tells nothing of a model. Of classes it is half the Brier score; of times the mean squared error of the curve, as far as it is known what happened; of a list 1 less
    its discounted cumulative gain; of numbers the error in units of four half-widths of the champion's prediction
    interval, as it would be if it were alike for all answers, at most 1.

    Examples
    --------
    >>> answer = {"prediction": "no", "probabilities": {"no": 0.9, "yes": 0.1}}
    >>> record = Prediction(id="", line="", generation=1, model=1, digest="", at="", key=None, row={}, answer=answer, threshold=0.5)
    >>> round(loss_of(record, Truth(label="yes", at=None, received="", by="id"), None), 4)
    0.81
    """
    answer = record.answer
    if "probabilities" in answer:
        probabilities = answer["probabilities"]
        if truth.label not in probabilities:
            return None
        wrong = sum((share - (name == truth.label)) ** 2 for name, share in probabilities.items())
        return min(1.0, wrong / 2)
    if "score" in answer and record.threshold is not None:
        # A score does not promise a share: an answer is right or wrong.
        return float(answer["prediction"] != truth.label)
    if "survival" in answer:
        return _of_curve(answer["survival"], truth.label)
    if answer.get("explored"):
        return None  # chance made it, no model
    if "scores" in answer:
        return loss_of_list(answer["prediction"], read_list(str(truth.label)))
    if "times" in answer:
        return loss_of_steps(answer["prediction"], read_numbers(str(truth.label)))
    if not half_width or isinstance(truth.label, str):
        return None
    return min(1.0, abs(answer["prediction"] - truth.label) / (_WIDTHS * half_width))


def _of_curve(left: Mapping[str, float], label: str | float) -> float | None:
    """Return the mean over the times by which the outcome is known; `None` if a label was censored before the first."""
    said = read_time(label)
    if said is None:
        return None
    time, happened = said
    known = [(share, time > float(at)) for at, share in left.items() if happened or time >= float(at)]
    return sum((share - is_left) ** 2 for share, is_left in known) / len(known) if known else None
