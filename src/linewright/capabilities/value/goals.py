"""What lines are to reach together, by the goals of `factory.yaml`: their KPI added up, and held against the target."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import msgspec

from linewright.capabilities.value.account import value_account
from linewright.errors import LinewrightError, SpecError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE, FactoryFile
from linewright.line.file.mistakes import did_you_mean
from linewright.line.file.sites import site_of
from linewright.line.instants import earlier
from linewright.line.record.costs import costs_of
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.spec import LineSpec
from linewright.people.facts import Accounted
from linewright.people.spec import TAG, GoalSpec, Kpi

Missing = Literal["unknown-line", "wrong-file", "no-value", "no-costs", "not-counted", "other-currency"]
"""Why a line adds nothing to a goal: there is no such line; its file is wrong; it does not say what decisions are worth;
``factory.yaml`` does not say what work costs; no value account was kept yet; its value and its costs are of two currencies."""
_WITH_COSTS: frozenset[Kpi] = frozenset({"cost", "net"})
Problem = Literal["no-lines", "two-currencies", "nothing-counted"]
"""Why nothing can be said of a goal."""


class GoalLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one line adds to a goal."""

    line: str
    amount: float | None
    """`None` where it adds nothing, see `missing`."""
    low: float | None
    high: float | None
    """95 % interval; `None` where none is known, and of a cost, which is known to the cent."""
    currency: str | None
    share: float | None
    """Of the target; `None` where that is not above 0."""
    missing: Missing | None = None
    as_of: str | None = None
    """When its value account was kept; `None` of a cost, which is that of now."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """How far a goal is reached."""

    name: str
    kpi: Kpi
    target: float
    currency: str | None
    """`None` where no line says one, or where they say two."""
    since: str | None
    """The first day that counts, UTC; `None` is the beginning."""
    reached: float | None
    """The sum over the lines that add to it; `None` where nothing can be said, see `problem`."""
    low: float | None
    high: float | None
    """95 % interval of the sum, where each line that adds to it has one; lines are taken as independent."""
    share: float | None
    """Of the target; `None` where that is not above 0."""
    is_reached: bool | None
    """Whether the sum is at least the target, or of a cost at most."""
    lines: tuple[GoalLine, ...]
    problem: Problem | None = None


def goals_of(factory: Factory) -> list[Goal]:
    """Return how far each goal of ``factory.yaml`` is reached, in its order. Values are those of the accounts that were kept last."""
    file = factory.file()
    if not file.goals:
        return []
    known = _Lines(factory)
    chosen = [known.of(goal) for goal in file.goals]
    reading = factory.at_once(sorted({name for names in chosen for name in names}))
    return [_goal(reading, goal, names, known) for goal, names in zip(file.goals, chosen, strict=True)]


class _Lines:
    """The lines that there are, and their files."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self.declared = factory.names()
        self.names = frozenset({*self.declared, *factory.metadata.lines()})

    def of(self, goal: GoalSpec) -> list[str]:
        """Return the names of the lines of a goal, sorted; also of lines that it names and that are not there."""
        if not goal.lines:
            return self._whose_file("goal", goal.name, lambda spec: spec.goal == goal.name)
        found = {name for name in goal.lines if not name.startswith(TAG)}
        for tag in (name.removeprefix(TAG) for name in goal.lines if name.startswith(TAG)):
            found.update(self._with_tag(tag))
        return sorted(found)

    def _with_tag(self, tag: str) -> list[str]:
        return self._whose_file("tags", tag, lambda spec: tag in spec.tags)

    def is_tag(self, tag: str) -> bool:
        """Return whether any line has a tag."""
        return bool(self._with_tag(tag))

    def spec(self, line: str) -> LineSpec | None:
        """Return the file of a line; `None` where there is none, or where it is wrong."""
        with suppress(LinewrightError, OSError):
            return self._factory.line(line)
        return None

    def _whose_file(self, section: str, word: str, is_it: Callable[[LineSpec], bool]) -> list[str]:
        # Parsing takes long, and most files do not hold the word; one beyond ASCII may be written otherwise there.
        needle = (word if word.isascii() else section).encode()
        found: list[str] = []
        for name in self.declared:
            with suppress(OSError, LinewrightError):
                path = self._factory.path_of(name)
                # The tag of a site is written nowhere.
                may_be = site_of(path, name) or needle in path.read_bytes()
                if may_be and is_it(self._factory.line(name)):
                    found.append(name)
        return found


@dataclass(frozen=True, kw_only=True)
class _Added:
    """What one line adds."""

    amount: float
    low: float | None
    high: float | None
    currency: str
    as_of: str | None


def _goal(factory: Factory, goal: GoalSpec, names: Sequence[str], known: _Lines) -> Goal:
    since = _first_day(factory, goal)
    added: dict[str, _Added | Missing] = {
        name: _added(factory, goal.kpi, name, since, known) for name in names
    }
    counted = [one for one in added.values() if isinstance(one, _Added)]
    currencies = {one.currency for one in counted}
    problem: Problem | None = None
    if not names:
        problem = "no-lines"
    elif len(currencies) > 1 or "other-currency" in added.values():
        problem = "two-currencies"
    elif not counted:
        problem = "nothing-counted"
    total = None if problem else _total(counted)
    return Goal(
        name=goal.name,
        kpi=goal.kpi,
        target=goal.target,
        currency=currencies.pop() if len(currencies) == 1 and problem != "two-currencies" else None,
        since=since,
        reached=total.amount if total else None,
        low=total.low if total else None,
        high=total.high if total else None,
        share=_share(total.amount, goal) if total else None,
        is_reached=_is_reached(total.amount, goal) if total else None,
        lines=tuple(_line(name, one, goal) for name, one in added.items()),
        problem=problem,
    )


def _first_day(factory: Factory, goal: GoalSpec) -> str | None:
    with suppress(OverflowError):  # longer than there are years: all of it
        return None if goal.over is None else earlier(factory.now(), goal.over)[:10]
    return None


def _line(name: str, added: _Added | Missing, goal: GoalSpec) -> GoalLine:
    if not isinstance(added, _Added):
        return GoalLine(line=name, amount=None, low=None, high=None, currency=None, share=None, missing=added)
    return GoalLine(
        line=name,
        amount=added.amount,
        low=added.low,
        high=added.high,
        currency=added.currency,
        share=_share(added.amount, goal),
        as_of=added.as_of,
    )


def _share(amount: float, goal: GoalSpec) -> float | None:
    return amount / goal.target if goal.target > 0 else None


def _is_reached(amount: float, goal: GoalSpec) -> bool:
    return amount <= goal.target if goal.kpi == "cost" else amount >= goal.target


def _added(factory: Factory, kpi: Kpi, line: str, since: str | None, known: _Lines) -> _Added | Missing:
    """Return what a line adds, or why it adds nothing."""
    if line not in known.names:
        return "unknown-line"
    start = None if since is None else f"{since}T00:00:00.000000Z"
    costs = costs_of(factory, line, since=start) if kpi in _WITH_COSTS else None
    if costs is None and kpi in _WITH_COSTS:
        return "no-costs"
    if costs is not None and kpi == "cost":
        return _Added(amount=costs.amount, low=None, high=None, currency=costs.currency, as_of=None)
    kept, account = newest_of(factory, line, Accounted), value_account(factory, line, since=since)
    if account is None or kept is None:
        spec = known.spec(line)
        return "wrong-file" if spec is None else "no-value" if spec.value is None else "not-counted"
    if kpi == "value":
        amount, low, high = account.value, account.value_low, account.value_high
    else:
        amount, low, high = account.gain, account.low, account.high
    if not account.matured:
        low = high = 0.0
    if costs is not None and costs.currency != account.currency:
        return "other-currency"
    cost = costs.amount if costs is not None else 0.0
    return _Added(
        amount=amount - cost,
        low=None if low is None else low - cost,
        high=None if high is None else high - cost,
        currency=account.currency,
        as_of=kept.at,
    )


def _total(added: Sequence[_Added]) -> _Added:
    """Return the sum of several amounts with its interval.

    Notes
    -----
    The ends follow from those of the parts by the method of variance estimates recovery [1]_: each part's distance from its end,
    squared, added up. It takes the parts as independent.

    References
    ----------
    .. [1] G. Y. Zou and A. Donner, Construction of confidence limits about effect measures: a general approach, Statistics in Medicine
       27 (2008), 1693-1702.
    """
    amount = math.fsum(one.amount for one in added)
    below = [one.amount - one.low for one in added if one.low is not None]
    above = [one.high - one.amount for one in added if one.high is not None]
    is_known = len(below) == len(above) == len(added)
    return _Added(
        amount=amount,
        low=amount - math.hypot(*below) if is_known else None,
        high=amount + math.hypot(*above) if is_known else None,
        currency=added[0].currency,
        as_of=None,
    )


# What is wrong with them


def strange_goals(factory: Factory) -> list[LinewrightError]:
    """Return what is wrong with the goals of ``factory.yaml`` beyond its form, each with its place."""
    file = factory.file()
    known = _Lines(factory) if file.goals else None
    return [
        error
        for number, goal in enumerate(file.goals)
        if known is not None
        for error in _strange(factory, file, number, goal, known)
    ]


def _strange(
    factory: Factory, file: FactoryFile, number: int, goal: GoalSpec, known: _Lines
) -> Iterator[LinewrightError]:
    where = f"{factory.root / FACTORY_FILE}: goals[{number}]"
    if any(other.name == goal.name for other in file.goals[:number]):
        yield SpecError(
            "two goals have one name",
            where=f"{where}.name",
            found=goal.name,
            hint="give each a name of its own",
        )
    if goal.kpi == "cost" and goal.target < 0:
        yield SpecError(
            "nothing costs less than 0", where=f"{where}.target", found=goal.target, allowed="0 or more"
        )
    if goal.kpi in _WITH_COSTS and file.costs is None:
        yield SpecError(
            "nothing says what work costs",
            where=f"{where}.kpi",
            found=goal.kpi,
            hint=f"add costs to {FACTORY_FILE}, such as: costs: {{cpu_hour: 0.04, label: 0.5, currency: EUR}}",
        )
    yield from _strange_lines(goal, known, where)
    yield from _strange_values(file, goal, known, where)


def _strange_lines(goal: GoalSpec, known: _Lines, where: str) -> Iterator[LinewrightError]:
    for name in goal.lines:
        if name.startswith(TAG):
            if not known.is_tag(name.removeprefix(TAG)):
                yield SpecError(
                    "no line has this tag",
                    where=f"{where}.lines",
                    found=name,
                    hint=f"write tags: [{name.removeprefix(TAG)}] in the files of lines, or take it out",
                )
        elif name not in known.names:
            yield SpecError(
                "there is no such line",
                where=f"{where}.lines",
                found=name,
                allowed=_named(known.names),
                hint=did_you_mean(name, known.names) or "name a line that there is, or take it out",
            )
    if not goal.lines and not known.of(goal):
        yield SpecError(
            "the goal has no lines",
            where=f"{where}.lines",
            found=goal.name,
            hint=f"name lines, or tag:WORD; or write goal: {goal.name} in the files of lines",
        )


_MOST_NAMED = 20
"""Lines that a message names: more are no help."""


def _named(names: Collection[str]) -> str:
    shown = sorted(names)[:_MOST_NAMED]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}" or "no line: there is none yet"


def _strange_values(
    file: FactoryFile, goal: GoalSpec, known: _Lines, where: str
) -> Iterator[LinewrightError]:
    """Give lines of which nothing says what decisions are worth, and amounts in two currencies."""
    if goal.kpi == "cost":
        return
    specs = {name: spec for name in known.of(goal) if (spec := known.spec(name)) is not None}
    for name in (name for name, spec in specs.items() if spec.value is None):
        yield SpecError(
            "nothing says what decisions of the line are worth",
            where=f"{where}.lines",
            found=name,
            hint=f"add value: to lines/{name}.yaml, or take the line out",
        )
    found = {name: spec.value.currency for name, spec in specs.items() if spec.value is not None}
    if goal.kpi == "net" and file.costs is not None:
        found["costs"] = file.costs.currency
    first: dict[str, str] = {}
    for name, currency in found.items():
        first.setdefault(currency, name)
    if len(first) > 1:
        yield SpecError(
            "amounts of two currencies cannot be added",
            where=where,
            found=", ".join(f"{currency} ({name})" for currency, name in first.items()),
            allowed="one currency",
            hint="part the goal, one for each currency"
            if goal.kpi != "net"
            else "part the goal, or have costs in the currency of the lines",
        )
