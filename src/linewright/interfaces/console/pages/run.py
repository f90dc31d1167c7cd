"""A run: what it did, and what came of it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what is known of a run."""
    return {"shown": ask("show", id=values["run"])}


PAGE = Page(
    template="run.html.jinja", read=read, is_live=True, title=lambda values: f"Run {values['run'][:8]}"
)
