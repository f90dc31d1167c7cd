"""What a life amounts to, in figures and in words: what its picture shows and its report says."""

from itertools import accumulate
from typing import NamedTuple

from linewright.worlds.life import Life, Moment

THIN = "\u2009"
"""Thin space: groups the digits of money."""
MINUS = "\u2212"
_SAME = "worth the same"
_LONGEST = 10**9
"""From here on, whole currency is told by its size."""


class Worth(NamedTuple):
    """What all decisions of a life were worth, in cents."""

    value: int
    """Those that the line made."""
    never: int
    """Those of its first model, had it served on."""
    best: int
    """The best, by the true probabilities."""


class Gains(NamedTuple):
    """How far ahead of never retraining, in cents, at the end of each day since the first."""

    line: tuple[int, ...]
    best: tuple[int, ...]


class Stretch(NamedTuple):
    """Days on which one model answered."""

    model: str
    start: int
    end: int
    """The day after the last."""


def worth(life: Life) -> Worth:
    """Return the totals over all days."""
    return Worth(
        value=sum(day.value for day in life.days),
        never=sum(day.never for day in life.days),
        best=sum(day.best for day in life.days),
    )


def gains(life: Life) -> Gains:
    """Return the differences to never retraining, summed up day by day."""
    return Gains(
        line=tuple(accumulate(day.value - day.never for day in life.days)),
        best=tuple(accumulate(day.best - day.never for day in life.days)),
    )


def first(life: Life, kind: str) -> Moment | None:
    """Return the first moment of a kind, if there is one."""
    return next((moment for moment in life.moments if moment.kind == kind), None)


def stretches(life: Life) -> list[Stretch]:
    """Return who answered when, without gaps."""
    found: list[Stretch] = []
    for day in life.days:
        if found and found[-1].model == day.model:
            found[-1] = found[-1]._replace(end=day.day + 1)
            continue
        if found:
            found[-1] = found[-1]._replace(end=day.day)
        found.append(Stretch(day.model, day.day, day.day + 1))
    return found


def in_whole(cents: int) -> str:
    """Return cents as whole currency, digits in groups of three; very large amounts by their size.

    Examples
    --------
    >>> in_whole(-4_120_050).replace(THIN, " ").replace(MINUS, "-")
    '-41 201'
    """
    units = (abs(cents) + 50) // 100
    sign = MINUS if cents < 0 and units else ""
    if units < _LONGEST:
        return sign + f"{units:,}".replace(",", THIN)
    power = len(str(units)) - 1
    head = units // 10 ** (power - 2)
    return f"{sign}{head // 100}.{head % 100:02d}e{power}"


def compared(cents: int, currency: str) -> str:
    """Return a difference in words, such as "EUR 41 200 more"."""
    if in_whole(cents) == "0":
        return _SAME
    return f"{currency} {in_whole(abs(cents))} {'more' if cents > 0 else 'less'}"


def version(model: str) -> str:
    """Return the version of ``LINE@VERSION``, with its sign.

    Examples
    --------
    >>> version("payments@2")
    '@2'
    """
    return "@" + model.rpartition("@")[2]


def caption(life: Life) -> str:
    """Return the life in one line."""
    totals = worth(life)
    ahead = compared(totals.value - totals.never, life.currency)
    money = f"{ahead} {'as' if ahead == _SAME else 'than'} never retraining"
    if not life.moments:
        return f"Nothing happened, and nothing was done · {money}"
    alert = first(life, "alert")
    parts = (
        _attack(life),
        f"first alert on day {alert.day}" if alert else "no alert",
        _promotions(life),
        money,
    )
    return " · ".join(parts)


def tell(life: Life) -> str:
    """Return the life in sentences, for those who cannot see its picture."""
    totals, money = worth(life), life.currency
    dates = f", {life.days[0].date} to {life.days[-1].date}" if life.days else ""
    sums = (
        f"All decisions of {life.line} were worth {money} {in_whole(totals.value)}; "
        f"never retrained, {money} {in_whole(totals.never)}; "
        f"the best possible by the true probabilities, {money} {in_whole(totals.best)}."
    )
    opening = f"{life.line} in the world {life.world}, seed {life.seed}: days: {len(life.days)}{dates}."
    moments = [f"Day {moment.day}, {moment.kind}: {moment.says}" for moment in life.moments]
    return "\n".join([opening, sums, *(moments or ["Nothing happened, and nothing was done."])])


def _attack(life: Life) -> str:
    attack = first(life, "attack")
    return f"Attack on day {attack.day}" if attack else "No attack"


def _promotions(life: Life) -> str:
    """Say what was released; what was refused counts where nothing was."""
    made = [moment.day for moment in life.moments if moment.kind == "promoted"]
    refused = sum(moment.kind == "refused" for moment in life.moments)
    if not made:
        return f"{refused} refused, none promoted" if refused else "no promotion"
    return f"{len(made)} promotions from day {made[0]} on" if len(made) > 1 else f"promotion on day {made[0]}"
