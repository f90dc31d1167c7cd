"""What making, checking and planning lines gave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace as replace_field

from linewright.data.breach_text import BreachInWords, by_weight
from linewright.data.facts import Finding
from linewright.data.finding_text import finding_in_words
from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid, short
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.new.draft import looked_at
from linewright.line.new.write import NewLine
from linewright.line.request_columns import sql_in_words
from linewright.line.runs.plan_text import ChangeInWords
from linewright.operations.lines import Checked, CheckedLine, Made, PlanResult, Plans
from linewright.text.numbers import count

_LEADS = {"exclude": "warn", "warn": "warn", "ask": "ask"}
_HEAD = ("column", "rule", "failed", "of rows", "first value", "line", "what happens")
_RULE, _VALUE = 44, 28  # letters of a rule and of a value that the table shows


@renderer.register
def made_text(made: Made) -> str:
    """Say where it is and what to do next."""
    return (
        f"The factory is in {made.factory}; lines: {', '.join(made.lines) or 'none yet'}.\n"
        "Next: linewright new NAME --data FILE --label COLUMN"
    )


@renderer.register
def checked_text(checked: Checked) -> str:
    """Say, line by line, what is right and what is not."""
    told = [_checked_text(line) for line in checked.lines] or ["There is no line yet."]
    if checked.factory:
        told += [f"{FACTORY_FILE}: not right", *(f"  {error['message']}" for error in checked.factory)]
    return "\n".join(told)


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
    found = [f"  {_LEADS[one.severity]}: {finding_in_words(one)}" for one in line.findings]
    if found:
        found.append(
            "  A check is silenced by its id, checks: {disable: [ID]}; a column that was known before the label by checks: {known: [COLUMN]}."
        )
    sql = [f"  sql: {said}" for said in sql_in_words(line.row_sql)] if line.row_sql else []
    return "\n".join([*told, *table, *sql, *found, *(f"  Next: {step}" for step in line.next)])


def _placed(error: dict[str, Any], said: str) -> str:
    return f"{error['where']}: {error['what']}" if said == "what" and error["where"] else error[said]


@renderer.register
def plan_text(plan: PlanResult) -> str:
    """Say each step with its reason."""
    found = [f"  warn: {finding_in_words(one)}" for one in plan.findings]
    if not plan.changes:
        return "\n".join([f"{plan.line}: no changes", *found])
    width = max(len(change.step) for change in plan.changes)
    steps = [f"  {change.step:<{width}}  {change.because}{_moved(change)}" for change in plan.changes]
    return "\n".join([f"{plan.line}: plan {short(plan.plan)}", *steps, *found])


def _moved(change: ChangeInWords) -> str:
    if change.from_ is None or change.to is None:
        return ""
    return f" ({short(change.from_)} -> {short(change.to)})"


@renderer.register
def plans_text(plans: Plans) -> str:
    """Say each line's plan."""
    return "\n".join(plan_text(plan) for plan in plans.plans) or "There is no line yet."


@renderer.register
def new_line_text(made: NewLine) -> str:
    """Say what was found and what to do next."""
    return "\n".join(
        [
            f"Wrote {made.path}: {made.task} from {looked_at(made.rows, made.of)} and {made.columns} columns, split by {made.split}.",
            *_model_text(made),
            *(f"  {_told(made, one)}" for one in made.findings),
            f"Next: read it, then linewright {'run' if made.rows == made.of else 'check'} {Path(made.path).stem}",
        ]
    )


def _told(made: NewLine, one: Finding) -> str:
    is_out = one.columns and one.columns[0] in made.excluded
    # What is left out already needs no remedy.
    return finding_in_words(replace_field(one, remedy=()) if is_out else one)


def _model_text(made: NewLine) -> list[str]:
    if made.by:
        return [f"Its model is made by {made.by}."]
    if made.model is None:
        return []
    return [f"Takes {made.model} in place of training; it reads {', '.join(made.reads)}."]


def _breaches_table(breaches: Sequence[BreachInWords]) -> list[str]:
    """Return a line for each breach under a head; nothing where there is none.

    Parameters
    ----------
    breaches
        Those that stop a run come first, then those that keep rows out.
    """
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
