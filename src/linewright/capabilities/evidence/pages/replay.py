"""A replay: a logged answer computed again by the model that gave it, and what each column contributed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.interfaces.console.pictures import occlusion_map, pictures_of


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {"prediction": [values["id"]], "explain": [] if values["plain"] else ["true"]}
    return {"played": ("replay", {name: each for name, each in given.items() if each})}


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the pictures of the predicted row."""
    shown = None if values["plain"] else ask("show", id=values["id"])
    body = shown.body if shown is not None and shown.kind == "prediction" else {}
    pictures = pictures_of(ask, body["line"], body["row"], body["id"]) if body else {}
    return {"pictures": pictures, "occlusion": occlusion_map}


PAGE = Page(
    at=(Entry("replay", "/predictions/{id}/replay", "view-rows", "Replay"),),
    template="evidence/replay.html.jinja",
    read=read,
    apart=_apart,
    query=("plain",),
    title=lambda values: f"Replay of {values['id'][:13]}",
)
