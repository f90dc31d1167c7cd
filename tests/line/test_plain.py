"""The card of a line says what a plain linear model would have reached."""

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline

ROWS = 600


@pytest.mark.parametrize("is_linear", [False, True])
def test_a_model_that_is_not_linear_is_told_beside_one_that_is(tmp_path, is_linear):
    """Of a linear one it would say that it is as good as itself."""
    chance = np.random.default_rng(5)
    a, b = chance.normal(size=ROWS).round(3), chance.normal(size=ROWS).round(3)
    answer = a + b if is_linear else 3 * np.abs(a)
    noisy = (answer + chance.normal(scale=0.2, size=ROWS)).round(3)
    pl.DataFrame({"a": a, "b": b, "y": noisy}).write_csv(tmp_path / "rows.csv")
    new_line(tmp_path, "numbers", tmp_path / "rows.csv", GivenRoles(label="y"))
    path = tmp_path / "lines" / "numbers.yaml"
    path.write_text(path.read_text().replace("budget: normal", "budget: quick"))
    with Factory.create(tmp_path) as factory:
        execute_inline(factory, "numbers")
        told = card(factory, "numbers")

    assert (told.plain is None) is is_linear
    assert ("plain linear model" in told.markdown) != is_linear
    if told.plain is not None:
        assert told.plain.low > 0.5
        assert ("mae", "r2") == tuple(one.metric for one in told.plain.others)
