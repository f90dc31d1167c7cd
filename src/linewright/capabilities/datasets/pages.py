"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def _read_datasets(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a dataset version among the others: that of the address, or the newest."""
    line, digest = values["line"], values.get("digest", "")
    found = ask("dataset", line=line, dataset=digest or None)
    about = found.shown.dataset if found.shown else ""
    return {
        "found": found,
        "digest": digest,
        "comments": ask("comments", line=line, about=about).comments if about else (),
    }


def _title_datasets(values: Mapping[str, str]) -> str:
    digest = values.get("digest", "").removeprefix("sha256:")[:12]
    return f"Dataset {digest}" if digest else "Datasets"


def _apart_rows(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {
        "line": values["line"],
        "dataset": values["digest"],
        "split": values["split"],
        "part": values["part"],
    }
    given |= {"after": values["after"]}
    if values["column"] and values["value"]:
        given["where"] = f"{values['column']}={values['value']}"
    return {"found": ("rows", {name: [value] for name, value in given.items() if value})}


PAGES = (
    Page(
        at=(
            Entry("datasets", "/lines/{line}/datasets", "view", "Datasets", tab="Datasets"),
            Entry("dataset", "/lines/{line}/datasets/{digest}", "view", "Dataset"),
        ),
        template="datasets/datasets.html.jinja",
        read=_read_datasets,
        title=_title_datasets,
    ),
    Page(
        at=(Entry("difference", "/lines/{line}/datasets/diff", "view", "Difference of two versions"),),
        template="datasets/difference.html.jinja",
        apart=lambda values: {
            "found": ("datasets", {"line": [values["line"]], "diff": [values["before"], values["after"]]})
        },
        query=("before", "after"),
    ),
    Page(
        at=(Entry("profile", "/lines/{line}/datasets/{digest}/profile", "view", "Profile"),),
        template="datasets/profile.html.jinja",
        apart=lambda values: {
            "found": ("profile", {"line": [values["line"]], "dataset": [values["digest"]]})
        },
        title=lambda values: f"Profile of {values['digest'].removeprefix('sha256:')[:12]}",
    ),
    Page(
        at=(Entry("quarantine", "/lines/{line}/quarantine", "view-rows", "Quarantine"),),
        template="datasets/quarantine.html.jinja",
        apart=lambda values: {"found": ("datasets", {"line": [values["line"]], "quarantine": ["true"]})},
    ),
    Page(
        at=(Entry("rows", "/lines/{line}/datasets/{digest}/rows", "view-rows", "Rows"),),
        template="datasets/rows.html.jinja",
        apart=_apart_rows,
        query=("split", "part", "column", "value", "after"),
        title=lambda values: f"Rows of {values['digest'].removeprefix('sha256:')[:12]}",
    ),
)
