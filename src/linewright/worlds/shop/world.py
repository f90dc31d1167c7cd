"""The world `shop`: customers with tastes, items of kinds that have seasons and arrive, and lists that are shown to who visits.

Each day some customers visit. A **list** of items is shown to a visit, and the customer takes some of them; then the customer buys
what they came for, the **basket**. How much a customer likes an item at a moment is a number, `Day.liking`: taste for its kind, taste
within the kind, how good the item is, its season, how new it is, and how long ago the customer had it (what is used up is wanted
again, what lasts is not).

The law of lists is position based (Richardson, Dominowska and Ragno, "Predicting clicks", 2007): the customer looks at position k with
a probability that depends on k alone, and takes an item that they look at with a probability that depends on liking alone. So the
probability that an item is taken at a position is their product, exactly, whatever else is in the list.

Baskets do not depend on lists, and what is taken of a list changes no taste and no history: the same visits meet any policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from linewright.errors import RequestError
from linewright.spec import Spec
from linewright.worlds.random_streams import Range, draw_parameters, stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

START = date(2026, 1, 5)
"""Day 0, a Monday."""
_YEAR = 364
_OPENS = time(8, tzinfo=UTC)
_MINUTES = 12 * 60
_KINDS = (
    ("tea", 24),
    ("cheese", 10),
    ("bread", 5),
    ("soap", 30),
    ("wine", 14),
    ("garden", 0),
    ("toys", 0),
    ("books", 0),
    ("lamps", 0),
    ("shoes", 0),
)
"""Name of each kind, and after how many days an item of it is used up; 0 for what lasts."""
_LASTS = -4.0
"""What an item that lasts is liked less by who has it."""
_JUST_HAD = -2.0
"""What an item that is used up is liked less on the day that the customer had it."""
_WANTED_AGAIN = 1.0
"""What it is liked more once it is used up."""
_NEW = 1.2
"""What an item is liked more on the day that it arrives; it fades."""
_FADES = 14.0
"""Days until a third of that is left."""
_MEAN_TAKEN = -2.6
"""Log-odds that an item of no special liking is taken by who looks at it."""
_TO_TAKE = 0.9
"""How far liking moves these log-odds."""
_MOST_BASKET = 4
NEVER = -1e9
"""Liking of an item that is not on sale."""


class Ranges(Spec):
    """What the parameters of this world may be. Committed before any policy was tried on it; a test holds them."""

    customers: Range = Range(
        low=500, high=700, unit="customers", because="enough to learn from in seconds", whole=True
    )
    visits: Range = Range(
        low=140, high=180, unit="visits a day", because="each customer comes every few days, as to a grocer"
    )
    items: Range = Range(
        low=120, high=160, unit="items on day 0", because="more than anybody reads", whole=True
    )
    arrivals: Range = Range(
        low=1.0,
        high=1.6,
        unit="new items a day",
        because="a model of last month does not know a fifth of them",
    )
    tastes: Range = Range(
        low=1.2,
        high=1.6,
        unit="standard deviation of the taste for a kind",
        because="people differ, and overlap",
    )
    season: Range = Range(
        low=0.4,
        high=0.8,
        unit="liking between the best day of the year and the mean",
        because="garden in spring",
    )
    position: Range = Range(
        low=0.5,
        high=0.9,
        unit="power by which looks fall with the position",
        because="the tenth position gets an eighth to a third of the looks of the first",
    )
    history_days: Range = Range(
        low=80, high=80, unit="days", because="what a shop would hand over to begin with", whole=True
    )
    live_days: Range = Range(
        low=24, high=24, unit="days", because="long enough for new items and a retraining", whole=True
    )


RANGES = Ranges()


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """One world's parameters; units and bounds as in `Ranges`."""

    customers: int
    visits: float
    items: int
    arrivals: float
    tastes: float
    season: float
    position: float
    history_days: int
    live_days: int


def draw(seed: int, ranges: Ranges = RANGES) -> Parameters:
    """Return the parameters of the world with this seed."""
    return draw_parameters(Parameters, seed, ranges)


@dataclass(frozen=True, kw_only=True, eq=False)
class Day:
    """The visits of one day, in the order of time, and what nobody but the world knows of them."""

    number: int
    date: date
    visits: pl.DataFrame
    """`visit` (key), `customer`, `at` (UTC), and `history`: what the customer bought before, the newest last."""
    baskets: pl.DataFrame
    """What was bought afterwards: `customer`, `item`, `kind`, `at` (a minute after the visit), `quantity`, one row an item."""
    liking: Floats
    """How much the customer of each visit likes each item then, shape (visits, items); `NEVER` for what is not on sale."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Customers:
    kinds: Floats
    """Taste for each kind, shape (customers, kinds)."""
    within: Floats
    """Taste within a kind, shape (customers, 2)."""
    activity: Floats
    """Share of the visits; sums to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Items:
    names: tuple[str, ...]
    kind: Ints
    within: Floats
    """Shape (items, 2)."""
    good: Floats
    arrives: Ints
    """Day; before 0 for what was there from the first day on."""


class ShopWorld:
    """A shop day by day, each day the same whatever came before it.

    Examples
    --------
    >>> world = ShopWorld(1)
    >>> day = world.day(0)
    >>> day.date.isoformat(), day.liking.shape == (day.visits.height, len(world.items))
    ('2026-01-05', True)
    >>> best = world.best_lists(day, length=10)
    >>> popular = [world.items[:10]] * day.visits.height
    >>> bool(world.value(day, best) > world.value(day, popular))
    True
    """

    start = START

    def __init__(self, seed: int, *, parameters: Parameters | None = None) -> None:
        self.seed = seed
        self.parameters = p = draw(seed) if parameters is None else parameters
        self.days = p.history_days + p.live_days
        self.go_live = p.history_days
        """First live day."""
        self._customers = _customers(stream(seed, "customers"), p)
        self._items = _items(stream(seed, "items"), p, days=self.days)
        self._peak = stream(seed, "seasons").uniform(0, _YEAR, len(_KINDS))
        self.items = self._items.names
        """All items that ever are on sale."""
        self._code = {name: code for code, name in enumerate(self.items)}

    @cached_property
    def _lived(self) -> list[Day]:
        """All days: what a customer had before decides what they want, so days follow from those before them."""
        had = np.full((self.parameters.customers, len(self.items)), -np.inf)
        histories: list[dict[str, None]] = [{} for _ in range(self.parameters.customers)]
        return [self._make(number, had, histories) for number in range(self.days)]

    def day(self, number: int) -> Day:
        """Return one day, counted from 0."""
        if not 0 <= number < self.days:
            raise RequestError("no such day", found=number, allowed=f"0 to {self.days - 1}")
        return self._lived[number]

    def looks(self, length: int) -> Floats:
        """Return the probability that a customer looks at each position of a list, shape (length,)."""
        return np.power(np.arange(1.0, length + 1), -self.parameters.position)

    def attraction(self, day: Day) -> Floats:
        """Return the true probability that each item is taken by who looks at it, shape (visits, items)."""
        return expit(_MEAN_TAKEN + _TO_TAKE * day.liking)

    def taking(self, day: Day, lists: Sequence[Sequence[str]]) -> list[Floats]:
        """Return the true probability that each item of a list is taken, one list a visit, in the order of `day.visits`.

        An item that is not on sale, or that the world does not know, is never taken; nor is one that stands in the list before.
        """
        found: list[Floats] = []
        for attraction, listed in zip(self.attraction(day), lists, strict=True):
            chance = np.zeros(len(listed))
            looks = self.looks(len(listed))
            for place, item in enumerate(listed):
                code = self._code.get(item)
                if code is not None and item not in listed[:place]:
                    chance[place] = looks[place] * attraction[code]
            found.append(chance)
        return found

    def value(self, day: Day, lists: Sequence[Sequence[str]]) -> float:
        """Return the true value of lists: the mean number of items that are taken of one."""
        return float(np.mean([chance.sum() for chance in self.taking(day, lists)]))

    def taken(self, day: Day, lists: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return what is taken of each list. An item at a position of a visit meets the same chance in any list."""
        found: list[list[str]] = []
        for visit, chance, listed in zip(day.visits["visit"], self.taking(day, lists), lists, strict=True):
            drawn = stream(self.seed, "taken", visit).random((len(listed), len(self.items)))
            codes = [self._code.get(item, 0) for item in listed]
            luck = drawn[np.arange(len(listed)), codes]
            found.append([item for item, p, u in zip(listed, chance, luck, strict=True) if u < p])
        return found

    def best_lists(self, day: Day, *, length: int) -> list[list[str]]:
        """Return the lists of greatest value: no policy does better."""
        order = np.argsort(-day.liking, axis=1, kind="stable")[:, :length]
        return [[self.items[code] for code in row] for row in order.tolist()]

    def bought(self, days: range) -> pl.DataFrame:
        """Return the baskets of some days, in the order of time."""
        return pl.concat([self.day(number).baskets for number in days])

    def _make(self, number: int, had: Floats, histories: list[dict[str, None]]) -> Day:
        p, today = self.parameters, START + timedelta(days=number)
        rng = stream(self.seed, "visits", number)
        count = min(int(rng.poisson(p.visits)), p.customers)
        who = rng.choice(p.customers, count, replace=False, p=self._customers.activity)
        minutes = np.sort(rng.integers(0, _MINUTES, count))
        opens = datetime.combine(today, _OPENS)
        at = [opens + timedelta(minutes=int(minute)) for minute in minutes]
        liking = self._liking(who, number, had)
        rows: list[tuple[str, str, str, datetime, int]] = []
        before = [list(histories[one]) for one in who.tolist()]
        sizes = np.minimum(1 + rng.poisson(0.8, count), _MOST_BASKET)
        for visit, one in enumerate(who.tolist()):
            # The items of greatest liking and chance: a draw without replacement by softmax (Gumbel).
            wanted = np.argsort(-(liking[visit] + rng.gumbel(size=len(self.items))), kind="stable")
            for code in wanted[: sizes[visit]].tolist():
                item, kind = self.items[code], _KINDS[self._items.kind[code]][0]
                rows.append(
                    (_name(one), item, kind, at[visit] + timedelta(minutes=1), int(rng.integers(1, 4)))
                )
                had[one, code] = number
                histories[one].pop(item, None)  # the newest is last
                histories[one][item] = None
        zone = pl.Datetime("us", "UTC")
        visits = pl.DataFrame(
            {
                "visit": [f"V{number:03}-{place:03}" for place in range(count)],
                "customer": [_name(one) for one in who.tolist()],
                "at": pl.Series(at, dtype=zone),
                "history": pl.Series(before, dtype=pl.List(pl.String)),
            }
        )
        columns = {
            "customer": pl.String,
            "item": pl.String,
            "kind": pl.String,
            "at": zone,
            "quantity": pl.Int64,
        }
        baskets = pl.DataFrame(rows, schema=columns, orient="row")
        return Day(number=number, date=today, visits=visits, baskets=baskets, liking=liking)

    def _liking(self, who: Ints, number: int, had: Floats) -> Floats:
        customers, items = self._customers, self._items
        wave = self.parameters.season * np.cos(2 * np.pi * (number - self._peak) / _YEAR)
        age = np.maximum(number - items.arrives, 0)
        liking = (
            customers.kinds[who][:, items.kind]
            + customers.within[who] @ items.within.T
            + items.good
            + wave[items.kind]
            + np.where(items.arrives > 0, _NEW * np.exp(-age / _FADES), 0.0)
        )
        last = np.array([days for _, days in _KINDS])[items.kind]
        since = number - had[who]
        again = np.where(
            last == 0,
            _LASTS,
            _JUST_HAD + (_WANTED_AGAIN - _JUST_HAD) * np.minimum(since / np.maximum(last, 1), 1.0),
        )
        liking += np.where(np.isfinite(since), again, 0.0)
        return np.where(items.arrives <= number, liking, NEVER)


def _customers(rng: np.random.Generator, p: Parameters) -> _Customers:
    activity = rng.gamma(2.0, 0.5, p.customers)
    return _Customers(
        kinds=rng.normal(0.0, p.tastes, (p.customers, len(_KINDS))),
        within=rng.normal(0.0, 0.8, (p.customers, 2)),
        activity=activity / activity.sum(),
    )


def _items(rng: np.random.Generator, p: Parameters, *, days: int) -> _Items:
    later = np.sort(rng.integers(1, days, int(rng.poisson(p.arrivals * days))))
    arrives = np.concatenate([np.full(p.items, -1), later])
    kind = rng.integers(0, len(_KINDS), len(arrives))
    return _Items(
        names=tuple(f"{_KINDS[one][0]}-{number:03}" for number, one in enumerate(kind.tolist())),
        kind=kind,
        within=rng.normal(0.0, 0.8, (len(arrives), 2)),
        good=rng.normal(0.0, 0.7, len(arrives)),
        arrives=arrives,
    )


def _name(customer: int) -> str:
    return f"C{customer:04}"
