"""The operation that checks lines and their data."""

from typing import Any

import msgspec

from linewright.capabilities.value.goals import strange_goals
from linewright.data.breach_text import BreachInWords, breaches_in_words, what_to_do
from linewright.data.facts import Edit, Finding, RowSql
from linewright.errors import LinewrightError, RequestError, SpecError
from linewright.line.check.contradictions import refuse
from linewright.line.check.report import check_line
from linewright.line.check.settings_checks import check_settings
from linewright.line.factory import Factory
from linewright.line.file.edit import difference, edited
from linewright.line.file.read import parse_lines, unsupported
from linewright.line.file.yaml_nodes import read_text
from linewright.line.personal import file_without_personal
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
