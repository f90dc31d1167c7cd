"""Columns of a line that have a role other than feature, and those that a model may use."""

from linewright.data.facts import Column, Dataset
from linewright.data.spec import DataSpec

LEARNABLE = frozenset({"integer", "number", "boolean", "category", "text", "date", "datetime", "file"})


def roles(spec: DataSpec) -> dict[str, str | None]:
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


def feature_columns(spec: DataSpec, dataset: Dataset) -> tuple[Column, ...]:
    """Return the columns that a model may use: named by the contract, of a learnable type, and without another role."""
    barred = {name for name in roles(spec).values() if name} | set(spec.table.exclude)
    named = set(spec.contract.columns) or {column.name for column in dataset.columns}
    return tuple(
        column
        for column in dataset.columns
        if column.name in named and column.name not in barred and column.type in LEARNABLE
    )
