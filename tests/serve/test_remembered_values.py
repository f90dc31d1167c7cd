"""Newer values that requests bring are known to later requests that name the series alone, if the line says so."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import stores

from linewright.line.factory import Factory
from linewright.line.loop.worker import tend_inline
from linewright.line.predict.replay import replay_prediction
from linewright.line.predict.rows_by_series import series_known
from linewright.line.runs.execute import execute_inline
from linewright.release.facts import SeriesRead
from linewright.serve.rows.known_series import newest_time
from linewright.worlds.endpoint import endpoint
from linewright.worlds.living import Clock

DAYS = 100
ALL = stores.sales(DAYS + 20)
CONTRACT = "contract: {columns: {amount: {type: number, min: 0}}}\n"


def day(number: int) -> str:
    """Return the date of a day, the first of which is 0."""
    return (stores.START + timedelta(days=number)).isoformat()


def values_of(store: str, days: int) -> list[float]:
    return ALL.filter(pl.col("store") == store)["amount"].to_list()[:days]


def sent(store: str, days: int = DAYS + 2, *, newest: float | None = None) -> dict[str, object]:
    """Return a row with the values of a store up to a number of days."""
    values = values_of(store, days)[-40:]
    return {
        "store": store,
        "day": day(days - 1),
        "recent": values if newest is None else [*values[:-1], newest],
    }


class World(NamedTuple):
    factory: Factory
    clock: Clock
    url: str

    def ask(self, *rows: dict[str, object]) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            f"{self.url}/v1/lines/{stores.LINE}/predict",
            json.dumps({"rows": rows}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["predictions"]

    def tend(self) -> None:
        """Look after the line once, and wait until the endpoint knows what it says."""
        self.clock.at += timedelta(minutes=11)
        tend_inline(self.factory, stores.LINE)
        time.sleep(0.6)

    def known(self, store: str) -> tuple[str | int, list[float | None]]:
        """Return the time of the newest known value of a store, and its values."""
        values = series_known(self.factory, stores.LINE).read()
        assert values is not None
        place = values.place((store,))
        assert place is not None
        return newest_time(values, place), values.values_at(place)


def make(root: Path, *, more: str = ", remember: true", end: str = "") -> tuple[Factory, Clock]:
    factory, clock = stores.make_stores(root, more=more, days=DAYS)
    path = factory.path_of(stores.LINE)
    path.write_text(path.read_text() + end)
    clock.at += timedelta(days=4)
    return factory, clock


@pytest.fixture
def make_world(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., World]:
    """Return what makes a line that serves."""

    def made(**words: str) -> World:
        factory, clock = make(tmp_path / "factory", **words)
        request.addfinalizer(factory.close)
        assert execute_inline(factory, stores.LINE).promoted
        serving = endpoint(factory)
        url = serving.__enter__()
        request.addfinalizer(lambda: serving.__exit__(None, None, None))
        return World(factory, clock, url)

    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made, clock = make(tmp_path_factory.mktemp("remembered") / "factory", end=CONTRACT)
    with made:
        assert execute_inline(made, stores.LINE).promoted
        with endpoint(made) as url:
            yield World(made, clock, url)


def test_a_request_that_names_a_series_alone_gets_what_an_earlier_one_brought(world: World):
    """Its row in the log has the values, so that it is computed again as any other."""
    before, brought = (*world.ask({"store": "s03"}), *world.ask(sent("s03")))
    world.tend()
    after = world.ask({"store": "s03"})[0]
    replayed = replay_prediction(world.factory, after["id"])

    assert (day(DAYS - 1), day(DAYS + 1)) == (before["newest"], after["newest"])
    assert before["age"] - 2 == after["age"]
    assert (day(DAYS + 1), values_of("s03", DAYS + 2)[-len(world.known("s03")[1]) :]) == world.known("s03")
    assert 0 == replayed.difference
    assert values_of("s03", DAYS + 2)[-3:] == replayed.row["recent"][-3:]
    assert brought["prediction"] == pytest.approx(after["prediction"], rel=0.2)
    assert day(DAYS - 1) == world.known("s04")[0]


def test_what_came_last_counts_and_an_echo_of_what_was_known_does_not(world: World):
    """A row that got a value from here would else bring back what was corrected since."""
    world.ask(sent("s05", newest=50.0))
    world.tend()
    first = world.known("s05")[1][-1]
    world.ask(sent("s05", newest=52.0))
    world.clock.at += timedelta(seconds=1)
    echo = world.ask({"store": "s05"})[0]
    world.tend()

    assert 50.0 == first == replay_prediction(world.factory, echo["id"]).row["recent"][-1]
    assert 52.0 == world.known("s05")[1][-1]


@pytest.mark.parametrize(
    "row",
    [
        {**sent("s06"), "day": day(DAYS + 9)},
        {**sent("s06"), "recent": [one * 1.1 for one in values_of("s06", DAYS + 2)[-40:]]},
        {**sent("s06"), "recent": [7.0]},
        sent("s06", newest=-1.0),
        sent("s06", DAYS - 3, newest=1.0),
        {**sent("s06"), "store": "elsewhere"},
        {**sent("s06"), "recent": [*values_of("s06", DAYS + 1)[-40:], None]},
    ],
    ids=[
        "future",
        "another-history",
        "no-history",
        "contract",
        "what-the-run-has-read",
        "no-series",
        "no-value",
    ],
)
def test_what_is_doubtful_is_answered_and_not_remembered(world: World, row: dict[str, object]):
    """Whoever may ask could else say what others are answered from."""
    before = world.known("s06")
    assert world.ask(row)[0]["prediction"]
    world.tend()

    assert before == world.known("s06")


def test_only_a_line_that_says_so_remembers(make_world):
    """And one that says so no longer answers from its run again."""
    world = make_world(more="")
    world.ask(sent("s03"))
    world.tend()
    first = world.known("s03")
    path = world.factory.path_of(stores.LINE)
    plain = path.read_text()
    path.write_text(plain.replace("horizon: 7", "horizon: 7, remember: true"))
    world.tend()
    second = world.known("s03")
    path.write_text(plain)
    world.tend()

    assert day(DAYS + 1) == second[0]
    assert day(DAYS - 1) == first[0]
    assert first == world.known("s03")


def test_what_a_run_reads_counts_and_newer_values_stay_behind_it(make_world):
    """Also in another process, which knows from the record how far the log was read."""
    world = make_world()
    world.ask(sent("s03", DAYS + 1, newest=1.0), sent("s04"))
    world.ask(sent("s03"))
    world.tend()
    stores.sales(DAYS + 1).write_csv(world.factory.root / "sales.csv")
    execute_inline(world.factory, stores.LINE)
    newest, values = world.known("s03")
    events = world.factory.metadata.events(SeriesRead, line=stores.LINE)
    with Factory.open(world.factory.root, now=world.clock) as again:
        tend_inline(again, stores.LINE)
        after = again.metadata.events(SeriesRead, line=stores.LINE)

    assert day(DAYS + 1) == newest == world.known("s04")[0]
    assert values_of("s03", DAYS + 2)[-20:] == values[-20:]
    assert day(DAYS) == world.known("s09")[0]
    assert len(events) == len(after)
