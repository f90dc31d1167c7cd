"""Operations."""

from pathlib import Path
from typing import Any

import msgspec

from linewright.capabilities.lines.proposed_text import read_proposed
from linewright.capabilities.value.goals import strange_goals
from linewright.data.breach_text import BreachInWords, breaches_in_words, what_to_do
from linewright.data.facts import Edit, Finding, RowSql
from linewright.errors import LinewrightError, RequestError, SpecError
from linewright.line.check.contradictions import refuse
from linewright.line.check.plan_checks import check_plan
from linewright.line.check.settings_checks import check_settings
from linewright.line.factory import Factory
from linewright.line.file.edit import difference, edited
from linewright.line.file.read import parse_lines, placed, site_text, unsupported
from linewright.line.file.read import schema as line_schema
from linewright.line.file.yaml_nodes import read_text
from linewright.line.personal import file_without_personal
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import ChangeInWords, changes_in_words
from linewright.line.runs.planned_reads import PlannedRead, planned_reads
from linewright.line.runs.record import declared
from linewright.line.spec import LineSpec
from linewright.operations.declare import operation
from linewright.operations.parameter import LineText


class CheckedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What checking one line found."""

    line: str
    rows: int | None
    """Rows of the table that keep the contract; `None` where it was not read."""
    quarantined: int
    errors: tuple[dict[str, Any], ...]
    """What is wrong with the file or stops the run."""
    breaches: tuple[BreachInWords, ...]
    """Rules of the contract that did not hold."""
    exit_code: int
    next: tuple[str, ...] = ()
    """What to do about the breaches."""
    findings: tuple[Finding, ...] = ()
    """What the checks found of file and data: leaks, ids, repeats and their like, with figures and what mends them."""
    row_sql: RowSql | None = None
    """Which columns `table.sql` makes of a request's row, and which must be sent; `None` where there is no SQL."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What checking lines found."""

    lines: tuple[CheckedLine, ...]
    factory: tuple[dict[str, Any], ...] = ()
    """What is wrong with `factory.yaml`; it is looked at where no line is named."""

    @property
    def exit_code(self) -> int:
        """The worst of the lines and of `factory.yaml`."""
        return max((*(line.exit_code for line in self.lines), SpecError.exit_code if self.factory else 0))


@operation(permission="plan", effect="read", expensive=True)
def check(factory: Factory, /, *lines: str) -> Checked:
    """Check the line files, and whether the data keep their contracts.

    Parameters
    ----------
    lines
        Names of lines (default: all, and `factory.yaml`).
    """
    strange = () if lines else (*factory.strange_limits(), *strange_goals(factory))
    return Checked(
        lines=tuple(_check(factory, name) for name in factory.with_sites(lines, "plan") or factory.names()),
        factory=tuple(error.to_json() for error in strange),
    )


class CheckedText(msgspec.Struct, frozen=True, kw_only=True):
    """What a text of a line file is, that nobody has saved."""

    line: str
    text: str
    """With the changes that were requested."""
    errors: tuple[dict[str, Any], ...]
    """What is wrong with it, each mistake with line and column from 1; of a section that is not built yet, without."""
    findings: tuple[Finding, ...]
    """Settings that mislead or have no effect, with what fixes them."""
    diff: str
    """How it differs from the file in force, as a unified diff; empty if it does not."""

    @property
    def exit_code(self) -> int:
        """2 if it is wrong."""
        return SpecError.exit_code if self.errors else 0


@operation(permission="plan", effect="propose")
def check_text(
    factory: Factory, line: str, file: LineText | None = None, /, *, edits: str = ""
) -> CheckedText:
    """Check the text of a line file before anybody saves it, and show how it differs; nothing is kept and no data are read.

    Parameters
    ----------
    line
        Name of the line.
    file
        The file with the text; over HTTP, the text itself (default: the file in force).
    edits
        Changes to make in it first, a JSON list as the ``remedy`` of a finding has them.
    """
    path = factory.path_of(line)
    factory.identity.require("plan", factory.lines_of_file(line))
    held = file_without_personal(factory, line, read_text(path))
    text, errors = held if file is None else file, list[dict[str, Any]]()
    findings = tuple[Finding, ...]()
    try:
        if edits:
            text = edited(text, _edits(edits))
        for name, spec in parse_lines(text, name=f"lines/{path.name}").items():
            refuse(unsupported(spec))
            findings = check_settings(factory, spec) if name == line else findings
    except SpecError as error:
        errors = list(error.details.get("errors") or [error.to_json()])
    text = file_without_personal(factory, line, text)
    return CheckedText(
        line=line, text=text, errors=tuple(errors), findings=findings, diff=difference(held, text, line)
    )


def _edits(text: str) -> tuple[Edit, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[Edit, ...])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RequestError(
            f"these are not changes: {error}",
            where="--edits",
            found=text[:80],
            allowed='a JSON list such as [{"path": ["table", "exclude"], "value": "id", "is_item": true}]',
        ) from error


def _check(factory: Factory, name: str) -> CheckedLine:
    from linewright.line.check.report import check_line  # noqa: PLC0415 -- `plan` imports this module and reads no rows

    try:
        sound = check_line(factory, name)
    except LinewrightError as error:
        return _not_right(name, error)
    breaches = breaches_in_words(sound.breaches)
    return CheckedLine(
        line=name,
        rows=sound.rows,
        quarantined=sound.quarantined,
        errors=(),
        breaches=breaches,
        exit_code=0,
        next=what_to_do(name, breaches),
        findings=sound.findings,
        row_sql=sound.row_sql,
    )


def _not_right(name: str, error: LinewrightError) -> CheckedLine:
    breaches = msgspec.convert(error.details.get("findings", []), tuple[BreachInWords, ...])
    return CheckedLine(
        line=name,
        rows=None,
        quarantined=0,
        errors=tuple(error.details.get("errors") or [error.to_json()]),
        breaches=breaches,
        exit_code=error.exit_code,
        next=what_to_do(name, breaches, error) if breaches else (),
    )


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A factory that is there now."""

    factory: str
    lines: tuple[str, ...]


@operation(permission="manage", effect="act", local=True, anywhere=True)
def init(factory: Factory, directory: Path = Path(), /) -> Made:
    """Make an empty factory in a folder.

    Parameters
    ----------
    directory
        The folder, made where it is missing; an existing factory is left as it is.
    """
    with Factory.create(factory.root / directory) as made:
        return Made(factory=str(made.root), lines=tuple(made.names()))


class LineFile(msgspec.Struct, frozen=True, kw_only=True):
    """A line file as it is in force."""

    line: str
    path: str
    text: str


@operation(permission="view", effect="read")
def line_file(factory: Factory, line: str, /) -> LineFile:
    """Print the file of a line.

    Of a template, a member who may not see all its sites gets what it says about the site of this line.

    Parameters
    ----------
    line
        Name of the line.
    """
    path = factory.path_of(line)
    is_seen = all(factory.may("view", one) for one in factory.lines_of_file(line))
    text = read_text(path) if is_seen else site_text(path, line)
    text = file_without_personal(factory, line, text)
    return LineFile(line=line, path=str(path.relative_to(factory.root)), text=text)


@operation(permission="view", effect="read", checks_lines=True, anywhere=True)
def schema(factory: Factory, section: str | None = None, /) -> dict[str, Any]:
    """Print the JSON Schema of the line file or of one of its sections.

    Parameters
    ----------
    section
        A section such as ``train`` or ``gates`` (default: the whole file).
    """
    del factory
    return line_schema(section)


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
