"""What a training that monitoring asks for waits for, or the candidate that came of it: reasons as values, and how they are said."""

from typing import Literal

import msgspec

from linewright.store.clock import said


class MissingLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Which labels a training still needs, so that it can be decided."""

    lacks: Literal["news", "rows", "older rows", "judges"]
    """Labels that no training has used; labelled rows; such as are old enough to learn from; such as may judge."""
    of: Literal["labelled rows", "labelled rows of the rarer class"] = "labelled rows"
    since: str
    """Rows count that were answered since then, UTC; of `news`, that the last training knew."""
    have: int = 0
    wanted: int = 0
    used: int = 0
    """Of `older rows`, those to learn from; of `judges`, those that may judge."""
    about: str | None = None
    """When they will be enough if labels go on to come as they did, UTC; `None` where that cannot be said."""


def missing_in_words(missing: MissingLabels) -> str:
    """Say it, without the time."""
    since = said(missing.since)
    match missing.lacks:
        case "news":
            return f"none is new since the training that knew those of {since}"
        case "rows":
            return f"{missing.have:,} of {missing.wanted:,} {missing.of} since {since}"
        case "older rows":
            return f"{missing.have:,} of {missing.wanted:,} {missing.of} since {since}, {missing.used:,} of them old enough to learn from"
        case "judges":
            return f"more {missing.of} since {since}: {missing.used:,} of them may judge"


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What a line's training waits for, or the candidate that came of one."""

    line: str
    reason: Literal["cooldown", "labels", "refusals", "trial", "approval"]
    """The shortest time between two trainings; labels; a person or a new finding, since candidates in a row were refused; the end
    of the trial of a candidate; a person who approves one."""
    until: str | None = None
    """When it is over at the earliest, UTC; `None` where no time ends it."""
    about: str | None = None
    """When it is over if labels go on to come as they did, UTC; `None` where that cannot be said."""
    proposal: str | None = None
    """Digest of the proposal that waits; `None` where it is made afterwards."""
    model: str | None = None
    """Of `trial` and `approval`, the candidate, as LINE@VERSION."""
    cooldown: str | None = None
    refused: int | None = None
    """Candidates that were refused in a row."""
    missing: MissingLabels | None = None
    because: str
    """What asks for the training; of `approval`, why the candidate does not serve."""


def wait_in_words(wait: Wait) -> str:
    """Say it in one sentence, beginning with what waits."""
    match wait.reason:
        case "cooldown":
            return f"a training is asked for and waits for the cool-down of {wait.cooldown}, until {said(wait.until or '')}"
        case "labels":
            missing = missing_in_words(wait.missing) if wait.missing else ""
            about = f"; as they come now, until about {said(wait.about)}" if wait.about else ""
            return f"a training is proposed and waits for labels: {missing}{about}"
        case "refusals":
            again = f", or until its schedule asks, at {said(wait.until)}" if wait.until else ""
            return (
                f"a training is asked for and does not begin, since {wait.refused} candidates in a row were refused: it waits for a new "
                f"finding or for `linewright retrain {wait.line}`{again}"
            )
        case "trial":
            until = f", at least until {said(wait.until)}" if wait.until else ""
            return f"the next training waits for the trial of {wait.model}{until}"
        case "approval":
            return f"{wait.model} passed its gates and waits: {wait.because}"
