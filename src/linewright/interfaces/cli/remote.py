"""A factory that is up elsewhere: the same commands, sent to its control plane, with the files that they name."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from linewright.errors import (
    Conflict,
    LinewrightError,
    RequestError,
    Terminal,
    Transient,
    Unauthenticated,
    from_json,
)
from linewright.interfaces.cli.saved_sessions import origin_of, token_for
from linewright.operations.declare import Operation, to_json

_CONNECT_S, _ANSWER_S = 10.0, 60.0
"""Seconds to connect, and to wait for the answer of an operation that neither waits for runs nor is expensive."""
_KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
"""Seconds and tries, by option of the socket: what lies between forgets connections on which nothing is sent for minutes."""
_MOST_BYTES = 1 << 28
"""Of a result."""
_PART_BYTES = 16 << 20
"""Of a file, sent at a time."""
_FILE = re.compile(rb'"file:([0-9a-f]{32})/([A-Za-z0-9_][A-Za-z0-9_ @+.=-]{0,99})"')
"""A file of ours, in a result."""
_IS_JSON = ("Content-Type", "application/json")


class _Sent(msgspec.Struct):
    file: str
    id: str
    bytes: int


def ask(
    address: str,
    operation: Operation,
    given: Mapping[str, list[str]],
    values: Mapping[str, Any],
    *,
    token: str,
) -> bytes:
    """Have a control plane carry an operation out, and return its result as JSON.

    Files that the operation reads are sent before, and files that it writes are taken from there, to where they would be here.
    """
    if operation.local:
        raise RequestError(
            "this command works in the factory's folder",
            where="--factory",
            found=address,
            allowed="a folder",
            hint="use it on the machine of the factory",
        )
    for one in operation.parameters:
        if one.element is Path and one.name in given and one.name not in operation.files:
            raise RequestError(
                "this option names a file of the factory's machine",
                where=f"--{one.name.replace('_', '-')}",
                found=str(values[one.name]),
                hint="leave it out, or use the command without --factory URL",
            )
    for name, use in operation.files.items():
        if use == "new" and name in given and values[name].exists():
            raise Conflict("the file is there already", where=name, found=str(values[name]))
    with closing(_Plane(address, token or token_for(address) or "")) as plane:
        sent: dict[str, Any] = {}
        for name, use in operation.files.items():
            if name in given:
                path: Path = values[name]
                sent[name] = path.name if use in {"out", "new"} else plane.send_file(operation, path)
        answer = plane.call(operation, given, {name: values[name] for name in given} | sent)
        if not operation.files:
            return answer
        return plane.fetch_files(operation, answer, _folder(operation, given, values), set(sent.values()))


def _folder(operation: Operation, given: Mapping[str, list[str]], values: Mapping[str, Any]) -> Path:
    """Return the folder for files that an operation wrote: that of its output argument, else that of its input."""
    for uses in ({"out", "new"}, {"in", "data"}):
        for name, use in operation.files.items():
            if use in uses and name in given:
                return values[name].expanduser().absolute().parent
    return Path.cwd()


class _Plane:
    """One connection to a control plane."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(origin_of(address))
        self._address = address
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection = _connection(parts)
        self._lost = "give the command again"
        """What to do when the connection is lost while an answer is waited for."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, operation: Operation, given: Mapping[str, list[str]], values: Mapping[str, Any]) -> bytes:
        """Send an operation and return its result as JSON."""
        wait = None if operation.waits or operation.expensive else _ANSWER_S
        self._lost = _lost(operation, given)
        if operation.writes:
            return self._read("POST", operation.path, to_json(values), dict([_IS_JSON]), wait)
        texts = {name: [values[name]] if name in operation.files else text for name, text in given.items()}
        pairs = [(name, text) for name, each in texts.items() for text in each]
        query = f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
        return self._read("GET", f"{operation.path}{query}", None, {}, wait)

    def send_file(self, operation: Operation, path: Path) -> str:
        """Send a file in parts and return what names it there."""
        where, size = f"{operation.path}/files/{quote(path.name)}", 0
        kept: _Sent | None = None
        try:
            with path.expanduser().open("rb") as file:
                for part in _parts(file):
                    query = "" if kept is None else f"?id={kept.id}&offset={size}"
                    headers = {"Content-Type": "application/octet-stream"}
                    kept = msgspec.json.decode(
                        self._read("PUT", f"{where}{query}", part, headers, _ANSWER_S), type=_Sent
                    )
                    size += len(part)
        except OSError as error:
            raise RequestError(
                f"the file cannot be read: {error.strerror}",
                where=str(path),
                allowed="one file",
                hint="a folder or a pattern is read on the machine of the factory alone",
            ) from error
        assert kept is not None  # noqa: S101 -- an empty file has one part
        return kept.file

    def fetch_files(self, operation: Operation, answer: bytes, folder: Path, sent: set[str]) -> bytes:
        """Take the files that a result names, and return the result with their places here."""

        def fetch(match: re.Match[bytes]) -> bytes:
            number, name = match[1].decode(), match[2].decode()
            if f"file:{number}/{name}" in sent:
                return match[0]
            path, draft = folder / name, folder / f".{name}.{number}"
            try:
                with draft.open("xb") as file:
                    self._copy(f"{operation.path}/files/{quote(name)}?id={number}", file)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            return to_json(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path))

        return _FILE.sub(fetch, answer)

    def _copy(self, path: str, file: BinaryIO) -> None:
        answer = self._exchange("GET", path, None, {}, _ANSWER_S)
        if answer.status != http.client.OK:
            raise _refusal(answer.status, self._rest(answer, _MOST_BYTES), self._address)
        while piece := self._rest(answer, 1 << 20):
            file.write(piece)

    def _read(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait: float | None
    ) -> bytes:
        answer = self._exchange(method, path, body, headers, wait)
        held = self._rest(answer, _MOST_BYTES + 1)
        if len(held) > _MOST_BYTES:
            raise Terminal(
                "the answer is too large", where=self._address, allowed=f"at most {_MOST_BYTES:,} bytes"
            )
        if answer.status != http.client.OK:
            raise _refusal(answer.status, held, self._address)
        return held

    def _rest(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        with self._losses_explained():
            piece = answer.read(most)
            # The library says nothing of a body that is shorter than was said: half a backup would be taken for one.
            if len(piece) < most and answer.length:
                raise http.client.IncompleteRead(piece, answer.length)
            return piece

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait: float | None
    ) -> http.client.HTTPResponse:
        self._connect()
        connected: Any = self._connection.sock
        with self._losses_explained():
            connected.settimeout(wait)
            self._connection.request(method, path, body=body, headers={**self._headers, **headers})
            answer = self._connection.getresponse()
            if answer.status == http.client.GATEWAY_TIMEOUT:
                raise TimeoutError("a proxy gave up waiting")
        return answer

    def _connect(self) -> None:
        if self._connection.sock is not None:
            return
        try:
            self._connection.connect()
            _keep_alive(self._connection.sock)
        except ssl.SSLCertVerificationError as error:
            raise RequestError(
                f"its certificate is not trusted: {error.verify_message}",
                where=self._address,
                hint="set SSL_CERT_FILE to the certificate of the authority that signed it",
            ) from error
        except OSError as error:
            raise Transient(
                f"the factory cannot be reached: {error or type(error).__name__}",
                where=self._address,
                hint="`linewright up` on its machine serves it",
            ) from error

    @contextmanager
    def _losses_explained(self) -> Generator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Transient(
                f"the connection was lost before the answer: {error or type(error).__name__}",
                where=self._address,
                hint=self._lost,
            ) from error


def _lost(operation: Operation, given: Mapping[str, list[str]]) -> str:
    line = "".join(f" {one}" for name in ("line", "lines") for one in given.get(name, [])[:1])
    if operation.waits:
        return f"the run goes on there: `linewright runs{line}` shows how it ends"
    if operation.expensive:
        return f"it ended there with the connection: `linewright status{line}`, then give the command again"
    return (
        "give the command again" if not operation.writes else "see whether it was done: `linewright status`"
    )


def _keep_alive(connected: Any) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_CONNECT_S)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    part = file.read(_PART_BYTES)
    yield part
    while part := file.read(_PART_BYTES):
        yield part


def _refusal(status: int, answer: bytes, address: str) -> LinewrightError:
    with suppress(msgspec.MsgspecError, TypeError):
        error = from_json(msgspec.json.decode(answer, type=dict[str, Any]))
        if isinstance(error, Unauthenticated):
            # What it says there is for those who have the factory's folder.
            hint = f"linewright login {address} --name NAME (or --browser), or a token in LINEWRIGHT_TOKEN"
            return Unauthenticated(error.what, where=address, hint=hint)
        return error
    found = f"status {status}: {answer[:100]!r}"
    return Terminal("the server there is not a control plane of Linewright", where=address, found=found)


def result_of(operation: Operation, answer: bytes) -> Any:
    """Return a result as the operation itself would have returned it here."""
    wrong = ""
    for kind in operation.result_kinds:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.ValidationError as error:
            wrong = str(error)
    raise Terminal(
        "the factory sent another form of result", found=wrong, hint="use the same version on both machines"
    )
