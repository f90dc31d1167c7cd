"""Files that are written to buckets: each whole or not at all."""

from dataclasses import dataclass
from pathlib import Path

from linewright.data.read.remote.connect import client_class, proxy_to_server
from linewright.data.read.remote.credentials import read_credentials
from linewright.data.read.remote.remote_store import RemoteRequest
from linewright.errors import RequestError, Transient
from linewright.text.remote_url import read_remote_url


@dataclass(frozen=True, kw_only=True)
class _Request(RemoteRequest):
    """What is written to a bucket, and the errors of it."""

    def unavailable_error(self, error: object) -> Transient:
        """Return what to say of a server that does not answer, or breaks off."""
        return Transient(
            f"the bucket that answers are written to does not answer as it should: {self.scrubbed(error)}",
            where=f"{self.where}.{self.word}",
            found=self.url.place,
            hint="look whether the server is up and reached from here, then try again",
        )

    def login_error(self, error: object) -> RequestError:
        """Return what to say of a server that refuses who writes."""
        return RequestError(
            f"the bucket that answers are written to lets nobody write with this: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="look at what `at` holds, and at the rights that it gives",
        )


def put_file(file: Path, written: str, at: str | None, root: Path, where: str) -> None:
    """Write a file to a bucket as one object, in place of one that is there."""
    url = read_remote_url(written)
    credentials = read_credentials(url, at, root, where)
    request = _Request(url=url, where=where, secrets=credentials.secrets)
    kind = client_class("linewright.plugins.buckets", "Bucket", "cloud", request)
    with proxy_to_server(credentials, root, request) as proxy:
        kind(credentials, proxy.url, request).put(file)


def get_file(file: Path, written: str, at: str | None, root: Path, where: str) -> bool:
    """Copy an object of a bucket into a file, and return whether it is there; see `put_file`."""
    url = read_remote_url(written)
    credentials = read_credentials(url, at, root, where)
    request = _Request(url=url, where=where, secrets=credentials.secrets)
    kind = client_class("linewright.plugins.buckets", "Bucket", "cloud", request)
    with proxy_to_server(credentials, root, request) as proxy:
        bucket = kind(credentials, proxy.url, request)
        found = bucket.files()
        with file.open("wb") as copy:
            for block in bucket.blocks(found[0]) if found else ():
                copy.write(block)
    return bool(found)
