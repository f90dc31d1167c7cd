"""Rows go straight to the matrix: what the columns would have given, to the bit, and the same refusals."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linewright.errors import RequestError
from linewright.features.encode import encode
from linewright.features.facts import (
    Arithmetic,
    Boolean,
    Category,
    DatePart,
    Elapsed,
    Encoder,
    Frequency,
    Number,
    TextPart,
)
from linewright.features.learn_text import learn_text
from linewright.model.facts import RequestColumn
from linewright.serve.rows.body.reader import RowReader
from linewright.serve.rows.body.typed import MOST_COLUMNS, Unusual, column_of, typed_bodies
from linewright.serve.rows.matrix import MatrixReader

NOTES = ("Ford", "rome to oslo", "none of it", "12 NA", "old", "谢谢", "31.12.2026", "yes")
ENCODER = Encoder(
    encodings=(
        Number(column="number"),
        DatePart(column="day", part="weekday"),
        DatePart(column="at", part="hour_cos2"),
        Category(column="make", levels=("Ford", "NA", "Fiat", "12")),
        Number(column="whole"),
        Frequency(column="city", levels=("Rome", "Bari"), shares=(0.7, 0.1), missing=0.2),
        Boolean(column="truth"),
        Number(column="price"),
        Number(column="count"),
        Elapsed(column="at", since="day"),
        Arithmetic(column="number", operation="over", other="whole"),
        Arithmetic(column="price", operation="times", other="count"),
        Arithmetic(column="count", operation="over", other="number"),
        Arithmetic(column="price", operation="minus", other="absent"),
        *(TextPart(column="note", part=part) for part in (0, 6, 1, 3)),
    ),
    texts=(learn_text("note", sorted(f"{a} {b}" for a in NOTES for b in NOTES), rows=64),),
)
MISSING = ("", "NA", "none")
TYPES = {
    "number": "number",
    "whole": "integer",
    "truth": "boolean",
    "price": "number",
    "count": "integer",
    "absent": "number",
    "make": "category",
    "city": "category",
    "note": "text",
    "day": "date",
    "at": "datetime",
}

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 12),
    st.floats(),
    st.floats(-5, 5),
    st.sampled_from(
        ["Ford", " Ford ", "Fiat", "NA", "none", "", " ", "Rome", "Bari", "Oslo", "12", "yes", "old"]
    ),
    st.sampled_from(["2026-03-01", "2026-03-01T10:00:00Z", "1969-12-31T23:59:59.999999+01:00", "31.12.2026"]),
    st.sampled_from([[], {}, 1e308, -1e300, 5e-324, -0.0, 2**53 + 1, 7.0]),
)
rows = st.lists(
    st.dictionaries(st.sampled_from([*TYPES, "key", "unknown"]), anything, max_size=10),
    min_size=1,
    max_size=4,
)

times = st.sampled_from([None, "2026-03-01T10:00:00Z", "1969-12-31T23:59:59.999999+01:00", "NA"])
fitting = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.one_of(
                st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**62), 2**62)
            ),
            "whole": st.integers(-(2**62), 2**62),
            "price": st.floats(-9, 9),
            "count": st.integers(-(2**54), 2**54),
            "truth": st.sampled_from([True, False, 0, 1, "yes", "No"]),
            "make": st.sampled_from(["Ford", " Fiat ", "Opel", 12, 12.0, True]),
            "city": st.sampled_from(["Rome", "Bari", "Oslo", " "]),
            "note": st.one_of(
                st.text(max_size=9), st.sampled_from([*NOTES, "Ford 12", " NA ", 12, 12.0, True])
            ),
            "day": st.sampled_from(["2026-03-01", "1969-12-31"]),
            "at": times,
        }
    ),
    min_size=1,
    max_size=4,
)
with_gaps = st.builds(
    lambda some, gaps: [{**row, **dict.fromkeys(gaps)} for row in some],
    fitting,
    st.sets(st.sampled_from(["price", "count", "truth"])),
)


def columns_of(complete):
    columns = [
        RequestColumn(name=name, type=kind, nullable=name not in complete) for name, kind in TYPES.items()
    ]
    return [*columns, RequestColumn(name="key", type="category", role="carried")]


@given(st.one_of(rows, fitting, with_gaps), st.sampled_from([1, 16]), st.sets(st.sampled_from(list(TYPES))))
def test_it_reads_what_the_columns_give_or_refuses_it_alike(some, times, complete):
    """One by one, and where they are many by column."""
    asked = some * times
    columns, encoder = columns_of(complete), ENCODER
    reader = RowReader(columns, missing=MISSING)

    def outcome(read):
        try:
            return read(), ""
        except RequestError as error:
            return None, str(error)

    expected, refused = outcome(lambda: encode(encoder, reader.read(asked)))
    found, said = outcome(lambda: MatrixReader(reader, columns, encoder).read(asked))

    assert refused == said
    if expected is not None:
        assert found.tobytes() == expected.tobytes()
        assert (found.dtype, found.shape) == (np.float32, expected.shape)
        assert found.flags.c_contiguous


usual = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "number": st.one_of(st.none(), st.floats(-9, 9), st.integers(-(2**60), 2**60)),
            "whole": st.one_of(st.none(), st.integers(-(2**60), 2**60), st.sampled_from([7.0, 7.5, 1e300])),
            "truth": st.one_of(st.none(), st.booleans()),
            "make": st.sampled_from([None, "Ford", " Fiat ", "Opel", "NA"]),
            "city": st.sampled_from(["Rome", "Oslo", " "]),
            "note": st.sampled_from(NOTES),
            "day": st.sampled_from([None, "2026-03-01", "1969-12-31"]),
            "at": times,
            "key": st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-9, 9), st.text(max_size=3)),
        },
    ),
    min_size=1,
    max_size=4,
)


@given(
    st.one_of(rows, usual, usual, with_gaps), st.sampled_from([1, 16]), st.sets(st.sampled_from(list(TYPES)))
)
@example([{"number": 1.5, "whole": 7.0, "truth": True, "make": "Ford"}], 16, set())
def test_typed_rows_give_what_dicts_give_or_are_left_to_them(some, times, complete):
    body = json.dumps({"rows": some * times}).encode()
    columns = columns_of(complete)
    bodies, reader = typed_bodies(tuple(columns)), RowReader(columns, missing=MISSING)
    matrices = MatrixReader(reader, columns, ENCODER)
    typed = bodies.read(body)
    if typed is None:
        return
    try:
        found = matrices.read_typed(typed.rows)
    except Unusual:
        return

    asked = msgspec.json.decode(body)["rows"]
    assert found.tobytes() == matrices.read(asked).tobytes()
    assert column_of(asked, "key") == column_of(typed.rows, "key")
    assert all(
        row.get(name) == one.get(name) for row, one in zip(asked, typed.rows, strict=True) for name in row
    )


def test_plain_rows_are_read_typed():
    columns = columns_of(set())
    body = json.dumps(
        {"rows": [{"number": 1.5, "whole": 7.0, "truth": True, "make": "Ford", "key": 3}, {"number": 2}]}
    )

    read = typed_bodies(tuple(columns)).read(body.encode())

    assert [1.5, 2] == column_of(read.rows, "number")
    assert (False, False) == (read.explain, read.durable)
    assert (
        MatrixReader(RowReader(columns, missing=MISSING), columns, ENCODER).read_typed(read.rows)[0, 0] == 1.5
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"rows": []}',
        '{"rows": [{"number": "1"}]}',
        '{"rows": [{"number": 1e999}]}',
        '{"rows": [{"truth": 1}]}',
        '{"rows": [{"key": [1]}]}',
        '{"rows": [{"unknown": 1}]}',
        '{"rows": [{}], "unknown": 1}',
        '{"rows": [{}]',
        '{"rows": [null]}',
        "[" * 100_000,
    ],
)
def test_what_is_not_usual_is_left_to_others(body):
    assert typed_bodies(tuple(columns_of(set()))).read(body.encode()) is None


def test_some_tables_have_no_type():
    wide = [RequestColumn(name=f"c{i}", type="number") for i in range(MOST_COLUMNS + 1)]

    assert typed_bodies(tuple(wide[:-1])) is not None
    assert typed_bodies(tuple(wide)) is None
    assert typed_bodies((RequestColumn(name='the "name"', type="number"),)) is None
