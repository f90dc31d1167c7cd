"""The operation that carries a plan out."""

import msgspec

from linewright.errors import RequestError
from linewright.line.execute import execute
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.operations.declare import operation


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of several lines gave."""

    runs: tuple[RunResult, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the runs."""
        return max((run.exit_code for run in self.runs), default=0)

    def to_text(self) -> str:
        """Say what each run gave."""
        return "\n\n".join(run.to_text() for run in self.runs)


@operation(writes=True)
def run(factory: Factory, /, *lines: str, plan: str | None = None) -> RunResult | Ran:
    """Train, judge and release lines; finish what was interrupted.

    Parameters
    ----------
    lines
        Names of lines.
    plan
        Carry out exactly this plan, or fail if a source has changed since.
    """
    if not lines:
        raise RequestError("say which line to run", allowed=", ".join(factory.names()) or "(none yet)")
    if plan and len(lines) > 1:
        raise RequestError("a plan is of one line", found=", ".join(lines))
    runs = tuple(execute(factory, name, plan=plan) for name in lines)
    return runs[0] if len(runs) == 1 else Ran(runs=runs)
