"""The questions that people label for a line, and what they said: one SQLite file a line.

A question names a prediction by its id, or a row of a dataset version by its place, and holds nothing of the row itself. Labels are JSON texts, so
that equal labels are equal texts. An answer that was undone stays as a row with the instant of it.
"""

import os
import sqlite3
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from linewright.errors import Corrupt, LinewrightError, Terminal
from linewright.store.changes import (
    KEPT_CHANGES,
    START,
    Chained,
    ChangeLog,
    Kept,
    changes_of,
    damaged_pages,
    unlike,
)
from linewright.store.files.disk import explain_sqlite, faults_explained, sync_folder
from linewright.store.files.names import line_path
from linewright.store.metadata.schema import Part, schema_of

FOLDER = "annotate"
"""Folder of the files, in the state folder."""
LEASE_S = 600.0
"""Seconds for which a question that somebody looks at is given to nobody else."""
_BUSY_S = 10.0
_KEPT = (
    Kept(
        "batches",
        1,
        (
            *("number", "at", "by", "package", "annotators", "gold_share", "tolerance", "consent"),
            *("instructions", "columns", "pool", "closed"),
        ),
        moving=("closed",),
    ),
    Kept(
        "questions",
        1,
        (
            *("id", "batch", "place", "prediction", "drawn", "stratum", "gold", "state", "label", "kept"),
            *("at", "recorded", "dataset", "row"),
        ),
        moving=("state", "label", "kept", "at", "recorded"),
    ),
    Kept(
        "answers",
        1,
        ("number", "question", "by", "kind", "label", "because", "seconds", "saw", "at", "undone"),
        moving=("undone",),
    ),
    Kept("consents", 2, ("by", "text", "at")),
)
"""What is entered when it changes: all but leases, which end by themselves and prove nothing."""
_CHAIN = ChangeLog("changes", KEPT_CHANGES, "annotations")
_STEPS = (
    """
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, package TEXT NOT NULL,
    annotators INTEGER NOT NULL, gold_share REAL NOT NULL, tolerance REAL NOT NULL, consent TEXT NOT NULL,
    instructions TEXT NOT NULL, columns TEXT NOT NULL, pool TEXT NOT NULL, closed TEXT
);
CREATE TABLE questions (
    id TEXT PRIMARY KEY, batch INTEGER NOT NULL, place INTEGER NOT NULL, prediction TEXT NOT NULL UNIQUE, drawn TEXT NOT NULL,
    stratum INTEGER NOT NULL, gold TEXT, state TEXT NOT NULL, label TEXT, kept TEXT, at TEXT, recorded INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX questions_state ON questions (state, place);
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, question TEXT NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, label TEXT, because TEXT NOT NULL,
    seconds REAL, saw INTEGER NOT NULL, at TEXT NOT NULL, undone TEXT
);
CREATE UNIQUE INDEX answers_live ON answers (question, by) WHERE undone IS NULL;
CREATE INDEX answers_by ON answers (by, number);
CREATE TABLE leases (
    question TEXT NOT NULL, by TEXT NOT NULL, until TEXT NOT NULL, saw INTEGER NOT NULL, PRIMARY KEY (question, by)
) WITHOUT ROWID;
CREATE TABLE consents (by TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (by, text)) WITHOUT ROWID;
PRAGMA user_version = 1;
""",
    """
ALTER TABLE questions ADD COLUMN dataset TEXT;
ALTER TABLE questions ADD COLUMN row INTEGER;
PRAGMA user_version = 2;
""",
    changes_of(_KEPT) + "PRAGMA user_version = 3;\n",
)
"""What brings a file from each version of its form to the next."""

State = Literal["open", "disputed", "agreed", "kept", "conflict", "gone", "closed"]
"""``open``: answers are wanted. ``disputed``: annotators disagree, or none could say. ``agreed``: the label is known and does not
count yet. ``kept``: it counts. ``conflict``: other feedback contradicts it. ``gone``: the prediction is stored no longer.
``closed``: an engineer ended it."""
Drawn = Literal["random", "chosen", "gold", "imported"]
"""How a question came into the queue: at random, for what it may teach, to check annotators, or with imported answers."""
AnswerKind = Literal["answer", "decision", "import"]


class Batch(NamedTuple):
    """Questions that were queued together, and what holds for them."""

    number: int
    at: str
    by: str
    package: str
    """Digest of the champion of that time; empty if there was none."""
    annotators: int
    """How many people label each question."""
    gold_share: float
    """Share in [0, 0.5] of the questions of each annotator whose label is known."""
    tolerance: float
    """Largest difference between two numbers that agree."""
    consent: str
    instructions: str
    columns: str
    """JSON list of the columns that annotators see; empty for all."""
    pool: str
    """JSON list: predictions in each stratum of uncertainty, of those that could be drawn."""
    closed: str | None


class Question(NamedTuple):
    """One prediction to label, or one row of a dataset version."""

    id: str
    batch: int
    place: int
    prediction: str
    """Its id; of a row of a dataset version, what `row_name` returns."""
    drawn: Drawn
    stratum: int
    """Place of its uncertainty among those that could be drawn, 0 the surest; -1 if it was not drawn."""
    gold: str | None
    state: State
    label: str | None
    kept: str | None
    """The label that counts: it is feedback, or that of a row of a dataset version."""
    at: str | None
    """When it got its label."""
    recorded: int
    """Whether the record says that the label in `kept` was given."""
    dataset: str | None = None
    """Digest of the dataset version whose row it is; `None` for a prediction."""
    row: int | None = None
    """Place of the row in it, from 0."""


class Answer(NamedTuple):
    """What one person said of one question."""

    number: int
    question: str
    by: str
    kind: AnswerKind
    label: str | None
    """`None` where they could not say."""
    because: str
    seconds: float | None
    saw: int
    """Whether they saw the answer of the model."""
    at: str
    undone: str | None


def row_name(identity: int) -> str:
    """Return the name of a row of a dataset version, which its question has in place of the id of a prediction.

    Examples
    --------
    >>> row_name(255)
    'row:00000000000000ff'
    """
    return f"row:{identity:016x}"


class Annotations:
    """The annotation of one line. Threads and processes may use it at once."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of(cls, state: Path, line: str) -> "Annotations":
        """Return the annotation of a line, from the state folder of its factory."""
        return cls(line_path(state / FOLDER, line, ".sqlite"))

    @staticmethod
    def queued(state: Path) -> frozenset[str]:
        """Return the lines of which questions were ever queued, from the state folder of their factory."""
        with suppress(FileNotFoundError), os.scandir(state / FOLDER) as files:
            return frozenset(
                each.name.removesuffix(".sqlite")
                for each in files
                if each.name.endswith(".sqlite") and each.stat().st_size
            )
        return frozenset()

    def is_there(self) -> bool:
        """Return whether questions were ever queued."""
        # Empty is what a kill leaves of the first write.
        return self._file.is_file() and self._file.stat().st_size > 0

    @contextmanager
    def transaction(self) -> Generator["Transaction"]:
        """Give a write transaction: other writers wait, all of it is durable once the block is left, or none of it happened."""
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            yield Transaction(database)
            database.execute("COMMIT")

    @contextmanager
    def reading(self) -> Generator["Transaction"]:
        """Give a transaction that only reads."""
        with self._connected() as database:
            database.execute("BEGIN")
            yield Transaction(database)

    def questions_about(self, predictions: Collection[str]) -> list[str]:
        """Return the ids of the questions about some predictions."""
        if not self.is_there():
            return []
        with self.reading() as held:
            found = (held.question_about(one) for one in predictions)
            return [one.id for one in found if one is not None]

    def end(self, since: Chained = START) -> Chained:
        """Return the end of the chain of changes, of which one before is known."""
        with self._connected() as database:
            return _CHAIN.end(database, since)

    def wrong(self, marks: Mapping[int, str]) -> list[str]:
        """Say what is wrong with the file."""
        with self._connected() as database:
            if damage := damaged_pages(database):
                return damage
            database.execute("BEGIN")  # all of one moment
            wrong = _CHAIN.wrong(database, marks)[1]
            other = [
                f"{table} are not what was kept: some were changed, removed or added since"
                for table in unlike(database, _KEPT)
            ]
            return [*wrong, *other]

    @contextmanager
    def without(
        self, predictions: Collection[str], marks: Sequence[Mapping[int, str]]
    ) -> Generator[tuple[Chained, Chained] | None]:
        """Remove questions about some predictions with all that was said of them, and give the ends of the chain before and after.

        It has happened once the block is left, and not at all where that raises. `None` if nothing is to go.
        """
        questions = self.questions_about(predictions)
        if not questions:
            yield None
            return
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            wrong = min((_CHAIN.wrong(database, one)[1] for one in marks), key=len, default=[])
            if wrong := [*wrong, *unlike(database, _KEPT)]:
                raise Corrupt(
                    f"nothing is removed, since annotations are not what was kept: {wrong[0]}",
                    where=self._file.name,
                    hint="linewright verify",
                )
            before = _CHAIN.end(database)
            for question in questions:
                numbers = database.execute("SELECT number FROM answers WHERE question = ?", (question,))
                entered = [("answers", number) for (number,) in numbers.fetchall()]
                for table, name in (("answers", "question"), ("leases", "question"), ("questions", "id")):
                    database.execute(f"DELETE FROM {table} WHERE {name} = ?", (question,))  # noqa: S608 -- names of this module
                entered.append(("questions", question))
                database.executemany("DELETE FROM changes WHERE named = ? AND v0 = ?", entered)
            yield before, _CHAIN.end(database)
            database.execute("COMMIT")

    def shrink(self) -> None:
        """Rewrite the file without its free pages, in which there may be what was removed. Other processes wait meanwhile."""
        if self.is_there():
            with self._connected() as database:
                database.execute("VACUUM")

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        try:
            with faults_explained():
                if not self._file.parent.is_dir():
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    sync_folder(self._file.parent.parent)
                with closing(sqlite3.connect(self._file, timeout=_BUSY_S, isolation_level=None)) as database:
                    _prepare(database)
                    yield database
        except sqlite3.DatabaseError as error:
            raise explain_sqlite(error, self._file.name, "the file of annotations") or Corrupt(
                f"the annotations cannot be read: {error}", where=self._file.name
            ) from error


class Transaction:
    """What can be read and changed in one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def batches(self) -> list[Batch]:
        """Return all batches, oldest first."""
        return [Batch(*row) for row in self._database.execute("SELECT * FROM batches ORDER BY number")]

    def add_batch(self, batch: Batch, questions: Sequence[Question]) -> None:
        """Add a batch with its questions."""
        self._database.execute(f"INSERT INTO batches VALUES ({_marks(Batch)})", batch)  # noqa: S608 -- marks only
        self.add_questions(questions)

    def add_questions(self, questions: Sequence[Question]) -> None:
        """Add questions to a batch that is there."""
        self._database.executemany(f"INSERT INTO questions VALUES ({_marks(Question)})", questions)  # noqa: S608 -- marks only

    def end_place(self) -> int:
        """Return the place behind the last question."""
        (found,) = self._database.execute("SELECT coalesce(max(place) + 1, 0) FROM questions").fetchone()
        return found

    def close_batches(self, at: str) -> int:
        """Close all batches, and the questions of them that wait for answers; return how many these were."""
        self._database.execute("UPDATE batches SET closed = ? WHERE closed IS NULL", (at,))
        done = self._database.execute(
            "UPDATE questions SET state = 'closed' WHERE state IN ('open', 'disputed')"
        )
        self._database.execute("DELETE FROM leases")
        return done.rowcount

    def predictions(self) -> set[str]:
        """Return the ids of the predictions that are in the queue."""
        return {one for (one,) in self._database.execute("SELECT prediction FROM questions")}

    def question(self, name: str) -> Question | None:
        """Return a question by its id."""
        row = self._database.execute("SELECT * FROM questions WHERE id = ?", (name,)).fetchone()
        return Question(*row) if row else None

    def question_about(self, prediction: str) -> Question | None:
        """Return the question about a prediction."""
        row = self._database.execute("SELECT * FROM questions WHERE prediction = ?", (prediction,)).fetchone()
        return Question(*row) if row else None

    def questions(self, *states: State) -> list[Question]:
        """Return the questions that are in one of some states (default: all), in their order."""
        marks = ", ".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        rows = self._database.execute(f"SELECT * FROM questions {where} ORDER BY place", states)  # noqa: S608 -- marks only
        return [Question(*row) for row in rows]

    def replace(self, question: Question) -> None:
        """Replace what may change of a question: state, label, what is kept of it, when, and whether it is recorded."""
        self._database.execute(
            "UPDATE questions SET state = ?, label = ?, kept = ?, at = ?, recorded = ? WHERE id = ?",
            (question.state, question.label, question.kept, question.at, question.recorded, question.id),
        )

    def open_for(self, by: str, now: str, *, is_gold: bool) -> Question | None:
        """Return the first question that one person may label now: not seen by them before, and not given to enough others.

        A gold question is given to everybody once.
        """
        enough = (
            "1"
            if is_gold
            else "(SELECT count(*) FROM answers own WHERE own.question = q.id AND own.undone IS NULL AND own.label IS NOT NULL) + "
            "(SELECT count(*) FROM leases l WHERE l.question = q.id AND l.by != :by AND l.until > :now) < b.annotators"
        )
        row = self._database.execute(
            f"SELECT q.* FROM questions q JOIN batches b ON b.number = q.batch WHERE q.state = 'open' "  # noqa: S608 -- texts of this module
            f"AND q.gold IS {'NOT ' if is_gold else ''}NULL AND {enough} "
            "AND NOT EXISTS (SELECT 1 FROM answers own WHERE own.question = q.id AND own.by = :by AND own.undone IS NULL) "
            "ORDER BY q.place LIMIT 1",
            {"by": by, "now": now},
        ).fetchone()
        return Question(*row) if row else None

    def undecided_for(self, by: str, now: str) -> Question | None:
        """Return the first question that one person may decide: others disagree about it, and they have not labelled it themselves."""
        row = self._database.execute(
            "SELECT q.* FROM questions q WHERE q.state IN ('disputed', 'conflict') "
            "AND NOT EXISTS (SELECT 1 FROM answers own WHERE own.question = q.id AND own.by = :by AND own.undone IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.question = q.id AND l.by != :by AND l.until > :now) "
            "ORDER BY q.place LIMIT 1",
            {"by": by, "now": now},
        ).fetchone()
        return Question(*row) if row else None

    def waiting_for(self, by: str) -> int:
        """Count the questions, not the gold ones, that one person may still label."""
        (found,) = self._database.execute(
            "SELECT count(*) FROM questions q JOIN batches b ON b.number = q.batch WHERE q.state = 'open' AND q.gold IS NULL "
            "AND (SELECT count(*) FROM answers own WHERE own.question = q.id AND own.undone IS NULL AND own.label IS NOT NULL) < b.annotators "
            "AND NOT EXISTS (SELECT 1 FROM answers own WHERE own.question = q.id AND own.by = ? AND own.undone IS NULL)",
            (by,),
        ).fetchone()
        return found

    def lease(self, question: str, by: str, until: str, *, saw: bool) -> None:
        """Give a question to a person until an instant. Who has seen the answer of the model has seen it."""
        self._database.execute(
            "INSERT INTO leases VALUES (?, ?, ?, ?) ON CONFLICT (question, by) DO UPDATE SET "
            "until = excluded.until, saw = max(saw, excluded.saw)",
            (question, by, until, int(saw)),
        )

    def leased(self, by: str, now: str) -> list[tuple[str, bool]]:
        """Return the questions that a person has been given, and whether they saw the answer of the model."""
        rows = self._database.execute(
            "SELECT question, saw FROM leases WHERE by = ? AND until > ? ORDER BY question", (by, now)
        )
        return [(question, bool(saw)) for question, saw in rows]

    def end_lease(self, question: str, by: str) -> bool:
        """Take a question back; return whether the person saw the answer of the model."""
        row = self._database.execute(
            "DELETE FROM leases WHERE question = ? AND by = ? RETURNING saw", (question, by)
        ).fetchone()
        return bool(row and row[0])

    def add_answer(self, answer: Answer) -> None:
        """Add an answer; its number is given here."""
        self._database.execute(f"INSERT INTO answers VALUES ({_marks(Answer)})", (None, *answer[1:]))  # noqa: S608 -- marks only

    def answers(self, question: str | None = None) -> list[Answer]:
        """Return the answers that were not undone, of one question or of all, in the order in which they came."""
        where, values = ("AND question = ?", (question,)) if question is not None else ("", ())
        rows = self._database.execute(
            f"SELECT * FROM answers WHERE undone IS NULL {where} ORDER BY number",  # noqa: S608 -- texts of this module
            values,
        )
        return [Answer(*row) for row in rows]

    def last_answers(self, by: str, most: int) -> list[Answer]:
        """Return what a person said last and did not undo, newest first."""
        rows = self._database.execute(
            "SELECT * FROM answers WHERE by = ? AND undone IS NULL ORDER BY number DESC LIMIT ?", (by, most)
        )
        return [Answer(*row) for row in rows]

    def undo(self, answer: int, at: str) -> None:
        """Note that an answer was undone."""
        self._database.execute("UPDATE answers SET undone = ? WHERE number = ?", (at, answer))

    def counted(self, by: str) -> tuple[int, int]:
        """Count what a person has said: of questions, and of those the gold ones."""
        return self._database.execute(
            "SELECT count(*), count(q.gold) FROM answers own JOIN questions q ON q.id = own.question "
            "WHERE own.by = ? AND own.undone IS NULL AND own.kind = 'answer'",
            (by,),
        ).fetchone()

    def consents(self, by: str) -> dict[str, str]:
        """Return when a person consented to texts, by the digest of each."""
        return dict(self._database.execute("SELECT text, at FROM consents WHERE by = ? ORDER BY at", (by,)))

    def consent(self, by: str, text: str, at: str) -> None:
        """Note that a person consented to a text, by its digest."""
        self._database.execute("INSERT OR IGNORE INTO consents VALUES (?, ?, ?)", (by, text, at))


def _marks(kind: Any) -> str:
    return ", ".join("?" * len(kind._fields))


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = DELETE")
    database.execute("PRAGMA secure_delete = ON")
    # EXTRA also forces the folder to the disk after a commit: with FULL, power loss can bring the journal back.
    database.execute("PRAGMA synchronous = EXTRA")
    if _version(database) < len(_STEPS):
        database.execute("BEGIN IMMEDIATE")
        _step_up(database, len(_STEPS))
        database.execute("COMMIT")
    elif _version(database) > len(_STEPS):
        raise _newer(_version(database))


def _step_up(database: sqlite3.Connection, version: int) -> None:
    for step in _STEPS[_version(database) : version]:
        for statement in filter(str.strip, step.split(";\n")):
            database.execute(statement)


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def schema_at(version: int) -> frozenset[Part]:
    """Return the schema that a file of a version of its form has."""
    if version > len(_STEPS):
        raise _newer(version)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        _step_up(database, version)
        return schema_of(database)


def _newer(version: int) -> LinewrightError:
    return Terminal(
        "annotations were written by a newer Linewright",
        found=version,
        allowed=f"up to {len(_STEPS)}",
        hint="upgrade this installation",
    )
