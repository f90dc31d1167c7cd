"""A run: its steps while they are done, what was tried, what the gates found, and its log."""

from collections.abc import Mapping
from typing import Any

from linewright.data.breach_text import breach_in_words
from linewright.data.finding_text import said_once
from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how far a run has come."""
    found = ask("run-steps", run=values["run"])
    models = ask("models", line=found.line).models
    return {
        "found": found,
        "log": ask("run-log", run=values["run"]),
        "durations": ask("show", id=values["run"]).body["durations"],
        "model": next((one for one in models if one.digest == found.candidate), None),
        "weights": {one.trial: one.weight for one in found.members},
        "warnings": [*map(breach_in_words, found.breaches), *said_once(found.findings)],
    }


PAGE = Page(
    at=(Entry("run", "/runs/{run}", "view", "Run"),),
    template="runs/run.html.jinja",
    read=read,
    is_live=True,
    title=lambda values: f"Run {values['run'][:8]}",
)
