"""What the features room says: encodings as plain data.

An encoder turns named columns into one float32 matrix. It is learned from training rows only, saved as JSON, and
applied by the same code in training, batch scoring and serving (`features.encode`). The encoder of a model that was
imported and makes its own features hands its columns over as they are (`Raw`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from linewright.errors import GateRefused
from linewright.store.values import Event, Result


class Number(msgspec.Struct, frozen=True, kw_only=True, tag="number", tag_field="encoding"):
    """A number as itself. Missing stays NaN."""

    column: str


class Boolean(msgspec.Struct, frozen=True, kw_only=True, tag="boolean", tag_field="encoding"):
    """False 0, true 1, missing NaN."""

    column: str


class Category(msgspec.Struct, frozen=True, kw_only=True, tag="category", tag_field="encoding"):
    """A category as a code: 0 for rare and unseen values, 1 for missing, 2 + i for `levels[i]`."""

    column: str
    levels: tuple[str, ...]
    """Levels seen at least twice in the training rows, most frequent first, then by spelling; at most 1,000."""


class Frequency(msgspec.Struct, frozen=True, kw_only=True, tag="frequency", tag_field="encoding"):
    """The share of training rows that have the value: for categories of more than 30 levels. Unseen and rare: 0."""

    column: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    missing: float


class DatePart(msgspec.Struct, frozen=True, kw_only=True, tag="date_part", tag_field="encoding"):
    """A part of a date or time: month, day, weekday (Monday 0), hour, minute; missing NaN.

    ``hour_sin`` and ``hour_cos`` are the sine and cosine of the hour on a clock of a day, ``hour_sin2`` and ``hour_cos2`` on one of
    half a day: for these, midnight is near to 23 o'clock.
    """

    column: str
    part: str


class Elapsed(msgspec.Struct, frozen=True, kw_only=True, tag="elapsed", tag_field="encoding"):
    """Days from `origin` (a constant, microseconds since 1970) or from another column, to `column`; missing NaN."""

    column: str
    origin: int = 0
    since: str | None = None
    """Other date or time column; `None` means `origin`."""


Operation = Literal["plus", "minus", "times", "over"]
SIGNS: Mapping[Operation, str] = MappingProxyType({"plus": "+", "minus": "-", "times": "*", "over": "/"})
"""What can be done with two numbers, and how it is written."""


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True, tag="arithmetic", tag_field="encoding"):
    """What two numbers are together, of their float32 cells (`features.pair_arithmetic`). Missing NaN, and so is what 0 would divide."""

    column: str
    operation: Operation
    other: str
    """The second column of numbers."""


SHAPES = ("characters", "words", "digits", "capitals", "marks")
"""What a text looks like: its numbers of characters and words, and which shares of its characters are digits, capital letters,
and neither letters, digits nor blanks."""


class TextPart(msgspec.Struct, frozen=True, kw_only=True, tag="text_part", tag_field="encoding"):
    """One of the numbers that a text becomes, by the `Text` of its column in `Encoder.texts`.

    Missing: NaN for its number of characters, so that it is said once, and 0 for all others.
    """

    column: str
    part: int
    """Place among `SHAPES`, directions and words, in this order, and behind them the numbers of its `SentenceEncoder`, if there are any."""


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """How a column of texts becomes numbers; see `features.text`. Arrays are little-endian bytes, base64 in JSON."""

    column: str
    keys: bytes
    """uint32, ascending: the known grams, at most 4,096."""
    weights: bytes
    """float32, one a gram."""
    directions: bytes
    """float16, shape (grams, topics)."""
    topics: int
    """Directions, at most 32."""
    words: bytes
    """uint16: places among `keys` of the words whose values are numbers of their own, at most 256."""

    @property
    def width(self) -> int:
        """How many numbers a text becomes."""
        return len(SHAPES) + self.topics + len(self.words) // 2


class SentenceEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """An encoder of sentences that reads a column of texts, as well as its `Text`; see `model.sentence_encoder`."""

    column: str
    model: str
    """Digest of the ONNX graph from tokens to vectors."""
    tokenizer: str
    """Digest of what cuts texts into tokens, JSON."""
    width: int
    """How many numbers it gives."""


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True, tag="history_item", tag_field="encoding"):
    """One of the newest items of a history that a model knows, as 1 + its place among `items`; 0 if there are fewer."""

    column: str
    place: int
    """0 is the newest."""
    items: tuple[str, ...] = ()
    """All that the model knows, ascending; said at place 0 alone."""


LOOKS = ("width", "height", "brightness", "contrast", "sharpness")
"""What a picture looks like: its sides in pixels, mean and standard deviation of its grey (0 to 1), and the mean absolute
Laplacian of its grey."""


class PicturePart(msgspec.Struct, frozen=True, kw_only=True, tag="picture_part", tag_field="encoding"):
    """One of the numbers that a picture becomes, by the `Picture` of its column in `Encoder.pictures`. Missing: NaN."""

    column: str
    part: int
    """Place among `LOOKS` and the numbers of the backbone, in this order."""


class Picture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a column of pictures becomes numbers; see `features.picture`."""

    column: str
    backbone: str
    """Digest of the ONNX graph from pixels to numbers."""
    side: int
    """Pictures are scaled to squares of so many pixels."""
    width: int
    """How many numbers the backbone gives."""
    grid: int | None = None
    """Of a backbone that was learned here, and says how odd each part of a picture is: a side of the grid of parts, row by row."""


class SeriesPart(msgspec.Struct, frozen=True, kw_only=True, tag="series_part", tag_field="encoding"):
    """One of the numbers that a forecast is made of, by its place among those of `features.series.Layout`."""

    column: str
    """Its source; all columns of a row are read together."""
    place: int
    window: "Window | None" = None
    """How rows are read; said at place 0 alone."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How the recent values of a series are read."""

    recent: str
    """Column of the newest values."""
    time: str
    """Column of the time of the newest."""
    known: tuple[str, ...]
    """Columns that are known ahead."""
    steps: tuple[str, ...]
    """Names of the steps ahead."""
    season: int
    """After how many steps it comes again; 1 for never."""
    length: int
    """Values that are read."""
    levels: tuple["Level", ...] = ()
    """Sums of series that are predicted too."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of the series that are alike in some of the columns that name them."""

    keys: tuple[str, ...]
    """These columns; none for the sum of all."""
    shared: float
    """How far the errors of the series go together, from 0 (not at all) to 1 (they add up): what 90 % of the sums of a backtest keep to."""


class Raw(msgspec.Struct, frozen=True, kw_only=True, tag="raw", tag_field="encoding"):
    """A column as it is, for a model that makes its own features. Missing numbers stay NaN."""

    column: str
    dtype: Literal["float", "double", "int64", "bool", "string"]
    missing: str = ""
    """What a text is where there is none; whole numbers and booleans cannot be missing."""


Encoding = (
    Number
    | Boolean
    | Category
    | Frequency
    | DatePart
    | Elapsed
    | Arithmetic
    | TextPart
    | PicturePart
    | HistoryItem
    | SeriesPart
    | Raw
)


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """The encodings of a model, one matrix column each, in order. All of them are `Raw`, or none is."""

    encodings: tuple[Encoding, ...]
    version: int = 1
    texts: tuple[Text, ...] = ()
    """One for each column of texts that is read."""
    pictures: tuple[Picture, ...] = ()
    """One for each column of pictures that is read."""
    sentences: tuple[SentenceEncoder, ...] = ()
    """One for each column of texts that an encoder of sentences reads, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """One readable name a matrix column, e.g. ``"Age"``, ``"opened:weekday"``, ``"closed-opened"``."""
        return tuple(_name(encoding) for encoding in self.encodings)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Indices of the matrix columns that hold codes."""
        return tuple(i for i, encoding in enumerate(self.encodings) if isinstance(encoding, Category))

    @property
    def is_raw(self) -> bool:
        """Whether columns are handed over as they are."""
        return any(isinstance(encoding, Raw) for encoding in self.encodings)

    @property
    def items(self) -> tuple[str, ...]:
        """What a model that reads a history can list, in the order of its codes; empty for others."""
        first = self.encodings[0] if self.encodings else None
        return first.items if isinstance(first, HistoryItem) else ()

    @property
    def window(self) -> Window | None:
        """How a model that forecasts reads the recent values of a series; `None` for others."""
        first = self.encodings[0] if self.encodings else None
        return first.window if isinstance(first, SeriesPart) else None

    @property
    def listed(self) -> tuple[str, ...]:
        """What answers that are lists are made of: the items that can be listed, or the steps that are said ahead; empty for others."""
        return self.items if self.window is None else self.window.steps

    @property
    def lists(self) -> tuple[str, ...]:
        """Names of the columns that hold lists."""
        if self.window is not None:
            return (self.window.recent, *self.window.known)
        return self.columns if self.items else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table columns that are read, each once, in order of first use."""
        seen: dict[str, None] = {}
        for encoding in self.encodings:
            seen[encoding.column] = None
            if (other := partner(encoding)) is not None:
                seen[other] = None
        return tuple(seen)


def partner(encoding: Encoding) -> str | None:
    """Return the second column that an encoding reads, if it reads two.

    Examples
    --------
    >>> partner(Elapsed(column="closed", since="opened")), partner(Number(column="age"))
    ('opened', None)
    """
    match encoding:
        case Elapsed():
            return encoding.since or None
        case Arithmetic():
            return encoding.other
        case _:
            return None


def _name(encoding: Encoding) -> str:
    match encoding:
        case Number() | Boolean() | Category() | Raw():
            return encoding.column
        case Frequency():
            return f"{encoding.column}:frequency"
        case DatePart():
            return f"{encoding.column}:{encoding.part}"
        case TextPart():
            shape = SHAPES[encoding.part : encoding.part + 1]
            return f"{encoding.column}:{shape[0] if shape else encoding.part - len(SHAPES) + 1}"
        case HistoryItem():
            return f"{encoding.column}:{encoding.place + 1}"
        case PicturePart():
            look = LOOKS[encoding.part : encoding.part + 1]
            return f"{encoding.column}:{look[0] if look else encoding.part - len(LOOKS) + 1}"
        case SeriesPart():
            return f"{encoding.column}:{encoding.place + 1}"
        case Elapsed():
            return f"{encoding.column}-{encoding.since}" if encoding.since else f"{encoding.column}:days"
        case Arithmetic():
            return f"{encoding.column}{SIGNS[encoding.operation]}{encoding.other}"


Otherwise = Literal["answer", "default", "refuse"]


NO_TIME = "none"
"""The time of a view whose rows hold at all times."""


class ViewInput(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a source that a view reads."""

    name: str
    type: str
    """``number``, ``integer``, ``boolean`` or ``category``, as it was found."""


class ViewColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a view."""

    name: str
    text: str
    """What it computes, as `features.views.aggregates.read_aggregate` reads it."""
    type: str
    """``number``, ``integer``, ``boolean`` or ``category``."""


class ViewFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A feature view as a model has learned from it: all that is needed to compute its columns but for the rows."""

    view: str
    entity: tuple[str, ...]
    """Columns of the source, and of the table, that say whom a row is about; compared as they are spelled."""
    columns: tuple[ViewColumn, ...]
    inputs: tuple[ViewInput, ...]
    """Columns of the source that `columns` and `where` read."""
    time: str
    """Column of the source, or `NO_TIME`."""
    known: str | None = None
    """`None`: a row is known when it happened."""
    key: str | None = None
    """`None`: no two rows are about the same."""
    deleted: str | None = None
    where: str | None = None
    """Condition, as `features.views.aggregates.read_condition` reads it; other rows do not count."""
    zone: str | None = None
    """IANA zone of naive times; `None` is UTC."""


class ViewRead(msgspec.Struct, frozen=True, kw_only=True):
    """A view as a run has read its source."""

    facts: ViewFacts
    rows: int
    """Of the source."""
    entities: int
    """Different ones among them."""
    newest: str | None = None
    """When the newest of its rows that count happened, UTC; `None` if none counts, or it was not noted."""
    newest_known: str | None = None
    """When the row that was known last could be known, UTC."""


class FeatureViews(Result, frozen=True, kw_only=True, tag="feature-views"):
    """The feature views of a line as a run has read them, in the order of the line file."""

    views: tuple[ViewRead, ...]


class RecordsWritten(Event, frozen=True, kw_only=True, tag="records-written"):
    """A file of records of a feature view is about to take its place: endpoints read it from now on."""

    file: str
    """Its name."""
    digest: str
    before: str
    """Digest of the file in whose place it comes: a kill may leave that. Empty if there is none, or it is not what was written."""


class FeaturesAudited(Event, frozen=True, kw_only=True, tag="features-audited"):
    """The features of logged rows were computed again, by the worker or as a command; recorded if there were newer rows, or it found something else."""

    rows: int
    """Rows that got columns of views."""
    differ: int
    """Rows of which a value differs."""
    behind: int
    """As `FeatureAudit.behind` has it."""
    newest: str
    """Id of the newest prediction that was looked at."""


class FeatureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A value in a logged row that is not what its view knew."""

    id: str
    """Of the prediction."""
    at: str
    view: str
    column: str
    logged: Any
    computed: Any


class FeatureAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Logged rows compared with what the sources of their feature views say."""

    line: str
    rows: int
    """Rows that got columns of views."""
    values: int
    """Values that were compared."""
    differ: int
    """Rows of which a value differs."""
    behind: int
    """Rows that would have other values if all had counted that was known as they came: records were made before."""
    first: tuple[FeatureDifference, ...] = ()
    """The first values that differ, the newest row first."""
    newest: str | None = None
    """Id of the newest of the rows."""
    of_files: int = 0
    """Rows that predictions of files logged, as far back as the log was read, and that were not audited: what was known then is not logged with them."""

    @property
    def exit_code(self) -> int:
        """That of `GateRefused` if a row differs, else 0."""
        return GateRefused.exit_code if self.differ else 0
