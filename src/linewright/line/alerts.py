"""What is open about a line, from its record: alerts, and the proposal to train again."""

from typing import TypeVar

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.model.facts import Certificate
from linewright.release.facts import Promoted, RolledBack
from linewright.store.values import Event
from linewright.watch.facts import Alerted, Cleared, Proposed, RetrainProposal

E = TypeVar("E", bound=Event)


def open_alerts(factory: Factory, line: str) -> list[Alerted]:
    """Return the alerts of a line that are not over, oldest first."""
    over = {one.alert for one in factory.metadata.events(Cleared, line=line)}
    return [one for one in factory.metadata.events(Alerted, line=line) if one.id not in over]


def open_proposal(factory: Factory, line: str) -> tuple[str, RetrainProposal] | None:
    """Return the newest proposal of a line with its digest, unless a run has answered it or the champion has moved."""
    newest = newest_of(factory, line, Proposed)
    if newest is None or newest.proposal in {
        one.proposal for one in factory.metadata.events(Accepted, line=line)
    }:
        return None
    moves = [newest_of(factory, line, Promoted), newest_of(factory, line, RolledBack)]
    if any(move is not None and move.at >= newest.at for move in moves):
        return None
    return newest.proposal, factory.metadata.get(newest.proposal, RetrainProposal)


def file_trouble(factory: Factory, line: str) -> str | None:
    """Say what is wrong with a line's file; `None` where nothing is."""
    try:
        factory.line(line)
    except LinewrightError as error:
        return str(error)
    return None


def newest_of(factory: Factory, line: str, kind: type[E]) -> E | None:
    """Return the newest event of a kind; `None` where there is none."""
    found = factory.metadata.events(kind, line=line, newest_first=True, limit=1)
    return found[0] if found else None


def undecided(factory: Factory, line: str, *, before: str) -> int:
    """Count the candidates, since the champion last moved, about which the rows were too few to decide.

    Only those that a finding asked for count: after each, the next one waits for twice as many rows, so that looking
    again adds power and does not only add chances of being wrong.

    Parameters
    ----------
    before
        The instant that the count is of, so that it stays the same for ever.
    """
    moves = [*factory.metadata.events(Promoted, line=line), *factory.metadata.events(RolledBack, line=line)]
    since = max((one.at for one in moves if one.at < before), default="")
    asked = {one.run for one in factory.metadata.events(Accepted, line=line) if _has_finding(factory, one)}
    return sum(
        one.run in asked and _verdict(factory, one) == "need-more-data"
        for one in factory.metadata.events(Finished, line=line)
        if since <= one.at < before
    )


def is_refused(factory: Factory, finished: Finished) -> bool:
    """Return whether a run failed or its candidate did not pass.

    One that too few rows could judge, or that waits for an approval, was not refused.
    """
    verdict = _verdict(factory, finished)
    return not finished.promoted and verdict not in {"promote", "need-more-data"}


def _verdict(factory: Factory, finished: Finished) -> str | None:
    if finished.certificate is None:
        return None
    return factory.metadata.get(finished.certificate, Certificate).verdict


def _has_finding(factory: Factory, accepted: Accepted) -> bool:
    return accepted.proposal is not None and bool(
        factory.metadata.get(accepted.proposal, RetrainProposal).evidence
    )
