"""Words about what a run gave, beside what a candidate decides otherwise."""

from linewright.line.facts import RunResult
from linewright.line.release.excluded_text import unequal_in_words
from linewright.model.evaluate.decision_changes import redecided_in_words
from linewright.model.value_amounts import amounts_in_words


def decides(ran: RunResult) -> str:
    """Say where the threshold lies now and lay before, and how many rows are decided otherwise; empty where there is nothing to compare."""
    if ran.redecided is None:
        return ""
    return redecided_in_words(ran.redecided, (ran.positive or "",), of="rows that neither has seen")


def unequal(ran: RunResult) -> str:
    """Say which columns the champion reads that the line bars by now; empty where it reads none."""
    return unequal_in_words(ran.barred) if ran.barred else ""


def in_force(ran: RunResult) -> str:
    """Say by which amounts the champion goes on deciding; empty where those of the line are the same."""
    found = ran.amounts_in_force
    if found is None:
        return ""
    held = (
        amounts_in_words(found.amounts)
        if found.amounts
        else "without amounts, so that its answers are not priced"
    )
    return f"{found.model} goes on deciding {held}"
