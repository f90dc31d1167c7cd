"""What the loop of a line has left open, from its record: alerts, the proposal to train again, the last retraining."""

from collections.abc import Iterator
from typing import TypeVar

from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.record.registry import challenger_of
from linewright.release.facts import Promoted, RolledBack
from linewright.release.promotion import canary_of
from linewright.store.metadata.snapshot import FEW, MANY
from linewright.store.protocols import Metadata
from linewright.store.values import Event
from linewright.watch.facts import Alerted, Cleared, Monitor, Proposed, RetrainProposal, Waiting
from linewright.watch.retrain_proposal import SHIFTS
from linewright.watch.retrain_text import proposal_in_words

E = TypeVar("E", bound=Event)
WINDOWLESS = frozenset[Monitor]({"retraining", "log", "clock", "features", "records", "schedule", "deleted"})
"""Monitors that look at no window, so that no window can show what they found, or that it is over."""

BESIDE_THE_MODEL = WINDOWLESS | frozenset[Monitor]({"sensor"})
"""Monitors whose findings do not mean that the world is another one than the model has learned."""


def open_alerts(factory: Factory, line: str) -> list[Alerted]:
    """Return the alerts of a line that are not over, oldest first."""
    over = {one.alert for one in factory.metadata.events(Cleared, line=line)}
    return [one for one in factory.metadata.events(Alerted, line=line) if one.id not in over]


def shift_open_at(factory: Factory, line: str, instant: str) -> str | None:
    """Return since when the answers or their truth are not what they were, as it was known at an instant."""
    over = {one.alert for one in factory.metadata.events(Cleared, line=line) if one.at <= instant}
    return min(
        (
            one.rows_since
            for one in factory.metadata.events(Alerted, line=line)
            if one.at <= instant and one.id not in over and one.monitor in SHIFTS
        ),
        default=None,
    )


def find_alert(factory: Factory, prefix: str) -> Alerted | None:
    """Return the alert whose id begins so; `None` where none does, or more than one."""
    begins = tuple({prefix, f"sha256:{prefix}"})
    found = {one.id: one for one in factory.metadata.events(Alerted) if prefix and one.id.startswith(begins)}
    return next(iter(found.values())) if len(found) == 1 else None


def runs_newest_first(factory: Factory, line: str) -> Iterator[Accepted]:
    """Iterate over the accepted runs of a line, newest first; of a factory `at_once`, who stops soon has read few of each line."""
    few = factory.metadata.events(Accepted, line=line, newest_first=True, limit=FEW)
    yield from few
    if len(few) == FEW:
        yield from factory.metadata.events(Accepted, line=line, newest_first=True, limit=MANY)[FEW:]


def find_visible_alert(factory: Factory, prefix: str) -> Alerted:
    """Return the alert whose id begins so."""
    found = find_alert(factory, prefix)
    if found is None or not factory.may("view", found.line):
        raise NotFound(
            "no alert has that id",
            found=prefix[:100],
            hint="`linewright alerts --over` lists those there are",
        )
    return found


def open_proposal(factory: Factory, line: str) -> tuple[str, RetrainProposal] | None:
    """Return the newest proposal of a line with its digest, unless a run has answered it or the champion has moved."""
    newest = newest_of(factory, line, Proposed)
    if newest is None:
        return None
    runs = factory.metadata.events(Accepted, line=line, newest_first=True, limit=FEW)
    if len(runs) == FEW and runs[-1].at >= newest.at:  # the run that answers it may be an older one
        runs = factory.metadata.events(Accepted, line=line, newest_first=True, limit=MANY)
    if newest.proposal in {one.proposal for one in runs}:
        return None
    moves = [newest_of(factory, line, Promoted), newest_of(factory, line, RolledBack)]
    if any(move is not None and move.at >= newest.at for move in moves):
        return None
    return newest.proposal, factory.metadata.get(newest.proposal, RetrainProposal)


def may_wait(factory: Factory, line: str) -> bool:
    """Return whether a training of a line, or the candidate of one, may wait for anything: most lines' do not, and to look closer takes long."""
    if open_alerts(factory, line) or open_proposal(factory, line) is not None:
        return True
    cooling = newest_of(factory, line, Waiting)
    if cooling is not None and (cooling.until or "") > factory.now():
        return True
    return challenger_of(factory, line) is not None or canary_of(factory.metadata, line) is not None


def proposal_because(metadata: Metadata, proposal: RetrainProposal) -> str:
    """Say why a training is proposed, with what the alerts say that it rests on."""
    alerts = metadata.events(Alerted, line=proposal.line)
    return proposal_in_words(proposal, {one.id: one.because for one in alerts})


def newest_of(factory: Factory, line: str, kind: type[E]) -> E | None:
    """Return the newest event of a kind; `None` where there is none."""
    found = factory.metadata.events(kind, line=line, newest_first=True, limit=1)
    return found[0] if found else None


def last_retraining(factory: Factory, line: str) -> str | None:
    """Return the instant whose knowledge the line's last retraining used; `None` before the first."""
    return next((one.as_of for one in runs_newest_first(factory, line) if one.as_of), None)
