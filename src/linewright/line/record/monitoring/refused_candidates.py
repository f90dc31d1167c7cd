"""Candidates that monitoring asked for and that did not promote: what stops the loop, and what makes it wait for more."""

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.record.monitoring.alerts import (
    BESIDE_THE_MODEL,
    newest_of,
    open_alerts,
    runs_newest_first,
)
from linewright.model.facts import Certificate
from linewright.release.facts import Promoted, RolledBack, Withdrawn
from linewright.watch.facts import Alerted, RetrainProposal

REFUSALS = 2
"""Refused candidates in a row after which the line trains no more by itself, until a person or a new finding asks. Only
``every`` goes on: that a model which is trained anew is no better is usual, and no reason to stop looking."""


def refusals(factory: Factory, line: str) -> list[Finished]:
    """Return the runs in a row that monitoring asked for and that did not promote, though the rows could tell; newest first.

    A promotion, a person's run or rollback, or a finding after the last of them begins anew. What ``every`` asked for
    counts neither way, unless it promoted. Runs that gave one certificate again refused one candidate.
    """
    ended = {one.run: one for one in factory.metadata.events(Finished, line=line)}
    found: list[Finished] = []
    for accepted in runs_newest_first(factory, line):
        finished = ended.get(accepted.run)
        if accepted.proposal is None or (finished is not None and finished.promoted):
            break
        trigger = factory.metadata.get(accepted.proposal, RetrainProposal).trigger
        if finished is None or trigger == "every" or not _is_refused(factory, finished):
            continue
        if finished.certificate is None or finished.certificate not in {one.certificate for one in found}:
            found.append(finished)
    last = found[0].at if found else ""
    alerts = [one for one in open_alerts(factory, line) if one.monitor not in BESIDE_THE_MODEL]
    moves = [newest_of(factory, line, Promoted), newest_of(factory, line, RolledBack)]
    return [] if any(one is not None and one.at > last for one in (*alerts, *moves)) else found


def undecided(factory: Factory, line: str, *, before: str) -> int:
    """Count the candidates about which the rows were too few to decide, since the champion moved or a finding was new.

    Only those that a finding asked for count: after each, the next one waits for twice as many rows, so that looking
    again adds power and does not only add chances of being wrong. A finding that is new is about another world, so the
    count begins anew: else a line that could not decide in spring would wait through the collapse of autumn.
    """
    metadata = factory.metadata
    moves = [*metadata.events(Promoted, line=line), *metadata.events(RolledBack, line=line)]
    findings = [one for one in metadata.events(Alerted, line=line) if one.monitor not in BESIDE_THE_MODEL]
    since = max((one.at for one in (*moves, *findings) if one.at < before), default="")
    asked = {one.run for one in runs_newest_first(factory, line) if _has_finding(factory, one)}
    return sum(
        one.run in asked and _verdict(factory, one) == "need-more-data"
        for one in metadata.events(Finished, line=line)
        if since <= one.at < before
    )


def _is_refused(factory: Factory, finished: Finished) -> bool:
    """Return whether a run failed, or its candidate did not pass its gates or its trial.

    One that too few rows could judge, or that waits for an approval, was not refused.
    """
    verdict = _verdict(factory, finished)
    if verdict == "promote":
        withdrawn = factory.metadata.events(Withdrawn, line=finished.line)
        return any(one.certificate == finished.certificate and one.is_condemned for one in withdrawn)
    return not finished.promoted and verdict != "need-more-data"


def _verdict(factory: Factory, finished: Finished) -> str | None:
    if finished.certificate is None:
        return None
    return factory.metadata.get(finished.certificate, Certificate).verdict


def _has_finding(factory: Factory, accepted: Accepted) -> bool:
    return accepted.proposal is not None and bool(
        factory.metadata.get(accepted.proposal, RetrainProposal).evidence
    )
