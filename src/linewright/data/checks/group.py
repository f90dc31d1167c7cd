"""A column that says what several rows belong to, though no line names it: rows of one may not be in both parts."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from linewright.data.checks.check import in_table
from linewright.data.checks.repeats import evenness
from linewright.data.checks.rows import RowCheck, Rows
from linewright.data.facts import Evidence, Finding
from linewright.data.profile.column import Seen
from linewright.data.profile.roles import (
    AGAIN,
    COUNTED,
    ENOUGH_GROUPS,
    TIME_WORDS,
    is_named_id,
    is_named_thing,
    is_numbering,
)
from linewright.data.spec import NUMBERS

Columns = Mapping[str, Seen]
Candidate = tuple[bool, int, str, Evidence]
"""Whether it is certain, how many groups there are, the column, what shows it."""

_REGULAR = 0.95
_MOST_OF_ONE = 20
_BALANCED = 0.9
_VERY_MANY = 0.2
_LARGEST = 0.05
_ALIKE_IN = 2
_SELDOM = 0.7
_LEAST_PAIRS, _MOST_PAIRS = 20, 5_000
_MOST_TRIED = 40


class Group(RowCheck):
    """A column that numbers or names what several rows belong to."""

    id = "group"
    severity = "ask"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give the column, where the line has no group."""
        if rows.data.table.group is None and (found := find_group(rows.seen, rows.taken)):
            name, evidence = found
            yield self.finding((name,), (in_table("group", name),), **evidence)


def find_group(seen: Columns, taken: Sequence[str]) -> tuple[str, Evidence] | None:
    """Return a column that names what several rows belong to, with what shows it."""
    tried = [column for column in seen.values() if column.name not in taken and _may_number(column)]
    found = [one for column in tried for one in _belongings(column, seen, taken)]
    # To compare rows of one value costs a look at other columns; of thousands of numbers the first are ids, if any is.
    for column in [one for one in tried if _is_very_many(one)][:_MOST_TRIED]:
        found += [] if _has(found, column) else _now_and_then(column, seen, taken)
    for column in tried:
        found += [] if _has(found, column) else _by_name(column, seen, taken)
    if not found:
        return None
    _, _, name, evidence = max(found, key=lambda one: one[:2])
    return name, evidence


def _has(found: Sequence[Candidate], column: Seen) -> bool:
    return any(name == column.name for _, _, name, _ in found)


def _may_number(column: Seen) -> bool:
    if column.type not in {"integer", "number", "category", "text"} or (COUNTED | TIME_WORDS) & set(
        column.words
    ):
        return False
    if not ENOUGH_GROUPS <= column.distinct <= column.present * (1 - AGAIN):
        return False
    return column.type != "number" or bool((column.values.drop_nulls() % 1 == 0).all())


def _belongings(column: Seen, seen: Columns, taken: Sequence[str]) -> Iterator[Candidate]:
    """Find values that repeat equally often, or run in blocks; in sorted blocks something else has to stay the same within each."""
    values = column.values.drop_nulls()
    counts = values.alias("value").value_counts(name="rows")["rows"]
    often = int(counts.mode().sort().to_numpy()[0])
    regular = float((counts.to_numpy() == often).mean())
    is_regular = regular >= _REGULAR and 2 <= often <= _MOST_OF_ONE and _is_numbering(column)
    runs = 1 + int((values != values.shift(1)).fill_null(value=False).sum())
    in_blocks = runs == column.distinct
    if column.distinct > column.present / 2 or not (is_regular or in_blocks):
        return
    same = _same_within(column, seen, taken)
    is_sorted = values.is_sorted() or values.is_sorted(descending=True)
    if is_regular or same or not is_sorted:
        form = "regular" if is_regular else "blocks"
        each = often if is_regular else len(values) / column.distinct
        yield (
            bool(same) or (is_regular and in_blocks),
            column.distinct,
            column.name,
            _evidence(column, form, each, same),
        )


def _evidence(column: Seen, form: str, each: float, same: Sequence[str]) -> Evidence:
    figures: Evidence = {"form": form, "values": column.distinct, "rows": column.present}
    return figures | {"each": each, "same": tuple(same[:3])}


def _by_name(column: Seen, seen: Columns, taken: Sequence[str]) -> Iterator[Candidate]:
    """Find values that by their name name things, in several rows each, of one attribute."""
    if not (is_named_thing(column) or is_named_id(column)) or column.distinct > column.present / 2:
        return
    if same := _same_within(column, seen, taken):
        each = column.present / column.distinct
        yield True, column.distinct, column.name, _evidence(column, "name", each, same)


def _is_very_many(column: Seen) -> bool:
    if column.type == "text":  # what is written again now and then is a phrase
        return False
    return column.distinct >= _VERY_MANY * column.present and column.missing <= column.present


def _now_and_then(column: Seen, seen: Columns, taken: Sequence[str]) -> Iterator[Candidate]:
    """Find very many values that repeat now and then: they number things, or have rows that are alike in several other columns."""
    most = int(column.counts["rows"].to_numpy().max())
    if most > max(_MOST_OF_ONE, _LARGEST * column.present):
        return
    alike = _alike_within(column, seen, taken)
    if len(alike) >= _ALIKE_IN or is_numbering(column):
        yield True, column.distinct, column.name, _evidence(column, "now-and-then", most, alike)


def _alike_within(column: Seen, seen: Columns, taken: Sequence[str]) -> list[str]:
    """Return the other columns in which nearly all neighbours within a group agree, though any two rows seldom do."""
    rows = column.values.is_not_null().arg_true()
    order = rows.gather(column.values.gather(rows).arg_sort())
    values = column.values.gather(order)
    pairs = (values == values.shift(1)).fill_null(value=False).arg_true()
    if len(pairs) < _LEAST_PAIRS:
        return []
    pairs = pairs.gather_every(-(-len(pairs) // _MOST_PAIRS)).cast(pl.Int64)
    rows, before = order.gather(pairs), order.gather(pairs - 1)
    others = [
        one
        for one in seen.values()
        if one.name not in {column.name, *taken}
        and one.type in {"integer", "category", "boolean"}
        and 2 <= one.distinct <= column.distinct / 2
        and one.missing <= one.present
    ]
    found: list[str] = []
    for one in others[:_MOST_TRIED]:
        agree = one.values.gather(rows).eq_missing(one.values.gather(before)).to_numpy()
        if agree.mean() >= _REGULAR and evenness(one.values) <= _SELDOM:
            found.append(one.name)
    return found


def _is_numbering(column: Seen) -> bool:
    """Return whether numbers name rather than measure: whole ones with hardly a gap. Texts always may."""
    low, high = column.ends
    return column.type not in NUMBERS or high - low < 2 * column.distinct


def _same_within(column: Seen, seen: Columns, taken: Sequence[str]) -> list[str]:
    """Return the other columns that have one value in each group and several among the groups."""
    others = [
        one
        for one in seen.values()
        if one.name != column.name
        and one.name not in taken
        and not one.missing
        and 1 < one.distinct < column.distinct
        and evenness(one.values) < _BALANCED
    ]
    if not others:
        return []
    frame = pl.DataFrame(
        [column.values.alias("g"), *(one.values.alias(f"c{i}") for i, one in enumerate(others))]
    )
    counted = frame.drop_nulls("g").group_by("g").agg(pl.all().n_unique()).drop("g").max().row(0)
    return [one.name for one, most in zip(others, counted, strict=True) if most == 1]
