"""Freshness, row bands and schema evolution: what a contract promises beyond the rows."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from linewright.data.breach_text import breach_in_words, hint_of
from linewright.data.contract.freshness import Before, evolution, row_change, staleness
from linewright.data.facts import Column
from linewright.data.spec import DataSpec
from linewright.errors import SpecError

NOW = "2026-11-25T12:00:00.000000Z"
BEFORE = Before(
    dataset="sha256:3f2a" + "0" * 60,
    at="2026-11-20T08:00:00.000000Z",
    rows=400,
    columns=(Column(name="age", type="integer"), Column(name="plan", type="category")),
)


def line(**contract: Any) -> DataSpec:
    return DataSpec.model_validate(
        {
            "sources": {"a": {"file": "a.csv"}},
            "label": {"column": "y"},
            "table": {"time": "t"},
            "on_new_column": contract.pop("on_new_column", "warn"),
            "contract": contract,
        }
    )


def times(*values: Any) -> list[pl.DataFrame]:
    return [pl.DataFrame({"t": [value]}) for value in values]


def test_a_table_whose_newest_row_is_too_old_is_stale():
    """A delivery that stopped is seen at the newest time alone, in whatever chunk it is."""
    old, older = datetime(2026, 11, 23, 11, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    found = staleness(times(old, older), line(fresh="2d"), NOW)

    assert found is not None
    assert ("t", "stop") == (found.column, found.action)
    assert (
        "the newest 't' is 2026-11-23 11:00Z, 2 days old at 2026-11-25T12:00Z, and the contract allows 2d"
        == (breach_in_words(found))
    )
    assert staleness(times(older, old), line(fresh="49h"), NOW) is None
    assert staleness(times(older), line(), NOW) is None


def test_a_time_in_the_future_does_not_make_an_old_table_fresh():
    """One mistyped year would keep the alarm still for a decade."""
    wrong = times(datetime(2099, 1, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))

    assert staleness(wrong, line(fresh="2d"), NOW) is not None
    assert staleness(times(datetime(2099, 1, 1, tzinfo=UTC)), line(fresh="2d"), NOW) is None


def test_a_date_counts_from_the_end_of_its_day():
    """Its rows may have happened in the evening."""
    assert staleness(times(date(2026, 11, 23)), line(fresh="2d"), NOW) is None
    assert staleness(times(date(2026, 11, 22)), line(fresh="2d"), NOW) is not None


@pytest.mark.parametrize(
    ("contract", "action"),
    [
        ({"fresh": "1d"}, "stop"),
        ({"fresh": "1d", "on_breach": "warn"}, "warn"),
        ({"fresh": {"within": "1d", "on_breach": "warn"}}, "warn"),
        ({"fresh": {"within": "1d", "on_breach": "stop"}, "on_breach": "warn"}, "stop"),
    ],
)
def test_what_a_stale_table_does_is_said_by_the_rule_else_by_the_contract(contract, action):
    found = staleness(times(date(2026, 11, 1)), line(**contract), NOW)

    assert found is not None
    assert action == found.action


def test_numbers_have_no_age():
    """A step counter as time is allowed; how fresh it is cannot be told."""
    with pytest.raises(SpecError, match="needs a date or time, and 't' is none"):
        staleness(times(3), line(fresh="1d"), NOW)


def test_rows_may_come_and_go_within_the_band():
    """Half a delivery looks like a whole one to every other rule."""
    few = row_change(100, line(rows={"change": 0.5}), BEFORE)
    many = row_change(601, line(rows={"change": 0.5, "on_breach": "warn"}), BEFORE)

    assert few is not None
    assert many is not None
    assert (
        "100 rows would be kept, 75 % fewer than the 400 of dataset 3f2a00000000 of 2026-11-20, "
        "and rows.change allows 50 %"
    ) == breach_in_words(few)
    assert "set contract.rows.change to 0.75 for this run" in hint_of(few)
    assert ("stop", "warn") == (few.action, many.action)
    assert "50.2 % more" in breach_in_words(many)
    assert row_change(100, line(rows={"change": 0.75}), BEFORE) is None
    assert row_change(600, line(rows={"change": 0.5}), BEFORE) is None
    assert row_change(1, line(rows={"change": 0.5}), None) is None
    assert row_change(1, line(), BEFORE) is None


def said(frame: pl.DataFrame, *, types: dict[str, str], spec: DataSpec) -> list[tuple[str, str]]:
    columns = [Column(name=name, type=kind) for name, kind in types.items()]
    found = evolution(columns, frame.height, frame.__getitem__, spec, BEFORE)
    return [(breach_in_words(one), one.action) for one in found]


def test_columns_that_went_came_or_changed_name_the_version_before():
    """The person who asks upstream needs to say since when."""
    frame = pl.DataFrame({"age": ["31", "unknown", None, "none"], "colour": ["red", "red", "red", "red"]})
    types = {"age": "category", "colour": "category"}
    words = "dataset 3f2a00000000 of 2026-11-20"

    assert [
        (f"column 'plan' was there in {words}, and is gone", "warn"),
        (f"column 'colour' is new: {words} did not have it", "warn"),
        (f"column 'age' was integer in {words}, now holds text in 2 of 4 rows, first 'unknown'", "warn"),
    ] == said(frame, types=types, spec=line())
    assert "stop" in {action for _, action in said(frame, types=types, spec=line(on_new_column="stop"))}
    assert [] == said(frame, types=types, spec=line(on_new_column="ignore"))


def test_a_type_into_which_the_old_one_fits_is_told_too():
    """Features are made of the type: the model of tomorrow is another one."""
    frame = pl.DataFrame({"age": [1, 2], "plan": [1.5, None]})

    assert [
        "column 'plan' was category in dataset 3f2a00000000 of 2026-11-20, now holds number in 1 of 2 rows, first '1.5'"
    ] == [text for text, _ in said(frame, types={"age": "integer", "plan": "number"}, spec=line())]


def test_a_column_that_lost_all_its_values_or_stayed_text_is_not_said_to_hold_text():
    """Both were said of 0 rows, or of what had not changed."""
    frame = pl.DataFrame({"age": pl.Series([None, None], dtype=pl.String), "plan": [1.5, None]})

    assert [
        "column 'age' was integer in dataset 3f2a00000000 of 2026-11-20, now has no value in any row"
    ] == [
        text
        for text, _ in said(frame, types={"age": "category", "plan": "number"}, spec=line())
        if "age" in text
    ]


def test_of_columns_that_the_contract_names_its_rules_speak():
    """Who writes another type into the line file has meant it."""
    frame = pl.DataFrame({"age": ["x"]})
    spec = line(columns={"age": {"type": "category"}})

    assert [] == said(frame, types={"age": "category"}, spec=spec)
