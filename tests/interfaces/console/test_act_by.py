"""By when to act, as pages say it."""

import pytest

from linewright.interfaces.console.render import environment


@pytest.mark.parametrize(
    ("time", "says"),
    [(0.0, "now"), (None, "not before the last time"), (20.0, '<data value="20.0">20</data>')],
)
def test_what_is_due_is_said_to_be_due_now(time: float | None, says: str):
    """A 0 beside times in days reads as if nothing was to be done."""
    macros = environment().get_template("macros.html.jinja").make_module({"may": None})

    assert says == str(macros.act_by(time))  # pyright: ignore[reportAttributeAccessIssue] -- a macro of the template
