"""What decisions were worth, what they cost, and how far goals are reached."""

from collections.abc import Iterator

from linewright.capabilities.value.goals import Goal, GoalLine
from linewright.capabilities.value.operations import Goals, LineValue, Worth
from linewright.capabilities.value.what_if import WhatIf
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import RULES, grid, money
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.record.costs import Costs
from linewright.model.value_amounts import amounts_in_words
from linewright.people.account import of_all_answers
from linewright.people.facts import Account
from linewright.store.clock import said
from linewright.text.numbers import count

_SHOWN_DAYS = 31
"""Days of a table for people: a month."""
_IN_CENTS = 10_000.0
"""Totals below which amounts are shown with cents."""
_FEW_LABELLED = 0.95
"""Share of the answers that are due which should have a label: with fewer, those that have may be of one kind."""
_HEAD = ("day", "answers", "matured", "value", "against", "gain", "95 % interval")
_HOUR_S = 3600.0
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
def value_text(value: LineValue) -> str:
    """Return a table of days for each currency, what is not counted yet, and what it cost."""
    return "\n".join(_lines(value))


def _lines(value: LineValue) -> Iterator[str]:
    since = f" since {value.since}" if value.since else ""
    yield f"{value.line}{since}: what answers were worth, against {RULES[value.against]}; as of {said(value.as_of)}"
    for one in value.accounts:
        yield from _table(one)
        yield from _not_counted(one.total, value.delay)
        yield from _all_answers(one.total)
    if not value.accounts:
        yield f"  no answer that can be priced{'' if value.undeclared or value.since else ' yet'}"
    if value.undeclared:
        yield (
            f"  {count(value.undeclared, 'answer')} of models that were made before `value` was declared: they have no matrix to be priced "
            f"by; `linewright run {value.line}` makes one that has, and where its gates do not pass, `promote` with --force has it serve"
        )
    if value.costs is not None:
        yield f"  cost  {_costs_text(value.costs)}{_ratio_text(value)}"


def _ratio_text(value: LineValue) -> str:
    if value.costs is None or not value.accounts:
        return ""
    if value.ratio is not None:
        return f"; {money(value.ratio, value.costs.currency)} gained for each {value.costs.currency} spent"
    currency = value.accounts[0].total.currency
    if currency != value.costs.currency:
        return f"; no ratio, since the gain is in {currency}"
    return ""


def _table(one: Worth) -> Iterator[str]:
    total, shown = one.total, one.days[-_SHOWN_DAYS:]
    decimals = 2 if max(abs(total.value), abs(total.against), abs(total.gain)) < _IN_CENTS else 0
    rows = [_row(day.since or "", day, decimals) for day in shown]
    earlier = len(one.days) - len(shown)
    if earlier:
        yield f"  {count(earlier, 'earlier day')} not shown: --days {len(one.days)}, or --json"
    table = grid(
        (f"{total.currency}", *_HEAD[1:]), [*rows, _row("in all", total, decimals)], numbers=range(1, 6)
    )
    yield from (f"  {line}" for line in table)
    if total.low is not None:
        by = count(total.units, "row") if total.unit == "row" else f"{total.units} stretches of days"
        yield f"  the interval takes {by} as independent"


def _row(name: str, one: Account, decimals: int) -> tuple[str, ...]:
    def amount(value: float) -> str:
        return f"{value + 0.0:,.{decimals}f}"

    interval = "" if one.low is None or one.high is None else f"{amount(one.low)} to {amount(one.high)}"
    sums = (amount(one.value), amount(one.against), amount(one.gain)) if one.matured else ("", "", "")
    return (name, f"{one.answers:,}", f"{one.matured:,}", *sums, interval if one.matured else "")


def _not_counted(one: Account, delay: str | None) -> Iterator[str]:
    parts = [
        f"{one.young:,} whose label.delay ({delay}) has not passed" if one.young else "",
        f"{one.unlabelled:,} without a label" if one.unlabelled else "",
        f"{one.unpriced:,} whose row lacks an amount of at least 0" if one.unpriced else "",
    ]
    if told := [part for part in parts if part]:
        yield f"  not counted: {', '.join(told)}"
    due = one.answers - one.young
    if not one.matured and due:
        yield f"  no label of these is known: linewright feedback {one.line} FILE"
    elif due - one.unlabelled < _FEW_LABELLED * due:
        way = "" if delay else "name label.delay, so that answers count once they all can have a label; "
        yield f"  {(due - one.unlabelled) / due:.0%} of the answers that are due have a label: {way}where labels of one class come first, it leans"
    if one.without_before:
        yield (
            f"  {count(one.without_before, 'answer')} held against no alarm, since no champion before could decide on the row"
        )


def _all_answers(one: Account) -> Iterator[str]:
    found = of_all_answers(one)
    if found is None or one.matured == one.answers:
        return
    ends = "" if found.low is None or found.high is None else f" ({found.low:,.0f} to {found.high:,.0f})"
    yield f"  all {one.answers:,} answers, were the others like these: about {one.currency} {found.value:,.0f}{ends}"


@renderer.register
def _costs_text(costs: Costs) -> str:
    """Say it in a few words.

    Examples
    --------
    >>> _costs_text(Costs(cpu_s=5400.0, runs=3, labels=120, amount=60.06, currency="EUR"))
    'EUR 60.06 (3 runs with 1.5 CPU hours, 120 labels)'
    """
    unknown = f", {costs.unmeasured:,} of them not measured" if costs.unmeasured else ""
    is_long = costs.cpu_s >= _HOUR_S
    cpu = f"{costs.cpu_s / _HOUR_S:,.1f} CPU hours" if is_long else f"{costs.cpu_s:,.1f} CPU s"
    runs = f"{count(costs.runs, 'run')} with {cpu}{unknown}"
    return f"{money(costs.amount, costs.currency)} ({runs}, {count(costs.labels, 'label')})"


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
        of = f"of at most {_target_text(goal)}" if goal.kpi == "cost" else f"of {_target_text(goal)}"
        reached = f"{goal.kpi} {money(goal.reached, goal.currency or '')} {of}"
        yield f"{goal.name}: {_fate_text(goal)}, {reached}{_share_text(goal)}{_interval_text(goal)}{since}"
    width = max((len(line.line) for line in goal.lines), default=0)
    for line in goal.lines:
        yield f"  {line.line:<{width}}  {_line_text(line)}"


def _target_text(goal: Goal) -> str:
    return money(goal.target, goal.currency or "")


def _fate_text(goal: Goal) -> str:
    if goal.kpi == "cost":
        return "kept" if goal.is_reached else "exceeded"
    return "reached" if goal.is_reached else "not reached"


def _line_text(line: GoalLine) -> str:
    if line.amount is None:
        return _MISSING[line.missing or "not-counted"]
    counted = f", counted {said(line.as_of)}" if line.as_of else ""
    return f"{money(line.amount, line.currency or '')}{_share_text(line)}{_interval_text(line)}{counted}"


def _interval_text(one: Goal | GoalLine) -> str:
    if one.low is None or one.high is None:
        return ""
    currency = one.currency or ""
    return f" (95 % interval {money(one.low, currency)} to {money(one.high, currency)})"


def _share_text(one: Goal | GoalLine) -> str:
    return "" if one.share is None else f", {one.share:.0%}"


@renderer.register
def what_if_text(found: WhatIf) -> str:
    """Say what the threshold would be, and what the test rows would be worth with it and with the one in force."""
    lines = [
        f"{found.model}, {amounts_in_words(found.amounts)}, on {count(found.n, 'test row')}",
        f"  threshold  {found.then.threshold:.4g} in place of {found.now.threshold:.4g}: {found.threshold_because}",
    ]
    lines += [
        f"  {name:<9}  {money(one.total, found.currency)}: {one.true_positive:,} found, {one.false_negative:,} missed, "
        f"{one.false_positive:,} false alarms, {one.true_negative:,} left alone"
        for name, one in (("now", found.now), ("then", found.then))
    ]
    low, high = (money(one, found.currency) for one in (found.gain_low, found.gain_high))
    lines.append(
        f"  gain       {money(found.gain, found.currency)} ({low} to {high}); {count(found.otherwise, 'row')} decided otherwise"
    )
    return "\n".join([*lines, found.diff.rstrip("\n") or "  The line file says this already."])
