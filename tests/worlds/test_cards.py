"""The laws of payments, whose densities the truth rests on."""

import numpy as np
import pytest

from linewright.worlds.fraud.payments import (
    CATEGORIES,
    CHANNELS,
    DEVICES,
    HOUR,
    Rows,
    attack_law,
    density,
    ordinary_law,
    payments,
    people,
    shops,
)
from linewright.worlds.random_streams import stream

LAWS = {
    "workday": ordinary_law(weekend=False),
    "weekend": ordinary_law(weekend=True),
    "attack": attack_law(stream(1, "attack"), start=1, hours=3, categories=3, largest=1.0),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("age", [0, 3])
def test_a_density_adds_up_to_one(name, age):
    """Over every hour, channel, category, device and amount, for a customer whose usual amount is one cent."""
    sizes = 24, CHANNELS.size, CATEGORIES.size, DEVICES.size, 300
    hour, channel, category, device, cents = (part.ravel() for part in np.indices(sizes))
    fixed = np.zeros_like(hour)
    rows = Rows(**dict.fromkeys(Rows._fields, fixed))._replace(
        micros=hour * HOUR, age=fixed + age, usual=fixed + 1, cents=cents + 1
    )
    rows = rows._replace(channel=channel, category=category, device=device)

    assert density(LAWS[name], rows).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_what_is_drawn_is_as_frequent_as_its_density_says(name):
    """Draws and densities are two readings of one table; the truth is wrong where they part."""
    rng, count = stream(2, "test", name), 40_000
    customers, merchants = people(stream(2, "customers"), 300, 2), shops(stream(2, "merchants"))
    rows = payments(rng, count, LAWS[name], customers=customers, merchants=merchants, day=3)
    each = {
        "hour": (rows.hour, LAWS[name].hours),
        "category": (rows.category, _mean(LAWS[name].categories, rows.channel)),
        "device": (rows.device, _mean(LAWS[name].devices, rows.channel)),
        "channel": (rows.channel, LAWS[name].channels[rows.night, rows.age].mean(axis=0)),
    }

    for feature, (codes, chance) in each.items():
        seen = np.bincount(codes, minlength=chance.size) / count

        assert np.all(np.abs(seen - chance) <= 5 * np.sqrt(chance * (1 - chance) / count) + 1e-12), feature
    assert np.all(density(LAWS[name], rows) > 0)


def test_usual_amounts_differ_a_little_by_sex():
    """A fairness gate should have something to look at."""
    customers = people(stream(2, "customers"), 20_000, 1)
    men, women = (np.median(customers.usual[customers.sex == sex]) for sex in (1, 0))

    assert 1.05 < men / women < 1.17


def _mean(table, codes):
    return table[codes].mean(axis=0)
