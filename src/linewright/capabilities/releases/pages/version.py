"""A version: what its gates said, what it is made of, what happened to it, from the sources to its predictions."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.model.task_facts import task_facts

_PARTS = ("certificate", "evaluation", "explanation", "decision", "trained", "split", "dataset")

_MOST = 100
"""Decisions about one version that its page shows."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what is recorded of one version, each result with its sentences."""
    line, name = values["line"], f"{values['line']}@{values['version']}"
    model = ask("show", id=name).body
    digests = model["evidence"]
    listed = ask("models", line=line).models
    wanted = next(each for each in listed if each.version == model["version"]["version"])
    certificate = ask("show", id=digests["certificate"]).body if "certificate" in digests else None
    parts: dict[str, Any] = {
        part: ask("show", id=digests[part]).body if part in digests else None for part in _PARTS
    }
    return {
        "name": name,
        "model": model,
        "digests": digests,
        "listed": wanted,
        "rival": next((each for each in listed if certificate and each.digest == certificate["rival"]), None),
        "approvals": [each for each in ask("proposals", line=line, all=True).proposals if each.model == name],
        **parts,
        "task": task_facts(parts["trained"]["task"]),
        "history": ask("history", line=line, about=wanted.version, limit=_MOST).entries,
        "comments": ask("comments", line=line, about=values["version"]).comments,
        "was_champion": any(
            each["kind"] == "promoted" and each["model"] == wanted.version for each in model["happened"]
        ),
    }


PAGE = Page(
    at=(Entry("version", "/lines/{line}/versions/{version}", "view", "Version"),),
    template="releases/version.html.jinja",
    read=read,
    title=lambda values: f"{values['line']}@{values['version']}",
)
