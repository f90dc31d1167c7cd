"""The pages of the console, in the order of the navigation. A new page is a file below `pages/` and a row here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from linewright.errors import RequestError
from linewright.interfaces.console.page import Entry, Route
from linewright.model.task_facts import TaskFacts


def _decides(task: TaskFacts) -> bool:
    return task.has_positive


def _is_known_to_people(task: TaskFacts) -> bool:
    return task.label not in {"items", "values"}  # only time says what comes


PAGES = {
    "factory": Entry("lines.factory", "/", "view", "Factory", "look"),
    "inbox": Entry("people.inbox", "/inbox", "view", "Inbox", "look"),
    "alerts": Entry("watch.alerts", "/alerts", "view", "Alerts", "look"),
    "value": Entry("value.goals", "/goals", "view", "Goals and value", "look"),
    "runs": Entry("lines.runs", "/runs", "view", "Runs", "look"),
    "sources": Entry("data.sources", "/sources", "view", "Sources", "look"),
    "features": Entry("data.features", "/features", "view", "Features", "look"),
    "proposals": Entry("people.proposals", "/proposals", "view", "Proposals", "decide"),
    "people": Entry("people.members", "/people", "manage", "People and tokens", "care"),
    "audit": Entry("care.audit", "/audit", "manage", "Audit", "care"),
    "entry": Entry("care.entry", "/audit/{number}", "manage", "Entry"),
    "audit-verify": Entry("care.audit_verify", "/audit/verify", "view", "Record", "care", instead_of="audit"),
    "views": Entry("people.views", "/views", "view", "Saved views"),
    "proposal": Entry("people.proposal", "/proposals/{proposal}", "view", "Proposal"),
    "new": Entry("lines.new", "/new", "run", "New line"),
    "line": Entry("lines.line", "/lines/{line}", "view", "Line", tab="Overview"),
    "release": Entry("models.release", "/lines/{line}/release", "view", "Release", tab="Release"),
    "line-value": Entry(
        "value.line_value", "/lines/{line}/value", "view", "Value", tab="Value", fits=_decides
    ),
    "account": Entry("value.account", "/lines/{line}/value/account", "view", "What decisions were worth"),
    "what-if": Entry(
        "value.what_if", "/lines/{line}/value/what-if", "view", "What other amounts would change"
    ),
    "try": Entry("predictions.try_row", "/lines/{line}/try", "predict", "Try it", tab="Try it"),
    "file": Entry("lines.file", "/lines/{line}/file", "view", "Line file", tab="Line file"),
    "file-check": Entry("lines.file_check", "/lines/{line}/file/check", "plan", "What the data say"),
    "datasets": Entry("data.datasets", "/lines/{line}/datasets", "view", "Datasets", tab="Datasets"),
    "difference": Entry(
        "data.difference", "/lines/{line}/datasets/diff", "view", "Difference of two versions"
    ),
    "quarantine": Entry("data.quarantine", "/lines/{line}/quarantine", "view-rows", "Quarantine"),
    "dataset": Entry("data.datasets", "/lines/{line}/datasets/{digest}", "view", "Dataset"),
    "profile": Entry("data.profile", "/lines/{line}/datasets/{digest}/profile", "view", "Profile"),
    "monitors": Entry("watch.monitors", "/lines/{line}/monitors", "view", "Monitors", tab="Monitors"),
    "alert": Entry("watch.alert", "/alerts/{id}", "view", "Alert"),
    "worst-slice": Entry("watch.worst_slice", "/alerts/{id}/slice", "view", "The worst slice"),
    "predictions": Entry(
        "predictions.predictions", "/lines/{line}/predictions", "view-rows", "Predictions", tab="Predictions"
    ),
    "prediction": Entry("predictions.prediction", "/predictions/{id}", "view-rows", "Prediction"),
    "replay": Entry("predictions.replay", "/predictions/{id}/replay", "view-rows", "Replay"),
    "version": Entry("models.version", "/lines/{line}/versions/{version}", "view", "Version"),
    "card": Entry("models.card", "/lines/{line}/versions/{version}/card", "view", "Card"),
    "rows": Entry("data.rows", "/lines/{line}/datasets/{digest}/rows", "view-rows", "Rows"),
    "evidence": Entry("models.evidence", "/evidence/{id}", "view", "Evidence"),
    "label": Entry(
        "predictions.label",
        "/lines/{line}/label",
        "annotate",
        "Annotate",
        tab="Annotate",
        fits=_is_known_to_people,
    ),
    "labels": Entry(
        "predictions.labels", "/lines/{line}/labels", "view", "Labels", tab="Labels", fits=_is_known_to_people
    ),
    "run": Entry("lines.run", "/runs/{run}", "view", "Run"),
}
"""Name of each page → its row."""


@cache
def routes() -> tuple[Route, ...]:
    """Return the pages, each imported; the one of a fixed address comes before one whose address has values."""
    found = [
        Route(name, entry, import_module(f"linewright.interfaces.console.pages.{entry.module}").PAGE)
        for name, entry in PAGES.items()
    ]
    return tuple(sorted(found, key=lambda route: route.entry.path.count("{")))  # the order within stays


class Place(NamedTuple):
    """What an address leads to."""

    route: Route
    path: Mapping[str, str]
    """Values of its path."""
    values: Mapping[str, str]
    """Those of its path and its query."""


def find(address: str) -> Place:
    """Return what an address of ours leads to, as a browser would ask for it; whether somebody may see that is not looked at.

    Examples
    --------
    >>> find("/lines/claims/release").path, find("/?q=eu").values["q"]
    ({'line': 'claims'}, 'eu')
    """
    parts = urlsplit(address) if address.isprintable() else urlsplit("")
    is_here = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.fragment
    for route in routes() if is_here else ():
        if match := route.pattern.fullmatch(parts.path):
            path = {name: unquote(value) for name, value in match.groupdict().items()}
            return Place(route, path, route.values(path, parse_qs(parts.query, keep_blank_values=True)))
    raise RequestError(
        "no page has that address",
        where="address",
        found=address[:80],
        allowed="path and query of a page, as in /lines/NAME or /?need=alert",
        hint="copy what follows the host in the browser's address bar",
    )


def view_address(address: str) -> str:
    """Return the address by which a page is saved: without the values that are empty, which is as if they were not there.

    Examples
    --------
    >>> view_address("/?q=&need=alert&page=")
    '/?need=alert'
    """
    page, parts = find(address).route.page, urlsplit(address)
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in given if value or (page.fields and name.startswith(page.fields))]
    return parts.path + (f"?{urlencode(kept)}" if kept else "")
