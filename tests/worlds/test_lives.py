"""What the demo tells is true: its account is held against the world that nobody but the test can look into."""

import importlib.util
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import commands
import httpx
import numpy as np
import pytest
from ports import free_port

from linewright.capabilities.lines.operations import check, plan
from linewright.capabilities.value.operations import goals
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.model.facts import Certificate
from linewright.model.package.model import load
from linewright.people.account import of_all_answers
from linewright.release.facts import Promoted
from linewright.serve.log.segments import read_log
from linewright.watch.facts import Alerted
from linewright.worlds.demo.operations import Demo, demo
from linewright.worlds.fraud.world import FraudWorld
from linewright.worlds.living import KEY, LINE, sent, with_features

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Live through one world of each kind, since a life takes a minute; who changes monitors, gates or training asks for more (`--lives 5`)."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, metafunc.config.getoption("--lives") + 1))


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Callable[[int], tuple[Demo, FraudWorld]]:
    """Run the demo as a user does, once for each life, and return it with the world that it was lived in."""

    @cache
    def lived_once(seed: int) -> tuple[Demo, FraudWorld]:
        print(f"seed {seed}")
        folder = tmp_path_factory.mktemp("life") / "factory"
        return demo(Factory(folder), "fraud", seed=seed), FraudWorld(seed)

    return lived_once


def decided(factory: Factory) -> dict[str, bool]:
    """Return what the line did with each payment, from its own prediction log."""
    return {
        str(one.record.key): one.record.answer["prediction"] == "yes"
        for one in read_log(factory.log_of(LINE))
    }


def test_the_front_page_tells_what_the_demo_tells(lived):
    """Its table and its picture are the first claim that a visitor can check; `python docs/picture.py` writes both anew."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    told, _ = lived(picture.SEED)
    page = picture.PAGE.read_text()

    assert picture.table(told.life) == picture.table_of(page)
    assert Path(told.picture).read_text() == picture.PICTURE.read_text()
    assert f"linewright demo --seed {picture.SEED}" in page
    assert f"On day {told.attack_day} a" in page


def test_the_account_of_an_attack_is_what_the_oracle_says(lived, seed: int):
    told, world = lived(seed)
    days = range(world.go_live, world.days)
    with Factory.open(told.factory) as factory:
        did = decided(factory)
        first = load(find_model(factory, f"{LINE}@1").digest, factory.artifacts.get)
        promotions = factory.metadata.events(Promoted, line=LINE)
        certificates = [factory.metadata.get(str(one.certificate), Certificate) for one in promotions]
        alerts = factory.metadata.events(Alerted, line=LINE)

    value = never = best = 0
    for number in days:
        day = world.day(number)
        keys = day.payments[KEY].to_list()
        value += world.stakes.value(day.fraud, np.array([did.pop(key) for key in keys]))
        encoder = first.package.encoder
        scores = first.scores(
            encode(encoder, to_columns(with_features(world, day.payments), encoder.columns))
        )[:, 1]
        never += world.stakes.value(day.fraud, scores >= first.package.threshold)
        best += world.stakes.value(day.fraud, world.stakes.best_decision(day.p_true))

    row = sent(world.day(world.go_live).payments).row(0, named=True)

    assert {} == did
    assert (value, never, best) == (told.value, told.never, told.best)
    assert never < value <= best + 100_00
    assert told.attack_day == world.attack_day - world.go_live
    assert told.alert_day is not None
    assert told.attack_day < told.alert_day
    assert told.promoted_day is not None
    assert told.alert_day <= told.promoted_day
    assert all(one.at[:10] > world.day(world.attack_day).date.isoformat() for one in alerts)
    assert 2 <= len(promotions)
    assert [one.package for one in promotions] == [one.package for one in certificates]
    assert {"promote"} == {one.verdict for one in certificates}
    assert not any(one.forced for one in promotions)
    assert [promotions[i].package for i in range(len(promotions) - 1)] == [
        one.rival for one in certificates[1:]
    ]
    assert "<svg" in Path(told.picture).read_text()[:200]
    assert told.champion == answer_of_up(told.factory, row)["model"]


def test_the_lines_own_account_is_what_the_world_says(lived, seed: int):
    """Money that a factory counts is believed once it was held against a world that knows."""
    told, world = lived(seed)
    account, due = told.account, told.life.days[: -world.label_delay.days]
    estimate = of_all_answers(account)

    assert sum(day.payments for day in due) == account.matured
    assert sum(day.payments for day in told.life.days) == account.answers
    assert sum(day.value for day in due) == told.due == round(100 * account.value)
    assert world.stakes.false_negative * sum(day.frauds for day in due) == round(100 * account.against)
    assert account.low < account.gain < account.high
    assert estimate.low <= told.value / 100 <= estimate.high


def test_there_is_something_to_see_beside_the_life(lived):
    """A factory of one line whose alerts are all over shows nobody what a console is for."""
    told, _ = lived(1)
    seen = {(one.line, one.kind) for one in told.sights}
    with Factory.open(told.factory) as factory:
        plans = plan(factory).plans
        found = {one.name: one for one in goals(factory).goals}
        files = check(factory)

    assert {
        (LINE, "account"),
        ("tumours", "alerts"),
        ("tumours", "refused"),
        ("tumours", "questions"),
        ("cultivars", "rollout"),
        ("progression", "proposal"),
        ("digits", "questions"),
        ("zeros", "answers"),
        ("shop", "answers"),
        ("sales", "answers"),
        ("wear.lyon", "answers"),
    } <= seen
    assert ("ada", "grace", "lee", "noor") == tuple(one.member for one in told.members)
    assert {False} == {bool(one.changes) for one in plans}
    assert told.account.gain == pytest.approx(found["Fewer losses by fraud"].reached)
    assert 0 == files.exit_code


def test_where_nothing_happens_nothing_is_found_and_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
):
    """It is `demo --no-attack` without the lines beside the life, which are the same with an attack."""
    monkeypatch.setattr("linewright.worlds.demo.operations.add_lines", lambda *_, **_report: ())
    told = demo(Factory(tmp_path / "factory"), "fraud", attack=False, seed=seed)
    with Factory.open(told.factory) as factory:
        alerts = factory.metadata.events(Alerted, line=LINE)
        promotions = factory.metadata.events(Promoted, line=LINE)

    assert [] == [one.because for one in alerts]
    assert 1 == len(promotions)
    assert not told.life.is_attacked
    assert {"attack", "alert", "promoted"}.isdisjoint(one.kind for one in told.life.moments)
    assert (None, None, None) == (told.attack_day, told.alert_day, told.promoted_day)
    assert told.value == told.never
    assert (result_text(told) or "").startswith("Nothing happened, and nothing was done")
    assert "<svg" in Path(told.picture).read_text()[:200]


def answer_of_up(folder: str, row: dict[str, object]) -> dict[str, str]:
    """Serve a factory as a user would, and return what its endpoint answers to a row."""
    ports = [str(free_port()) for _ in range(2)]
    command = [sys.executable, "-m", "linewright", "up", "--factory", folder]
    with commands.begin([*command, "--port", ports[0], "--control-port", ports[1]]) as up:
        try:
            return _ask(f"http://127.0.0.1:{ports[0]}/v1/lines/{LINE}/predict", row)
        finally:
            up.send_signal(signal.SIGTERM)
            assert 0 == up.wait(timeout=60)


def _ask(url: str, row: dict[str, object]) -> dict[str, str]:
    body = {"rows": [{**row, "paid_at": str(row["paid_at"])}]}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return httpx.post(url, json=body).raise_for_status().json()
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} never became ready")
