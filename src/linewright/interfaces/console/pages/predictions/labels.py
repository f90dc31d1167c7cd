"""How far annotation is, how far annotators agree, and what the last labels changed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Page


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for the status, which computes agreement and effect."""
    return {"now": ("annotate status", {"line": [values["line"]]})}


PAGE = Page(template="predictions/labels.html.jinja", apart=apart, is_form=True)
