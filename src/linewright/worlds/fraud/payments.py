"""Customers, merchants, and the laws by which card payments are drawn; each law's density is known in closed form."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from linewright.worlds.costs import Bools, Floats

Ints = NDArray[np.int64]

HOUR = 3_600_000_000
"""Microseconds."""

HOMES = np.array(["DE", "FR", "NL", "PL", "ES"])
COUNTRIES = np.array([*HOMES, "GB", "US", "CN"])
AGES = np.array(["18-29", "30-44", "45-59", "60+"])
SEXES = np.array(["female", "male"])
CHANNELS = np.array(["chip", "contactless", "online"])
DEVICES = np.array(["terminal", "app", "browser"])
CATEGORIES = np.array(
    [
        "groceries",
        "fuel",
        "restaurants",
        "transport",
        "fashion",
        "electronics",
        "travel",
        "mobile_topup",
        "digital_goods",
        "charity",
        "gaming",
        "parking",
    ]
)

_HOME_SHARES = np.array([0.35, 0.25, 0.15, 0.15, 0.10])
_COUNTRY_SHARES = np.array([0.25, 0.18, 0.12, 0.11, 0.08, 0.08, 0.10, 0.08])
_AGE_SHARES = np.array([0.2, 0.3, 0.3, 0.2])
_ONLINE = 2
_ONLINE_BY_AGE = np.array([0.45, 0.40, 0.30, 0.20])
_IN_SHOPS = np.array([0.42, 0.11, 0.18, 0.08, 0.09, 0.03, 0.01, 0.01, 0.00, 0.01, 0.00, 0.06])
_ON_SITES = np.array([0.12, 0.00, 0.12, 0.12, 0.21, 0.10, 0.08, 0.05, 0.08, 0.03, 0.05, 0.04])
_TYPICAL = np.array([1.0, 1.6, 0.9, 0.3, 2.0, 4.0, 6.0, 0.5, 0.35, 0.6, 0.45, 0.15])
"""Median amount of a category, as a multiple of the customer's usual amount."""
_SPREAD = 0.75
"""Standard deviation of the logarithm of an amount."""
_CHEAP = np.flatnonzero(
    np.isin(CATEGORIES, ["mobile_topup", "digital_goods", "charity", "gaming", "parking"])
)
"""Categories that card testers choose from."""
_RESOLD = np.isin(CATEGORIES, ["electronics", "travel", "fashion"])
"""Categories whose goods are easily sold on."""
_RISK_SHARES = np.array([0.35, 0.30, 0.20, 0.10, 0.05])
_RISK_EFFECT = np.array([0.0, 0.3, 0.8, 1.7, 2.8])
_ABROAD = 0.05
"""Weight of a merchant abroad against one of the same size at home."""
_WORKDAY = np.array(
    [4, 2, 2, 2, 3, 8, 20, 45, 60, 60, 62, 70, 90, 80, 62, 60, 68, 85, 92, 75, 52, 36, 22, 10]
)
_WEEKEND = np.array([8, 5, 3, 2, 2, 4, 9, 20, 40, 68, 90, 98, 95, 84, 76, 70, 68, 68, 66, 60, 48, 36, 26, 16])
"""Ordinary payments by hour, in some common unit."""
_NIGHT_ENDS = 6
_SMALLEST = 50
"""Cents of the smallest attack payment."""
SHORTEST_STAY = 300
"""Days that a customer stays, at least."""
_LONGEST_STAY = 4000
_SHOPS_EACH = 20
"""Merchants in each category."""


class Customers(NamedTuple):
    """Places for customers: who leaves is followed by the next generation, so that accounts do not grow older."""

    stay: Ints
    """Days that each customer of a place stays."""
    phase: Ints
    """Account age on day 0, in days; equally likely below `stay`, so its distribution is the same on every day."""
    home: Ints
    """Here and below: one row a generation, one column a place."""
    age: Ints
    sex: Ints
    usual: Ints
    """Usual amount in cents."""
    activity: Floats
    """Payments of all kinds in 24 hours, on average."""


class Merchants(NamedTuple):
    """The merchants, category by category."""

    country: Ints
    risk: Ints
    """The acquirer's class, 0 (calm) to 4."""
    reach: Floats
    """Cumulative chance of each merchant of a category, by category and home country of the customer."""


class Law(NamedTuple):
    """What differs between kinds of payments: all else (customer, merchant, counter) follows one common law."""

    hours: Floats
    channels: Floats
    """By night (0, 1) and age group."""
    categories: Floats
    """By channel."""
    devices: Floats
    """By channel."""
    cents: tuple[int, int] | None = None
    """Amounts between these are equally likely, in cents; `None`: lognormal about the customer's usual amount."""


class Rows(NamedTuple):
    """Payments as codes."""

    micros: Ints
    """Since midnight."""
    place: Ints
    generation: Ints
    account_age: Ints
    home: Ints
    age: Ints
    sex: Ints
    usual: Ints
    recent: Ints
    """Payments with this card in the 24 hours before."""
    channel: Ints
    category: Ints
    cents: Ints
    device: Ints
    country: Ints
    risk: Ints

    @property
    def hour(self) -> Ints:
        """Hour of the day, 0 to 23."""
        return self.micros // HOUR

    @property
    def night(self) -> Ints:
        """1 before six in the morning, else 0."""
        return (self.hour < _NIGHT_ENDS).astype(np.int64)


def people(rng: np.random.Generator, places: int, generations: int) -> Customers:
    """Return the customers of a world."""
    shape = generations, places
    stay = rng.integers(SHORTEST_STAY, _LONGEST_STAY, places)
    sex = rng.integers(0, SEXES.size, shape)
    income = rng.normal(3.3, 0.5, shape) + 0.1 * sex
    return Customers(
        stay=stay,
        phase=np.floor(rng.random(places) * stay).astype(np.int64),
        home=rng.choice(HOMES.size, shape, p=_HOME_SHARES),
        age=rng.choice(AGES.size, shape, p=_AGE_SHARES),
        sex=sex,
        usual=np.maximum(1, np.rint(100 * np.exp(income))).astype(np.int64),
        activity=rng.gamma(2.0, 0.5, shape),
    )


def shops(rng: np.random.Generator) -> Merchants:
    """Return the merchants of a world."""
    shape = CATEGORIES.size, _SHOPS_EACH
    country = rng.choice(COUNTRIES.size, shape, p=_COUNTRY_SHARES)
    size = rng.gamma(1.0, 1.0, shape)
    home = np.arange(HOMES.size)[None, :, None]
    weight = size[:, None, :] * np.where(country[:, None, :] == home, 1.0, _ABROAD)
    return Merchants(
        country=country, risk=rng.choice(_RISK_SHARES.size, shape, p=_RISK_SHARES), reach=_cumulative(weight)
    )


def ordinary_law(*, weekend: bool) -> Law:
    """Return the law of ordinary payments: at night shops are closed, so what is paid is mostly paid online."""
    online = np.stack([_ONLINE_BY_AGE, 1 - (1 - _ONLINE_BY_AGE) * 0.3])
    shares = np.array([0.4, 0.6])
    channels = np.concatenate([(1 - online)[..., None] * shares, online[..., None]], axis=-1)
    return Law(
        hours=_shares(_WEEKEND if weekend else _WORKDAY),
        channels=channels,
        categories=np.stack([_shares(_IN_SHOPS), _shares(_IN_SHOPS), _shares(_ON_SITES)]),
        devices=np.array([[1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.55, 0.45]]),
    )


def attack_law(rng: np.random.Generator, *, start: int, hours: int, categories: int, largest: float) -> Law:
    """Return the law of card testing: small amounts, online, at night, mostly by scripts that pose as a browser."""
    chosen = rng.choice(_CHEAP, categories, replace=False)
    return Law(
        hours=_shares(np.isin(np.arange(24), np.arange(start, start + hours))),
        channels=np.broadcast_to(np.eye(CHANNELS.size)[_ONLINE], (2, AGES.size, CHANNELS.size)),
        categories=np.broadcast_to(
            _shares(np.isin(np.arange(CATEGORIES.size), chosen)), (CHANNELS.size, CATEGORIES.size)
        ),
        devices=np.broadcast_to(np.array([0.0, 0.1, 0.9]), (CHANNELS.size, DEVICES.size)),
        cents=(_SMALLEST, round(100 * largest)),
    )


def payments(
    rng: np.random.Generator, count: int, law: Law, *, customers: Customers, merchants: Merchants, day: int
) -> Rows:
    """Return `count` payments of a day, drawn one feature after the other."""
    generation, account_age = np.divmod(customers.phase + day, customers.stay)
    places = np.arange(customers.stay.size)
    busy = np.cumsum(customers.activity[generation, places])
    place = np.searchsorted(busy / busy[-1], rng.random(count), side="right")
    who = generation[place], place
    age, home, usual = customers.age[who], customers.home[who], customers.usual[who]
    hour = _pick(rng, np.broadcast_to(np.cumsum(law.hours), (count, 24)))
    channel = _pick(rng, np.cumsum(law.channels, axis=-1)[(hour < _NIGHT_ENDS).astype(np.int64), age])
    category = _pick(rng, np.cumsum(law.categories, axis=-1)[channel])
    merchant = category, _pick(rng, merchants.reach[category, home])
    return Rows(
        micros=hour * HOUR + rng.integers(0, HOUR, count),
        place=place,
        generation=who[0],
        account_age=account_age[place],
        home=home,
        age=age,
        sex=customers.sex[who],
        usual=usual,
        # Now and then a day of errands, so that a busy card alone is no proof.
        recent=rng.poisson(customers.activity[who] + 4.0 * (rng.random(count) < 0.03)),
        channel=channel,
        category=category,
        cents=_amounts(rng, law, usual, category),
        device=_pick(rng, np.cumsum(law.devices, axis=-1)[channel]),
        country=merchants.country[merchant],
        risk=merchants.risk[merchant],
    )


def density(law: Law, rows: Rows) -> Floats:
    """Return the chance of each row's hour, channel, category, amount and device under a law, given its other features."""
    return (
        law.hours[rows.hour]
        * law.channels[rows.night, rows.age, rows.channel]
        * law.categories[rows.channel, rows.category]
        * law.devices[rows.channel, rows.device]
        * _amount_density(law, rows)
    )


def log_odds(rows: Rows) -> Floats:
    """Return the log-odds that an ordinary payment is fraud, up to a constant. Sex and age have no part in it."""
    online, abroad = rows.channel == _ONLINE, rows.country != rows.home
    unusual = np.clip(np.log(rows.cents / rows.usual), -2.5, 2.5)
    return (
        1.4 * online
        + 1.6 * abroad
        + _RISK_EFFECT[rows.risk]
        + 1.3 * unusual
        + 0.8 * rows.night
        + 1.5 * (rows.account_age < 90)
        + 0.7 * np.clip(rows.recent - 2, 0, 4)
        + 1.5 * (online & abroad & _RESOLD[rows.category])
        + 1.0 * (rows.device == 2)
    )


def _amounts(rng: np.random.Generator, law: Law, usual: Ints, category: Ints) -> Ints:
    if law.cents is not None:
        return rng.integers(*law.cents, usual.size, endpoint=True)
    drawn = usual * _TYPICAL[category] * np.exp(_SPREAD * rng.standard_normal(usual.size))
    return np.maximum(1, np.floor(drawn)).astype(np.int64)


def _amount_density(law: Law, rows: Rows) -> Floats:
    if law.cents is not None:
        low, high = law.cents
        return np.where((rows.cents >= low) & (rows.cents <= high), 1.0 / (high - low + 1), 0.0)
    middle = np.log(rows.usual * _TYPICAL[rows.category])
    above, below = ((np.log(cents) - middle) / _SPREAD for cents in (rows.cents + 1, rows.cents))
    return ndtr(above) - np.where(rows.cents > 1, ndtr(below), 0.0)


def _pick(rng: np.random.Generator, cumulative: Floats) -> Ints:
    """Return one column a row, with the row's cumulative chances."""
    return np.sum(rng.random(len(cumulative))[:, None] >= cumulative[:, :-1], axis=1)


def _shares(weights: Floats | Ints | Bools) -> Floats:
    return weights / np.sum(weights, dtype=np.float64)


def _cumulative(weight: Floats) -> Floats:
    running = np.cumsum(weight, axis=-1)
    return running / running[..., -1:]
