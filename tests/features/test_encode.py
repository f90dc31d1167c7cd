"""Encoding rows."""

from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import RequestError
from linewright.features.encode import MISSING, Instants, Levels, Numbers, encode
from linewright.features.facts import (
    Arithmetic,
    Boolean,
    Category,
    DatePart,
    Elapsed,
    Encoder,
    Frequency,
    Number,
    Raw,
)

EPOCH = datetime(1970, 1, 1)
PARTS = ("month", "day", "weekday", "hour", "minute")
ENCODER = Encoder(
    encodings=(
        Number(column="x"),
        Boolean(column="flag"),
        Category(column="make", levels=("Fiat", "Opel")),
        Frequency(column="make", levels=("Fiat", "Opel"), shares=(0.5, 0.25), missing=0.125),
        *(DatePart(column="opened", part=part) for part in PARTS),
        Elapsed(column="opened", origin=86_400_000_000),
        Elapsed(column="closed", since="opened"),
        Arithmetic(column="x", operation="over", other="flag"),
        Arithmetic(column="x", operation="times", other="x"),
    )
)
MOMENTS = st.none() | st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31))
ROWS = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats() | st.integers(-(2**80), 2**80),
        "flag": st.none() | st.booleans(),
        "make": st.none() | st.sampled_from(["Fiat", "Opel", "Škoda", ""]),
        "opened": MOMENTS,
        "closed": MOMENTS,
    }
)


def numbers(values):
    return Numbers(values=np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64))


def levels(values):
    known = list(dict.fromkeys(v for v in values if v is not None))
    return Levels(
        codes=np.array([-1 if v is None else known.index(v) for v in values], dtype=np.int32), levels=known
    )


def instants(values):
    micros = [MISSING if v is None else (v - EPOCH) // timedelta(microseconds=1) for v in values]
    return Instants(micros=np.array(micros, dtype=np.int64))


FORMS = {"x": numbers, "flag": numbers, "make": levels, "opened": instants, "closed": instants}


def columns(rows):
    return {name: form([row[name] for row in rows]) for name, form in FORMS.items()}


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=20))
def test_a_row_is_encoded_alike_alone_and_among_others(rows):
    """What the endpoint answers for one row is what batch scoring and training saw for it."""
    together = encode(ENCODER, columns(rows))
    alone = np.vstack([encode(ENCODER, columns([row])) for row in rows])

    assert alone.tobytes() == together.tobytes()


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, max_size=20))
def test_features_are_float32_in_rows_and_never_infinite(rows):
    """Trees round their thresholds for float32, and infinity is not JSON."""
    matrix = encode(ENCODER, columns(rows))

    assert (len(rows), 13) == matrix.shape
    assert np.float32 == matrix.dtype
    assert matrix.flags.c_contiguous
    assert not np.isinf(matrix).any()


@settings(max_examples=200, deadline=None)
@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))
def test_parts_of_a_date_are_those_of_the_calendar(moment):
    """Compared with the standard library, on both sides of 1970."""
    encoder = Encoder(encodings=tuple(DatePart(column="t", part=part) for part in PARTS))
    expected = [moment.month, moment.day, moment.weekday(), moment.hour, moment.minute]

    assert expected == encode(encoder, {"t": instants([moment])})[0].tolist()


def test_waves_of_the_hour_join_midnight_to_the_evening_before():
    """To a linear model, 23 and 0 o'clock are as near to each other as 11 and 12."""
    parts = ("hour_sin", "hour_cos", "hour_sin2", "hour_cos2")
    encoder = Encoder(encodings=tuple(DatePart(column="t", part=part) for part in parts))
    waves = encode(encoder, {"t": instants([EPOCH + timedelta(hours=hour) for hour in (0, 6, 11, 12, 23)])})

    assert [0, 1, 0, 1] == pytest.approx(waves[0].tolist(), abs=1e-6)
    assert [1, 0, 0, -1] == pytest.approx(waves[1].tolist(), abs=1e-6)
    assert np.linalg.norm(waves[2] - waves[3]) == pytest.approx(np.linalg.norm(waves[4] - waves[0]), abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2250, 1, 1)),
    st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2250, 1, 1)),
)
def test_elapsed_days_are_those_of_the_calendar(start, end):
    """A duration is exact before it is rounded to float32."""
    expected = np.float32((end - start) / timedelta(days=1))
    origin = (start - EPOCH) // timedelta(microseconds=1)
    encoder = Encoder(encodings=(Elapsed(column="end", since="start"), Elapsed(column="end", origin=origin)))

    assert [expected] * 2 == encode(encoder, {"start": instants([start]), "end": instants([end])})[0].tolist()


def test_codes_keep_missing_rare_and_known_values_apart():
    """The three mean different things to a model; unseen values count as rare."""
    encoder = Encoder(encodings=(Category(column="make", levels=("Fiat", "Opel")),))

    assert [[2.0], [3.0], [0.0], [1.0]] == encode(
        encoder, {"make": levels(["Fiat", "Opel", "Lada", None])}
    ).tolist()


def test_frequencies_are_those_of_the_training_rows():
    """A batch's own frequencies would make a row depend on the rows beside it."""
    encoder = Encoder(encodings=(ENCODER.encodings[3],))

    assert [[0.5], [0.25], [0.0], [0.125]] == encode(
        encoder, {"make": levels(["Fiat", "Opel", "Lada", None])}
    ).tolist()


def test_numbers_beyond_float32_become_its_largest():
    """A caller who sends 1e300 gets an answer, not an overflow."""
    largest = float(np.finfo(np.float32).max)
    encoder = Encoder(encodings=(Number(column="x"),))
    values = [1e300, -1e300, np.inf, -np.inf, largest, 3.40282356e38, 1e-300]

    assert [largest, -largest, largest, -largest, largest, largest, 0.0] == encode(
        encoder, {"x": numbers(values)}
    )[:, 0].tolist()


def test_missing_values_are_nan_in_every_numeric_feature():
    """Only categories have a code for it."""
    row = dict.fromkeys(FORMS)
    encoded = encode(ENCODER, columns([row]))[0]

    assert [True, True, False, False, *[True] * 9] == np.isnan(encoded).tolist()


def test_levels_that_do_not_occur_change_nothing():
    """Readers may pass the levels of a whole file with a part of its rows."""
    encoder = Encoder(encodings=(Category(column="make", levels=("Fiat", "Opel")),))
    few = Levels(codes=np.array([1, -1], dtype=np.int32), levels=["Lada", "Opel", "Fiat"])

    assert [[3.0], [1.0]] == encode(encoder, {"make": few}).tolist()


def test_no_rows_give_a_matrix_without_rows():
    """An empty batch is a batch."""
    assert (0, 13) == encode(ENCODER, columns([])).shape


def test_an_absent_column_is_named():
    """The caller must learn which column to send."""
    with pytest.raises(RequestError, match="'closed': a column that the model reads is absent"):
        encode(ENCODER, {name: form([None]) for name, form in FORMS.items() if name != "closed"})


def test_a_column_of_another_form_is_named():
    """Codes read as numbers would be answers without meaning."""
    with pytest.raises(RequestError, match=r"'make': .* found 'Numbers', allowed: Levels"):
        encode(ENCODER, {**columns([dict.fromkeys(FORMS)]), "make": numbers([1])})


def test_columns_of_different_lengths_are_refused():
    """A short column must not be stretched over the others."""
    with pytest.raises(RequestError, match=r"'flag': columns of different lengths: found 1, allowed: 2 rows"):
        encode(ENCODER, {**columns([dict.fromkeys(FORMS)] * 2), "flag": numbers([True])})


def test_an_unknown_part_of_a_date_is_refused():
    """A package from elsewhere may ask for anything."""
    with pytest.raises(RequestError, match="unknown part of a date: found 'century'"):
        encode(Encoder(encodings=(DatePart(column="t", part="century"),)), {"t": instants([EPOCH])})


def test_an_encoder_that_returns_from_json_encodes_alike():
    """The encoder travels inside the package as JSON."""
    rows = [
        {"x": 0.1, "flag": True, "make": "Opel", "opened": datetime(2020, 2, 29, 13, 7), "closed": None},
        {"x": None, "flag": None, "make": "Lada", "opened": None, "closed": datetime(2021, 1, 1)},
    ]
    returned = msgspec.json.decode(msgspec.json.encode(ENCODER), type=Encoder)

    assert ENCODER == returned
    assert encode(ENCODER, columns(rows)).tobytes() == encode(returned, columns(rows)).tobytes()


RAW = Encoder(
    encodings=(
        Raw(column="x", dtype="double"),
        Raw(column="make", dtype="string", missing="none"),
        Raw(column="flag", dtype="bool"),
        Raw(column="x", dtype="float"),
    )
)


def test_raw_columns_are_handed_over_as_they_are():
    """A model that makes its own features must get what it was made for: no codes, and doubles that stay doubles."""
    given = {"x": numbers([0.1, None]), "make": levels(["Škoda", None]), "flag": numbers([True, False])}
    rows = encode(RAW, given)

    assert ("x0", "x1", "x2", "x3") == rows.dtype.names
    assert 0.1 == rows["x0"][0]
    assert np.isnan(rows["x0"][1])
    assert ["Škoda", "none"] == rows["x1"].tolist()
    assert [True, False] == rows["x2"].tolist()
    assert np.float32(0.1) == rows["x3"][0]
    assert ("x", "make", "flag") == RAW.columns


@pytest.mark.parametrize(
    ("dtype", "values", "row"),
    [("int64", [1, None], 1), ("int64", [1.5], 0), ("int64", [3, 1e19], 1), ("bool", [0, 1, 2], 2)],
)
def test_a_raw_value_that_the_type_cannot_say_is_refused_with_its_row(dtype, values, row):
    """A missing whole number would become a number that nobody sent."""
    encoder = Encoder(encodings=(Raw(column="x", dtype=dtype),))

    with pytest.raises(RequestError) as caught:
        encode(encoder, {"x": numbers(values)})

    assert {"row": row, "column": "x"} == caught.value.details
