"""Rows in, answers out: the one path that the endpoint, batch scoring and replays take."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt, NotFound, RequestError
from linewright.features.encode import FIRST_CODE, MISSING_CODE, Columns, encode
from linewright.features.facts import Arithmetic, Category, Encoding, Number, Raw, Window
from linewright.model.explanation_text import cannot_be_explained
from linewright.model.facts import Limit, Package, RequestColumn
from linewright.model.onnx.list_contributions import in_list
from linewright.model.package.model import Model, golden_differences, read_golden
from linewright.model.task_facts import learns_good
from linewright.serve.rows.body.reader import TIMES, Place, RowReader, converter, in_rows, placed
from linewright.serve.rows.body.request_columns import Needs
from linewright.serve.rows.body.scalars import shown, spell
from linewright.serve.rows.body.typed import Row, TypedBodies, TypedRow, Unusual, typed_bodies
from linewright.serve.rows.matrix import MatrixReader
from linewright.serve.rows.occlusion import occlusions
from linewright.text.lists import read_list, spelled

TOLERANCE = 1e-6
"""Largest difference of a golden answer: processors round the last bits of a sum differently."""
TOLERANCE_OF_NETWORKS = 0.02
"""The same if a network reads pictures or texts."""
QUICK_ROWS, _QUICK_VALUES = 64, 4_096
"""Rows, and recent values of series, that are computed in less than about a millisecond."""


class RequestForm(NamedTuple):
    """What a request to a line may look like: known without the model that answers it."""

    package: Package
    columns: tuple[RequestColumn, ...]
    """What a row may have."""
    time: RequestColumn | None
    """The column that says when a row happened, where the line has one that is a date or a time."""


def form_of(package: Package, limits: Sequence[Limit] = (), known: Sequence[str] = ()) -> RequestForm:
    """Return the form of requests to a package."""
    own = {column.name for column in package.columns}
    others = (RequestColumn(name=name, type="text", role="carried") for name in known if name not in own)
    # A history is of the moment of the request, whenever that is.
    known_at = {} if package.encoder.items else {limit.column: limit for limit in limits}
    time = _time_of(package.columns, known_at)
    return RequestForm(package, (*package.columns, *others), time)


class Scorer:
    """Answers rows with one loaded model. Safe to use from several threads."""

    def __init__(
        self,
        model: Model,
        limits: Sequence[Limit] = (),
        known: Sequence[str] = (),
        *,
        answered: bool = False,
    ) -> None:
        self.model, self.known = model, tuple(known)
        self.needs = Needs(model.package, strict=not answered)
        self.needs.load()
        self._limits = {limit.column: limit for limit in limits}
        ends = [_ends(each, self._limits.get(each.column)) for each in model.package.encoder.encodings]
        self._unread = [one for one in limits if one.seen is not None]
        self._items = frozenset(model.package.encoder.items)
        self._complete = np.array([self._is_complete(each) for each in model.package.encoder.encodings])
        self._low, self._high = np.array(ends, dtype=np.float32).reshape(-1, 2).T
        self.form = form_of(model.package, limits, known)
        encoder, missing, time = model.package.encoder, model.package.missing, self.form.time
        self._read_time = converter(time, frozenset(missing)) if time else None
        self._reader = RowReader(self.form.columns, missing=missing, needs=self.needs)
        # Each request asks for these.
        self.window = encoder.window
        """How it reads the recent values of a series; `None` if it does not forecast."""
        self.reads_files = bool(encoder.pictures)
        """Whether a row has pictures, which are kept."""
        self.is_slow = self.reads_files or bool(encoder.sentences)
        """Whether a row takes milliseconds, since a network reads it."""
        self.quick_rows = _quick_rows(self.window, is_slow=self.is_slow)
        """Up to how many rows take no longer than a request may keep others waiting."""
        self._matrix = (
            None if encoder.is_raw else MatrixReader(self._reader, self.form.columns, encoder, model.readers)
        )

    def knowing(self, known: Sequence[str]) -> "Scorer":
        """Return one with the same model that takes other further columns."""
        return self if self.known == tuple(known) else Scorer(self.model, tuple(self._limits.values()), known)

    def read(self, rows: object, *, place: Place = in_rows) -> Columns:
        """Return the feature columns of JSON rows."""
        return self._reader.read(self.completed(rows, place), place=place)

    def completed(self, rows: Any, place: Place = in_rows) -> Any:
        """Return JSON rows with the columns that `table.sql` makes of theirs; see `Needs.completed`."""
        return self.needs.completed(rows, place) if self.needs.is_sql else rows

    def matrix(self, rows: object, *, place: Place = in_rows) -> NDArray[np.float32]:
        """Return the matrix that the model reads of JSON rows: what `encode` makes of what `read` gives."""
        if isinstance(rows, list) and rows and isinstance(rows[0], TypedRow):
            if self._matrix is None or self.typed is None or type(rows[0]) is not self.typed.row_type:
                raise Unusual
            return self._matrix.read_typed(rows)
        rows = self.completed(rows, place)
        if self._matrix is None:
            with placed(place):
                return self.encode(self._reader.read(rows, place=place))
        return self._matrix.read(rows, place=place)

    @cached_property
    def typed(self) -> TypedBodies | None:
        """What reads requests in their usual form; `None` where there is no such thing. Made when it is first asked for."""
        return (
            None
            if self._matrix is None or self.reads_files or self.model.package.views  # rows get columns
            else typed_bodies(self.form.columns, self.needs.whole)
        )

    def columns(self, columns: Columns) -> list[dict[str, Any]]:
        """Return one answer a row for features that are columns already; its form is the task's."""
        return self.answers(self.encode(columns))

    def encode(self, columns: Columns) -> NDArray[np.float32]:
        """Return the matrix that the model reads."""
        return encode(self.model.package.encoder, columns, self.model.readers)

    def answers(
        self, x: NDArray[np.float32], *, ids: Sequence[str] = (), explore: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return one answer a row of the matrix; `ids` and `explore` as for `Model.answers`."""
        return self.model.answers(self.model.scores(x), ids=ids, explore=explore)

    def explain(
        self,
        x: NDArray[np.float32],
        answers: Sequence[Mapping[str, Any]] = (),
        *,
        name: str = "",
        rows: Sequence[Row] = (),
    ) -> list[dict[str, Any]]:
        """Return what each column contributed to each row of the matrix; see `Model.explain`."""
        if len(x) > (most := self.model.most_explained):
            raise RequestError(
                "too many rows to explain in one request: each column of each is put to what is typical",
                where="explain",
                found=len(x),
                allowed=f"at most {most} rows of this model",
                hint="send them in several requests, or without `explain`",
            )
        occludes = self.reads_files and not learns_good(
            self.model.package.task
        )  # what is odd has a map of its own
        seen = occlusions(self.model, x, rows) if occludes and rows else []
        seen = [{"occlusion": one} if one else {} for one in seen]
        try:
            by_column = self.model.explain(x)
            if self._items and answers:
                return [in_list(one, said) for one, said in zip(by_column, answers, strict=True)]
            return [{**one, **more} for one, more in zip(by_column, seen, strict=True)] if seen else by_column
        except RequestError as error:
            reason = error.details.get("not_explained")
            if reason is not None and seen and all(seen):
                return seen
            if not name or reason is None:
                raise
            raise cannot_be_explained(reason, model=name, line=name.partition("@")[0]) from error

    def warnings(
        self,
        x: NDArray[np.float32],
        rows: Sequence[Row],
        unknown: Mapping[int, frozenset[str]] = MappingProxyType({}),
    ) -> dict[int, list[str]]:
        """Say, by row, which values the contract does not allow or the model does not know; of a history how many items."""
        said = self._unusual(x, rows, unknown)
        if self._items:
            for number, row in enumerate(rows):
                if text := self._unknown_items(row):
                    said.setdefault(number, []).append(text)
        return said

    def _unknown_items(self, row: Row) -> str:
        """Say how many items of a history the model does not know; empty if it knows all."""
        column = self.model.package.encoder.columns[0]
        value = row.get(column)
        items = set(read_list(value) if isinstance(value, str) else spelled(value or []))
        unknown = len(items - self._items)
        return f"{column}: the model does not know {unknown:,} of {len(items):,} items" if unknown else ""

    def _unusual(
        self, x: NDArray[np.float32], rows: Sequence[Row], unknown: Mapping[int, frozenset[str]]
    ) -> dict[int, list[str]]:
        if x.dtype.names is not None:
            # A model that reads raw columns has no codes to look at; only the contract can doubt, row by row.
            doubtful = np.full(len(x), bool(self._limits))
        else:
            # What is missing is beyond both ends; only then has each column to be asked whether it may be.
            is_within = (x >= self._low) & (x <= self._high)
            if np.count_nonzero(is_within) == is_within.size and self._read_time is None and not self._unread:
                return {}
            doubtful = ~(is_within | (np.isnan(x) & ~self._complete)).all(axis=1)
        said = {
            row: self._warnings_of(rows[row], unknown.get(row, frozenset()))
            for row in np.flatnonzero(doubtful).tolist()
        }
        if self._read_time is not None or self._unread:
            for number, row in enumerate(rows):
                if doubts := [*self._doubts_of_unread(row), *self._doubts_of_time(row)]:
                    said.setdefault(number, []).extend(doubts)
        return {row: said[row] for row in sorted(said) if said[row]}

    def _is_complete(self, encoding: Encoding) -> bool:
        # A ratio has no value where 0 would divide; what is missing itself shows in the column of its own.
        limit = None if isinstance(encoding, Arithmetic) else self._limits.get(encoding.column)
        return limit is not None and limit.is_complete

    def _doubts_of_unread(self, row: Row) -> Iterator[str]:
        """Tell of categories that training never saw in columns which the model does not read."""
        for limit in self._unread:
            value = row.get(limit.column)
            if doubt := _category_doubt(limit.seen, spell(value), limit, self.model.package.missing):
                yield f"{limit.column}: {shown(value)!r} {doubt}"

    def _doubts_of_time(self, row: Row) -> Iterator[str]:
        time = self.form.time
        if time is None or self._read_time is None:
            return
        value = row.get(time.name)
        try:
            what = "no value" if self._read_time(value) is None else ""
        except (ValueError, TypeError, OverflowError):
            what = f"{shown(value)!r} cannot be read"
        if what:
            yield f"{time.name}: {what}, so the time of the answer counts"

    def _warnings_of(self, row: Row, unknown: frozenset[str]) -> list[str]:
        texts: list[str] = []
        for encoding in self.model.package.encoder.encodings:
            value, limit = row.get(encoding.column), self._limits.get(encoding.column)
            doubt = ""
            if isinstance(encoding, Category):
                doubt = _category_doubt(encoding.levels, spell(value), limit, self.model.package.missing)
            elif isinstance(encoding, Raw) and isinstance(value, str):
                doubt = _category_doubt(None, spell(value), limit, self.model.package.missing)
            elif isinstance(encoding, Number | Raw) and limit is not None and isinstance(value, (int, float)):
                doubt = _number_doubt(value, limit)
            if doubt:
                texts.append(f"{encoding.column}: {shown(value)!r} {doubt}")
        columns = dict.fromkeys(each.column for each in self.model.package.encoder.encodings)
        complete = [name for name in columns if name in self._limits and self._limits[name].is_complete]
        return texts + [
            f"{name}: no value, and no training row was without one"
            for name in complete
            if name not in unknown and self._is_missing(row.get(name))
        ]

    def _is_missing(self, value: object) -> bool:
        return value is None or (
            isinstance(value, str) and value.strip() in {"", *self.model.package.missing}
        )

    def score(self, rows: object) -> list[dict[str, Any]]:
        """Return one answer a JSON row: `read`, then `columns`."""
        with placed(in_rows):
            return self.columns(self.read(rows))

    def check_golden(self, get: Callable[[str], bytes]) -> None:
        """Try the rows that came with the package."""
        golden = read_golden(self.model.package, get)
        if not golden.rows:
            return
        rows, predictions = list(golden.rows), list(golden.predictions)
        allowed = TOLERANCE
        if self.is_slow:
            # The last digits of a network are the machine's. A picture may have been forgotten since.
            there = [i for i, row in enumerate(rows) if self._are_there(row, get)]
            rows, predictions = [rows[i] for i in there], [predictions[i] for i in there]
            allowed = TOLERANCE_OF_NETWORKS
        if not rows:
            return
        x = self.encode(self.read(rows))
        largest = golden_differences(self.model, x, predictions)
        if largest > allowed:
            raise Corrupt(
                "the package does not answer as it did when it was made",
                where=self.model.digest,
                found=largest,
                allowed=f"differences of at most {allowed:g}",
                hint="let the champion before it serve: linewright rollback LINE",
            )

    def _are_there(self, row: Mapping[str, Any], get: Callable[[str], bytes]) -> bool:
        try:
            for one in self.model.package.encoder.pictures:
                if row.get(one.column) is not None:
                    get(row[one.column])
        except NotFound:
            return False
        return True


def _quick_rows(window: Window | None, *, is_slow: bool) -> int:
    if is_slow:
        return 0
    if window is None:
        return QUICK_ROWS
    # A short row may read as many values as a long one, and a sum may be of thousands.
    return 0 if window.levels else max(1, _QUICK_VALUES // window.length)


def _time_of(columns: Sequence[RequestColumn], limits: Mapping[str, Limit]) -> RequestColumn | None:
    for column in columns:
        if column.type in TIMES and column.name in limits and limits[column.name].is_time:
            return column
    return None


def _ends(encoding: Encoding, limit: Limit | None) -> tuple[float, float]:
    """Return the ends between which an encoded value raises no doubt; a missing number never does."""
    match encoding:
        case Number() if limit is not None:
            return -np.inf if limit.min is None else limit.min, np.inf if limit.max is None else limit.max
        case Category() if (
            limit is not None and limit.allowed and not set(encoding.levels) <= set(limit.allowed)
        ):
            return np.inf, np.inf  # the model knows values that the contract does not allow: look at each row
        case Category():
            return FIRST_CODE if limit is not None and limit.is_complete else MISSING_CODE, np.inf
        case _:
            return -np.inf, np.inf


def _number_doubt(value: float, limit: Limit) -> str:
    if limit.min is not None and value < limit.min:
        return f"is below what the contract allows, {limit.min:g}"
    if limit.max is not None and value > limit.max:
        return f"is above what the contract allows, {limit.max:g}"
    return ""


def _category_doubt(
    levels: Sequence[str] | None, text: str | None, limit: Limit | None, missing: Sequence[str]
) -> str:
    """Say what is doubtful about a text; which ones a model knows that reads raw columns is not known."""
    if text is None or text in missing:
        return ""
    if limit is not None and limit.allowed and text not in limit.allowed:
        return "is not a value that the contract allows"
    return "" if levels is None or text in levels else "is new to the model, or was too rare to learn from"
