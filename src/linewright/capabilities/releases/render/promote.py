"""What serves now."""

from linewright.capabilities.releases.operations.promote import Serves
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import short


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
