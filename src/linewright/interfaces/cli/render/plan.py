"""What planning lines gave."""

from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.line.runs.plan_text import ChangeInWords
from linewright.operations.plan import PlanResult, Plans


@renderer.register
def plan_text(plan: PlanResult) -> str:
    """Say each step with its reason."""
    found = [f"  warn: {finding_in_words(one)}" for one in plan.findings]
    if not plan.changes:
        return "\n".join([f"{plan.line}: no changes", *found])
    width = max(len(change.step) for change in plan.changes)
    steps = [f"  {change.step:<{width}}  {change.because}{_moved(change)}" for change in plan.changes]
    return "\n".join([f"{plan.line}: plan {short(plan.plan)}", *steps, *found])


def _moved(change: ChangeInWords) -> str:
    if change.from_ is None or change.to is None:
        return ""
    return f" ({short(change.from_)} -> {short(change.to)})"


@renderer.register
def plans_text(plans: Plans) -> str:
    """Say each line's plan."""
    return "\n".join(plan_text(plan) for plan in plans.plans) or "There is no line yet."
