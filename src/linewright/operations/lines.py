"""Operations that make, check and plan lines."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from linewright.data.breach_text import BreachInWords, breaches_in_words, what_to_do
from linewright.data.facts import Finding, RowSql
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError, SpecError
from linewright.line.check.line_checks import check_plan
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.file.read import placed
from linewright.line.file.read import schema as line_schema
from linewright.line.new.write import NewLine, new_line
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import ChangeInWords, changes_in_words
from linewright.line.runs.record import declared
from linewright.line.value.goals import strange_goals
from linewright.operations.declaration.declare import operation


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A factory that is there now."""

    factory: str
    lines: tuple[str, ...]


@operation(writes=True, local=True, anywhere=True)
def new(
    factory: Factory,
    name: str,
    /,
    *,
    data: Path,
    label: str,
    positive: str | None = None,
    time: str | None = None,
    group: str | None = None,
    key: str | None = None,
    exclude: tuple[str, ...] = (),
    weight: str | None = None,
    model: Path | None = None,
    columns: tuple[str, ...] = (),
    python: str | None = None,
    engine: Literal["built-in", "flaml", "autogluon"] = "built-in",
) -> NewLine:
    """Look at a table and write a line file for it, each choice with its reason.

    Parameters
    ----------
    name
        Name of the line: small letters, digits and hyphens.
    data
        File of CSV, JSON lines (each packed or not) or Parquet; a folder of such files, or a pattern in quotes.
    label
        Column to predict.
    positive
        For two classes: the value whose probability is predicted.
    time
        Column that says when a row happened; the latest rows then test the model.
    group
        Column whose rows belong together, such as a patient or a machine.
    key
        Column that names a row, used to match the truth with a prediction later.
    exclude
        Columns that the model must not use, separated by commas.
    weight
        Column with a sample weight.
    model
        File (ONNX, LightGBM, XGBoost) of a model that was made elsewhere, or folder of an MLflow model with one; it takes the place of training.
    columns
        Columns that this model reads, in the order of its inputs, separated by commas, where it does not name them itself.
    python
        Function of your own that returns an unfitted estimator: FILE.py:FUNCTION, the file in the factory's folder.
    engine
        What chooses and fits the model: built-in, or one of the extras flaml and autogluon.
    """
    made = new_line(
        factory.root,
        name,
        data,
        GivenRoles(
            label=label, positive=positive, time=time, group=group, key=key, weight=weight, exclude=exclude
        ),
        model=model,
        columns=columns,
        python=python,
        engine=engine,
    )
    Factory.create(factory.root).close()
    return made


@operation(writes=True, local=True, anywhere=True)
def init(factory: Factory, directory: Path = Path(), /) -> Made:
    """Make an empty factory in a folder.

    Parameters
    ----------
    directory
        The folder, made where it is missing; an existing factory is left as it is.
    """
    with Factory.create(factory.root / directory) as made:
        return Made(factory=str(made.root), lines=tuple(made.names()))


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


@operation(writes=False, expensive=True)
def check(factory: Factory, /, *lines: str) -> Checked:
    """Check the line files, and whether the data keep their contracts.

    Parameters
    ----------
    lines
        Names of lines (default: all, and `factory.yaml`).
    """
    strange = () if lines else (*factory.strange_limits(), *strange_goals(factory))
    return Checked(
        lines=tuple(_check(factory, name) for name in lines or factory.names()),
        factory=tuple(error.to_json() for error in strange),
    )


def _check(factory: Factory, name: str) -> CheckedLine:
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


@operation(writes=False, anywhere=True)
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
    findings: tuple[Finding, ...] = ()
    """What would leave the run without an answer, and what the line file says in vain."""


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of several lines would change."""

    plans: tuple[PlanResult, ...]


@operation(writes=True, expensive=True)
def plan(factory: Factory, /, *lines: str) -> PlanResult | Plans:
    """Say what a run would change, and why.

    The plan is kept, so that ``run --plan`` can be asked for exactly it. It holds digests and reasons only: a plan that is
    asked for again is the same one, kept once, and nothing else changes.

    Parameters
    ----------
    lines
        Names of lines (default: all).
    """
    plans = tuple(_plan(factory, name) for name in lines or factory.names())
    return plans[0] if len(plans) == 1 else Plans(plans=plans)


def _plan(factory: Factory, name: str) -> PlanResult:
    try:
        spec = factory.line(name)
        value = make_plan(factory, spec)
    except RequestError as error:
        raise placed(error, factory.path_of(name)) from error
    factory.metadata.keep(declared(spec))  # to which the plan refers
    return PlanResult(
        plan=factory.metadata.keep(value),
        line=name,
        changes=changes_in_words(value.changes),
        sources={source: one.describe() for source, one in spec.sources.items()},
        findings=check_plan(factory, spec),
    )
