"""Look at a table before anything is declared: what each column is, and what the checks find of it."""

from collections.abc import Mapping

import msgspec
import polars as pl

from linewright.data.checks.columns import Columns, sampled
from linewright.data.checks.labels import sorted_by
from linewright.data.checks.order import Order, find_time
from linewright.data.checks.registry import check_columns
from linewright.data.checks.values import Outlier, slips
from linewright.data.facts import Finding
from linewright.data.finding_text import evidence_in_words
from linewright.data.profile.column import UNUSABLE, Seen, see_all
from linewright.data.profile.label import LabelProfile, describe_label
from linewright.data.profile.roles import GivenRoles, Roles, choose_roles
from linewright.data.read.locate import Where, nowhere
from linewright.data.spec import NUMBERS, TIMES
from linewright.errors import RequestError
from linewright.text.suggest import listed, nearest

MOST_LEVELS = 30


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What one column holds. Everything but `strength` is counted on all rows."""

    name: str
    type: str
    """A type of the contract; `unusable` where the table cannot hold it."""
    format: str | None
    """strptime format of dates that are not ISO 8601."""
    missing: int
    distinct: int
    """Different values, missing ones not counted."""
    low: str | None
    high: str | None
    """Smallest and largest number, date or time, as text; a number that is an outlier does not count."""
    levels: tuple[tuple[str, int], ...]
    """Values with their counts, most frequent first; empty where there are more than 30."""
    examples: tuple[str, ...]
    strength: float | None
    """How well the column alone tells the label, see `association.strength`; `None` where that says nothing."""
    findings: tuple[Finding, ...]

    @property
    def exclude(self) -> bool:
        """Whether a finding says that a model should not see the column unless a person knows better."""
        return any(finding.severity == "exclude" for finding in self.findings)

    def has(self, check: str) -> bool:
        """Return whether a check found something about it."""
        return any(finding.check == check for finding in self.findings)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds, and what part each column plays."""

    rows: int
    looked_at: int
    """Rows that `strength` and the findings about leaks rest on."""
    label: LabelProfile
    columns: tuple[ColumnProfile, ...]
    roles: Roles
    repeated: int
    """Rows that are equal to an earlier one in every column."""
    order: str
    """What the rows are sorted by, in a sentence; empty where that is nothing to speak of."""
    may_be_time: tuple[str, ...] = ()
    """The number in whose order the rows lie, or the year and the month, where no column has the part of the time."""

    def column(self, name: str) -> ColumnProfile:
        """Return the profile of a column."""
        return next(column for column in self.columns if column.name == name)


def look(
    frame: pl.DataFrame,
    given: GivenRoles,
    *,
    seen: Mapping[str, Seen] | None = None,
    where: Where = nowhere,
    source: str = "SOURCE",
) -> Profile:
    """Say what each column of a table is: its type, its range, its part, and what is suspicious about it.

    Examples
    --------
    >>> frame = pl.DataFrame({"age": [str(20 + i % 40) for i in range(200)], "paid": ["no", "yes"] * 100})
    >>> profile = look(frame, GivenRoles(label="paid"))
    >>> profile.label.form, profile.label.positive, profile.column("age").type
    ('two', 'yes', 'integer')
    """
    _refuse_unknown(frame, given)
    label = given.label
    seen = see_all(frame, names=(given.key, given.group)) if seen is None else seen
    spelled = (
        frame[label].set(seen[label].values.is_null(), None) if len(seen[label].misfits) else frame[label]
    )
    about = describe_label(spelled, seen[label], given.positive, source=source)
    if given.event is not None:
        about = msgspec.structs.replace(about, form="number", classes=(), positive=None)
    roles = choose_roles(seen, given)
    columns = Columns(
        seen=seen, about=about, spelled=spelled, roles=roles, unseen=frozenset(given.exclude), where=where
    )
    found: dict[str, list[Finding]] = {}
    for finding in check_columns(columns):
        found.setdefault(finding.columns[0], []).append(finding)
    strengths = columns.strengths
    return Profile(
        rows=frame.height,
        looked_at=len(sampled(spelled)),
        label=about,
        columns=tuple(
            _profile(one, strengths.get(name), tuple(found.get(name, ()))) for name, one in seen.items()
        ),
        roles=roles,
        repeated=_repeated(frame, seen),
        order=_order(about, seen, roles),
        may_be_time=_may_be_time(seen, label, roles),
    )


def _may_be_time(seen: Mapping[str, Seen], label: str, roles: Roles) -> tuple[str, ...]:
    found = None if roles.time else find_time(seen, label, roles.parts)
    if found is None:
        return ()
    return (found.column,) if isinstance(found, Order) else (found.year, found.month)


def _refuse_unknown(frame: pl.DataFrame, given: GivenRoles) -> None:
    wanted = [
        ("--label", given.label),
        ("--time", given.time),
        ("--group", given.group),
        ("--key", given.key),
        ("--weight", given.weight),
        *(("--exclude", name) for name in given.exclude),
    ]
    for option, name in wanted:
        if name is not None and name not in frame.columns:
            near = nearest(name, frame.columns)
            raise RequestError(
                "the data has no such column",
                where=option,
                found=name,
                allowed=listed(frame.columns),
                hint=f"did you mean {near!r}?" if near else "",
            )
    parts: dict[str, str] = {}
    for option, name in wanted:
        if name in parts and {option, parts[name]} != {"--key", "--group"}:
            raise RequestError(
                f"one column has two parts: {parts[name]} and {option}", where=option, found=name
            )
        if name is not None:
            parts[name] = option


def _profile(column: Seen, value: float | None, findings: tuple[Finding, ...]) -> ColumnProfile:
    levels: tuple[tuple[str, int], ...] = ()
    if column.type in {"category", "boolean"} and 0 < column.distinct <= MOST_LEVELS:
        counts = column.values.drop_nulls().cast(pl.String).to_frame("level").group_by("level").len("rows")
        levels = tuple(counts.sort(["rows", "level"], descending=[True, False]).iter_rows())
    has_range = column.type in NUMBERS | TIMES and column.present
    out = slips(column) if any(one.check == Outlier.id for one in findings) else None
    low, high = (out.low, out.high) if out else column.ends if has_range else (None, None)
    examples = column.values.drop_nulls().head(200).unique(maintain_order=True).head(3).to_list()
    return ColumnProfile(
        name=column.name,
        type=column.type,
        format=column.format,
        missing=column.missing,
        distinct=column.distinct,
        low=None if low is None else str(low),
        high=None if high is None else str(high),
        levels=levels,
        examples=tuple(str(example) for example in examples),
        strength=value,
        findings=findings,
    )


def _repeated(frame: pl.DataFrame, seen: Mapping[str, Seen]) -> int:
    if any(column.is_unique for column in seen.values()):
        return 0
    return frame.height - frame.select(name for name in seen if seen[name].type != UNUSABLE).n_unique()


def _order(label: LabelProfile, seen: Mapping[str, Seen], roles: Roles) -> str:
    time = seen[roles.time].values if roles.time else None
    if time is not None and time.is_sorted():
        return f"the rows are in the order of {roles.time!r}"
    evidence = sorted_by(seen[label.column].values, is_class=label.form != "number")
    return evidence_in_words("sorted", evidence) if evidence else ""
