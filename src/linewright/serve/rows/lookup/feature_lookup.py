"""Lookup of feature views by entity: a row of a request gets the columns that are known of its entity as the request comes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from linewright.errors import Corrupt, LinewrightError, RequestError, Transient
from linewright.features.facts import ViewFacts
from linewright.features.views.records import (
    FoundRecords,
    Records,
    aggregates_of,
    damage_path,
    record_digest,
    records_path,
)
from linewright.serve.rows.body.reader import MAX_ROWS, Place
from linewright.serve.rows.body.scalars import shown, spell
from linewright.serve.rows.body.typed import Row, TypedRow, Unusual
from linewright.serve.rows.lookup.newer_rows import MOST_NEWER_ROWS, NewerRows, entity_of
from linewright.store.clock import instant_of, micros_of, now_utc
from linewright.store.files.stamps import Stamp, stamp_at
from linewright.store.pushed_rows import PushedRows
from linewright.store.shared_features import shared_features

REFRESH_S = 0.2
"""Time between two checks for a newer file and for rows that were sent."""

RETRY_S = 1.0
"""The same, after a database did not answer."""


Missing = Literal["view-absent", "view-old", "view-empty", "view-damaged"]
"""Why a row got nothing of a view: no row of its source is about the entity, all are too old for each column, the newest have no values, or
what the file of records has of it is not what was written."""


class LookupResult(NamedTuple):
    """What the lookup of one view found for a row."""

    known: str
    """What was known by this moment counted: UTC, RFC 3339 with microseconds."""
    record: str | None
    """Digest of the events of its entity; `None` if it was absent."""
    age: float
    """Seconds since `known`, or since `table` if it is there."""
    defaulted: bool = False
    """Whether the row got nulls, as what was known was too old."""
    table: str | None = None
    """What the source held by this moment counted, in the form of `known`, if rows that were sent since count besides."""
    missing: Missing | None = None
    """Why each column is null; `None` if one is not, or if `defaulted`."""


class RowsWithFeatures(NamedTuple):
    """Rows with the columns of feature views."""

    rows: Sequence[Row]
    """The same object if no row got any."""
    found: Sequence[Mapping[str, LookupResult]]
    """By row and view; empty for a row that has the columns itself. None if no row got any."""
    warnings: Mapping[int, list[str]] = MappingProxyType({})
    """By row, of which views it got nothing, and why."""
    unknown: Mapping[int, frozenset[str]] = MappingProxyType({})
    """By row, columns that are null since nothing is known of the entity."""

    def with_rows_of(self, other: "RowsWithFeatures", numbers: Sequence[int]) -> "RowsWithFeatures":
        """Return these rows, with those of `numbers` taken from another."""
        rows, found = list(self.rows), list(self.found or [{} for _ in self.rows])
        for number in numbers:
            rows[number] = other.rows[number]
            found[number] = other.found[number] if other.found else {}
        warnings = {**self.warnings, **other.warnings}
        if not any(found):
            return RowsWithFeatures(self.rows, (), warnings)
        return RowsWithFeatures(rows, found, warnings, {**self.unknown, **other.unknown})


class _Snapshot(NamedTuple):
    """What is known of a view at one moment. It never changes, so that requests read it without a lock."""

    records: Records
    newer: NewerRows | None
    known: int
    trouble: LinewrightError | None = None
    """Why nothing newer is known, if there may be something."""


class ViewLookup:
    """Lookup in one view, as one model has learned it. Safe to use from several threads."""

    def __init__(self, state: Path, facts: ViewFacts, *, now: Callable[[], str] = now_utc) -> None:
        self._state, self._facts, self._now = state, facts, now
        self._path = records_path(state, facts)
        windows = [one.over for one in aggregates_of(facts)]
        self._reach = None if None in windows else max(filter(None, windows), default=None)
        """How old an event may be, in microseconds, that counts for any column; `None` for any age."""
        self._snapshot: _Snapshot | None = None
        self._lock = Lock()
        self.damaged = 0
        """How often requests wanted a record that is damaged."""
        self._noted: Stamp | None = None
        """Of the file that was last said to be damaged."""
        self._damaged_noted = 0
        self.trouble: LinewrightError | None = None
        """Why it is not known whether there is something newer; `None` if it is."""

    @property
    def name(self) -> str:
        """Name of the view."""
        return self._facts.view

    @property
    def push(self) -> str | None:
        """Where rows are sent that count at once; `None` if nowhere, or if no records are there yet."""
        return None if self._snapshot is None else self._snapshot.records.header.push

    def refresh(self) -> None:
        """Read the newer file of records, if there is one, and the rows that were sent since it was made."""
        with self._lock:
            try:
                self._fetch()
                snapshot = self._read()
                self._snapshot = snapshot if snapshot.newer is None else self._with_newer(snapshot)
                self.trouble = None
            except LinewrightError as error:
                self.trouble = error
                raise

    def tell_damage(self) -> None:
        """Leave word for `linewright up` of a file that is damaged, once for each, as requests have met it or it cannot be read."""
        met, stamp = self.damaged, stamp_at(self._path)
        if self._snapshot is not None and not isinstance(self.trouble, Corrupt):
            stamp = self._snapshot.records.stamp
        if (met > self._damaged_noted or isinstance(self.trouble, Corrupt)) and stamp not in {
            None,
            self._noted,
        }:
            with suppress(OSError):
                damage_path(self._path).touch()
                self._noted, self._damaged_noted = stamp, met

    def _fetch(self) -> None:
        """Get the file of records that another machine wrote, if it knows more. What is here counts whether that can be said or not."""
        shared = shared_features(self._state)
        if shared is not None:
            if self._snapshot is None:
                with suppress(FileNotFoundError):
                    self._snapshot = self._read()
            known = -1 if self._snapshot is None else self._snapshot.records.header.known
            shared.fetch(self._path, since=known)

    def _read(self) -> _Snapshot:
        """Return what is known, from a newer file if there is one."""
        snapshot = self._snapshot
        if snapshot is not None and stamp_at(self._path) in {None, snapshot.records.stamp}:
            return snapshot
        records = Records(self._path)
        newer = NewerRows(records) if records.header.push else None
        return _Snapshot(records, newer, records.header.known)

    def _with_newer(self, snapshot: _Snapshot) -> _Snapshot:
        push, newer = snapshot.records.header.push, snapshot.newer
        if newer is None or push is None or newer.is_full:
            return snapshot
        pushed = PushedRows.of(self._state, push, now=self._now)
        if not pushed.is_open:
            return snapshot
        rows, known = pushed.since(newer.known, most=MOST_NEWER_ROWS + 1)
        return snapshot._replace(known=newer.known) if newer.add(rows, known) else snapshot

    def of(
        self, entities: Sequence[str | None], now: str
    ) -> Iterator[tuple[dict[str, Any], LookupResult, _Snapshot]]:
        """Give the columns of the view of each entity as a request comes, and what is to be said of them."""
        # Requests wait for no database: the thread asks it.
        if self._snapshot is None and shared_features(self._state) is None:
            with suppress(FileNotFoundError, Corrupt):
                self.refresh()
        snapshot = self._snapshot
        if snapshot is None:
            trouble = self.trouble
            raise Transient(
                f"the records of feature view {self._facts.view!r} are not there",
                where=self._path.name,
                found=None if trouble is None else _named(trouble),
                hint="linewright up writes them, or a run of the line; or send the columns of the view",
            )
        moment = micros_of(now)
        # Of the rows that were sent, none that came after the request; a file may be newer than it, if only just.
        snapshot = snapshot._replace(
            known=max(snapshot.records.header.known, min(snapshot.known, moment)), trouble=self.trouble
        )
        asked = list(dict.fromkeys(one for one in entities if one is not None))
        found = _found(snapshot, asked)
        words = None if snapshot.newer is None else snapshot.newer.words
        made = snapshot.records.values_at(found.table, found.counts, moment, words)
        names = [column.name for column in self._facts.columns]
        columns: list[dict[str, Any]] = [{} for _ in asked]
        for name in names:
            for row, value in zip(columns, made[name].to_list(), strict=True):
                row[name] = value
        missing = self._missing(found, columns, moment)
        self.damaged += len(found.damaged)
        header, known = snapshot.records.header, instant_of(snapshot.known)
        table = instant_of(header.known) if header.has_table else None
        age = max(moment - (header.known if header.has_table else snapshot.known), 0) / 1e6
        results = [
            LookupResult._make(
                (known, None if why in {"view-absent", "view-damaged"} else one, age, False, table, why)
            )
            for one, why in zip(found.digests, missing, strict=True)
        ]
        places = {entity: place for place, entity in enumerate(asked)}
        for entity in entities:
            if entity is None:
                nothing = LookupResult(known, None, age, table=table, missing="view-absent")
                yield dict.fromkeys(names), nothing, snapshot
            else:
                place = places[entity]
                yield columns[place], results[place], snapshot

    def _missing(
        self, found: FoundRecords, columns: Sequence[Mapping[str, Any]], moment: int
    ) -> list[Missing | None]:
        """Say of each entity why it got nothing, if so. Its events are in the order of their times."""
        passed = np.zeros(len(found.table) + 1, dtype=np.int64)
        np.cumsum(found.table[:, 0] <= moment, out=passed[1:])
        ends = np.cumsum(found.counts)
        starts = ends - found.counts
        happened = passed[ends] - passed[starts]
        said: list[Missing | None] = []
        of_each = zip(starts.tolist(), happened.tolist(), columns, strict=True)
        for place, (start, many, values) in enumerate(of_each):
            if not many:
                said.append("view-damaged" if place in found.damaged else "view-absent")
            elif any(value is not None for value in values.values()):
                said.append(None)
            else:
                is_old = self._reach is not None and found.table[start + many - 1, 0] <= moment - self._reach
                said.append("view-old" if is_old else "view-empty")
        return said


def _found(snapshot: _Snapshot, asked: Sequence[str]) -> FoundRecords:
    """Return the events of entities, with the rows that were sent since the file was made."""
    records, newer = snapshot.records, snapshot.newer
    found = records.find(asked)
    if newer is None:
        return found
    has_keys = records.header.has_keys and len(found.table) > 0
    corrected = newer.corrects(found.table[:, 1], snapshot.known) if has_keys else None
    left = np.ones(len(found.table), dtype=np.bool_) if corrected is None else ~corrected
    # What came later is not all of a record that is damaged.
    more = {
        place: newer.events_of(entity, snapshot.known)
        for place, entity in enumerate(asked)
        if place not in found.damaged
    }
    ends = np.cumsum(found.counts)
    changed = {place for place, rows in more.items() if rows is not None}
    changed.update(np.searchsorted(ends, np.flatnonzero(~left), side="right").tolist())
    if not changed:
        return found
    tables, digests = np.split(found.table, ends[:-1]), list(found.digests)
    for place in changed:
        table = tables[place][left[ends[place] - found.counts[place] : ends[place]]]
        rows = more.get(place)
        if rows is not None:
            table = np.concatenate([table, rows])
            table = table[np.argsort(table[:, 0], kind="stable")]
        tables[place] = table
        digests[place] = f"sha256:{record_digest(asked[place], table.tobytes()).hex()}"
    counts = np.array([len(table) for table in tables])
    return FoundRecords(np.concatenate(tables), counts, digests, found.damaged)


class FeatureLookup:
    """Lookup in the feature views of all lines of an endpoint: one thread refreshes them from the first request on."""

    def __init__(self, state: Path, *, now: Callable[[], str] = now_utc) -> None:
        self._state, self._now = state, now
        self._views: dict[str, ViewLookup] = {}
        self._lock, self._ends = Lock(), Event()
        self._thread: Thread | None = None

    def of(self, facts: ViewFacts) -> ViewLookup:
        """Return a view as a model has learned it."""
        name = records_path(self._state, facts).name
        view = self._views.get(name)
        if view is None:
            with self._lock:
                view = self._views.setdefault(name, ViewLookup(self._state, facts, now=self._now))
                if self._thread is None:
                    self._thread = Thread(target=self._keep_refreshing, name="views", daemon=True)
                    self._thread.start()
        return view

    def reading(self, push: str) -> list[str]:
        """Return the names of the views in which rows that are sent to a source count at once, as far as models here have learned them."""
        return sorted({view.name for view in list(self._views.values()) if view.push == push})

    @property
    def damaged(self) -> Mapping[str, int]:
        """How often requests asked for a record that is damaged, by view."""
        counts = Counter[str]()
        for view in list(self._views.values()):
            counts[view.name] += view.damaged
        return counts

    def refresh(self, views: Sequence[ViewFacts]) -> None:
        """Read what is known of views now, before a request comes."""
        for facts in views:
            with suppress(
                LinewrightError, OSError
            ):  # the thread tries again, and answers say what is not there
                self.of(facts).refresh()

    def _keep_refreshing(self) -> None:
        pause = REFRESH_S
        while not self._ends.wait(pause):
            pause = REFRESH_S
            for view in list(self._views.values()):
                try:
                    view.refresh()
                except (LinewrightError, OSError) as error:  # what is known stays, and its age says so
                    pause = RETRY_S if isinstance(error, Transient) else pause
                view.tell_damage()

    def close(self) -> None:
        """Stop the thread."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()

    def fill(
        self,
        rows: Sequence[Row],
        views: Sequence[ViewFacts],
        *,
        now: str,
        place: Place,
        only: Sequence[int] | None = None,
    ) -> RowsWithFeatures:
        """Give rows the columns of views; a row that has a value in one of a view's columns gets none of them."""
        if not views or not rows or len(rows) > MAX_ROWS:  # the reader refuses so many
            return RowsWithFeatures(rows, ())
        if isinstance(rows[0], TypedRow):
            raise Unusual
        done: list[Any] = list(rows)
        found: list[dict[str, LookupResult]] = [{} for _ in rows]
        numbers = [n for n in (range(len(rows)) if only is None else only) if isinstance(rows[n], dict)]
        for facts in views:
            names = [column.name for column in facts.columns]
            mine = [n for n in numbers if all(rows[n].get(name) is None for name in names)]
            if not mine:
                continue
            entities = [entity_of(rows[number], facts.entity) for number in mine]
            for number, (columns, one, snapshot) in zip(mine, self.of(facts).of(entities, now), strict=True):
                decided = _decided(columns, one, snapshot, place(number, facts.entity[-1]), rows[number])
                done[number] = {**done[number], **decided}
                is_defaulted = decided is not columns and one.record is not None
                missing = None if is_defaulted else one.missing
                found[number][facts.view] = one._replace(defaulted=is_defaulted, missing=missing)
        if not any(found):
            return RowsWithFeatures(rows, (), self._warnings(rows, found, views, numbers))
        unknown = {number: _unknown(found[number], views) for number in numbers}
        return RowsWithFeatures(
            done,
            found,
            self._warnings(done, found, views, numbers),
            {number: names for number, names in unknown.items() if names},
        )

    def _warnings(
        self,
        rows: Sequence[Row],
        found: Sequence[Mapping[str, LookupResult]],
        views: Sequence[ViewFacts],
        numbers: Sequence[int],
    ) -> dict[int, list[str]]:
        """Say, by row, of which views it got nothing, and which may know more than it got."""
        said = _reasons(rows, found, views, numbers)
        for facts in views:
            trouble = self.of(facts).trouble
            for number in numbers if trouble is not None else ():
                one = found[number].get(facts.view)
                if one is not None and trouble is not None:
                    text = f"feature view {facts.view!r} knows nothing newer than {one.age:,.0f} s: {_named(trouble)}"
                    said.setdefault(number, []).append(text)
        return said


def _reasons(
    rows: Sequence[Row],
    found: Sequence[Mapping[str, LookupResult]],
    views: Sequence[ViewFacts],
    numbers: Sequence[int],
) -> dict[int, list[str]]:
    """Say, by row, of which views it got nothing, and why."""
    said = dict[int, list[str]]()
    for number in numbers:
        for facts in views:
            one = found[number].get(facts.view)
            if one is None or one.record is None:
                why = _why_nothing(rows[number], facts, one)
                said.setdefault(number, []).append(why)
            elif one.missing is not None:
                why = "rows are too old to count" if one.missing == "view-old" else "newest rows are empty"
                text = f"feature view {facts.view!r} has no value for {_entity(rows[number], facts)}: its {why} ({one.missing})"
                said.setdefault(number, []).append(text)
    return said


def _named(trouble: LinewrightError) -> str:
    """Return what an answer says of it: not how it came, since that may name more than clients are to know."""
    return trouble.what if trouble.found is None else f"{trouble.what} ({trouble.found})"


def _unknown(found: Mapping[str, LookupResult], views: Sequence[ViewFacts]) -> frozenset[str]:
    nothing = {view for view, one in found.items() if one.record is None}
    return frozenset(column.name for facts in views if facts.view in nothing for column in facts.columns)


def _why_nothing(row: Row, facts: ViewFacts, found: LookupResult | None) -> str:
    if found is None:
        own = next(column.name for column in facts.columns if row.get(column.name) is not None)
        return f"feature view {facts.view!r} was not looked up, for the row has a value in {own!r} itself"
    lacking = [name for name in facts.entity if spell(row.get(name)) is None]
    if lacking:
        return f"feature view {facts.view!r} was not looked up, for the row has no {lacking[0]!r}"
    if found.missing == "view-damaged":
        return f"the record of {_entity(row, facts)} in feature view {facts.view!r} is damaged, and does not count (view-damaged)"
    return f"nothing is known of {_entity(row, facts)} in feature view {facts.view!r} (view-absent)"


def _entity(row: Row, facts: ViewFacts) -> str:
    return ", ".join(f"{name} {shown(row.get(name))}" for name in facts.entity)


def _decided(
    columns: Mapping[str, Any], one: LookupResult, snapshot: _Snapshot, where: str, row: Row
) -> Mapping[str, Any]:
    """Return the columns of an answer; null if the record is too old and nothing is taken for it."""
    header = snapshot.records.header
    is_old = header.max_age is not None and one.age * 1e6 > header.max_age
    is_absent = one.record is None
    if not (is_old or is_absent) or header.otherwise == "answer":
        return columns
    if header.otherwise == "default":
        return dict.fromkeys(columns, None)
    facts = header.facts
    if one.missing == "view-damaged":
        raise Transient(
            f"the record of this {', '.join(facts.entity)} in feature view {facts.view!r} is damaged",
            where=where,
            hint="linewright up writes the records again, or a run of the line; or send the columns of the view",
        )
    if is_absent:
        raise RequestError(
            f"feature view {facts.view!r} knows nothing of this {', '.join(facts.entity)}",
            where=where,
            found=shown(entity_of(row, facts.entity)),
            hint=f"send the columns of the view, or change `otherwise` in features/{facts.view}.yaml",
        )
    raise RequestError(
        f"what feature view {facts.view!r} knows is too old",
        where=where,
        found=f"{one.age:,.0f} s",
        allowed=f"at most {(header.max_age or 0) / 1e6:,.0f} s (max_age)",
        hint=_named(snapshot.trouble)
        if snapshot.trouble is not None
        else "linewright up makes newer records while it runs",
    )
