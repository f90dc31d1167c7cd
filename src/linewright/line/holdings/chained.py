"""Files whose changes are chained, so that checkpoints enter their ends: rows that were sent to sources, and annotations."""

import sqlite3
from typing import ClassVar

from linewright.engine.context import Progress
from linewright.line.factory import Factory
from linewright.line.holding import Check, Databases
from linewright.line.record.chained_files import chained_file
from linewright.people.annotations import FOLDER as ANNOTATE
from linewright.people.annotations import schema_at as annotations_at
from linewright.store.files.names import LINE
from linewright.store.metadata.schema import Part
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.pushed_rows import SOURCE
from linewright.store.pushed_rows import schema_at as pushed_at
from linewright.text.numbers import count


class ChainedFiles(Databases):
    """SQLite files of one folder; the chain proves what they say, and SQLite's check their pages."""

    folder: ClassVar[str]
    is_proved = True

    def verify(self, check: Check) -> None:
        """Compare the chain of each file with its checkpoints."""
        super().verify(check)
        there = {f"{self.folder}/{path.stem}" for path in self.databases(check.factory.state)}
        entered = {name for name in check.recorded.ends if name.startswith(f"{self.folder}/")}
        for name in sorted(there | entered):
            check.factory.report(Progress(step="verify", says=name))
            marks = {number: end for number, end in check.recorded.ends.get(name, {}).items() if number}
            wrong = check.guarded(lambda name=name, marks=marks: _wrong_in(check.factory, name, marks))
            for what in wrong or ():
                check.say(what, name)


def _wrong_in(factory: Factory, name: str, marks: dict[int, str]) -> list[str]:
    file = chained_file(factory, name)
    if file is None:
        gone = f"it is lost: {count(max(marks, default=0), 'change')} of it were kept, and the file is gone"
        return [gone] if marks else []
    return file.wrong(marks)


class SentRows(ChainedFiles):
    """Rows that programs sent, by source."""

    name = "sent rows"
    folder = PUSH
    files = (f"{PUSH}/*",)
    kept = rf"{PUSH}/{SOURCE}\.sqlite"

    def schema(self, database: sqlite3.Connection) -> frozenset[Part]:
        """Return the schema of its version."""
        return pushed_at(database.execute("PRAGMA user_version").fetchone()[0])


class AnnotationFiles(ChainedFiles):
    """Questions for annotators and what they said, by line."""

    name = "annotations"
    folder = ANNOTATE
    files = (f"{ANNOTATE}/*",)
    kept = rf"{ANNOTATE}/{LINE}\.sqlite"

    def schema(self, database: sqlite3.Connection) -> frozenset[Part]:
        """Return the schema of its version."""
        return annotations_at(database.execute("PRAGMA user_version").fetchone()[0])
