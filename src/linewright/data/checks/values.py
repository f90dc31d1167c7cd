"""What the values or the name of one column show: ids, constants, weights, cells of another type, numbers far from all others."""

from collections.abc import Iterator, Mapping

import polars as pl

from linewright.data.checks.columns import ColumnCheck, Columns
from linewright.data.facts import Evidence, Finding, Scalar
from linewright.data.profile.column import UNUSABLE, Seen, misfits_of
from linewright.data.profile.outliers import REPEATED, Outliers, find_outliers
from linewright.data.profile.repeated import Twin
from linewright.data.profile.roles import (
    ENOUGH_GROUPS,
    id_evidence,
    name_evidence,
    time_doubt,
    weight_evidence,
)
from linewright.data.spec import NUMBERS

_RARE = 20
"""Rows that have to differ from all others for something to be learned of it."""
_FEW = 10
_REPEATS = 5
_SHARE = 0.002
_MANY_THINGS = 20


class Unusable(ColumnCheck):
    """A column that no table can hold."""

    id = "unusable"
    severity = "note"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns of such a type."""
        for name, one in columns.seen.items():
            if one.type == UNUSABLE:
                yield self.finding((name,), because=one.because)


class Equal(ColumnCheck):
    """A column that equals an earlier one in every row."""

    id = "twin"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns that add nothing; those that are only alike as a note. What is as the label is a leak."""
        for name, twin in columns.twins.items():
            if name in closed or name not in columns.features or twin.of == columns.about.column:
                continue
            severity = None if twin.form == "equal" else "note"
            values = columns.seen[name].distinct
            yield self.against(
                name, severity, form=twin.form, of=twin.of, values=values, likeness=twin.likeness
            )


class Constant(ColumnCheck):
    """A column with one value, or none, in all rows that have a label."""

    id = "constant"
    severity = "exclude"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns of which nothing can be learned."""
        for name, one in _labelled(columns):
            if not one.present:
                yield self.against(name, of=len(one.values))
            elif one.distinct == 1 and not one.missing:
                yield self.against(name, of=len(one.values), value=str(one.values[0])[:40])


class NearConstant(ColumnCheck):
    """A column whose rows hardly differ."""

    id = "near-constant"
    severity = "warn"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns in which fewer than 20 rows differ."""
        for name, one in _labelled(columns):
            if evidence := near_constant(one):
                yield self.against(name, **evidence)


def _labelled(columns: Columns) -> Iterator[tuple[str, Seen]]:
    """Give the features as they are in the rows with a label, which are those that a model learns from."""
    known = columns.spelled.is_not_null()
    for name, one in columns.features.items():
        yield name, one if known.all() else one.where(known)


def near_constant(column: Seen) -> dict[str, Scalar]:
    """Return what stands in nearly every row of a column; nothing where enough rows differ, or none does.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> near_constant(see(pl.Series("street", ["Pave"] * 990 + ["Grvl"] * 10)))
    {'differ': 10, 'rows': 1000, 'value': 'Pave'}
    >>> near_constant(see(pl.Series("street", ["Pave"] * 960 + ["Grvl"] * 40)))
    {}
    """
    rows = len(column.values)
    if rows < 10 * _RARE or not column.present or column.distinct > _RARE:
        return {}
    if column.present < _RARE:
        return {"differ": column.present, "rows": rows, "value": None}
    usual, often = column.values.alias("value").value_counts(name="rows", sort=True).row(0)
    if rows - often >= _RARE or column.distinct + (column.present < rows) < 2:
        return {}
    return {"differ": rows - often, "rows": rows, "value": None if usual is None else str(usual)[:40]}


class Id(ColumnCheck):
    """A column that names rows rather than describes them."""

    id = "id"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the numberings and the texts that each row has of its own; one with a part is no feature anyway."""
        for name, one in columns.seen.items():
            if name in {columns.about.column, *closed} or one.type == UNUSABLE:
                continue
            if evidence := id_evidence(one):
                if name in columns.roles.parts:
                    yield self.finding((name,), (), "note", **evidence)
                else:
                    yield self.against(name, **evidence)


class Weight(ColumnCheck):
    """A sampling weight."""

    id = "weight"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the positive numbers with the name of one."""
        for name, one in columns.features.items():
            if name not in closed and (evidence := weight_evidence(one)):
                yield self.against(name, **evidence)


class Name(ColumnCheck):
    """A column that by its name names people, or may be known only afterwards. A name proves nothing: it is a question."""

    id = "name"
    severity = "ask"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns of such names that no figure has given away."""
        for name, one in columns.features.items():
            is_asked = name not in {*closed, *columns.known} and one.distinct > 1
            if is_asked and (evidence := name_evidence(one)):
                yield self.against(name, **evidence)


class FewGroups(ColumnCheck):
    """A split by too few groups: whole groups are drawn to see how sure a metric is."""

    id = "few-groups"
    severity = "warn"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the group of a table without a time that has too few."""
        group = columns.roles.group
        if group is not None and columns.roles.time is None:
            yield from few_groups(group, columns.seen[group].distinct)


def few_groups(group: str, many: int) -> Iterator[Finding]:
    """Give a finding where a group has too few values to split by."""
    if many < ENOUGH_GROUPS:
        yield FewGroups().finding((group,), groups=many)


class DoubtfulTime(ColumnCheck):
    """A time of plain numbers that do not look like one."""

    id = "doubtful-time"
    severity = "note"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the time, where it neither grows from row to row nor reads as Unix seconds."""
        if columns.time is not None and (evidence := time_doubt(columns.time)):
            yield self.finding((columns.time.name,), **evidence)


class BadCells(ColumnCheck):
    """A few cells that are not of the type of all others."""

    id = "bad-cells"
    severity = "note"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns with such cells: a contract with the type sets their rows aside."""
        for name, one in columns.seen.items():
            if one.type != UNUSABLE and name not in closed and (evidence := misfits_of(one, columns.where)):
                yield self.finding((name,), **evidence)


class Outlier(ColumnCheck):
    """One or two numbers far from all others, in few rows: slips of the pen, which the contract's range sets aside."""

    id = "outlier"
    severity = "note"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the features with such numbers."""
        for name, one in columns.features.items():
            if name in closed or not (out := slips(one)):
                continue
            texts = one.found.filter(one.values.is_in(out.values)).cast(pl.String).unique(maintain_order=True)
            place, rows = columns.where(name, texts.to_list()), sum(out.rows)
            yield self.finding((name,), values=out.values, rows=rows, place=place, low=out.low, high=out.high)


def slips(column: Seen) -> Outliers | None:
    """Return the outliers of a column whose rows are too few to mean "no value"; what may mean it is within the range."""
    out = find_outliers(column)
    few = [(v, rows) for v, rows in zip(out.values, out.rows, strict=True) if rows < REPEATED] if out else []
    if out is None or not few:
        return None
    often = [value for value in out.values if value not in dict(few)]
    values, rows = zip(*few, strict=True)
    return Outliers(values, rows, min(out.low, *often, out.low), max(out.high, *often, out.high))


class Sentinel(ColumnCheck):
    """A number that seems to mean "no value": -200 or 99999, far from all others and repeated."""

    id = "sentinel"
    severity = "note"

    def run(self, columns: Columns, _: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the columns with such a number."""
        for name, evidence in find_sentinels(columns.seen, columns.twins).items():
            yield self.finding((name,), **evidence)


def find_sentinels(seen: Mapping[str, Seen], twins: Mapping[str, Twin]) -> dict[str, Evidence]:
    """Return, by column, what seems to mean "no value".

    Of twins both are told or neither: what is the smallest value of one, and zero there in the other, is the logarithm of a zero.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> column = see(pl.Series("t", [str(i) for i in range(90)] + ["-999.0"] * 10))
    >>> found = find_sentinels({"t": column}, {})["t"]
    >>> found["value"], found["rows"], found["spelled"]
    ('-999.0', 10, ('-999.0',))
    """
    values: dict[str, float] = {}
    found: dict[str, Evidence] = {}
    for name, column in seen.items():
        if (one := _sentinel(column)) is not None and not _is_of_one_thing(column, one[0], seen):
            values[name], found[name] = one
    for name, twin in twins.items():
        for column, other in ((seen[name], seen[twin.of]), (seen[twin.of], seen[name])):
            if column.name not in found or other.name in found or other.type not in NUMBERS:
                continue
            there = other.values.filter(column.values == values[column.name]).drop_nulls().unique().to_list()
            if len(there) == 1 and there[0] == 0 == other.values.min():
                del found[column.name]
            elif len(there) == 1:
                beside: Evidence = {"form": "twin", "of": column.name, "there": found[column.name]["value"]}
                values[other.name], found[other.name] = there[0], beside | _spelled(other, there[0])
    return {name: found[name] for name in seen if name in found}


def _sentinel(column: Seen) -> tuple[float, Evidence] | None:
    if column.type not in NUMBERS:
        return None
    out = find_outliers(column)
    often = max(zip(out.rows, out.values, strict=True), default=(0, 0.0)) if out else (0, 0.0)
    if out is not None and often[0] >= REPEATED:
        # A value such as 99 among 1 to 6: however few the others are, they lie close together.
        return _far(column, often[1], often[0], "far", (out.low, out.high))
    if column.distinct < _FEW:
        return None
    values, rows = column.counts["value"].cast(pl.Float64).to_numpy(), column.counts["rows"].to_numpy()
    for end, near, far in ((0, 1, -1), (-1, -2, 0)):
        share = float(rows[end] / column.present)
        is_far = abs(values[end] - values[near]) > abs(values[far] - values[near])
        is_only_negative = end == 0 and values[0] < 0 <= values[1] and share >= _FEW * _SHARE
        if (is_far or is_only_negative) and rows[end] >= _REPEATS and share >= _SHARE:
            low, high = sorted((float(values[near]), float(values[far])))
            form = "far" if is_far else "below"
            return _far(column, column.counts["value"][end], int(rows[end]), form, (low, high))
    return None


def _far(column: Seen, value: float, rows: int, form: str, of: tuple[float, float]) -> tuple[float, Evidence]:
    figures: Evidence = {
        "form": form,
        "rows": rows,
        "share": rows / column.present,
        "low": of[0],
        "high": of[1],
    }
    return value, figures | _spelled(column, value)


def _spelled(column: Seen, value: float) -> Evidence:
    """Return how a file spells a value, the most frequent way first: only so is it known as missing; nothing where the file has numbers."""
    texts = column.found.filter(column.values == value).cast(pl.String).rename("text")
    counts = texts.value_counts(name="rows").sort(["rows", "text"], descending=[True, False])
    spelled = tuple(counts["text"].to_list())
    return {"value": spelled[0], "spelled": spelled if column.found.dtype == pl.String else ()}


def _is_of_one_thing(column: Seen, value: float, seen: Mapping[str, Seen]) -> bool:
    """Return whether a number is the attribute of one thing that another column names, and each thing has one such number.

    Where readings fail together, a state may say so in all rows of -200, but its other values go with many numbers. What is
    written as programs write "no value" may be so of one thing: the height of a place that nobody measured.
    """
    if value < 0 or {*f"{value:.0f}"} == {"9"}:
        return False
    rows = column.values == value
    for other in seen.values():
        if other.name == column.name or other.type != "category" or other.distinct < _MANY_THINGS:
            continue
        there = other.values.filter(rows.fill_null(value=False))
        if there.n_unique() == 1 and not there.null_count():
            frame = pl.DataFrame([other.values.alias("thing"), column.values.alias("number")])
            own = frame.drop_nulls().group_by("thing").agg(pl.col("number").n_unique())["number"]
            if (own == 1).all():
                return True
    return False
