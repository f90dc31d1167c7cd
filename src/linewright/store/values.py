"""Results and events: the two kinds of fact that a factory keeps.

A `Result` says what was computed: pure, content-addressed, without time, host or duration. An `Event` says what
happened: who, when and why; it refers to results by digest.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
import rfc8785

from linewright.errors import Corrupt, RequestError


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What was computed. Equal results have equal digests in any folder and on any day."""

    version: int = 1
    """Version of this kind's form; every reader reads every older one."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What happened."""

    at: str
    """UTC, RFC 3339 with microseconds."""
    by: str
    because: str
    line: str
    version: int = 1


T = TypeVar("T")
R = TypeVar("R", bound=Result)


def canonical_json(value: object) -> bytes:
    """Return `value` as canonical JSON (RFC 8785): equal values give equal bytes.

    Examples
    --------
    >>> canonical_json({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    plain: Any = msgspec.to_builtins(value)
    try:
        return _encode(_as_spelled(plain)).encode()
    except (_OtherSpellingError, UnicodeEncodeError):
        pass
    try:
        return rfc8785.dumps(plain)
    except rfc8785.IntegerDomainError as error:
        raise RequestError(
            "a whole number is too large to be kept exactly",
            found=str(error),
            allowed="whole numbers of at most 2**53 - 1 in size",
            hint="write larger bounds as a category, or leave them out",
        ) from error


class _OtherSpellingError(Exception):
    """A value that `json` spells, or whose keys it sorts, in another way than RFC 8785."""


MOST_WHOLE = 2**53 - 1
"""The largest whole number that JSON holds exactly."""
_LEAST_PLAIN, _MOST_PLAIN = 1e-4, 1e16
"""Between them `json` writes numbers without an exponent, as RFC 8785 does."""
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
"""It takes a third of the time of `rfc8785`, which is written in Python."""


def _as_spelled(value: Any) -> Any:
    """Return a value that `json` writes as RFC 8785 wants `value` written."""
    return _AS_SPELLED.get(type(value), _other)(value)


def _other(_: Any) -> NoReturn:
    raise _OtherSpellingError


def _as_it_is(value: Any) -> Any:
    return value


def _whole(value: int) -> int:
    return value if -MOST_WHOLE <= value <= MOST_WHOLE else _other(value)


def _number(value: float) -> float:
    if _LEAST_PLAIN <= abs(value) < _MOST_PLAIN:
        return int(value) if value.is_integer() else value
    return 0 if value == 0 else _other(value)


def _mapping(value: dict[Any, Any]) -> dict[str, Any]:
    # The order of UTF-16 is that of characters where all are of ASCII.
    if not all(type(key) is str and key.isascii() for key in value):
        raise _OtherSpellingError
    return {key: _as_spelled(one) for key, one in value.items()}


def _list(value: list[Any]) -> list[Any]:
    return [_as_spelled(one) for one in value]


_AS_SPELLED: Mapping[type, Callable[[Any], Any]] = {
    bool: _as_it_is,
    dict: _mapping,
    float: _number,
    int: _whole,
    list: _list,
    str: _as_it_is,
    tuple: _list,
    type(None): _as_it_is,
}


def digest_of_bytes(data: bytes | memoryview) -> str:
    """Return the address of `data`: ``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def keyed_hash(key: str, text: str) -> str:
    """Return the hash of a text under a key of hexadecimal digits: without the key nobody can try which texts have it."""
    return "hmac-sha256:" + hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def digest_of(value: object) -> str:
    """Return the address of a value: the SHA-256 of its canonical JSON.

    Examples
    --------
    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return digest_of_bytes(canonical_json(value))


_decoders: dict[Any, Any] = {}
_building = threading.Lock()


def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """Return the decoder of a kind, made once.

    One thread at a time makes one: msgspec shows what it knows of a class to other threads before it knows all of it, and one that
    decodes by that ends the process (msgspec 0.22, seen with two threads and one class of many fields).
    """
    found = _decoders.get(kind)
    if found is None:
        with _building:
            found = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def decode(kind: type[R], body: bytes, *, digest: str) -> R:
    """Read a result from bytes that have the given digest."""
    found = digest_of_bytes(body)
    if found != digest:
        raise Corrupt(
            "stored bytes have changed", where=digest, found=found, hint="restore them from a backup"
        )
    try:
        return decoder(kind).decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"not a {kind.__name__}: {error}", where=digest) from error


def to_builtins(value: object) -> Any:
    """Return `value` as plain JSON values."""
    return msgspec.to_builtins(value)
