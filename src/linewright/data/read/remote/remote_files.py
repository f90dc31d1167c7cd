"""Sources that are files of other machines."""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from linewright.data.read.file.file_reader import digest_of_files
from linewright.data.read.file.files import open_files
from linewright.data.read.remote.fetched import (
    FetchedPart,
    KnownDigests,
    digest_of_remote,
    fetch,
    new_scratch,
)
from linewright.data.read.remote.login import read_login
from linewright.data.read.remote.reach import plugged, through_gate
from linewright.data.read.remote.store import RemoteFile, RemoteQuestion, RemoteStore
from linewright.data.read.source import Source
from linewright.data.spec import FileSource
from linewright.text.remote_url import read_remote_url


class _Opened(NamedTuple):
    asked: RemoteQuestion
    store: RemoteStore
    files: Sequence[RemoteFile]
    known: KnownDigests


def open_remote(name: str, spec: FileSource, root: Path, *, size: int) -> tuple[Source, str]:
    """Fetch the files that a source names, and return their rows and their fingerprint; the files go with the last use of the rows.

    Raises
    ------
    SpecError, RequestError
        If the host is not allowed, or the files are absent or cannot be read.
    Transient
        If the server is not there, is slow or breaks off, or a file changes while it is read.
    """
    where = f"sources.{name}"
    with new_scratch(root) as scratch:
        with _opened(spec, root, where) as (asked, store, files, known):
            fetched = fetch(store, files, scratch, asked)
            known.keep(files, [one.digest for one in fetched])
        source = open_files(name, [one.path for one in fetched], spec, where, size)
    parts = tuple(FetchedPart(part=part, scratch=scratch) for part in source.parts)
    names = tuple(file.name for file in files) if len(files) > 1 else ()
    return replace(source, parts=parts, file_names=names), digest_of_files(
        [one.digest for one in fetched], spec
    )


@contextmanager
def fetched_files(spec: FileSource, root: Path, where: str) -> Generator[list[Path]]:
    """Give the files that a source names, on this machine for as long as this lasts.

    Raises
    ------
    SpecError, RequestError, Transient
        As `open_remote`.
    """
    with new_scratch(root) as scratch:
        with _opened(spec, root, where) as (asked, store, files, known):
            fetched = fetch(store, files, scratch, asked)
            known.keep(files, [one.digest for one in fetched])
        yield [one.path for one in fetched]
    scratch.remove()


def fingerprint_of_remote(spec: FileSource, root: Path, where: str) -> str:
    """Return the digest that these files have on any machine; those whose tags are known are not fetched.

    Raises
    ------
    SpecError, RequestError, Transient
        As `open_remote`.
    """
    with _opened(spec, root, where) as (asked, store, files, known):
        digests = [known.get(file) or digest_of_remote(store, file, asked) for file in files]
        known.keep(files, digests)
    return digest_of_files(digests, spec)


@contextmanager
def _opened(spec: FileSource, root: Path, where: str) -> Generator[_Opened]:
    url = read_remote_url(spec.file)
    login = read_login(url, spec.at, root, where)
    asked = RemoteQuestion(url=url, where=where, secrets=login.secrets)
    module, name, extra = ("buckets", "Bucket", "cloud") if url.is_bucket else ("web", "WebFile", "web")
    kind = plugged(f"linewright.plugins.{module}", name, extra, asked)
    with through_gate(login, root, asked) as gate, closing(kind(login, gate.url, asked)) as store:
        files = store.files()
        if not files:
            raise asked.absent_error()
        # Who may read a bucket with other keys may see other files there.
        yield _Opened(asked, store, files, KnownDigests(root, spec.file, login.endpoint.origin))
