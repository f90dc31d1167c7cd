"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.model.task_facts import task_facts

_ABOUT = frozenset({"promoted", "refused", "rolled_back", "halted", "deployed", "withdrawn"})
_SHOWN, _READ = 20, 200


def _read_release(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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


_PARTS = ("certificate", "evaluation", "explanation", "decision", "trained", "split", "dataset")

_MOST = 100
"""Decisions about one version that its page shows."""


def _read_version(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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


PAGES = (
    Page(
        at=(Entry("release", "/lines/{line}/release", "view", "Release", tab="Release"),),
        template="releases/release.html.jinja",
        read=_read_release,
        is_live=True,
    ),
    Page(
        at=(Entry("version", "/lines/{line}/versions/{version}", "view", "Version"),),
        template="releases/version.html.jinja",
        read=_read_version,
        title=lambda values: f"{values['line']}@{values['version']}",
    ),
)
