"""Release: what serves, what is tried next to it, and what people may do about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

_ABOUT = frozenset({"promoted", "refused", "rolled_back", "halted", "deployed", "withdrawn"})
_SHOWN, _READ = 20, 200


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what serves, its models, and what was decided about them."""
    line = values["line"]
    decided = ask("history", line=line, limit=_READ).entries
    return {
        "now": ask("status", line=line).lines[0],
        "models": ask("models", line=line).models,
        "entries": [each for each in decided if each.kind in _ABOUT or (each.kind == "voted" and each.model)][
            :_SHOWN
        ],
    }


PAGE = Page(
    at=(Entry("release", "/lines/{line}/release", "view", "Release", tab="Release"),),
    template="releases/release.html.jinja",
    read=read,
    is_live=True,
)
