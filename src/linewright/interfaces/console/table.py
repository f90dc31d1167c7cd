"""The pages of the console, in the order of the navigation. A new page is a file in `pages/` and a row here."""

from importlib import import_module

from linewright.interfaces.console.page import Entry, Route

PAGES = {
    "factory": Entry("factory", "/", "view", "Factory", "look"),
    "alerts": Entry("alerts", "/alerts", "view", "Alerts", "look"),
    "value": Entry("value", "/goals", "view", "Goals and value", "look"),
    "runs": Entry("runs", "/runs", "view", "Runs", "look"),
    "proposals": Entry("proposals", "/proposals", "view", "Proposals", "decide"),
    "people": Entry("people", "/people", "manage", "People and tokens", "care"),
    "audit": Entry("audit", "/audit", "manage", "Audit", "care"),
    "entry": Entry("entry", "/audit/{number}", "manage", "Entry"),
    "audit-verify": Entry("audit_verify", "/audit/verify", "plan", "The record, verified"),
    "proposal": Entry("proposal", "/proposals/{proposal}", "view", "Proposal"),
    "new": Entry("new", "/new", "run", "New line"),
    "line": Entry("line", "/lines/{line}", "view", "Line", tab="Overview"),
    "release": Entry("release", "/lines/{line}/release", "view", "Release", tab="Release"),
    "line-value": Entry("line_value", "/lines/{line}/value", "view", "Value", tab="Value"),
    "account": Entry("account", "/lines/{line}/value/account", "view", "What decisions were worth"),
    "what-if": Entry("what_if", "/lines/{line}/value/what-if", "view", "What other amounts would change"),
    "try": Entry("try_row", "/lines/{line}/try", "predict", "Try it", tab="Try it"),
    "file": Entry("file", "/lines/{line}/file", "view", "Line file", tab="Line file"),
    "file-check": Entry("file_check", "/lines/{line}/file/check", "plan", "What the data say"),
    "datasets": Entry("datasets", "/lines/{line}/datasets", "view", "Datasets", tab="Datasets"),
    "difference": Entry("difference", "/lines/{line}/datasets/diff", "view", "Difference of two versions"),
    "quarantine": Entry("quarantine", "/lines/{line}/quarantine", "view-rows", "Quarantine"),
    "dataset": Entry("datasets", "/lines/{line}/datasets/{digest}", "view", "Dataset"),
    "profile": Entry("profile", "/lines/{line}/datasets/{digest}/profile", "view", "Profile"),
    "monitors": Entry("monitors", "/lines/{line}/monitors", "view", "Monitors", tab="Monitors"),
    "alert": Entry("alert", "/alerts/{id}", "view", "Alert"),
    "worst-slice": Entry("worst_slice", "/alerts/{id}/slice", "view", "The worst slice"),
    "predictions": Entry(
        "predictions", "/lines/{line}/predictions", "view-rows", "Predictions", tab="Predictions"
    ),
    "prediction": Entry("prediction", "/predictions/{id}", "view-rows", "Prediction"),
    "replay": Entry("replay", "/predictions/{id}/replay", "view-rows", "Replay"),
    "version": Entry("version", "/lines/{line}/versions/{version}", "view", "Version"),
    "card": Entry("card", "/lines/{line}/versions/{version}/card", "view", "Card"),
    "rows": Entry("rows", "/lines/{line}/datasets/{digest}/rows", "view-rows", "Rows"),
    "evidence": Entry("evidence", "/evidence/{id}", "view", "Evidence"),
    "label": Entry("label", "/lines/{line}/label", "annotate", "Annotate", tab="Annotate"),
    "labels": Entry("labels", "/lines/{line}/labels", "view", "Labels", tab="Labels"),
    "run": Entry("run", "/runs/{run}", "view", "Run"),
}
"""Name of each page → its row."""


def routes() -> list[Route]:
    """Return the pages, each imported; the one of a fixed address comes before one whose address has values."""
    found = [
        Route(name, entry, import_module(f"linewright.interfaces.console.pages.{entry.module}").PAGE)
        for name, entry in PAGES.items()
    ]
    return sorted(found, key=lambda route: route.entry.path.count("{"))  # the order within stays
