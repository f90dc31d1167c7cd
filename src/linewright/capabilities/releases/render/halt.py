"""Whether a line's endpoint answers. It imports as little as the stop itself."""

from linewright.capabilities.releases.operations.halt import Stopped
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def stopped_text(now: Stopped) -> str:
    """Say whether it answers."""
    if not now.halted:
        return f"{now.line} answers again" if now.was_halted else f"{now.line} was not halted"
    already = " already" if now.was_halted else ""
    said = f"{now.line} is halted{already}: its endpoint answers 503 until `linewright halt {now.line} --off`"
    if now.recorded:
        return said
    return f"{said}\n  not recorded yet: {now.not_recorded}\n  it is recorded when that is possible again"
