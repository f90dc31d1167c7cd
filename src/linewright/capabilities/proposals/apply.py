"""What applies an approved change, under a check that nothing under it has moved."""

from typing import assert_never

from linewright.capabilities.proposals.line_file import replace_file
from linewright.errors import Conflict
from linewright.line.erasure import ErasureReport
from linewright.line.factory import Factory
from linewright.line.proposals.preconditions import preconditions_of
from linewright.line.proposals.record import Look
from linewright.line.record.registry import declared_before, judged, registration_of
from linewright.line.release.rollout import begin_trial, is_tried_first
from linewright.operations.table import CAPABILITIES
from linewright.people.facts import (
    Applied,
    ChangeProposed,
    ForgetChange,
    LineChange,
    PromotionChange,
    RestoreChange,
)
from linewright.release import promotion


def apply_change(factory: Factory, approved: Look) -> ErasureReport | None:
    """Apply an approved change; the caller holds `one_at_a_time`."""
    proposed, change = approved.proposed, approved.change
    forgot = None
    match change:
        case PromotionChange():
            _promote(factory, proposed, change)
            return None  # the promotion names the proposal: both are in the record or neither
        case LineChange():
            replace_file(factory, change)
        case ForgetChange():
            kept_by = next(each for each in CAPABILITIES if "forget" in each.changes)
            forgot = kept_by.load(kept_by.changes["forget"])(factory, proposed, change)
        case RestoreChange():
            return None  # `restore` makes another folder, and uses the approval
        case _:
            assert_never(change)
    factory.metadata.record(
        Applied(
            at=factory.now(),
            by=factory.actor,
            because=proposed.because,
            line=proposed.line,
            proposal=proposed.id,
            change=proposed.change,
        )
    )
    return forgot


def _promote(factory: Factory, proposed: ChangeProposed, change: PromotionChange) -> None:
    # The pointer is read before the look at what is under the change, and the promotion swaps exactly this pointer.
    line, on = change.line, factory.metadata.pointer(change.line)
    moved = [
        name for name, now in preconditions_of(factory, change).items() if proposed.under.get(name) != now
    ]
    if moved:
        raise Conflict(
            f"another {', '.join(moved)} than when it was proposed",
            where=proposed.id,
            hint="propose it again",
        )
    factory.artifacts.get(change.package)  # corrupt bytes are refused before anything moves
    if not change.forced and is_tried_first(factory, factory.line(line)):
        _try(factory, proposed, change)
    else:
        promotion.promote(
            factory.context,
            factory.serving,
            promotion.Candidate(
                line=change.line,
                model=change.model,
                package=change.package,
                certificate=None if change.forced else change.certificate,
            ),
            because=proposed.because,
            forced=change.forced,
            declared=declared_before(factory.metadata, change.line, change.package),
            proposal=proposed.id,
            on=on,
        )


def _try(factory: Factory, proposed: ChangeProposed, change: PromotionChange) -> None:
    found = judged(factory, change.line)[change.package]
    begin_trial(
        factory,
        factory.line(change.line),
        found.certificate,
        found.digest,
        registration_of(factory.metadata, change.line, change.package).run,
        because=proposed.because,
        proposal=proposed.id,
    )
