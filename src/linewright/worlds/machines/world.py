"""The world `machines`: twelve plants whose machines wear out, are maintained or fail, and whose sensors fail too.

Of each machine only sensors are seen. Its **wear** is hidden: it grows by a gamma step a day (van Noortwijk, "A survey of the
application of gamma processes in maintenance", 2009), faster under load and in heat, by another factor after each
maintenance. It fails in a day with the probability ``1 - exp(-h)``, ``h`` a power of the wear. Maintenance and repair make it as
new. A machine that is maintained before it fails is never seen to fail: rows are censored by construction.

Each plant calibrates its sensors in its own way. A sensor fails by itself: it is **stuck**, has **spikes**, sends another
**unit**, or sends nothing (**missing**). No fault of a sensor changes the machine.

All chance is drawn in advance, by plant, machine and day, so two policies of maintenance meet the same days, loads and parts.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.errors import RequestError
from linewright.spec import Spec
from linewright.worlds.costs import Bools, Floats
from linewright.worlds.random_streams import Range, draw_parameters, stream

Ints = NDArray[np.int64]
FaultKind = Literal["stuck", "spike", "unit", "missing"]
KINDS: tuple[FaultKind, ...] = ("stuck", "spike", "unit", "missing")
SITES = (
    "lyon", "turin", "porto", "metz", "gent", "bilbao", "graz", "aarhus", "lodz", "brno", "cork", "tartu",
)  # fmt: skip
SENSORS = ("vibration", "temperature", "pressure")
START = datetime(2025, 1, 2, 6, tzinfo=UTC)
"""When the sensors are read on day 0, a Thursday, on which windows of a week begin; then each day at that time."""
FAILURE = -1_200_000
"""Cents for a failure: repair, and a day without the machine."""
MAINTENANCE = -150_000
"""Cents for a maintenance that was planned."""

_LOAD, _LOAD_SPREAD, _LOAD_LAG = 0.65, 0.1, 0.8
_AMBIENT, _SEASON, _YEAR = 18.0, 9.0, 365.25
_STEPS = 4.0
"""Shape of the gamma step of a day."""
_WEAR_POWER = 10.0
_CYCLES = 64
"""Parts drawn for a machine; after so many maintenances they come again."""
_UNITS: Mapping[str, tuple[float, float]] = {
    "vibration": (1 / 25.4, 0.0),
    "temperature": (1.8, 32.0),
    "pressure": (14.5038, 0.0),
}
"""What a reading is multiplied by, and what is added, in the other unit: inch/s, degrees Fahrenheit, psi."""
_SPIKES = 0.25
"""Share of the readings of a sensor with spikes that are one; the first is."""
_DECIMALS: Mapping[str, int] = {"vibration": 3, "temperature": 2, "pressure": 3}


class Ranges(Spec):
    """What the parameters of this world may be."""

    machines: Range = Range(
        low=14, high=18, unit="machines a plant", because="as in a hall; few fail in a month", whole=True
    )
    history_days: Range = Range(
        low=420, high=420, unit="days", because="more than a year, as a plant would hand over", whole=True
    )
    live_days: Range = Range(
        low=200, high=200, unit="days", because="two or three lives of a machine", whole=True
    )
    life: Range = Range(
        low=75, high=95, unit="days until the wear of a typical machine is 1", because="a quarter"
    )
    parts: Range = Range(
        low=0.25,
        high=0.35,
        unit="standard deviation of the logarithm of how fast parts wear",
        because="some last twice as long as others, which no fixed interval knows",
    )
    risk: Range = Range(
        low=0.25, high=0.35, unit="hazard a day at a wear of 1", because="it fails within days"
    )
    noise: Range = Range(
        low=0.8, high=1.2, unit="factor on the noise of the sensors", because="a reading tells wear, roughly"
    )
    calibration: Range = Range(
        low=0.03,
        high=0.06,
        unit="standard deviation of the gain of a plant's sensors",
        because="plants are calibrated by different people",
    )
    fault_gap: Range = Range(
        low=1500,
        high=2500,
        unit="days between faults of a sensor",
        because="one or two sensors of a plant a month",
    )


RANGES = Ranges()


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """One world's parameters; units and bounds as in `Ranges`."""

    machines: int
    history_days: int
    live_days: int
    life: float
    parts: float
    risk: float
    noise: float
    calibration: float
    fault_gap: float


def draw(seed: int, ranges: Ranges = RANGES) -> Parameters:
    """Return the parameters of the world with this seed."""
    return draw_parameters(Parameters, seed, ranges)


@dataclass(frozen=True, kw_only=True)
class SensorEpisode:
    """A sensor that fails for some days, and the machine does not."""

    site: str
    machine: str
    sensor: str
    kind: FaultKind
    start: int
    """First day."""
    end: int
    """First day on which it works again."""


class _Chance(NamedTuple):
    """What chance brings to a plant: one row a machine, one column a day; of parts a column a cycle."""

    load: Floats
    ambient: Floats
    """One a day."""
    step: Floats
    """What the wear of a day is multiplied by; 1 on average."""
    luck: Floats
    """Equally likely in [0, 1): the machine fails if it is below the day's probability."""
    parts: Floats
    noise: Mapping[str, Floats]
    gain: Mapping[str, float]
    offset: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Morning:
    """What a plant sees on a morning, and what only the world knows."""

    day: int
    readings: pl.DataFrame
    """`reading` (key), `read_at` (UTC), `machine`, `days_run` since the last maintenance or repair, `load`, then the sensors."""
    wear: Floats
    """True wear by machine."""
    hazard: Floats
    """True probability that the machine fails today, if it wears as an average one does today."""


Policy = Callable[[Morning], Bools]
"""Which machines are maintained this morning, by what is seen."""


class Plant:
    """A plant while it works, from some day on.

    Its machines are as new on day 0. A day is `morning`, then `end`, which says which machines were maintained in the morning.

    Examples
    --------
    >>> plant = MachinesWorld(1).plant("lyon")
    >>> morning = plant.morning()
    >>> bool((plant.lives() > 1).all()), morning.readings.columns[:4]
    (True, ['reading', 'read_at', 'machine', 'days_run'])
    >>> failed = plant.end(np.zeros(morning.wear.size, dtype=bool))
    >>> plant.day, int(failed.sum())
    (1, 0)
    """

    def __init__(self, world: "MachinesWorld", site: str) -> None:
        self.world, self.site, self.day = world, site, 0
        self._chance = world.chance(site)
        self._faulty: dict[tuple[str, int], list[tuple[int, SensorEpisode]]] = {}
        many = world.parameters.machines
        self.names = world.machines(site)
        for one in world.faults(site):
            for day in range(one.start, one.end):
                self._faulty.setdefault((one.sensor, day), []).append((self.names.index(one.machine), one))
        self.wear: Floats = np.zeros(many)
        self._cycle: Ints = np.zeros(many, dtype=np.int64)
        self.days_run: Ints = np.zeros(many, dtype=np.int64)
        self.cents = 0
        """What failures and maintenance have cost so far; negative."""
        self.failures = self.maintained = 0
        self._last: dict[str, Floats] = {}

    def copy(self) -> "Plant":
        """Return a plant in the same state, so that another policy may meet the same days."""
        other = copy(self)
        other.__dict__.update(
            {name: array.copy() for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        )
        other.__dict__["_last"] = dict(self._last)
        return other

    def morning(self) -> Morning:
        """Return what is seen today before anything is decided."""
        self._require_day()
        frame: dict[str, Any] = {
            "reading": [f"{name}-{self.day:03}" for name in self.names],
            "read_at": [self.world.start + timedelta(days=self.day)] * len(self.names),
            "machine": self.names,
            "days_run": self.days_run.copy(),
            "load": self._chance.load[:, self.day].round(3),
        }
        right = self._measured()
        frame |= {sensor: self._sent(sensor, right[sensor]) for sensor in SENSORS}
        return Morning(
            day=self.day,
            readings=pl.DataFrame(frame),
            wear=self.wear.copy(),
            hazard=self._failing(self.wear + self._rate(self.day)),
        )

    def end(self, maintained: Bools) -> Bools:
        """End the day: these machines were maintained in the morning; return which fail."""
        self._require_day()
        self._renew(maintained)
        self.wear = self.wear + self._grown(self.day)
        self.days_run += 1
        failed = self._chance.luck[:, self.day] < self._failing(self.wear)
        self._renew(failed)
        self.failures += int(failed.sum())
        self.maintained += int(maintained.sum())
        self.cents += int(failed.sum()) * FAILURE + int(maintained.sum()) * MAINTENANCE
        self.day += 1
        return failed

    def _require_day(self) -> None:
        if self.day >= self.world.days:
            raise RequestError("the world has ended", found=self.day, allowed=f"days below {self.world.days}")

    def _renew(self, which: Bools) -> None:
        self.wear[which] = 0.0
        self.days_run[which] = 0
        self._cycle[which] += 1

    def _rate(self, day: int) -> Floats:
        """Return how much wear a day adds on average: load and heat hasten it."""
        parts = self._chance.parts[np.arange(self.wear.size), self._cycle % _CYCLES]
        heat = np.exp((self._chance.ambient[day] - _AMBIENT) / 60)
        return parts * (self._chance.load[:, day] / _LOAD) ** 1.5 * heat / self.world.parameters.life

    def _grown(self, day: int) -> Floats:
        return self._rate(day) * self._chance.step[:, day]

    def _failing(self, wear: Floats) -> Floats:
        return -np.expm1(-self.world.parameters.risk * wear**_WEAR_POWER)

    def lives(self) -> Ints:
        """Return the true remaining lives in days, were nobody to maintain: today is 1; at most until the world ends."""
        days = range(self.day, self.world.days)
        grown = np.cumsum([self._grown(day) for day in days], axis=0).T
        fails = self._chance.luck[:, self.day :] < self._failing(self.wear[:, None] + grown)
        return np.where(fails.any(axis=1), fails.argmax(axis=1) + 1, len(days)).astype(np.int64)

    def _measured(self) -> dict[str, Floats]:
        """Return what sensors without a fault send, as the plant calibrated them."""
        load, ambient, wear = self._chance.load[:, self.day], self._chance.ambient[self.day], self.wear
        true = {
            "vibration": 1.5 + 4.0 * wear**2 * (0.6 + 0.6 * load),
            "temperature": ambient + 22.0 * load + 9.0 * wear,
            "pressure": 6.0 - 0.9 * wear - 0.4 * load,
        }
        return {
            sensor: np.round(
                true[sensor] * self._chance.gain[sensor]
                + self._chance.offset[sensor]
                + self._chance.noise[sensor][:, self.day],
                _DECIMALS[sensor],
            )
            for sensor in SENSORS
        }

    def _sent(self, sensor: str, right: Floats) -> list[float | None]:
        """Return what a sensor sends, with its faults."""
        sent: list[float | None] = right.tolist()
        held = right
        for place, one in self._faulty.get((sensor, self.day), ()):
            chance = stream(self.world.seed, "sent", one.machine, sensor, self.day)
            match one.kind:
                case "stuck":
                    held = held.copy()
                    held[place] = self._last.get(sensor, right)[place]
                    sent[place] = float(held[place])
                case "missing":
                    sent[place] = None
                case "unit":
                    factor, offset = _UNITS[sensor]
                    sent[place] = round(float(right[place]) * factor + offset, 4)
                case "spike":
                    if self.day == one.start or chance.random() < _SPIKES:
                        sent[place] = round(float(right[place] * chance.uniform(5, 10)), _DECIMALS[sensor])
        self._last[sensor] = held
        return sent


@dataclass(kw_only=True)
class _Open:
    """Readings of a machine that has neither failed nor been maintained since."""

    rows: list[int] = field(default_factory=list[int])
    days: list[int] = field(default_factory=list[int])


class MachinesWorld:
    """Twelve plants with machines that wear out.

    Examples
    --------
    >>> world = MachinesWorld(1)
    >>> len(world.sites), world.history("lyon").columns[-2:]
    (12, ['days', 'failed'])
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: bool = True,
        parameters: Parameters | None = None,
        sites: tuple[str, ...] = SITES,
        start: datetime = START,
    ) -> None:
        self.seed, self.has_faults, self.sites, self.start = seed, faults, sites, start
        self.parameters = p = draw(seed) if parameters is None else parameters
        self.days = p.history_days + p.live_days
        self.go_live = p.history_days
        """First live day."""
        self._live: dict[str, Plant] = {}

    def plant(self, site: str) -> Plant:
        """Return a plant on day 0."""
        if site not in self.sites:
            raise RequestError("the world has no such site", found=site, allowed=", ".join(self.sites))
        return Plant(self, site)

    def history(self, site: str, *, every: int = 7) -> pl.DataFrame:
        """Return the readings of a site before going live, with what became of each machine."""
        mornings, (days, failed) = self._lived(site)
        rows = pl.concat([one.readings for one in mornings]).with_columns(
            days=pl.Series(days), failed=pl.Series(failed)
        )
        many = self.parameters.machines
        number = np.arange(rows.height)
        return rows.filter(pl.Series((number // many + number % many) % every == 0))

    def live(self, site: str) -> Plant:
        """Return a plant on its first live morning, after its history; what it cost is counted from then on."""
        if site not in self._live:
            plant = self.plant(site)
            for _ in self._history(plant):
                pass
            plant.cents = plant.failures = plant.maintained = 0
            self._live[site] = plant
        return self._live[site].copy()

    def _lived(self, site: str) -> tuple[list[Morning], tuple[Ints, Ints]]:
        plant, many = self.plant(site), self.parameters.machines
        mornings: list[Morning] = []
        days = np.zeros(self.go_live * many, dtype=np.int64)
        failed = np.zeros_like(days)
        open_rows = [_Open() for _ in range(many)]

        def close(place: int, day: int, *, has_failed: bool) -> None:
            for row, began in zip(open_rows[place].rows, open_rows[place].days, strict=True):
                days[row], failed[row] = day - began, has_failed
            open_rows[place] = _Open()

        for morning, maintained, broken in self._history(plant):
            mornings.append(morning)
            for place in range(many):
                if maintained[place]:
                    close(place, morning.day, has_failed=False)
                open_rows[place].rows.append(morning.day * many + place)
                open_rows[place].days.append(morning.day)
                if broken[place]:
                    close(place, morning.day + 1, has_failed=True)
        for place in range(many):
            close(place, self.go_live, has_failed=False)
        return mornings, (days, failed)

    def _history(self, plant: Plant) -> Iterator[tuple[Morning, Bools, Bools]]:
        """Live through the history: each machine is maintained after an interval drawn each time, if it has not failed before."""
        chance = stream(self.seed, "intervals", plant.site)
        due = chance.integers(40, 130, self.parameters.machines)
        while plant.day < self.go_live:
            morning = plant.morning()
            maintained = plant.days_run >= due
            cycles = maintained.copy()
            broken = plant.end(maintained)
            cycles |= broken
            due = np.where(cycles, chance.integers(40, 130, due.size), due)
            yield morning, maintained, broken

    def machines(self, site: str) -> list[str]:
        """Return the names of the machines of a site."""
        return [f"{site}-{number:02}" for number in range(1, self.parameters.machines + 1)]

    def chance(self, site: str) -> _Chance:
        """Return what chance brings to a plant."""
        p, shape = self.parameters, (self.parameters.machines, self.days)
        noise = {"vibration": 0.22, "temperature": 0.9, "pressure": 0.07}
        size = {"vibration": 0.15, "temperature": 1.0, "pressure": 0.1}
        calibrated = stream(self.seed, "calibration", site)
        return _Chance(
            load=_loads(stream(self.seed, "load", site), shape),
            ambient=_AMBIENT
            + _SEASON * np.sin(2 * np.pi * (np.arange(self.days) - 105) / _YEAR)
            + stream(self.seed, "weather", site).normal(0, 2, self.days),
            step=stream(self.seed, "step", site).gamma(_STEPS, 1 / _STEPS, shape),
            luck=stream(self.seed, "luck", site).random(shape),
            parts=np.exp(stream(self.seed, "parts", site).normal(0, p.parts, (p.machines, _CYCLES))),
            noise={
                one: p.noise * noise[one] * stream(self.seed, "noise", one, site).standard_normal(shape)
                for one in SENSORS
            },
            gain={one: float(1 + p.calibration * calibrated.standard_normal()) for one in SENSORS},
            offset={one: float(size[one] * calibrated.standard_normal()) for one in SENSORS},
        )

    def faults(self, site: str) -> tuple[SensorEpisode, ...]:
        """Return the faults of the sensors of a site, in the order of machines, sensors and days; none without `faults`."""
        return tuple(self._faults(site)) if self.has_faults else ()

    def _faults(self, site: str) -> Iterator[SensorEpisode]:
        lasts = {"stuck": (15, 40), "spike": (10, 30), "unit": (15, 40), "missing": (8, 30)}
        for machine in self.machines(site):
            for sensor in SENSORS:
                chance = stream(self.seed, "faults", machine, sensor)
                day = 30 + int(chance.exponential(self.parameters.fault_gap))
                while day < self.days:
                    kind = KINDS[int(chance.integers(len(KINDS)))]
                    end = min(self.days, day + int(chance.integers(*lasts[kind])))
                    yield SensorEpisode(
                        site=site, machine=machine, sensor=sensor, kind=kind, start=day, end=end
                    )
                    day = end + 60 + int(chance.exponential(self.parameters.fault_gap))


def _loads(chance: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return loads that change slowly, each machine's its own, in [0.3, 1]."""
    shocks = chance.normal(0, _LOAD_SPREAD * (1 - _LOAD_LAG**2) ** 0.5, shape)
    load = np.empty(shape)
    load[:, 0] = chance.normal(0, _LOAD_SPREAD, shape[0])
    for day in range(1, shape[1]):
        load[:, day] = _LOAD_LAG * load[:, day - 1] + shocks[:, day]
    return np.clip(_LOAD + load, 0.3, 1.0)
