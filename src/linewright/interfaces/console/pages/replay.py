"""A replay: a logged answer computed again by the model that gave it, and what each column contributed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page
from linewright.interfaces.console.pictures import pictures_of


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {"prediction": [values["id"]], "explain": [] if values["plain"] else ["true"]}
    return {"played": ("replay", {name: each for name, each in given.items() if each})}


def _read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    if values["plain"]:
        return {"pictures": {}}
    body = ask("show", id=values["id"]).body
    return {"pictures": pictures_of(ask, body.get("line", ""), body.get("row") or {}, values["id"])}


PAGE = Page(
    template="replay.html.jinja",
    read=_read,
    apart=_apart,
    query=("plain",),
    title=lambda values: f"Replay of {values['id'][:13]}",
)
