"""A line that forecasts goes the whole way: series, rows, gates, answers, truths that come by themselves, monitors, rebuild."""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.dataset.event_time import known_at, moments
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Column, Dataset, Split
from linewright.data.profile.roles import GivenRoles
from linewright.data.spec import DataSpec
from linewright.data.table.series_rows import rows_of_series
from linewright.errors import RequestError, SpecError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.facts import Certificate, Package, Trained
from linewright.model.package.model import load
from linewright.serve.feedback.parse import check_labels
from linewright.serve.rows.scorer import Scorer
from linewright.text.lists import read_numbers, to_numbers_text
from linewright.text.steps import DAY
from linewright.watch.facts import Performance, Watched
from linewright.worlds.living import Clock

AHEAD = [0.0] * stores.HORIZON


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Factory, Clock]]:
    factory, clock = stores.make_stores(tmp_path_factory.mktemp("stores") / "factory")
    with factory:
        execute_inline(factory, stores.LINE)
        yield factory, clock


@pytest.fixture
def scorer(trained: tuple[Factory, Clock]) -> Scorer:
    factory, _ = trained
    return Scorer(load(find_model(factory, stores.LINE).digest, factory.artifacts.get))


def package_of(factory: Factory) -> Package:
    return factory.metadata.get(find_model(factory, stores.LINE).digest, Package)


def trained_of(factory: Factory) -> Trained:
    return factory.metadata.get(package_of(factory).trained, Trained)


def rows_of(factory: Factory) -> pl.DataFrame:
    dataset = factory.metadata.get(trained_of(factory).dataset, Dataset)
    return read_dataset(dataset, factory.artifacts, factory.metadata)


def week(level: float = 100.0, weeks: int = 6) -> list[float]:
    return [level * (1 + 0.4 * math.sin(2 * math.pi * t / 7)) for t in range(7 * weeks)]


def row(recent: object, **more: object) -> dict[str, object]:
    return {"store": "new", "day": "2025-06-01", "recent": recent, "promo": AHEAD, **more}


def series_spec(horizon: int, **more: object) -> DataSpec:
    return DataSpec.model_validate(
        {
            "sources": {"s": {"file": "s.csv"}},
            "table": {"time": "at"},
            "label": {"column": "y"},
            "forecast": {"horizon": horizon, **more},
        }
    )


def test_values_become_what_was_known_at_a_time_and_what_came(trained):
    """A row of the dataset is what a request could be, with what turned out to be true."""
    rows = rows_of(trained[0])
    own = rows.filter(pl.col("store") == "s00").sort("day")
    values = stores.sales().filter(pl.col("store") == "s00")
    last = own.row(-1, named=True)
    at = (last["day"] - stores.START).days

    assert ["store", "day", "recent", "promo", "until", "amount"] == rows.columns
    assert values["amount"].to_list()[at + 1 : at + 8] == read_numbers(last["amount"])
    assert values["amount"].to_list()[: at + 1][-120:] == read_numbers(last["recent"])
    assert values["promo"].to_list()[at + 1 : at + 8] == read_numbers(last["promo"])
    assert stores.START + timedelta(days=stores.DAYS - 1) == last["until"] == values["day"][-1]


def test_no_training_row_knows_a_value_of_the_test_part(trained):
    """A row is known when the last of its values ahead is: what reaches into the test part trains nothing."""
    factory, _ = trained
    split = factory.metadata.get(trained_of(factory).split, Split)
    parts = np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8)
    rows = rows_of(factory)

    assert "time" == split.by
    assert rows.filter(parts == 0)["until"].max() <= rows.filter(parts == 1)["day"].min()


def test_a_model_that_knows_the_week_and_the_promotion_is_promoted(trained):
    """The gate compares with last week's values, store by store; the trees read what is known ahead."""
    factory, _ = trained
    version = find_model(factory, stores.LINE)
    ran = execute_inline(factory, stores.LINE)
    metrics = {one.name: one.value for one in ran.metrics}

    assert ran.promoted or not ran.did
    assert ["mase", "owa", "smape", "pinball", "coverage"] == [one.name for one in ran.metrics]
    assert metrics["mase"] < 0.6
    assert 0.8 < metrics["coverage"] < 0.97
    assert version.digest == ran.digest


def test_steps_are_answered_with_times_and_intervals(scorer):
    """Of a store that came after training too, for input is the recent values."""
    plain, promoted = scorer.score([row(week()), row(week(), promo=[0, 0, 1, 0, 0, 0, 0])])
    truth = week(weeks=7)[-7:]

    assert ["2025-06-02", "2025-06-08"] == [plain["times"][0], plain["times"][-1]]
    assert np.allclose(truth, plain["prediction"], rtol=0.12)
    assert all(
        low <= said <= high
        for low, said, high in zip(plain["low"], plain["prediction"], plain["high"], strict=True)
    )
    assert promoted["prediction"][2] > 1.25 * plain["prediction"][2]
    assert (42, 0.9) == (plain["recent_used"], plain["level"])


def test_each_row_is_answered_alone(scorer):
    """A row's answer never depends on the rows beside it."""
    rows = [row(week()), row(week(3.0, weeks=2)), row([5, None, 7])]
    together = scorer.score(rows)

    assert together == [scorer.score([one])[0] for one in rows]


def test_answers_grow_with_the_level(scorer):
    """Trees see values from the level of their row and in its unit."""
    small, large = scorer.score([row(week(1.0)), row(week(1e6))])

    assert np.allclose(np.array(small["prediction"]) * 1e6, large["prediction"], rtol=1e-2)


@pytest.mark.parametrize(
    ("recent", "said"),
    [
        ([0.0] * 30, [0.0] * 7),
        ([4.0], [4.0] * 7),
        ([3.0, 5.0], [5.0] * 7),
        (list(range(1, 8)), list(range(1, 8))),
    ],
)
def test_short_and_zero_series_get_the_naive_forecast(scorer, recent, said):
    """Of fewer values than two seasons nothing is learned, and the interval of very few is as wide as usual."""
    (answer,) = scorer.score([row(recent)])

    assert said == pytest.approx(answer["prediction"])
    assert answer["low"] <= answer["prediction"] <= answer["high"]
    if 0 < len(recent) < 4:
        assert answer["high"][0] - answer["low"][0] > 0.05 * recent[-1]


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (row([]), "no recent value"),
        (row([None, None]), "no recent value"),
        (row(["a"]), "recent: not a value of this column.*a list of at most"),
        (row(7), "recent: not a value of this column"),
        (row([1e300, 2.0]), "too large"),
        (row([1.0], day="9999-12-31"), r"rows\[0\].day: the times of the steps ahead cannot be said"),
        (row([1.0], day=None), "day: a row does not say when its newest value was"),
        (row([1.0], promo=[0, 0]), "a number for each step.*7 numbers"),
        (
            {"store": "new", "recent": [1.0], "promo": AHEAD},
            "day: a row does not say when its newest value was",
        ),
        ({"day": "2025-06-01", "promo": AHEAD}, "recent: a row has no recent value"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_place(scorer, asked, match):
    """Nothing is made up about a series of which nothing is known."""
    with pytest.raises(RequestError, match=match):
        scorer.score([asked])


def test_an_explanation_is_refused(scorer):
    """Shapley values by column say nothing of a model that reads one series."""
    with pytest.raises(RequestError, match="a forecast comes from the recent values"):
        scorer.explain(scorer.matrix([row(week())]), name="sales@1")


def test_a_row_is_tried_as_a_form_has_it(trained):
    """Numbers stand with commas between them."""
    factory, _ = trained
    fields = {field.name: field for field in request_form(factory, stores.LINE).fields}
    filled = {"day": "2025-06-01", "recent": ", ".join(map(str, week())), "promo": ", ".join(map(str, AHEAD))}
    tried = try_row(factory, stores.LINE, filled)

    assert "numbers" == fields["recent"].type == fields["promo"].type
    assert 7 == len(tried.answer["prediction"])
    assert tried.explained is None


def test_labels_are_lists_of_numbers(trained):
    """One that is not known is null."""
    package = package_of(trained[0])
    (kept,) = check_labels([{"id": "a", "label": [1, None, 2.5]}], package)

    assert "[1.0,null,2.5]" == kept.label
    for label in (None, [], ["a"], 3, [None], [None, None]):
        with pytest.raises(RequestError, match=r"labels\[0\].label: not a list of numbers"):
            check_labels([{"id": "a", "label": label}], package)


def test_what_came_is_known_without_feedback(tmp_path: Path):
    """Newer values say how forecasts turned out, and the watch measures it."""
    factory, clock = stores.make_stores(tmp_path / "factory")
    with factory:
        execute_inline(factory, stores.LINE)
        at = stores.DAYS - 1
        values = stores.sales(stores.DAYS + 8)
        asked, out = factory.root / "asked.csv", factory.root / "answers.csv"
        names = [f"s{number:02}" for number in range(stores.STORES)]
        series = [values.filter(pl.col("store") == name) for name in names]
        pl.DataFrame(
            {
                "store": names,
                "day": [stores.START + timedelta(days=at)] * len(names),
                "recent": [to_numbers_text(one["amount"][: at + 1].tail(60).to_list()) for one in series],
                "promo": [to_numbers_text(one["promo"][at + 1 : at + 8].to_list()) for one in series],
            }
        ).write_csv(asked)
        predict_file(factory, stores.LINE, asked, out)
        before = execute_inline(factory, stores.LINE)
        values.write_csv(factory.root / "sales.csv")
        clock.at += timedelta(hours=12)
        execute_inline(factory, stores.LINE)
        found = list(factory.labels_of(stores.LINE).labelled(known_by=factory.now()))
        clock.at += timedelta(days=1, seconds=1)
        tend_inline(factory, stores.LINE)
        watched = factory.metadata.events(Watched, line=stores.LINE)
        measured = [factory.metadata.get(one.performance, Performance) for one in watched if one.performance]
        certificate = factory.metadata.get(execute_inline(factory, stores.LINE).certificate, Certificate)

    assert before.digest
    assert stores.STORES == len(found) == sum(truth is not None for _, truth in found)
    truth = found[0][1]
    assert series[0]["amount"].to_list()[at + 1 : at + 8] == read_numbers(truth.label)
    assert [("mase", stores.STORES)] == [(one.metric, one.labelled) for one in measured]
    assert measured[0].value < 0.8
    assert "champion" == certificate.outcomes[0].found.against


def test_it_is_rebuilt_to_the_byte(trained, tmp_path: Path):
    """From the manifest alone."""
    factory, _ = trained
    found = rebuild(
        factory, find_model(factory, stores.LINE), workers=1, scratch=tmp_path, report=lambda _: None
    )

    assert "R0" == found.level


def test_the_card_is_written(trained):
    """With its metrics, what was tried, and a forecast of a test row."""
    text = str(card(trained[0], "sales@1").markdown)

    assert "mase" in text
    assert "theta" in text
    assert "recent values were read, with a season of 7 steps" in text
    assert "values were read. Each row is a time of one series" in text


def test_new_finds_series_time_and_step(tmp_path: Path):
    """A table of values becomes a line file, each choice with its reason."""
    data = tmp_path / "sales.csv"
    stores.sales(60).write_csv(data)
    made = new_line(tmp_path, "found", data, GivenRoles(label="amount"), task="forecast")
    text = Path(made.path).read_text()

    assert ("forecast", "store", "day") == (made.task, made.group, made.time)
    assert "every: 1d" in text
    assert "season: 7" in text
    assert "known_ahead: [promo]" in text
    with pytest.raises(RequestError, match="--key"):
        new_line(tmp_path, "other", data, GivenRoles(label="amount", key="store"), task="forecast")


def test_new_asks_for_the_series_where_it_cannot_tell(tmp_path: Path):
    """Two columns that both tell series apart."""
    data = tmp_path / "sales.csv"
    stores.sales(60).with_columns(code=pl.col("store").str.slice(1).cast(pl.Int64) + 100).write_csv(data)

    with pytest.raises(RequestError, match=r"--group.*store, code"):
        new_line(tmp_path, "found", data, GivenRoles(label="amount"), task="forecast")


def test_new_refuses_numbered_times_that_no_line_could_read(tmp_path: Path):
    """A line file that it writes can run."""
    Factory.create(tmp_path).close()
    data = tmp_path / "sales.csv"
    stores.sales(60).with_columns(day=pl.int_range(pl.len()).over("store") * 10).write_csv(data)

    with pytest.raises(RequestError, match=r"day: mostly 10 apart.*divide them by 10"):
        new_line(
            tmp_path, "found", data, GivenRoles(label="amount", group="store", time="day"), task="forecast"
        )


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (", time: day", "", "table.time"),
        ("forecast: {horizon: 7, known_ahead: [promo]}\n", "", "forecast: {horizon: 14}"),
        ("task: forecast", "task: regression", "forecast"),
        ("group: store", "group: store, key: day", "rows are made of the values"),
        ("column: amount", "column: amount, delay: 1d", "when the last of them is"),
        ("task: forecast", "task: forecast, split: {by: random}", "not by time"),
        ("horizon: 7", "horizon: 0", "forecast.horizon"),
        ("known_ahead: [promo]", "known_ahead: [day]", "known ahead"),
        ("known_ahead: [promo]", "known_ahead: [prom]", "prom"),
        ("horizon: 7", "horizon: 7, every: fortnight", "forecast.every"),
        ("group: store, ", "", "two values are in one step"),
        ("horizon: 7", "horizon: 7, every: 1h", "irregular"),
        ("horizon: 7", "horizon: 150", "no series is longer"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, old: str, new: str, match: str):
    """Before anything is learned."""
    factory, _ = stores.make_stores(tmp_path / "factory")
    path = factory.path_of(stores.LINE)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with factory, pytest.raises(SpecError, match=match):
        execute_inline(factory, stores.LINE)


def test_a_retraining_learns_what_feedback_says_and_no_source_has(tmp_path: Path):
    """Of a time that the source has too, the source is right."""
    factory, clock = stores.make_stores(tmp_path / "factory", more="")
    with factory:
        execute_inline(factory, stores.LINE)
        before = rows_of(factory).height
        clock.at += timedelta(hours=1)
        asked, out, labels = (factory.root / name for name in ("asked.csv", "answers.csv", "labels.csv"))
        own = rows_of(factory).row(0, named=True)
        rows = [
            ("elsewhere", "2025-05-20", to_numbers_text(week())),
            (own["store"], str(own["day"]), own["recent"]),
        ]
        pl.DataFrame(rows, schema=["store", "day", "recent"], orient="row").write_csv(asked)
        predict_file(factory, stores.LINE, asked, out)
        said = [to_numbers_text(week()[:7]), to_numbers_text([1.0] * 7)]
        pl.read_csv(out).select("id", label=pl.Series(said)).write_csv(labels)
        told = hand_in(factory, stores.LINE, labels)
        clock.at += timedelta(hours=1)
        ran = execute_inline(factory, stores.LINE, as_of=factory.now())
        rows = read_dataset(factory.metadata.get(ran.dataset, Dataset), factory.artifacts, factory.metadata)

    assert 2 == told["accepted"]
    assert before + 1 == rows.height
    assert [said[0]] == rows.filter(pl.col("store") == "elsewhere")["amount"].to_list()


def test_another_section_of_the_line_file_is_planned(trained: tuple[Factory, Clock]):
    """Rows are made by it, so a change of it reads the source again."""
    factory, _ = trained
    text = factory.path_of(stores.LINE).read_text()

    assert () == make_plan(factory, factory.line(stores.LINE)).changes
    changed = parse_line(text.replace("horizon: 7", "horizon: 6"), name=str(factory.path_of(stores.LINE)))
    assert {"ingest", "train"} <= {one.step for one in make_plan(factory, changed).changes}


def test_a_wrong_list_is_named_by_its_row(scorer):
    """As all that is wrong with a request is."""
    for wrong, name in ((row([1e300]), "recent"), (row([1.0], promo=[0]), "promo"), (row([None]), "recent")):
        with pytest.raises(RequestError) as caught:
            scorer.score([row([1.0]), wrong])

        assert f"rows[1].{name}" == caught.value.where


@pytest.mark.parametrize("horizon", [13, 20])
def test_rows_are_made_of_days_without_weekends(horizon: int):
    """Seven days on from a Sunday is a Sunday: cuts without a newest value go first."""
    days = [stores.START + timedelta(days=day) for day in range(2922)]
    days = [day for day in days if day.weekday() < 5 and day <= date(2032, 12, 24)]
    frame = pl.DataFrame({"at": days, "y": np.arange(len(days), dtype=np.float64)})
    columns = (
        Column(name="at", type="date", nullable=False),
        Column(name="y", type="number", nullable=False),
    )
    rows, _ = rows_of_series(frame, columns, series_spec(horizon))

    assert 400 <= rows.height
    assert rows["at"].dt.weekday().max() <= 5


@pytest.mark.parametrize("more", [{"max_age": 2}, {"remember": True}])
def test_plain_numbers_have_no_age(more):
    """Nobody knows how long ago step 40 was, or whether its time has come."""
    frame = pl.DataFrame({"at": range(40), "y": np.arange(40.0)})
    columns = (
        Column(name="at", type="integer", nullable=False),
        Column(name="y", type="number", nullable=False),
    )
    with pytest.raises(SpecError, match=r"plain numbers"):
        rows_of_series(frame, columns, series_spec(3, **more))


def test_values_far_apart_say_what_to_change():
    """It is another thing than a series that is too short."""
    at = [stores.START + timedelta(days=day) for day in (0, 3)]
    columns = (
        Column(name="at", type="date", nullable=False),
        Column(name="y", type="number", nullable=False),
    )
    with pytest.raises(SpecError, match=r"no value is followed by another.*say more steps ahead"):
        rows_of_series(pl.DataFrame({"at": at, "y": [1.0, 2.0]}), columns, series_spec(1, every="1d"))


def test_a_label_from_feedback_is_known_as_late_as_those_of_the_source():
    """A row of the log does not say until when its values ahead are, and may not teach what the test part has."""
    day = date(2025, 1, 1)
    frame = pl.DataFrame({"at": [day, day], "until": [day + timedelta(days=7), None]})
    known = known_at(frame, series_spec(7))

    assert [7 * DAY] * 2 == (known - moments(frame["at"])).tolist()


def test_a_time_that_was_called_otherwise_settles_nothing(tmp_path: Path):
    """Answers of a model of before are of no use to say what came, and stop no run."""
    factory, clock = stores.make_stores(tmp_path / "factory", more="")
    with factory:
        execute_inline(factory, stores.LINE)
        asked, line = factory.root / "asked.csv", factory.path_of(stores.LINE)
        rows = [("s00", str(stores.START + timedelta(days=30)), to_numbers_text(week()))]
        pl.DataFrame(rows, schema=["store", "day", "recent"], orient="row").write_csv(asked)
        predict_file(factory, stores.LINE, asked, factory.root / "answers.csv")
        stores.sales(stores.DAYS + 8).rename({"day": "date"}).write_csv(factory.root / "sales.csv")
        line.write_text(line.read_text().replace("time: day", "time: date"))
        clock.at += timedelta(hours=12)
        ran = execute_inline(factory, stores.LINE)

    assert ran.digest
