"""Who a line has forgotten: keyed hashes of values of `table.subject`, so that their rows are left out of what is read later.

A file a line, ``forgotten/LINE.json`` of the state. It is also the journal of a removal that is at work: whoever is on the list and
not done is removed again from the beginning, by the hashes alone.
"""

import secrets
from collections.abc import Collection
from pathlib import Path

import msgspec

from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.line.spec import LineSpec
from linewright.serve.files import write_whole
from linewright.serve.rows.body.scalars import spell
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.files.names import line_path
from linewright.store.files.secret import shown_place
from linewright.store.values import decoder, digest_of, keyed_hash

FOLDER = "forgotten"
"""Of the state."""
_KEY_BYTES = 32


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A place that answers of scheduled predictions were written to, and how rows about a person are known there."""

    job: str
    place: str
    """Path, URL, or name of the table."""
    at: str | None = None
    """Of a table or an object: `env:NAME` or `file:PATH` of what it is reached with."""
    is_table: bool = False
    is_known: bool = True
    """Whether a line file says, or said, how it is reached."""
    is_written: bool = False
    """Whether the record says that answers were written there."""
    id: str
    """Column of ids of predictions."""
    key: str | None
    subject: str | None

    @property
    def shown(self) -> str:
        """What people call it, without secrets."""
        return f"table {self.place} of {shown_place(self.at or '')}" if self.is_table else self.place


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is forgotten, or is being forgotten."""

    hash: str
    at: str
    """When it was asked for, UTC."""
    done: bool = False
    keys: tuple[str, ...] = ()
    """While it is not done: hashes of the keys of its rows, which are found once."""
    files: tuple[str, ...] = ()
    """While it is not done: digests of the pictures of its rows, which are found once."""
    comments: tuple[str, ...] = ()
    """While it is not done: digests of the words of comments that name it, which are found once."""
    owed: tuple[Output, ...] = ()
    """Places of answers that were not reached, from which its rows are still to go, whether the rest is done or not."""
    named: tuple[str, ...] = ()
    """While something is owed: hashes of ids of its predictions and of keys of its rows."""


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """The list of a line."""

    key: str = ""
    """Of the hashes, 64 hexadecimal digits. Without it a list of hashes would be no secret: there are few persons to try."""
    subjects: tuple[Subject, ...] = ()

    def hash_of(self, text: str) -> str:
        """Return the hash of a value as text."""
        return keyed_hash(self.key, text)

    @property
    def undone(self) -> tuple[Subject, ...]:
        """Those whose removal was begun and not ended."""
        return tuple(one for one in self.subjects if not one.done)

    @property
    def input(self) -> str | None:
        """What a reading of the sources depends on; `None` where nobody is forgotten."""
        return digest_of(sorted(one.hash for one in self.subjects)) if self.subjects else None

    def put(self, subject: Subject) -> "Forgetting":
        """Return the list with a subject, in the place of the one with the same hash."""
        others = (one for one in self.subjects if one.hash != subject.hash)
        return msgspec.structs.replace(self, subjects=(*others, subject))


def forgotten_of(factory: Factory, line: str) -> Forgetting:
    """Return whom a line has forgotten."""
    path = _path(factory, line)
    try:
        return decoder(Forgetting).decode(path.read_bytes())
    except FileNotFoundError:
        return Forgetting()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(
            "the list of those who are forgotten cannot be read",
            where=str(path),
            hint="restore the file from a backup; without it their rows would come back",
        ) from error


def spec_of(factory: Factory, line: str) -> LineSpec:
    """Return what the file of a line says; of a line without a file, what that of its last run said."""
    try:
        return factory.line(line)
    except NotFound:
        if (spec := last_declared(factory, line)) is None:
            raise
        return spec


def last_declared(factory: Factory, line: str) -> LineSpec | None:
    """Return what the file of a line said when it last ran; `None` if it never did."""
    for one in factory.metadata.events(Accepted, line=line, newest_first=True, limit=1):
        return LineSpec.model_validate(factory.metadata.get(one.declared, Declared).spec)
    return None


def lines_with_removals(factory: Factory) -> list[str]:
    """Return the lines that have forgotten somebody, also those without a file, sorted."""
    return sorted(path.stem for path in (factory.state / "forgotten").glob("*.json"))


def begin(
    factory: Factory, line: str, subject: str, comments: Collection[str] = ()
) -> tuple[Forgetting, Subject]:
    """Put a value on the list, to be removed, and return both; it is on the disk then."""
    known = _with_key(factory, line)
    found = Subject(
        hash=known.hash_of(spell(subject) or subject), at=factory.now(), comments=tuple(sorted(comments))
    )
    before = next((one for one in known.subjects if one.hash == found.hash), found)
    found = msgspec.structs.replace(found, owed=before.owed, named=before.named)
    return keep(factory, line, known.put(found)), found


def hash_for(factory: Factory, line: str, subject: str) -> str:
    """Return the hash that a value has on the list of a line, whether it is on it or not; the list has a key then."""
    known = forgotten_of(factory, line)
    known = known if known.key else keep(factory, line, _with_key(factory, line))
    return known.hash_of(spell(subject) or subject)


def forgetting_lines(factory: Factory) -> list[str]:
    """Return the lines that have a list, whether they are declared or not, sorted."""
    return sorted(path.stem for path in (factory.state / FOLDER).glob("*.json"))


def _with_key(factory: Factory, line: str) -> Forgetting:
    known = forgotten_of(factory, line)
    return known if known.key else msgspec.structs.replace(known, key=secrets.token_hex(_KEY_BYTES))


def keep(factory: Factory, line: str, known: Forgetting) -> Forgetting:
    """Keep the list of a line durably, and return it."""
    path = _path(factory, line)
    with explained(path, "the list of those who are forgotten"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(known) + b"\n")
        sync_file(path)
        sync_folder(path.parent)
    return known


def _path(factory: Factory, line: str) -> Path:
    return line_path(factory.state / FOLDER, line, ".json")
