"""Sums of series are answered bottom up, with intervals that a backtest has made; several columns may name a series."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores

from linewright.capabilities.evidence.operations import card
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.serving.worker import tend_inline
from linewright.client import Client
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.errors import RequestError, SpecError
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.rows_by_series import series_known
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.serve.rows.lookup.series_sums import SumRow
from linewright.text.lists import read_numbers
from linewright.text.newest_values import NewestValues
from linewright.watch.facts import Watched
from linewright.worlds.endpoint import endpoint

LEVELS = "reconcile: bottom_up, levels: [[region], []]"


def sales(days: int = stores.DAYS, *, stores_: int = stores.STORES) -> pl.DataFrame:
    """Return what stores sold, each named by its region and a number."""
    found = stores.sales(days, stores=stores_)
    return found.with_columns(
        region=pl.col("store").str.slice(2, 1).cast(pl.Int64) % 3,
        store=pl.col("store").str.slice(1).cast(pl.Int64),
    )


def make(root: Path, *, more: str = f", {LEVELS}", days: int = stores.DAYS) -> tuple[Factory, object]:
    factory, clock = stores.make_stores(root, more=more, days=days)
    sales(days).write_csv(factory.root / "sales.csv")
    path = factory.path_of(stores.LINE)
    path.write_text(path.read_text().replace("group: store", "group: [region, store]"))
    return factory, clock


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    made, _ = make(tmp_path_factory.mktemp("sums") / "factory")
    with made:
        assert execute_inline(made, stores.LINE).promoted
        yield made


@pytest.fixture(scope="module")
def served(factory: Factory, endpoint_at) -> Iterator[object]:
    running = endpoint_at(factory.state)
    running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
    yield running
    running.close()


def test_a_sum_is_that_of_the_answers_of_its_series(served, factory):
    """Whatever else was asked for beside it, and again when it is computed from the log."""
    keys = sales().select("region", "store").unique().sort("region", "store")
    rows = [{"region": one[0], "store": one[1]} for one in keys.iter_rows()]
    own = [one for one in rows if one["region"] == 1]
    asked = [{"region": 1}, *own, {}, {"region": 1, "store": None}]
    found = served.predict(*asked, line=stores.LINE)["predictions"]
    every = served.predict(*rows, line=stores.LINE)["predictions"]
    total = found[len(own) + 1]

    assert np.allclose(
        found[0]["prediction"], np.sum([one["prediction"] for one in found[1 : len(own) + 1]], axis=0)
    )
    assert np.allclose(total["prediction"], np.sum([one["prediction"] for one in every], axis=0))
    assert found[0]["prediction"] == found[-1]["prediction"]
    assert (len(own), len(rows)) == (found[0]["series"], total["series"])
    widths = np.array([np.subtract(one["high"], one["prediction"]) for one in found[1 : len(own) + 1]])
    width = np.subtract(found[0]["high"], found[0]["prediction"])
    assert (np.sqrt((widths**2).sum(axis=0)) * 0.999 <= width).all()
    assert (width <= widths.sum(axis=0) * 1.001).all()
    for one in (found[0], total):
        replayed = replay_prediction(factory, one["id"])
        assert 0 == replayed.difference
        assert stores.DAYS > len(replayed.row["recent"]) > 50


def test_many_sums_are_answered_by_one_request(served):
    """Requests of many rows are read and logged in another way."""
    found = served.predict(*[{"region": n % 3} for n in range(60)], line=stores.LINE)["predictions"]

    assert found[0]["prediction"] == found[57]["prediction"]
    assert {7, 10} == {one["series"] for one in found}


@pytest.mark.parametrize(
    ("asked", "where", "what"),
    [
        ({"store": 3}, "region", "which series"),
        ({"region": 9}, "region", "nothing is known of such series"),
        ({"region": 1, "store": 999}, "store", "nothing is known of this series"),
        ({"region": 1, "day": "2025-01-05"}, "day", "of another time"),
    ],
)
def test_what_is_no_level_is_refused(served, asked, where, what):
    """A sum that nobody measured is not made up."""
    status, _, answer = served.ask("POST", f"/v1/lines/{stores.LINE}/predict", {"rows": [asked]})

    assert 422 == status
    assert f"rows[0].{where}" == answer["where"]
    assert what in answer["what"]


def test_a_file_asks_for_sums_too(factory: Factory, tmp_path: Path):
    """A report of regions is made in one go."""
    asked, out = tmp_path / "asked.csv", tmp_path / "answers.csv"
    asked.write_text("region,store\n0,\n1,\n,\n1,4\n9,\n")
    done = predict_file(factory, stores.LINE, asked, out)
    answers = pl.read_csv(out)

    assert (4, 1) == (done["rows"], done["quarantined"])
    lists = [np.array(read_numbers(text)) for text in answers["prediction"]]
    tried = try_row(factory, stores.LINE, {"region": "1"})
    assert tried.answer["prediction"] == lists[1].tolist()
    assert 24 == answers["series"][2]
    for one in answers["id"]:
        assert 0 == replay_prediction(factory, one).difference


def test_tensors_ask_for_a_sum(served):
    """A column that is null, or not sent, is one over which is summed."""
    tensor = {"name": "region", "shape": [2], "datatype": "INT64", "data": [1, None]}
    status, _, answer = served.ask("POST", f"/v2/models/{stores.LINE}/infer", {"inputs": [tensor]})
    outputs = {one["name"]: one for one in answer["outputs"]}
    plain = served.predict({"region": 1}, {}, line=stores.LINE)["predictions"]

    assert 200 == status
    assert [one["prediction"] for one in plain] == [
        read_numbers(one) for one in outputs["prediction"]["data"]
    ]


def test_a_series_that_ended_is_left_out_and_one_that_is_late_is_not(factory: Factory):
    """A closed store sells nothing more; one whose report of yesterday lacks does."""
    day, values = 86_400_000_000, series_known(factory, stores.LINE).read()
    assert values is not None
    names = [name for name in values.names if name[0] == "1"]
    late = {names[0]: 30, names[1]: 2}
    series = [
        (name, int(values.at[place]) - late.get(name, 0) * day, values.array_at(place))
        for place, name in enumerate(values.names)
    ]
    made = NewestValues.of(
        keys=values.keys, time="day", type="date", label="amount", every="1d", max_age=None, series=series
    )
    package = factory.metadata.get(find_model(factory, stores.LINE).digest, Package)
    known = KnownSeries("a", lambda _: made.to_bytes())
    (row,) = known.fill(
        [{"region": 1}], package, now="2025-05-22T00:00:00Z", place=lambda _, column: column
    ).rows

    assert isinstance(row, SumRow)
    assert len(names) - 1 == len(row.series)
    assert [None, None] == row.series[0]["recent"][-2:]
    assert None not in row.series[1]["recent"][-2:]
    assert [name for name in names if late.get(name) != 30] == known.names_of_parts(row, package)


def test_a_form_has_a_field_for_each_column_of_the_name(factory: Factory):
    fields = {one.name: one for one in request_form(factory, stores.LINE).fields}

    assert ["region", "store"] == list(fields)[:2]
    assert ("0", "1", "2") == fields["region"].allowed


def test_the_card_says_how_good_sums_are(factory: Factory):
    """By level, with the share that intervals held."""
    text = str(card(factory, "sales@1").markdown)

    assert "| region | 3 |" in text
    assert "all series | 1 |" in text


def test_it_is_rebuilt_to_the_byte(factory: Factory, tmp_path: Path):
    found = rebuild(
        factory, find_model(factory, stores.LINE), workers=1, scratch=tmp_path, report=lambda _: None
    )

    assert "R0" == found.level


def test_what_came_of_a_sum_is_known_too(tmp_path: Path, start, monkeypatch):
    """And a retraining learns nothing of it: a sum is no series. The values that sums are of are read once, not once a sum."""
    read, reads = NewestValues.read, list[int]()
    made, clock = make(tmp_path / "factory", days=110)
    with made:
        execute_inline(made, stores.LINE)
        running = start(made.state)
        running.wait_for(lambda: running.ask("GET", "/v2/health/ready")[0] == 200, within_s=20)
        found = running.predict({"region": 1}, {"region": 1, "store": 4}, {}, line=stores.LINE)["predictions"]
        running.close()
        sales(110 + 9).write_csv(made.root / "sales.csv")
        clock.at += timedelta(days=9)
        with monkeypatch.context() as patched:
            patched.setattr(NewestValues, "read", lambda body: reads.append(len(body)) or read(body))
            ran = execute_inline(made, stores.LINE)
        truths = {
            record.id: truth.label
            for record, truth in made.labels_of(stores.LINE).labelled(known_by=made.now())
            if truth is not None
        }
        again = execute_inline(made, stores.LINE, as_of=made.now())
        before, after = (
            read_dataset(made.metadata.get(one.dataset, Dataset), made.artifacts, made.metadata)
            for one in (ran, again)
        )
    came = sales(117).filter(pl.col("day") >= stores.START + timedelta(days=110))
    by_day = came.filter(region=1).group_by("day").agg(pl.col("amount").sum()).sort("day")["amount"].to_list()

    assert np.allclose(by_day, read_numbers(truths[found[0]["id"]]))
    assert {one["id"] for one in found} == truths.keys()
    assert 1 == len(reads)
    assert [(1, 4)] == after.join(before, on=["day", "region", "store"], how="anti").select(
        "region", "store"
    ).rows()


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (", levels: [[]]", "sums need to know how they are made"),
        (", reconcile: bottom_up", "and which they are"),
        (", reconcile: bottom_up, levels: [[region, store]]", "found 'region, store'"),
        (", reconcile: bottom_up, levels: [[day]]", "found 'day'"),
        (", reconcile: bottom_up, levels: [[], []]", "stands once"),
        (", reconcile: bottom_up, levels: [[]], known_ahead: [promo]", "known ahead"),
        (", reconcile: top_down, levels: [[]]", "bottom_up"),
    ],
)
def test_levels_that_make_no_sense_are_refused(tmp_path: Path, more: str, match: str):
    made, _ = make(tmp_path / "factory", more=more)
    with made, pytest.raises(SpecError, match=match):
        execute_inline(made, stores.LINE)


def test_several_columns_name_series_alone(tmp_path: Path):
    """Other lines group rows by one column."""
    made, _ = make(tmp_path / "factory")
    path = made.path_of(stores.LINE)
    text = path.read_text()
    with made:
        path.write_text(text.replace("[region, store]", "[region, region]"))
        with pytest.raises(SpecError, match=r"table.group.*a list of 2 to 5 different ones"):
            made.line(stores.LINE)
        path.write_text(text.replace("task: forecast", "task: regression"))
        with pytest.raises(SpecError, match="only of lines that forecast"):
            made.line(stores.LINE)


def test_a_sum_of_too_many_series_is_refused(factory: Factory, monkeypatch):
    monkeypatch.setattr("linewright.serve.rows.lookup.known_series.MOST_FILLED", 1000)

    with pytest.raises(RequestError, match="a sum of too many series"):
        try_row(factory, stores.LINE, {})


def test_sums_are_no_drift_of_the_series(tmp_path: Path):
    """A dashboard that asks for totals would else look like stores that sell many times as much, and start trainings."""
    made, clock = make(tmp_path / "factory")
    path = made.path_of(stores.LINE)
    path.write_text(path.read_text().replace("{every: 1d}", "{every: 1d, drift: {windows: 1}}"))
    names = sales().select("region", "store").unique(maintain_order=True).to_dicts()
    with made:
        execute_inline(made, stores.LINE)
        with endpoint(made) as url, Client(url) as client:
            client.predict(stores.LINE, names * 12)
            client.predict(stores.LINE, [{}] * 100)
            client.predict(stores.LINE, [{"region": 1}] * 100)
        clock.at += timedelta(days=1)
        tend_inline(made, stores.LINE)
        (watched,) = made.metadata.events(Watched, line=stores.LINE)

    assert () == watched.findings
    assert 12 * len(names) == watched.n
