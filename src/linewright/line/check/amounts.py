"""What decisions on the rows of a line are worth: the section ``value`` of its file, with the columns that it names."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Column
from linewright.errors import ContractBreach, LinewrightError, SpecError
from linewright.line.file.mistakes import did_you_mean
from linewright.line.run_context import Work
from linewright.line.spec import LineSpec
from linewright.model.facts import Value
from linewright.model.tasks.value import Amounts, amounts_of, require_stakes
from linewright.model.value_amounts import columns_of, value_of

_NUMERIC = frozenset({"integer", "number"})
_ROW = "\0row"
"""No column of a table has such a name."""


def amounts_of_rows(work: Work, rows: np.ndarray | None = None) -> Amounts | None:
    """Return what decisions on rows of the dataset (default: all) are worth; `None` where the line does not say."""
    value = value_of(work.spec.value)
    if value is None:
        return None
    frame = work.rows.frame if rows is None else work.rows.frame[rows]
    return amounts_in(frame, value)


def amounts_in(frame: pl.DataFrame, value: Value) -> Amounts:
    """Return what decisions on the rows of a table are worth; columns are what `problems_of` lets through."""
    return amounts_of(value, frame.height, lambda name: frame[name].cast(pl.Float64).to_numpy())


def problems_with(work: Work) -> Iterator[LinewrightError]:
    """Give what is wrong with the amounts of a line, as far as its dataset tells."""
    spec = work.spec
    value = value_of(spec.value)
    if value is None:
        return
    columns = [*columns_of(value)]
    problems = [*_unfit(value, work.dataset.columns)]
    yield from problems
    if columns and not problems:
        wanted = [*dict.fromkeys([*columns, spec.label.column])]
        frame = read_dataset(work.dataset, work.factory.artifacts, work.metadata, columns=wanted)
        yield from problems_of(frame, spec, work.dataset.columns)


def problems_of(
    frame: pl.DataFrame, spec: LineSpec, columns: tuple[Column, ...]
) -> Iterator[LinewrightError]:
    """Give what is wrong with the amounts that a line takes from columns of its table."""
    value = value_of(spec.value)
    if value is None or not columns_of(value):
        return
    unfit = [*_unfit(value, columns)]
    yield from unfit
    if unfit:
        return
    labelled = frame.with_row_index(_ROW).drop_nulls(spec.label.column)
    bad = [*_bad_rows(labelled, value)]
    yield from bad
    if not bad:
        try:
            require_stakes(amounts_in(labelled, value), value)
        except SpecError as error:
            yield error


def _unfit(value: Value, columns: tuple[Column, ...]) -> Iterator[SpecError]:
    types = {column.name: column.type for column in columns}
    numeric = [name for name, kind in types.items() if kind in _NUMERIC]
    for name, word in columns_of(value).items():
        if name not in types:
            yield SpecError(
                "the table keeps no such column of amounts",
                where=f"value.{word}",
                found=name,
                allowed=f"a number, or one of {', '.join(numeric)}" if numeric else "a number",
                hint=did_you_mean(name, numeric)
                or "name it in contract.columns, or in table.exclude if the model shall not see it",
            )
        elif types[name] not in _NUMERIC:
            yield SpecError(
                "a column of amounts holds no numbers",
                where=f"value.{word}",
                found=f"{name}: {types[name]}",
                allowed="a column of type integer or number",
                hint=f"write type: number for it in contract.columns, or make one of it in table.sql, e.g. cast({name} as double)",
            )


_HINTS = {
    "without an amount": (
        "say in table.sql what such rows are worth, e.g. coalesce(COLUMN, 0), or keep them out: "
        "contract.columns.COLUMN: {nullable: false, on_breach: quarantine}"
    ),
    "with an amount below 0": (
        "the sign stands in the line file, before the name of the column; make amounts of it in table.sql, e.g. abs(COLUMN), "
        "or keep such rows out: contract.columns.COLUMN: {min: 0, on_breach: quarantine}"
    ),
}


def _bad_rows(frame: pl.DataFrame, value: Value) -> Iterator[ContractBreach]:
    for name, word in columns_of(value).items():
        amount = frame[name].cast(pl.Float64)
        found = {
            "without an amount": ~amount.is_finite().fill_null(value=False),
            "with an amount below 0": (amount < 0).fill_null(value=False),
        }
        what, is_bad = next(((what, rows) for what, rows in found.items() if rows.any()), ("", None))
        if is_bad is None:
            continue
        first = int(is_bad.arg_max() or 0)
        shown, number = frame[name][first], int(frame[_ROW][first]) + 1
        yield ContractBreach(
            f"the column {name!r} has {int(is_bad.sum()):,} of {frame.height:,} labelled rows {what}, first row {number:,}",
            where=f"value.{word}",
            found="no value" if shown is None else shown,
            allowed="an amount of at least 0 in each labelled row",
            hint=_HINTS[what].replace("COLUMN", name),
        )
