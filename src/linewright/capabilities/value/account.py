"""The value account of a line as it was kept last: what its matured answers were worth. `value_accounting` makes it."""

from collections.abc import Sequence

from linewright.line.factory import Factory
from linewright.line.record.costs import Costs
from linewright.line.record.monitoring.alerts import newest_of
from linewright.people.facts import Account, Accounted, DaySums, MonthSums, ValueAccount


def value_account(
    factory: Factory, line: str, *, since: str | None = None, until: str | None = None
) -> Account | None:
    """Return what the matured answers of a line were worth by its newest kept account, in its present currency.

    Nothing is computed from the log: without days it costs one read of the record, and of all lines as much where the factory is
    `at_once`.
    """
    accounted = newest_of(factory, line, Accounted)
    if accounted is None or not accounted.totals:
        return None
    if since is None and until is None:
        return accounted.totals[0]
    from linewright.people.account import account_of  # noqa: PLC0415 -- commands that look import this module and compute nothing

    kept = factory.metadata.get(accounted.account, ValueAccount)
    currency = accounted.totals[0].currency
    return account_of(line, currency, kept.against, within(days_of(factory, kept), since, until))


def days_of(factory: Factory, kept: ValueAccount) -> list[DaySums]:
    """Return the days of a kept account, oldest first."""
    return [day for digest in kept.months for day in factory.metadata.get(digest, MonthSums).days]


def within(days: Sequence[DaySums], since: str | None, until: str | None) -> list[DaySums]:
    """Return those of some days that lie between two, which belong to them; both are ISO 8601 dates, `None` is no bound."""
    return [day for day in days if (since or "") <= day.day and (until is None or day.day <= until)]


def ratio_of(account: Account | None, costs: Costs | None) -> float | None:
    """Return the gain for each unit of the currency that was spent.

    `None` where nothing is priced yet, and where nothing was spent, or in another currency.
    """
    if account is None or costs is None or not account.matured:
        return None
    if costs.currency != account.currency or not costs.amount:
        return None
    return account.gain / costs.amount
