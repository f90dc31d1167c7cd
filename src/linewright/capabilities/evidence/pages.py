"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.interfaces.console.pictures import occlusion_map, pictures_of

_NO_CLAIM = frozenset({"artifact", "column", "prediction", "run"})
"""Kinds that rest on nothing that has an id."""


def _read_evidence(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what an id stands for, and what that rests on."""
    shown = ask("show", id=values["id"])
    return {
        "shown": shown,
        "claim": None if shown.kind in _NO_CLAIM else ask("why", evidence=shown.id),
    }


def _apart_replay(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {"prediction": [values["id"]], "explain": [] if values["plain"] else ["true"]}
    return {"played": ("replay", {name: each for name, each in given.items() if each})}


def _read_replay(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the pictures of the predicted row."""
    shown = None if values["plain"] else ask("show", id=values["id"])
    body = shown.body if shown is not None and shown.kind == "prediction" else {}
    pictures = pictures_of(ask, body["line"], body["row"], body["id"]) if body else {}
    return {"pictures": pictures, "occlusion": occlusion_map}


PAGES = (
    Page(
        at=(Entry("card", "/lines/{line}/versions/{version}/card", "view", "Card"),),
        template="evidence/card.html.jinja",
        apart=lambda values: {"card": ("card", {"model": [f"{values['line']}@{values['version']}"]})},
        title=lambda values: f"Card of {values['line']}@{values['version']}",
    ),
    Page(
        at=(Entry("evidence", "/evidence/{id}", "view", "Evidence"),),
        template="evidence/evidence.html.jinja",
        read=_read_evidence,
        query=("line",),
        title=lambda values: f"Evidence {values['id'].removeprefix('sha256:')[:12]}",
    ),
    Page(
        at=(Entry("replay", "/predictions/{id}/replay", "view-rows", "Replay"),),
        template="evidence/replay.html.jinja",
        read=_read_replay,
        apart=_apart_replay,
        query=("plain",),
        title=lambda values: f"Replay of {values['id'][:13]}",
    ),
)
