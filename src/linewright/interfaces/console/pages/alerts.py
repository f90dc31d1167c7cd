"""Alerts: what monitors found, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the alerts, also those that are over if that is asked for."""
    return {"found": ask("alerts", line=values["line"] or None, over=bool(values["over"]))}


PAGE = Page(template="alerts.html.jinja", read=read, query=("line", "over"), is_live=True)
