"""Stores that sell by the week: each has a level, a trend, a weekday pattern, and sells more in a promotion that is known ahead."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.worlds.living import Clock

LINE = "sales"
START = date(2025, 1, 1)
STORES, DAYS, HORIZON = 24, 140, 7
FILE = """\
line: sales
sources: {{sales: {{file: sales.csv}}}}
table: {{group: store, time: day}}
label: {{column: amount}}
train: {{task: forecast}}
forecast: {{horizon: 7{more}}}
watch: {{every: 1d}}
"""


def sales(days: int = DAYS, *, stores: int = STORES, seed: int = 5) -> pl.DataFrame:
    """Return what each store sold on each of the first days; more days tell the same of the first ones."""
    parts: list[pl.DataFrame] = []
    for store in range(stores):
        chance = np.random.default_rng((seed, store))
        t = np.arange(2 * DAYS)
        week = 1 + 0.4 * np.sin(2 * np.pi * (t + store) / 7)
        promo = (chance.random(len(t)) < 0.15).astype(int)
        noise = np.exp(chance.normal(0, 0.06, len(t)))
        amount = (50 + 10 * store) * (1 + 0.002 * t) * week * (1 + 0.5 * promo) * noise
        parts.append(
            pl.DataFrame(
                {
                    "store": [f"s{store:02}"] * days,
                    "day": [START + timedelta(days=int(one)) for one in t[:days]],
                    "promo": promo[:days],
                    "amount": amount[:days].round(2),
                }
            )
        )
    return pl.concat(parts)


def make_stores(
    root: Path, *, more: str = ", known_ahead: [promo]", days: int = DAYS
) -> tuple[Factory, Clock]:
    """Make a factory with the line and its values, at the end of the last day; who asks closes it."""
    (root / "lines").mkdir(parents=True)
    sales(days).write_csv(root / "sales.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE.format(more=more))
    clock = Clock(datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=days))
    return Factory.create(root, now=clock), clock
