"""The operation that checks lines and their data."""

from typing import Any

import msgspec

from linewright.data.breach_text import BreachInWords, breaches_in_words, what_to_do
from linewright.data.facts import Finding, RowSql
from linewright.errors import LinewrightError, SpecError
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.value.goals import strange_goals
from linewright.operations.declaration.declare import operation


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
