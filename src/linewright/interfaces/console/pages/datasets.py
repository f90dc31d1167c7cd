"""Datasets: the versions of a line's table; one of them, with its contract, its sources and what came of it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a dataset version among the others: that of the address, or the newest."""
    digest = values.get("digest", "")
    return {"found": ask("dataset", line=values["line"], dataset=digest or None), "digest": digest}


def _title(values: Mapping[str, str]) -> str:
    digest = values.get("digest", "").removeprefix("sha256:")[:12]
    return f"Dataset {digest}" if digest else "Datasets"


PAGE = Page(template="datasets.html.jinja", read=read, title=_title)
