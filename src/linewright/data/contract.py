"""The data contract: what a table promises, and what happens to the rows that break the promise."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import numpy as np
import polars as pl

from linewright.data.facts import Column, Finding
from linewright.data.spec import ColumnRule, DataSpec, OnBreach
from linewright.data.table import Table
from linewright.data.types import cast
from linewright.errors import ContractBreach, SpecError
from linewright.store.values import to_builtins

_BOUNDED = ("integer", "number", "date", "datetime")
_SHOWN = 8  # allowed values that a rule's words list
_SLICE = 16_384  # quarantined rows turned into records at a time


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A table after its contract was applied."""

    frame: pl.DataFrame
    """The rows that may go on."""
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    quarantined: tuple[dict[str, Any], ...]
    """The rows kept out, and those that stop the run, as `facts.Quarantine` describes them; JSON values."""
    rows_read: int
    """All rows of the table, and those of its sources that no table could hold."""
    stop: str | None
    """Why the run may not go on, in a sentence; `None` if it may."""


@dataclass(frozen=True)
class _Broken:
    """One rule, and the rows that break it."""

    column: str
    rule: str
    rows: np.ndarray
    """Mask, bool, shape (n,)."""
    action: OnBreach


def check(table: Table, data: DataSpec) -> Checked:
    """Apply the contract to a table, in one pass over its columns.

    A row that breaks several rules is quarantined once, for the first in the order of the columns. Uniqueness comes
    last, among the rows that are left: the first row of a repeated value stays. A missing label breaks nothing.
    Rows whose number of fields is not that of the header have no place in the table: they are quarantined, or stop
    the run, even where a breach only warns.

    Parameters
    ----------
    table
        As `build_table` made it.
    data
        What the line says about its data.

    Returns
    -------
    Checked
        Nothing is raised for a breach: see `breach`, so that what was caught can be kept first.

    Raises
    ------
    SpecError
        For rules that do not suit their column's type.
    """
    caught = np.full(table.frame.height, -1)
    broken: list[_Broken] = []
    for item in _broken_rules(table, data):
        _catch(item, broken, caught)
    for name, rule in table.rules.items():
        if rule.unique:
            _catch(_repeated(name, table, data, caught < 0), broken, caught)
    findings = [_finding(item, table) for item in broken] + list(table.new) + _ragged(table, data)
    kept = table.frame.filter(pl.Series(caught < 0))
    findings += _row_count(kept.height, table.frame.height, data)
    records = _ragged_records(table) + _records(table, broken, caught)
    rows_read = table.frame.height + sum(len(raw.ragged) for raw in table.sources)
    return Checked(
        frame=kept,
        columns=table.columns,
        findings=tuple(findings),
        quarantined=tuple(records),
        rows_read=rows_read,
        stop=_stop(findings, len(records), rows_read, data),
    )


def breach(checked: Checked, quarantine: str | None = None) -> ContractBreach:
    """Return the error for a table that may not go on, with every finding in its `details`.

    Parameters
    ----------
    checked
        With a reason in `stop`.
    quarantine
        Digest of the kept rows, where they were kept.
    """
    return ContractBreach(
        str(checked.stop),
        where="contract",
        hint=("see the rows: linewright datasets LINE --quarantine; then " if quarantine else "")
        + "mend the data, or the rule in contract.columns",
        details={
            "findings": to_builtins(checked.findings),
            "quarantine": quarantine,
            "quarantined": len(checked.quarantined),
            "rows": checked.rows_read,
        },
    )


def _catch(item: _Broken, broken: list[_Broken], caught: np.ndarray) -> None:
    if not item.rows.any():
        return
    if item.action != "warn":  # rows that stop the run are shown like those that are kept out
        caught[item.rows & (caught < 0)] = len(broken)
    broken.append(item)


def _broken_rules(table: Table, data: DataSpec) -> Iterator[_Broken]:
    for name, rule in table.rules.items():
        action = rule.on_breach or data.contract.on_breach
        values, found = table.frame[name], table.found[name]
        unfit = values.is_null() & found.is_not_null()
        yield _Broken(name, f"type {rule.type}", unfit.to_numpy(), action)
        if not rule.nullable:
            yield _Broken(name, "not missing", found.is_null().to_numpy(), action)
        for words, outside in _bounds(values, rule):
            yield _Broken(name, words, outside.fill_null(value=False).to_numpy(), action)


def _bounds(values: pl.Series, rule: ColumnRule) -> Iterator[tuple[str, pl.Series]]:
    if rule.min is not None:
        yield f"at least {rule.min}", values < _bound(values.name, rule, rule.min)
    if rule.max is not None:
        yield f"at most {rule.max}", values > _bound(values.name, rule, rule.max)
    if rule.allowed is not None:
        allowed = cast(pl.Series(rule.allowed, dtype=pl.String), rule.type, pattern=rule.format)
        words = ", ".join(rule.allowed[:_SHOWN]) + (", …" if len(rule.allowed) > _SHOWN else "")
        yield f"one of {words}", ~values.is_in(allowed.implode()) & values.is_not_null()


def _bound(name: str, rule: ColumnRule, bound: float | date | datetime) -> Any:
    """Return a bound in the column's own terms: days for dates, UTC for times."""
    is_time = isinstance(bound, date)
    if rule.type not in _BOUNDED or is_time != (rule.type in {"date", "datetime"}):
        raise SpecError(
            f"column {name!r} is of type {rule.type}, which has no such bound",
            where=f"contract.columns.{name}",
            found=str(bound),
            allowed="numbers for integer and number, dates for date and datetime",
        )
    if not is_time or (rule.type == "date" and not isinstance(bound, datetime)):
        return bound
    instant = bound if isinstance(bound, datetime) else datetime.combine(bound, time())
    one = cast(pl.Series([instant]), "datetime")
    return cast(one, "date")[0] if rule.type == "date" else one[0]


def _repeated(name: str, table: Table, data: DataSpec, left: np.ndarray) -> _Broken:
    values = table.frame[name]
    rows = values.is_not_null().to_numpy() & left
    repeated = np.zeros(len(values), dtype=bool)
    repeated[rows] = ~values.filter(pl.Series(rows)).is_first_distinct().to_numpy()
    return _Broken(name, "unique", repeated, table.rules[name].on_breach or data.contract.on_breach)


def _finding(item: _Broken, table: Table) -> Finding:
    first = table.found[item.column][int(item.rows.argmax())]
    return Finding(
        column=item.column,
        rule=item.rule,
        failed=int(item.rows.sum()),
        rows=len(item.rows),
        first="" if first is None else str(first)[:200],
        action=item.action,
    )


def _ragged(table: Table, data: DataSpec) -> list[Finding]:
    return [
        Finding(
            column="",
            rule=f"{raw.frame.width} fields, as the header of {raw.name!r} has",
            failed=len(raw.ragged),
            rows=raw.rows,
            first=raw.ragged[0].text[:200],
            action="stop" if data.contract.on_breach == "stop" else "quarantine",
        )
        for raw in table.sources
        if raw.ragged
    ]


def _row_count(kept: int, read: int, data: DataSpec) -> list[Finding]:
    rule = data.contract.rows
    words = ""
    if kept < rule.min:
        words = f"at least {_rows(rule.min)}"
    elif rule.max is not None and read > rule.max:
        words = f"at most {_rows(rule.max)}"
    action = "warn" if data.contract.on_breach == "warn" and kept else "stop"
    return (
        [Finding(column="", rule=words, failed=1, rows=read, first=_rows(kept), action=action)]
        if words
        else []
    )


def _stop(findings: list[Finding], quarantined: int, rows: int, data: DataSpec) -> str | None:
    stopping = next((finding for finding in findings if finding.action == "stop"), None)
    if stopping is not None:
        return _sentence(stopping)
    limit = data.contract.max_quarantined
    if quarantined and quarantined > limit * rows:
        worst = max(
            (finding for finding in findings if finding.action == "quarantine"), key=lambda f: f.failed
        )
        return (
            f"{quarantined:,} of {rows:,} rows would be quarantined, more than max_quarantined {limit:g} allows; "
            f"most for this: {_sentence(worst)}"
        )
    return None


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _sentence(finding: Finding) -> str:
    if not finding.column and finding.rule.startswith("at "):
        return f"the table must have {finding.rule}, and {finding.first} would be kept"
    about = f"column {finding.column!r}" if finding.column else "the table"
    first = f", first with {finding.first!r}" if finding.first else ""
    return f"{about}: {finding.rule!r} fails for {finding.failed:,} of {_rows(finding.rows)}{first}"


def _records(table: Table, broken: list[_Broken], caught: np.ndarray) -> list[dict[str, Any]]:
    rows = np.flatnonzero(caught >= 0).tolist()
    if not rows:
        return []
    lines = table.lines(rows)
    source = None if table.is_joined else table.sources[0].name
    values: list[dict[str, Any]] = []
    for start in range(0, len(rows), _SLICE):
        values += table.found[rows[start : start + _SLICE]].to_dicts()
    records: list[dict[str, Any]] = []
    for row, line, cells in zip(rows, lines, values, strict=True):
        item, plain = broken[caught[row]], {name: _plain(cell) for name, cell in cells.items()}
        records.append(
            {
                "source": source,
                "line": line,
                "row": row + 1,
                "column": item.column,
                "rule": item.rule,
                "found": plain[item.column],
                "values": plain,
            }
        )
    return records


def _ragged_records(table: Table) -> list[dict[str, Any]]:
    return [
        {
            "source": raw.name,
            "line": line,
            "row": None,
            "column": "",
            "rule": f"{row.expected} fields",
            "found": f"{row.fields} fields",
            "values": {"text": row.text},
        }
        for raw in table.sources
        if raw.ragged
        for row, line in zip(raw.ragged, raw.ragged_lines(), strict=True)
    ]


def _plain(value: Any) -> Any:
    """Return a value of a native type as a JSON value."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return value.isoformat() if isinstance(value, (date, time)) else str(value)
