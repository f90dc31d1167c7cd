import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.data.types import DTYPES, cast, infer, infer_most
from linewright.errors import SpecError

NUMBERISH = st.text(alphabet="0123456789+-.eE_ naif", max_size=8) | st.from_regex(
    r"[+-]?[0-9]{1,25}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True
)


def one(value: object, to: str, **options: str) -> object:
    dtype = pl.String if isinstance(value, str) else None
    return cast(pl.Series([value], dtype=dtype), to, **options)[0]


@given(NUMBERISH)
def test_integers_are_a_sign_and_digits(text):
    """Nothing is rounded or cut: "3.0", " 3" and numbers beyond 64 bits are not integers."""
    fits = re.fullmatch(r"[+-]?[0-9]+", text) and -(2**63) <= int(text) < 2**63

    assert (int(text) if fits else None) == one(text, "integer")


@given(NUMBERISH)
def test_numbers_are_those_of_ieee_754(text):
    """The nearest double, as Python reads it; no infinities, no NaN."""
    fits = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) and math.isfinite(
        float(text)
    )

    assert (float(text) if fits else None) == one(text, "number")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TRUE", True),
        ("yes", True),
        ("T", True),
        ("1", True),
        ("No", False),
        ("f", False),
        ("0", False),
        ("2", None),
    ],
)
def test_booleans_have_a_few_spellings(text, value):
    """A spelling that is not known is a breach, not false."""
    assert value is one(text, "boolean")


@given(st.datetimes(min_value=datetime(1600, 1, 1), max_value=datetime(2400, 1, 1)), st.sampled_from("T "))
def test_iso_times_are_read_as_python_reads_them(value, between):
    """Instants are UTC microseconds, whatever the offset they are written with."""
    naive = value.isoformat(between)
    zoned = value.replace(tzinfo=timezone(timedelta(hours=-3, minutes=-30))).isoformat(between)

    assert value.replace(tzinfo=UTC) == one(naive, "datetime")
    assert value.replace(tzinfo=UTC) == one(naive + "Z", "datetime")
    assert datetime.fromisoformat(zoned).astimezone(UTC) == one(zoned, "datetime")
    assert value.date() == one(value.date().isoformat(), "date")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-01-02", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02 03:04", datetime(2020, 1, 2, 3, 4, tzinfo=UTC)),
        ("2020-01-02T03:04:05,678+0530", datetime(2020, 1, 1, 21, 34, 5, 678000, tzinfo=UTC)),
        ("2020-01-02T03:04-05", datetime(2020, 1, 2, 8, 4, tzinfo=UTC)),
        ("2020-02-30 00:00", None),
        ("2020-01-02 24:00", None),
        ("2020-01-02 23:59:60", None),
        ("2020-1-2 3:4", None),
        ("02/01/2020", None),
        ("2020-01-02Z", None),
    ],
)
def test_times_are_strict(text, value):
    """A time that is nearly right is a breach; guessing would move rows across the cut-off."""
    assert value == one(text, "datetime")


def test_naive_times_are_in_the_declared_zone():
    """Where clocks go back the earlier instant is meant; where they go forward there was no such time."""
    text = pl.Series(["2020-07-01 12:00", "2020-10-25 02:30", "2020-03-29 02:30", "2020-07-01 12:00Z"])

    assert [
        datetime(2020, 7, 1, 10, tzinfo=UTC),
        datetime(2020, 10, 25, 0, 30, tzinfo=UTC),
        None,
        datetime(2020, 7, 1, 12, tzinfo=UTC),
    ] == cast(text, "datetime", zone="Europe/Berlin").to_list()


def test_dates_follow_their_format():
    """Most of the world does not write ISO 8601."""
    assert date(2020, 12, 31) == one("12/31/2020", "date", pattern="%m/%d/%Y")
    assert one("31/12/2020", "date", pattern="%m/%d/%Y") is None
    assert datetime(2020, 12, 31, 22, 5, tzinfo=UTC) == one(
        "31.12.2020 23:05", "datetime", pattern="%d.%m.%Y %H:%M", zone="Europe/Berlin"
    )
    assert datetime(2019, 12, 31, 23, tzinfo=UTC) == one(
        "2020-01-01T00:00:00+0100", "datetime", pattern="%Y-%m-%dT%H:%M:%S%z"
    )


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        (2.0, "integer", 2),
        (2.5, "integer", None),
        (1e300, "integer", None),
        (Decimal("2.00"), "integer", 2),
        (Decimal("2.50"), "integer", None),
        (Decimal("2.50"), "number", 2.5),
        (math.inf, "number", None),
        (3, "category", "3"),
        (True, "category", "true"),
        (date(2020, 1, 2), "text", "2020-01-02"),
        (1, "boolean", True),
        (2, "boolean", None),
        (date(2020, 1, 2), "datetime", datetime(2020, 1, 2, tzinfo=UTC)),
        (datetime(2020, 1, 2), "date", date(2020, 1, 2)),
        (datetime(2020, 1, 2, 3), "date", None),
        (
            datetime(2020, 1, 2, 3, tzinfo=ZoneInfo("Asia/Tokyo")),
            "datetime",
            datetime(2020, 1, 1, 18, tzinfo=UTC),
        ),
        (True, "integer", None),
        (5, "date", None),
        ([1], "text", None),
    ],
)
def test_native_values_are_cast_only_where_nothing_is_lost(value, to, expected):
    """SQL and Parquet bring types of their own."""
    assert expected == one(value, to)


@given(st.sampled_from(sorted(DTYPES)), st.lists(st.none() | st.text(max_size=4), max_size=4))
def test_casting_keeps_length_name_and_dtype(to, values):
    """A column named "*" is a column like any other."""
    typed = cast(pl.Series("*", values, dtype=pl.String), to)

    assert ("*", DTYPES[to], len(values)) == (typed.name, typed.dtype, len(typed))


def test_unknown_zones_are_refused():
    """They are mistakes in the line file."""
    with pytest.raises(SpecError, match=r"table\.zone.*'Mars/Olympus'"):
        cast(pl.Series(["2020-01-01"]), "datetime", zone="Mars/Olympus")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", None], "integer"),
        (["1", "2.5"], "number"),
        (["1e3", "2"], "number"),
        (["007", "8"], "category"),
        (["0", "0.5"], "number"),
        (["1", "99999999999999999999"], "category"),
        (["nan", "1"], "category"),
        (["True", "false"], "boolean"),
        (["Yes", "No"], "category"),
        (["2020-01-01", "2020-12-31"], "date"),
        (["2020-01-01", "2020-12-31 10:00"], "datetime"),
        (["2020-01-01", "2020-13-01"], "category"),
        ([None, None], "category"),
        ([f"some words about {i}" for i in range(60)], "text"),
        (["the same three words"] * 60, "category"),
    ],
)
def test_the_narrowest_type_that_holds_every_value_is_found(values, expected):
    """A wrong type here is a wrong column everywhere after."""
    assert expected == infer(pl.Series(values, dtype=pl.String)).type


def test_all_values_decide_not_a_sample():
    """The last row of a long file may be the first that is not a number."""
    assert "integer" == infer(pl.Series(["1"] * 5000)).type
    assert "number" == infer(pl.Series(["1"] * 5000 + ["1.5"])).type
    assert "category" == infer(pl.Series(["1"] * 5000 + ["C1"])).type


def test_other_date_formats_are_found_only_where_they_are_certain():
    """1/2/2020 is January for some and February for others; a day above 12 decides."""
    assert "%m/%d/%Y" == infer(pl.Series(["1/2/2020", "1/13/2020"])).format
    assert "%d/%m/%Y" == infer(pl.Series(["1/2/2020", "13/1/2020"])).format
    assert ("category", None) == (infer(pl.Series(["1/2/2020"])).type, infer(pl.Series(["1/2/2020"])).format)


def test_native_types_are_believed():
    """Parquet and SQL know what they hold, and what a table cannot hold is refused."""
    assert "integer" == infer(pl.Series([1], dtype=pl.UInt8)).type
    assert "number" == infer(pl.Series([Decimal("1.5")])).type
    assert "datetime" == infer(pl.Series([datetime(2020, 1, 1)])).type
    with pytest.raises(SpecError, match=r"'l'.*contract"):
        infer(pl.Series("l", [[1]]))


@given(
    st.lists(
        NUMBERISH | st.dates().map(str) | st.sampled_from(["true", "a", "1/13/2020"]), min_size=1, max_size=4
    )
)
def test_what_is_inferred_holds_every_value(values):
    """`new` writes the inferred types into the contract; the file it came from must keep it."""
    text = pl.Series(values, dtype=pl.String)
    found = infer(text)

    assert 0 == cast(text, found.type, pattern=found.format).null_count()


@given(
    st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\Z"),
    st.sampled_from([None, "Europe/Paris", "America/St_Johns"]),
)
def test_a_time_to_the_second_means_the_same_among_others(text, zone):
    """Columns of such times are read in a quicker way, which must not show: not in a gap of the clock, nor on 30 February."""
    alone = cast(pl.Series([text]), "datetime", zone=zone)
    among = cast(pl.Series([text, "2020-01-02"]), "datetime", zone=zone)

    assert alone[0] == among[0]


NUMBERS = [f"{number % 90 / 4:.2f}" for number in range(400)]
WHOLE = [str(number * 7919 % 5000) for number in range(400)]


@pytest.mark.parametrize(
    ("texts", "bad", "kind", "pattern"),
    [
        (NUMBERS, ["oops"], "number", None),
        (NUMBERS[:20], ["oops"], "number", None),
        (NUMBERS[:18], ["oops"], "category", None),
        (NUMBERS, ["oops"] * 21, "number", None),
        (NUMBERS, ["oops"] * 22, "category", None),
        (WHOLE, ["oops", "1O"], "integer", None),
        ([f"2024-02-{1 + n % 28:02}" for n in range(90)], ["soon"], "date", None),
        ([f"2024-02-{1 + n % 28:02} 10:00" for n in range(90)], ["soon"], "datetime", None),
        ([f"{1 + n % 28}.2.2024" for n in range(90)], ["soon"], "date", "%d.%m.%Y"),
        ([f"{1 + n % 12}/{1 + n % 12}/2024" for n in range(90)], ["soon"], "category", None),
        (list("12345") * 90, ["6+"], "category", None),
        ([f"{n % 90:03}" for n in range(400)], ["oops"], "category", None),
        (WHOLE, ["C123", "C7", "C9"], "category", None),
        (WHOLE, ["85123A", "22F", "9B"], "category", None),
        ([str(10_000 + n) for n in range(400)], ["oops"], "category", None),
        (["a", "b"] * 90, ["1"], "category", None),
    ],
)
def test_a_few_bad_cells_make_no_category_and_codes_stay_one(texts, bad, kind, pattern):
    """One cell among thousands would turn a number into names, and no model would be the better for it."""
    texts = [*texts[:30], *bad, *texts[30:]]

    found = infer_most(pl.Series(texts))

    assert (kind, pattern) == (found.type, found.format)
    assert "category" == infer(pl.Series(texts)).type
