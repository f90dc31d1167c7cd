"""Living through a world: a line is made, serves, is watched, retrains, day by day in simulated time.

Every step is the product's own: files on disk, contract, training, gates, an endpoint on loopback, the prediction log,
labels through feedback, monitors, certificates. Only the clock is the world's.
"""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.serving.worker import tend_inline
from linewright.capabilities.value.update import keep_account
from linewright.client import Client
from linewright.data.profile.roles import GivenRoles
from linewright.engine.context import Progress
from linewright.errors import Terminal
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.file.view_file import view_path
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.release.view_maintenance import refresh_records
from linewright.line.runs.execute import execute_inline
from linewright.model.package.model import Model, load
from linewright.store.clock import text_of
from linewright.store.files.rights import make_asked_folder
from linewright.watch.facts import Alerted, Proposed
from linewright.worlds.endpoint import endpoint, wait_for
from linewright.worlds.fraud.world import FraudWorld
from linewright.worlds.life import Day, Life, Moment

LINE = "payments"
LABEL = "fraud"
KEY = "payment"
TIME = "paid_at"
VIEW = """\
view: customer
about: "What the bank knows of a customer"
entity: customer
source: {file: data/customers.csv}
time: opened_at
known: registered_at  # the file has customers of later days too, and nobody counts before
every: 2d
columns:
  home_country: last(home_country)
  age_group: last(age_group)
  sex: last(sex)
  account_age: since()
"""
"""The feature view of the line: payments name the customer, and do not say again who that is."""
LOOKED_UP = ("home_country", "age_group", "sex", "account_age_days")
"""Columns of payments that the view has."""
LIVE = 50
"""Payments a day that are asked for at the endpoint, one request each minute of the day that has one; the others are
scored in one batch at night."""

Report = Callable[[Progress], None]


class Watcher(Protocol):
    """Told of each day when it is over."""

    def __call__(self, day: Day, moments: list[Moment]) -> None:
        """Take a day and what happened on it."""
        ...


@dataclass
class Clock:
    """The time in a world: UTC; it stands still until it is set."""

    at: datetime

    def __call__(self) -> str:
        """Return the time, RFC 3339 with microseconds."""
        return text_of(self.at)


@contextmanager
def first_model(factory: Factory, line: str) -> Generator[tuple[Model, Client]]:
    """Train the first model of a line, and serve it; give it with a client of the endpoint."""
    ran = run_first(factory, line)
    with endpoint(factory) as url, Client(url) as client:
        yield load(ran.digest, factory.artifacts.get), client


def run_first(factory: Factory, line: str) -> RunResult:
    """Train the first model of a line, which serves from then on."""
    ran = execute_inline(factory, line)
    if not ran.promoted:
        raise Terminal("the first model was not promoted", where=line, found=ran.because)
    return ran


def live(world: FraudWorld, root: Path, *, report: Report, watcher: Watcher) -> Life:
    """Make a line of a world's history and live through its days."""
    clock = Clock(midnight(world.day(world.go_live).date))
    _write_line(world, root)
    with Factory.create(root, report=report, actor="linewright", now=clock) as factory:
        with first_model(factory, LINE) as (first, client):
            living = _Living(world, factory, clock, client, first)
            for number in range(world.go_live, world.days):
                day, moments = living.day(number)
                watcher(day, moments)
        keep_account(factory, factory.line(LINE))
    return Life(
        world="fraud",
        seed=world.seed,
        is_attacked=world.attack,
        line=LINE,
        currency=world.stakes.currency,
        days=tuple(living.days),
        moments=tuple(living.moments),
    )


# Before the first day


def _write_line(world: FraudWorld, root: Path) -> None:
    """Write the history whose truth is known when the line begins, the customers, and the files of the line and its view."""
    data = root / "data" / "payments.csv"
    make_asked_folder(data.parent)
    known = range(world.go_live - world.label_delay.days)
    pl.concat([sent(world.day(number).labelled) for number in known]).write_csv(data)
    world.customers.write_csv(data.with_name("customers.csv"), datetime_format="%Y-%m-%d %H:%M:%S")
    view = view_path(root, "customer")
    make_asked_folder(view.parent)
    view.write_text(VIEW, encoding="utf-8")
    made = new_line(root, LINE, data, GivenRoles(label=LABEL, positive="yes", key=KEY, time=TIME))
    path = Path(made.path)
    path.write_text(_declared(path.read_text(encoding="utf-8"), world), encoding="utf-8")


_BUDGET = "budget: quick                 # so that this life takes a minute; `normal` tries more"


def _declared(drafted: str, world: FraudWorld) -> str:
    """Return what `new` wrote, with what only a person can know."""
    value = ", ".join(f"{name}: {amount}" for name, amount in world.stakes.value_section().items())
    text = drafted.replace('positive: "yes"}', f'positive: "yes", delay: {world.label_delay.days}d}}', 1)
    text = re.sub(r"budget: normal +#.*", _BUDGET, text, count=1)
    kept = [
        line
        for line in text.splitlines()
        if not line.startswith(("# label:", "# value:", "# watch:", "# retrain:"))
    ]
    return "\n".join(
        [
            *kept,
            f"value: {{{value}}}  # a blocked genuine payment, a missed fraud",
            "watch: {every: 1d}  # one window a day; performance is judged by what the certificate promised",
            "retrain: {when: [drift, performance], cooldown: 3d}",
            "",
        ]
    )


def sent(payments: pl.DataFrame) -> pl.DataFrame:
    """Return payments as they are sent: without what the feature view looks up."""
    return payments.drop(LOOKED_UP)


def with_features(world: FraudWorld, payments: pl.DataFrame) -> pl.DataFrame:
    """Return payments with what the feature view knows of their customers when each is made."""
    opened = payments.join(world.customers, on="customer", how="left", maintain_order="left")["opened_at"]
    age = (payments[TIME] - opened).dt.total_microseconds() / 1e6
    return payments.with_columns(age.alias("account_age"))


# Day by day


@dataclass
class _Living:
    world: FraudWorld
    factory: Factory
    clock: Clock
    client: Client
    first: Model
    """The first champion: what would serve if the line never retrained."""
    days: list[Day] = field(default_factory=list[Day])
    moments: list[Moment] = field(default_factory=list[Moment])

    def day(self, number: int) -> tuple[Day, list[Moment]]:
        """Live through one day: payments are answered, labels come in, and at midnight the line is tended."""
        today = self.world.day(number)
        live_day = number - self.world.go_live
        refresh_records(self.factory, LINE)
        decided = self._answer(sent(today.payments), today.date)
        model = self._champion()
        self._bring_labels(number, today.date)
        self.clock.at = midnight(today.date) + timedelta(days=1, seconds=1)
        moments = [*self._attack(number), *self._tend(live_day)]
        stakes = self.world.stakes
        day = Day(
            day=live_day,
            date=today.date.isoformat(),
            payments=len(today.fraud),
            frauds=int(today.fraud.sum()),
            model=model,
            value=stakes.value(today.fraud, decided),
            never=stakes.value(today.fraud, self._by_first(today.payments)),
            best=stakes.value(today.fraud, stakes.best_decision(today.p_true)),
        )
        self.days.append(day)
        self.moments.extend(moments)
        return day, moments

    def _champion(self) -> str:
        return f"{LINE}@{self.factory.metadata.pointer(LINE).champion}"

    def _bring_labels(self, number: int, today: date) -> None:
        """Hand in what became known on a day; of payments from before the line began there was no prediction."""
        self.clock.at = datetime.combine(today, time(23, 59, 30), tzinfo=UTC)
        file = self.factory.root / "data" / "labels.csv"
        self.world.labels_during(number).select(key=KEY, label=LABEL).write_csv(file)
        hand_in(self.factory, LINE, file)

    def _answer(self, payments: pl.DataFrame, today: date) -> np.ndarray:
        """Return which payments the line blocks: some asked at the endpoint as they come, the rest at night."""
        is_live = np.zeros(payments.height, dtype=bool)
        is_live[:: max(1, payments.height // LIVE)] = True
        blocked: dict[str, bool] = {}
        for row in payments.filter(pl.Series(is_live)).iter_rows(named=True):
            self.clock.at = row[TIME].replace(tzinfo=UTC)
            (answered,) = self.client.predict(LINE, [row]).predictions
            blocked[row[KEY]] = answered.prediction == "yes"
        self.clock.at = datetime.combine(today, time(23, 59), tzinfo=UTC)
        file, out = (self.factory.root / "data" / name for name in ("today.csv", "answers.csv"))
        payments.filter(pl.Series(~is_live)).write_csv(file)
        predict_file(self.factory, LINE, file, out)
        answers = pl.read_csv(out, columns=[KEY, "prediction"])
        blocked |= {key: said == "yes" for key, said in answers.iter_rows()}
        return np.array([blocked[key] for key in payments[KEY]], dtype=bool)

    def _by_first(self, payments: pl.DataFrame) -> np.ndarray:
        encoder, known = self.first.package.encoder, with_features(self.world, payments)
        scores = self.first.scores(encode(encoder, to_columns(known, encoder.columns)))
        return scores[:, 1] >= (self.first.package.threshold or 0.5)

    def _attack(self, number: int) -> list[Moment]:
        if not self.world.attack or number != self.world.attack_day:
            return []
        return [
            Moment(
                day=number - self.world.go_live,
                kind="attack",
                says="a new kind of fraud begins: card testing at night; nobody is told",
            )
        ]

    def _tend(self, live_day: int) -> list[Moment]:
        """Close the day's window; say what was found and what the line did about it."""
        metadata = self.factory.metadata
        told = len(metadata.events(Alerted, line=LINE)), len(metadata.events(Proposed, line=LINE))
        _, ran = tend_inline(self.factory, LINE)
        if ran is not None and ran.promoted:
            wait_for(self.client, ran.candidate)
        alerts = metadata.events(Alerted, line=LINE)[told[0] :]
        proposed = metadata.events(Proposed, line=LINE)[told[1] :]
        return [
            *(Moment(day=live_day, kind="alert", says=one.because, evidence=one.evidence) for one in alerts),
            *(
                Moment(day=live_day, kind="proposed", says=one.because, evidence=one.proposal)
                for one in proposed
            ),
            *(_said(ran, live_day) if ran else ()),
        ]


def _said(ran: RunResult, live_day: int) -> list[Moment]:
    kind = "promoted" if ran.promoted else "refused"
    return [Moment(day=live_day, kind=kind, says=f"{ran.candidate}: {ran.because}", evidence=ran.certificate)]


def midnight(day: date) -> datetime:
    """Return the first instant of a day, UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)
