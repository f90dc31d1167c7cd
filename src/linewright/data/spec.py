"""What a line file may say about its data."""

import codecs
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from linewright.errors import SpecError
from linewright.spec import SECRET, OneOf, OrNames, Secret, Spec
from linewright.store.files.secret import shown_place
from linewright.store.pushed_rows import ENDING, FOLDER, SOURCE
from linewright.text.database_url import FILE_URL
from linewright.text.lists import read_list, spelled, to_list_text
from linewright.text.remote_url import FORMS as URL_FORMS
from linewright.text.remote_url import is_remote, read_remote_url, shown_url
from linewright.text.suggest import nearest

_ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii")
ColumnType = Literal[
    "integer", "number", "boolean", "category", "text", "date", "datetime", "list", "numbers", "file"
]
NUMBERS = frozenset({"integer", "number"})
TIMES = frozenset({"date", "datetime"})
DATABASE = f"{SECRET}|{FILE_URL}"
"""Where the URL of a database is, or the URL of a file, which holds no password."""
OnBreach = Literal["stop", "quarantine", "warn"]
OnWhole = Literal["stop", "warn"]
"""What a breach can do where no single row is to blame."""
Duration = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(us|ms|s|m|h|d|w)$")]
"""A number and a unit (us, ms, s, m, h, d, w), e.g. ``45d``."""


class EveryTrigger(Spec):
    """Again and again, so long after the last time."""

    every: Duration
    """Time between the beginnings of two."""


class AtTrigger(Spec):
    """At certain times."""

    at: str
    """A time of each day and its zone, such as ``02:30 Europe/Berlin``, or five fields of cron and the zone, such as
    ``0 6 * * 1-5 Europe/Berlin``; without a zone it is UTC. Times that came while nothing ran are made up for once."""


Schedule = tuple[EveryTrigger | AtTrigger, ...]
"""When something is done again; any one is enough."""

MOST_ROWS = 100_000_000
"""Rows that a source may have where nobody says otherwise: several times what a machine's memory holds of an honest table."""


class FileLimits(Spec):
    """How large a file may turn out to be. No honest table meets these; a small file that unpacks without end does."""

    rows: Annotated[int, Field(ge=1)] = MOST_ROWS
    """Most rows, of each file."""
    columns: Annotated[int, Field(ge=1)] = 10_000
    """Most columns, or names of fields in JSON lines."""
    ratio: Annotated[float, Field(ge=1)] = 500
    """How many times as large as the file its contents may be, once they are larger than 256 MiB."""


class QueryLimits(Spec):
    """How much a query may give, and how long it may take."""

    rows: Annotated[int, Field(ge=1)] = MOST_ROWS
    """Most rows."""
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 60
    """How long it may take to give one more row, in seconds."""


class SourceSpec(Spec):
    """Where the rows of one source are, and how they are read. The first word that a kind of source requires names the kind."""

    reader: ClassVar[str]
    """``module:class`` of its `data.read.reader.SourceReader`; imported when a source of this kind is read."""
    places: ClassVar[tuple[str, ...]] = ()
    """Words that name files of this machine. They do not matter for what the source holds."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: a run then reads it once, and what it read counts. Its reader is a `LiveReader`."""
        return False

    @property
    def local_files(self) -> tuple[str, ...]:
        """Files of this machine that are read, as the line file has them: paths, folders or patterns, as `data.read.file.paths.files_of` takes."""
        return tuple(str(getattr(self, place)) for place in self.places)

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Texts that mean "no value", after blanks around a value are removed."""
        return ("",)

    def with_missing(self, texts: tuple[str, ...]) -> "SourceSpec | None":
        """Return the same source with these `missing_texts`; `None` if no option sets them."""
        del texts
        return None

    def describe(self) -> str:
        """Say in a few words, on one line and without secrets, what is read."""
        return ", ".join(self.local_files)

    @property
    def has_history(self) -> bool:
        """Whether what was read is kept, so that a read asks for newer rows only. `data.history` has it."""
        return False

    @property
    def stamps(self) -> frozenset[str]:
        """The columns that say when a row was written or came to be known; they are nothing that a model learns from unless the contract names them."""
        return frozenset()

    def mistakes(self) -> Iterator[SpecError]:
        """Give what no type of a field can refuse, each with the word as its `where`; nothing is read for it."""
        return iter(())

    @classmethod
    def offered(cls, file: str, head: bytes) -> "SourceSpec | None":
        """Return the source that `new` shall write for a file of this kind; `None` for other files."""
        del file, head
        return None


def mistakes_of_url(written: str, word: str, at: str | None) -> Iterator[SpecError]:
    """Give what is wrong with a URL of a source, and with `at` of a source without one."""
    if not is_remote(written):
        if at is not None:
            yield SpecError(
                "only a URL is read with keys", where="at", found=at, allowed=URL_FORMS, hint="leave `at` out"
            )
        return
    try:
        read_remote_url(written)
    except ValueError as error:
        yield SpecError(
            str(error),
            where=word,
            allowed=URL_FORMS,
            hint="keys and passwords belong into what `at` names, spaces in https:// are %20",
        )


class FileSource(SourceSpec):
    """A table in a file, or in several of the same columns: CSV, JSON lines, Parquet or Excel, by what it holds.

    CSV and JSON lines may be packed: gzip, bzip2, xz, Zstandard, or a ZIP of one file.
    """

    reader: ClassVar[str] = "linewright.data.read.file.file_reader:FileReader"
    places: ClassVar[tuple[str, ...]] = ("file",)

    file: str
    """Path, relative to the factory folder or absolute: of a file, of a folder, or a pattern such as
    ``data/part-*.csv``, whose files are one table in the order of their names. Or a URL: ``s3://BUCKET/PATH``, ``gs://``, ``az://``, each also
    of a folder or a pattern, or ``https://HOST/PATH``; `hosts` in `factory.yaml` names the hosts that may be read from."""
    at: Secret | None = None
    """Of a URL: `env:NAME` or `file:PATH` of what it is read with. Of a bucket this is a JSON object, such as
    ``{"region": "…", "key": "…", "secret": "…"}``; of ``https://`` a token, or a header."""
    sheet: str | None = None
    """Name of the sheet of an Excel file; `null` is its first."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """One character between the fields of a CSV file."""
    encoding: str = "utf-8"
    """Encoding of a CSV file; a byte order mark is skipped."""
    decimal: Literal[".", ","] = "."
    """What a number of a CSV file has before its decimals. With a comma, 1,5 is read as 1.5, and 1.234 is no number."""
    missing: tuple[str, ...] = ("",)
    """Spellings that mean "no value", after blanks around a value are removed."""
    header: bool = True
    """Whether the first line of a CSV file names its columns; without it, `names` are needed."""
    names: tuple[str, ...] | None = None
    """Names of all columns of a CSV file, in order, instead of those of its header."""
    limits: FileLimits = FileLimits()
    """How large the file may turn out to be."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: of what other machines keep."""
        return is_remote(self.file)

    @property
    def local_files(self) -> tuple[str, ...]:
        """Files of this machine that are read; none of a URL."""
        return () if is_remote(self.file) else (self.file,)

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Texts that mean "no value"."""
        return self.missing

    def describe(self) -> str:
        """Name the files; of a URL, without what may be a secret in it."""
        return shown_url(self.file) if is_remote(self.file) else self.file

    def with_missing(self, texts: tuple[str, ...]) -> "FileSource":
        """Return the same files with other texts that mean "no value"."""
        return self.model_copy(update={"missing": texts})

    def mistakes(self) -> Iterator[SpecError]:
        """Refuse an encoding that there is not, and a URL that cannot be read."""
        yield from mistakes_of_url(self.file, "file", self.at)
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            near = nearest(self.encoding, _ENCODINGS)
            yield SpecError(
                "no such encoding",
                where="encoding",
                found=self.encoding,
                allowed="the name of a text encoding",
                hint=f"did you mean {near!r}?" if near else "",
            )


class SqliteSource(SourceSpec):
    """The result of a query on a SQLite database."""

    reader: ClassVar[str] = "linewright.data.read.sqlite_query:SqliteReader"
    places: ClassVar[tuple[str, ...]] = ("sqlite",)

    sqlite: str
    """Path of the database file."""
    query: str
    """One SELECT statement over tables and views, with SQLite's own functions; the database is opened read-only."""
    limits: QueryLimits = QueryLimits()
    """How much the query may give, and how long it may take."""

    def describe(self) -> str:
        """Name the database; the query may be long."""
        return f"a query on {self.sqlite}"


class SqlSource(SourceSpec):
    """The result of a query on a database: PostgreSQL, MariaDB, MySQL or SQL Server on a server, or a file of DuckDB or SQLite."""

    reader: ClassVar[str] = "linewright.data.read.sql.sql_reader:SqlReader"

    sql: str
    """One SELECT statement; it is read in one read-only transaction, and nothing is written."""
    at: Annotated[str, Field(pattern=DATABASE)]
    """`env:NAME` or `file:PATH` of the database's URL: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``, ``mysql://`` or ``mssql://`` with the same parts;
    `hosts` in `factory.yaml` names the hosts that may be read from. Or the URL of a file itself: ``duckdb:///PATH`` or ``sqlite:///PATH``."""
    key: str | None = None
    """With `cursor`: the column that tells rows apart; no two rows of the query share a value, and none lacks it."""
    cursor: str | None = None
    """A column that rises when a row is written, such as ``updated_at``, a time or a number. What was read is then kept: a read asks only for
    rows from near the highest value on, and the line gets the newest version of each row, in the order of the key."""
    lag: Duration | Annotated[int, Field(ge=0)] | None = None
    """How far below the highest value of `cursor` a read begins: a duration for times, a number for numbers. It must be longer than any
    transaction that writes. PostgreSQL needs none for times: it says how old the oldest open transaction is."""
    known: str | None = None
    """With `cursor`: a column with the time at which a row came to be known (default: when it was read)."""
    when: Schedule = ()
    """With `cursor`: when `up` reads the newer rows, not only runs, e.g. ``[{every: 1h}]``. A row is then known from that read on."""
    limits: QueryLimits = QueryLimits()
    """How much the query may give, and how long it may take."""

    @property
    def has_history(self) -> bool:
        """Whether `cursor` is said."""
        return self.cursor is not None

    @property
    def stamps(self) -> frozenset[str]:
        """`cursor` and `known`."""
        return frozenset(name for name in (self.cursor, self.known) if name is not None)

    def mistakes(self) -> Iterator[SpecError]:
        """Refuse a cursor without a key, and what means nothing without a cursor."""
        if self.cursor is not None and self.key is None:
            hint = "name the column that tells rows apart, such as key: id"
            yield SpecError(
                "a cursor needs a key, by which a row that changed is known", where="key", hint=hint
            )
        if self.cursor is None:
            for word in ("key", "lag", "known", "when"):
                if getattr(self, word) not in (None, ()):
                    yield SpecError(
                        f"{word} means nothing without cursor",
                        where=word,
                        hint="say cursor: COLUMN, or leave it out",
                    )

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: of a database always."""
        return True

    def describe(self) -> str:
        """Name host and database if the URL can be found from here, else the reference."""
        return f"a query on {shown_place(self.at)}"


class RestLimits(Spec):
    """How much a REST service may give, and how long that may take."""

    rows: Annotated[int, Field(ge=1)] = MOST_ROWS
    """Most rows."""
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 600
    """How long all pages together may take, in seconds, with the pauses that the server asks for."""


class RestSource(SourceSpec):
    """Rows that a REST service gives as JSON, some a page. Lists and objects in a row become text: their JSON."""

    reader: ClassVar[str] = "linewright.data.read.remote.rest_reader:RestReader"

    rest: str
    """URL of the first page, with its parameters; `hosts` in `factory.yaml` names the hosts that may be read from."""
    at: Secret | None = None
    """`env:NAME` or `file:PATH` of a token, which is sent as ``Authorization: Bearer TOKEN``, or of another header, such as ``X-Api-Key: TOKEN``."""
    items: str = ""
    """Path in a page of its rows, a list of objects: names with dots between them, such as ``data.orders``. By default the page is the list."""
    next: str = ""
    """Path in a page of what names the next one, such as ``links.next``: by its URL, or by what `parameter` is then. By default the header ``Link`` does."""
    parameter: str = ""
    """Parameter of the URL that says which page is meant: by what `next` names; without `next` by its number, from 1 to the first page without
    rows. Then each page is requested again after the one behind it, so that rows that move from page to page are seen."""
    key: str | None = None
    """Column that names a row. Of rows with the same value there, which come where pages shift while they are read, the last one counts."""
    missing: tuple[str, ...] = ("",)
    """Spellings that mean "no value", after blanks around a value are removed."""
    limits: RestLimits = RestLimits()
    """How much the service may give, and how long that may take."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: to a service always."""
        return True

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Texts that mean "no value"."""
        return self.missing

    def with_missing(self, texts: tuple[str, ...]) -> "RestSource":
        """Return the same rows with other texts that mean "no value"."""
        return self.model_copy(update={"missing": texts})

    def describe(self) -> str:
        """Name the service, without parameters, which may be secrets."""
        return f"pages of {shown_url(self.rest)}"

    def mistakes(self) -> Iterator[SpecError]:
        """Refuse a URL that cannot be read of a server."""
        if not self.rest.startswith(("https://", "http://")):
            yield SpecError("this cannot be the URL of a service", where="rest", allowed="https://HOST/PATH")
        else:
            yield from mistakes_of_url(self.rest, "rest", self.at)


class FilesSource(SourceSpec):
    """Files that are rows themselves, such as pictures: a row a file, in the order of their paths.

    Columns: ``name``, the path below the folder; ``file``, the file itself; ``folder``, the name of the folder that it is in, which
    often is its label.
    """

    reader: ClassVar[str] = "linewright.data.read.files_source:FilesReader"
    places: ClassVar[tuple[str, ...]] = ("files",)

    files: str
    """Folder, relative to the factory folder or absolute, with all folders in it; or a pattern such as ``tiles/**/*.png``. Or a URL of either
    in a bucket, as for a source with `file`."""
    at: Secret | None = None
    """Of a URL: `env:NAME` or `file:PATH` of what it is read with, as for a source with `file`."""
    patient: bool = False
    """Of DICOM: whether rows have the column ``patient``, a hash of the patient's id, to keep the pictures of one together. Who can try all
    ids can find which has a hash."""
    limits: FileLimits = FileLimits()
    """How many files it may have."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: of what other machines keep."""
        return is_remote(self.files)

    @property
    def local_files(self) -> tuple[str, ...]:
        """Files of this machine that are read; none of a URL."""
        return () if is_remote(self.files) else (self.files,)

    def describe(self) -> str:
        """Name the files; of a URL, without what may be a secret in it."""
        return shown_url(self.files) if is_remote(self.files) else self.files

    def mistakes(self) -> Iterator[SpecError]:
        """Refuse a URL that cannot be read."""
        if self.files.startswith(("https:/", "http:/")):
            yield SpecError("only buckets list their files", where="files", allowed="s3://, gs:// or az://")
        else:
            yield from mistakes_of_url(self.files, "files", self.at)


FUNCTION = r"^[^:]+\.py:[A-Za-z_]\w*$"
"""A function of a file."""


class DltSource(SourceSpec):
    """Rows that a function of yours gets with dlt, from one of its many kinds of sources. Lists and objects in a row become text: their JSON."""

    reader: ClassVar[str] = "linewright.data.read.dlt_reader:DltReader"

    dlt: Annotated[str, Field(pattern=FUNCTION)]
    """``FILE.py:FUNCTION``, the file in the factory's folder: the function returns a source or a resource of dlt, or rows. It runs in a child
    process at each read; `hosts` in `factory.yaml` names the hosts that dlt may read from."""
    resource: str | None = None
    """Of a source with several resources: the one that is read."""
    at: Secret | None = None
    """`env:NAME` or `file:PATH` of a text that the function gets as its argument, such as a token (default: it gets none)."""
    missing: tuple[str, ...] = ("",)
    """Spellings that mean "no value", after blanks around a value are removed."""
    limits: RestLimits = RestLimits()
    """How much it may give, and how long that may take."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: to a service always."""
        return True

    @property
    def local_files(self) -> tuple[str, ...]:
        """The file with the function."""
        return (self.dlt.rpartition(":")[0],)

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Texts that mean "no value"."""
        return self.missing

    def with_missing(self, texts: tuple[str, ...]) -> "DltSource":
        """Return the same rows with other texts that mean "no value"."""
        return self.model_copy(update={"missing": texts})

    def describe(self) -> str:
        """Name the function, and the resource if one is named."""
        return f"{self.dlt}, {self.resource}" if self.resource else self.dlt


class DeltaSource(SourceSpec):
    """A Delta table: the rows of one version of it."""

    reader: ClassVar[str] = "linewright.data.read.delta_reader:DeltaReader"

    delta: str
    """Folder of the table, relative to the factory folder or absolute; or its URL in a bucket, ``s3://BUCKET/PATH``, ``gs://`` or ``az://``."""
    at: Secret | None = None
    """Of a URL: `env:NAME` or `file:PATH` of what it is read with, as for a source with `file`."""
    version: Annotated[int, Field(ge=0)] | None = None
    """Number of the version that is read (default: the newest)."""
    limits: FileLimits = FileLimits()
    """How large the table may turn out to be."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: to a table always."""
        return True

    @property
    def local_files(self) -> tuple[str, ...]:
        """All files in the folder, those of other versions too; none of a URL."""
        return () if is_remote(self.delta) else (f"{self.delta}/**/*",)

    def describe(self) -> str:
        """Name the table, and the version if it is fixed."""
        table = shown_url(self.delta) if is_remote(self.delta) else self.delta
        return f"the Delta table {table}" + ("" if self.version is None else f", version {self.version}")

    def mistakes(self) -> Iterator[SpecError]:
        """Refuse a URL that cannot be read."""
        if self.delta.startswith(("https:/", "http:/")):
            yield SpecError("only buckets hold Delta tables", where="delta", allowed="s3://, gs:// or az://")
        else:
            yield from mistakes_of_url(self.delta, "delta", self.at)


KNOWN = "known"
"""Name of the column that says when a row that was sent came. A row that is sent cannot have it."""
VERSION_KNOWN, VERSION_DELETED = "linewright_known", "linewright_deleted"
"""Columns that the versions of a row have besides, of a source with a history: when one came to be known, and whether it says that
the row is gone."""


class PushSource(SourceSpec):
    """Rows that other programs send to the endpoint: ``POST /v1/sources/NAME/rows``, where NAME is the value of `push`.

    Rows can be sent once a command has read the line file, such as `linewright check`. They lie in the state folder.
    """

    reader: ClassVar[str] = "linewright.data.read.push_reader:PushReader"
    push: Annotated[str, Field(pattern=f"^{SOURCE}$")]
    """Name that rows are sent to; lines with the same name read the same rows."""
    key: str
    """Column that says what a row is about: a later row with the same key corrects the earlier one. One that says the same again is not kept
    twice, so rows can be sent again if no answer came."""
    time: str | None = None
    """Column with the time at which it happened; a row without it is refused."""
    known: bool = True
    """Whether rows have the column ``known``: when each came, UTC."""
    versions: Literal["newest", "all"] = "newest"
    """Which rows of a key are read: the newest, or corrected ones too."""
    limits: QueryLimits = QueryLimits()
    """How many rows may be read; the time does not matter."""

    @property
    def is_live(self) -> bool:
        """Whether others may write to it at any time: they send rows."""
        return True

    @property
    def local_files(self) -> tuple[str, ...]:
        """The file in the state folder."""
        return (f".linewright/{FOLDER}/{self.push}{ENDING}",)

    def describe(self) -> str:
        """Name what rows are sent to."""
        return f"rows sent to {self.push}"


SOURCES: dict[str, type[SourceSpec]] = {
    "file": FileSource,
    "files": FilesSource,
    "sqlite": SqliteSource,
    "sql": SqlSource,
    "push": PushSource,
    "rest": RestSource,
    "delta": DeltaSource,
    "dlt": DltSource,
}
"""The kinds of sources, by the word that names them. An installed package adds a kind by an entry point of the group `PLUGINS`."""
PLUGINS = "linewright.sources"
"""Group of entry points, each ``WORD = module:class`` of a `SourceSpec`."""


def kind_of(source: SourceSpec) -> str:
    """Return the word of a line file that names the kind of a source.

    Examples
    --------
    >>> kind_of(FileSource(file="claims.csv"))
    'file'
    """
    word = next((word for word, kind in SOURCES.items() if type(source) is kind), None)
    return word or next(iter(type(source).model_fields))


def identity_of(source: SourceSpec) -> str:
    """Return a text that is the same for sources that read the same.

    Examples
    --------
    >>> identity_of(FileSource(file="a.csv")) == identity_of(FileSource(file="b.csv"))
    False
    """
    return f"{kind_of(source)} {source.model_dump_json(exclude={'limits'})}"


def source_specs(words: Collection[str] = ()) -> tuple[type[SourceSpec], ...]:
    """Return the kinds of sources that a mapping with these words may be: those of the table, and where none fits those of packages too."""
    if any(word in SOURCES for word in words):  # spares a look at all installed packages
        return tuple(SOURCES.values())
    others = sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name)
    return (*SOURCES.values(), *(_plugged(entry) for entry in others if entry.name not in SOURCES))


def _plugged(entry: EntryPoint) -> type[SourceSpec]:
    try:
        spec = entry.load()
    except Exception as error:
        raise SpecError(
            f"the package with this kind of source cannot be loaded: {error}",
            where=entry.name,
            found=entry.value,
        ) from error
    if not (isinstance(spec, type) and issubclass(spec, SourceSpec)):
        raise SpecError(
            "this does not define a kind of source",
            where=entry.name,
            found=entry.value,
            allowed="a SourceSpec",
        )
    return spec


AnySource = Annotated[SourceSpec, OneOf(source_specs)]
"""A source of any kind in the table."""


Group = Annotated[str, OrNames(most=5, to_text=to_list_text)]
"""A column, or several: these stand as the text of their list, which also names the column that holds all of them."""


class TableSpec(Spec):
    """How the sources become the one table that the line works on."""

    sql: str | None = None
    """DuckDB SQL over the sources by name. Without it the table is the one source that no column `references`."""
    limits: QueryLimits = QueryLimits()
    """How much the SQL may give, and how long it may take."""
    key: str | None = None
    """Column that names a row: unique, never a feature, returned with predictions, used for feedback."""
    time: str | None = None
    """Column that says when the row happened; never a feature."""
    known: str | None = None
    """Column that says when the row could have been known (default: `time`)."""
    group: Group | None = None
    """Column whose rows belong together (a patient, a machine); a group is never split between training and
    test, unless the split is by time. Of a line that forecasts it is the series, which several columns may name, e.g. ``[store, product]``."""
    subject: str | None = None
    """Column that names the person a row is about."""
    weight: str | None = None
    """Column with a sample weight of at least 0; never a feature."""
    exclude: tuple[str, ...] = ()
    """Columns that stay in the table and are never used by the model."""
    zone: str | None = None
    """IANA time zone of naive times in `time` and `known` (default: UTC)."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that `group` names.

        Examples
        --------
        >>> TableSpec(group="store").groups, TableSpec.model_validate({"group": ["store", "product"]}).groups
        (('store',), ('store', 'product'))
        """
        if self.group is None:
            return ()
        if self.group.startswith('["'):
            with suppress(ValueError):  # a column may have any name
                return tuple(read_list(self.group))
        return (self.group,)

    def group_of(self, row: Mapping[str, Any]) -> str | None:
        """Return what a row has in `group`, where several columns make it; `None` if one is missing."""
        names = spelled([row.get(name) for name in self.groups])
        return to_list_text(names) if len(names) == len(self.groups) else None


class LabelSpec(Spec):
    """What the line predicts."""

    column: str
    """Column of the table that holds the truth."""
    event: str | None = None
    """For how long it takes: column that is true (or 1) if it happened at the time in `column`, and false (or 0) if it had not
    happened by then. The two become one label, ``12.5`` or ``12.5+``."""
    start: str | None = None
    """For how long it takes: column of the time from which on the row was seen, if that was not 0. Before it nobody would have known of the row,
    so that it survived nothing then: patients who came late, or several rows of one machine, each for the time in which its columns held."""
    positive: str | None = None
    """For two classes: the value whose probability is predicted, as spelled in the data."""
    delay: Duration | None = None
    """How long after `time` the truth is known."""
    known: str | None = None
    """Column that says when the truth was known (instead of `delay`)."""
    columns: tuple[str, ...] | None = None
    """Several label columns (multilabel)."""


class ColumnRule(Spec):
    """What one column may hold."""

    type: ColumnType
    """Type of the values."""
    nullable: bool | Literal["warn"] | None = None
    """Whether a value may be missing (default: yes). Where it says `true`, a request may also leave the column out; else a missing
    value is sent as null. With ``warn`` it may be missing, and a warning says so: `new` writes it where none was missing so far."""
    min: int | float | date | datetime | None = None
    """Smallest allowed value."""
    max: int | float | date | datetime | None = None
    """Largest allowed value."""
    allowed: tuple[str, ...] | None = None
    """All values that a category may have; without it, any."""
    unique: bool = False
    """Whether each value occurs once."""
    pattern: str | None = None
    """Regular expression that the whole of each value must match, as it is spelled in the source; for text, category
    and integer. The syntax is that of Rust, which takes linear time: no look-around, no backreferences."""
    references: str | None = None
    """`SOURCE.COLUMN`: each value must be among the values of that column. A source that is only referred to is no
    part of the table."""
    format: str | None = None
    """strptime format of dates and times that are not ISO 8601, e.g. ``"%m/%d/%Y"``."""
    on_breach: OnBreach | None = None
    """What a breach does: stop the run, quarantine the row, or warn (default: the contract's `on_breach`)."""
    personal: bool = False
    """Whether its values are personal: only who has the right `view-personal` sees them, others see ``•••``. What is stored and trained is the same."""

    @property
    def may_lack(self) -> bool:
        """Whether a value may be missing."""
        return self.nullable is not False

    @property
    def is_gap_a_breach(self) -> bool:
        """Whether a missing value breaks the rule, be it with a warning alone."""
        return self.nullable in (False, "warn")


class RowsRule(Spec):
    """How many rows the table may have."""

    min: Annotated[int, Field(ge=0)] = 1
    """Fewest rows."""
    max: int | None = None
    """Most rows."""
    change: Annotated[float, Field(gt=0)] | None = None
    """Largest difference between the rows that are kept and those of the line's last dataset version, as a share of
    the latter, e.g. 0.5."""
    on_breach: OnWhole | None = None
    """What a breach does: stop the run or warn (default: warn where the contract's `on_breach` says so, else stop)."""


class FreshRule(Spec):
    """How old the newest row may be."""

    within: Duration
    """Largest age of the newest `table.time` that is not in the future, when a run or check looks at it; a date counts
    from the end of its day."""
    on_breach: OnWhole | None = None
    """What a breach does: stop the run or warn (default: warn where the contract's `on_breach` says so, else stop)."""


class SqlCheck(Spec):
    """A question to the table whose answer is the rows that are wrong."""

    name: str
    """What is checked, in a few words."""
    sql: str
    """One DuckDB SELECT over `rows`, the table in its types after the rules of the columns; what it returns is wrong."""
    limits: QueryLimits = QueryLimits()
    """How much the SQL may give, and how long it may take."""
    on_breach: OnWhole | None = None
    """What a breach does: stop the run or warn (default: warn where the contract's `on_breach` says so, else stop)."""


class ContractSpec(Spec):
    """What the table promises. Columns that it does not name follow `on_new_column`."""

    columns: dict[str, ColumnRule] = Field(default_factory=dict)
    """Rules by column; a named column must exist."""
    on_breach: OnBreach = "quarantine"
    """What a breach does where the column does not say."""
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Largest share of rows that may be quarantined before the run stops."""
    rows: RowsRule = RowsRule()
    """How many rows the table may have."""
    fresh: Duration | FreshRule | None = None
    """How old the newest row may be, e.g. `2d`, or `{within: 2d, on_breach: warn}`."""
    checks: tuple[SqlCheck, ...] = ()
    """Questions in SQL that no rule of a column can ask."""

    @property
    def personal(self) -> frozenset[str]:
        """The columns whose values are personal."""
        return frozenset(name for name, rule in self.columns.items() if rule.personal)


class SplitSpec(Spec):
    """How rows are split into training and test."""

    by: Literal["auto", "random", "group", "time"] = "auto"
    """`time`: the latest rows are the test part. `group`: whole groups. `random`: by a salted hash of the key
    (else of the content). `auto`: time where the table has one, else group where it has one, else random."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of rows in the test part."""
    salt: str = ""
    """Changes which rows a random or group split takes."""


class ChecksSpec(Spec):
    """What a person says to the checks of the data."""

    disable: tuple[str, ...] = ()
    """Ids of checks that are not asked, as `check` prints them, e.g. ``strong``."""
    known: tuple[str, ...] = ()
    """Columns that were known before the label was: no check suspects or asks of them again whether they were."""


class RecommendSpec(Spec):
    """What a line with `train.task: recommend` learns from its events, and what an answer lists.

    Each row of the table is an event: `table.group` is the user, `label.column` the item, `table.time` when. They become rows that a request
    could be: what a user had before a moment (the column ``history``, newest last), and what the user took at it.
    """

    items: Annotated[int, Field(ge=1, le=100)] = 10
    """How many items an answer lists."""
    again: bool = False
    """Whether items that the user had before may be listed, and count as right: yes for what is bought again and again, no for films."""
    history: Annotated[int, Field(ge=1, le=500)] = 100
    """How many of the newest different items of a history are read."""
    every: Duration | None = None
    """Events of a user within one such span, counted in UTC from 1970, are one moment, e.g. ``1d`` (default: those of one time)."""
    at_most: Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(max_length=1)] = Field(
        default_factory=dict
    )
    """How many items of one category an answer may list, by the column of the events that holds the category of the item, e.g.
    ``{category: 3}``. Looked for among the best 256 items, so an answer may be shorter."""
    allowed: str | None = None
    """Column of another source that holds the items that may be listed, e.g. ``stock.item``; read by each run (default: all)."""
    explore: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """Share of the answers at the endpoint whose list is drawn from twice as many of the best items, in an order of chance. What is taken of
    them says what other lists would be worth."""


HISTORY, HISTORY_WEIGHT = "history", "history_weight"
"""Columns that hold what a user had before, and, if events have a weight, the largest that the user's events of each item had."""


Step = Annotated[str, Field(pattern=r"^([1-9]\d{0,5}[smhdw]|month|quarter|year|1)$")]
"""Distance between two values of a series."""


class ForecastSpec(Spec):
    """What a line with `train.task: forecast` says ahead.

    Each row of the table is one value: `table.group` is the series (left out if there is one only), `table.time` when, `label.column` how much. They
    become rows that a request could be: the newest values before a time (the column ``recent``, newest last), and what came.
    """

    horizon: Annotated[int, Field(ge=1, le=200)]
    """How many steps are said ahead."""
    every: Step | None = None
    """Distance between two values: a number of s, m, h, d or w, e.g. ``1h``, or ``month``, ``quarter``, ``year``; ``1`` where times are whole
    numbers (default: found in the data)."""
    season: Annotated[int, Field(ge=1, le=400)] | None = None
    """After how many steps it comes again, 1 for never (default: by `every`: 24 hours, 7 days, 52 weeks, 12 months, 4 quarters)."""
    recent: Annotated[int, Field(ge=2, le=2_000)] | None = None
    """How many of the newest values are read (default: 6 seasons, at least 120)."""
    known_ahead: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Columns of numbers that are known before the values are, such as a price or a holiday; a request sends them for each step."""
    reconcile: Literal["bottom_up"] | None = None
    """``bottom_up``: sums of series are predicted too, as the sums of their forecasts; `levels` says which."""
    levels: Annotated[tuple[tuple[str, ...], ...], Field(max_length=8)] = ()
    """Which columns of `table.group` name a sum, e.g. ``[[store], []]``: each store, and all together."""
    max_age: Annotated[int, Field(ge=0)] | None = None
    """How many steps old the newest known value may be if a request names a series without its recent values (default: any, and an answer
    whose steps have all passed has a warning)."""
    remember: bool = False
    """Whether newer values in requests to the endpoint are remembered, so that a later request that names the series alone gets them (default:
    it gets those that a run has read)."""


RECENT, UNTIL = "recent", "until"
"""Columns that hold the newest values of a series, and the time of the last step that is said ahead."""


class AnomalySpec(Spec):
    """What a line with `train.task: anomaly` takes for good, and how often it may be wrong about that."""

    alarms: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """Share of good rows that may be called faulty. Where `value` says what decisions are worth and enough training rows are
    known to be faulty, these set the threshold instead."""


class DataSpec(Spec):
    """Everything that the data room is asked for."""

    sources: Annotated[dict[str, AnySource], Field(min_length=1)]
    """Where the data is, by name."""
    table: TableSpec = TableSpec()
    """How the sources become one table."""
    features: tuple[str, ...] = ()
    """Feature views, `features/NAME.yaml`, whose columns each row gets as they were known at its `table.time`."""
    label: LabelSpec
    """What is predicted."""
    contract: ContractSpec = ContractSpec()
    """What the table promises."""
    checks: ChecksSpec = ChecksSpec()
    """Checks of the data that are off, and columns that were known before the label."""
    recommend: RecommendSpec | None = None
    """For `train.task: recommend`: how events become rows, and what an answer lists."""
    forecast: ForecastSpec | None = None
    """For `train.task: forecast`: how values become rows, and how far ahead an answer says them."""
    anomaly: AnomalySpec | None = None
    """For `train.task: anomaly`: how often good rows may be called faulty."""
    on_new_column: Literal["ignore", "warn", "stop"] = "warn"
    """What a column of the sources that the contract does not name does; it is never a feature. Those of feature views always are."""

    def zone_of(self, column: str) -> str | None:
        """Return the zone of a column's naive times; `None` means UTC."""
        is_zoned = column in {self.table.time, self.table.known, self.label.known}
        return self.table.zone if is_zoned else None


def referred_source(references: str, sources: Sequence[str]) -> str | None:
    """Return the source that ``SOURCE.COLUMN`` names; `None` where there is none. Both names may hold dots.

    Examples
    --------
    >>> referred_source("shops.id", ["shops", "sales"]), referred_source("shop.id", ["shops"])
    ('shops', None)
    """
    fitting = [name for name in sources if references.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def table_sources(data: DataSpec) -> dict[str, SourceSpec]:
    """Return the sources that become the table: with SQL all of them, else those that no column refers to."""
    if data.table.sql is not None or len(data.sources) == 1:
        return dict(data.sources)
    rules = data.contract.columns.values()
    references = [rule.references for rule in rules if rule.references]
    if data.recommend is not None and data.recommend.allowed is not None:
        references.append(data.recommend.allowed)
    named = {referred_source(one, list(data.sources)) for one in references}
    return {name: source for name, source in data.sources.items() if name not in named}
