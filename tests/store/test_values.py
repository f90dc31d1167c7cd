"""Canonical JSON: one spelling a value, on which all digests rest."""

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from linewright.errors import RequestError
from linewright.store import values
from linewright.store.values import canonical_json

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e3, 1e3)
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBERS | st.integers(-(10**17), 10**17).map(float) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
@example(
    [
        1e16,
        9999999999999998.0,
        -1e16,
        1e-4,
        9.999e-5,
        -0.0,
        5e-324,
        1e21,
        1e22,
        0.1,
        2.0**53,
        123456789012345.6,
    ]
)
@example({"\U0001f600": 1, "\ue000": 2, "\x7f": '\x7f\x00\u2028"\\/', "": []})
def test_it_is_as_the_standard_says(value):
    """Equal values had equal digests before, and have the same ones."""
    assert rfc8785.dumps(value) == canonical_json(value)


@pytest.mark.parametrize("value", [2**53, [-(2**53)], {"a": 10**30}])
def test_a_whole_number_that_json_does_not_hold_is_refused(value):
    """Two of them would be one."""
    with pytest.raises(RequestError, match="too large to be kept exactly"):
        canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], "\ud800", {"\ud800": 1}])
def test_what_json_has_no_word_for_is_refused(value):
    """It could not be read back."""
    with pytest.raises((rfc8785.CanonicalizationError, UnicodeEncodeError)):
        canonical_json(value)


def test_what_most_facts_are_made_of_is_written_in_a_third_of_the_time(monkeypatch):
    """A run writes a hundred of them."""
    monkeypatch.setattr(values.rfc8785, "dumps", None)

    assert b'{"a":[1,0.25,true,null],"b":{"c":"\xc3\xa4"}}' == canonical_json(
        {"b": {"c": "ä"}, "a": [1.0, 0.25, True, None]}
    )
