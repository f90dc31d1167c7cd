"""The columns of a view as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.errors import SpecError
from linewright.features.views.aggregates import (
    FUNCTIONS,
    Aggregate,
    Argument,
    Comparison,
    duration_text,
    read_aggregate,
    read_condition,
)

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "function", "columns", "over"),
    [
        ("sum(amount) over 30d", "sum", ("amount",), 30 * DAY),
        ("COUNT() OVER 2w", "count", (), 14 * DAY),
        ("count(amount) over 1.5h", "count", ("amount",), DAY // 16),
        ("count(a > -1.5e3 and b <> 'it''s') over 1d", "count", ("a", "b"), DAY),
        ('distinct("odd ""name""") over 1d', "distinct", ('odd "name"',), DAY),
        ("share(ok = true) over 1d", "share", ("ok",), DAY),
        ("share(a not in (1, 2.5)) over 1d", "share", ("a",), DAY),
        ("share(a is not null) over 1d", "share", ("a",), DAY),
        ("last(größe)", "last", ("größe",), None),
        ("last(a) over 90d", "last", ("a",), 90 * DAY),
        ("since()", "since", (), None),
    ],
)
def test_a_column_is_read_and_written_back(text, function, columns, over):
    found = read_aggregate("x", text)

    assert (function, columns, over) == (
        found.function,
        found.argument.columns if found.argument else (),
        found.over,
    )
    assert found == read_aggregate("x", found.text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "here should be a function"),
        ("summ(amount) over 3d", "unknown function: found 'summ'.*did you mean 'sum'"),
        ("sum(amount)", "sum needs a window.*write sum\\(amount\\) over 30d"),
        ("sum() over 3d", "sum needs to know of what"),
        ("sum(a > 3) over 3d", "sum is not of a condition"),
        ("sum(a + b) over 3d", "this cannot be read: found '\\+ b\\) over 3d'"),
        ("share(method) over 3d", "share is not of a column"),
        ("share(method = card) over 3d", "here should be a constant.*write 'card'"),
        ("share(a = 1 or b = 2) over 3d", "joined by `and` alone"),
        ("share(a in (1, 'b')) over 3d", "different types"),
        ("share(a is 3) over 3d", "here should be 'null'"),
        ("share(ok > true) over 3d", "neither more nor less"),
        ("since() over 3d", "since\\(\\) has no window"),
        ("since(a)", "since is not of a column"),
        ("sum(amount) over 3 days", "not a window"),
        ("sum(amount) over 0d", "no window is so long"),
        ("sum(amount) over", "not a window"),
        ("sum(amount) over 3d of x", "this is too much: found 'of'"),
        ("sum(over) over 3d", "here should be the name of a column"),
        ("sum(amount over 3d", "here should be"),
        ("last(amount", "here should be '\\)'"),
    ],
)
def test_a_mistake_is_said_with_its_place(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        read_aggregate("x", text, where="features/a.yaml: columns.x")

    assert "features/a.yaml: columns.x" == caught.value.where


def test_the_ttl_of_a_view_is_the_window_of_its_last_columns_alone():
    assert DAY == read_aggregate("x", "last(a)", ttl=DAY).over
    assert 2 * DAY == read_aggregate("x", "last(a) over 2d", ttl=DAY).over
    assert None is read_aggregate("x", "since()", ttl=DAY).over


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(amout) over 3d", "no such column: found 'amout'.*did you mean 'amount'"),
        ("sum(method) over 3d", "sum is of numbers, and 'method' is a category"),
        ("last(day)", "does not read columns of this type: 'day' is a date.*since\\(\\)"),
        ("share(method = 3) over 3d", "compares it with another type.*write '3'"),
        ("share(amount = '3') over 3d", "compares it with another type.*a number"),
        ("share(ok = 'yes') over 3d", "compares it with another type.*true or false"),
    ],
)
def test_columns_that_do_not_suit_are_refused(text, message):
    kinds = {"amount": "integer", "method": "category", "ok": "boolean", "day": "date"}
    with pytest.raises(SpecError, match=message):
        read_aggregate("x", text).refuse_types(kinds, "columns")


def test_a_condition_alone_is_no_column():
    assert ("status",) == read_condition("status <> 'test'").columns
    with pytest.raises(SpecError, match="not a condition"):
        read_condition("status")


def test_what_is_unknown_is_neither_true_nor_false():
    """As in SQL: a condition with a part that is false is false, whatever the other is."""
    both = read_condition("a > 1 and b = 'x'")

    assert [False, None, True] == [both.of_row({"a": a, "b": b}) for a, b in ((0, None), (2, None), (2, "x"))]


_NAMES = st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name)
_CONSTANTS = st.one_of(
    st.lists(st.text(max_size=6), min_size=1, max_size=3),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=2),
)


@st.composite
def comparisons(draw):
    sign = draw(st.sampled_from(["=", "<>", "<=", "in", "not in", "is null", "is not null"]))
    if sign.startswith("is"):
        return Comparison(column=draw(_NAMES), sign=sign)
    found = draw(_CONSTANTS)
    if isinstance(found[0], bool) and sign == "<=":
        sign = "="
    return Comparison(
        column=draw(_NAMES), sign=sign, constants=tuple(found if sign.endswith("in") else found[:1])
    )


@given(
    st.sampled_from(FUNCTIONS),
    _NAMES,
    st.lists(comparisons(), min_size=1, max_size=3),
    st.integers(1, 10**15),
)
def test_every_column_survives_its_text(function, name, condition, over):
    """The text is what a package and an endpoint keep of a column."""
    argument = {
        "share": Argument(condition=tuple(condition)),
        "count": Argument(condition=tuple(condition)),
        "since": None,
    }.get(function, Argument(column=name))
    one = Aggregate(
        name="x", function=function, argument=argument, over=None if function == "since" else over
    )

    assert one == read_aggregate("x", one.text)
    assert f"over {duration_text(over)}" in one.text or function == "since"
