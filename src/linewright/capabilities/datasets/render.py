"""How dataset versions differ, the rows that a contract kept out, and the files of the prediction log."""

from collections import Counter
from typing import Any

from linewright.capabilities.datasets.operations import (
    DatasetRows,
    DatasetShown,
    Difference,
    Logged,
    Profile,
    Quarantined,
    RowsAsOf,
)
from linewright.data.dataset.diff import ColumnShift
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid, short
from linewright.line.record.data.readings import GivenLabel
from linewright.store.clock import said as said_at
from linewright.text.numbers import count

_SHIFT = ("column", "missing", "mean or most common value")
_SHOWN = 12  # columns whose values differ, in text
_COLUMNS = 4  # columns of changed rows, in text
_ROWS = 40  # rows in quarantine, in text


@renderer.register
def difference_text(found: Difference) -> str:
    """Say it in a few lines."""
    if found.before == found.after:
        return f"{found.line}: the two are one version, {short(found.before)}"
    said = [
        f"{found.line}: {short(found.before)} -> {short(found.after)}",
        f"  rows     {found.rows[0]:,} -> {found.rows[1]:,}{_rows_said(found)}",
        *_columns_said(found),
    ]
    if found.shifts:
        said += [f"  {row}" for row in grid(_SHIFT, [_shift_cells(one) for one in found.shifts[:_SHOWN]])]
    if len(found.shifts) > _SHOWN:
        said.append(
            f"  and {count(len(found.shifts) - _SHOWN, 'more column')} with smaller changes (--json has all)"
        )
    return "\n".join(said)


@renderer.register
def rows_as_of_text(found: RowsAsOf) -> str:
    """Say it on one line."""
    written = f", written to {found.out}" if found.out else ""
    return f"{found.source}: {count(found.rows, 'row')} as known on {said_at(found.at)}{written}"


def _rows_said(found: Difference) -> str:
    if found.by_key is None:
        return "; without a key, rows cannot be told apart"
    most = list(found.by_key.changed_columns.items())
    where = ", ".join(f"{name} in {n:,}" for name, n in most[:_COLUMNS])
    more = f" and {len(most) - _COLUMNS} more" if len(most) > _COLUMNS else ""
    return (
        f"; by {found.by_key.key}: {found.by_key.added:,} added, {found.by_key.removed:,} removed, "
        f"{found.by_key.changed:,} changed" + (f" ({where}{more})" if where else "")
    )


def _columns_said(found: Difference) -> list[str]:
    parts = (
        ("added", found.added_columns),
        ("removed", found.gone_columns),
        ("retyped", found.changed_types),
    )
    said = "; ".join(f"{word} {', '.join(names)}" for word, names in parts if names)
    return [f"  columns  {said}"] if said else []


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _shift_cells(shift: ColumnShift) -> tuple[str, str, str]:
    missing = " -> ".join(dict.fromkeys(_percent(share) for share in shift.missing))
    if shift.mean:
        values = ["-" if mean is None else f"{mean:.4g}" for mean in shift.mean]
    else:
        values = [f"{clipped(value, 24)!r} {_percent(share)}" for value, share in shift.most or ()]
    return shift.column, missing, " -> ".join(dict.fromkeys(values))


@renderer.register
def quarantined_text(found: Quarantined) -> str:
    """Say each row with the rule that caught it."""
    if not found.rows:
        return f"{found.line}: no row is in quarantine"
    said = [f"  {_place(row)}: {_wrong(row)}" for row in found.rows[:_ROWS]]
    if len(found.rows) > _ROWS:
        rules = Counter(_rule(row) for row in found.rows).most_common()
        said = [
            *(f"  {n:,} for {rule}" for rule, n in rules),
            f"The first {_ROWS} (--json has all):",
            *said,
        ]
    return "\n".join([f"{found.line}: {count(len(found.rows), 'row')} in quarantine", *said])


def _rule(row: dict[str, Any]) -> str:
    return (
        f"{row['column']}: {row['rule']}" if row["column"] else f"another number of fields than {row['rule']}"
    )


def _wrong(row: dict[str, Any]) -> str:
    if not row["column"]:
        return f"{row['found']}, and the header has {row['rule']}"
    found = "no value" if row["found"] is None else repr(row["found"])
    return f"{row['column']}: {row['rule']}, found {found}"


def _place(row: dict[str, Any]) -> str:
    if row.get("line"):
        return f"{row.get('file') or row['source']}:{row['line']}"
    return f"row {row['row']}" + (f" in {row['file']}" if row.get("file") else "")


@renderer.register
def logged_text(log: Logged) -> str:
    """Say the files, and how to read them."""
    said = [
        f"{log.line}: {count(len(log.segments), 'sealed segment')} of the prediction log, {log.open:,} not sealed",
        *(
            f"  {said_at(part.first)} to {said_at(part.last)}  {count(part.predictions, 'prediction')}  {part.parquet}"
            for part in log.segments
        ),
    ]
    if log.segments:
        said.append(f"Next, in Python: polars.read_parquet({log.segments[-1].parquet!r})")
    return "\n".join(said)


@renderer.register
def rows_text(found: DatasetRows) -> str:
    """Show the rows as a table."""
    if not found.rows:
        return f"{found.line}: no row of {short(found.dataset)} is so"
    has_parts = found.rows[0].part is not None
    has_people = found.rows[0].labelled is not None
    head = (
        "row",
        *(("part",) if has_parts else ()),
        *(("labelled by", "at") if has_people else ()),
        *found.columns,
    )
    cells = [
        [
            str(one.row),
            *([str(one.part)] if has_parts else []),
            *([_givers(one.labelled), said_at(one.labelled.at)] if one.labelled else []),
            *(clipped(_cell(one.values[name]), 24) for name in found.columns),
        ]
        for one in found.rows
    ]
    more = (
        [] if found.next is None else [f"more: linewright rows {found.line} --after {found.next}, as before"]
    )
    return "\n".join(
        [f"{found.line}  {short(found.dataset)}, {count(found.of, 'row')} in all", *grid(head, cells), *more]
    )


def _givers(given: GivenLabel) -> str:
    return ", ".join(given.annotators) + (f", decided by {given.decided}" if given.decided else "")


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


@renderer.register
def profile_text(found: Profile) -> str:
    """Show the columns as a table."""
    head = ("column", "type", "missing", "distinct", "range", "most common")
    cells = [
        [
            one.name,
            one.type,
            f"{one.missing:,}",
            f"{one.distinct:,}",
            "" if one.least is None else f"{one.least} to {one.most}",
            clipped(", ".join(f"{each.value} ({each.rows:,})" for each in one.common[:3]), 60),
        ]
        for one in found.columns
    ]
    return "\n".join(
        [f"{found.line}  {short(found.dataset)}, {count(found.rows, 'row')}", *grid(head, cells)]
    )


@renderer.register
def dataset_text(found: DatasetShown) -> str:
    """Say what was read, and what of it did not hold."""
    shown = found.shown
    if shown is None:
        return f"{found.line}: no run has read anything yet"
    said = [
        f"{found.line}  {short(shown.dataset)}, {count(shown.rows, 'row')}, {count(len(shown.columns), 'column')}, {said_at(shown.at)}",
        f"  read     {count(shown.rows_read, 'row')}, the contract kept out {shown.quarantined:,}",
        f"  models   {', '.join(shown.models) or '-'}",
    ]
    if people := shown.annotated:
        said.append(
            f"  labels   {count(people.labelled, 'row')} labelled by {', '.join(people.by)}, {said_at(people.first)} to {said_at(people.last)}"
        )
        said.append(f"  why      linewright why {short(people.evidence)}")
    said += [
        f"  source   {one.name}: {one.place or short(one.fingerprint)}{', written since' if one.is_newer else ''}"
        for one in shown.sources
    ]
    said += [
        f"  contract {one.column or 'rows'}: {one.says or one.rule}, {one.failed:,} of {one.rows:,} ({one.action})"
        for one in shown.breaches
    ]
    said += [f"  finding  {one}" for one in shown.findings]
    return "\n".join(said)
