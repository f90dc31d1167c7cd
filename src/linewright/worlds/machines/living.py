"""Living in the world `machines`: a template with twelve sites plans maintenance by remaining life, day by day in simulated time.

Every step is the product's own, as in `worlds.living`: files, training, gates, rings, an endpoint on loopback, the prediction log,
labels that are censored, monitors. Only the clock is the world's.

On one day somebody exports the history again, with lives in months instead of days. Models of that export pass their gates, since the rows
of their gates come from it too. The first ring tries one of them on live rows, and no other site sees it.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import msgspec
import numpy as np
import polars as pl

from linewright.capabilities.serving.worker import tend_inline
from linewright.client import Client
from linewright.engine.context import Progress
from linewright.errors import Terminal
from linewright.line.factory import Factory
from linewright.line.predict.label_file import hand_in
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.release.next_ring import tend_ring
from linewright.line.release.rollout import tend_canary
from linewright.line.runs.execute import execute_inline
from linewright.release.facts import Deployed, Promoted, Withdrawn
from linewright.release.promotion import canary_of
from linewright.store.files.rights import make_asked_folder
from linewright.watch.facts import Alerted
from linewright.worlds.costs import Bools
from linewright.worlds.endpoint import endpoint, wait_for
from linewright.worlds.living import Clock
from linewright.worlds.machines.season import Moment, Season, SiteSeason
from linewright.worlds.machines.upkeep import best_interval, best_possible, run_to_failure, spend
from linewright.worlds.machines.world import FAILURE, MAINTENANCE, MachinesWorld, Plant, SensorEpisode

TEMPLATE = "wear"
DAYS = 57
"""Live days."""
RELEASE = 35
"""Live day on which the history is exported again: by then the first models serve in all rings."""
RINGS = (("lyon",), ("turin", "porto", "metz"))
"""The first rings; the other sites are the last one."""
BAKE = 17
"""Days that a ring serves, or tries a candidate."""
BEFORE = 40
"""Days after which a machine is maintained while no model serves at its site, or a sensor of it is known to fail."""
AGAIN = 10
"""Days after a maintenance in which nobody comes again."""
_KNOWN = 6
"""Days after which a reading is labelled for the first time: its machine has not failed by then."""
_MONTH, _WEEK = 30, 7
_WATCH = "{every: 7d}"
_QUIET_S = 10.0

Report = Callable[[Progress], None]


def write_template(world: MachinesWorld, root: Path, *, bake: int = BAKE, watch: str = _WATCH) -> None:
    """Write the history of each site, and the template that declares its line."""
    make_asked_folder(root / "data")
    (root / "lines").mkdir(parents=True, exist_ok=True)
    for site in world.sites:
        world.history(site).write_csv(root / "data" / f"{site}.csv")
    text = _TEMPLATE.format(
        rings=", ".join(f"[{', '.join(ring)}]" for ring in _rings(world)),
        bake=bake,
        failure=FAILURE / 100,
        maintenance=MAINTENANCE / 100,
        watch=watch,
        sites="\n".join(
            f"  {site}: {{sources: {{readings: {{file: data/{site}.csv}}}}}}" for site in world.sites
        ),
    )
    (root / "lines" / f"{TEMPLATE}.yaml").write_text(text, encoding="utf-8")


_TEMPLATE = """\
line: wear
about: "Say how long a machine still works, so that it is maintained before it fails and not much before"
tags: [plants]
sources: {{readings: {{file: data/lyon.csv}}}}
table: {{key: reading, time: read_at, group: machine}}
label: {{column: days, event: failed}}
contract:
  columns:
    reading: {{type: category, unique: true}}
    read_at: {{type: datetime}}
    machine: {{type: category}}
    days_run: {{type: integer, min: 0}}
    load: {{type: number, min: 0, max: 1}}
    vibration: {{type: number}}    # mm/s
    temperature: {{type: number}}  # degrees Celsius
    pressure: {{type: number}}     # bar
train: {{task: rul, budget: quick, folds: 3, split: {{by: random}}}}
gates:
  - {{metric: concordance, at_least: 0.6}}
  - {{beats: champion}}
maintenance: {{currency: EUR, failure: {failure:.0f}, inspection: {maintenance:.0f}}}
release: {{rollout: shadow, bake: {bake}d, rings: [{rings}, rest]}}
watch: {watch}
sites:
{sites}
"""


def _rings(world: MachinesWorld) -> list[list[str]]:
    """Return the first rings, of the sites that the world has."""
    rings = [[site for site in ring if site in world.sites] for ring in RINGS]
    return [ring for ring in rings if ring]


def live(
    world: MachinesWorld, root: Path, *, report: Report, days: int = DAYS, release: int | None = RELEASE
) -> Season:
    """Make a template of a world's history and live through its days."""
    clock = Clock(_instant(world, 0))
    write_template(world, root)
    with Factory.create(root, report=report, actor="linewright", now=clock) as factory:
        living = Plants(world, factory, clock, report, release)
        living.run_all()
        with endpoint(factory) as url, Client(url) as client:
            for day in range(days):
                living.day(day, client)
                report(
                    Progress(
                        step=f"day {day}",
                        says=f"{len(living.serving)} of {len(world.sites)} sites serve",
                        done=day + 1,
                        of=days,
                    )
                )
        return living.season(days)


def planned(plant: Plant, act_by: Sequence[float | None], failing: Collection[str]) -> Bools:
    """Return the machines that are maintained today."""
    due = np.array([time is not None and time <= 0 for time in act_by], dtype=bool) & (
        plant.days_run >= AGAIN
    )
    by_days = np.array([name in failing for name in plant.names], dtype=bool)
    return np.where(by_days, plant.days_run >= BEFORE, due)


@dataclass
class _Site:
    """A plant and what is not known of its readings yet."""

    plant: Plant
    open: dict[str, deque[tuple[str, int]]] = field(default_factory=dict[str, deque[tuple[str, int]]])
    """Readings of each machine since it was last renewed, with their days."""
    young: deque[tuple[str, str, int]] = field(default_factory=deque[tuple[str, str, int]])
    """Readings without any label yet, with their machines."""
    served_from: int | None = None


@dataclass
class Plants:
    """The plants of a world that plan their maintenance by the lines of a factory."""

    world: MachinesWorld
    factory: Factory
    clock: Clock
    report: Report
    release: int | None = None
    moments: list[Moment] = field(default_factory=list[Moment])
    spent: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.sites = {site: _Site(self.world.live(site)) for site in self.world.sites}

    @property
    def serving(self) -> list[str]:
        """Sites at which a model answers."""
        return [site for site, one in self.sites.items() if one.served_from is not None]

    def run_all(self) -> None:
        """Run the lines of all sites, those of the first ring first."""
        for site in self.world.sites:
            ran = execute_inline(self.factory, _line(site))
            if ran.verdict == "reject":
                raise Terminal("a model was not passed by its gates", where=_line(site), found=ran.because)
        for site in _rings(self.world)[0]:
            self._say(0, "served", site, "the first ring serves the first models")

    def day(self, day: int, client: Client) -> None:
        """Live through a day at all sites: readings in the morning, then work, and in the evening what is due."""
        if day == self.release:
            self._export_anew(day)
        before = sum(one.plant.cents for one in self.sites.values())
        self.clock.at = _instant(self.world, day)
        self.work(day, client)
        self.spent.append(sum(one.plant.cents for one in self.sites.values()) - before)
        self.clock.at = _instant(self.world, day) + timedelta(hours=18, seconds=1)
        for site in self.world.sites:
            self._tend(day, site)

    def work(self, day: int, client: Client) -> None:
        """Let all sites ask about their machines and work for a day; `day` is counted from going live."""
        self._look_for_champions(day, client)
        for site, one in self.sites.items():
            self._work(site, one, client)

    def _look_for_champions(self, day: int, client: Client) -> None:
        for site, one in self.sites.items():
            champion = self.factory.metadata.pointer(_line(site)).champion
            if champion is not None and one.served_from is None:
                wait_for(client, f"{_line(site)}@{champion}")
                one.served_from = day

    def _work(self, site: str, one: _Site, client: Client) -> None:
        plant = one.plant
        morning = plant.morning()
        if one.served_from is None:
            plant.end(plant.days_run >= BEFORE)
            return
        rows = morning.readings.with_columns(pl.col("read_at").dt.to_string("iso:strict"))
        answers = client.predict(_line(site), rows.to_dicts()).predictions
        failing = {
            alert.group or "" for alert in open_alerts(self.factory, _line(site)) if alert.monitor == "sensor"
        }
        maintained = planned(plant, [each.act_by for each in answers], failing)
        known = self._renewed(one, maintained, morning.day, "+")
        for key, machine in zip(rows["reading"], plant.names, strict=True):
            one.open.setdefault(machine, deque()).append((key, morning.day))
            one.young.append((key, machine, morning.day))
        failed = plant.end(maintained)
        known |= self._renewed(one, failed, morning.day + 1, "")
        while one.young and one.young[0][2] <= morning.day + 1 - _KNOWN:
            key, machine, began = one.young.popleft()
            if any(key == each for each, _ in one.open.get(machine, ())):
                known[key] = f"{morning.day + 1 - began}+"
        self._hand_in(site, known)

    def _renewed(self, one: _Site, which: Bools, day: int, sign: str) -> dict[str, str]:
        """Return what is known by now of the readings of machines that failed (no sign) or were maintained (plus)."""
        known: dict[str, str] = {}
        for place in np.flatnonzero(which).tolist():
            for key, began in one.open.pop(one.plant.names[place], ()):
                if day > began:
                    known[key] = f"{day - began}{sign}"
        return known

    def _hand_in(self, site: str, known: dict[str, str]) -> None:
        if known:
            file = self.factory.root / "data" / "known.csv"
            pl.DataFrame({"key": list(known), "label": list(known.values())}).write_csv(file)
            hand_in(self.factory, _line(site), file)

    def _tend(self, day: int, site: str) -> None:
        """Do what is due about a site in the evening, and say what came of it."""
        spec, metadata = self.factory.line(_line(site)), self.factory.metadata
        if canary_of(metadata, spec.line) is not None:
            self._wait_for_copies(spec.line)
        done = tend_canary(self.factory, spec)
        if isinstance(done, Withdrawn):
            self._say(day, "halted", site, f"{spec.line}@{done.model} was withdrawn: {done.because}")
        began = tend_ring(self.factory, spec)
        if isinstance(began, Promoted):
            self._say(day, "served", site, f"{spec.line}@{began.model} serves: {began.because}")
        if isinstance(began, Deployed):
            self._say(day, "tried", site, f"{spec.line}@{began.model} is tried")
        if (self.world.go_live + day) % _WEEK == 0:
            known = {one.id for one in metadata.events(Alerted, line=spec.line)}
            tend_inline(self.factory, spec.line)
            for one in metadata.events(Alerted, line=spec.line):
                if one.id not in known and one.monitor == "sensor":
                    self._say(day, "sensor", site, one.because)

    def _wait_for_copies(self, line: str) -> None:
        """Wait until the candidate has no copies of the day left: it gets them apart from the endpoint, by the clock of the machine."""
        folder, seen, until = self.factory.copies_of(line), -1, monotonic() + _QUIET_S
        while monotonic() < until:
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if size == seen:
                return
            seen = size
            sleep(0.05)

    def _export_anew(self, day: int) -> None:
        """Export the histories with lives in months, and have all sites trained by them."""
        root = self.factory.root
        make_asked_folder(root / "export")
        for site in self.world.sites:
            rows = pl.read_csv(root / "data" / f"{site}.csv").with_columns((pl.col("days") / _MONTH).round(3))
            rows.write_csv(root / "export" / f"{site}.csv")
        path = root / "lines" / f"{TEMPLATE}.yaml"
        path.write_text(
            path.read_text(encoding="utf-8").replace("file: data/", "file: export/"), encoding="utf-8"
        )
        self._say(
            day,
            "released",
            "",
            "the history is exported again, with lives in months instead of days, and all sites train by it",
        )
        for site in self.world.sites:
            ran = execute_inline(self.factory, _line(site))
            if canary_of(self.factory.metadata, _line(site)) is not None:
                self._say(day, "tried", site, f"{ran.candidate} passed its gates and is tried")

    def _say(self, day: int, kind: str, site: str, says: str) -> None:
        moment = msgspec.convert({"day": day, "kind": kind, "site": site, "says": says}, Moment)
        self.moments.append(moment)
        self.report(Progress(step=f"day {day}", says=f"{kind} {site}: {says}", stays=True))

    def season(self, days: int) -> Season:
        """Return what happened, and what other policies had cost on the same days."""
        interval, fixed = best_interval(self.world, days=days)
        plants = [one.plant for one in self.sites.values()]
        return Season(
            seed=self.world.seed,
            currency="EUR",
            days=tuple(self.spent),
            interval=interval,
            fixed=fixed.by_day,
            never=spend(self.world, run_to_failure, days=days).cents,
            best=best_possible(self.world, days=days).cents,
            failures=sum(one.failures for one in plants),
            maintained=sum(one.maintained for one in plants),
            sites=tuple(self._site(site, one) for site, one in self.sites.items()),
            moments=tuple(self.moments),
        )

    def _site(self, site: str, one: _Site) -> SiteSeason:
        metadata, line = self.factory.metadata, _line(site)
        named = [each for each in metadata.events(Alerted, line=line) if each.monitor == "sensor"]
        episodes = self.world.faults(site)
        is_about = partial(_is_about, start=self.world.start)
        seen = [each for each in episodes if self._could_be_seen(each, one)]
        versions = [
            each.model
            for each in (*metadata.events(Promoted, line=line), *metadata.events(Deployed, line=line))
        ]
        return SiteSeason(
            site=site,
            ring=next((place for place, ring in enumerate(RINGS, 1) if site in ring), len(RINGS) + 1),
            served_from=one.served_from,
            models=tuple(sorted(set(versions))),
            faults=len(seen),
            named=sum(any(is_about(alert, each) for alert in named) for each in seen),
            false=sum(not any(is_about(alert, each) for each in episodes) for alert in named),
        )

    def _could_be_seen(self, episode: SensorEpisode, one: _Site) -> bool:
        """Return whether a fault began after enough readings, and lasted beyond the end of a window."""
        if one.served_from is None:
            return False
        first = self.world.go_live + one.served_from + 20
        window = min(episode.end, one.plant.day - 1) // _WEEK * _WEEK
        return episode.start >= first and window - episode.start >= _KNOWN


def _is_about(alert: Alerted, episode: SensorEpisode, start: datetime) -> bool:
    words = {
        "stuck": "is stuck at",
        "missing": "sends no value",
        "spike": "spike",
        "unit": "sends numbers in",
    }
    since = (datetime.fromisoformat(alert.since) - start).days
    is_there = (alert.group, alert.column) == (episode.machine, episode.sensor)
    return is_there and words[episode.kind] in alert.because and episode.start - 1 <= since < episode.end


def _line(site: str) -> str:
    return f"{TEMPLATE}.{site}"


def _instant(world: MachinesWorld, day: int) -> datetime:
    return world.start + timedelta(days=world.go_live + day)
