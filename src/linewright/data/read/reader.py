"""What reads a kind of source, and the digest of what a source holds: asked for by who reads no row, so without what makes tables."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from linewright.data.spec import SourceSpec

if TYPE_CHECKING:
    from linewright.data.read.source import Source


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """How far a source was read: the highest value of a column that only rises."""

    column: str
    value: int | float | str
    """A finite number is compared with numbers, a text with texts, byte by byte, as dates by ISO 8601 are ordered."""


class SourceReader(Protocol):
    """Reads one kind of source; the `reader` of the spec names its class.

    What it reads is not to be trusted: rows, names and sizes are checked, and what cannot be read is said by `SpecError` or
    `RequestError` with its place in the line file, which begins with ``sources.NAME``. `testing.sources.SourceContract` holds it
    to all that is said here. A reader has no state, and `spec` is always of its kind.
    """

    def open(self, name: str, spec: Any, root: Path, *, size: int, since: Cursor | None = None) -> "Source":
        """Return the rows of a source, which can be read more than once and are the same each time, in the same order.

        Parameters
        ----------
        name
            The source's name in the line file.
        spec
            Its place and how to read it.
        root
            Folder that relative paths start from.
        size
            How many bytes of text a batch is made of, about; no row may be longer.
        since
            Rows before this cursor may be left out, and rows at it may not; `data.read.cursor` asks for it. So a database
            is not read as a whole for its newest rows. Lines and fingerprints are not asked for of such a source.
        """
        ...

    def fingerprint(self, spec: Any, root: Path, where: str) -> str:
        """Return a digest (`store.values.digest_of`) of what the source holds and how it is read.

        It moves with every value, and with options that give other rows; not with the place, the time or limits.

        Parameters
        ----------
        where
            Place of the source in the line file, for messages.
        """
        ...

    def columns(self, name: str, spec: Any, root: Path) -> tuple[str, ...]:
        """Return the names of the columns if a header has them; nothing if only the rows would tell."""
        ...


class LiveReader(SourceReader, Protocol):
    """Reads a kind of source that others may write to at any time (`SourceSpec.is_live`)."""

    def read(self, name: str, spec: Any, root: Path) -> "tuple[Source, str]":
        """Return the rows as they are now, as `open` does, and the fingerprint of just these rows: one read for both."""
        ...


def read_live(name: str, spec: SourceSpec, root: Path) -> "tuple[Source, str]":
    """Return the rows of a source that others may write to, and their fingerprint."""
    return cast("LiveReader", reader_of(spec)).read(name, spec, root)


def reader_of(spec: SourceSpec) -> SourceReader:
    """Return what reads a kind of source.

    Examples
    --------
    >>> from linewright.data.spec import SqliteSource
    >>> type(reader_of(SqliteSource(sqlite="a.db", query="select 1"))).__name__
    'SqliteReader'
    """
    module, _, reader = spec.reader.partition(":")
    return getattr(import_module(module), reader)()


def fingerprint(spec: SourceSpec, root: Path, where: str = "sources") -> str:
    """Return a digest of what a source holds and how it is read; where it lies does not matter."""
    return reader_of(spec).fingerprint(spec, root, where)


def column_names(name: str, spec: SourceSpec, root: Path) -> tuple[str, ...]:
    """Return the names of a source's columns if they are known without its rows; else nothing."""
    return reader_of(spec).columns(name, spec, root)
