"""The row of the command to paste is a row that could be."""

import json
import shlex
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.releases.operations import promote
from linewright.line.factory import Factory
from linewright.line.predict.example_request import curl
from linewright.line.runs.execute import execute_inline

ROWS = 240
FILE = """\
line: stays
sources: {{stays: {{file: stays.csv}}}}
table: {{time: at}}
label: {{column: y}}
contract:
  columns:
    at: {{type: {time}}}
    nights: {{type: integer}}
    y: {{type: number}}
{also}
train: {{task: regression, budget: {{trials: 1}}, folds: 2}}
gates: []
"""
START = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("also", "kind", "keeps"),
    [
        ({}, "datetime", False),
        ({"day": lambda at: (at - START).days}, "datetime", True),
        ({"month": lambda at: at.month}, "datetime", True),
        ({"day": lambda at: (at - START).days}, "date", True),
        ({"booked": lambda at: at.date()}, "datetime", True),
    ],
)
def test_a_row_with_two_columns_of_one_time_keeps_the_one_that_it_had(tmp_path, also, kind, keeps):
    """Whoever pastes it would be answered about a stay of this morning in the year before last."""
    chance = np.random.default_rng(3)
    at = [START + timedelta(hours=number * (5 if kind == "datetime" else 1)) for number in range(ROWS)]
    columns = {
        "at": [one.isoformat() if kind == "datetime" else one.date().isoformat() for one in at],
        "nights": chance.integers(1, 9, ROWS),
        **{name: [tell(one) for one in at] for name, tell in also.items()},
    }
    columns["y"] = columns["nights"] * 50 + chance.normal(size=ROWS).round(2)
    pl.DataFrame(columns).write_csv(tmp_path / "stays.csv")
    kinds = {name: "date" if isinstance(columns[name][0], date) else "integer" for name in also}
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "stays.yaml").write_text(
        FILE.format(time=kind, also="\n".join(f"    {name}: {{type: {of}}}" for name, of in kinds.items()))
    )
    with Factory.create(tmp_path) as factory:
        execute_inline(factory, "stays")
        promote(factory, "stays@1", force=True, because="a test")
        (row,) = json.loads(shlex.split(curl(factory, "stays", "http://127.0.0.1:1"))[-1])["rows"]
        now = factory.now()

    if not keeps:
        assert now[:10] == row["at"][:10]
        return
    then = datetime.fromisoformat(row["at"]).replace(tzinfo=UTC)
    for name, tell in also.items():
        told = tell(then)
        assert row[name] == (told if isinstance(told, int) else told.isoformat())
