"""URLs of files in buckets and on the web, and of REST services."""

import re
from dataclasses import dataclass

BUCKETS = ("s3", "gs", "az")
"""Schemes of buckets: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""
FORMS = "s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or https://HOST/PATH"
_IS_REMOTE = re.compile(r"(s3|gs|az|https?):/")
_URL = re.compile(
    r"(?P<scheme>s3|gs|az|https?)://(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class RemoteUrl:
    """The parts of a URL, as they are written."""

    scheme: str
    name: str
    """Bucket, as written; or host, in small letters and without brackets."""
    port: int
    """Of a server; 0 for buckets, whose servers `at` names."""
    path: str
    """Without the slash at its beginning for buckets, with it for servers. In buckets it may be a pattern."""
    query: str = ""
    """With its question mark."""

    @property
    def place(self) -> str:
        """The URL without its query, which may hold a secret.

        Examples
        --------
        >>> read_remote_url("https://Data.example.com/a.csv?key=7").place, read_remote_url("s3://plant/a/*.csv").place
        ('https://data.example.com/a.csv', 's3://plant/a/*.csv')
        """
        return f"{self.origin}{'/' if self.is_bucket else ''}{self.path}"

    @property
    def origin(self) -> str:
        """Scheme, and bucket or host with its port where that is not the usual one."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        port = "" if self.is_bucket or self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{name}{port}"

    @property
    def is_bucket(self) -> bool:
        """Whether it names objects of a bucket."""
        return self.scheme in BUCKETS


def is_remote(written: str) -> bool:
    """Return whether a text is a URL of such a kind, and not a path; a `Path` has made one slash of two.

    Examples
    --------
    >>> is_remote("s3://plant/a.csv"), is_remote("https:/example.com/a.csv"), is_remote("data/a.csv")
    (True, True, False)
    """
    return _IS_REMOTE.match(written) is not None


def read_remote_url(text: str) -> RemoteUrl:
    """Return the parts of a URL."""
    found = _URL.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError("this cannot be read as the URL of a file")
    scheme, name, path = found["scheme"], found["name"], found["path"] or "/"
    if scheme in BUCKETS:
        if found["port"] or found["query"]:
            raise ValueError("the URL of a bucket has neither a port nor a query")
        return RemoteUrl(scheme=scheme, name=name, port=0, path=path[1:])
    port = int(found["port"]) if found["port"] else _PORTS[scheme]
    if not 0 < port < 65_536:
        raise ValueError("the port is not from 1 to 65535")
    host = name.strip("[]").lower()
    return RemoteUrl(scheme=scheme, name=host, port=port, path=path, query=found["query"] or "")


def shown_url(text: str) -> str:
    """Return a URL without its query, which may hold a secret; only its scheme if it cannot be read as one.

    Examples
    --------
    >>> shown_url("https://data.example.com/a.csv?key=7"), shown_url("https://ann:pw@data.example.com/a.csv")
    ('https://data.example.com/a.csv', 'https://…')
    """
    try:
        return read_remote_url(text).place
    except ValueError:
        return text.partition(":")[0] + "://…"
