"""Models that serve away from their factory."""

from linewright.capabilities.sites.folder import DetachedFolder
from linewright.capabilities.sites.handover import Synced
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.text.numbers import count, listed


@renderer.register
def folder_text(made: DetachedFolder) -> str:
    """Say what was written, and how it serves."""
    return (
        f"{made.folder}: {made.model} ({short(made.package)}), {made.bytes:,} bytes, package.json {made.digest}\n"
        f"Next, on the machine that is to serve: linewright serve --detached {made.folder}"
    )


@renderer.register
def synced_text(found: Synced) -> str:
    """Say what came over, and what did not."""
    lines = [
        f"{found.model}: {count(found.answers, 'answer')} of {count(found.segments, 'segment')} and {count(found.labels, 'label')} came over"
    ]
    if found.waiting:
        lines.append(
            f"  {count(found.waiting, 'segment')} is being written to: stop the endpoint, or sync again later"
        )
    if found.conflicting:
        named = listed(list(found.conflicts), len(found.conflicts))
        lines.append(
            f"  {count(found.conflicting, 'prediction')} has another label here, which stays: {named}; correct one of them"
        )
    return "\n".join(lines)
