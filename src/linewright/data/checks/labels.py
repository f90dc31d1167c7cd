"""Labels that mislead: parts of the table without any, rows sorted by them, classes of too few rows, and parts of a split that lack one."""

from collections.abc import Iterator, Sequence

import polars as pl

from linewright.data.checks.rows import Rows, text_in_sql
from linewright.data.checks.unlabelled import Unlabelled, find_unlabelled
from linewright.data.dataset.split import foreseen_useless
from linewright.data.facts import Edit, Finding, Scalar, Severity
from linewright.data.spec import TIMES
from linewright.errors import SpecError
from linewright.text.quoting import in_sql

_LEAST_ROWS = 100
_RARE = 20
_MOSTLY_EMPTY = 0.5
_STRAY, _STRAY_ROWS, _MOST_STRAYS = 0.01, 2, 5
_SURELY_IN_BOTH = 20
"""Rows that the smaller part has of the second largest class on average, from which on chance leaves no part with one class only."""
_MOST_CELLS = 2_000_000
"""Cells of a table of which copies are looked for as a run does, about two seconds of a processor."""


class UnlabelledParts:
    """A category or a range of time whose rows have no label."""

    id = "unlabelled"
    severity: Severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give such parts: no model has seen their truth. Of the latest rows it may be still to come."""
        table = rows.data.table
        names = dict.fromkeys([*rows.features, *filter(None, (table.time, table.group))])
        columns = {name: rows.seen[name] for name in names if name in rows.seen}
        parts = find_unlabelled(rows.label.values, columns, table.time)
        outside = " and ".join(_outside(rows, part) for part in parts if not part.is_last)
        # One query leaves all of them out.
        remedy = (rows.query("select *", after=f"where {outside}"),) if outside else ()
        for part in parts:
            evidence: dict[str, Scalar | tuple[Scalar, ...]] = {
                "form": "levels" if part.levels else "last" if part.is_last else "range",
                "levels": tuple(None if one is None else str(one)[:40] for one in part.levels),
                "low": str(part.low),
                "high": str(part.high),
                "rows": part.rows,
                "share": part.rows / rows.height,
                "added": part.added / rows.height,
                "labelled": part.labelled,
                "elsewhere": 1 - part.elsewhere,
            }
            yield Finding(
                check=self.id,
                severity=self.severity,
                columns=(part.column,),
                evidence=evidence,
                remedy=() if part.is_last else remedy,
            )
            remedy = () if not part.is_last else remedy


def _outside(rows: Rows, part: Unlabelled) -> str:
    """Return the condition in SQL of rows that are not of a part."""
    name = in_sql(part.column)
    if part.levels:
        return f"coalesce({name}::text, '') not in ({', '.join(text_in_sql(one) for one in part.levels)})"
    column, rule = rows.seen[part.column], rows.data.contract.columns.get(part.column)
    if column.type not in TIMES:
        return f"({name} between {part.low} and {part.high}) is not true"
    how = rule.format if rule else column.format
    day = f"strptime({name}, {text_in_sql(how)})" if how else name
    return f"({day}::date between '{part.low:%Y-%m-%d}' and '{part.high:%Y-%m-%d}') is not true"


class EmptyLabel:
    """Classes of which most cells are empty: `effect` without a value may say that there was none."""

    id = "empty-label"
    severity: Severity = "ask"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Ask what an empty cell means, where no part of the table explains it."""
        label, share = rows.label, rows.label.missing / rows.height
        if (
            label.type not in {"category", "text"}
            or share < _MOSTLY_EMPTY
            or next(iter(UnlabelledParts().run(rows)), None)
        ):
            return
        classes = label.values.drop_nulls().cast(pl.String).unique().sort().to_list()
        word = next(word for word in ("none", "empty", "no value") if word not in classes)
        name = in_sql(label.name)
        yield Finding(
            check=self.id,
            severity=self.severity,
            columns=(label.name,),
            evidence={"share": share, "word": word, "classes": len(classes)},
            remedy=(rows.query(f"select * replace (coalesce({name}, {text_in_sql(word)}) as {name})"),),
        )


class Sorted:
    """Rows that are sorted by the label."""

    id = "sorted"
    severity: Severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Say so: the first rows are no sample, and a split by order sees other answers than it trains on."""
        if evidence := sorted_by(rows.label.values, is_class=rows.is_class):
            time = rows.data.table.time
            if time is not None and rows.seen[time].values.is_sorted():
                evidence |= {"time": time}
            remedy = (Edit(path=("train", "split", "by"), value="random"),)
            yield Finding(
                check=self.id,
                severity=self.severity,
                columns=(rows.label.name,),
                evidence={**evidence},
                remedy=remedy,
            )


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


class StrayClasses:
    """A label of two classes but for a few values of a row or two: probably typing errors."""

    id = "stray-classes"
    severity: Severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Give the rule that allows the two classes alone."""
        label = rows.label
        if not rows.is_class or rows.data.label.columns or (found := stray_classes(label.values)) is None:
            return
        two, strays = found
        many = int(label.values.cast(pl.String).is_in(strays).sum())
        rule = {"type": "category", "allowed": tuple(two)}
        yield Finding(
            check=self.id,
            severity=self.severity,
            columns=(label.name,),
            evidence={
                "classes": tuple(two),
                "strays": tuple(strays),
                "rows": many,
                "place": rows.where(label.name, strays),
            },
            remedy=(Edit(path=("contract", "columns", label.name), value=rule),),
        )


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


class FewRows:
    """Classes with fewer rows than folds and a test part want."""

    id = "few-rows"
    severity: Severity = "warn"

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
        yield Finding(
            check=self.id,
            severity=self.severity,
            columns=(label.name,),
            evidence={"classes": tuple(names[:5]), "of_each": tuple(rare["rows"].to_list()[:5]), "many": len(names), "folds": rows.folds, "least": least, "test": rows.split.test, "rows": int(rare["rows"].sum())},
            remedy=(rows.query("select *", after=where),) if is_left else (),
        )  # fmt: skip


class OneSided:
    """A part of the split that is empty, or holds one class only: a run would stop there."""

    id = "one-sided"
    severity: Severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Split the rows as a run does, whatever their number, unless chance surely gives enough to each part."""
        if rows.data.label.columns or (rows.by == "random" and _is_in_both(rows)):
            return
        frame = rows.frame
        if rows.by == "time":  # a run sets rows without a time aside, and `new` has them still
            frame = frame.drop_nulls(rows.data.table.time)
        is_large = frame.height * frame.width > _MOST_CELLS
        evidence: dict[str, Scalar | tuple[Scalar, ...]]
        try:
            useless = foreseen_useless(frame, rows.split, rows.data, with_copies=is_large)
        except SpecError as error:  # times that cannot split the rows
            evidence = {"form": "error", "what": error.what, "hint": error.hint}
        else:
            if useless is None:
                return
            held = useless.labels
            evidence = {
                "form": "class" if len(held) else "empty",
                "part": useless.part,
                "by": rows.by,
                "rows": len(held),
            }
            if len(held):
                evidence["class"] = str(held[0])
        yield Finding(check=self.id, severity=self.severity, columns=(rows.label.name,), evidence=evidence)


def _is_in_both(rows: Rows) -> bool:
    """Return whether chance surely gives each part rows with a label, and of two classes where it has classes."""
    many = rows.label.present
    if rows.is_class:
        most = rows.label.counts["rows"].sort(descending=True).to_list()
        many = most[1] if len(most) > 1 else 0
    return many * min(rows.split.test, 1 - rows.split.test) > _SURELY_IN_BOTH
