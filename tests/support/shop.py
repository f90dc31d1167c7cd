"""A small shop with known tastes: each customer likes one kind of item, and buys of it nine times of ten."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.worlds.living import Clock

LINE = "shop"
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS, OF_KIND, CUSTOMERS, DAYS = 6, 8, 160, 60
FILE = """\
line: shop
sources: {{sales: {{file: sales.csv}}}}
table: {{group: customer, time: at, exclude: [kind]}}
label: {{column: item}}
contract:
  columns:
    customer: {{type: category}}
    item: {{type: category}}
    at: {{type: datetime}}
    kind: {{type: category}}
train: {{task: recommend, budget: quick}}
recommend: {{items: 5, history: 20{more}}}
watch: {{every: 1d}}
"""


def item(kind: int, number: int) -> str:
    """Name an item by what it is, e.g. ``k2-5``."""
    return f"k{kind}-{number}"


def sales(days: range = range(DAYS), *, seed: int = 5) -> pl.DataFrame:
    """Return the events of some days, in order of time."""
    chance = np.random.default_rng(seed)
    rows: list[tuple[str, str, datetime, str]] = []
    for day in days:
        for customer in chance.permutation(CUSTOMERS)[:24].tolist():
            at = START + timedelta(days=day, minutes=int(chance.integers(1440)))
            for _ in range(int(chance.integers(1, 4))):
                kind = customer % KINDS if chance.random() < 0.9 else int(chance.integers(KINDS))
                number = int(chance.integers(OF_KIND))
                rows.append((f"c{customer:03}", item(kind, number), at, f"kind {kind}"))
    frame = pl.DataFrame(rows, schema=["customer", "item", "at", "kind"], orient="row")
    return frame.sort("at", maintain_order=True)


def make_shop(root: Path, *, more: str = "") -> tuple[Factory, Clock]:
    """Make a factory with the line and its events, at the end of the last day; who asks closes it."""
    (root / "lines").mkdir(parents=True)
    sales().write_csv(root / "sales.csv")
    (root / "lines" / f"{LINE}.yaml").write_text(FILE.format(more=more))
    clock = Clock(START + timedelta(days=DAYS))
    return Factory.create(root, now=clock), clock
