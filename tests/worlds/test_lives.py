"""What the demo tells is true: its account is held against the world that nobody but the test can look into."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from ports import free_port

from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.registry import find_model
from linewright.model.facts import Certificate
from linewright.model.package import load
from linewright.operations.demo import Demo, demo
from linewright.release.facts import Promoted
from linewright.serve.segments import read_log
from linewright.watch.facts import Alerted
from linewright.worlds.fraud import FraudWorld
from linewright.worlds.living import KEY, LINE

pytestmark = pytest.mark.slow


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Live through one world of each kind, since a life takes a minute; who changes monitors, gates or training asks for more (`--lives 5`)."""
    metafunc.parametrize("seed", range(1, metafunc.config.getoption("--lives") + 1))


def lived(folder: Path, seed: int, *, attack: bool) -> tuple[Demo, FraudWorld]:
    """Run the demo as a user does, and return the world that it was lived in."""
    print(f"seed {seed}")
    return demo(Factory(folder), "fraud", attack=attack, seed=seed), FraudWorld(seed, attack=attack)


def decided(factory: Factory) -> dict[str, bool]:
    """Return what the line did with each payment, from its own prediction log."""
    return {
        str(one.record.key): one.record.answer["prediction"] == "yes"
        for one in read_log(factory.log_of(LINE))
    }


def test_the_account_of_an_attack_is_what_the_oracle_says(tmp_path: Path, seed: int):
    told, world = lived(tmp_path / "life", seed, attack=True)
    live = range(world.go_live, world.days)
    with Factory.open(told.factory) as factory:
        did = decided(factory)
        first = load(find_model(factory, f"{LINE}@1").digest, factory.artifacts.get)
        promotions = factory.metadata.events(Promoted, line=LINE)
        certificates = [factory.metadata.get(str(one.certificate), Certificate) for one in promotions]
        alerts = factory.metadata.events(Alerted, line=LINE)

    value = never = best = 0
    for number in live:
        day = world.day(number)
        keys = day.payments[KEY].to_list()
        value += world.stakes.value(day.fraud, np.array([did.pop(key) for key in keys]))
        encoder = first.package.encoder
        scores = first.scores(encode(encoder, to_columns(day.payments, encoder.columns)))[:, 1]
        never += world.stakes.value(day.fraud, scores >= first.package.threshold)
        best += world.stakes.value(day.fraud, world.stakes.best_decision(day.p_true))

    row = world.day(world.go_live).payments.row(0, named=True)

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


def test_where_nothing_happens_nothing_is_found_and_nothing_is_done(tmp_path: Path, seed: int):
    told, _ = lived(tmp_path / "life", seed, attack=False)
    with Factory.open(told.factory) as factory:
        alerts = factory.metadata.events(Alerted, line=LINE)
        promotions = factory.metadata.events(Promoted, line=LINE)

    assert [] == [one.because for one in alerts]
    assert 1 == len(promotions)
    assert (None, None, None) == (told.attack_day, told.alert_day, told.promoted_day)
    assert told.value == told.never


def answer_of_up(folder: str, row: dict[str, object]) -> dict[str, str]:
    """Serve a factory as a user would, and return what its endpoint answers to a row."""
    ports = [str(free_port()) for _ in range(2)]
    command = [sys.executable, "-m", "linewright", "up", "--factory", folder]
    with subprocess.Popen([*command, "--port", ports[0], "--control-port", ports[1]]) as up:
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
