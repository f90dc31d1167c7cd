"""Labelling: one question after the other, by keyboard."""

from collections.abc import Mapping
from typing import Any

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the next question of the viewer, or one about which others disagree."""
    decides, shows = bool(values["decide"]), bool(values["prediction"])
    try:
        asked = ask.hold(
            "annotate next",
            line=values["line"],
            decide=decides,
            with_prediction=shows,
            consent=bool(values["consent"]),
        )
    except NotFound:
        asked = None  # nothing was ever queued
    return {"asked": asked, "question": asked.question if asked else None}


PAGE = Page(template="label.html.jinja", read=read, query=("decide", "prediction", "consent"))
