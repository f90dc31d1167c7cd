"""Newer values that requests bring are known to later requests that name the series alone, if the line says so."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import stores
from msgspec.structs import replace

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.serving.worker import Tending, tend_inline
from linewright.capabilities.sites.folder import ready_to_serve
from linewright.capabilities.sites.operations import detach
from linewright.line.factory import Factory
from linewright.line.predict.rows_by_series import series_known
from linewright.line.record.registry import find_model
from linewright.line.release import remembered_values
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.release.facts import SeriesRead
from linewright.serve.rows.lookup.known_series import newest_time
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


class Idle:
    """An engine that is asked for nothing."""


class World(NamedTuple):
    factory: Factory
    clock: Clock
    url: str

    def ask(self, *rows: dict[str, object]) -> list[dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310 -- of the test itself
            f"{self.url}/v1/lines/{stores.LINE}/predict",
            json.dumps({"rows": rows}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 -- as above
            return json.load(answer)["predictions"]

    def tend(self) -> None:
        """Look after the line once, when it is time for what is known to be published."""
        self.clock.at += timedelta(minutes=11)
        tend_inline(self.factory, stores.LINE)

    def ask_until(self, newest: str, **row: object) -> dict[str, Any]:
        """Return the answer to a row that names a series or a sum alone, once its newest value is of a day."""
        until = time.monotonic() + 20
        while (answer := self.ask(row)[0])["newest"] != newest:
            assert time.monotonic() < until, answer
            time.sleep(0.05)
        return answer

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
    after = world.ask_until(day(DAYS + 1), store="s03")
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
    echo = world.ask_until(day(DAYS + 1), store="s05")
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


def test_labels_of_a_forecast_are_newer_values_too(world: World):
    """Of a row that got its values from here as of any other; a correction counts, and what nobody can know does not."""
    came = values_of("s10", DAYS + 3)
    one, two = world.ask({"store": "s10"}, {"store": "s11"})
    feedback = world.factory.labels_of(stores.LINE)
    package = world.factory.metadata.get(find_model(world.factory, stores.LINE).digest, Package)
    labels = [
        {"id": one["id"], "label": [*came[DAYS:], None, None, None, None]},
        {"id": two["id"], "label": [1.0] * stores.HORIZON},
    ]
    feedback.accept(labels, package=package)
    world.tend()
    first = world.known("s10")
    mended = {"id": one["id"], "label": [9.0, *labels[0]["label"][1:]], "corrects": labels[0]["label"]}
    feedback.accept([mended], package=package)
    world.tend()

    assert (day(DAYS + 2), came[-10:]) == (first[0], first[1][-10:])
    assert [9.0, *came[DAYS + 1 :]] == world.known("s10")[1][-3:]
    assert day(DAYS - 1) == world.known("s11")[0]


def test_a_long_log_is_read_in_several_looks(world: World, monkeypatch: pytest.MonkeyPatch):
    """All lines wait for the thread that looks; a kill loses what one look has read."""
    world.tend()
    monkeypatch.setattr(remembered_values, "_MOST_READ", 1)
    for store in ("s07", "s08", "s09"):
        world.ask(sent(store))
    seen = list[list[str | int]]()
    for _ in range(3):
        world.tend()
        seen.append([world.known(store)[0] for store in ("s07", "s08", "s09")])

    old, new = day(DAYS - 1), day(DAYS + 1)
    assert [[new, old, old], [new, new, old], [new, new, new]] == seen


def test_only_a_line_that_says_so_remembers(make_world: Callable[..., World]):
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


def test_what_a_run_reads_counts_and_newer_values_stay_behind_it(make_world: Callable[..., World]):
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


def test_endpoints_rest_from_reading_many_values(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
):
    """Each publication has each process read those of the run again: 40 MB of them at most each 40 s."""
    world = make_world()
    world.ask(sent("s03"))
    world.tend()
    monkeypatch.setattr(remembered_values, "_MICROS_PER_BYTE", 8_000.0)
    world.ask(sent("s04"), sent("s05"))
    seen: list[str | int] = []
    for _ in range(3):
        world.clock.at += timedelta(minutes=1)
        tend_inline(world.factory, stores.LINE)
        seen.append(world.known("s04")[0])

    assert [day(DAYS - 1), day(DAYS - 1), day(DAYS + 1)] == seen


def test_sums_and_detached_endpoints_are_answered_from_it_too(
    make_world: Callable[..., World], tmp_path: Path, start
):
    """The answer of a sum names the values that it is of, so that it is computed again from these."""
    world = make_world(more=", remember: true, reconcile: bottom_up, levels: [[]]")
    world.ask(*[sent(f"s{store:02}") for store in range(stores.STORES)])
    world.tend()
    total = world.ask_until(day(DAYS + 1))
    world.ask(sent("s03", DAYS + 3))
    world.tend()
    replayed = replay_prediction(world.factory, total["id"])
    away = start(ready_to_serve(Path(detach(world.factory, f"{stores.LINE}@1", tmp_path / "site").folder)))
    away.wait_for(lambda: away.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)

    assert (day(DAYS + 1), stores.STORES) == (total["newest"], total["series"])
    assert 0 == replayed.difference
    assert day(DAYS + 2) == away.predict({"store": "s03"}, line=stores.LINE)["predictions"][0]["newest"]


def test_nothing_outlives_the_rows_that_brought_it(make_world: Callable[..., World]):
    """And the values that were published before go with the log, but for those that are answered from."""
    world = make_world(end="keep: {log: 9d}\n")
    metadata, artifacts = world.factory.metadata, world.factory.artifacts
    world.ask(sent("s03"), sent("s04"))
    world.tend()
    first = series_known(world.factory, stores.LINE).digest
    world.clock.at += timedelta(days=5)
    world.ask(sent("s04", DAYS + 9))
    world.tend()
    newest = world.known("s03")[0], world.known("s04")[0]
    world.clock.at += timedelta(days=10)
    world.ask(sent("s05", DAYS + 19))
    world.tend()
    after = [world.known(store)[0] for store in ("s03", "s04", "s05")]
    collect(world.factory, grace_s=0, dry_run=False)
    told = metadata.events(SeriesRead, line=stores.LINE)[-1]

    assert (day(DAYS + 1), day(DAYS + 8)) == newest
    assert [day(DAYS - 1), day(DAYS - 1), day(DAYS + 18)] == after
    assert not artifacts.has(str(first))
    assert told.base is not None
    assert world.ask_until(after[2], store="s05")
    assert [] == [*verify_factory(world.factory).problems]


def test_it_trains_nothing_and_takes_no_more_room_than_the_log(make_world: Callable[..., World]):
    """What is known is published again once the log has grown by as much, or after ten minutes."""
    world = make_world(more="")
    before = execute_inline(world.factory, stores.LINE)
    path = world.factory.path_of(stores.LINE)
    path.write_text(path.read_text().replace("horizon: 7", "horizon: 7, remember: true"))
    after = execute_inline(world.factory, stores.LINE)
    world.ask(*[sent(f"s{store:02}") for store in range(stores.STORES)])
    world.tend()
    world.ask({"store": "s03", "day": day(DAYS + 2), "recent": values_of("s03", DAYS + 3)[-8:]})
    world.clock.at += timedelta(minutes=1)
    tend_inline(world.factory, stores.LINE)
    waits = world.known("s03")[0]
    world.tend()

    assert (before.dataset, before.model) == (after.dataset, after.model)
    assert day(DAYS + 1) == waits
    assert day(DAYS + 2) == world.known("s03")[0]


def test_an_event_that_names_many_segments_is_not_written_for_each_row(make_world: Callable[..., World]):
    """Events stay for good. Of segments that went with `keep`, the next one says nothing."""
    world = make_world()
    world.ask(sent("s03"))
    world.tend()
    metadata, context = world.factory.metadata, world.factory.context
    last = metadata.events(SeriesRead, line=stores.LINE)[-1]
    gone = {f"2020-01-01T00:00:00.{number:06}Z-gone.log": 1 for number in range(500)}
    metadata.record(replace(last, at=context.now(), position={**last.position, **gone}))
    world.ask(sent("s04"))
    world.clock.at += timedelta(minutes=1)
    tend_inline(world.factory, stores.LINE)
    waits = world.known("s04")[0]
    world.tend()

    assert [day(DAYS - 1), day(DAYS + 1)] == [waits, world.known("s04")[0]]
    assert last.position.keys() == metadata.events(SeriesRead, line=stores.LINE)[-1].position.keys()


def test_all_processes_of_an_endpoint_know_it_also_after_a_kill(tmp_path: Path, start):
    """The worker of `up` tends the line; processes share nothing but the disk."""
    made, _ = make(tmp_path / "factory")
    with made:
        assert execute_inline(made, stores.LINE).promoted
    running = start(made.state, workers=2)
    running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    running.predict(sent("s03"), line=stores.LINE)
    running.close()
    begun = start(made.state, workers=2)
    begun.wait_for(lambda: begun.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)

    def newest() -> str:
        begun.hang_up()
        return begun.predict({"store": "s03"}, line=stores.LINE)["predictions"][0]["newest"]

    with closing(Tending(lambda: Factory.open(made.root), Idle(), every_s=0.05)):
        begun.wait_for(lambda: all(newest() == day(DAYS + 1) for _ in range(8)), within_s=30)
