"""Requests that come at one moment are answered together, and each as if it had come alone."""

import asyncio
import json

import pytest

from linewright.errors import RequestError
from linewright.model.package.model import load
from linewright.release.facts import Arm
from linewright.serve.http.batching import ENOUGH_ROWS, MOST_ROWS, Together
from linewright.serve.http.predict import Ask, Loaded
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.scorer import Scorer

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}


@pytest.fixture
def asked(claims, tmp_path):
    """Give a function that asks a model of `claims` for several bodies at once, and returns answers or errors."""
    scorer = Scorer(load(claims.models[1], claims.artifacts.get))
    loaded = Loaded("claims", 1, Arm(model=1, package=claims.models[1]), scorer)
    log = PredictionLog(tmp_path / "together")
    writes: list[int] = []

    def append(records, *, durable=False):
        writes.append(len(records))
        PredictionLog.append(log, records, durable=durable)

    def ask(*bodies):
        async def all_at_once():
            together = Together(lambda _: log)
            return await asyncio.gather(
                *(together.predict(loaded, Ask(rows=rows)) for rows in bodies), return_exceptions=True
            )

        log.append = append  # type: ignore[method-assign]
        writes.clear()
        found = asyncio.run(all_at_once())
        return [one if isinstance(one, Exception) else json.loads(one.body) for one in found], list(writes)

    yield ask
    log.close()


def without_ids(answer: dict) -> dict:
    return {**answer, "predictions": [{**one, "id": ""} for one in answer["predictions"]]}


def test_they_get_what_each_gets_alone_and_one_write(asked):
    bodies = [[{**ROW, "Age": age, "PolicyNumber": age}] * (1 + age % 2) for age in range(20, 40)]
    together, writes = asked(*bodies)
    alone = [asked(body)[0][0] for body in bodies]

    assert [sum(len(body) for body in bodies)] == writes
    assert [without_ids(one) for one in alone] == [without_ids(one) for one in together]


def test_what_is_wrong_with_one_is_told_to_it_alone(asked, tmp_path):
    found, _ = asked([ROW], [ROW, {"Age": "old"}], [{**ROW, "PolicyNumber": 8}])
    logged = [one.record.key for one in read_log(tmp_path / "together")]

    assert ["7", "8"] == logged
    assert isinstance(found[1], RequestError)
    assert "rows[1].Age" == found[1].where
    assert ["7", "8"] == [one["predictions"][0]["key"] for one in (found[0], found[2])]


def test_very_many_go_in_parts(asked):
    found, writes = asked(*([[ROW] * 60] * 9))

    assert [240, 240, 60] == writes
    assert max(writes) <= MOST_ROWS
    assert {60} == {len(one["predictions"]) for one in found}


def test_a_bug_reaches_those_who_wait(asked, monkeypatch):
    """Nobody is left waiting."""
    monkeypatch.setattr(Scorer, "matrix", lambda *_, **__: 1 / 0)
    found, _ = asked([ROW], [ROW])

    assert [ZeroDivisionError, ZeroDivisionError] == [type(one) for one in found]


def test_what_the_next_turns_of_the_loop_bring_is_waited_for(claims, tmp_path):
    """Who comes one turn later is answered with those before, but none is waited for for ever."""
    scorer = Scorer(load(claims.models[1], claims.artifacts.get))
    loaded = Loaded("claims", 1, Arm(model=1, package=claims.models[1]), scorer)
    log = PredictionLog(tmp_path / "turns")
    sizes: list[int] = []

    class Counted(PredictionLog):
        def append(self, records, *, durable=False):
            sizes.append(len(records))
            return log.append(records, durable=durable)

    async def one_a_turn(many):
        together = Together(lambda _: Counted(tmp_path / "unused"))
        asked = []
        for _ in range(many):
            asked.append(together.predict(loaded, Ask(rows=[ROW])))
            await asyncio.sleep(0)
        return await asyncio.gather(*asked)

    assert 5 == len(asyncio.run(one_a_turn(5)))
    assert [5] == sizes
    sizes.clear()
    assert 200 == len(asyncio.run(one_a_turn(200)))
    assert sum(sizes) == 200
    assert max(sizes) <= ENOUGH_ROWS + 1
    log.close()
