"""The operation that plans lines."""

import msgspec

from linewright.capabilities.lines.proposed_text import read_proposed
from linewright.data.facts import Finding
from linewright.errors import RequestError
from linewright.line.check.plan_checks import check_plan
from linewright.line.factory import Factory
from linewright.line.file.read import placed
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import ChangeInWords, changes_in_words
from linewright.line.runs.planned_reads import PlannedRead, planned_reads
from linewright.line.runs.record import declared
from linewright.line.spec import LineSpec
from linewright.operations.declare import operation
from linewright.operations.parameter import LineText


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of one line would change."""

    plan: str
    line: str
    changes: tuple[ChangeInWords, ...]
    sources: dict[str, str] = {}
    """What is read as each source, in a few words."""
    reads: tuple[PlannedRead, ...] = ()
    """How much a run would read of each source; none if it would read no source."""
    findings: tuple[Finding, ...] = ()
    """What would leave the run without an answer, and settings that have no effect."""


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of several lines would change."""

    plans: tuple[PlanResult, ...]


@operation(permission="plan", effect="propose", expensive=True)
def plan(factory: Factory, /, *lines: str) -> PlanResult | Plans:
    """Say what a run would change, and why.

    The plan is kept, so that ``run --plan`` can be asked for exactly it. It holds digests and reasons only: a plan that is
    asked for again is the same one, kept once, and nothing else changes.

    Parameters
    ----------
    lines
        Names of lines (default: all).
    """
    plans = tuple(_plan(factory, name) for name in factory.with_sites(lines, "plan") or factory.names())
    return plans[0] if len(plans) == 1 else Plans(plans=plans)


@operation(permission="run", effect="propose", expensive=True)
def plan_text(factory: Factory, line: str, file: LineText, /) -> PlanResult:
    """Say what a run would change if the file of a line had another text; nothing but the plan is kept.

    Parameters
    ----------
    line
        Name of the line.
    file
        The file with the text; over HTTP, the text itself.
    """
    return planned(factory, read_proposed(factory, line, file))


def _plan(factory: Factory, name: str) -> PlanResult:
    try:
        return planned(factory, factory.line(name))
    except RequestError as error:
        raise placed(error, factory.path_of(name), name) from error


def planned(factory: Factory, spec: LineSpec) -> PlanResult:
    """Return what a run of a line would change if its file said this, and keep the plan."""
    value = make_plan(factory, spec)
    factory.metadata.keep(declared(spec))  # to which the plan refers
    return PlanResult(
        plan=factory.metadata.keep(value),
        line=spec.line,
        changes=changes_in_words(value.changes),
        sources={source: one.describe() for source, one in spec.sources.items()},
        reads=planned_reads(factory, spec, value),
        findings=check_plan(factory, spec),
    )
