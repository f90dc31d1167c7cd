"""Sources that are files of other machines."""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from linewright.data.read.file.file_reader import digest_of_files
from linewright.data.read.file.files import open_files
from linewright.data.read.file.paths import is_pattern
from linewright.data.read.limits import too_many_rows
from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.remote.connect import client_class, proxy_to_server
from linewright.data.read.remote.credentials import read_credentials
from linewright.data.read.remote.downloads import (
    DownloadedPart,
    KnownDigests,
    ScratchFolder,
    digests_of_remote,
    fetch,
    new_scratch,
)
from linewright.data.read.remote.remote_store import RemoteFile, RemoteRequest, RemoteStore
from linewright.data.read.source import Source
from linewright.data.spec import FileSource, FilesSource
from linewright.errors import Transient
from linewright.text.remote_url import read_remote_url

_LIST_S = 600.0
"""Seconds that a server may take to say what is there: a listing may have a next page for ever."""
_MOST_LISTED = 1 << 30
"""Bytes that it may say so in: a thousand a file."""


class OpenedRemote(NamedTuple):
    """A server of files, and the files that a URL names there."""

    request: RemoteRequest
    store: RemoteStore
    files: Sequence[RemoteFile]
    known: KnownDigests


def open_remote(name: str, spec: FileSource, root: Path, *, size: int) -> tuple[Source, str]:
    """Fetch the files that a source names, and return their rows and their fingerprint; the files go with the last use of the rows."""
    where = f"sources.{name}"
    with new_scratch(root) as scratch:
        with _opened(spec, root, where) as (request, store, files, known):
            fetched = fetch(store, files, scratch, request)
            known.keep(files, [one.digest for one in fetched])
        source = open_files(name, [one.path for one in fetched], spec, where, size)
    parts = tuple(DownloadedPart(part=part, scratch=scratch) for part in source.parts)
    names = tuple(file.name for file in files) if len(files) > 1 else ()
    return replace(source, parts=parts, file_names=names), digest_of_files(
        [one.digest for one in fetched], spec
    )


@contextmanager
def fetched_files(spec: FileSource, root: Path, where: str) -> Generator[list[Path]]:
    """Give the files that a source names, on this machine for as long as this lasts."""
    with new_scratch(root) as scratch:
        with _opened(spec, root, where) as (request, store, files, known):
            fetched = fetch(store, files, scratch, request)
            known.keep(files, [one.digest for one in fetched])
        yield [one.path for one in fetched]
    scratch.remove()


def fingerprint_of_remote(spec: FileSource, root: Path, where: str) -> str:
    """Return the digest that these files have on any machine; those whose tags are known are not fetched."""
    with _opened(spec, root, where) as (request, store, files, known):
        digests = digests_of_remote(store, files, known, request)
    return digest_of_files(digests, spec)


def list_remote(spec: FileSource | FilesSource, root: Path, where: str) -> Sequence[RemoteFile]:
    """Return the files that a source names, without what they hold."""
    with _opened(spec, root, where) as (_, _, files, _):
        return files


def fetch_named(
    spec: FilesSource, root: Path, where: str
) -> tuple[ScratchFolder, dict[str, Path], dict[str, str]]:
    """Fetch the files of a bucket, and return what keeps them, and paths and digests by their names, which begin below the folder."""
    with new_scratch(root) as scratch, _opened(spec, root, where) as (request, store, files, known):
        names = _names(spec, files, request)
        fetched = fetch(store, files, scratch, request)
        known.keep(files, [one.digest for one in fetched])
    paths = {name: one.path for name, one in zip(names, fetched, strict=True)}
    return scratch, paths, {name: one.digest for name, one in zip(names, fetched, strict=True)}


def digests_by_name(spec: FilesSource, root: Path, where: str) -> dict[str, str]:
    """Return the digests of files of a bucket by their names; those whose tags are known are not fetched."""
    with _opened(spec, root, where) as (request, store, files, known):
        names = _names(spec, files, request)
        digests = digests_of_remote(store, files, known, request)
    return dict(zip(names, digests, strict=True))


def _names(spec: FilesSource, files: Sequence[RemoteFile], request: RemoteRequest) -> list[str]:
    if len(files) > spec.limits.rows:
        raise too_many_rows(request.where, spec.limits.rows)
    parts = request.url.path.rstrip("/").split("/")
    fixed = "/".join(takewhile(lambda part: not is_pattern(part), parts))
    is_one = [file.name for file in files] == [fixed]
    base = fixed.rpartition("/")[0] if is_one else fixed
    return [file.name[len(base) + 1 if base else 0 :] for file in files]


@contextmanager
def _opened(spec: FileSource | FilesSource, root: Path, where: str) -> Generator[OpenedRemote]:
    word, written = ("file", spec.file) if isinstance(spec, FileSource) else ("files", spec.files)
    with opened_remote(word, written, spec.at, root, where) as opened:
        yield opened


@contextmanager
def opened_remote(word: str, written: str, at: str | None, root: Path, where: str) -> Generator[OpenedRemote]:
    """Give the files that a URL names, for as long as this lasts: those of a `file` right in its folder, else all below it."""
    url = read_remote_url(written)
    credentials = read_credentials(url, at, root, where)
    request = RemoteRequest(
        url=url, where=where, word=word, is_deep=word != "file", secrets=credentials.secrets
    )
    module, name, extra = ("buckets", "Bucket", "cloud") if url.is_bucket else ("web", "WebFile", "web")
    kind = client_class(f"linewright.plugins.{module}", name, extra, request)
    with (
        proxy_to_server(credentials, root, request) as proxy,
        closing(kind(credentials, proxy.url, request)) as store,
    ):
        with QueryTimeout(proxy.cut, _LIST_S, received=lambda: proxy.received, most=_MOST_LISTED) as limit:
            files = _listed(store, request, limit)
        if not files:
            raise request.absent_error()
        # Who may read a bucket with other keys may see other files there.
        yield OpenedRemote(
            request, store, files, KnownDigests(root, word, written, credentials.endpoint.origin)
        )


def _listed(store: RemoteStore, request: RemoteRequest, limit: QueryTimeout) -> Sequence[RemoteFile]:
    try:
        return store.files()
    except Transient:
        if limit.has_ended or limit.is_flooded:
            raise request.unavailable_error("its listing does not end") from None
        raise
