"""Terminal texts of results."""

from collections.abc import Sequence
from typing import Any, assert_never

from linewright.capabilities.lines.operations import (
    Checked,
    CheckedLine,
    CheckedText,
    LineFile,
    Made,
    PlanResult,
    Plans,
)
from linewright.data.breach_text import BreachInWords, by_weight
from linewright.data.facts import Severity
from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid, short
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.request_columns import sql_in_words
from linewright.line.runs.plan_text import ChangeInWords
from linewright.line.runs.planned_reads import PlannedRead
from linewright.text.numbers import bytes_in_words, count

_HEAD = ("column", "rule", "failed", "of rows", "first value", "line", "what happens")
_RULE, _VALUE = 44, 28  # letters of a rule and of a value that the table shows


@renderer.register
def checked_text(checked: Checked) -> str:
    """Say, line by line, what is right and what is not."""
    told = [_checked_text(line) for line in checked.lines] or ["There is no line yet."]
    if checked.factory:
        told += [f"{FACTORY_FILE}: not right", *(f"  {error['message']}" for error in checked.factory)]
    return "\n".join(told)


@renderer.register
def checked_file_text(checked: CheckedText) -> str:
    """Say what is wrong with a text that nobody has saved, what its settings do not do, and how it differs."""
    told = [f"{checked.line}: {'not right' if checked.errors else 'the text is right'}"]
    told += [f"  {_placed(error, 'message')}" for error in checked.errors]
    told += [f"  {_lead(one.severity)}: {finding_in_words(one)}" for one in checked.findings]
    return "\n".join([*told, checked.diff.rstrip("\n") or "  It is the text of the file in force."])


def _checked_text(line: CheckedLine) -> str:
    if line.errors:
        # What to do stands below the table, where there is one.
        said = "what" if line.breaches else "message"
        told = [f"{line.line}: not right", *(f"  {_placed(error, said)}" for error in line.errors)]
    else:
        told = [f"{line.line}: the file is right; {count(line.rows or 0, 'row')} keep the contract"]
        if line.quarantined:
            told[0] += f", {line.quarantined:,} would go to quarantine"
    table = [f"  {row}" for row in _breaches_table(line.breaches)]
    found = [f"  {_lead(one.severity)}: {finding_in_words(one)}" for one in line.findings]
    if found:
        found.append(
            "  A check is silenced by its id, checks: {disable: [ID]}; a column that was known before the label by checks: {known: [COLUMN]}."
        )
    sql = [f"  sql: {said}" for said in sql_in_words(line.row_sql)] if line.row_sql else []
    return "\n".join([*told, *table, *sql, *found, *(f"  Next: {step}" for step in line.next)])


def _lead(severity: Severity) -> str:
    """Return the word before a finding."""
    match severity:
        case "exclude" | "warn":
            return "warn"
        case "ask":
            return "ask"
        case "note":
            return "note"
        case _:
            assert_never(severity)


def _placed(error: dict[str, Any], said: str) -> str:
    return f"{error['where']}: {error['what']}" if said == "what" and error["where"] else error[said]


def _breaches_table(breaches: Sequence[BreachInWords]) -> list[str]:
    """Return a line for each breach under a head; nothing where there is none."""
    if not breaches:
        return []
    return grid(
        _HEAD,
        [
            (
                one.column or "(table)",
                clipped(one.rule, _RULE),
                f"{one.failed:,}",
                f"{one.rows:,}",
                clipped(one.first, _VALUE) or "-",
                ":".join(str(part) for part in (one.file, one.line) if part is not None) or "-",
                one.action,
            )
            for one in by_weight(breaches)
        ],
        numbers=(2, 3, 5),
    )


@renderer.register
def line_file_text(file: LineFile) -> str:
    """Return its text."""
    return file.text.rstrip("\n")


@renderer.register
def made_text(made: Made) -> str:
    """Say where it is and what to do next."""
    return (
        f"The factory is in {made.factory}; lines: {', '.join(made.lines) or 'none yet'}.\n"
        "Next: linewright new NAME --data FILE --label COLUMN, or linewright up"
    )


@renderer.register
def plan_text(plan: PlanResult) -> str:
    """Say each step with its reason."""
    found = [f"  warn: {finding_in_words(one)}" for one in plan.findings]
    if not plan.changes:
        return "\n".join([f"{plan.line}: no changes", *found])
    width = max(len(change.step) for change in plan.changes)
    steps = [f"  {change.step:<{width}}  {change.because}{_moved(change)}" for change in plan.changes]
    reads = [f"  {'reads':<{width}}  {_read(one)}" for one in plan.reads]
    return "\n".join([f"{plan.line}: plan {short(plan.plan)}", *steps, *reads, *found])


def _read(one: PlannedRead) -> str:
    said = list[str]()
    if one.rows is not None:
        said.append(f"{count(one.rows, 'row')}{'' if one.asked is None else ' kept'}")
    if one.asked is not None:
        said.append(f"{one.asked:,} to read")
    if one.files is not None:
        size = "" if one.bytes is None else f" of {bytes_in_words(one.bytes)}"
        said.append(f"{count(one.files, 'file')}{size}")
    if one.newer_files and one.newer_files != one.files:
        size = bytes_in_words(one.newer_bytes or 0)
        said.append(f"{one.newer_files:,} of them ({size}) since the last run")
    if not one.changed:
        said.append("unchanged")
    return f"{one.source}: {', '.join(said)}" if said else one.source


def _moved(change: ChangeInWords) -> str:
    if change.from_ is None or change.to is None:
        return ""
    return f" ({short(change.from_)} -> {short(change.to)})"


@renderer.register
def plans_text(plans: Plans) -> str:
    """Say each line's plan."""
    return "\n".join(plan_text(plan) for plan in plans.plans) or "There is no line yet."
