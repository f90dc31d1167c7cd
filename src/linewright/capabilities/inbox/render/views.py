"""Saved views."""

from linewright.capabilities.inbox.operations.views import Views
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def views_text(saved: Views) -> str:
    """Say the name and the address of each."""
    return "\n".join(f"{one.name}  {one.address}" for one in saved.views) or "You have saved no view."
