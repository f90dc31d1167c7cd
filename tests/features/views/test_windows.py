"""The kernel of feature views against the definition, carried out row by row."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewright.features.views import windows
from linewright.features.views.aggregates import read_aggregate, read_condition
from linewright.features.views.windows import NEVER, Values, events_of, values_at, values_of

AGGREGATES = [
    read_aggregate(name, text)
    for name, text in {
        "total": "sum(x) over 5us",
        "wide": "sum(x) over 9us",
        "mean": "mean(x) over 5us",
        "low": "min(x) over 5us",
        "high": "max(x) over 9us",
        "n": "count() over 5us",
        "n_x": "count(x) over 5us",
        "n_a": "count(w = 'a') over 9us",
        "words": "distinct(w) over 9us",
        "values": "distinct(x) over 5us",
        "share": "share(w = 'a' and x > 1) over 9us",
        "last": "last(x)",
        "last_w": "last(w)",
        "fresh": "last(x) over 4us",
        "since": "since()",
    }.items()
]
ENTITIES = 3


@dataclass(frozen=True)
class Row:
    entity: int
    time: int
    known: int
    key: int
    is_deletion: bool
    is_left_out: bool
    x: float | None
    w: str | None

    def argument(self, argument):
        return argument.of_row({"x": self.x, "w": self.w})


_X = st.one_of(st.none(), st.sampled_from([0.1, 1.0, 1e16, -1e16, 3.0, -0.0]), st.floats(-1e3, 1e3))
ROWS = st.lists(
    st.builds(
        Row,
        st.integers(-1, ENTITIES - 1),
        st.integers(0, 20),
        st.integers(0, 20),
        st.integers(0, 6),
        st.booleans(),
        st.sampled_from([False, False, False, True]),
        _X,
        st.sampled_from(["a", "b", "c", None]),
    ),
    max_size=30,
)
ASKED = st.lists(st.tuples(st.integers(-1, ENTITIES - 1), st.integers(0, 25)), max_size=12)


def events(rows: list[Row], *, has_key: bool = True):
    def ints(name):
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)

    def flags(name):
        return np.array([getattr(row, name) for row in rows], dtype=np.bool_)

    source = {
        "x": Values.of([row.x for row in rows], "number"),
        "w": Values.of([row.w for row in rows], "category"),
    }
    arguments = {one.argument.text: one.argument for one in AGGREGATES if one.argument is not None}
    return events_of(
        entity=ints("entity"),
        time=ints("time"),
        known=ints("known"),
        key=ints("key") if has_key else None,
        is_deletion=flags("is_deletion") if has_key else None,
        is_left_out=flags("is_left_out"),
        columns={text: values_of(one, source) for text, one in arguments.items()},
        entities=ENTITIES,
    )


def computed(rows, asked, *, has_key=True, aggregates=AGGREGATES):
    found = events(rows, has_key=has_key)
    entities = np.array([entity for entity, _ in asked], dtype=np.int64)
    moments = np.array([moment for _, moment in asked], dtype=np.int64)
    columns = values_at(found, found.slices(entities), moments, aggregates)
    lists = {name: column.to_list() for name, column in columns.items()}
    return [{name: values[i] for name, values in lists.items()} for i in range(len(asked))]


def by_definition(rows, entity, moment, *, has_key=True):
    """Say it again, slowly: what was known, the newest version of each key, not deleted, happened by then."""
    newest: dict[object, tuple[tuple[int, int], Row]] = {}
    for position, row in enumerate(rows):
        name = row.key if has_key else ("row", position)
        if row.known <= moment and (name not in newest or (row.known, position) > newest[name][0]):
            newest[name] = (row.known, position), row
    counting = sorted(
        (
            (row.time, *order, row)
            for order, row in newest.values()
            if row.entity == entity and not row.is_left_out and not (row.is_deletion and has_key)
        ),
        key=lambda one: one[:3],
    )
    there = [row for *_, row in counting if row.time <= moment and entity >= 0]
    if not there:
        return {one.name: None for one in AGGREGATES}
    return {one.name: column(one, there, moment) for one in AGGREGATES}


def column(one, there, moment):
    if one.function == "since":
        return (moment - there[-1].time) / 1e6
    if one.function == "last":
        is_old = one.over is not None and there[-1].time <= moment - one.over
        return None if is_old else there[-1].argument(one.argument)
    inside = [row for row in there if row.time > moment - one.over]
    if one.argument is None:
        return len(inside)
    values = [value for row in inside if (value := row.argument(one.argument)) is not None]
    if one.function == "count":
        return sum(values) if one.argument.condition else len(values)
    if one.function == "distinct":
        return len(set(values))
    # A null is a 0 in a sum: so it is summed in the same steps here and there.
    terms = [0.0 if (value := row.argument(one.argument)) is None else float(value) for row in inside]
    total = float(np.add.reduceat(np.array(terms), [0])[0]) if terms else 0.0
    if one.function == "sum":
        return total
    if not values:
        return None
    return {
        "mean": total / len(values),
        "share": total / len(values),
        "min": min(values),
        "max": max(values),
    }[one.function]


@settings(max_examples=2000, deadline=None)
@given(ROWS, ASKED, st.booleans())
@example([Row(0, 5, 5, 1, False, False, 1.0, "a"), Row(0, 5, 5, 1, False, False, 2.0, "b")], [(0, 5)], True)
@example(
    [Row(0, 5, 5, 1, False, False, 1.0, "a"), Row(1, 6, 9, 1, False, False, 2.0, "b")],
    [(0, 8), (0, 9), (1, 9)],
    True,
)
@example(
    [Row(0, 9, 2, 1, False, False, 1.0, "a"), Row(0, 1, 5, 1, True, False, None, None)],
    [(0, 4), (0, 9)],
    True,
)
def test_the_kernel_is_the_definition(rows, asked, has_key):
    """Ties, late rows, corrections that move a row to another entity or time, deletions, and rows that come back."""
    expected = [by_definition(rows, entity, moment, has_key=has_key) for entity, moment in asked]

    assert expected == computed(rows, asked, has_key=has_key)


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS, ASKED, st.integers(0, 20), st.booleans())
def test_rows_known_after_a_moment_change_nothing_at_it(rows, later, asked, now, has_key):
    """A training row is made of what was known then, whatever is learned, corrected or deleted since."""
    before = [row for row in rows if row.known <= now]
    after = [row for row in later if row.known > now]
    asked = [(entity, min(moment, now)) for entity, moment in asked]

    assert computed(before, asked, has_key=has_key) == computed(before + after, asked, has_key=has_key)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=300),
    st.lists(st.floats(-1e3, 1e3), max_size=20),
    st.lists(st.floats(-1e3, 1e3), max_size=20),
)
def test_a_sum_is_the_same_wherever_its_values_stand(values, before, after):
    """Else a request, whose entity stands alone, would get another last digit than training, where it stands among others."""
    alone = np.add.reduceat(np.array(values), [0])[0]
    starts = [0, len(before), len(before) + len(values)] if before else [0, len(values)]
    among = np.add.reduceat(np.array([*before, *values, *(after or [1.0])]), starts)[1 if before else 0]

    assert alone.tobytes() == among.tobytes()


@settings(max_examples=100, deadline=None)
@given(ROWS, ASKED)
def test_moments_asked_one_by_one_get_the_same(rows, asked):
    """A request asks for one moment; training asks for millions, in parts."""
    together = computed(rows, asked)

    assert together == [computed(rows, [one])[0] for one in asked]


def test_moments_are_matched_in_parts_of_bounded_size(monkeypatch):
    """A year of a busy entity's events at a million moments is more than memory holds."""
    rows = [Row(i % 3, i % 20, i % 20, i, False, False, float(i), "a") for i in range(60)]
    asked = [(i % 3, i % 25) for i in range(40)]
    expected = computed(rows, asked)
    monkeypatch.setattr(windows, "MOST_PAIRS", 7)

    assert expected == computed(rows, asked)


def test_the_newest_event_is_found_for_who_asks_how_old_it_is():
    rows = [Row(0, 3, 3, 1, False, False, 1.0, "a"), Row(0, 5, 9, 2, False, False, 2.0, "b")]
    found = events(rows)
    moments = np.array([2, 4, 8, 9])
    newest = values_at(
        found, found.slices(np.zeros(4, dtype=np.int64)), moments, [read_aggregate("newest", "last(x)")]
    )["newest"]

    assert [None, 1.0, 1.0, 2.0] == newest.to_list()
    assert [NEVER, NEVER] == found.until.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "x > 1",
        "x <> 3",
        "x in (1, 3)",
        "x not in (1, 3)",
        "w = 'a'",
        "w < 'b'",
        "w in ('a')",
        "b = true",
        "b <> true",
        "x is null",
        "w is not null",
        "x > 1 and w = 'a'",
        "x is null and w = 'a'",
        "b = false and x > 0",
    ],
)
def test_conditions_of_columns_are_those_of_rows(text):
    """A push computes a condition row by row, a generation all at once."""
    cells = {
        "x": [None, 0.0, 1.0, 3.0, 2.5] * 4,
        "w": ["a"] * 5 + [None] * 5 + ["b"] * 5 + ["A"] * 5,
        "b": [True, False, None, True] * 5,
    }
    kinds = {"x": "number", "w": "category", "b": "boolean"}
    columns = {name: Values.of(values, kinds[name]) for name, values in cells.items()}
    condition = read_condition(text)
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]

    assert [condition.of_row(row) for row in rows] == values_of(condition, columns).to_list()


@pytest.mark.parametrize("scale", [1, 1_000_000, 2**57])
def test_events_are_in_the_order_of_entity_time_known_and_position(scale):
    """Whether entity and time fit into one number of 63 bits or not."""
    chance = np.random.default_rng(5)
    entity, time, known = chance.integers(0, [[40], [15], [15]], (3, 2_000))
    found = events_of(
        entity=entity,
        time=time * scale,
        known=known * scale,
        columns={"position": Values(kind="integer", numbers=np.arange(2_000.0))},
    )
    expected = np.lexsort((np.arange(2_000), known, time, entity))

    assert expected.tolist() == found.columns["position"].numbers.astype(int).tolist()
    assert (time[expected] * scale).tolist() == found.time.tolist()
