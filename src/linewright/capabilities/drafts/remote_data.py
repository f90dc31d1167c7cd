"""Files in a bucket or on the web as the data of a new line."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from linewright.data.read.file.paths import is_pattern
from linewright.data.spec import DeltaSource, FileSource
from linewright.errors import RequestError
from linewright.spec import SECRET
from linewright.text.remote_url import FORMS, is_remote, read_remote_url


class Access(NamedTuple):
    """How data are reached that are not files of this machine."""

    table: str | None = None
    """Of a database: the table, which may have a schema before a dot."""
    at: str | None = None
    """Of a URL: ``env:NAME`` or ``file:PATH`` of the keys that it is read with."""


OF_THIS_MACHINE = Access()


def url_of(data: Path, at: str | None) -> str | None:
    """Return the URL that a path stands for, which has lost a slash; `None` for a path of this machine.

    Examples
    --------
    >>> url_of(Path("s3://plant/part-*.csv"), None), url_of(Path("part-*.csv"), None)
    ('s3://plant/part-*.csv', None)
    """
    said = str(data)
    refuse_no_secret(at)
    if not is_remote(said) or data.exists():
        if at is not None:
            raise RequestError(
                "only a URL is read with keys", where="--at", found=at, allowed=FORMS, hint="leave --at out"
            )
        return None
    scheme, _, rest = said.partition(":")
    url = f"{scheme}://{rest.lstrip('/')}"
    try:
        read_remote_url(url)
    except ValueError as error:
        raise RequestError(
            f"{error}",
            where="--data",
            found=f"{scheme}://…",
            allowed=FORMS,
            hint="put keys and passwords into a variable, and name it with --at env:NAME",
        ) from None  # the text may hold a password
    return url


def delta_table(data: Path, url: str | None, at: str | None, root: Path) -> DeltaSource | None:
    """Return the source of the Delta table that data are, in a folder or in a bucket; `None` if they are none."""
    delta = import_module("linewright.data.read.delta_reader")
    if url is None:
        is_table = (data.expanduser() / delta.LOG).is_dir()
    else:
        is_table = read_remote_url(url).is_bucket and not is_pattern(url) and delta.has_log(url, at, root)
    return DeltaSource(delta=url or str(data), at=at) if is_table else None


def refuse_no_secret(at: str | None) -> None:
    """Refuse keys that are given in a wrong form."""
    if at is not None and not re.fullmatch(SECRET, at):
        raise RequestError("this names no secret", where="--at", allowed="env:NAME or file:PATH")


@contextmanager
def fetched(root: Path, name: str, url: str, at: str | None) -> Generator[list[Path]]:
    """Give the files of a URL, on this machine for as long as this lasts."""
    remote = import_module("linewright.data.read.remote.remote_files")
    with remote.fetched_files(FileSource(file=url, at=at), root, f"sources.{name}") as files:
        yield files
