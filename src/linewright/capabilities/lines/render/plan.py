"""What planning lines gave."""

from linewright.capabilities.lines.operations.plan import PlanResult, Plans
from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.line.runs.plan_text import ChangeInWords
from linewright.line.runs.planned_reads import PlannedRead
from linewright.text.numbers import bytes_in_words, count


@renderer.register
def plan_text(plan: PlanResult) -> str:
    """Say each step with its reason."""
    found = [f"  warn: {finding_in_words(one)}" for one in plan.findings]
    if not plan.changes:
        return "\n".join([f"{plan.line}: no changes", *found])
    width = max(len(change.step) for change in plan.changes)
    steps = [f"  {change.step:<{width}}  {change.because}{_moved(change)}" for change in plan.changes]
    reads = [f"  {'reads':<{width}}  {_read(one)}" for one in plan.reads]
    return "\n".join([f"{plan.line}: plan {short(plan.plan)}", *steps, *reads, *found])


def _read(one: PlannedRead) -> str:
    said = list[str]()
    if one.rows is not None:
        said.append(f"{count(one.rows, 'row')}{'' if one.asked is None else ' kept'}")
    if one.asked is not None:
        said.append(f"{one.asked:,} to read")
    if one.files is not None:
        size = "" if one.bytes is None else f" of {bytes_in_words(one.bytes)}"
        said.append(f"{count(one.files, 'file')}{size}")
    if one.newer_files and one.newer_files != one.files:
        size = bytes_in_words(one.newer_bytes or 0)
        said.append(f"{one.newer_files:,} of them ({size}) since the last run")
    if not one.changed:
        said.append("unchanged")
    return f"{one.source}: {', '.join(said)}" if said else one.source


def _moved(change: ChangeInWords) -> str:
    if change.from_ is None or change.to is None:
        return ""
    return f" ({short(change.from_)} -> {short(change.to)})"


@renderer.register
def plans_text(plans: Plans) -> str:
    """Say each line's plan."""
    return "\n".join(plan_text(plan) for plan in plans.plans) or "There is no line yet."
