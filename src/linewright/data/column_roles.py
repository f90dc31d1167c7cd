"""Columns of a line that have a role other than feature, and those that a model may use."""

from collections.abc import Collection, Iterator

from linewright.data.facts import Column, Dataset
from linewright.data.spec import DataSpec, table_sources

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


def unnamed_stamps(data: DataSpec) -> set[str]:
    """Return the columns by which sources tell what is new (`cursor`, `known`) and that the contract does not name."""
    stamps = {name for source in table_sources(data).values() for name in source.stamps}
    return stamps - set(data.contract.columns)


def unnamed_entities(data: DataSpec, entities: Collection[str]) -> set[str]:
    """Return the columns by which feature views are looked up and that the line does not name: no model learns from them.

    They say whom a row is about, and what a model learned of these is of no use for others.
    """
    return set(entities) - declared_columns(data)


def barred_columns(data: DataSpec) -> set[str]:
    """Return the columns that no model may use, whatever the contract names: excluded, in another role, or an unnamed stamp."""
    taken = {name for name in roles(data).values() if name}
    return taken | set(data.table.exclude) | unnamed_stamps(data)


def named_columns(data: DataSpec) -> Iterator[tuple[str, str]]:
    """Give every column that the line names outside its contract, with the place that names it."""
    table, label = data.table, data.label
    for part in ("key", "time", "known", "group", "subject", "weight"):
        names = table.groups if part == "group" else (getattr(table, part),)
        for name in names:
            if name is not None:
                yield name, f"table.{part}"
    for number, name in enumerate(table.exclude):
        yield name, f"table.exclude[{number}]"
    for number, name in enumerate(data.checks.known):
        yield name, f"checks.known[{number}]"
    if label.known is not None:
        yield label.known, "label.known"
    for name in label.columns or ():
        yield name, "label.columns"
    yield label.column, "label.column"
    for name in data.forecast.known_ahead if data.forecast else ():
        yield name, "forecast.known_ahead"


def declared_columns(data: DataSpec) -> set[str]:
    """Return the columns that the line file names, in its contract or elsewhere; a line with a contract has no others but those of views.

    `checks.known` alone declares no column of a line with views: it may be of one.
    """
    named = (
        name for name, where in named_columns(data) if not (data.features and where.startswith("checks."))
    )
    return {*data.contract.columns, *named}


def feature_columns(spec: DataSpec, dataset: Dataset, entities: Collection[str] = ()) -> tuple[Column, ...]:
    """Return the columns that a model may use: of a learnable type, without another role, and named by the contract or of a view."""
    barred = barred_columns(spec) | unnamed_entities(spec, entities)
    named = set(spec.contract.columns) or {column.name for column in dataset.columns}
    if spec.features:
        named |= {column.name for column in dataset.columns} - declared_columns(spec)
    return tuple(
        column
        for column in dataset.columns
        if column.name in named and column.name not in barred and column.type in LEARNABLE
    )
