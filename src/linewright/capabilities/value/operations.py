"""Operations that show what decisions were worth, and how far goals are reached."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.capabilities.value.account import ratio_of, within
from linewright.capabilities.value.goals import Goal, goals_of
from linewright.capabilities.value.update import kept_ledger, up_to_date
from linewright.capabilities.value.what_if import WhatIf
from linewright.capabilities.value.what_if import what_if as if_worth
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.record.costs import Costs, costs_of
from linewright.operations.declare import operation
from linewright.people.account import GainChange, account_of, currencies_of, gain_change
from linewright.people.facts import Account, Against, DaySums


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """The account in one currency."""

    total: Account
    days: tuple[Account, ...]
    """Each day with answers, oldest first. The interval of a day takes its rows as independent."""
    change: GainChange | None = None
    """How the gain of the last 28 days differs from that of the 28 before; `None` if there are too few days."""


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


@operation(permission="view", effect="read", expensive=True)
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
            where=f"lines/{factory.path_of(line).name}",
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
        total=account_of(line, currency, rule, days),
        days=tuple(one for one in by_day if one.answers),
        change=gain_change(line, currency, rule, days),
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


AmountText = Annotated[
    str,
    Meta(
        max_length=200,
        description="a number, or a column of the table with a sign",
        extra={
            "help": "A number, or a column with amounts of at least 0, such as -amount (default: as the line file has it)."
        },
    ),
]


@operation(permission="view", effect="read", expensive=True)
def what_if(
    factory: Factory,
    line: str,
    /,
    *,
    true_positive: AmountText | None = None,
    false_positive: AmountText | None = None,
    false_negative: AmountText | None = None,
    true_negative: AmountText | None = None,
    currency: str | None = None,
) -> WhatIf:
    """Show what other amounts of `value` would change: threshold, confusion and money on the test rows of the champion.

    Nothing is changed. The threshold is the one that a run would choose, on training rows; the result holds the line file with these
    amounts, which `propose` takes.

    Parameters
    ----------
    line
        Name of the line.
    currency
        ISO 4217 code (default: as the line file has it, else EUR).
    """
    asked = {
        "true_positive": true_positive,
        "false_positive": false_positive,
        "false_negative": false_negative,
        "true_negative": true_negative,
    }
    return if_worth(factory, line, asked, currency)


class Goals(msgspec.Struct, frozen=True, kw_only=True):
    """How far the goals of a factory are reached, in the order of its file."""

    goals: tuple[Goal, ...]


@operation(permission="view", effect="read")
def goals(factory: Factory, /) -> Goals:
    """Show how far the goals of the factory are reached, line by line.

    Values are those of the value accounts that were kept last; costs are those of now.
    """
    return Goals(goals=tuple(goals_of(factory)))
