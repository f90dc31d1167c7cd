"""A short life in the world `shop`: every step is the product's own, and the story tells what is true."""

from pathlib import Path

import pytest

from linewright.errors import RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.worlds.demo.operations import ShopDemo, demo
from linewright.worlds.life import ShopLife
from linewright.worlds.shop.living import EXPLORE, live, to_svg
from linewright.worlds.shop.world import Parameters, ShopWorld

SMALL = Parameters(
    customers=150,
    visits=70.0,
    items=60,
    arrivals=0.5,
    tastes=1.5,
    season=0.5,
    position=0.7,
    history_days=40,
    live_days=3,
)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> ShopLife:
    root = tmp_path_factory.mktemp("life") / "factory"
    return live(ShopWorld(1, parameters=SMALL), root, report=lambda _: None, watcher=lambda _: None)


def test_lists_of_the_line_are_worth_more_than_popular_ones(life):
    """By the true probabilities, which only the world knows; nobody does better than the best lists."""
    for day in life.days:
        assert day.popular < day.value < day.best
        assert 0 < day.drawn < 3 * EXPLORE * day.lists
    assert [0, 1, 2] == [day.day for day in life.days]
    assert {"shop@1"} == {day.model for day in life.days} | {life.champion}


def test_the_estimate_of_the_line_stands_next_to_the_true_value(life):
    """The line knows labels alone."""
    found = life.estimate

    assert found is not None
    assert sum(day.lists for day in life.days) == found.lists
    assert found.low - 0.1 < life.true_value < found.high + 0.1


def test_its_picture_and_its_story_say_the_same(life):
    """The picture is a file that needs nothing from elsewhere."""
    told = ShopDemo(
        factory="demo-factory",
        picture="demo-factory/life.svg",
        value=1.5,
        popular=1.25,
        best=2.5,
        life=life,
        seconds=9.0,
    )
    text = str(result_text(told))

    assert "of popular items</title>" in to_svg(life)
    assert "the line                        1.50" in text
    assert f"by the world                   {life.true_value:5.2f}" in text
    assert max(map(len, text.splitlines())) <= 140


def test_a_shop_has_no_attack(tmp_path: Path):
    """An option that does nothing would be taken for one that did."""
    with pytest.raises(RequestError, match="the world shop has no attack"):
        demo(Factory(tmp_path / "factory"), "shop", attack=False)
