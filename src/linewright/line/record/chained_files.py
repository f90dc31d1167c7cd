"""Files of the state whose changes are chained, so that checkpoints enter their ends: annotations of lines, and rows that were sent to sources."""

from collections.abc import Mapping

from linewright.line.factory import Factory
from linewright.line.facts import Forgotten
from linewright.people.annotations import FOLDER as ANNOTATE
from linewright.people.annotations import Annotations
from linewright.serve.facts import ChangesEnd, Checkpointed
from linewright.store.changes import START, Chained
from linewright.store.pushed_rows import ENDING, PushedRows
from linewright.store.pushed_rows import FOLDER as PUSH

ALL_LINES = ""
"""In place of a line: what is the factory's, as are the rows that were sent to sources."""


def name_of_annotations(line: str) -> str:
    """Return how events name the annotation of a line."""
    return f"{ANNOTATE}/{line}"


def name_of_sent(source: str) -> str:
    """Return how events name the rows that were sent to a source."""
    return f"{PUSH}/{source}"


def chained_file(factory: Factory, name: str) -> Annotations | PushedRows | None:
    """Return the file that events call so; `None` if it is missing."""
    folder, _, stem = name.partition("/")
    if folder == ANNOTATE:
        annotations = Annotations.of(factory.state, stem)
        return annotations if annotations.is_there() else None
    rows = PushedRows(factory.state / PUSH / f"{stem}{ENDING}")
    return rows if rows.is_open else None


def names_of(factory: Factory, line: str) -> list[str]:
    """Return the names of the files of a line that are there, or of those of all lines."""
    if line == ALL_LINES:
        return [name_of_sent(path.stem) for path in sorted((factory.state / PUSH).glob(f"*{ENDING}"))]
    return [name_of_annotations(line)] if Annotations.of(factory.state, line).is_there() else []


def known_ends(factory: Factory, line: str) -> dict[str, tuple[ChangesEnd, ...]]:
    """Return where chains ended as the record says last, by name; the first is the newest.

    After a removal there are two: a kill may have come between its event and the file.
    """
    newest, found = "", dict[str, tuple[ChangesEnd, ...]]()
    for one in factory.metadata.events(Checkpointed, line=line, newest_first=True, limit=1):
        newest, found = one.at, {name: (end,) for name, end in one.ends.items()}
    folder = PUSH if line == ALL_LINES else ANNOTATE
    for one in factory.metadata.events(Forgotten, line=line or None):
        if one.at >= newest:
            removed = {name: end for name, end in one.shortened.items() if name.startswith(f"{folder}/")}
            found |= {name: (end.after, end.before) for name, end in removed.items()}
    return found


def marks_of_file(known: Mapping[str, tuple[ChangesEnd, ...]], name: str) -> tuple[dict[int, str], ...]:
    """Return the digests that a chain must have, of one of several states, each by the number of its last change."""
    ends = known.get(name) or (end_of_changes(START),)
    return tuple({one.changes: one.digest} if one.changes else {} for one in ends)


def end_of_changes(chained: Chained) -> ChangesEnd:
    """Return the end of a chain as events have it."""
    return ChangesEnd(changes=chained.changes, digest=chained.digest)
