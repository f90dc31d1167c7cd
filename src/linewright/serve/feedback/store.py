"""Labels: what turned out to be true, by prediction id or by key.

One SQLite file a line. It holds the labels and an index of the prediction log (see `index`), which is caught up inside the
transaction that needs it, so that memory does not grow with the log.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from linewright.errors import Corrupt, RequestError, Terminal
from linewright.model.facts import Package
from linewright.serve.answers import FeedbackAnswer
from linewright.serve.facts import LoggedAnswer, LoggedAnswers, Prediction, Replaced, Truth
from linewright.serve.feedback.apply import answer_before, keep, remember, unknown
from linewright.serve.feedback.changes import CHANGES, chain_up, wrong_changes
from linewright.serve.feedback.history import (
    EARLIER,
    Known,
    all_kept_in,
    came_since,
    kept_in,
    labels_in,
    newest_of,
    replaced_of,
    wrong_labels,
)
from linewright.serve.feedback.parse import Label, Place, check_labels, in_labels
from linewright.serve.feedback.remove import Gone, has_segments, remove_predictions, remove_segments
from linewright.serve.log.ids import id_of, number_after, number_of
from linewright.serve.log.index import (
    INDEX,
    KEYED,
    FramePlace,
    counted,
    damage_in,
    latest_frames,
    latest_places,
    place_of,
    take_in,
)
from linewright.serve.log.records import answers_of
from linewright.serve.log.segments import (
    NOTHING_SEALED,
    TORN,
    Damage,
    Logged,
    RecordsAt,
    SealedSegments,
    is_being_written,
    lengths,
    read_frames_at,
    read_log,
)
from linewright.store.changes import Chained
from linewright.store.clock import now_utc
from linewright.store.files.disk import explain_sqlite, faults_explained, sync_folder
from linewright.store.files.names import line_path
from linewright.store.files.stamps import Stamp, is_young, stamp_of
from linewright.store.metadata.schema import Part, schema_of
from linewright.store.values import digest_of_bytes

T = TypeVar("T")
BUSY_S = 10.0
"""Longest wait, in seconds, for another process that writes labels of the same line."""
MOST_NAMED = 5
"""Labels without a prediction that an answer names."""
_BELOW_MS = 80
"""Bits of an id behind its milliseconds."""
_BATCH = 2_000
"""Predictions whose labels are looked up at once."""
MAX_IDEMPOTENCY_KEY = 255

_LABELS = """
CREATE TABLE by_id (id BLOB PRIMARY KEY, label TEXT NOT NULL, at TEXT, received TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX by_id_received ON by_id (received);
CREATE TABLE by_key (key TEXT PRIMARY KEY, label TEXT NOT NULL, at TEXT, received TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX by_key_received ON by_key (received);
CREATE TABLE answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, answer TEXT NOT NULL, received TEXT NOT NULL);
"""
_STEPS = (f"{INDEX}{_LABELS}{EARLIER}{CHANGES}PRAGMA user_version = 1;\n",)
"""What brings a file from each version of its form to the next."""


class Counts(NamedTuple):
    """How much is known of a line."""

    predictions: int
    labelled: int
    """Predictions whose label is known: a label by key counts once for each prediction about that key."""


class TurnedOut(NamedTuple):
    """A prediction whose truth is known, by its place in the log."""

    segment: str
    offset: int
    id: str
    received: str
    """When its label came."""


class Audit(NamedTuple):
    """How many labels there are, and what is wrong with them."""

    labels: int
    wrong: list[str]
    changes: int = 0
    """How many changes of labels there are: each that came, and each correction."""


class Indexed(NamedTuple):
    """What a file of labels says of the log."""

    ends: Mapping[str, int]
    """Up to where each segment is in the index."""
    damage: Sequence[Damage]
    counts: Counts
    kept: int
    """Labels, by id and by key."""


_last_indexed: dict[Path, tuple[Stamp, Indexed]] = {}
"""By file, in this process; some hundred bytes a line."""


class Feedback:
    """The labels of one line. Safe to use from several threads and processes."""

    def __init__(
        self,
        file: Path,
        log_folder: Path,
        *,
        now: Callable[[], str] = now_utc,
        sealed: SealedSegments = NOTHING_SEALED,
    ) -> None:
        self._file, self._log, self._now, self._sealed = file, log_folder, now, sealed

    @classmethod
    def of(
        cls,
        state: Path,
        line: str,
        *,
        now: Callable[[], str] = now_utc,
        sealed: SealedSegments = NOTHING_SEALED,
    ) -> "Feedback":
        """Return the labels of a line, from the state folder of its factory."""
        file, log = line_path(state / "feedback", line, ".sqlite"), line_path(state / "log", line)
        return cls(file, log, now=now, sealed=sealed)

    def beside(self, log_folder: Path) -> "Feedback":
        """Return the same labels over another log, of the same ids. Only `labelled` may be asked of it: the index is of one log."""
        return Feedback(self._file, log_folder, now=self._now)

    def accept(
        self,
        labels: object,
        *,
        package: Package,
        idempotency_key: str | None = None,
        place: Place = in_labels,
    ) -> FeedbackAnswer:
        """Keep labels durably; all of them or, where one is wrong or contradicts another, none."""
        return self.accept_checked(
            check_labels(labels, package, place), idempotency_key=idempotency_key, place=place
        )

    def accept_checked(
        self, checked: list[Label], *, idempotency_key: str | None = None, place: Place = in_labels
    ) -> FeedbackAnswer:
        """Keep labels that `check_labels` has returned, as `accept` does."""
        if idempotency_key is not None and not 0 < len(idempotency_key) <= MAX_IDEMPOTENCY_KEY:
            raise RequestError(
                "the idempotency key has a wrong length",
                where="Idempotency-Key",
                found=len(idempotency_key),
                allowed=f"1 to {MAX_IDEMPOTENCY_KEY} characters",
            )
        body = digest_of_bytes(msgspec.json.encode(checked))
        with self._caught_up() as database:
            received = self._now()  # in the transaction: what is received later is kept later
            if idempotency_key is not None and (known := answer_before(database, idempotency_key, body)):
                return known
            became = [keep(database, label, received, place) for label in checked]
            answer = _answer(checked, became, place)
            chain_up(database)
            if idempotency_key is not None:
                remember(database, idempotency_key, body, answer, received)
            return answer

    def find(self, prediction_id: str) -> tuple[Prediction, Truth | None] | None:
        """Return a logged prediction with its label, or `None` where no prediction has that id."""
        number = number_of(prediction_id)
        if number is None:
            return None
        with self._caught_up() as database:
            place = place_of(database, number)
            truth = newest_of(database, number, place.key) if place else None
        record = self._records().read(place.segment, place.offset, id_of(number)) if place else None
        return (record, truth) if record else None

    def has(self, prediction_id: str) -> bool:
        """Return whether the index has a prediction with that id. Nothing is written, so one that came a moment ago may be missing."""
        number = number_of(prediction_id)
        if number is None:
            return False
        return bool(self._look(lambda database: place_of(database, number) is not None))

    def latest(
        self, limit: int, *, before: str | None = None, key: str | None = None
    ) -> list[tuple[Prediction, Truth | None]]:
        """Return the predictions that came last, each with its label, the newest first."""
        older = None if before is None else number_of(before)
        found, log = list[tuple[bytes, Prediction]](), self._records()
        while len(found) < limit:
            with self._caught_up() as database:
                places = latest_places(database, limit - len(found), before=older, key=key)
            if not places:
                break
            for number, place in places:
                older = number
                if (record := log.read(place.segment, place.offset, id_of(number))) is not None:
                    found.append((number, record))
        with self._connected() as database:
            return [(record, newest_of(database, number, record.key)) for number, record in found]

    def answers(self, *, before: str | None = None) -> Iterator[LoggedAnswers]:
        """Iterate over the answers that came last, frame by frame, without their rows: the newest frame first."""
        older = None if before is None else number_of(before)
        with self._caught_up():
            pass
        while True:
            with self._connected() as database:
                places = latest_frames(database, _BATCH, before=older)
            if not places:
                return
            found = self._answers_at(places)
            yield from (found[place.segment, place.offset] for place in places if place[2:] in found)
            older = places[-1].first

    def _answers_at(self, places: Sequence[FramePlace]) -> dict[tuple[str, int], LoggedAnswers]:
        """Return the answers of some frames by their places; those that are gone are passed over."""
        offsets, found = dict[str, list[int]](), dict[tuple[str, int], LoggedAnswers]()
        for place in places:
            offsets.setdefault(place.segment, []).append(place.offset)
        for segment, those in offsets.items():
            for frame in read_frames_at(self._log, segment, those, sealed=self._sealed):
                with suppress(msgspec.MsgspecError):
                    if (answers := answers_of(frame.payload)) is not None:
                        found[segment, frame.offset] = answers
        return found

    def labels_of(self, answers: Sequence[LoggedAnswer]) -> list[Truth | None]:
        """Return what turned out to be true for some answers, in their order."""
        with self._connected() as database:
            return [newest_of(database, number_of(one.id) or b"", one.key) for one in answers]

    def first_since(self, instant: str) -> str | None:
        """Return an id that is greater than those of all answers before an instant, and of none after it; `None` if all are before it.

        Ids grow with the time of the answer, which need not be the one that is in them. It is found by about fifty looks at the index.
        """
        with self._caught_up():
            pass
        with self._connected() as database:

            def is_before(end: int | None) -> bool:
                """Whether the last frame below this millisecond is before the instant."""
                places = latest_frames(
                    database, 1, before=None if end is None else (end << _BELOW_MS).to_bytes(16)
                )
                answers = self._answers_at(places[:1])
                return not answers or next(iter(answers.values())).at < instant

            newest = latest_frames(database, 1, before=None)
            if not newest or is_before(None):
                return None
            low, high = 0, (int.from_bytes(newest[0].first) >> _BELOW_MS) + 1
            while high - low > 1:  # what is below `low` is before the instant, something below `high` is not
                middle = (low + high) // 2
                low, high = (middle, high) if is_before(middle) else (low, middle)
        return id_of((low << _BELOW_MS).to_bytes(16))

    def find_all(self, prediction_ids: Collection[str]) -> dict[str, tuple[Prediction, Truth | None]]:
        """Return logged predictions with their labels, by id as it was given; those of one frame of the log are read together."""
        numbers = {one: number for one in prediction_ids if (number := number_of(one)) is not None}
        with self._caught_up() as database:
            places = {one: place_of(database, number) for one, number in numbers.items()}
            labels = {
                one: newest_of(database, numbers[one], place.key) for one, place in places.items() if place
            }
        log, found = self._records(), dict[str, tuple[Prediction, Truth | None]]()
        there = sorted((place.segment, place.offset, one) for one, place in places.items() if place)
        for segment, offset, one in there:
            record = log.read(segment, offset, id_of(numbers[one]))
            if record is not None:
                found[one] = record, labels[one]
        return found

    def replaced(self, prediction_id: str) -> tuple[Replaced, ...]:
        """Return the labels that a prediction had before its label was corrected, the earliest first. Nothing is written."""
        number = number_of(prediction_id)
        if number is None or not self._file.exists():
            return ()
        with self._connected() as database:
            return replaced_of(database, number)

    def labelled(
        self, *, known_by: str, after: Mapping[str, int] | None = None, until: Mapping[str, int] | None = None
    ) -> Iterator[tuple[Prediction, Truth | None]]:
        """Iterate over logged predictions in the order of the log, each with its label if that was known.

        Notes
        -----
        One batch of records is in memory at a time.
        """
        for one, truth in self._labelled(Known(known_by), after, until):
            yield one.record, truth

    def labelled_since(
        self, after: Mapping[str, int] | None, *, known_by: str
    ) -> Iterator[tuple[Prediction, Truth]]:
        """Iterate over the predictions behind a position of the log whose label is known, in the order of the log.

        Predictions without a label are not read: many labels take long, and many predictions do not.
        """
        with self._caught_up():
            pass
        log = self._records()
        with self._connected() as database:
            for one in came_since(database, "", Known(known_by), after=after):
                record = log.read(one.segment, one.offset, one.id)
                if record is not None:
                    yield record, one.truth

    def labelled_in_place(
        self, *, known_by: str, after: Mapping[str, int] | None = None, until: Mapping[str, int] | None = None
    ) -> Iterator[tuple[Logged, Truth | None]]:
        """Iterate like `labelled`, with the place of each prediction in the log."""
        yield from self._labelled(Known(known_by), after, until)

    def _labelled(
        self, known: Known, after: Mapping[str, int] | None, until: Mapping[str, int] | None = None
    ) -> Iterator[tuple[Logged, Truth | None]]:
        logged = read_log(self._log, after, until=until, sealed=self._sealed)
        while batch := list(islice(logged, _BATCH)):
            numbers = [number_of(one.record.id) for one in batch]
            keys = [one.record.key for one in batch if one.record.key is not None]
            with self._connected() as database:
                by_id = labels_in(database, "id", numbers, known)
                by_key = labels_in(database, "key", keys, known)
            for one, number in zip(batch, numbers, strict=True):
                yield one, by_id.get(number) or by_key.get(one.record.key)

    def arrived(
        self, start: str, end: str, *, after: Mapping[str, int] | None = None
    ) -> Iterator[tuple[Prediction, Truth]]:
        """Iterate over the predictions made before `end` whose truth came to be known in [start, end).

        Either the label was received then, or the prediction was made then, about a key whose label was there already. The
        label is the one that was known when `end` came; a correction comes like any label.
        """
        known = Known(end, is_included=False)
        with self._caught_up():
            pass
        log = self._records()
        with self._connected() as database:
            for one in came_since(database, start, known):
                record = log.read(one.segment, one.offset, one.id)
                if record is not None and record.at < end:
                    yield record, one.truth
        for one, truth in self._labelled(known, after):
            if truth is not None and truth.received < start <= one.record.at < end:
                yield one.record, truth

    def turned_out(self, label: str | float | None, *, since: str, known_by: str) -> Iterator[TurnedOut]:
        """Iterate over the predictions whose label came to be known in [since, known_by] and is `label` (`None`: any), by their places.

        A label by key stands for each prediction about that key that has none by id. Only labels of that time are read.
        """
        with self._caught_up():
            pass
        with self._connected() as database:
            for one in came_since(database, since, Known(known_by), label=label):
                yield TurnedOut(one.segment, one.offset, one.id, one.truth.received)

    def _records(self) -> RecordsAt:
        return RecordsAt(self._log, sealed=self._sealed)

    def counts(self, *, caught_up: bool = True) -> Counts:
        """Count the logged predictions, and those whose truth is known."""
        if not caught_up and not self._file.exists():
            return Counts(0, 0)
        with self._caught_up() if caught_up else self._connected() as database:
            return _counts_in(database)

    def catch_up(self) -> list[Damage]:
        """Take new records of the log into the index, so that the next label does not wait for it."""
        with self._caught_up() as database:
            damage = damage_in(database)
        return [each for each in damage if self._is_damage(each)]

    def standing(self) -> tuple[list[Damage], Counts]:
        """Return what `catch_up` and `counts` do, by one look at the file; nothing is written where the index has all there is."""
        with suppress(FileNotFoundError, NotADirectoryError):
            indexed = self._indexed()
            # A file that was lost and made anew knows no segment: what is sealed may be missing from it.
            if indexed.ends and all(
                indexed.ends.get(name) == end for name, end in lengths(self._log).items()
            ):
                return [each for each in indexed.damage if self._is_damage(each)], indexed.counts
        if not self._file.exists() and not self._log.is_dir():
            return [], Counts(0, 0)
        return self.catch_up(), self.counts()

    def recall(self, stamp: Stamp, indexed: Indexed) -> None:
        """Take what the file said when it had a stamp, as another process knew it by `recalled`: while it has, it is not read."""
        _last_indexed.setdefault(self._file, (stamp, indexed))

    def recalled(self) -> tuple[Stamp, Indexed] | None:
        """Return what the file said the last time, and the stamp that it had; `None` where it was not read, or has just changed."""
        return _last_indexed.get(self._file)

    def _indexed(self) -> Indexed:
        """Return what the file says; while it stays as it is, it is read once."""
        stamp = stamp_of(self._file.stat())
        known = _last_indexed.get(self._file)
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._look(_indexed_in)
        if found is None:  # of an older form, or to be mended after a kill
            with self._connected() as database:
                found = _indexed_in(database)
        if not is_young(stamp, datetime.fromisoformat(now_utc()).timestamp()):
            _last_indexed[self._file] = stamp, found
        return found

    def _look(self, read: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return what is read from the file, by a connection that is made in a third of the time; `None` if that cannot be."""
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        with (
            suppress(sqlite3.DatabaseError),
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as database,
        ):
            if _version(database) == len(_STEPS):
                database.create_function("number_after", 2, number_after, deterministic=True)
                return read(database)
        return None

    def _is_damage(self, each: Damage) -> bool:
        segment = self._log / each.segment
        return segment.exists() and not (each.why == TORN and is_being_written(segment))

    def counted(self) -> dict[str, int]:
        """Return for each segment of the log the position up to which its records are in the index. Nothing is written."""
        if not self._file.exists():
            return {}
        with self._connected() as database:
            return dict(database.execute("SELECT name, position FROM segments ORDER BY name").fetchall())

    def chained(self) -> Chained | None:
        """Return the end of the chain of changes of labels; `None` where no label was ever kept."""
        if not self._file.exists():
            return None
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            end = chain_up(database)
            database.execute("COMMIT")
        return end if end.changes else None

    def audit(self, marks: Mapping[int, str] | None = None, dropped: Collection[str] = ()) -> Audit:
        """Check the file, that each label counts once, is about a prediction and is what was kept, and that no counted prediction is gone.

        Nothing is written.
        """
        with self._connected() as database:
            found = [str(row[0]) for row in database.execute("PRAGMA quick_check")]
            if found != ["ok"]:
                return Audit(0, [f"the file is damaged: {each}" for each in found])
            changes, changed = wrong_changes(database, marks or {})
            wrong = [*wrong_labels(database), *changed]
            labels = all_kept_in(database)
        counted = self.counted()
        there = lengths(self._log, self._sealed)
        wrong += [
            f"predictions are lost: segment {name} is shorter than what was counted ({position:,} bytes)"
            for name, position in counted.items()
            if name not in dropped and there.get(name, -1) < position
        ]
        return Audit(labels, wrong, changes)

    def has_segments(self, segments: Collection[str]) -> bool:
        """Return whether the index has a prediction of one of some segments. Nothing is written."""
        if not segments or not self._file.exists():
            return False
        with self._connected() as database:
            return has_segments(database, segments)

    @contextmanager
    def without_segments(
        self, segments: Collection[str], marks: Sequence[Mapping[int, str]]
    ) -> Generator[Gone]:
        """Give what `removing.remove_segments` removed; it has happened once the block is left, and not at all where that raises."""
        with self._caught_up() as database:
            yield remove_segments(database, segments, marks)

    @contextmanager
    def without_predictions(
        self,
        ids: Collection[bytes],
        keys: Collection[str],
        marks: Sequence[Mapping[int, str]],
        named: Collection[str],
    ) -> Generator[Gone]:
        """Give what `removing.remove_predictions` removed; it has happened once the block is left, and not at all where that raises."""
        with self._caught_up() as database:
            yield remove_predictions(database, ids, keys, marks, named)

    def shrink(self) -> None:
        """Write the file anew without its free pages, in which there may be what was removed. Other processes wait meanwhile."""
        if self._file.exists():
            with self._connected() as database:
                database.execute("VACUUM")

    def kept(self, since: str | None = None, until: str | None = None) -> int:
        """Count the labels that were accepted, by id or by key: each once, when it came first, however often it was corrected since.

        Nothing is written.
        """
        if not self._file.exists():
            return 0
        if since is None and until is None:
            return self._indexed().kept
        with self._connected() as database:
            return kept_in(database, since or "", until)

    def count_since(self, instant: str) -> int:
        """Count the labels that were received after an instant, corrections among them."""
        with self._connected() as database:
            (count,) = database.execute(
                "SELECT (SELECT count(*) FROM by_id WHERE received > ?1) "
                "+ (SELECT count(*) FROM by_key WHERE received > ?1)",
                (instant,),
            ).fetchone()
        return count

    @contextmanager
    def _caught_up(self) -> Generator[sqlite3.Connection]:
        """Give a write transaction that has seen every complete record of the log."""
        # Outside of the transaction: an endpoint that keeps a label does not wait for the factory's record.
        ends = self._sealed.ends()
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            while take_in(database, self._log, self._sealed, ends):
                database.execute("COMMIT")
                database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        try:
            with faults_explained():
                if not self._file.parent.is_dir():
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    sync_folder(self._file.parent.parent)
                with closing(_open(self._file)) as database:
                    yield database
        except sqlite3.DatabaseError as error:
            raise explain_sqlite(error, self._file.name, "the file of labels") or Corrupt(
                f"the labels cannot be read: {error}", where=self._file.name
            ) from error


def _indexed_in(database: sqlite3.Connection) -> Indexed:
    ends = dict(database.execute("SELECT name, position FROM segments").fetchall())
    return Indexed(ends, damage_in(database), _counts_in(database), all_kept_in(database))


def _counts_in(database: sqlite3.Connection) -> Counts:
    (labelled,) = database.execute("SELECT count(*) FROM by_id").fetchone()
    for view in KEYED:
        (by_key,) = database.execute(
            f"SELECT count(*) FROM by_key k JOIN {view} p ON p.key = k.key "  # noqa: S608
            "WHERE p.id NOT IN (SELECT id FROM by_id)"
        ).fetchone()
        labelled += by_key
    return Counts(counted(database), labelled)


def _answer(labels: Sequence[Label], became: Sequence[str], place: Place) -> FeedbackAnswer:
    """Count what became of labels; see `Feedback.accept`."""
    counted = Counter(became)
    answer: FeedbackAnswer = {
        "accepted": counted["accepted"],
        "repeated": counted["repeated"],
        "unknown": counted["unknown"],
    }
    if counted["corrected"]:
        answer["corrected"] = counted["corrected"]
    lost = (label for label, kept in zip(labels, became, strict=True) if kept == "unknown")
    if named := [unknown(label, place) for label in islice(lost, MOST_NAMED)]:
        answer["unknown_first"] = named
    return answer


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
    try:
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = DELETE")
    database.create_function("number_after", 2, number_after, deterministic=True)
    # EXTRA also forces the folder to the disk after a commit: with FULL, power loss can bring the journal back.
    database.execute("PRAGMA synchronous = EXTRA")
    if _version(database) < len(_STEPS):
        database.execute("BEGIN IMMEDIATE")
        _step_up(database, len(_STEPS))
        database.execute("COMMIT")


def _step_up(database: sqlite3.Connection, version: int) -> None:
    for step in _STEPS[_version(database) : version]:
        for statement in filter(str.strip, step.split(";\n")):
            database.execute(statement)


def schema_at(version: int) -> frozenset[Part]:
    """Return the schema that a file of labels of a version of its form has."""
    if version > len(_STEPS):
        raise Terminal(
            "labels were written by a newer Linewright",
            found=version,
            allowed=f"up to {len(_STEPS)}",
            hint="upgrade this installation",
        )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.create_function("number_after", 2, number_after, deterministic=True)
        _step_up(database, version)
        return schema_of(database)


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]
