"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Entry, Page, is_known_to_people
from linewright.interfaces.console.pictures import pictures_of


def _read_label(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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
    question = asked.question if asked else None
    pictures = pictures_of(ask, values["line"], question.row, question.id) if question else {}
    return {"asked": asked, "question": question, "pictures": pictures}


def _apart_labels(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for the status, which computes agreement and effect."""
    return {"now": ("annotate status", {"line": [values["line"]]})}


PAGES = (
    Page(
        at=(
            Entry(
                "label",
                "/lines/{line}/label",
                "annotate",
                "Annotate",
                tab="Annotate",
                fits=is_known_to_people,
            ),
        ),
        template="annotation/label.html.jinja",
        read=_read_label,
        query=("decide", "prediction", "consent"),
    ),
    Page(
        at=(
            Entry("labels", "/lines/{line}/labels", "view", "Labels", tab="Labels", fits=is_known_to_people),
        ),
        template="annotation/labels.html.jinja",
        apart=_apart_labels,
        is_form=True,
    ),
)
