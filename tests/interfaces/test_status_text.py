"""What `status` says of lines of sites and of sensors that fail: nothing that needs somebody is left out."""

from typing import Any

import pytest

from linewright.capabilities.overview.operations.status import LineStatus, SiteOfLine, Status
from linewright.interfaces.cli.dispatch import result_text


def line(**known: Any) -> LineStatus:
    nothing = dict.fromkeys(
        (
            "champion",
            "digest",
            "endpoint",
            "since",
            "because",
            "challenger",
            "trouble",
            "halted_by",
            "halted_because",
        )
    )
    site = SiteOfLine(template="wear", site="lyon", ring=1, threshold=None)
    counted = {"halted": False, "predictions": 0, "labels": 0, "alerts": 0, "proposals": 0}
    return LineStatus(**{"line": "wear.lyon", "site": site, **nothing, **counted, **known})


def text(one: LineStatus, *, by_site: bool) -> str:
    return result_text(Status(factory="f", endpoint=None, lines=(one,), by_site=by_site))


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"challenger_verdict": "hold"}, "wear.lyon@1: hold"),
        ({"challenger_verdict": "promote", "waits": "nobody approved it"}, "wear.lyon@1: nobody approved it"),
        ({"challenger_verdict": None}, "-"),
    ],
)
def test_the_row_of_a_site_says_why_its_candidate_does_not_serve(known: dict[str, Any], says: str):
    """A site without a model, and without a reason, looks as if nobody had run it."""
    row = text(line(challenger="wear.lyon@1", **known), by_site=True).splitlines()[-1]

    assert row.endswith(says), row


def test_sensors_that_are_not_listed_are_counted():
    """Five are listed; who sees five must not believe that these are all."""
    told = text(line(sensor_faults=7, sensors=("sensor a", "sensor b")), by_site=False)

    assert "5 more sensors fail: linewright alerts wear.lyon" in told
    assert "more sensor" not in text(line(sensor_faults=2, sensors=("a", "b")), by_site=False)
