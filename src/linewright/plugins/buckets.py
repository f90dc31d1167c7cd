"""Objects of buckets: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from linewright.data.read.file.paths import fits, is_pattern
from linewright.data.read.remote.credentials import Credentials
from linewright.data.read.remote.remote_store import RemoteFile, RemoteRequest
from linewright.errors import RequestError
from linewright.text.remote_url import RemoteUrl

_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_STATUS = re.compile(r"status code: (\d{3})")
_MOST_FILES = 1_000_000
_BLOCK = 1 << 22
_CLIENT: dict[str, Any] = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(days=1),
}
_RETRY: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}


class Bucket:
    """Objects that a URL names: one, those of a folder, or those of a pattern; a `RemoteStore`."""

    def __init__(self, credentials: Credentials, proxy: str, request: RemoteRequest) -> None:
        self._request, self._path = request, request.url.path
        client = {**_CLIENT, "proxy_url": proxy}
        if credentials.endpoint.scheme == "http":
            # Without encryption, the way to the server takes one question a connection.
            client |= {"allow_http": True, "pool_max_idle_per_host": "0"}
        try:
            self._store = _store(request.url, credentials, client)
        except (BaseError, ValueError, TypeError) as error:
            raise RequestError(
                f"what `at` holds is not used: {request.scrubbed(error)}", where=f"{request.where}.at"
            ) from None  # it may show what is secret

    def files(self) -> Sequence[RemoteFile]:
        """Return the objects, in the order of their names."""
        with self._explained():
            if is_pattern(self._path):
                parts = self._path.split("/")
                fixed = parts[: next(at for at, part in enumerate(parts) if is_pattern(part))]
                found = self._below("/".join(fixed), lambda name: fits(name.split("/"), parts))
            else:
                found = self._one() or self._in(self._path.rstrip("/"))
        return sorted(found)

    def blocks(self, file: RemoteFile) -> Iterator[bytes]:
        """Give the contents of an object."""
        with self._explained(file.name):
            options: Any = {"if_match": f'"{file.tag}"'} if file.tag else {}
            answer = obstore.get(self._store, file.name, options=options)
            if _file(answer.meta) != file:
                raise self._request.changed_error(file.name)
            for block in answer.stream(_BLOCK):
                yield bytes(block)

    def put(self, file: Path) -> None:
        """Write a file as the object that the URL names: in one request, or in parts that become the object with the last of them."""
        with self._explained():
            obstore.put(self._store, self._path, file)

    def close(self) -> None:
        """Do nothing: its connections end with the way to its server."""

    def _one(self) -> list[RemoteFile]:
        if not self._path or self._path.endswith("/"):
            return []
        try:
            return [_file(obstore.head(self._store, self._path))]
        except FileNotFoundError:
            return []

    def _in(self, folder: str) -> list[RemoteFile]:
        if self._request.is_deep:
            first = len(folder) + 1 if folder else 0
            return self._below(folder, lambda name: all(map(_is_seen, name[first:].split("/"))))
        found = obstore.list_with_delimiter(self._store, prefix=folder or None)["objects"]
        return [file for file in map(_file, found) if _is_seen(file.name.rpartition("/")[2])]

    def _below(self, folder: str, is_meant: Callable[[str], bool]) -> list[RemoteFile]:
        found: list[RemoteFile] = []
        for some in obstore.list(self._store, prefix=folder or None):
            found += [file for file in map(_file, some) if is_meant(file.name)]
            if len(found) > _MOST_FILES:
                raise RequestError(
                    f"there are more than {_MOST_FILES:,} files",
                    where=f"{self._request.where}.{self._request.word}",
                    found=self._request.url.place,
                    hint="name fewer",
                )
        return found

    @contextmanager
    def _explained(self, file: str = "") -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if file:
                raise self._request.changed_error(file) from error
            raise self._request.absent_error() from error
        except PreconditionError as error:
            raise self._request.changed_error(file) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise self._request.login_error(error) from None
        except (BaseError, OSError, ValueError) as error:
            # Of a listing, the errors have one class.
            status = _STATUS.search(str(error))
            if status and status[1] in {"401", "403"}:
                raise self._request.login_error(error) from None
            if status and status[1] == "404":
                raise self._request.absent_error() from None
            certificate = _CERTIFICATE.search(str(error))
            says = f"its certificate is not accepted: {certificate[1]}" if certificate else error
            raise self._request.unavailable_error(says) from None


def _store(url: RemoteUrl, credentials: Credentials, client: Any) -> Any:
    said, endpoint = credentials.options, credentials.endpoint.origin
    common: dict[str, Any] = {"client_options": client, "retry_config": _RETRY}
    match url.scheme:
        case "s3":
            keys = {
                "access_key_id": said.get("key"),
                "secret_access_key": said.get("secret"),
                "session_token": said.get("token"),
            }
            # Without keys, the library would ask the machine for its own.
            held = {name: text for name, text in keys.items() if text} or {"skip_signature": True}
            region = said.get("region", "us-east-1")
            return S3Store(url.name, endpoint=endpoint, region=region, **held, **common)
        case "gs":
            key = (
                {"service_account_key": json.dumps(dict(said))}
                if "private_key" in said
                else {"skip_signature": True}
            )
            return GCSStore(url.name, base_url=endpoint, **key, **common)
        case _:
            keys = {"account_key": said.get("key"), "sas_key": said.get("sas")}
            held = {name: text for name, text in keys.items() if text} or {"skip_signature": True}
            return AzureStore(url.name, account_name=said["account"], endpoint=endpoint, **held, **common)


def _file(meta: Any) -> RemoteFile:
    tag = meta["e_tag"] or ""
    # A listing may have it without its quotes; a weak one does not tell of each change; what no header can have, the library dies of.
    is_none = tag.startswith("W/") or not tag.isprintable()
    return RemoteFile(meta["path"], meta["size"], "" if is_none else tag.strip('"'))


def _is_seen(name: str) -> bool:
    return name[:1] not in {"", ".", "_"}
