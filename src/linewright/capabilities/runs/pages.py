"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.data.breach_text import breach_in_words
from linewright.data.finding_text import said_once
from linewright.interfaces.console.page import Ask, Entry, Page


def _read_run(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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


SHOWN = 100


def _read_runs(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the newest runs that somebody may see, of one line if one is named."""
    line = values["line"]
    listed = [ask("runs", line=line, limit=SHOWN)] if line else ask.of_lines("runs", limit=SHOWN)
    found = [each for one in listed for each in one.runs]
    return {
        "runs": sorted(found, key=lambda each: each.at, reverse=True)[:SHOWN],
        "names": sorted(each.line for each in ask.status.lines),
        "shown": SHOWN,
    }


PAGES = (
    Page(
        at=(Entry("run", "/runs/{run}", "view", "Run"),),
        template="runs/run.html.jinja",
        read=_read_run,
        is_live=True,
        title=lambda values: f"Run {values['run'][:8]}",
    ),
    Page(
        at=(Entry("runs", "/runs", "view", "Runs", "look"),),
        template="runs/runs.html.jinja",
        read=_read_runs,
        query=("line",),
        is_live=True,
    ),
)
