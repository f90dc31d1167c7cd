"""Reading rows: strict, with the place of each mistake."""

import math
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import RequestError, Terminal
from linewright.features.encode import MISSING
from linewright.model.facts import RequestColumn
from linewright.serve.rows.body.reader import MAX_MISTAKES, MAX_ROWS, RowReader, to_schema
from linewright.serve.rows.body.scalars import MAX_TEXT, spell


def reader_of(kind, **rule):
    return RowReader([RequestColumn(name="x", type=kind, **rule)])


def read_one(kind, value, **rule):
    return reader_of(kind, **rule).read([{"x": value}])["x"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", 3, 3.0),
        ("integer", 3.0, 3.0),
        ("integer", -(2**63), -(2.0**63)),
        ("number", 3, 3.0),
        ("number", 0.1, 0.1),
        ("boolean", True, 1.0),
        ("boolean", False, 0.0),
        ("boolean", " Yes ", 1.0),
        ("boolean", "no", 0.0),
        ("boolean", "1", 1.0),
        ("boolean", 0, 0.0),
    ],
)
def test_a_number_is_read_as_itself(kind, value, expected):
    """Also in the spellings that a CSV file has for it."""
    assert [expected] == read_one(kind, value).values.tolist()


@pytest.mark.parametrize(
    ("value", "level"), [(" Fiat ", "Fiat"), (12, "12"), (True, "true"), (False, "false")]
)
def test_a_category_is_read_as_its_spelling(value, level):
    """A code 12 in JSON is the category "12" of the training file."""
    column = read_one("category", value)

    assert [level] == column.levels
    assert [0] == column.codes.tolist()


@pytest.mark.parametrize("kind", ["integer", "number", "boolean", "category", "text", "date", "datetime"])
@pytest.mark.parametrize("value", [None, "", "   ", "absent"])
def test_null_blank_and_absent_are_missing(kind, value):
    """The CSV reader takes a blank field for a missing value, so a row of a request says the same."""
    column = reader_of(kind).read([{} if value == "absent" else {"x": value}])["x"]

    match kind:
        case "date" | "datetime":
            assert [MISSING] == column.micros.tolist()
        case "category" | "text":
            assert [-1] == column.codes.tolist()
        case _:
            assert np.isnan(column.values).all()


@pytest.mark.parametrize(
    ("kind", "value", "form", "expected"),
    [
        ("date", "2026-03-01", None, datetime(2026, 3, 1, tzinfo=UTC)),
        ("date", "03/01/2026", "%m/%d/%Y", datetime(2026, 3, 1, tzinfo=UTC)),
        ("date", "2026-03-01", "%m/%d/%Y", datetime(2026, 3, 1, tzinfo=UTC)),
        ("datetime", "2026-03-01T12:00:00", None, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("datetime", "2026-03-01T12:00:00Z", None, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("datetime", "2026-03-01T14:00:00+02:00", None, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("datetime", "1 Mar 2026 12:00", "%d %b %Y %H:%M", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("datetime", "1900-01-01", None, datetime(1900, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_utc(kind, value, form, expected):
    """The instant that a client means does not depend on where the endpoint runs."""
    micros = (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    assert [micros] == read_one(kind, value, format=form).micros.tolist()


@settings(deadline=None)
@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_every_instant_is_read_to_the_microsecond(instant):
    """Law: what isoformat writes is read back as the same instant."""
    micros = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    assert [micros] == read_one("datetime", instant.isoformat()).micros.tolist()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "12"),
        ("integer", 1.5),
        ("integer", True),
        ("integer", 2**63),
        ("integer", 1e300),
        ("integer", math.inf),
        ("number", "1.5"),
        ("number", False),
        ("number", math.nan),
        ("number", -math.inf),
        ("number", 10**400),
        ("boolean", 2),
        ("boolean", "maybe"),
        ("category", ["a"]),
        ("category", {"a": 1}),
        ("text", "a" * (MAX_TEXT + 1)),
        ("date", "2026-13-01"),
        ("date", 20260301),
        ("date", "2026-03-01T12:00:00"),
        ("datetime", "yesterday"),
        ("datetime", 1.5),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(kind, value):
    """Nothing is guessed: a wrong value would silently become a wrong answer."""
    good = {"integer": 1, "number": 1, "boolean": True, "date": "2026-03-01", "datetime": "2026-03-01"}.get(
        kind, "a"
    )
    with pytest.raises(RequestError, match=r"rows\[3\]\.x") as caught:
        reader_of(kind).read([{"x": good}] * 3 + [{"x": value}])

    assert caught.value.allowed
    assert msgspec.json.encode(caught.value.to_json())


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": " "}])
def test_a_column_that_must_have_a_value_needs_one(row):
    """The contract says which columns may be missing."""
    with pytest.raises(RequestError, match=r"rows\[0\]\.x: .* is needed"):
        reader_of("integer", nullable=False).read([row])


def test_an_unknown_column_is_refused_with_the_nearest_name():
    """A misspelt column would otherwise be a missing value."""
    with pytest.raises(RequestError, match="did you mean 'Amount'") as caught:
        RowReader([RequestColumn(name="Amount", type="number")]).read([{"Amont": 1}])

    assert "rows[0].Amont" == caught.value.where


def test_what_is_there_and_wrong_is_told_before_what_is_not_there():
    """Whoever sends half a row to try it would never come to the value that is wrong."""
    columns = [RequestColumn(name=name, type="integer", nullable=False) for name in ("a", "b", "c")]
    with pytest.raises(RequestError) as caught:
        RowReader(columns).read([{"b": "old", "d": 1}])

    assert ["d", "b", "a", "c"] == [
        each["where"].partition(".")[2] for each in caught.value.details["errors"]
    ]


def test_all_mistakes_are_told_up_to_twenty():
    """A client repairs a batch in one go."""
    with pytest.raises(RequestError) as caught:
        reader_of("integer").read([{"x": "a", "y": 1}, {"x": 1}, {"x": "b"}])
    places = [mistake["where"] for mistake in caught.value.details["errors"]]
    with pytest.raises(RequestError) as many:
        reader_of("integer").read([{"x": "a"}] * 100)

    assert ["rows[0].y", "rows[0].x", "rows[2].x"] == places
    assert MAX_MISTAKES == len(many.value.details["errors"])


def test_how_many_rows_are_wrong_is_said():
    """Twenty are listed; whether it is these or the whole file decides what to look for."""
    with pytest.raises(RequestError) as many:
        reader_of("integer").read([{"x": 1}] * 58 + [{"x": "a", "y": 1}] * 2 + [{"x": "a"}] * 40)
    with pytest.raises(RequestError) as one:
        reader_of("integer").read([{"x": 1}, {"x": "a", "y": 1}])

    assert 42 == many.value.details["wrong_rows"]
    assert "(42 of 100 rows are wrong)" in many.value.what
    assert 1 == one.value.details["wrong_rows"]
    assert "rows are wrong" not in one.value.what


@pytest.mark.parametrize("rows", [None, {}, "rows", 1, [], [1], [[]], [None], [{}] * (MAX_ROWS + 1)])
def test_what_is_not_a_list_of_rows_is_refused(rows):
    """Shapes are checked before values."""
    with pytest.raises(RequestError, match="rows"):
        reader_of("integer").read(rows)


@pytest.mark.parametrize("value", [None, "a", 12, 1.5, True])
def test_carried_columns_may_hold_any_scalar(value):
    """A client sends its row as it is; what the model does not use is not judged."""
    columns = [
        RequestColumn(name="x", type="integer"),
        RequestColumn(name="k", type="integer", role="carried"),
    ]

    assert ["x"] == list(RowReader(columns).read([{"x": 1, "k": value}, {"x": 1}]))


@pytest.mark.parametrize("value", [[], {}, math.inf, 2**70, "a" * (MAX_TEXT + 1)])
def test_carried_columns_hold_nothing_that_a_log_cannot(value):
    """What is carried is logged, so it is bounded, and JSON."""
    with pytest.raises(RequestError, match=r"rows\[0\]\.k"):
        RowReader([RequestColumn(name="k", type="integer", role="carried")]).read([{"k": value}])


def test_a_column_type_that_is_not_read_is_refused_when_the_model_is_loaded():
    """A package that could never answer must not serve."""
    with pytest.raises(Terminal, match="matrix"):
        reader_of("matrix")


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", "zz"]), SCALARS), max_size=4))
def test_any_rows_are_read_or_refused_with_a_place(rows):
    """Law: no input has a third way out, and a refusal is JSON."""
    kinds = {"a": "integer", "b": "category", "c": "datetime"}
    reader = RowReader([RequestColumn(name=name, type=kind) for name, kind in kinds.items()])
    try:
        columns = reader.read(rows)
    except RequestError as error:
        refusal = msgspec.json.decode(msgspec.json.encode(error.to_json()))
    else:
        refusal = {"where": f"rows: {len(columns['a'].values)}"}

    assert refusal["where"].startswith("rows")


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"a": st.none() | st.integers(-9, 9), "b": st.none() | st.text(max_size=3)}),
        min_size=1,
    )
)
def test_a_row_is_read_alike_alone_and_among_others(rows):
    """Law: batches are a matter of speed, never of meaning."""
    reader = RowReader([RequestColumn(name="a", type="integer"), RequestColumn(name="b", type="text")])
    together = reader.read(rows)
    alone = [reader.read([row]) for row in rows]

    np.testing.assert_array_equal([each["a"].values[0] for each in alone], together["a"].values)
    assert [[*each["b"].levels, None][0] for each in alone] == [
        None if code < 0 else together["b"].levels[code] for code in together["b"].codes
    ]


def test_the_schema_names_what_is_needed_and_allows_nothing_else():
    """A client generates its form from it."""
    schema = to_schema(
        [
            RequestColumn(name="Age", type="integer", nullable=False),
            RequestColumn(name="day", type="date", format="%d.%m.%Y"),
            RequestColumn(name="key", type="text", role="carried"),
        ],
        title="A row",
    )

    assert ["Age"] == schema["required"]
    assert False is schema["additionalProperties"]
    assert ["string", "null"] == schema["properties"]["day"]["type"]
    assert "%d.%m.%Y" in schema["properties"]["day"]["description"]
    assert "format" not in schema["properties"]["day"]


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (1.5, "1.5"), (-0.0, "0"), (None, None), (False, "false")]
)
def test_a_key_has_one_spelling(value, text):
    """The key of a prediction and of its label meet though one came as a number and one as a text."""
    assert text == spell(value)
