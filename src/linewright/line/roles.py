"""Columns of a line that have a role other than feature."""

from linewright.line.spec import LineSpec


def roles(spec: LineSpec) -> dict[str, str | None]:
    """Return the columns that have a role other than feature, by role."""
    table, label = spec.table, spec.label
    return {
        "key": table.key,
        "time": table.time,
        "known": table.known,
        "group": table.group,
        "subject": table.subject,
        "weight": table.weight,
        "label": label.column,
        "label known": label.known,
    }
