"""A factory that is up elsewhere: the same commands, sent to its control plane."""

import http.client
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from linewright.errors import Denied, LinewrightError, RequestError, Terminal, Transient, from_json
from linewright.operations.declaration.declare import Operation, to_json
from linewright.serve.origin import is_loopback

_CONNECT_S, _ANSWER_S = 10.0, 60.0
"""Seconds to connect, and to wait for the answer of an operation that neither waits for runs nor is expensive."""
_MOST_BYTES = 1 << 28
"""Of an answer."""


def ask(
    address: str,
    operation: Operation,
    given: Mapping[str, list[str]],
    values: Mapping[str, Any],
    *,
    token: str,
) -> bytes:
    """Have a control plane carry an operation out, and return its result as JSON.

    Parameters
    ----------
    address
        ``https://HOST[:PORT]``; ``http://`` for this machine only, since the token would be readable on the way.
    operation
        What to carry out.
    given
        Its arguments as they were written, by name.
    values
        The same as `Operation.check` returned them.
    token
        Sent as ``Authorization: Bearer``.

    Raises
    ------
    RequestError
        If the address is wrong, or the command works on this machine's files.
    Denied
        If the token would be sent in the clear.
    Transient
        If it cannot be reached.
    LinewrightError
        Whatever the operation raised there.
    """
    if operation.local:
        raise RequestError(
            "this command works in the factory's folder",
            where="--factory",
            found=address,
            allowed="a folder",
            hint="use it on the machine of the factory",
        )
    parts = urlsplit(address)
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or "@" in parts.netloc:
        raise RequestError("not an address", where="--factory", found=address, allowed="https://HOST[:PORT]")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Denied(
            "the token would be readable on the way",
            where="--factory",
            found=address,
            allowed="https://, and http:// to this machine",
        )
    path, body = operation.path, None
    if operation.writes:
        body = to_json({name: values[name] for name in given})
    elif given:
        path += "?" + urlencode(
            [(name, text) for name, texts in given.items() for text in texts], quote_via=quote
        )
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        status, answer = _exchange(parts, operation, path, body, headers)
    except ssl.SSLCertVerificationError as error:
        raise RequestError(
            f"its certificate is not trusted: {error.verify_message}",
            where=address,
            hint="for a certificate authority of your own set SSL_CERT_FILE",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Transient(
            f"the factory cannot be reached: {error or type(error).__name__}",
            where=address,
            hint="`linewright up` on its machine serves it",
        ) from error
    if status != http.client.OK:
        raise _refusal(status, answer, address)
    return answer


def _exchange(
    parts: SplitResult,
    operation: Operation,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_CONNECT_S)
    try:
        connection.connect()
        connection.sock.settimeout(None if operation.waits or operation.expensive else _ANSWER_S)
        connection.request(operation.method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        held = answer.read(_MOST_BYTES + 1)
    finally:
        connection.close()
    if len(held) > _MOST_BYTES:
        raise Terminal(
            "the answer is too large", where=parts.netloc, allowed=f"at most {_MOST_BYTES:,} bytes"
        )
    return answer.status, held


def _refusal(status: int, answer: bytes, address: str) -> LinewrightError:
    try:
        return from_json(msgspec.json.decode(answer, type=dict[str, Any]))
    except (msgspec.MsgspecError, TypeError):
        found = f"status {status}: {answer[:100]!r}"
        return Terminal("what answers there is no control plane of Linewright", where=address, found=found)


def result_of(operation: Operation, answer: bytes) -> Any:
    """Return a result as the operation itself would have returned it here.

    Raises
    ------
    Terminal
        If it is none, as a server of another version may send it.
    """
    wrong = ""
    for kind in operation.result_kinds:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.ValidationError as error:
            wrong = str(error)
    raise Terminal(
        "the factory sent another form of result", found=wrong, hint="use the same version on both machines"
    )
