"""A replay: a logged answer computed again by the model that gave it, and what each column contributed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Page


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {"prediction": [values["id"]], "explain": [] if values["plain"] else ["true"]}
    return {"played": ("replay", {name: each for name, each in given.items() if each})}


PAGE = Page(
    template="replay.html.jinja",
    apart=_apart,
    query=("plain",),
    title=lambda values: f"Replay of {values['id'][:13]}",
)
