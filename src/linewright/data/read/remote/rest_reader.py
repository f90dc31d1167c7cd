"""Sources that are pages of REST services."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from linewright.data.read.batches import BATCH, refuse_patterns
from linewright.data.read.file.json_lines import JsonLines
from linewright.data.read.limits import too_many_columns, too_many_rows
from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.reader import Cursor
from linewright.data.read.remote.connect import client_class, proxy_to_server
from linewright.data.read.remote.credentials import read_credentials
from linewright.data.read.remote.downloads import DownloadedPart, ScratchFolder, new_scratch, no_room
from linewright.data.read.remote.pages import Answer, Pages, Row
from linewright.data.read.remote.remote_store import RemoteRequest
from linewright.data.read.source import Source
from linewright.data.spec import FileLimits, FileSource, RestSource
from linewright.errors import RequestError, SpecError, Transient
from linewright.store.values import digest_of
from linewright.text.remote_url import read_remote_url

_MOST_PAGE = 1 << 26
"""Bytes of one page."""
_MOST_COLUMNS = FileLimits().columns
_FEW_BYTES = 16
"""Of a digest that tells apart the rows of one key."""


class RestReader:
    """Reads the pages of a REST service; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: RestSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Ask for all pages once; the rows lie in a file that goes with the last use of them."""
        del since
        return self._opened(name, spec, root, size)[0]

    def read(self, name: str, spec: RestSource, root: Path) -> tuple[Source, str]:
        """Ask for all pages once, and return the rows with their fingerprint."""
        return self._opened(name, spec, root, BATCH)

    def fingerprint(self, spec: RestSource, root: Path, where: str) -> str:
        """Return a digest of the rows; it costs as many questions as reading does."""
        with new_scratch(root) as scratch:
            found = _fetched(spec, root, where, scratch)[-1]
        scratch.remove()
        return found

    def columns(self, name: str, spec: RestSource, root: Path) -> tuple[str, ...]:
        """Return nothing: only the rows have names."""
        del name, spec, root
        return ()

    def _opened(self, name: str, spec: RestSource, root: Path, size: int) -> tuple[Source, str]:
        where = f"sources.{name}"
        with new_scratch(root) as scratch:
            path, names, fingerprint = _fetched(spec, root, where, scratch)
            part = _part(path, names, spec, where=where, size=size)
        kept = DownloadedPart(part=part, scratch=scratch)
        source = Source(
            name=name, columns=part.columns, is_text=True, parts=(kept,), missing=spec.missing_texts
        )
        return source, fingerprint


def _part(path: Path, names: Sequence[str], spec: RestSource, *, where: str, size: int) -> JsonLines:
    as_file = FileSource(file=path.name, missing=spec.missing, limits=FileLimits(rows=spec.limits.rows))
    columns = tuple(dict.fromkeys(name.strip() for name in names))
    if "" in columns:
        raise SpecError("a field has no name", where=where, found=spec.describe())
    refuse_patterns(columns, where)
    return JsonLines(path=path, spec=as_file, where=where, columns=columns, size=size)


def _fetched(
    spec: RestSource, root: Path, where: str, scratch: ScratchFolder
) -> tuple[Path, Sequence[str], str]:
    """Return a file with a row a line, the names of the fields in the order in which they come, and the digest of the rows."""
    url = read_remote_url(spec.rest)
    credentials = read_credentials(url, spec.at, root, where)
    request = RemoteRequest(url=url, where=where, word="rest", secrets=credentials.secrets)
    path = scratch.path / "rows.jsonl"
    kind = client_class("linewright.plugins.web", "Web", "web", request)
    with (
        proxy_to_server(credentials, root, request) as proxy,
        closing(kind(credentials, proxy.url, request)) as web,
    ):
        pages = Pages(spec=spec, request=request, ask=_asker(web, spec, request))
        try:
            # A server that says a little now and then is silent for no time.
            with path.open("wb") as file, QueryTimeout(proxy.cut, spec.limits.seconds):
                kept = _Kept(file, spec, request, scratch.free)
                for rows in pages.rows():
                    kept.add(rows)
            digest = _without(path, kept.replaced) if kept.replaced else kept.digest.hexdigest()
        except OSError as error:
            raise no_room(request, error.strerror) from error
    return path, [*kept.names], digest_of({"rows": digest, "missing": list(spec.missing)})


def _asker(web: Any, spec: RestSource, request: RemoteRequest) -> Callable[[str], Answer]:
    """Return what asks for a page, until the time for all of them is over."""
    until = monotonic() + spec.limits.seconds

    def ask(url: str) -> Answer:
        try:
            return web.page(web.here(url), until=until, most=_MOST_PAGE)
        except Transient as error:
            if monotonic() < until:
                raise
            raise Transient(
                f"source {request.name!r} had not given its last page after {spec.limits.seconds:g} s",
                where=f"{request.where}.rest",
                found=request.url.place,
                hint=f"try again, ask for less, or allow more by {request.where}.limits.seconds",
            ) from error

    return ask


class _Kept:
    """The rows of a service, one a line, each key once."""

    def __init__(self, file: BinaryIO, spec: RestSource, request: RemoteRequest, most: int) -> None:
        self._file, self._spec, self._request, self._left = file, spec, request, most
        self._lines = 0
        self._seen: dict[str, tuple[bytes, int]] = {}
        self.names = dict[str, None]()
        """Of all fields, in the order in which they came."""
        self.digest = hashlib.sha256()
        """Of all lines."""
        self.replaced = set[int]()
        """Lines, from 0, whose row came again with other values."""

    def add(self, rows: Sequence[Row]) -> None:
        """Write the rows that are not there yet."""
        for row in rows:
            line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
            if self._spec.key is not None and self._is_there(row, self._spec.key, line):
                continue
            self._left -= len(line)
            if self._left < 0:
                raise no_room(self._request)
            self._file.write(line)
            self.names |= dict.fromkeys(row)
            self.digest.update(line)
            self._lines += 1
            if self._lines - len(self.replaced) > self._spec.limits.rows:
                raise too_many_rows(self._request.where, self._spec.limits.rows)
        if len(self.names) > _MOST_COLUMNS:
            raise too_many_columns(self._request.where, self._spec.describe(), _MOST_COLUMNS)

    def _is_there(self, row: Row, key: str, line: bytes) -> bool:
        name = row.get(key)
        if name is None:
            raise RequestError(
                "a row has no value that tells it from others",
                where=f"{self._request.where}.key",
                found=key,
                hint="name a field that each row has",
            )
        digest = hashlib.sha256(line).digest()[:_FEW_BYTES]
        before = self._seen.get(name)
        if before is not None and before[0] == digest:
            return True
        if before is not None:
            self.replaced.add(before[1])
        self._seen[name] = digest, self._lines
        return False


def _without(path: Path, lines: set[int]) -> str:
    """Take lines out of a file, and return the SHA-256 of the others, in hexadecimal digits."""
    digest, kept = hashlib.sha256(), path.with_name("kept.jsonl")
    with path.open("rb") as file, kept.open("wb") as target:
        for number, line in enumerate(file):
            if number not in lines:
                digest.update(line)
                target.write(line)
    kept.replace(path)
    return digest.hexdigest()
