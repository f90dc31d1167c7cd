"""The operation that tells what a line's decisions were worth."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.record.costs import Costs, costs_of, money
from linewright.line.value.account import ratio_of, within
from linewright.line.value.update import kept_ledger, up_to_date
from linewright.operations.declaration.declare import operation
from linewright.operations.words import RULES, grid
from linewright.people.account import account_of, currencies_of, of_all_answers
from linewright.people.facts import Account, Against, DaySums
from linewright.store.clock import said
from linewright.text.numbers import count

_SHOWN_DAYS = 31
"""Days of a table for people: a month."""
_IN_CENTS = 10_000.0
"""Totals below which amounts are shown with cents."""
_FEW_LABELLED = 0.95
"""Share of the answers that are due which should have a label: with fewer, those that have may be of one kind."""
_HEAD = ("day", "answers", "matured", "value", "against", "gain", "95 % interval")


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """The account in one currency."""

    total: Account
    days: tuple[Account, ...]
    """Each day with answers, oldest first. The interval of a day takes its rows as independent."""


class LineValue(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions of a line were worth."""

    line: str
    as_of: str
    """Labels that came later are not in it."""
    against: Against
    delay: str | None
    """`label.delay`: answers count once it has passed."""
    since: str | None
    """First day that was asked for."""
    accounts: tuple[Worth, ...]
    """One a currency, the declared one first; amounts of two currencies are never added."""
    undeclared: int
    """Answers of models that were made while the line did not say what decisions are worth: they have no matrix to be priced by."""
    costs: Costs | None
    """`None` where ``factory.yaml`` names no costs."""
    ratio: float | None
    """Gain for each unit of the currency that was spent; `None` where nothing was, or in another currency."""

    def to_text(self) -> str:
        """Return a table of days for each currency, what is not counted yet, and what it cost."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        since = f" since {self.since}" if self.since else ""
        yield f"{self.line}{since}: what answers were worth, against {RULES[self.against]}; as of {said(self.as_of)}"
        for one in self.accounts:
            yield from _table(one)
            yield from _not_counted(one.total, self.delay)
            yield from _all_answers(one.total)
        if not self.accounts:
            yield f"  no answer that can be priced{'' if self.undeclared or self.since else ' yet'}"
        if self.undeclared:
            yield (
                f"  {count(self.undeclared, 'answer')} of models that were made before `value` was declared: they have no matrix to be priced "
                f"by; `linewright run {self.line}` makes one that has, and where its gates do not pass, `promote` with --force has it serve"
            )
        if self.costs is not None:
            yield f"  cost  {self.costs.to_text()}{self._ratio_text()}"

    def _ratio_text(self) -> str:
        if self.costs is None or not self.accounts:
            return ""
        if self.ratio is not None:
            return f"; {money(self.ratio, self.costs.currency)} gained for each {self.costs.currency} spent"
        currency = self.accounts[0].total.currency
        if currency != self.costs.currency:
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


@operation(writes=False, expensive=True)
def value(
    factory: Factory,
    line: str,
    /,
    *,
    since: str | None = None,
    days: Annotated[int, Meta(ge=1, le=36_500)] | None = None,
) -> LineValue:
    """Show what a line's decisions were worth, by day and in all, beside a baseline and what they cost.

    An answer counts once its label is known and, where `label.delay` is declared, the delay has passed. It is priced by the matrix of
    the model that gave it.

    Parameters
    ----------
    line
        Name of the line.
    since
        First day of the answers, an ISO 8601 date, UTC (default: all).
    days
        Only the last so many days, today among them.
    """
    first = _first_day(factory, since, days)
    spec = factory.line(line)
    now = up_to_date(factory, spec, kept_ledger(factory, line))
    found = within(now.in_order(), first, None)
    if spec.value is None and not any(day.sums for day in now.days.values()):
        raise RequestError(
            "the line does not say what decisions are worth",
            where=f"lines/{line}.yaml",
            allowed="a section value",
            hint="add one such as value: {currency: EUR, true_positive: 900, false_positive: -40, false_negative: -900}, then "
            f"`linewright run {line}`: answers of the model that it makes are priced by it",
        )
    declared = spec.value.currency if spec.value else None
    accounts = tuple(
        _worth(line, currency, now.against, found)
        for currency in sorted(currencies_of(found), key=lambda one: one != declared)
    )
    costs = costs_of(factory, line, since=f"{first}T00:00:00.000000Z" if first else None)
    return LineValue(
        line=line,
        as_of=now.as_of,
        against=now.against,
        delay=now.delay,
        since=first,
        accounts=accounts,
        undeclared=sum(day.undeclared for day in found),
        costs=costs,
        ratio=ratio_of(accounts[0].total if accounts else None, costs),
    )


def _worth(line: str, currency: str, rule: Against, days: Sequence[DaySums]) -> Worth:
    by_day = (account_of(line, currency, rule, [day]) for day in days)
    return Worth(
        total=account_of(line, currency, rule, days), days=tuple(one for one in by_day if one.answers)
    )


def _first_day(factory: Factory, since: str | None, days: int | None) -> str | None:
    if since is not None and days is not None:
        raise RequestError(
            "both since and days say where to begin", where="since", found=since, allowed="one of the two"
        )
    if days is not None:
        today = date.fromisoformat(factory.now()[:10])
        return (today - timedelta(days=min(days - 1, today.toordinal() - 1))).isoformat()
    if since is None:
        return None
    try:
        return date.fromisoformat(since).isoformat()
    except ValueError:
        raise RequestError(
            "not a day", where="since", found=since, allowed="an ISO 8601 date, e.g. 2026-01-31"
        ) from None
