"""Labels that mislead: rows sorted by them, typing errors, classes of too few rows, and parts of a split that lack one."""

from collections.abc import Iterator, Sequence

import polars as pl

from linewright.data.checks.rows import RowCheck, Rows, text_in_sql
from linewright.data.dataset.split import foreseen_useless
from linewright.data.facts import Edit, Evidence, Finding, Scalar
from linewright.errors import SpecError
from linewright.text.quoting import in_sql

_LEAST_ROWS = 100
_RARE = 20
_STRAY, _STRAY_ROWS, _MOST_STRAYS = 0.01, 2, 5
_SURELY_IN_BOTH = 20
"""Rows that the smaller part has of the second largest class on average, from which on chance leaves no part with one class only."""
_MOST_CELLS = 2_000_000
"""Cells of a table of which copies are looked for as a run does, about two seconds of a processor."""


class Sorted(RowCheck):
    """Rows that are sorted by the label."""

    id = "sorted"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Say so: the first rows are no sample, and a split by order sees other answers than it trains on."""
        if evidence := sorted_by(rows.label.values, is_class=rows.is_class):
            time = rows.data.table.time
            if time is not None and rows.seen[time].values.is_sorted():
                evidence |= {"time": time}
            remedy = (Edit(path=("train", "split", "by"), value="random"),)
            yield self.finding((rows.label.name,), remedy, **evidence)


def sorted_by(label: pl.Series, *, is_class: bool) -> dict[str, Scalar]:
    """Return the first and the last labels, where the rows are sorted by them; nothing where they are not.

    Examples
    --------
    >>> sorted_by(pl.Series("y", ["a"] * 80 + ["b"] * 40), is_class=True)
    {'form': 'classes', 'first': 'a', 'last': 'b'}
    >>> sorted_by(pl.Series("y", ["a", "b"] * 60), is_class=True)
    {}
    """
    known = label.drop_nulls()
    if len(known) < _LEAST_ROWS:
        return {}
    if is_class:
        changes = int((known != known.shift(1)).fill_null(value=False).sum())
        if changes >= 2 * known.n_unique():
            return {}
        return {"form": "classes", "first": str(known[0]), "last": str(known[-1])}
    if known.n_unique() > _RARE and (known.is_sorted() or known.is_sorted(descending=True)):
        return {"form": "numbers", "first": str(known[0]), "last": str(known[-1])}
    return {}


class StrayClasses(RowCheck):
    """A label of two classes but for a few values of a row or two: probably typing errors."""

    id = "stray-classes"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give the rule that allows the two classes alone."""
        label = rows.label
        if not rows.is_class or rows.data.label.columns or (found := stray_classes(label.values)) is None:
            return
        two, strays = found
        many = int(label.values.cast(pl.String).is_in(strays).sum())
        rule = {"type": "category", "allowed": tuple(two)}
        remedy = (Edit(path=("contract", "columns", label.name), value=rule),)
        evidence: Evidence = {"classes": tuple(two), "strays": tuple(strays), "rows": many}
        yield self.finding((label.name,), remedy, **evidence, place=rows.where(label.name, strays))


def stray_classes(label: pl.Series) -> tuple[list[str], list[str]] | None:
    """Return the two classes that nearly all rows have, and the few others of a row or two; nothing of another label.

    Examples
    --------
    >>> stray_classes(pl.Series("y", ["no", "yes"] * 200 + ["abc"]))
    (['no', 'yes'], ['abc'])
    >>> stray_classes(pl.Series("y", ["no", "yes", "abc"] * 200)) is None
    True
    """
    counts = label.drop_nulls().cast(pl.String).alias("value").value_counts(name="rows")
    counts = counts.sort(["rows", "value"], descending=[True, False])
    names, rows = counts["value"].to_list(), counts["rows"].to_list()
    strays = rows[2:]
    if not strays or len(strays) > _MOST_STRAYS or strays[0] > _STRAY_ROWS or rows[1] < _RARE:
        return None
    return (sorted(names[:2]), names[2:]) if sum(strays) <= _STRAY * sum(rows) else None


class FewRows(RowCheck):
    """Classes with fewer rows than folds and a test part want."""

    id = "few-rows"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give the classes, and the query that leaves them out; typing errors are another finding."""
        label, least = rows.label, 2 * rows.folds
        if not rows.is_class or (rows.data.label.columns is None and stray_classes(label.values)):
            return
        counts = label.values.drop_nulls().cast(pl.String).alias("value").value_counts(name="rows")
        rare = counts.filter(pl.col("rows") < least).sort(["rows", "value"])
        if rare.is_empty():
            return
        names: Sequence[str] = rare["value"].to_list()
        is_left = label.distinct - len(names) >= 2
        where = f"where {in_sql(label.name)}::text not in ({', '.join(map(text_in_sql, names))})"
        remedy = (rows.query("select *", after=where),) if is_left else ()
        few: Evidence = {"classes": tuple(names[:5]), "of_each": tuple(rare["rows"].to_list()[:5])}
        few |= {"many": len(names), "rows": int(rare["rows"].sum()), "least": least}
        yield self.finding((label.name,), remedy, **few, folds=rows.folds, test=rows.split.test)


class OneSided(RowCheck):
    """A part of the split that is empty, or holds one class only, or rows of which none was known when others came: a run would stop there."""

    id = "one-sided"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Split the rows as a run does, whatever their number, unless chance surely gives enough to each part."""
        if rows.data.label.columns or (rows.by == "random" and _is_in_both(rows)):
            return
        frame = rows.frame
        if rows.by == "time":  # a run sets rows without a time aside, and `new` has them still
            frame = frame.drop_nulls(rows.data.table.time)
        is_large = frame.height * frame.width > _MOST_CELLS
        k = rows.folds if rows.is_cross_fitted else None
        try:
            useless = foreseen_useless(frame, rows.split, rows.data, with_copies=is_large, k=k)
        except SpecError as error:  # times that cannot split the rows, or a label that is known too late
            yield self.finding((rows.label.name,), form="error", what=error.what, hint=error.hint)
            return
        if useless is not None:
            held = useless.labels
            form: Evidence = {"form": "class", "class": str(held[0])} if len(held) else {"form": "empty"}
            yield self.finding((rows.label.name,), part=useless.part, by=rows.by, rows=len(held), **form)


def _is_in_both(rows: Rows) -> bool:
    """Return whether chance surely gives each part rows with a label, and of two classes where it has classes."""
    many = rows.label.present
    if rows.is_class:
        most = rows.label.counts["rows"].sort(descending=True).to_list()
        many = most[1] if len(most) > 1 else 0
    return many * min(rows.split.test, 1 - rows.split.test) > _SURELY_IN_BOTH
