"""Lists with reasons in the console: of a row that is tried, and of one that was logged."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import shop
from shown_pages import Get, pages_of

from linewright.client import Client, Predicted
from linewright.line.runs.execute import execute_inline
from linewright.worlds.endpoint import endpoint

ASKED = 60


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Predicted]]:
    factory, clock = shop.make_shop(tmp_path_factory.mktemp("lists") / "factory", more=", explore: 0.2")
    with factory:
        execute_inline(factory, shop.LINE)
        with endpoint(factory) as url, Client(url) as client:
            clock.at += timedelta(minutes=1)
            rows = [{"customer": "c001", "history": ["k1-1", "<b>new", "k1-2"]}] * ASKED
            answers = list(client.predict(shop.LINE, rows).predictions)
            client.feedback(shop.LINE, [{"id": answers[0].id, "label": [answers[0].prediction[0]]}])
        return factory.root, answers


@pytest.fixture(scope="module")
def get(shown: tuple[Path, list[Predicted]]) -> Get:
    return pages_of(shown[0])


def test_a_list_that_is_tried_says_because_of_what(get):
    """Which items of the history put an item there: contributions are exact."""
    page = get(f"/lines/shop/try?{urlencode({'c.history': 'k1-1, k1-2, <b>new'})}")

    assert 200 == page.status
    assert "Because of" in page.text
    assert "k1-1" in page.text
    assert "the model does not know 1 of 3 items" in page.text
    page.assert_harmless()


def test_without_a_known_item_the_reason_is_popularity(get):
    page = get(f"/lines/shop/try?{urlencode({'c.history': 'nothing known'})}")

    assert 200 == page.status
    assert "popular" in page.text


def test_a_logged_list_is_shown_and_computed_again_with_its_reasons(get, shown):
    """Also one that was drawn, of which the page says so."""
    drawn = next(one for one in shown[1] if one.explored)
    best = next(one for one in shown[1] if not one.explored)

    assert "This list was drawn by chance" in get(f"/predictions/{drawn.id}").text
    assert "This list was drawn by chance" not in get(f"/predictions/{best.id}").text
    for one in (drawn, best):
        page = get(f"/predictions/{one.id}/replay")
        assert 200 == page.status
        assert "the same answer, to the bit" in page.text
        assert "What each item of the history contributed" in page.text
        assert "Because of" in page.text
        page.assert_harmless()


@pytest.mark.parametrize("path", ["", "/predictions", "/versions/1"])
def test_the_other_pages_of_the_line_are_there(get, path):
    assert 200 == get(f"/lines/shop{path}").status


def test_a_list_of_a_line_that_explores_nothing_is_shown_too(tmp_path: Path):
    """Its answers do not say that they were not drawn."""
    factory, clock = shop.make_shop(tmp_path / "factory")
    with factory:
        execute_inline(factory, shop.LINE)
        with endpoint(factory) as url, Client(url) as client:
            clock.at += timedelta(minutes=1)
            (answer,) = client.predict(shop.LINE, [{"customer": "c001", "history": ["k1-1"]}]).predictions
    page = pages_of(factory.root)(f"/predictions/{answer.id}")

    assert 200 == page.status
    assert answer.prediction[0] in page.text


def test_a_version_says_nothing_of_numbers_columns_or_features(get):
    """Its answers are lists, made of a list: none of what other models lack is said of it."""
    said = get("/lines/shop/versions/1").text

    assert " Popular items " in said
    assert "slices are by column, and it reads a list" in said
    for untrue in (
        "Its answers are numbers",
        "too few test rows",
        "Without features",
        "No column was shuffled",
    ):
        assert untrue not in said


def test_only_what_a_line_of_lists_has_a_use_for_is_offered(get):
    """Its decisions have no value, and nobody can say for a user what comes."""
    offered = get("/lines/shop").links

    assert "/lines/shop/try" in offered
    assert not {f"/lines/shop/{page}" for page in ("value", "label", "labels")} & {*offered}
