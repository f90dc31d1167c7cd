"""Dataset versions in the console: what was read, what did not hold, what the columns hold."""

import polars as pl
import pytest
from shown_pages import COLUMN, HOSTILE

from linewright.capabilities.datasets.operations import dataset, profile
from linewright.data.profile.summary import FEWEST, summarise
from linewright.line.factory import Factory


@pytest.fixture(scope="module")
def digest(hostile) -> str:
    with Factory.open(hostile) as factory:
        return dataset(factory, "claims").versions[0].dataset


def test_the_newest_version_stands_with_its_sources_and_its_contract(get, digest):
    page = get("/lines/claims/datasets", role="viewer")

    assert 200 == page.status
    for said in ("claims.csv", "as it was read", "at most 3", "quarantine", COLUMN):
        assert said in page.text
    assert f"/lines/claims/datasets/{digest}" in page.links
    page.assert_harmless()


def test_one_version_has_an_address(get, digest):
    assert 200 == get(f"/lines/claims/datasets/{digest}").status
    assert 200 == get(f"/lines/claims/datasets/{digest.removeprefix('sha256:')[:12]}").status
    assert 404 == get("/lines/claims/datasets/sha256:00").status
    assert 404 == get(f"/lines/other/datasets/{digest}").status


def test_rows_that_were_kept_out_stand_with_line_and_rule(get):
    """Whoever mends the source finds the line; a viewer sees no row."""
    page = get("/lines/claims/quarantine")

    assert 200 == page.status
    assert "242" in page.text
    assert "at most 3" in page.text
    assert "C999<script>alert(1)</script>" in page.text
    page.assert_harmless()
    assert 403 == get("/lines/claims/quarantine", role="viewer").status


def test_two_versions_are_compared(get, digest):
    page = get(f"/lines/claims/datasets/diff?before={digest}&after={digest}", role="viewer")

    assert 200 == page.status
    assert "They hold the same." in page.text


def test_a_profile_says_what_columns_hold_and_names_nobody(get, digest, hostile):
    """Of the key no value is told."""
    page = get(f"/lines/claims/datasets/{digest}/profile", role="viewer")

    assert 200 == page.status
    assert "C00" not in page.text
    assert all(value in page.text for value in HOSTILE)
    page.assert_harmless()
    with Factory.open(hostile) as factory:
        found = profile(factory, "claims")
        rules = dataset(factory, "claims").shown.rules  # type: ignore[union-attr]
    assert {"max": 3, "on_breach": "quarantine"} == rules["amount"]
    assert ("claim",) == found.hidden
    assert digest == found.dataset
    assert [240] * 4 == [one.missing + found.rows for one in found.columns]


def test_a_value_of_few_rows_is_not_told():
    """It may name somebody."""
    many, few = ["yes"] * FEWEST, ["ada"] * (FEWEST - 1)
    found = next(iter(summarise(pl.DataFrame({"who": many + few}), {"who": "category"})))

    assert ["yes"] == [one.value for one in found.common]
    assert 2 == found.distinct
