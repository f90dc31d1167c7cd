"""The fan of a forecast in the console: of a row that is tried, and of one that was logged."""

from pathlib import Path
from urllib.parse import urlencode

import polars as pl
import pytest
import stores
from shown_pages import Get, pages_of

from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline

RECENT = "10, 20, 30, null, 50, 60, 70, 12, 22, 32, 42, 52, 62, 72"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    factory, _ = stores.make_stores(tmp_path_factory.mktemp("fan") / "factory", more="", days=100)
    with factory:
        execute_inline(factory, stores.LINE)
        asked = factory.root / "asked.csv"
        pl.DataFrame({"store": ["s01"], "day": ["2025-04-10"], "recent": [f"[{RECENT}]"]}).write_csv(asked)
        predict_file(factory, stores.LINE, asked, factory.root / "answers.csv")
        return factory.root


@pytest.fixture(scope="module")
def get(root: Path) -> Get:
    return pages_of(root)


def test_a_row_that_is_tried_is_drawn(get):
    """Recent values, the forecast and its interval, and a table of them."""
    filled = {"c.day": "2025-04-10", "c.recent": RECENT}
    page = get(f"/lines/sales/try?{urlencode(filled)}")

    assert 200 == page.status
    assert "amount in the next 7 steps" in page.text
    assert "step; 1 is 2025-04-11" in page.text
    assert "What would change the answer" not in page.text
    page.assert_harmless()


def test_a_logged_forecast_is_drawn_with_the_way_to_try_it(get, root):
    """Its page leads to the form with the same values."""
    name = pl.read_csv(root / "answers.csv")["id"][0]
    page = get(f"/predictions/{name}")

    assert 200 == page.status
    assert "The next 7 steps" in page.text
    assert any(link.startswith("/lines/sales/try?") and "null" in link for link in page.links)
    page.assert_harmless()


@pytest.mark.parametrize("path", ["predictions", "versions/1", "datasets", ""])
def test_the_other_pages_of_the_line_are_there(get, path):
    assert 200 == get(f"/lines/sales/{path}".rstrip("/")).status


def test_a_version_names_the_naive_forecast_and_no_columns(get):
    """What the gates held it against is not a prediction without features, and its answers are no classes."""
    said = get(f"/lines/{stores.LINE}/versions/1").text

    assert " Seasonal naive forecast " in said
    assert "slices are by column, and it reads a list" in said
    for untrue in ("Its answers are numbers", "too few test rows", "Without features"):
        assert untrue not in said


def test_its_decisions_have_no_value_and_time_tells_the_labels(get):
    offered = get(f"/lines/{stores.LINE}").links

    assert f"/lines/{stores.LINE}/try" in offered
    assert not {f"/lines/{stores.LINE}/{page}" for page in ("value", "label", "labels")} & {*offered}
