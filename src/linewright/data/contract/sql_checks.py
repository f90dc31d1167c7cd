"""Checks that a line asks of its whole table in SQL: what the SQL returns is wrong."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from linewright.data.facts import Breach
from linewright.data.spec import ContractSpec, OnWhole, SqlCheck
from linewright.text.suggest import listed

TABLE = "rows"
"""What the SQL calls the table."""
_CELLS = 6  # cells of the first wrong row that a breach shows


def answers(frame: pl.DataFrame, contract: ContractSpec) -> Iterator[Breach]:
    """Give a breach for each check of a contract that returns rows."""
    if not contract.checks:
        return
    from linewright.data.table.sql import select  # noqa: PLC0415 -- DuckDB takes a while to import

    tables = {TABLE: frame.to_arrow()}
    for number, one in enumerate(contract.checks):
        wrong = select(
            one.sql,
            tables,
            where=f"contract.checks[{number}].sql",
            allowed=f"{TABLE}({listed(frame.columns)})",
            limits=one.limits,
        )
        if wrong.num_rows:
            yield _finding(one, wrong, frame.height, one.on_breach or on_whole(contract))


def on_whole(contract: ContractSpec) -> OnWhole:
    """Return what a breach of a rule does that no single row is to blame for, where the rule does not say."""
    return "warn" if contract.on_breach == "warn" else "stop"


def _finding(asked: SqlCheck, wrong: pa.Table, rows: int, action: OnWhole) -> Breach:
    first = wrong.slice(0, 1).to_pylist()[0] if len(set(wrong.column_names)) == wrong.num_columns else {}
    cells = [f"{name}={value}" for name, value in list(first.items())[:_CELLS]]
    more = ", …" if len(first) > _CELLS else ""
    return Breach(
        column="",
        kind="sql",
        figures={"name": asked.name},
        failed=wrong.num_rows,
        rows=rows,
        first=(", ".join(cells) + more)[:200],
        action=action,
    )
