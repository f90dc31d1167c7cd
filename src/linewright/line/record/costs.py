"""What runs and labels cost, by the prices that `factory.yaml` names."""

from contextlib import suppress

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.people.spec import CostsSpec
from linewright.serve.feedback.store import Feedback

_HOUR_S = 3600.0


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a line has cost."""

    cpu_s: float
    """Seconds of processor time of its runs."""
    runs: int
    """Runs that ended, however they did."""
    labels: int
    """Labels that feedback accepted."""
    amount: float
    """What both cost, in the currency; at least 0."""
    currency: str
    unmeasured: int = 0
    """Runs of which it was not measured what they took: they cost nothing here."""


def costs_of(
    factory: Factory, line: str, *, since: str | None = None, until: str | None = None
) -> Costs | None:
    """Return what a line has cost: its runs that ended, and the labels that feedback accepted, in a period.

    Of many lines ask `factory.at_once(lines)`, so that the record is read once.
    """
    prices = declared_costs(factory)
    if prices is None:
        return None
    ended = factory.metadata.events(Finished, line=line)
    found = [one.usage for one in ended if (since or "") <= one.at and (until is None or one.at < until)]
    measured = [one for one in found if one is not None]
    cpu_s = sum(one.cpu_s for one in measured)
    labels = Feedback.of(factory.state, line).kept(since, until)
    return Costs(
        cpu_s=cpu_s,
        runs=len(found),
        labels=labels,
        amount=_amount(prices, cpu_s, labels),
        currency=prices.currency,
        unmeasured=len(found) - len(measured),
    )


def declared_costs(factory: Factory) -> CostsSpec | None:
    """Return the prices that ``factory.yaml`` names; `None` where it names none, or is wrong: then opening the factory says so."""
    with suppress(LinewrightError, OSError):
        return factory.file().costs
    return None


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """What a run took and cost."""

    started: str
    """When it was accepted; it may have waited for its turn."""
    ended: str | None
    """`None` while it has not."""
    wall_s: float | None = None
    """Seconds in which processes were at work on it; `None`, as the next two, where it has not ended or was not measured."""
    cpu_s: float | None = None
    """Seconds of processor time of all attempts, with all that they started."""
    peak_bytes: int | None = None
    """The most resident memory at one time."""
    cost: float | None = None
    """What it cost, in the currency; `None` where ``factory.yaml`` names no costs."""
    currency: str | None = None


def durations_of(accepted: Accepted, ended: Finished | None, prices: CostsSpec | None) -> Durations:
    """Return what a run took, and what it cost by some prices."""
    usage = ended.usage if ended else None
    if ended is None or usage is None:
        return Durations(started=accepted.at, ended=ended.at if ended else None)
    return Durations(
        started=accepted.at,
        ended=ended.at,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        peak_bytes=usage.peak_bytes or None,
        cost=_amount(prices, usage.cpu_s, 0) if prices else None,
        currency=prices.currency if prices else None,
    )


def _amount(prices: CostsSpec, cpu_s: float, labels: int) -> float:
    return prices.cpu_hour * cpu_s / _HOUR_S + prices.label * labels
