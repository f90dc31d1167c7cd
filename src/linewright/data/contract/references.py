"""Columns whose values must be among those of another source."""

from collections.abc import Mapping, Sequence

import polars as pl

from linewright.data.facts import Breach
from linewright.data.read.source import Raw, Source
from linewright.data.spec import ColumnRule, DataSpec, referred_source
from linewright.data.types import cast
from linewright.errors import SpecError
from linewright.text.suggest import listed, nearest


def referred_values(
    sources: Sequence[Source | Raw], data: DataSpec, rules: Mapping[str, ColumnRule]
) -> dict[str, pl.Series]:
    """Return the values that each column with `references` may have, in its type."""
    by_name = {one.name: one for one in sources}
    known: dict[str, pl.Series] = {}
    for name, rule in rules.items():
        if rule.references:
            values = referred_column(rule.references, by_name, f"contract.columns.{name}.references")
            typed = cast(values, rule.type, pattern=rule.format, zone=data.zone_of(name))
            known[name] = typed.drop_nulls().unique()
    return known


def referred_column(references: str, sources: Mapping[str, Source | Raw], where: str) -> pl.Series:
    """Return the values of SOURCE.COLUMN, as they are read."""
    source = referred_source(references, list(sources))
    if source is None:
        raise SpecError("there is no such source", where=where, found=references, allowed=", ".join(sources))
    columns, column = sources[source].columns, references.removeprefix(f"{source}.")
    if column not in columns:
        near = nearest(column, columns)
        raise SpecError(
            f"source {source!r} has no column {column!r}",
            where=where,
            found=references,
            allowed=listed(columns),
            hint=f"did you mean '{source}.{near}'?" if near else "name a column of that source",
        )
    return pl.concat([batch.frame[column] for batch in sources[source].batches()])


def absent(values: pl.Series, known: pl.Series) -> pl.Series:
    """Return which values are not among the known ones; a missing value is no breach."""
    return ~values.is_in(known.implode()) & values.is_not_null()


def ragged_references(referred: Sequence[Raw]) -> list[Breach]:
    """Return a warning for each source that is only referred to and has rows that no table could hold."""
    return [
        Breach(
            column="",
            kind="fields",
            figures={"expected": raw.frame.width, "source": raw.name},
            failed=len(raw.ragged),
            rows=raw.rows,
            first=raw.ragged[0].text[:200],
            action="warn",
            line=raw.ragged_lines()[0],
            file=raw.ragged_files()[0],
        )
        for raw in referred
        if raw.ragged
    ]
