"""A request that names a series alone is answered from the values that the last run has read, over each way to ask."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.sites.folder import ready_to_serve
from linewright.capabilities.sites.operations import detach
from linewright.errors import Corrupt, NotFound, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.rows_by_series import series_known
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.serve.rows.lookup import known_series
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.text.newest_values import NewestValues

AHEAD = [0.0] * stores.HORIZON
NEWEST = (stores.START + timedelta(days=stores.DAYS - 1)).isoformat()
NOW = f"{stores.START + timedelta(days=stores.DAYS + 2)}T10:00:00.000000Z"


def values_of(store: str, days: int = stores.DAYS) -> list[float]:
    return stores.sales(days).filter(pl.col("store") == store)["amount"].to_list()


def row(store: str = "s03", **more: object) -> dict[str, object]:
    return {"store": store, "day": NEWEST, "promo": AHEAD, **more}


def place(number: int, column: str) -> str:
    return f"rows[{number}].{column}"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    made, _ = stores.make_stores(tmp_path_factory.mktemp("known") / "factory")
    with made:
        execute_inline(made, stores.LINE)
        yield made


@pytest.fixture(scope="module")
def package(factory: Factory) -> Package:
    return factory.metadata.get(find_model(factory, stores.LINE).digest, Package)


@pytest.fixture(scope="module")
def served(factory: Factory, endpoint_at) -> Iterator[object]:
    running = endpoint_at(factory.state)
    running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    yield running
    running.close()


def test_a_series_is_answered_as_if_its_values_were_sent(served, factory: Factory):
    """The row in the log has them, so that the answer can be computed again."""
    own = values_of("s03")[-120:]
    by_key, sent = served.predict(row(), row(recent=own), line=stores.LINE)["predictions"]

    assert by_key["prediction"] == sent["prediction"]
    assert NEWEST == by_key["newest"]
    assert by_key["age"] > stores.HORIZON
    assert "all steps that are said have passed" in by_key["warnings"][0]
    assert "newest" not in sent
    for one in (by_key, sent):
        replayed = replay_prediction(factory, one["id"])
        assert 0 == replayed.difference
        assert own == replayed.row["recent"]
        assert NEWEST == replayed.row["day"]


def test_many_rows_are_answered_as_each_alone(served):
    """A request of many rows is read, computed and logged in another way."""
    alone = served.predict(row("s07"), line=stores.LINE)["predictions"][0]
    many = served.predict(*[row(f"s{n % 24:02}") for n in range(700)], line=stores.LINE)["predictions"]

    assert alone["prediction"] == many[7]["prediction"] == many[31]["prediction"]
    assert all(one["newest"] == NEWEST for one in many)


def test_tensors_name_a_series_too(served):
    """Parameters say how old its values are."""
    tensors = [
        {"name": "store", "shape": [2], "datatype": "BYTES", "data": ["s03", "s04"]},
        {"name": "day", "shape": [2], "datatype": "BYTES", "data": [NEWEST] * 2},
        {"name": "promo", "shape": [2], "datatype": "BYTES", "data": [json.dumps(AHEAD)] * 2},
    ]
    status, _, answer = served.ask("POST", f"/v2/models/{stores.LINE}/infer", {"inputs": tensors})
    outputs = {one["name"]: one for one in answer["outputs"]}
    plain = served.predict(row(), line=stores.LINE)["predictions"][0]

    assert 200 == status
    assert plain["prediction"] == json.loads(outputs["prediction"]["data"][0])
    assert [NEWEST] * 2 == outputs["times"]["parameters"]["newest"]
    _, _, meta = served.ask("GET", f"/v2/models/{stores.LINE}")
    assert {"day", "recent"} == {one["name"] for one in meta["inputs"] if one.get("optional")}


@pytest.mark.parametrize(
    ("asked", "where", "what"),
    [
        (row("s99"), "store", "nothing is known of this series"),
        (row(None), "store", "which series"),
        (row(day="2025-06-30"), "day", "of another time"),
        (row(day="no day"), "day", "of another time"),
        (row(day=None), "day", "say which that is"),
        ({"store": "s03", "day": NEWEST}, "promo", "needed"),
        (row(recent=[None]), "recent", "no recent value"),
        (row(unknown=1), "unknown", "no such column"),
        (row(["s03"]), "store", ""),
        (row({}), "store", ""),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(served, asked, where, what):
    """What is known ahead is of steps, so a row that means others gets no answer."""
    status, _, answer = served.ask("POST", f"/v1/lines/{stores.LINE}/predict", {"rows": [row(), asked]})

    assert 422 == status
    assert f"rows[1].{where}" == answer["where"]
    assert what in answer["what"]


def test_a_file_of_series_is_answered(factory: Factory, tmp_path: Path):
    """Rows of which nothing is known are set aside."""
    asked, out = tmp_path / "asked.csv", tmp_path / "answers.csv"
    pl.DataFrame(
        {"store": ["s03", "s99", "s05"], "day": [NEWEST] * 3, "promo": [json.dumps(AHEAD)] * 3}
    ).write_csv(asked)
    done = predict_file(factory, stores.LINE, asked, out)
    answers = pl.read_csv(out)

    assert (2, 1) == (done["rows"], done["quarantined"])
    assert "nothing is known of this series" in done["reasons"][0]
    assert [NEWEST] * 2 == answers["newest"].to_list()
    assert [3, 5] == [
        int(one[1:]) for one in (replay_prediction(factory, i).row["store"] for i in answers["id"])
    ]
    assert all(0 == replay_prediction(factory, one).difference for one in answers["id"])


def test_a_form_asks_for_the_series(factory: Factory):
    """Its values may be left empty."""
    fields = {one.name: one for one in request_form(factory, stores.LINE).fields}
    tried = try_row(
        factory, stores.LINE, {"store": "s03", "day": NEWEST, "recent": "", "promo": "0,0,0,0,0,0,0"}
    )

    assert "store" == next(iter(fields))
    assert 24 == len(fields["store"].allowed)
    assert not fields["recent"].is_needed
    assert (NEWEST, 1) == (tried.answer["newest"], tried.answer["age"])
    assert values_of("s03")[-120:] == tried.row["recent"]


def test_a_value_that_is_too_old_is_refused(package: Package, factory: Factory):
    """The line says how old it may be; else only a warning tells that all steps have passed."""
    known = series_known(factory, stores.LINE).read()
    assert known is not None
    for most, now, warns in ((3, NOW, False), (None, "2026-01-01T00:00:00.000000Z", True)):
        body = NewestValues.read(known.to_bytes())
        object.__setattr__(body, "max_age", most)
        filled = KnownSeries("a", lambda _, b=body: b.to_bytes()).fill([row()], package, now=now, place=place)
        assert warns == bool(filled.newest[0].warning)
    object.__setattr__(body, "max_age", 2)
    with pytest.raises(
        RequestError, match=r"too old: found '2025-05-20, 3 steps of 1d ago', allowed: at most 2"
    ):
        KnownSeries("a", lambda _: body.to_bytes()).fill([row()], package, now=NOW, place=place)


def test_so_many_values_are_not_put_into_one_request(package, factory, monkeypatch):
    """A short row brings a long one into the log."""
    known = series_known(factory, stores.LINE)
    monkeypatch.setattr(known_series, "MOST_FILLED", 250)

    assert 2 == len(known.fill([row()] * 2, package, now=NOW, place=place).newest)
    with pytest.raises(RequestError, match="too many series in one request"):
        known.fill([row()] * 3, package, now=NOW, place=place)


def test_broken_bytes_are_said_and_tried_again(package):
    """What cannot be read for a moment is not taken for nothing."""
    good = NewestValues.of(
        keys=(),
        time="day",
        type="date",
        label="amount",
        every="1d",
        max_age=None,
        series=[((), 0, np.ones(3))],
    ).to_bytes()
    bodies = [good[:-8], b"{}", good]
    known = KnownSeries("a", lambda _: bodies.pop(0))
    for _ in range(2):
        with pytest.raises(Corrupt):
            known.fill([{"day": "1970-01-01"}], package, now=NOW, place=place)

    assert [1.0] * 3 == known.fill([{"day": "1970-01-01"}], package, now=NOW, place=place).rows[0].get(
        "recent"
    )


def test_values_that_are_gone_are_no_fault_of_the_client(package):
    """503, and the next request tries again."""

    def get(digest: str) -> bytes:
        raise NotFound("no artifact has that digest", where=digest)

    with pytest.raises(Transient, match=r"are not there.*send them in 'recent'"):
        KnownSeries("a", get).fill([row()], package, now=NOW, place=place)


def test_values_that_are_kept_no_longer_go_with_their_dataset(tmp_path: Path):
    """The newest stay, for endpoints answer from them; nothing is missed afterwards."""
    made, clock = stores.make_stores(tmp_path / "factory", more="", days=100)
    path = made.path_of(stores.LINE)
    path.write_text(path.read_text() + "keep: {datasets: 1}\n")
    with made:
        blobs: list[str] = []
        for days in (100, 101, 102, 103):
            stores.sales(days).write_csv(made.root / "sales.csv")
            clock.at += timedelta(days=1)
            execute_inline(made, stores.LINE)
            blobs.append(str(series_known(made, stores.LINE).digest))
        collect(made, grace_s=0, dry_run=False)
        there = [made.artifacts.has(one) for one in blobs]
        found = verify_factory(made)
        tried = try_row(made, stores.LINE, {"store": "s03"})

    assert 4 == len({*blobs})
    assert there[-1]
    assert not all(there)
    assert [] == [*found.problems]
    assert "2025-04-13" == tried.answer["newest"]


def test_an_endpoint_knows_the_values_of_a_run_that_promoted_nothing(tmp_path: Path, start):
    """Values get older each day, and a champion may serve for long."""
    made, clock = stores.make_stores(tmp_path / "factory", more="", days=100)
    path = made.path_of(stores.LINE)
    path.write_text(
        path.read_text() + "gates: [{metric: mase, at_most: 0.9}, {metric: coverage, at_least: 0.2}]\n"
    )
    with made:
        assert execute_inline(made, stores.LINE).promoted
        running = start(made.state)
        running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
        asked = {"store": "s03"}
        before = running.predict(asked, line=stores.LINE)
        path.write_text(path.read_text().replace("at_most: 0.9", "at_most: 0.0001"))
        stores.sales(103).write_csv(made.root / "sales.csv")
        clock.at += timedelta(days=3)
        assert not execute_inline(made, stores.LINE).promoted
        running.wait_for(
            lambda: running.predict(asked, line=stores.LINE)["predictions"][0]["newest"] == "2025-04-13"
        )
        after = running.predict(asked, line=stores.LINE)
        folder = Path(detach(made, f"{stores.LINE}@1", tmp_path / "site").folder)

    assert "2025-04-10" == before["predictions"][0]["newest"]
    assert before["model"] == after["model"] == "sales@1"
    state = ready_to_serve(folder)
    away = start(state)
    away.wait_for(lambda: away.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    there = away.predict(asked, line=stores.LINE)["predictions"][0]
    assert after["predictions"][0]["prediction"] == there["prediction"]
