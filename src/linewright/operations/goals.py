"""The operation that says how far goals are reached."""

from collections.abc import Iterator

import msgspec

from linewright.line.costs import money
from linewright.line.factory import Factory
from linewright.line.factory_file import FACTORY_FILE
from linewright.line.goals import Goal, GoalLine, goals_of
from linewright.operations.declare import operation

_MISSING = {
    "unknown-line": f"there is no such line: `linewright check` says where {FACTORY_FILE} names it",
    "wrong-file": "its file is wrong: `linewright check` says what",
    "no-value": "its file does not say what decisions are worth: add value:",
    "no-costs": f"{FACTORY_FILE} does not say what work costs: add costs:",
    "not-counted": "its decisions are not counted yet: `linewright up` counts them, or `linewright value`",
    "other-currency": f"its value is of another currency than the costs of {FACTORY_FILE}",
}
"""Why a line adds nothing, in words."""
_PROBLEMS = {
    "no-lines": "it has no lines: name them, or write goal: NAME in their files",
    "two-currencies": "its lines are counted in two currencies, which are not added",
    "nothing-counted": "nothing is counted of its lines",
}


class Goals(msgspec.Struct, frozen=True, kw_only=True):
    """How far the goals of a factory are reached, in the order of its file."""

    goals: tuple[Goal, ...]

    def to_text(self) -> str:
        """Say it goal by goal, line by line."""
        if not self.goals:
            return (
                f"{FACTORY_FILE} names no goals. For example: goals: "
                "[{name: less fraud, kpi: gain, target: 100000, lines: [LINE, 'tag:WORD'], over: 30d}]"
            )
        return "\n".join(line for goal in self.goals for line in _goal_text(goal))


@operation(writes=False)
def goals(factory: Factory, /) -> Goals:
    """Show how far the goals of the factory are reached, line by line.

    Values are those of the value accounts that were kept last; costs are those of now.
    """
    return Goals(goals=tuple(goals_of(factory)))


def _goal_text(goal: Goal) -> Iterator[str]:
    since = "" if goal.since is None else f" since {goal.since}"
    if goal.reached is None or goal.problem is not None:
        problem = _PROBLEMS[goal.problem or "nothing-counted"]
        yield f"{goal.name}: {goal.kpi}{since}, target {goal.target:,.10g}: {problem}"
    else:
        currency = goal.currency or ""
        target = money(goal.target, currency)
        bound = "at most" if goal.kpi == "cost" else "at least"
        fate = "reached" if goal.is_reached else "not reached"
        fate = {"reached": "kept", "not reached": "exceeded"}[fate] if goal.kpi == "cost" else fate
        share = _share(goal.share)
        yield (
            f"{goal.name}: {goal.kpi}{since} {money(goal.reached, currency)}{_interval(goal, currency)}, "
            f"target {bound} {target}{share}: {fate}"
        )
    width = max((len(line.line) for line in goal.lines), default=0)
    for line in goal.lines:
        yield f"  {line.line:<{width}}  {_line_text(line)}"


def _line_text(line: GoalLine) -> str:
    if line.amount is None:
        return _MISSING[line.missing or "not-counted"]
    currency = line.currency or ""
    return f"{money(line.amount, currency)}{_interval(line, currency)}{_share(line.share)}"


def _interval(one: Goal | GoalLine, currency: str) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({money(one.low, currency)} to {money(one.high, currency)})"


def _share(share: float | None) -> str:
    return "" if share is None else f", {share:.0%} of it"
