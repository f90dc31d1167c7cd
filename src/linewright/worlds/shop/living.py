"""Living through the world `shop`: a line learns from baskets, shows lists, hears what was taken, and retrains, day by day."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.serving.worker import tend_inline
from linewright.charts import Axis, Line, LineChart, Mark, Point
from linewright.charts import to_svg as draw
from linewright.client import Client
from linewright.data.profile.roles import GivenRoles
from linewright.engine.context import Progress
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model, lists_valued
from linewright.line.runs.execute import execute_inline
from linewright.model.package.model import Model, load
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import text_of
from linewright.store.files.rights import make_asked_folder
from linewright.worlds.endpoint import wait_for
from linewright.worlds.life import ShopDay, ShopLife
from linewright.worlds.living import Clock, first_model, midnight
from linewright.worlds.shop.world import ShopWorld

LINE = "shop"
EXPLORE = 0.1
"""Share of the lists that is drawn."""
_RETRAINED = 12
"""Live day on whose evening the line learns from what came since."""

Report = Callable[[Progress], None]


def live(world: ShopWorld, root: Path, *, report: Report, watcher: Callable[[ShopDay], None]) -> ShopLife:
    """Make a line of a world's baskets and live through its days."""
    clock = Clock(midnight(world.day(world.go_live).date))
    _write_line(world, root)
    with Factory.create(root, report=report, actor="linewright", now=clock) as factory:
        with first_model(factory, LINE) as (_, client):
            shopping = _Shopping(world=world, factory=factory, clock=clock, client=client)
            for number in range(world.go_live, world.days):
                watcher(shopping.day(number))
        return shopping.life()


def popular_items(world: ShopWorld, *, before: int) -> list[str]:
    """Return the items that were bought before a day, most bought first."""
    counts = world.bought(range(before))["item"].value_counts(sort=False)
    return counts.sort(["count", "item"], descending=[True, False])["item"].to_list()


def _write_line(world: ShopWorld, root: Path) -> None:
    data = root / "data" / "sales.csv"
    make_asked_folder(data.parent)
    world.bought(range(world.go_live)).write_csv(data)
    made = new_line(root, LINE, data, GivenRoles(label="item"), task="recommend")
    path = Path(made.path)
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"budget: normal +#.*", "budget: quick", text, count=1)
    text = re.sub(
        r"(?m)^recommend:\n",
        f"recommend:\n  explore: {EXPLORE}  # this share of the lists is drawn\n",
        text,
        count=1,
    )
    text = re.sub(r"(?m)^# watch:.*\n", "", text) + "watch: {every: 1d}\n"
    path.write_text(text, encoding="utf-8")


@dataclass(kw_only=True)
class _Shopping:
    world: ShopWorld
    factory: Factory
    clock: Clock
    client: Client
    days: list[ShopDay] = field(default_factory=list[ShopDay])

    def day(self, number: int) -> ShopDay:
        """Live through one day: visits get their lists, what was taken comes back, at midnight the line is tended."""
        world, today = self.world, self.world.day(number)
        model = f"{LINE}@{self.factory.metadata.pointer(LINE).champion}"
        lists: list[list[str]] = []
        ids: list[str] = []
        drawn = 0
        for customer, at, history in today.visits.select("customer", "at", "history").iter_rows():
            self.clock.at = at
            (said,) = self.client.predict(LINE, [{"customer": customer, "history": history}]).predictions
            lists.append(
                [str(item) for item in said.prediction] if isinstance(said.prediction, tuple) else []
            )
            ids.append(said.id)
            drawn += said.explored
        self.clock.at = datetime.combine(today.date, time(23, 59, 30), tzinfo=UTC)
        taken = world.taken(today, lists)
        self.client.feedback(
            LINE, [{"id": one, "label": items} for one, items in zip(ids, taken, strict=True)]
        )
        self.clock.at = midnight(today.date) + timedelta(days=1, seconds=1)
        tend_inline(self.factory, LINE)
        popular = popular_items(world, before=number)[: len(lists[0])]
        done = ShopDay(
            day=number - world.go_live,
            date=today.date.isoformat(),
            lists=len(lists),
            drawn=drawn,
            taken=sum(map(len, taken)),
            model=model,
            value=world.value(today, lists),
            popular=world.value(today, [popular] * len(lists)),
            best=world.value(today, world.best_lists(today, length=len(lists[0]))),
        )
        self.days.append(done)
        if done.day == _RETRAINED:
            self._retrain(number)
        return done

    def _retrain(self, number: int) -> None:
        """Learn from the baskets until this evening."""
        self.world.bought(range(number + 1)).write_csv(self.factory.root / "data" / "sales.csv")
        ran = execute_inline(self.factory, LINE, as_of=self.factory.now())
        if ran.promoted:
            wait_for(self.client, ran.candidate)

    def life(self) -> ShopLife:
        """Return what happened, with what the line found of its lists next to their true value."""
        champion = find_model(self.factory, LINE)
        event = lists_valued(self.factory.metadata, LINE, package=champion.digest)
        return ShopLife(
            world="shop",
            seed=self.world.seed,
            line=LINE,
            days=tuple(self.days),
            champion=f"{LINE}@{champion.version}",
            estimate=event.found if event else None,
            true_value=self._true_value(
                load(champion.digest, self.factory.artifacts.get), event.since if event else ""
            ),
        )

    def _true_value(self, model: Model, since: str) -> float:
        """Return the true value of the lists of a model for the visits since an instant, none of them drawn."""
        scorer, taken, lists = Scorer(model), 0.0, 0
        for number in range(self.world.go_live, self.world.days):
            today = self.world.day(number)
            if text_of(midnight(today.date)) < since:
                continue
            asked = [{"history": history} for history in today.visits["history"].to_list()]
            said = [one["prediction"] for one in scorer.score(asked)]
            taken += self.world.value(today, said) * len(said)
            lists += len(said)
        return taken / max(lists, 1)


def to_svg(life: ShopLife) -> str:
    """Return a life as an SVG image that needs nothing from elsewhere: the true value of lists, day by day."""
    lines = (
        ("best possible", [day.best for day in life.days]),
        ("the line", [day.value for day in life.days]),
        ("popular items", [day.popular for day in life.days]),
    )
    changes = [
        Mark(at=day.day, name=day.model)
        for before, day in itertools.pairwise(life.days)
        if day.model != before.model
    ]
    own, popular = (sum(values) / max(len(values), 1) for _, values in lines[1:])
    chart = LineChart(
        title=f"Items taken of a list: {own:.2f} by the line, {popular:.2f} of popular items",
        x=Axis(label="day"),
        y=Axis(label="items taken of a list, by the true probabilities"),
        lines=tuple(
            Line(
                name=name,
                points=tuple(
                    Point(at=day.day, value=value) for day, value in zip(life.days, values, strict=True)
                ),
            )
            for name, values in lines
        ),
        marks=tuple(changes),
    )
    return draw(chart, width=960, is_standalone=True)
