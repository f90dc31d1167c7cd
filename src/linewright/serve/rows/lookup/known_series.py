"""Requests that name a series alone: its newest values are those that the last run has read."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt, NotFound, RequestError, Transient
from linewright.features.facts import Window
from linewright.features.series import fill_gaps
from linewright.model.facts import Package
from linewright.serve.rows.body.reader import MAX_ROWS, Place, converter, in_rows
from linewright.serve.rows.body.scalars import shown, spell
from linewright.serve.rows.body.typed import Row, TypedRow, Unusual
from linewright.serve.rows.lookup.series_sums import SumRow
from linewright.text.newest_values import NewestValues
from linewright.text.steps import every_in, step_numbers

_NEVER = "1970-01-01T00:00:00Z"
MOST_FILLED = 2_000_000
"""Values that the rows of one request get: each is logged with the row."""


class Newest(NamedTuple):
    """What an answer says of the values that a row got."""

    newest: str | int
    """Time of the newest."""
    age: int | None
    """Steps since then; `None` if times are plain numbers."""
    warning: str
    """Empty if there is none."""


class Filled(NamedTuple):
    """Rows with the newest values of their series."""

    rows: Sequence[Row]
    """The same object if no row got any."""
    newest: Mapping[int, Newest]
    """By the number of each row that got some."""


class KnownSeries:
    """The newest values of the series of a line, read when they are first needed. Safe to use from several threads."""

    def __init__(self, digest: str | None, get: Callable[[str], bytes]) -> None:
        self.digest, self._get = digest, get
        self._values: NewestValues | None = None
        self._parts: dict[tuple[int, ...], dict[tuple[str, ...], NDArray[np.int64]]] = {}
        self._lock = Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownSeries) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def read(self) -> NewestValues | None:
        """Return the values; `None` if the line has none."""
        if self.digest is None:
            return None
        with self._lock:
            if self._values is None:
                try:
                    self._values = read_whole(self.digest, self._get)
                except ValueError as error:
                    raise Corrupt(
                        str(error), where=self.digest, hint="run the line again: linewright run LINE"
                    ) from error
            return self._values

    def unread(self) -> "KnownSeries":
        """Return the same without values in memory."""
        return KnownSeries(self.digest, self._get)

    @property
    def bytes_read(self) -> int:
        """What the values take in memory, about."""
        values = self._values
        return 0 if values is None else values.values.nbytes + 200 * len(values.names)

    def fill(self, rows: Sequence[Row], package: Package, *, now: str, place: Place) -> Filled:
        """Give the newest values of their series, and the time of the newest, to rows that have none."""
        window = package.encoder.window
        if window is None or len(rows) > MAX_ROWS:  # the reader refuses so many
            return Filled(rows, {})
        missing = {"", *package.missing}
        without = [number for number, row in enumerate(rows) if _is_missing(row.get(window.recent), missing)]
        if not without:
            return Filled(rows, {})
        if isinstance(rows[0], TypedRow):
            raise Unusual
        try:
            values = self.read()
        except NotFound as error:
            raise Transient(
                "the newest values of the series are not there",
                where=str(self.digest),
                hint=f"send them in {window.recent!r}; the next run of the line that reads others keeps these",
            ) from error
        if values is None or not fits(values, window, package):
            raise RequestError(
                "no values are known that this model could read, so a row has to bring its own"
                if values is None
                else "the line file has changed since this model was trained, so that values which newer runs read do not fit it",
                where=place(without[0], window.recent),
                allowed=f"the newest values, and the time of the newest in {window.time!r}",
                hint="the next run that reads newer values keeps them"
                if values is None
                else "send them until a newer model serves",
            )
        reading = _Reading(self, values, package, now, place)
        done: list[Any] = list(rows)
        newest: dict[int, Newest] = {}
        left = MOST_FILLED
        for number in without:
            done[number], newest[number], used = reading.filled(rows[number], number, missing)
            left -= used
            if left < 0:
                raise RequestError(
                    "too many series in one request",
                    where="rows",
                    found=len(without),
                    allowed=f"rows that read {MOST_FILLED:,} values together",
                    hint="ask for them in several requests",
                )
        return Filled(done, newest)

    def sum_again(self, row: Row, package: Package) -> Row:
        """Return a row that asked for a sum of these values, as it was then."""
        return self._reading(package).sum_row(row, 0)[0]

    def names_of_parts(self, row: Row, package: Package) -> list[tuple[str, ...]]:
        """Return the names of the series of a sum of these values."""
        return self._reading(package).names_of_parts(row)

    def _reading(self, package: Package) -> "_Reading":
        values, window = self.read(), package.encoder.window
        if values is None or window is None or not fits(values, window, package):
            raise RequestError("these values are not those of the answer", where=str(self.digest))
        return _Reading(self, values, package, _NEVER, in_rows)

    def parts(self, values: NewestValues, keys: tuple[int, ...], name: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the places of the series that have these names in the columns of these numbers."""
        with self._lock:
            if keys not in self._parts:
                found: dict[tuple[str, ...], list[int]] = {}
                for at, one in enumerate(values.names):
                    found.setdefault(tuple(one[key] for key in keys), []).append(at)
                self._parts[keys] = {own: np.array(at, dtype=np.int64) for own, at in found.items()}
            return self._parts[keys].get(name, np.empty(0, dtype=np.int64))


class _Reading:
    """Fills rows of one request."""

    def __init__(
        self, known: KnownSeries, values: NewestValues, package: Package, now: str, place: Place
    ) -> None:
        window = package.encoder.window
        assert window is not None  # noqa: S101 -- asked by its users
        self._known, self._values, self._window, self._place = known, values, window, place
        self._levels = {frozenset(one.keys) for one in window.levels}
        self._every = every_in(window.steps)
        column = next(one for one in package.columns if one.name == window.time)
        self._read_time = converter(column, frozenset(package.missing))
        self._now = (
            None
            if values.type not in {"date", "datetime"}
            else int(np.datetime64(now.removesuffix("Z"), "us").astype(np.int64))
        )
        self._label = package.label

    def filled(self, row: Row, number: int, missing: set[str]) -> tuple[Mapping[str, Any], Newest, int]:
        values, window = self._values, self._window
        name = tuple(spell(row.get(key)) for key in values.keys)
        if None in name and frozenset(self._keys_of(row)) in self._levels:
            filled, moment, used = self.sum_row(row, number)
            newest = time_in_row(moment, values.type)
            self._check_time(row, number, moment, newest, missing)
            age = self._age(moment)
            return filled, Newest(newest, age, self._warning(age, newest, number)), used
        if None in name:
            key = values.keys[name.index(None)]
            raise RequestError(
                "a row says neither recent values nor which series it is",
                where=self._place(number, key),
                allowed=f"a series in {key!r}, or {window.recent!r} and {window.time!r}",
            )
        at = values.place(tuple(str(one) for one in name))
        if at is None:
            raise RequestError(
                "nothing is known of this series",
                where=self._place(number, values.keys[-1]),
                found=shown(", ".join(map(str, name))),
                hint=f"send its newest values in {window.recent!r}, and the time of the newest in {window.time!r}",
            )
        moment = int(values.at[at])
        newest = newest_time(values, at)
        self._check_time(row, number, moment, newest, missing)
        age = self._age(moment)
        warning = self._warning(age, newest, number)
        recent = values.values_at(at)[-window.length :]
        kept = row if isinstance(row, dict) else {}
        return {**kept, window.time: newest, window.recent: recent}, Newest(newest, age, warning), len(recent)

    def _keys_of(self, row: Row) -> tuple[str, ...]:
        """Return the columns that name a series and that a row has."""
        return tuple(key for key in self._values.keys if spell(row.get(key)) is not None)

    def names_of_parts(self, row: Row) -> list[tuple[str, ...]]:
        """Return the names of the series of a sum."""
        return [self._values.names[place] for place in self._parts_of(row, 0)[0].tolist()]

    def _parts_of(self, row: Row, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the series of a sum that have not ended, and how many steps late the newest value of each is."""
        values, keys = self._values, self._keys_of(row)
        name = tuple(str(spell(row.get(key))) for key in keys)
        places = self._known.parts(values, tuple(values.keys.index(key) for key in keys), name)
        if not len(places):
            raise RequestError(
                "nothing is known of such series",
                where=self._place(number, keys[-1] if keys else ""),
                found=shown(", ".join(name)),
            )
        steps = step_numbers(values.at[places], self._every)
        late = steps.max() - steps
        lives = late <= len(self._window.steps)
        return places[lives], late[lives]

    def sum_row(self, row: Row, number: int) -> tuple[SumRow, int, int]:
        """Return a row that asks for a sum with its series, the time of their newest value, and how many values were read.

        A series whose newest value is more steps older than are said ahead has ended; one that is less late has no value since.
        """
        values, window = self._values, self._window
        places, late = self._parts_of(row, number)
        if len(places) * window.length > MOST_FILLED:
            raise RequestError(
                "a sum of too many series",
                where=self._place(number, ""),
                found=f"{len(places):,} series",
                allowed=f"series that read {MOST_FILLED:,} values together",
                hint="ask for the sums of which it is made",
            )
        moment = int(values.at[places].max())
        time = time_in_row(moment, values.type)
        recent = np.full((len(places), window.length), np.nan)
        for one, (at, behind) in enumerate(zip(places.tolist(), late.tolist(), strict=True)):
            own = values.array_at(at)[-window.length :]
            end = window.length - behind
            kept = own[-end:] if end > 0 else own[:0]
            recent[one, end - len(kept) : end] = kept
        series = [
            {window.time: time, window.recent: [None if v != v else v for v in one[_first(one) :]]}  # noqa: PLR0124 -- NaN
            for one in recent.tolist()
        ]
        total = np.nansum(fill_gaps(recent), axis=0)[int((~np.isnan(recent)).any(axis=0).argmax()) :]
        kept_row = row if isinstance(row, dict) else {}
        made = SumRow(
            {**kept_row, window.time: time, window.recent: total.tolist()},
            keys=frozenset(self._keys_of(row)),
            series=series,
            values=str(self._known.digest),
        )
        return made, moment, len(places) * window.length

    def _check_time(self, row: Row, number: int, moment: int, newest: str | int, missing: set[str]) -> None:
        """Refuse a row whose time is not that of the newest value: what it says of the steps ahead is meant for others."""
        window, given = self._window, row.get(self._window.time)
        if _is_missing(given, missing):
            if not window.known:
                return
            raise RequestError(
                f"{', '.join(map(repr, window.known))} are of the steps after the newest value: say which that is",
                where=self._place(number, window.time),
                allowed=str(newest),
                hint=f"send {window.time!r} with this time, or with {window.recent!r} newer values",
            )
        try:
            time = self._read_time(given)
        except (ValueError, TypeError, OverflowError):
            time = None
        if time is None or len(set(step_numbers(np.array([time, moment], dtype=np.int64), self._every))) > 1:
            raise RequestError(
                "the newest value that is known is of another time",
                where=self._place(number, window.time),
                found=shown(given),
                allowed=str(newest),
                hint=f"send {window.recent!r} too if there are newer values, or this time",
            )

    def _age(self, moment: int) -> int | None:
        if self._now is None:
            return None
        then, now = step_numbers(np.array([moment, self._now], dtype=np.int64), self._every).tolist()
        return max(now - then, 0)

    def _warning(self, age: int | None, newest: str | int, number: int) -> str:
        most, ahead = self._values.max_age, len(self._window.steps)
        if age is None:
            return ""
        if most is not None and age > most:
            raise RequestError(
                "the newest value that is known is too old",
                where=self._place(number, self._window.recent),
                found=f"{newest}, {age:,} steps of {self._every} ago",
                allowed=f"at most {most:,} steps (forecast.max_age)",
                hint=f"run the line when it has newer values, or send them in {self._window.recent!r}",
            )
        if age < ahead:
            return ""
        return f"{self._label}: the newest value that is known, of {newest}, is {age:,} steps old: all steps that are said have passed"


def read_whole(digest: str, get: Callable[[str], bytes]) -> NewestValues:
    """Return the values of a digest; those that go on with others with these before them."""
    values = NewestValues.read(get(digest))
    return values if values.base is None else NewestValues.read(get(values.base)).followed_by(values)


def parts_of(digest: str, get: Callable[[str], bytes]) -> tuple[str, ...]:
    """Return the digests of all bytes that the values of a digest are made of."""
    base = NewestValues.read(get(digest)).base
    return (digest,) if base is None else (digest, base)


def with_ages(warnings: Mapping[int, list[str]], newest: Mapping[int, Newest]) -> dict[int, list[str]]:
    """Return warnings by row, with those about values that are too old for all steps."""
    if not newest:
        return dict(warnings)
    old = {row: [one.warning] for row, one in newest.items() if one.warning}
    return {row: [*warnings.get(row, []), *old.get(row, [])] for row in sorted({*warnings, *old})}


def fits(values: NewestValues, window: Window, package: Package) -> bool:
    """Return whether a model reads such values."""
    names = {column.name for column in package.columns}
    return (values.time, values.label, values.every) == (
        window.time,
        package.label,
        every_in(window.steps),
    ) and {*values.keys} <= names


def _is_missing(value: object, missing: set[str]) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in missing)


def _first(values: Sequence[float]) -> int:
    """Return the place of the first value that is not NaN."""
    return next((place for place, value in enumerate(values) if value == value), len(values))  # noqa: PLR0124


def newest_time(values: NewestValues, place: int) -> str | int:
    """Return the time of the newest value of a series, as a request has it."""
    return time_in_row(int(values.at[place]), values.type)


def time_in_row(moment: int, kind: str) -> str | int:
    """Return a time, in microseconds since 1970 or a number, as a request has it."""
    if kind not in {"date", "datetime"}:
        return moment
    text = str(np.datetime64(moment, "us"))
    return text[:10] if kind == "date" else f"{text.removesuffix('.000000')}Z"
