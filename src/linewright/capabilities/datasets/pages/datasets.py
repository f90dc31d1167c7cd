"""Datasets: the versions of a line's table; one of them, with its contract, its sources and what came of it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a dataset version among the others: that of the address, or the newest."""
    line, digest = values["line"], values.get("digest", "")
    found = ask("dataset", line=line, dataset=digest or None)
    about = found.shown.dataset if found.shown else ""
    return {
        "found": found,
        "digest": digest,
        "comments": ask("comments", line=line, about=about).comments if about else (),
    }


def _title(values: Mapping[str, str]) -> str:
    digest = values.get("digest", "").removeprefix("sha256:")[:12]
    return f"Dataset {digest}" if digest else "Datasets"


PAGE = Page(
    at=(
        Entry("datasets", "/lines/{line}/datasets", "view", "Datasets", tab="Datasets"),
        Entry("dataset", "/lines/{line}/datasets/{digest}", "view", "Dataset"),
    ),
    template="datasets/datasets.html.jinja",
    read=read,
    title=_title,
)
