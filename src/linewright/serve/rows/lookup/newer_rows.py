"""Rows that were sent to the source of a feature view since the file of its records was made."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.features.facts import ViewFacts, ViewInput
from linewright.features.views.aggregates import Constant, read_condition
from linewright.features.views.records import Records, arguments_of, key_number
from linewright.serve.rows.body.scalars import spell
from linewright.serve.rows.body.typed import Row
from linewright.store.clock import micros_of
from linewright.store.pushed_rows import PushedRow
from linewright.text.lists import to_list_text

MOST_NEWER_ROWS = 200_000
"""Most rows that are held. If more come, none of those counts until there is a newer file."""
_DECODER: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})


class _Version(NamedTuple):
    known: int
    key: int
    """0 if nothing can correct it."""
    event: tuple[float, ...] | None
    """Numbers of the columns; `None` for a row that counts for nothing itself."""
    time: int


class NewerRows:
    """Rows by entity that are newer than a file of records. One thread adds to them, while others read what was known at a moment before."""

    def __init__(self, records: Records) -> None:
        self.known = records.header.known
        """All that was known by this moment is here, or in the file."""
        self._facts: ViewFacts = records.header.facts
        self._has_keys = records.header.has_keys
        self._columns = arguments_of(self._facts)
        self._where = None if self._facts.where is None else read_condition(self._facts.where)
        self._zone = None if self._facts.zone is None else ZoneInfo(self._facts.zone)
        self.words = [list(words) for words in records.header.words]
        """Texts of the columns: those of the file, and behind them those that are new."""
        self._codes = [{word: float(code) for code, word in enumerate(words)} for words in self.words]
        self._of_entity: dict[str, list[_Version]] = {}
        self._of_key: dict[int, list[_Version]] = {}
        self.keys: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        """Keys of the rows, ascending."""
        self._many = 0
        self.is_full = False
        """Whether more rows came than are held: nothing is added any more."""

    def add(self, rows: Sequence[PushedRow], known: int) -> bool:
        """Add rows in the order in which they came, all that came by a moment; return whether there was room for them."""
        self.is_full = self.is_full or self._many + len(rows) > MOST_NEWER_ROWS
        if self.is_full:
            return False
        keys = [self._add(row) for row in rows]
        if any(keys):
            self.keys = np.union1d(self.keys, np.array([key for key in keys if key], dtype=np.int64))
        self._many += len(rows)
        self.known = known
        return True

    def _add(self, pushed: PushedRow) -> int:
        """Add a row and return the number of what it is about."""
        facts, row = self._facts, _DECODER.decode(pushed.row)
        key = spell(row.get(facts.key)) if facts.key is not None else None
        typed = {one.name: typed_value(row.get(one.name), one) for one in facts.inputs}
        time = pushed.known if facts.time == facts.known else self._time(row.get(facts.time))
        is_deletion = facts.deleted is not None and _as_flag(row.get(facts.deleted)) is True
        counts = (
            time is not None
            and not is_deletion
            and (self._where is None or self._where.of_row(typed) is True)
        )
        event = (
            tuple(self._number(place, one.of_row(typed)) for place, one in enumerate(self._columns))
            if counts
            else None
        )
        version = _Version(
            pushed.known, key_number(key) if key is not None and self._has_keys else 0, event, time or 0
        )
        if version.key:
            self._of_key.setdefault(version.key, []).append(version)
        if (entity := entity_of(row, facts.entity)) is not None:
            self._of_entity.setdefault(entity, []).append(version)
        return version.key

    def _number(self, place: int, value: Constant | None) -> float:
        if value is None:
            return float("nan")
        if not isinstance(value, str):
            return float(value)
        codes = self._codes[place]
        if value not in codes:
            codes[value] = float(len(codes))
            self.words[place].append(value)
        return codes[value]

    def _time(self, value: object) -> int | None:
        try:
            instant = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        except ValueError:
            return None
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=self._zone or UTC)
        return micros_of(
            instant.isoformat()
        )  # `astimezone` fails in the first and last hours of the calendar

    def events_of(self, entity: str, known: int) -> NDArray[np.int64] | None:
        """Return the events of an entity that counted at a moment, in the order of (known, position), as `Records.table` has them; `None` if there are none."""
        events = [
            one
            for one in self._of_entity.get(entity, ())
            if one.event is not None and one.known <= known and self._is_newest(one, known)
        ]
        if not events:
            return None
        numbers = np.array([one.event for one in events], dtype="<f8").reshape(len(events), -1).view("<i8")
        first = [np.array([one.time for one in events], dtype="<i8")]
        if self._has_keys:
            first.append(np.array([one.key for one in events], dtype="<i8"))
        return np.column_stack([*first, numbers])

    def _is_newest(self, version: _Version, known: int) -> bool:
        """Return whether nothing that was known at a moment corrects a row."""
        if not version.key:
            return True
        for later in reversed(self._of_key[version.key]):
            if later.known <= known:
                return later is version
        return False

    def corrects(self, keys: NDArray[np.int64], known: int) -> NDArray[np.bool_] | None:
        """Return which events of the file, by their keys, were corrected or deleted by a moment; `None` if none was."""
        held = self.keys
        if not len(held):
            return None
        places = np.minimum(np.searchsorted(held, keys), len(held) - 1)
        found = held[places] == keys
        for place in np.flatnonzero(found):  # few, and nearly all known by then
            found[place] = self._of_key[int(keys[place])][0].known <= known
        return found if found.any() else None


def entity_of(row: Row | Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the text of the entity that a row is about; `None` if it does not say one.

    Examples
    --------
    >>> entity_of({"a": 7, "b": " x"}, ["a"]), entity_of({"a": 7, "b": " x"}, ["a", "b"]), entity_of({}, ["a"])
    ('7', '["7","x"]', None)
    """
    texts = [spell(row.get(name)) for name in names]
    if len(texts) == 1:
        return texts[0]
    return None if None in texts else to_list_text([text for text in texts if text is not None])


def typed_value(value: object, column: ViewInput) -> Constant | None:
    """Return a value that was sent as one of the type that the column of a source has; `None` if it is none.

    Examples
    --------
    >>> typed_value("1.5", ViewInput(name="a", type="number")), typed_value(7, ViewInput(name="a", type="category"))
    (1.5, '7')
    """
    match column.type:
        case "number" | "integer":
            return _as_number(value)
        case "boolean":
            return _as_flag(value)
        case _:
            return spell(value)


def _as_number(value: object) -> float | None:
    try:
        return (
            float(value.strip() if isinstance(value, str) else value)
            if isinstance(value, str | int | float)
            else None
        )
    except ValueError:
        return None


def _as_flag(value: object) -> bool | None:
    text = (spell(value) or "").lower()
    return True if text in _TRUE else False if text in _FALSE else None
