"""The world `fraud`: card payments, and from one day on a kind of fraud that nobody has seen.

Payments are the sum of two Poisson processes, whose densities are known in closed form:

- **ordinary** payments: a customer, then hour, channel, category, amount, device and merchant, each drawn given the ones
  before; the label is drawn with a probability that is a logistic function of what a user sees.
- **the attack** (card testing): small online payments at a few categories at night, from many cards, one payment each.
  Customers, merchants and counters follow the ordinary law, hour, channel, category, amount and device their own.

So the probability that a row with given features is fraud follows from Bayes' rule, exactly: with intensities ``a`` and
``b`` of ordinary and attack payments at that point, ``(a * p_ordinary + b * p_attack) / (a + b)``.

The idea of a generator with customers, merchants and scripted scenarios is from Le Borgne et al., "Reproducible Machine
Learning for Credit Card Fraud Detection" (2022), where labels follow from rules; here they follow from probabilities.
Kinds of change are named as by Gama et al., "A survey on concept drift adaptation" (2014): the attack moves both the
density of the features (data drift) and the label given the features (concept drift).
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from linewright.errors import RequestError
from linewright.spec import Spec
from linewright.worlds.costs import Bools, Floats, Stakes
from linewright.worlds.fraud.payments import (
    AGES,
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    DEVICES,
    HOMES,
    SEXES,
    SHORTEST_STAY,
    Law,
    Rows,
    attack_law,
    density,
    log_odds,
    ordinary_law,
    payments,
    people,
    shops,
)
from linewright.worlds.random_streams import Range, draw_parameters, stream

Ints = NDArray[np.int64]

START = date(2026, 1, 5)
"""Day 0, a Monday."""
REGISTERED_BEFORE = timedelta(days=3)
"""Whose account is opened has been registered so long before: identities are checked meanwhile."""
LABEL_DELAY = timedelta(days=5)
"""A payment that nobody complained of for so long is known to be genuine."""
COMPLAINT = (timedelta(days=1), timedelta(days=3))
"""A fraud becomes known so long after the payment, each moment between equally likely: the card holder complains."""
STAKES = Stakes(currency="EUR", false_positive=-800, false_negative=-12_000)
"""A blocked genuine payment costs EUR 8 (call, lost fee); a missed fraud EUR 120 on average, small test payments too,
since a card that passed the test is emptied later; a blocked fraud costs nothing."""

_WEEKDAYS = (0.96, 0.95, 0.97, 1.02, 1.14, 1.10, 0.86)
"""Payments from Monday to Sunday, against the mean."""
_ID_SPACE = 2**20
"""Keys of a day; an odd factor scatters them, so that a key says nothing of its payment."""
_MOST = _ID_SPACE // 8
"""Payments a day, at most: far enough below half the keys, which either process may use."""
_SCATTER = 0x9E375
_ANSWERS = np.array(["no", "yes"])


class Ranges(Spec):
    """What the parameters of this world may be. Committed before any policy was tried on it; a test holds them."""

    payments: Range = Range(
        low=1200, high=1500, unit="ordinary payments a day", because="a month trains a model in seconds"
    )
    customers: Range = Range(
        low=3000,
        high=5000,
        unit="customers",
        because="each pays every few days, as with one card of several",
        whole=True,
    )
    fraud_share: Range = Range(
        low=0.012,
        high=0.018,
        unit="share of ordinary payments",
        because="rare, yet some 20 a day to learn from",
    )
    clarity: Range = Range(
        low=0.95,
        high=1.1,
        unit="factor on the log-odds",
        because="how far the features tell fraud: useful, never sure",
    )
    history_days: Range = Range(
        low=60, high=60, unit="days", because="what a bank would hand over to begin with", whole=True
    )
    live_days: Range = Range(
        low=50,
        high=50,
        unit="days",
        because="two weeks of calm, the attack, a month to see the recovery",
        whole=True,
    )
    attack_after: Range = Range(
        low=12,
        high=18,
        unit="days after going live",
        because="long enough to see that calm raises no alarm",
        whole=True,
    )
    attack_ramp: Range = Range(
        low=1, high=3, unit="days until the attack is at full strength", because="word spreads within days"
    )
    attack_factor: Range = Range(
        low=2.0,
        high=3.0,
        unit="frauds a day, as a multiple of before",
        because="plain to see in money, and the old kinds of fraud still matter",
    )
    attack_reported: Range = Range(
        low=0.88,
        high=0.97,
        unit="share of attack payments",
        because="small amounts: some holders never look, so they stay genuine",
    )
    attack_start: Range = Range(
        low=0, high=2, unit="hour of the day (UTC)", because="holders are asleep", whole=True
    )
    attack_hours: Range = Range(low=3, high=4, unit="hours a night", because="until holders wake", whole=True)
    attack_categories: Range = Range(
        low=2,
        high=3,
        unit="categories",
        because="card testers use shops with cheap goods and no delivery",
        whole=True,
    )
    attack_amount: Range = Range(
        low=4,
        high=8,
        unit="EUR, the largest amount (the smallest is 0.50)",
        because="below what holders notice",
    )


RANGES = Ranges()


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """One world's parameters; units and bounds as in `Ranges`."""

    payments: float
    customers: int
    fraud_share: float
    clarity: float
    history_days: int
    live_days: int
    attack_after: int
    attack_ramp: float
    attack_factor: float
    attack_reported: float
    attack_start: int
    attack_hours: int
    attack_categories: int
    attack_amount: float


def draw(seed: int, ranges: Ranges = RANGES) -> Parameters:
    """Return the parameters of the world with this seed."""
    return draw_parameters(Parameters, seed, ranges)


@dataclass(frozen=True, kw_only=True, eq=False)
class Day:
    """The payments of one day, in the order of time: what a user sees, and the truth, row by row."""

    number: int
    date: date
    payments: pl.DataFrame
    """What is known when a payment is made: `payment` (key), `paid_at` (UTC), then features; no label."""
    fraud: Bools
    p_true: Floats
    """Probability of fraud given the row's visible features, exactly."""
    label_at: NDArray[np.datetime64]
    """When the label becomes known (UTC, microseconds)."""
    is_attack: Bools
    """Whether the payment belongs to the attack, whatever its label."""

    @property
    def labels(self) -> pl.DataFrame:
        """`payment`, `fraud` (``yes`` or ``no``) and `label_at`, one row a payment."""
        return pl.DataFrame(
            {
                "payment": self.payments["payment"],
                "fraud": _named(_ANSWERS, self.fraud.astype(np.int64)),
                "label_at": self.label_at,
            }
        )

    @property
    def labelled(self) -> pl.DataFrame:
        """The payments with their label as last column `fraud`: what history looks like once all is known."""
        return self.payments.with_columns(self.labels["fraud"])


class _Drawn(NamedTuple):
    """What one of the two processes gave on one day."""

    rows: Rows
    ids: Ints
    fraud: Bools
    wait: NDArray[np.timedelta64]
    """From payment to complaint, where it is fraud."""


class FraudWorld:
    """Card payments day by day, each day the same whatever was asked for before.

    Examples
    --------
    >>> world = FraudWorld(1)
    >>> day = world.day(0)
    >>> day.date.isoformat(), day.payments.height == day.fraud.size
    ('2026-01-05', True)
    >>> bool(world.day(world.attack_day).is_attack.any()), bool(world.day(world.attack_day - 1).is_attack.any())
    (True, False)
    """

    stakes = STAKES
    start = START
    label_delay = LABEL_DELAY

    def __init__(self, seed: int, *, attack: bool = True, parameters: Parameters | None = None) -> None:
        self.seed, self.attack = seed, attack
        self.parameters = p = draw(seed) if parameters is None else parameters
        if p.payments > _MOST:
            raise RequestError("too many payments a day", found=p.payments, allowed=f"at most {_MOST}")
        self.days = p.history_days + p.live_days
        self.go_live = p.history_days
        """First live day."""
        self.attack_day = p.history_days + p.attack_after
        """First day of the attack, whether it takes place or not."""
        self._customers = people(
            stream(seed, "customers"), p.customers, generations=2 + self.days // SHORTEST_STAY
        )
        self._merchants = shops(stream(seed, "merchants"))
        self._ordinary = ordinary_law(weekend=False), ordinary_law(weekend=True)
        self._attack = attack_law(
            stream(seed, "attack"),
            start=p.attack_start,
            hours=p.attack_hours,
            categories=p.attack_categories,
            largest=p.attack_amount,
        )
        self._intercept = self._intercept_for(p.fraud_share)
        # The labels of a day are those of the days before it, so the last ones are asked for again and again.
        self._made = lru_cache(maxsize=LABEL_DELAY.days + 2)(self._make)

    def day(self, number: int) -> Day:
        """Return the payments of a day, counted from 0."""
        if not 0 <= number < self.days:
            raise RequestError("no such day", found=number, allowed=f"0 to {self.days - 1}")
        return self._made(number)

    def _make(self, number: int) -> Day:
        parts = [self._ordinary_payments(number), self._attack_payments(number)]
        drawn = _Drawn(
            rows=Rows(*map(np.concatenate, zip(*(part.rows for part in parts), strict=True))),
            ids=np.concatenate([part.ids for part in parts]),
            fraud=np.concatenate([part.fraud for part in parts]),
            wait=np.concatenate([part.wait for part in parts]),
        )
        order = np.lexsort((drawn.ids, drawn.rows.micros))
        rows, fraud = Rows(*(column[order] for column in drawn.rows)), drawn.fraud[order]
        paid_at = np.datetime64(_date(number), "us") + rows.micros
        return Day(
            number=number,
            date=_date(number),
            payments=_table(rows, drawn.ids[order], paid_at),
            fraud=fraud,
            p_true=self._p_true(number, rows),
            label_at=paid_at + np.where(fraud, drawn.wait[order], np.timedelta64(LABEL_DELAY, "us")),
            is_attack=order >= parts[0].ids.size,
        )

    def labels_during(self, number: int) -> pl.DataFrame:
        """Return the labels that become known on a day: `payment`, `fraud`, `label_at`, in the order of arrival.

        Days after the last one are allowed: the world's last labels come in when its payments have ended.
        """
        begin = datetime.combine(_date(number), time())
        first, last = max(0, number - LABEL_DELAY.days), min(number, self.days - 1)
        arrived = pl.concat(
            [self.day(0).labels.clear(), *(self.day(d).labels for d in range(first, last + 1))]
        )
        today = pl.col("label_at").is_between(begin, begin + timedelta(days=1), closed="left")
        return arrived.filter(today).sort("label_at", "payment")

    @property
    def customers(self) -> pl.DataFrame:
        """All customers of the world's days, by when their accounts were opened.

        `customer`, `registered_at` (UTC: known from then on), `opened_at` (UTC, midnight), and what stays the same of a customer:
        `home_country`, `age_group` and `sex`, as payments have them. `account_age_days` of a payment is the number of days since `opened_at`.
        """
        who = self._customers
        generation, place = np.indices(who.home.shape).reshape(2, -1)
        opened = generation * who.stay[place] - who.phase[place]
        there = np.flatnonzero(opened < self.days)
        generation, place, opened = generation[there], place[there], opened[there]
        opened_at = np.datetime64(START, "us") + opened.astype("timedelta64[D]")
        return pl.DataFrame(
            {
                "customer": _customer_keys(place, generation),
                "registered_at": opened_at - np.timedelta64(REGISTERED_BEFORE, "us"),
                "opened_at": opened_at,
                "home_country": _named(HOMES, who.home[generation, place]),
                "age_group": _named(AGES, who.age[generation, place]),
                "sex": _named(SEXES, who.sex[generation, place]),
            }
        ).sort("opened_at", "customer")

    def _ordinary_payments(self, number: int) -> _Drawn:
        rng = stream(self.seed, "ordinary", number)
        rows = self._payments(rng, number, self._law(number), self._rate(number))
        return _drawn(rng, rows, self._p_ordinary(rows), _ids(number, rows.place.size, first=0))

    def _attack_payments(self, number: int) -> _Drawn:
        rng = stream(self.seed, "attack", number)
        rows = self._payments(rng, number, self._attack, self._attack_rate(number))
        reported = np.full(rows.place.size, self.parameters.attack_reported)
        return _drawn(rng, rows, reported, _ids(number, rows.place.size, first=_ID_SPACE // 2))

    def _payments(self, rng: np.random.Generator, number: int, law: Law, expected: float) -> Rows:
        count = int(rng.poisson(expected))
        return payments(rng, count, law, customers=self._customers, merchants=self._merchants, day=number)

    def _p_true(self, number: int, rows: Rows) -> Floats:
        """Return Bayes' rule: each process counts as much as it contributes at that point."""
        attack = self._attack_rate(number) * density(self._attack, rows)
        ordinary = self._rate(number) * density(self._law(number), rows)
        share = np.divide(attack, attack + ordinary, out=np.zeros_like(attack), where=attack > 0)
        return (1 - share) * self._p_ordinary(rows) + share * self.parameters.attack_reported

    def _p_ordinary(self, rows: Rows) -> Floats:
        return expit(self._intercept + self.parameters.clarity * log_odds(rows))

    def _law(self, number: int) -> Law:
        return self._ordinary[_date(number).weekday() >= 5]

    def _rate(self, number: int) -> float:
        """Return ordinary payments expected on a day: the weekday's share, and a wave of 4 % over the year."""
        day = _date(number)
        year = 1 + 0.04 * math.sin(2 * math.pi * day.timetuple().tm_yday / 365.25)
        return self.parameters.payments * _WEEKDAYS[day.weekday()] * year

    def _attack_rate(self, number: int) -> float:
        """Return attack payments expected on a day."""
        p = self.parameters
        if not self.attack:
            return 0.0
        strength = min(1.0, max(0.0, (number - self.attack_day + 1) / p.attack_ramp))
        return strength * (p.attack_factor - 1) * p.payments * p.fraud_share / p.attack_reported

    def _intercept_for(self, share: float) -> float:
        """Return the constant of the log-odds that gives this share of fraud over a week of ordinary payments."""
        week = [self._payments(stream(self.seed, "sample", d), d, self._law(d), 4000) for d in range(7)]
        odds = self.parameters.clarity * np.concatenate([log_odds(rows) for rows in week])
        low, high = -40.0, 10.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if np.mean(expit(middle + odds)) < share else (low, middle)
        return low


def _date(number: int) -> date:
    return START + timedelta(days=number)


def _ids(number: int, count: int, *, first: int) -> Ints:
    """Return keys: day, then `count` different numbers below `_ID_SPACE`, the same however many others there are."""
    return number * _ID_SPACE + np.arange(first, first + count) * _SCATTER % _ID_SPACE


def _drawn(rng: np.random.Generator, rows: Rows, chance: Floats, ids: Ints) -> _Drawn:
    fraud = rng.random(ids.size) < chance
    soon, late = (np.timedelta64(wait, "us").astype(np.int64) for wait in COMPLAINT)
    wait = rng.integers(soon, late, ids.size).astype("timedelta64[us]")
    return _Drawn(rows=rows, ids=ids, fraud=fraud, wait=wait)


def _table(rows: Rows, ids: Ints, paid_at: NDArray[np.datetime64]) -> pl.DataFrame:
    """Return payments as a bank's own table has them."""
    return pl.DataFrame(
        {
            "payment": [f"p{number:08x}" for number in ids.tolist()],
            "paid_at": paid_at,
            "customer": _customer_keys(rows.place, rows.generation),
            "hour": rows.hour,
            "amount": rows.cents / 100,
            "usual_amount_ratio": rows.cents / rows.usual,
            "channel": _named(CHANNELS, rows.channel),
            "device": _named(DEVICES, rows.device),
            "merchant_category": _named(CATEGORIES, rows.category),
            "merchant_country": _named(COUNTRIES, rows.country),
            "merchant_risk": rows.risk + 1,
            "home_country": _named(HOMES, rows.home),
            "account_age_days": rows.account_age,
            "payments_last_24h": rows.recent,
            "age_group": _named(AGES, rows.age),
            "sex": _named(SEXES, rows.sex),
        }
    )


def _customer_keys(places: Ints, generations: Ints) -> list[str]:
    return [f"c{place:05d}-{turn}" for place, turn in zip(places.tolist(), generations.tolist(), strict=True)]


def _named(names: NDArray[np.str_], codes: Ints) -> pl.Series:
    return pl.Series(names.tolist())[codes]
