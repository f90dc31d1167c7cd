"""How far goals are reached."""

from collections.abc import Iterator

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.words import money
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.value.goals import Goal, GoalLine
from linewright.operations.goals import Goals
from linewright.store.clock import said

_MISSING = {
    "unknown-line": f"there is no such line: `linewright check` says where {FACTORY_FILE} names it",
    "wrong-file": "its file is wrong: `linewright check` says what",
    "no-value": "its file does not say what decisions are worth: add value:",
    "no-costs": f"{FACTORY_FILE} does not say what work costs: add costs:",
    "not-counted": "its decisions are not counted yet: `linewright up` counts them once a day",
    "other-currency": f"its value is of another currency than the costs of {FACTORY_FILE}",
}
"""Why a line adds nothing, in words."""
_PROBLEMS = {
    "no-lines": "it has no lines: name them, or write goal: NAME in their files",
    "two-currencies": "its lines are counted in two currencies, which are not added",
    "nothing-counted": "nothing is counted of its lines",
}


@renderer.register
def goals_text(reached: Goals) -> str:
    """Say it goal by goal, line by line."""
    if not reached.goals:
        return (
            f"{FACTORY_FILE} names no goals. For example: goals: "
            "[{name: less fraud, kpi: gain, target: 100000, lines: [LINE, 'tag:WORD'], over: 30d}]"
        )
    return "\n".join(line for goal in reached.goals for line in _goal_text(goal))


def _goal_text(goal: Goal) -> Iterator[str]:
    since = f", since {goal.since}" if goal.since else ""
    if goal.reached is None or goal.problem is not None:
        says = _PROBLEMS[goal.problem or "nothing-counted"]
        yield f"{goal.name}: {says}; {goal.kpi}, target {goal.target:,.10g}{since}"
    else:
        of = f"of at most {_target(goal)}" if goal.kpi == "cost" else f"of {_target(goal)}"
        reached = f"{goal.kpi} {money(goal.reached, goal.currency or '')} {of}"
        yield f"{goal.name}: {_fate(goal)}, {reached}{_share(goal)}{_interval(goal)}{since}"
    width = max((len(line.line) for line in goal.lines), default=0)
    for line in goal.lines:
        yield f"  {line.line:<{width}}  {_line_text(line)}"


def _target(goal: Goal) -> str:
    return money(goal.target, goal.currency or "")


def _fate(goal: Goal) -> str:
    if goal.kpi == "cost":
        return "kept" if goal.is_reached else "exceeded"
    return "reached" if goal.is_reached else "not reached"


def _line_text(line: GoalLine) -> str:
    if line.amount is None:
        return _MISSING[line.missing or "not-counted"]
    counted = f", counted {said(line.as_of)}" if line.as_of else ""
    return f"{money(line.amount, line.currency or '')}{_share(line)}{_interval(line)}{counted}"


def _interval(one: Goal | GoalLine) -> str:
    if one.low is None or one.high is None:
        return ""
    currency = one.currency or ""
    return f" (95 % interval {money(one.low, currency)} to {money(one.high, currency)})"


def _share(one: Goal | GoalLine) -> str:
    return "" if one.share is None else f", {one.share:.0%}"
