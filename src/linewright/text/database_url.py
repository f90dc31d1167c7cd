"""URLs of databases, read strictly: anything but host and database may be a part of a password."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

FILES = ("duckdb", "sqlite")
SCHEMES = ("postgresql", "mysql", "mssql", *FILES)
_OTHER_NAMES = {"postgres": "postgresql", "mariadb": "mysql", "sqlserver": "mssql"}
PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Where servers listen, unless a URL says another port."""
FILE_URL = r"^(duckdb|sqlite):///\S+$"
"""The URL of a file, which holds no password."""
FORMS = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, mysql:// or mssql:// with the same parts, duckdb:///PATH, or sqlite:///PATH"
POSTGRESQL_OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"})
"""Options that a URL of PostgreSQL may have; others, such as `hostaddr`, would reach another server."""
HOST = r"^(/\S+|[A-Za-z0-9._:%-]+)$"
"""A name or an address, or the folder of a socket, as a file lists them."""
_SAFE = r"[^\s:/?#@\[\]]"
_URL = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+]*)://(?:(?P<user>{_SAFE}*)(?::(?P<password>{_SAFE}*))?@)?"
    rf"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?:/(?P<database>[^\s?#@]*))?(?:\?(?P<options>[^\s#@]*))?"
)
_OPTION = re.compile(r"(?P<name>[a-z_]+)=(?P<value>.*)")


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """The parts of a URL, decoded."""

    scheme: str
    host: str
    """Name or address, in small letters, or the folder of a socket; empty for a file."""
    port: int | None
    database: str
    """Name of the database, or path of the file."""
    user: str = field(repr=False)
    password: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    driver: str = field(default="", repr=False)
    """What stands after the scheme and a plus sign, such as ``adbc``."""

    @property
    def guard(self) -> dict[str, str]:
        """Options of libpq by which nobody between here and PostgreSQL gets the password by asking for it.

        Examples
        --------
        >>> read_database_url("postgresql://ann:secret@db/shop?sslmode=require").guard
        {'require_auth': '!password'}
        >>> read_database_url("postgresql://ann:secret@db/shop?sslmode=verify-full").guard
        {}
        """
        is_known = self.host.startswith("/") or self.options.get("sslmode") in {"verify-ca", "verify-full"}
        return {} if is_known else {"require_auth": "!password"}

    @property
    def place(self) -> str:
        """Host and database, without user, password and options.

        Examples
        --------
        >>> read_database_url("postgresql://ann:secret@db.example.com:5433/shop?sslmode=require").place
        'db.example.com:5433/shop'
        """
        if self.scheme in FILES:
            return self.database
        port = f":{self.port}" if self.port else ""
        return f"{self.host}{port}/{self.database}"


def read_database_url(text: str) -> DatabaseUrl:
    """Return the parts of a URL of a database.

    Examples
    --------
    >>> url = read_database_url("postgresql://ann:s%40t@db:5433/shop")
    >>> url.password, url
    ('s@t', DatabaseUrl(scheme='postgresql', host='db', port=5433, database='shop'))
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("this cannot be read as the URL of a database")
    said_scheme, _, driver = found["scheme"].partition("+")
    scheme = _OTHER_NAMES.get(said_scheme, said_scheme)
    options = [_OPTION.fullmatch(one) for one in (found["options"] or "").split("&") if one]
    if None in options:
        raise ValueError("an option is not written as NAME=VALUE")
    said = {one["name"]: unquote(one["value"]) for one in options if one}
    host = found["host"].strip("[]").lower()
    if not host and said.get("host", "").startswith("/"):
        host = said.pop("host")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65_536:
        raise ValueError("the port is not from 1 to 65535")
    return DatabaseUrl(
        scheme=scheme,
        host=host,
        port=port,
        database=unquote(found["database"] or ""),
        user=unquote(found["user"] or ""),
        password=unquote(found["password"] or ""),
        options=said,
        driver=driver,
    )
