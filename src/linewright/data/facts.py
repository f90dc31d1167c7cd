"""What the data room says."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from linewright.store.values import Result

LabelForm = Literal["two", "classes", "number", "time", "items", "values"]
"""What the labels of a line are: one of two classes, of which the second is looked for, one of several, a number, a time that may be
censored, a list of items, or the values of the steps ahead."""
TruthForm = Literal["two", "classes", "number"]
"""The forms of a label that a single column is compared with."""
MASK = "•••"
"""Stands for a value that is personal and not shown."""
MOST_LABELS = 200
TRAIN, TEST, EMBARGO = 0, 1, 2
"""Codes of the parts of a split, one byte a row."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Name and type of a column of a table."""

    name: str
    type: str
    """One of `data.spec.ColumnType`."""
    nullable: bool = True
    format: str | None = None
    """strptime format of dates and times that are not ISO 8601, as the contract says or as it was found."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A run of at most 16,384 rows."""

    content: str
    """Digest of the rows' content (Arrow), the same whatever wrote the file. The Parquet blob is found by
    `Metadata.settled("chunk:" + content)`; where those were lost and written anew, other bytes of equal content are
    under that key with ``:2``, ``:3``, … after it."""
    rows: int


class Dataset(Result, frozen=True, kw_only=True, tag="dataset"):
    """An immutable version of a line's table, in a stated order."""

    columns: tuple[Column, ...]
    rows: int
    order: tuple[str, ...]
    """Columns that the rows are sorted by; empty means the order of the source."""
    chunks: tuple[Chunk, ...]


class HistoryColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the rows of a source history."""

    name: str
    kind: str
    """One of `data.read.sql.column_types.Kind`."""
    precision: int = 0
    """Of a decimal number."""
    scale: int = 0


class HistoryChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some row versions of a source history."""

    blob: str
    """Digest of a Parquet file; `data.dataset.blobs.instead_of` may know another one that is in its place."""
    rows: int


class Unreturned(msgspec.Struct, frozen=True, kw_only=True):
    """Rows near the highest cursor that a read did not get again: they were deleted, or the query leaves them out now."""

    rows: int
    highest: int | float | str | None
    """The highest cursor among them, as `SourceHistory.highest`."""
    since: str
    """When that read began."""


class SourceHistory(Result, frozen=True, kw_only=True, tag="source_history"):
    """All versions of the rows that a source gave, after a read; the one with the highest number is in force."""

    source: str
    """Digest of the source's definition: lines that define the same source share its history."""
    query: str
    """Digest of the same without the database: query, key, cursor and known time."""
    number: int
    """Counts reads that were kept, from 1: those that found something, and those from which records of feature views were written.
    `Metadata.settled` finds it by `data.history.versions.key_of`."""
    columns: tuple[HistoryColumn, ...]
    """Of the source, in order. The chunks have three more: see `data.history`."""
    chunks: tuple[HistoryChunk, ...]
    """In the order in which the versions came."""
    rows: int
    """Rows of which the newest version is not a deletion."""
    fingerprint: str
    """Digest of those, in the order of their keys."""
    at: str
    """When this read began; always later than `at` of the history before it. Its versions are known from then on, unless the source says from when."""
    first: str
    """When the first read began whose rows have these columns."""
    before: str | None = None
    """Digest of the last history with other columns."""
    highest: int | float | str | None = None
    """The highest cursor that was seen, of those not in the future: a number, or microseconds from 1970; `None` if there were no rows.
    A whole number that JSON does not hold exactly is a text."""
    since: int | float | None = None
    """From which cursor on the next read asks; `None`: for all rows."""
    open: dict[str, int]
    """Transactions that were open in the database before this read, and since when at the latest, in microseconds."""
    looked: int
    """When that was seen, by the clock of the database."""
    unreturned: Unreturned | None = None
    """What a read found of rows that the source has no more, until `data.history.reconcile` finds none, or has kept that they are gone."""


Severity = Literal["exclude", "ask", "warn", "note"]
"""What a finding asks of people. `exclude`: `new` leaves the column out by itself. `ask`: only a person knows. `warn`: it misleads, or
a run would stop. `note`: `new` says it beside the column, and nobody else does."""
Scalar = int | float | str | None
Evidence = dict[str, Scalar | tuple[Scalar, ...]]
"""Figures by name."""


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of the line file."""

    path: tuple[str, ...]
    """Keys from the top of the file, e.g. ``("table", "group")``."""
    value: str | tuple[str, ...] | dict[str, str | tuple[str, ...]]
    is_item: bool = False
    """Whether the value is one more item of the list at `path`; else it is what stands there."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check found; `data.finding_text` says it in a sentence."""

    check: str
    """Id of the check, e.g. ``"leak-perfect"``; the line file may disable it by this name."""
    severity: Severity
    columns: tuple[str, ...] = ()
    """Columns that it is about; none where it is about rows or the line file."""
    evidence: Evidence = {}
    """Figures by name. `form` tells the forms of a check apart."""
    remedy: tuple[Edit, ...] = ()
    """What mends it, where the line file can."""


SensorFaultKind = Literal["stuck", "missing", "unit", "spike"]
Conversion = Literal[
    "mm-inch",
    "inch-mm",
    "celsius-fahrenheit",
    "fahrenheit-celsius",
    "celsius-kelvin",
    "kelvin-celsius",
    "bar-psi",
    "psi-bar",
    "psi-kpa",
    "kpa-psi",
    "by-10",
    "by-0.1",
    "by-60",
    "by-1/60",
    "by-100",
    "by-0.01",
    "by-1000",
    "by-0.001",
]
"""From which unit to which, or by what numbers are multiplied."""


class SensorFault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sensor-fault"):
    """A sensor of a group (a machine) that failed, and not what it measures."""

    fault: SensorFaultKind
    column: str
    group: str
    """Value of the column `table.group`."""
    since: str
    """Time of the first reading that shows it, UTC."""
    until: str
    """Time of the last one."""
    readings: int
    """Readings that show it: of `spike` the spikes, else all from the first to the last."""
    needed: int
    """Readings from which it is sure."""
    value: float | None = None
    """What it is stuck at, the farthest spike, the median in the other unit; `None` of `missing`."""
    usual: float | None = None
    """Of `spike` and `unit`, the median before, or of the group."""
    conversion: Conversion | None = None
    """Of `unit`, which conversion explains the numbers."""
    goes_on: bool = False
    """Whether the newest readings of the group show it."""


BreachKind = Literal[
    "type",
    "missing",
    "min",
    "max",
    "allowed",
    "pattern",
    "references",
    "unique",
    "not-named",
    "lacking",
    "fields",
    "broken-off",
    "fewest-rows",
    "most-rows",
    "sql",
    "fresh",
    "row-change",
    "gone",
    "new",
    "retyped",
    "unlabelled",
    "copies",
    "copies-stay",
]
"""Which rule did not hold: of a cell, of the columns, of a file, of the table as a whole, of what changed since the version before, and
of the parts of a split."""


class Breach(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule of a contract that did not hold; `data.breach_text` says it in a sentence."""

    column: str
    """Empty for rules about whole rows or the whole table."""
    kind: BreachKind
    figures: dict[str, Scalar | tuple[str, ...]] = {}
    """What the rule asks for and what was found instead, by name; which they are follows from the kind."""
    failed: int
    rows: int
    first: str = ""
    """The first offending value, as text."""
    action: Literal["stop", "quarantine", "warn"]
    line: int | None = None
    """Line of the source file at which the first offending row starts, where there is one."""
    file: str | None = None
    """Name of the file that this row stands in, where the source is several."""


class SeriesValues(Result, frozen=True, kw_only=True, tag="series_values"):
    """The newest values of each series of a line that forecasts, from which an endpoint answers if a request names the series alone."""

    series: int
    blob: str
    """Digest of what `text.newest_values` writes."""


class Quarantine(Result, frozen=True, kw_only=True, tag="quarantine"):
    """The rows that a contract kept out, with the rule that caught each."""

    rows: int
    blob: str
    """Digest of a JSON-lines artifact: {"source", "line", "row", "column", "kind", "figures", "found", "values"}; `kind` and
    `figures` are those of a `Breach`, `line` is the line of the source file (null where there is none), `row` counts rows of the table
    from 1. Where the source is several files, "file" names the one that the row stands in. Of a row that has another number of fields
    than the header, "found" is that number."""


NotDerived = Literal["source", "rows", "name", "function", "form", "type", "tried"]
"""Why a column of the table does not follow from one row of the line's first source: it comes from another source; from other rows;
it has the name of another column of that source, or reads one whose name has another meaning in the table; a function is not known to
follow from its arguments alone; the form of the SQL is not understood; its type cannot be told in a request to the bit; or, tried on
rows of the source, it fails or gives something else than the table has."""
WHY_SENT: Mapping[NotDerived, str] = {
    "source": "`table.sql` takes it from another source",
    "rows": "`table.sql` makes it of other rows too",
    "name": "`table.sql` gives a name of the source to something else, and the request's meaning counts",
    "function": "`table.sql` makes it with a function that is not known to depend on this row alone",
    "form": "`table.sql` makes it in a way that is not carried out on one row",
    "type": "`table.sql` makes it of a type, or of one, that a request cannot say to the bit",
    "tried": "what `table.sql` makes of one row alone was tried, and is not what the table has",
}
"""The same, in words."""


class RawColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a source, as `table.sql` saw it."""

    name: str
    type: str
    """Of DuckDB."""


class RowExpression(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the table that follows from one row of a source."""

    name: str
    sql: str
    """Rendered from an allow-list, see `data.table.expressions`."""
    reads: tuple[str, ...]
    """Columns of the source."""
    type: str
    """Of DuckDB."""


class MustBeSent(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that does not follow from one row of the line's first source."""

    name: str
    because: NotDerived


class RowSql(msgspec.Struct, frozen=True, kw_only=True):
    """What of `table.sql` can be carried out on one row of the line's first source."""

    source: str
    """Name of that source; empty where the SQL begins with something else."""
    missing: tuple[str, ...] = ("",)
    """Texts that mean "no value" in it."""
    columns: tuple[RawColumn, ...] = ()
    """Its columns that the expressions read."""
    expressions: tuple[RowExpression, ...] = ()
    must_be_sent: tuple[MustBeSent, ...] = ()


class AnnotatedRows(Result, frozen=True, kw_only=True, tag="annotated-rows"):
    """Rows that people labelled, as a separate dataset version."""

    before: str
    """Digest of the dataset version that had them without a label, the newest if there were several."""
    dataset: str
    """Digest of the dataset version of the labelled rows, in the order in which they were queued."""
    labels: int
    """Its rows."""
    given: str
    """Digest of a JSON-lines artifact with who gave the label of each row, and when: {"question", "annotators", "decided", "at"}."""


class Ingested(Result, frozen=True, kw_only=True, tag="ingested"):
    """What reading the sources gave."""

    dataset: str
    quarantine: str | None
    breaches: tuple[Breach, ...]
    rows_read: int
    labels: tuple[str, ...] = ()
    """Different values of the label, as spelled, sorted; empty where there are more than `MOST_LABELS`."""
    row_sql: RowSql | None = None
    """What of `table.sql` requests get too; `None` where there is no SQL."""
    findings: tuple[Finding, ...] = ()
    """What the checks found that a run says."""
    annotated: str | None = None
    """Digest of the `AnnotatedRows` whose labels rows got that the sources have without one; `None` where people labelled none."""
    labelled: int = 0
    """Rows whose label is that of people."""
    allowed: tuple[str, ...] | None = None
    """Items that may be listed, ascending; `None` if all may."""
    series: str | None = None
    """Digest of the `SeriesValues`; `None` if the line does not forecast, or has more values than an endpoint keeps."""
    views: str | None = None
    """Digest of the `features.facts.FeatureViews` whose columns the rows have; `None` if the line names none."""


class ByGroup(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="group"):
    """Whole groups go one way, by a salted hash."""

    column: str


class ByHash(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="random"):
    """Rows go one way by a salted hash of each."""

    key: str | None
    """The column that is hashed; `None`: the content of the row."""
    is_asked: bool
    """Whether the line asks for it; else the table names neither a time nor a group."""


class ByTime(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="time"):
    """The latest rows test, see `Split.cutoff`."""

    column: str
    share: float
    """Share of the counted rows that are at or after the cut-off, in [0, 1]."""
    asked: float
    """Share that was asked for, in (0, 1)."""
    is_shortest: bool
    """Whether the test part is the shortest that is enough to judge, as for a retraining."""
    without_repeats: bool
    """Whether only rows that repeat no earlier one are counted; else all rows with a label."""
    group: str | None = None
    """The column of groups; `None` where the table names none."""
    straddling: int = 0
    """Groups with rows on both sides of the cut-off."""


class Staying(msgspec.Struct, frozen=True, kw_only=True):
    """Test rows that repeat a training row and stay, since rows of the table repeat."""

    rows: int
    share: float
    """Share of the training rows that repeat one, in [0, 1]."""


class ClassShares(msgspec.Struct, frozen=True, kw_only=True):
    """The class whose share differs most between the parts."""

    name: str
    train: float
    """Its share of the training rows, in [0, 1]."""
    test: float


class SplitReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why the parts are what they are; `data.split_text` says it in a sentence."""

    cut: ByGroup | ByHash | ByTime
    older: int = 0
    """Rows from before `Split.since` that would be test rows; they are in neither part."""
    staying: Staying | None = None
    apart: ClassShares | None = None
    """`None` where the parts hold each class in about the same share, and where labels are numbers."""


class Split(Result, frozen=True, kw_only=True, tag="split"):
    """Which rows train and which test; a pure function of each row."""

    dataset: str
    by: Literal["random", "group", "time"]
    reason: SplitReason
    cutoff: str | None
    """For a time split: rows at or after this instant are the test part."""
    train: int
    test: int
    embargo: int
    """Rows in neither part: their truth was not known at the cut-off."""
    unlabelled: int
    """Rows whose label is missing; they are in neither part (code EMBARGO)."""
    parts: str
    """Digest of an artifact with one byte a row of the dataset: TRAIN, TEST or EMBARGO."""
    fold_salt: str
    is_mixed: bool = False
    """Whether the folds of a time split mix times, as they do for a retraining: folds that go forward in time could not
    show which model learns what is new."""
    since: str | None = None
    """For a retraining whose rows no column puts in time: the test rows were answered since this instant, when a shift
    began. `None` where old rows judge too."""
    copies: int = 0
    """Rows that would be test rows but say what a training row says, features and label; they are in neither part."""
