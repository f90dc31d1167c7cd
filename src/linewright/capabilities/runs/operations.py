"""The operation that carries a plan out."""

from typing import Any, Literal

import msgspec

from linewright.data.breach_text import BreachInWords, breaches_in_words
from linewright.errors import LinewrightError, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, RunResult
from linewright.line.runs.cancel import require_id
from linewright.line.runs.execute import cancel_run, execute
from linewright.line.runs.progress import RunSteps, steps_of
from linewright.line.runs.result_text import decides, in_force, unequal
from linewright.line.runs.run_log import ShownLog, log_of
from linewright.operations.declare import operation


class FailedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A line whose run gave no result."""

    line: str
    error: dict[str, Any]
    exit_code: int


class RunInWords(RunResult, frozen=True, kw_only=True):
    """What a run gave, and some of it in words."""

    breaches: tuple[BreachInWords, ...] = ()
    decides: str = ""
    """Where the threshold lies now and lay before, and how many rows are decided otherwise than by the champion that it was
    compared with; empty where answers are numbers, and where there was no champion."""
    unequal: str = ""
    """Of a candidate that did not pass: which columns the champion reads that the line bars by now; empty where it reads none."""
    in_force: str = ""
    """Of a candidate that does not serve: by which amounts the champion goes on deciding, where those of the line are others by now."""


def _in_words(ran: RunResult) -> RunInWords:
    fields: dict[str, Any] = {name: getattr(ran, name) for name in RunResult.__struct_fields__}
    fields["breaches"] = breaches_in_words(ran.breaches)
    return RunInWords(**fields, decides=decides(ran), unequal=unequal(ran), in_force=in_force(ran))


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of several lines gave."""

    runs: tuple[RunInWords, ...]
    failed: tuple[FailedRun, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of the runs."""
        return max((run.exit_code for run in (*self.runs, *self.failed)), default=0)


@operation(permission="run", effect="act", waits=True)
def run(factory: Factory, /, *lines: str, plan: str | None = None) -> RunInWords | Ran:
    """Train, judge and release lines; finish what was interrupted.

    Several lines run one after another; one that fails does not keep the others from running.

    Parameters
    ----------
    lines
        Names of lines (default: all); that of a template stands for the lines of its sites.
    plan
        Carry out exactly this plan, or fail if a source has changed since.
    """
    names = factory.with_sites(lines, "run")
    if plan and len(names) != 1:
        raise RequestError("a plan is of one line", found=", ".join(names) or None, hint="name that line")
    if len(names) == 1:
        return _in_words(execute(factory, names[0], plan=plan))
    ended = [_run(factory, name) for name in names or factory.names()]
    # The first of them did not know the rows of those that followed.
    ended = [_once_more(factory, one) for one in ended]
    return Ran(
        runs=tuple(one for one in ended if isinstance(one, RunInWords)),
        failed=tuple(one for one in ended if isinstance(one, FailedRun)),
    )


def _once_more(factory: Factory, ended: RunInWords | FailedRun) -> RunInWords | FailedRun:
    """Run a line again that learns from rows of other sites, if there are more of them now."""
    line = ended.line
    if isinstance(ended, FailedRun) or factory.line(line).train.share == "alone":
        return ended
    again = _run(factory, line)
    return again if isinstance(again, FailedRun) or again.did else ended


def _run(factory: Factory, name: str) -> RunInWords | FailedRun:
    try:
        return _in_words(execute(factory, name))
    except LinewrightError as error:
        if not factory.waits():
            raise  # nobody waits for those that follow either
        return FailedRun(line=name, error=error.to_json(), exit_code=error.exit_code)


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run that was to be cancelled."""

    run: str
    line: str
    state: Literal["cancelled", "done", "failed", "asked"]
    """``cancelled``; ``done`` or ``failed`` where it had ended before; ``asked`` where it has not ended yet: it will at its next step."""
    promoted: bool = False
    """Of a run that had ended: whether it promoted its candidate."""


@operation(permission="run", effect="act", checks_lines=True)
def cancel(factory: Factory, run: str, /, *, because: str = "") -> Cancelled:
    """End a run that is at work or waits, without a result.

    What its steps have computed so far stays, and a later run goes on from there. A run that is at its release comes to its end.

    Parameters
    ----------
    run
        Id of the run, as `runs` lists it.
    because
        Why, for the record.
    """
    return Cancelled(**cancel_run(factory, run, because))


@operation(permission="view", effect="read", checks_lines=True)
def run_steps(factory: Factory, run: str, /) -> RunSteps:
    """Show how far a run has come: each step with its time, what was tried, and what the gates found.

    Parameters
    ----------
    run
        Id of the run, as `runs` lists it.
    """
    return steps_of(factory, _accepted(factory, run))


@operation(permission="view", effect="read", checks_lines=True)
def run_log(factory: Factory, run: str, /) -> ShownLog:
    """Show the log of a run, also while it goes on: the last 200 lines, and what was tried so far.

    What libraries and code of the line wrote to stdout and stderr may name rows: it is shown to those who may see rows. The logs of the newest
    100 runs are kept.

    Parameters
    ----------
    run
        Id of the run, as `runs` lists it.
    """
    return log_of(factory, _accepted(factory, run))


def _accepted(factory: Factory, run: str) -> Accepted:
    require_id(run)
    accepted = factory.metadata.newest_with(Accepted, "run", run)
    # What somebody may not see is not there for them: an id tells nothing of other lines.
    if accepted is None or not factory.may("view", accepted.line):
        raise NotFound("no such run was accepted", found=run, hint="`linewright runs` lists them")
    return accepted


@operation(permission="run", effect="act", waits=True)
def retrain(factory: Factory, line: str, /) -> RunInWords:
    """Train a line again with the rows and labels that are known by now.

    Rows that were answered and whose truth came through feedback join those of the sources. The candidate is judged
    against the champion on rows that neither has seen, and promoted or refused, as by `run`.

    Parameters
    ----------
    line
        Name of the line.
    """
    return _in_words(execute(factory, line, as_of=factory.now()))
