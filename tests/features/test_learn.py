"""Learning an encoder from training rows."""

from collections import Counter
from datetime import date, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.data.facts import Column
from linewright.errors import SpecError
from linewright.features.encode import encode
from linewright.features.facts import Boolean, Category, DatePart, Elapsed, Frequency, Number
from linewright.features.learn import learn, to_columns
from linewright.store.values import canonical_json

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def typed(**types):
    return [Column(name=name, type=kind) for name, kind in types.items()]


def test_each_type_gets_its_encoding():
    """The one table of what becomes of a column."""
    frame = pl.DataFrame(
        {
            "count": [1, 2, None],
            "size": [0.5, None, 2.5],
            "flag": [True, False, None],
            "make": ["Fiat", "Opel", "Fiat"],
            "note": ["a", "b", "c"],
            "tags": [["a"], ["b"], []],
        }
    )
    encoder = learn(
        frame,
        typed(count="integer", size="number", flag="boolean", make="category", note="text", tags="list"),
    )

    assert (
        Number(column="count"),
        Number(column="size"),
        Boolean(column="flag"),
        Category(column="make", levels=("Fiat",)),
    ) == encoder.encodings


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.sampled_from("abcdeÉ"), min_size=1, max_size=40), st.randoms())
def test_levels_are_those_seen_twice_most_frequent_first(values, random):
    """Counted by hand, and the order of the rows does not matter."""
    counts = Counter(v for v in values if v is not None)
    expected = tuple(sorted((v for v, n in counts.items() if n > 1), key=lambda v: (-counts[v], v)))
    frame = pl.DataFrame({"c": values, "x": range(len(values))}, schema={"c": pl.String, "x": pl.Int64})
    extra = pl.DataFrame({"c": [None, None], "x": [-1, -2]}, schema=frame.schema)  # so that `x` varies
    rows = pl.concat([frame, extra]).sample(fraction=1, shuffle=True, seed=random.randrange(2**32))
    encodings = learn(rows, typed(c="category", x="integer")).encodings
    found = [e.levels for e in encodings if isinstance(e, Category)]

    # Without any level and with nothing but missing values there is no encoding.
    assert found == ([expected] if counts else [])


def test_frequencies_come_with_more_than_30_levels():
    """Where codes are many, how common a level is says more than which."""
    thirty = pl.DataFrame({"c": [f"l{i:02}" for i in range(30)] * 2})
    more = pl.DataFrame({"c": [*[f"l{i:02}" for i in range(31)] * 2, "l07", "once", None, None]})
    category, frequency = learn(more, typed(c="category")).encodings

    assert ("c",) == learn(thirty, typed(c="category")).names
    assert isinstance(category, Category)
    assert isinstance(frequency, Frequency)
    assert "l07" == category.levels[0]
    assert (category.levels, 3 / 66, 2 / 66, 2 / 66) == (
        frequency.levels,
        frequency.shares[0],
        frequency.shares[1],
        frequency.missing,
    )


def test_at_most_1000_levels_are_kept():
    """A package stays small, whatever an id column holds."""
    frame = pl.DataFrame({"c": [f"l{i:04}" for i in range(1500)] * 2 + ["l1499"]})
    category = learn(frame, typed(c="category")).encodings[0]

    assert isinstance(category, Category)
    assert 1000 == len(category.levels)
    assert ("l1499", "l0000", "l0998") == (category.levels[0], category.levels[1], category.levels[-1])


def test_a_column_of_many_values_that_each_occur_once_is_no_feature():
    """Ids must cost neither memory nor minutes."""
    n = 200_000
    frame = pl.DataFrame({"id": [f"k{i}" for i in range(n)], "x": np.arange(n) % 7})

    assert ("x",) == learn(frame, typed(id="category", x="integer")).names


def test_dates_become_the_parts_that_vary_and_days():
    """Raw epochs are never features; what stays the same is no feature either."""
    frame = pl.DataFrame({"t": [datetime(2024, 3, 1, 9, 0), datetime(2024, 3, 5, 17, 0), None]})
    origin = 1_709_283_600_000_000

    assert (
        DatePart(column="t", part="day"),
        DatePart(column="t", part="weekday"),
        DatePart(column="t", part="hour"),
        *(DatePart(column="t", part=part) for part in ("hour_sin", "hour_cos", "hour_sin2", "hour_cos2")),
        Elapsed(column="t", origin=origin),
    ) == learn(frame, typed(t="datetime")).encodings


def test_dates_have_no_hours():
    """A date's midnight says nothing."""
    frame = pl.DataFrame({"d": [date(2023, 1, 31), date(2024, 2, 1)]})

    assert ("d:month", "d:day", "d:weekday", "d:days") == learn(frame, typed(d="date")).names


def test_times_with_a_zone_are_read_in_utc():
    """The same instant has the same features wherever it was written down."""
    utc = pl.DataFrame({"t": [datetime(2024, 1, 1, 12, 30), datetime(2024, 6, 2, 23, 45)]})
    paris = utc.select(pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Paris"))
    nanoseconds = utc.select(pl.col("t").cast(pl.Datetime("ns")))
    expected = to_columns(utc, ["t"])["t"].micros.tolist()

    assert expected == to_columns(paris, ["t"])["t"].micros.tolist()
    assert expected == to_columns(nanoseconds, ["t"])["t"].micros.tolist()


def test_durations_are_made_of_at_most_6_pairs_in_the_order_of_columns():
    """How long something took is often the strongest feature; all pairs would be too many."""
    names = ["a", "b", "c", "d", "e"]
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({name: rng.integers(0, 9999, 50) for name in names}).cast(pl.Date)
    encodings = learn(frame, typed(**dict.fromkeys(names, "date"))).encodings
    pairs = [(e.since, e.column) for e in encodings if isinstance(e, Elapsed) and e.since]

    assert list(combinations(names, 2))[:6] == pairs


def test_a_duration_that_never_varies_is_no_feature():
    """Two copies of a column are one column."""
    days = [date(2024, 1, day) for day in (1, 2, 9)]
    names = learn(pl.DataFrame({"a": days, "b": days}), typed(a="date", b="date")).names

    assert ("a:day", "a:weekday", "a:days", "b:day", "b:weekday", "b:days") == names


def test_columns_that_say_nothing_are_dropped():
    """Constant or missing in every training row; a value that is sometimes missing says something."""
    frame = pl.DataFrame(
        {
            "constant": [5, 5, 5],
            "empty": pl.Series([None, None, None], dtype=pl.String),
            "untyped": pl.Series([None, None, None]),
            "unique": ["a", "b", "c"],
            "same_day": [date(2024, 1, 1)] * 3,
            "sometimes": [7, None, 7],
            "seldom": ["x", None, "y"],
        }
    )
    encoder = learn(
        frame,
        typed(
            constant="integer",
            empty="category",
            untyped="date",
            unique="category",
            same_day="date",
            sometimes="number",
            seldom="category",
        ),
    )

    assert ("sometimes", "seldom") == encoder.names


def test_a_column_that_varies_only_beyond_float32_is_dropped():
    """The model would see a constant."""
    frame = pl.DataFrame({"x": [2**60, 2**60 + 1], "y": [0, 1]})

    assert ("y",) == learn(frame, typed(x="integer", y="integer")).names


def test_nothing_left_to_learn_from_is_explained_column_by_column():
    """The person must see which column could be rescued."""
    frame = pl.DataFrame({"a": [1, 1], "b": [None, None], "c": ["u", "v"], "d": ["w", "w"], "e": ["x", "y"]})
    with pytest.raises(SpecError, match="no feature is left to learn from") as caught:
        learn(frame, typed(a="integer", b="number", c="category", d="category", e="text"))

    assert {
        "a": "the same in every training row",
        "b": "missing in every training row",
        "c": "no value occurs twice",
        "d": "the same in every training row",
        "e": "too few texts have words in common",
    } == caught.value.details["dropped"]
    assert "'c': no value occurs twice" in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "columns", "says"),
    [
        (pl.DataFrame({"a": [1, 2]}), [], "no feature columns"),
        (pl.DataFrame({"a": []}, schema={"a": pl.Int64}), typed(a="integer"), "no training rows"),
    ],
)
def test_no_rows_or_no_columns_are_said_to_be_so(frame, columns, says):
    """An empty table and a table that is all key and label are different mistakes."""
    with pytest.raises(SpecError, match=says):
        learn(frame, columns)


def test_values_that_are_not_of_their_type_are_refused():
    """A contract that says category over numbers would train and serve different things."""
    with pytest.raises(SpecError, match=r"column 'a': .* found 'numbers', allowed: category"):
        learn(pl.DataFrame({"a": [1, 2]}), typed(a="category"))
    with pytest.raises(SpecError, match="column 'a': no feature can be made of this column"):
        to_columns(pl.DataFrame({"a": [[1], [2]]}), ["a"])
    with pytest.raises(SpecError, match=r"lacks a column: found 'b', allowed: 'a'"):
        to_columns(pl.DataFrame({"a": [1]}), ["b"])


@pytest.mark.parametrize("first", [date(1, 1, 1), date(9999, 1, 1)])
def test_dates_at_the_ends_of_the_calendar_fit_into_a_package(first):
    """Sentinels such as 0001-01-01 and 9999-12-31 are real data; JSON integers end at 2**53."""
    frame = pl.DataFrame({"d": [first, first.replace(month=12, day=31)]})
    encoder = learn(frame, typed(d="date"))
    days = encode(encoder, to_columns(frame, ["d"]))[:, -1]

    assert canonical_json(encoder)
    assert 364 == pytest.approx(days[1] - days[0], abs=1)


def test_levels_of_enums_and_categoricals_are_their_spellings():
    """Polars has three kinds of strings; the model must not care."""
    values = ["b", None, "a", "b"]
    for dtype in (pl.String, pl.Categorical, pl.Enum(["z", "b", "a"])):
        column = to_columns(pl.DataFrame({"c": pl.Series(values, dtype=dtype)}), ["c"])["c"]

        assert (["a", "b"], [1, -1, 0, 1]) == (column.levels, column.codes.tolist())


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_real_claims_are_encoded_without_nan_from_nowhere():
    """Rows that were not there in training, real spellings, a table of 33 columns."""
    frame = pl.read_csv(SHARED / "insurance_fraud.csv")
    kinds = {
        name: "category" if dtype == pl.String else "integer"
        for name, dtype in frame.schema.items()
        if name not in ("FraudFound", "PolicyNumber")
    }
    encoder = learn(frame.head(10_000), typed(**kinds))
    matrix = encode(encoder, to_columns(frame, encoder.columns))

    assert (15_420, len(kinds)) == matrix.shape
    assert np.isfinite(matrix).all()
    assert all(np.unique(column[:10_000]).size > 1 for column in matrix.T)
