"""Saved views."""

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.operations.people.views import Views


@renderer.register
def views_text(saved: Views) -> str:
    """Say the name and the address of each."""
    return "\n".join(f"{one.name}  {one.address}" for one in saved.views) or "You have saved no view."
