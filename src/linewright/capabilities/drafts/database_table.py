"""A table of a database as the data of a new line."""

import re
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from linewright.data.spec import SourceSpec, SqlSource
from linewright.errors import RequestError
from linewright.spec import SECRET
from linewright.text.database_url import FILES
from linewright.text.suggest import listed, nearest

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/(?!$)\S*")
"""A URL as a path has it, with one slash for two."""


def table_source(root: Path, data: Path, table: str | None) -> SqlSource | None:
    """Return the source of a table of a database: of the URL that ``env:NAME`` or ``file:PATH`` names, or of a file; `None` if the data are files of tables."""
    said = str(data)
    if re.fullmatch(SECRET, said):
        return _of_database(root, said, table)
    if (url := _url_of_file(root, data, has_table=table is not None)) is not None:
        return _of_database(root, url, table)
    if not data.exists() and _URL.fullmatch(said):
        raise RequestError(
            "a URL stands in the list of processes and in the history of the shell, with the password that is in it",
            where="--data",
            found=said.partition(":")[0] + "://…",
            allowed="env:NAME or file:PATH, which hold the URL; duckdb:///PATH or sqlite:///PATH; or files of tables",
            hint="put the URL into a variable, say DB, and write: --data env:DB --table TABLE; change a password that others may have seen",
        )
    if table is not None:
        raise RequestError(
            "only a database has tables to choose from",
            where="--table",
            found=table,
            hint="name the URL of the database with --data env:NAME, or leave --table out",
        )
    return None


def _url_of_file(root: Path, data: Path, *, has_table: bool) -> str | None:
    """Return the URL of a file that holds a database, given its URL or path, which start from the current folder; `None` for other data."""
    scheme, _, rest = str(data).partition(":")
    if scheme in FILES and rest:
        near, far = Path(rest.lstrip("/")).absolute(), Path(f"/{rest.lstrip('/')}")
        path = far if far.exists() and not near.exists() else near  # a path has lost two of the slashes
    elif has_table and data.is_file():
        path = data.expanduser().absolute()
        with path.open("rb") as file:
            head = file.read(16)
        scheme = (
            "sqlite" if head.startswith(b"SQLite format 3") else "duckdb" if head[8:12] == b"DUCK" else ""
        )
    else:
        return None
    home, path = root.resolve(), path.resolve()
    written = path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)
    return f"{scheme}:///{quote(written)}" if scheme else None


def ordered_by_key(source: SourceSpec, root: Path, key: str | None) -> SourceSpec:
    """Return a source whose query orders its rows by the key, so that they stay in their order when rows are written."""
    if not isinstance(source, SqlSource) or key is None:
        return source
    quoted = import_module("linewright.data.read.sql.sql_reader").quoted
    return source.model_copy(update={"sql": f"{source.sql} order by {quoted(source, root, key)}"})


def _of_database(root: Path, at: str, table: str | None) -> SqlSource:
    reader = import_module("linewright.data.read.sql.sql_reader")  # what makes tables takes a while to import
    source = SqlSource(sql="select 1", at=at)
    tables = reader.tables_of(source, root, "sources.data")
    if table is None or (table not in tables and len(tables) < reader.MOST_TABLES):
        near = nearest(table, tables) if table else None
        raise RequestError(
            "the database has no such table"
            if table
            else "a database does not say by itself which table is meant",
            where="--table",
            found=table,
            allowed=listed(tables) or "no table: the database has none that may be read",
            hint=f"did you mean {near!r}?" if near else "name one: --table TABLE",
        )
    return SqlSource(sql=f"select * from {reader.quoted(source, root, table)}", at=at)  # noqa: S608 -- it is quoted
