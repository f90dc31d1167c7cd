"""All checks of data, and the ways to run them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import polars as pl
from msgspec.structs import replace

from linewright.data.checks import derived, group, labels, leaks, order, repeats, sensors, values
from linewright.data.checks.columns import ColumnCheck, Columns, sampled
from linewright.data.checks.rows import RowCheck, Rows
from linewright.data.column_roles import LEARNABLE
from linewright.data.facts import Column, Finding
from linewright.data.pieces import rows_at
from linewright.data.profile.column import Seen, as_declared
from linewright.data.profile.label import describe_label
from linewright.data.profile.roles import declared_roles
from linewright.data.spec import DataSpec, LabelSpec
from linewright.data.table.survival_labels import end_of
from linewright.errors import RequestError

SUSPICIONS: tuple[ColumnCheck, ...] = (
    leaks.Perfect(),
    leaks.OneClass(),
    leaks.LateDate(),
    derived.CountedDays(),
    derived.Family(),
    derived.Parts(),
    leaks.Strong(),
)
"""Whether a column was known before the label; of each column the first that finds something says it."""
COLUMN_CHECKS: tuple[ColumnCheck, ...] = (
    values.Unusable(),
    values.Constant(),
    values.Id(),
    values.Weight(),
    values.Equal(),
    *SUSPICIONS,
    values.NearConstant(),
    values.Name(),
    values.FewGroups(),
    values.DoubtfulTime(),
    values.BadCells(),
    values.Outlier(),
    values.Sentinel(),
)
"""In the order in which they look: what an earlier one leaves out, or suspects, a later one does not judge again."""
ROW_CHECKS: tuple[RowCheck, ...] = (
    group.Group(),
    repeats.RepeatedRows(),
    labels.Sorted(),
    order.TimeOrder(),
    order.YearMonth(),
    labels.StrayClasses(),
    labels.FewRows(),
    labels.OneSided(),
    sensors.SensorFaults(),
)
_ASKED_OF_ROWS = (group.Group(), order.TimeOrder(), order.YearMonth())
ABOUT_KNOWLEDGE = frozenset(one.id for one in SUSPICIONS)
"""Ids of the checks that suspect a column not to have been known before the label."""
_MOST_CELLS = 5_000_000
"""Cells that a run looks at, about ten seconds of a processor; of a wide table it takes fewer rows."""


def check_columns(columns: Columns, disable: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Return what the checks of columns find, in the order of the columns; of each its checks in their order."""
    found: list[Finding] = []
    closed: dict[str, str] = {}
    for check in COLUMN_CHECKS:
        new = list(check.run(columns, closed)) if check.id not in set(disable) else []
        found += new
        closed |= {
            one.columns[0]: one.check
            for one in new
            if one.severity == "exclude" or one.check in ABOUT_KNOWLEDGE
        }
    place = {name: number for number, name in enumerate(columns.seen)}
    return tuple(sorted(found, key=lambda one: place[one.columns[0]]))


def check_rows(rows: Rows, checks: Sequence[RowCheck] = ROW_CHECKS) -> tuple[Finding, ...]:
    """Return what the checks of rows find."""
    disabled = set(rows.data.checks.disable)
    return tuple(one for check in checks if check.id not in disabled for one in check.run(rows))


def check_features(data: DataSpec, seen: Mapping[str, Seen], *, of: int = 0) -> tuple[Finding, ...]:
    """Return what the checks of columns find of the features of a line, but for what only `new` says."""
    label = seen[data.label.column]
    try:
        about = describe_label(label.values, label, None)  # any class may be the positive one here
    except RequestError:  # a label of another kind than `new` would choose, with which a run may go on
        return ()
    features = set(Rows(seen=seen, data=data).features)
    columns = Columns(
        seen=seen,
        about=about,
        spelled=label.values,
        roles=declared_roles(data.table),
        unseen=frozenset(seen.keys() - features),
        known=frozenset(data.checks.known),
        of=of,
    )
    found = check_columns(columns, data.checks.disable)
    return tuple(one for one in found if one.severity != "note" and features >= {*one.columns})


def seen_as_declared(frame: pl.DataFrame, columns: Iterable[Column], label: LabelSpec) -> dict[str, Seen]:
    """Return what a look at the columns of a table finds, in the types of the contract; those of other types are not features.

    Of a label that is a time, whether it was censored is left out: it is looked at as a number.
    """
    if label.event is not None:
        frame = frame.with_columns(end_of(pl.col(label.column)))
        columns = [replace(one, type="number") if one.name == label.column else one for one in columns]
    return {
        column.name: as_declared(column.name, column.type, frame[column.name])
        for column in columns
        if column.type in {*LEARNABLE, "text"}
    }


def check_read(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    data: DataSpec,
    *,
    is_ordered: bool,
    release: Callable[[], None] = lambda: None,
) -> Iterator[Finding]:
    """Give what a run says of rows that keep the contract: leaks, and what only a person knows. It looks at some of them.

    Who runs without a `check` would have a model of leaks promoted without a word.
    """
    if data.label.column not in {one.name for one in columns if one.type in LEARNABLE}:
        return
    label = frame[data.label.column]
    rows = sampled(label)
    part = rows_at(frame, rows[:: max(-(-len(rows) * frame.width // _MOST_CELLS), 1)], release)
    seen = seen_as_declared(part, columns, data.label)
    yield from (
        one
        for one in check_features(data, seen, of=label.count())
        if one.severity == "ask" or one.check.startswith("leak")
    )
    is_small = frame.height * frame.width <= _MOST_CELLS  # some of the rows do not show what repeats
    if is_small and len(part) < frame.height:
        seen = seen_as_declared(frame, columns, data.label)
    asked = [one for one in _ASKED_OF_ROWS if (is_small if one.id == "group" else is_ordered)]
    yield from check_rows(Rows(seen=seen, data=data, is_class=data.label.event is None), asked)
