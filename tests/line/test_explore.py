"""A line that explores: lists are drawn at the endpoint, logged with their propensities, and other lists are valued from what was taken."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import polars as pl
import pytest
import shop

from linewright.capabilities.evidence.operations import card
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.serving.worker import tend_inline
from linewright.client import Client, Predicted
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.errors import SpecError
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model, lists_valued
from linewright.line.release.off_policy import value_lists
from linewright.line.release.rollout import loss_of
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import ListsValued
from linewright.model.package.model import load
from linewright.serve.facts import Prediction, Truth
from linewright.serve.rows.scorer import Scorer
from linewright.watch.facts import Performance, Watched
from linewright.worlds.endpoint import endpoint

ROWS = 1_200


class Shown(NamedTuple):
    factory: Factory
    answers: list[Predicted]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Give a line whose endpoint has shown lists of which some items were taken, when the day is over."""
    factory, clock = shop.make_shop(tmp_path_factory.mktemp("explore") / "factory", more=", explore: 0.2")
    with factory:
        execute_inline(factory, shop.LINE)
        with endpoint(factory) as url, Client(url) as client:
            rows = [
                {"customer": f"c{row % 90:03}", "history": [shop.item(row % shop.KINDS, row % 7)]}
                for row in range(ROWS)
            ]
            answers = [
                one
                for at in range(0, ROWS, 300)
                for one in client.predict(shop.LINE, rows[at : at + 300]).predictions
            ]
            clock.at += timedelta(minutes=5)
            labels = [
                {
                    "id": one.id,
                    "label": [item for item in one.prediction if item[:2] == f"k{row % shop.KINDS}"][:1],
                }
                for row, one in enumerate(answers)
            ]
            client.feedback(shop.LINE, labels)
        clock.at += timedelta(days=1)
        tend_inline(factory, shop.LINE)
        yield Shown(factory, answers)


def test_a_share_of_the_lists_is_drawn_and_each_position_has_its_propensity(shown):
    """Without what was likely to be shown, what was taken says nothing of other lists."""
    drawn = [one for one in shown.answers if one.explored]

    assert 0.16 * ROWS < len(drawn) < 0.24 * ROWS
    assert {5} == {len(one.propensities) for one in shown.answers}
    assert all(0.8 < min(one.propensities) for one in shown.answers if not one.explored)
    assert any(min(one.propensities) == pytest.approx(0.2 / 10) for one in drawn)


def test_a_drawn_answer_is_replayed_from_its_id(shown):
    """The log proves that nobody chose what was shown."""
    drawn = next(one for one in shown.answers if one.explored)
    found = replay_prediction(shown.factory, drawn.id)

    assert 0 == found.difference
    assert list(drawn.prediction) == found.computed["prediction"]


def test_what_a_file_asks_is_never_drawn(shown, tmp_path: Path):
    """Nobody is shown a list of chance by a batch."""
    asked, out = tmp_path / "asked.csv", tmp_path / "answers.csv"
    pl.DataFrame({"history": ['["k1-1"]'] * 50}).write_csv(asked)
    predict_file(shown.factory, shop.LINE, asked, out)
    answers = pl.read_csv(out)

    assert 1 == answers["prediction"].n_unique()
    assert not {"explored", "propensities"} & {*answers.columns}


def test_the_lists_of_the_champion_are_valued_when_a_window_closes(shown):
    """And the card says so, with what it rests on."""
    event = lists_valued(shown.factory.metadata, shop.LINE)
    text = str(card(shown.factory, "shop@1").markdown)

    assert event is not None
    assert (ROWS, 1.0) == (event.found.lists, event.found.supported)
    assert event.found.low < event.found.value < event.found.high
    assert event.found.value > event.found.shown  # a drawn list has fewer items of the kind that is liked
    assert f"By {ROWS:,} lists that were shown since" in text
    assert "doubly robust off-policy estimate" in text
    assert "| Popular item | Users who took it |" in text


def test_a_window_without_news_records_nothing(shown):
    """A line that nobody asks for a year would else have an event for each day of it."""
    factory, events = shown.factory, shown.factory.metadata.events
    before = len(events(ListsValued, line=shop.LINE))

    assert value_lists(factory, factory.line(shop.LINE), find_model(factory, shop.LINE)) is None
    assert before == len(events(ListsValued, line=shop.LINE))


def test_drawn_lists_do_not_judge_the_model(shown):
    """Chance made them: a monitor that counted them would be told of a worse model."""
    (watched,) = shown.factory.metadata.events(Watched, line=shop.LINE)
    measured = shown.factory.metadata.get(watched.performance, Performance)
    drawn = sum(one.explored for one in shown.answers)
    record = Prediction(
        id="", line="", generation=1, model=1, digest="", at="", key=None, row={}, threshold=None,
        answer={"prediction": ["a"], "scores": [1.0], "explored": True},
    )  # fmt: skip
    truth = Truth(label='["a"]', at=None, received="", by="id")

    assert ROWS - drawn == measured.labelled
    assert loss_of(record, truth, None) is None


def test_a_retraining_learns_from_events_alone_and_its_lists_are_valued(shown):
    """What was taken of lists favours the model that showed them; as test rows they would refuse any other."""
    factory = shown.factory
    before = find_model(factory, shop.LINE)
    later = shop.sales(range(shop.DAYS, shop.DAYS + 1), seed=6)
    pl.concat([shop.sales(), later]).write_csv(factory.root / "sales.csv")
    ran = execute_inline(factory, shop.LINE, as_of=factory.now())
    rows = read_dataset(factory.metadata.get(ran.dataset, Dataset), factory.artifacts, factory.metadata)

    assert before.digest != ran.digest
    assert "[]" not in rows["item"].to_list()
    assert ran.lists is not None
    assert ran.lists.lists == ROWS


def test_another_share_is_followed_at_once_and_changes_no_model(tmp_path: Path):
    """Who wants to stop it need not wait for a training, nor for gates."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=", explore: 0.2")
    with factory:
        first = execute_inline(factory, shop.LINE)
        path = factory.path_of(shop.LINE)
        with endpoint(factory) as url, Client(url) as client:
            before = client.predict(shop.LINE, [{"history": []}] * 50).predictions
            path.write_text(path.read_text().replace(", explore: 0.2", ""))
            second = execute_inline(factory, shop.LINE)
            time.sleep(1)
            after = client.predict(shop.LINE, [{"history": []}] * 50).predictions

    assert (first.digest, ()) == (second.digest, second.did)
    assert {0.2} == {one.explore for one in before}
    assert any(one.explored for one in before)
    assert {(0.0, ())} == {(one.explore, one.propensities) for one in after}


@pytest.mark.parametrize("share", ["0.5", "-0.1", "often"])
def test_a_share_that_would_be_most_of_the_lists_is_refused(tmp_path: Path, share: str):
    """Before anything is read."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=f", explore: {share}")
    with factory, pytest.raises(SpecError, match="explore"):
        execute_inline(factory, shop.LINE)


def test_labels_do_not_start_a_training_that_learns_nothing_from_them(tmp_path: Path):
    """A trigger that brings no new rows would train the same model for ever."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=", explore: 0.1")
    path = factory.path_of(shop.LINE)
    path.write_text(path.read_text() + "retrain: {when: [{labels: 200}]}\n")
    with factory, pytest.raises(SpecError, match="does not learn from what was taken of its lists"):
        execute_inline(factory, shop.LINE)


def test_reasons_come_over_both_protocols(shown):
    """Of the items that are shown, also of a drawn list; over OIP as JSON, as lists are."""
    rows = [{"history": ["k1-1", "k1-2"]}] * 40
    data = [{"name": "history", "shape": [1], "datatype": "BYTES", "data": ['["k1-1","k1-2"]']}]
    with endpoint(shown.factory) as url, Client(url) as client:
        answers = client.predict(shop.LINE, rows, explain=True).predictions
        told = httpx.post(
            f"{url}/v2/models/{shop.LINE}/infer", json={"inputs": data, "parameters": {"explain": True}}
        )
    outputs = {one["name"]: one["data"][0] for one in told.json()["outputs"]}
    parts = json.loads(outputs["contributions"])

    assert any(one.explored for one in answers)
    assert all(list(one.contributions) == list(one.prediction) for one in answers)
    assert 200 == told.status_code
    assert json.loads(outputs["prediction"]) == list(parts)


# Items that may be listed


def allow(factory: Factory, items: list[str], *, column: str = "item") -> None:
    """Say in the line file that items of another source may be listed."""
    pl.DataFrame({"item": items}, schema={"item": pl.String}).write_csv(factory.root / "stock.csv")
    path = factory.path_of(shop.LINE)
    text = path.read_text().replace(
        "sales: {file: sales.csv}", "sales: {file: sales.csv}, stock: {file: stock.csv}"
    )
    path.write_text(text.replace("history: 20", f"history: 20, allowed: stock.{column}"))


def test_only_items_of_the_table_are_listed_and_a_run_reads_it_again(tmp_path: Path):
    """What is out of stock is not shown, also to who has no history, and rows stay as they are."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    first = [shop.item(kind, number) for kind in range(shop.KINDS) for number in range(4)]
    allow(factory, first)
    rows = [{"history": history} for history in ([], ["k1-1"], ["k1-7", "k2-7"])]
    with factory:
        ran = execute_inline(factory, shop.LINE)
        listed = Scorer(load(ran.digest, factory.artifacts.get)).score(rows)
        pl.DataFrame({"item": [*first[1:], "never sold"]}).write_csv(factory.root / "stock.csv")
        again = execute_inline(factory, shop.LINE)
        other = Scorer(load(again.digest, factory.artifacts.get)).score(rows)
        level = rebuild(
            factory, find_model(factory, again.candidate), workers=1, scratch=tmp_path, report=lambda _: None
        ).level

    assert ran.dataset == again.dataset
    assert all(set(one["prediction"]) <= {*first} and len(one["prediction"]) == 5 for one in listed)
    assert all(first[0] not in one["prediction"] for one in other)
    assert "R0" == level


def test_what_is_out_of_stock_is_no_merit_of_the_champion(tmp_path: Path):
    """Its lists had an eighth more items to be right with, so that it would list for ever what nobody can have."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    every = [shop.item(kind, number) for kind in range(shop.KINDS) for number in range(shop.OF_KIND)]
    allow(factory, every)
    path = factory.path_of(shop.LINE)
    path.write_text(path.read_text() + "gates: [{beats: champion, margin: -0.03}]\n")
    with factory:
        execute_inline(factory, shop.LINE)
        pl.DataFrame({"item": [one for one in every if not one.endswith("-0")]}).write_csv(
            factory.root / "stock.csv"
        )
        ran = execute_inline(factory, shop.LINE)

    assert ran.promoted, ran.because


def test_a_rule_that_limits_lists_holds_for_the_champion_too(tmp_path: Path):
    """Its lists of one kind alone had more to be right with, so that a shop could never ask for variety."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    path = factory.path_of(shop.LINE)
    with factory:
        execute_inline(factory, shop.LINE)
        path.write_text(
            path.read_text()
            .replace("{items: 5", "{at_most: {kind: 1}, items: 5")
            .replace(", exclude: [kind]", "")
            + "gates: [{beats: champion, margin: -0.03}]\n"
        )
        ran = execute_inline(factory, shop.LINE)

    assert ran.promoted, ran.because


@pytest.mark.parametrize(
    ("items", "column", "match"),
    [
        ([], "item", r"no item may be listed.*found 'stock.item'"),
        (
            ["K0-0", "K0-1"],
            "item",
            r"none of the items that may be listed is in the training rows.*spell items alike",
        ),
        (["k0-0"], "itme", r"source 'stock' has no column 'itme'.*stock.item"),
    ],
)
def test_a_table_of_items_that_fits_nothing_is_refused(
    tmp_path: Path, items: list[str], column: str, match: str
):
    """Rather than to list nothing to anybody."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    allow(factory, items, column=column)
    with factory, pytest.raises(SpecError, match=match):
        execute_inline(factory, shop.LINE)


# Weights of events


def test_a_heavier_event_tells_more(tmp_path: Path):
    """A purchase says more of a taste than a look; an event of weight 0 says nothing."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    looks = shop.sales(seed=9).with_columns(customer=pl.col("customer").str.reverse(), weight=pl.lit(0.0))
    events = pl.concat([shop.sales().with_columns(weight=pl.lit(2.0)), looks]).sort("at", maintain_order=True)
    path = factory.path_of(shop.LINE)
    text = path.read_text().replace("group: customer", "group: customer, weight: weight")
    path.write_text(
        text.replace("kind: {type: category}", "kind: {type: category}\n    weight: {type: number}")
    )
    events.write_csv(factory.root / "sales.csv")
    with factory:
        ran = execute_inline(factory, shop.LINE)
        rows = read_dataset(factory.metadata.get(ran.dataset, Dataset), factory.artifacts, factory.metadata)
        (answer,) = Scorer(load(ran.digest, factory.artifacts.get)).score([{"history": ["k2-0"]}])
        level = rebuild(
            factory, find_model(factory, ran.candidate), workers=1, scratch=tmp_path, report=lambda _: None
        ).level

    assert {"weight", "history_weight"} <= {*rows.columns}
    assert set(rows["weight"].str.json_decode(pl.List(pl.String)).explode().unique()) == {"0.0", "2.0"}
    assert sum(item.startswith("k2") for item in answer["prediction"]) >= 4
    assert "R0" == level
