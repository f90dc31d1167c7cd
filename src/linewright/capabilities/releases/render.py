"""Terminal texts of results."""

from linewright.capabilities.releases.halt import Stopped
from linewright.capabilities.releases.operations import Serves
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short


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


@renderer.register
def serves_text(now: Serves) -> str:
    """Say what serves instead of what."""
    if now.tried is not None:
        return f"{now.tried} {now.part} beside {now.champion}: {now.because}"
    instead = f" instead of {now.before}" if now.before else ""
    if now.canary:
        what = "candidate" if now.rollout == "blue-green" else now.rollout
        instead = f" alone, without its {what} {now.canary}"
    said = f"{now.champion} ({short(now.digest)}) serves{instead}: {now.because}"
    return "\n".join(
        [
            said,
            *([f"  decides  {now.decides}"] if now.decides else []),
            *([f"  warn     {now.barred}"] if now.barred else []),
        ]
    )
