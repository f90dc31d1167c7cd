"""What the serve room says."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from linewright.store.values import Event, Result

Fault = Literal["write", "force"]
"""What fails about a log: what is written to it, or what was written is not forced to the disk."""
Scalar = str | int | float | bool | None


class LoggedLookup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the lookup of one feature view found for a logged row."""

    known: str
    """What was known by this moment counted: UTC, RFC 3339 with microseconds."""
    record: str | None
    """Digest of the events of its entity; `None` if it was absent."""
    defaulted: bool = False
    """Whether the row got nulls, as what was known was too old."""
    table: str | None = None
    """What the source held by this moment counted, if rows that were sent by `known` counted besides."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One logged answer: the prediction log record, version 1."""

    id: str
    """UUIDv7."""
    version: int = 1
    """Version of this record's form; every reader reads every older one."""
    line: str
    site: str | None = None
    generation: int
    """Generation of the line's pointer that brought the model."""
    model: int
    """Version of the model in its line."""
    digest: str
    """Digest of the package that computed the answer."""
    arm: Literal["champion", "canary", "shadow"] = "champion"
    at: str
    """When the row was received: UTC, RFC 3339 with microseconds."""
    key: str | None
    unit: str | None = None
    """While a candidate is tried: the value that decides the arm, and of whose rows the first label counts."""
    subject: str | None = None
    """The person that the row is about."""
    row: dict[str, Any]
    """The row as received; empty for the arm ``shadow``, since the record of the answer that went out has it."""
    answer: dict[str, Any]
    threshold: float | None
    durability: Literal["buffered", "durable"] = "buffered"
    """``buffered``: survives the kill of any process; ``durable``: survives power loss."""
    via: Literal["endpoint", "batch", "replay"] = "endpoint"
    known: str | msgspec.UnsetType = msgspec.UNSET
    """Digest of the newest values of series from which the row got its own, as it named a series alone; left out of other records."""
    features: dict[str, LoggedLookup] | msgspec.UnsetType = msgspec.UNSET
    """By feature view, what the row got of it, as it did not bring its columns; left out of other records."""

    @property
    def is_sum(self) -> bool:
        """Whether it is a sum of forecasts: its row is that of no series."""
        return "values" in self.answer

    @property
    def is_judged(self) -> bool:
        """Whether it says how a model does: a list that chance made says nothing of it, a sum nothing of the series that models learn from."""
        return not self.is_sum and not self.answer.get("explored")


class LoggedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a `Prediction`: all but the row, which takes longest to read."""

    id: str
    line: str
    model: int
    arm: Literal["champion", "canary", "shadow"] = "champion"
    at: str
    key: str | None
    answer: dict[str, Any]
    via: Literal["endpoint", "batch", "replay"] = "endpoint"


class LoggedAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of `Predictions`."""

    many: int
    first: str
    line: str
    model: int
    arm: Literal["champion", "canary", "shadow"] = "champion"
    at: str
    keys: Sequence[str | None] | None
    answers: Sequence[dict[str, Any] | None]
    via: Literal["endpoint", "batch", "replay"] = "endpoint"


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """The logged answers to one request of many rows, or to rows of a file: the fields of `Prediction`, those that are the same in all of them once."""

    many: int
    """How many there are. The first field, since a payload is known by it."""
    first: str
    """Id of the first; each following one is the next number."""
    version: int = 1
    line: str
    site: str | None = None
    generation: int
    model: int
    digest: str
    arm: Literal["champion"] = "champion"
    at: str
    keys: Sequence[str | None] | None
    """One a row; `None` where the line has no key."""
    request: msgspec.Raw
    """The body of the request as received, whose ``rows`` they are; of a file, what the body would have been."""
    answers: Sequence[dict[str, Any] | None]
    """One a row; `None` for one that was forgotten, whose row is null too."""
    threshold: float | None
    durability: Literal["buffered", "durable"] = "buffered"
    via: Literal["endpoint", "batch"] = "endpoint"


class Outage(Result, frozen=True, kw_only=True, tag="outage"):
    """A stretch of time in which the prediction log of a line failed, as one endpoint saw it."""

    line: str
    fault: Fault
    because: str
    """What the system said, e.g. ``No space left on device``."""
    since: str
    """UTC, RFC 3339 with microseconds."""
    until: str | None = None
    """When the log worked again; `None` where it has not, or the endpoint ended before."""
    rows: int = 0
    """Rows answered in that time that no log has; those of an outage that lasts are counted when it ends."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What turned out to be true for a prediction."""

    label: str | float
    """The class as spelled in the training data, or a number."""
    at: str | None
    """When it became true, UTC, where the sender said so."""
    received: str
    """When it was accepted, UTC."""
    by: Literal["id", "key"]
    """Whether the label named this prediction or its row's key."""


class Replaced(Truth, frozen=True, kw_only=True):
    """A label that another one has replaced since."""

    replaced: str
    """When it was corrected, UTC: from then on another one counts."""


class Segment(Result, frozen=True, kw_only=True, tag="segment"):
    """A closed segment of the prediction log as one Parquet blob: a row for each record, in their order."""

    line: str
    name: str
    """Name of the file that it was."""
    bytes: int
    """Length of that file: the position behind its last record."""
    content: str
    """Digest of that file's bytes, which the blob gives back."""
    blob: str
    """Digest of the Parquet file."""
    records: int
    first: str
    last: str
    """When the earliest and the latest of its rows were received: UTC, RFC 3339 with microseconds; empty where none says it."""


class Sealed(Event, frozen=True, kw_only=True, tag="sealed"):
    """From now on the records of a segment are in a blob; its file may be gone."""

    segment: str
    """Digest of the `Segment`."""
    name: str
    bytes: int
    """Name and length of the file that it was."""


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a segment up to a position."""

    bytes: int
    """The position behind the last of them."""
    digest: str
    """Of their frames as they are stored, one after the other."""


class ChangesEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain of changes, see `store.changes`."""

    changes: int
    digest: str


class Checkpointed(Event, frozen=True, kw_only=True, tag="checkpointed"):
    """What the prediction log, the labels and the annotation of a line were, or, with an empty `line`, the rows that were sent to sources: from now on they cannot be changed unseen."""

    segments: dict[str, Prefix] = {}  # noqa: RUF012 -- msgspec copies it
    """Segments that were not sealed and had grown since the checkpoint before, by name."""
    changes: int = 0
    """How many changes of labels there were: each that came, and each correction."""
    labels: str = ""
    """Digest of the last of them, in which all before it are chained; empty where there was none."""
    ends: dict[str, ChangesEnd] = {}  # noqa: RUF012
    """The last changes of other files of the state, by name: ``annotate/LINE`` or ``push/SOURCE``."""
    has_head: bool = False
    """Whether the head of the record stood in ``head.json``."""
