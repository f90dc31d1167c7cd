"""Pictures that a request brings in base64: each is looked at, kept, and named by its digest from then on."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from linewright.errors import NotFound, RequestError
from linewright.model.pictures import PictureReader, decoded
from linewright.serve.rows.body.reader import Place, checked_shape
from linewright.serve.rows.body.values import is_digest
from linewright.store.values import digest_of_bytes


class Keeper(Protocol):
    """Keeps bytes; `store.protocols.Artifacts` is one."""

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether bytes of that digest are kept."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest; raise `NotFound` if none are kept."""
        ...


_PREFIX = "data:"
MOST_PIXELS = 100_000_000
"""Of all pictures of a request that are decoded: they take about a second."""
MOST_PICTURES = 1_000
"""Of a request that are decoded, at 128 pixels: the backbone takes some milliseconds for each. Of larger squares as many as have as many pixels."""
_SIDE = 128
ALLOWED = "a picture in base64, or the digest of one that was sent before"


def keep_sent(
    rows: Sequence[Any], readers: Mapping[str, PictureReader], keep: Keeper, place: Place
) -> list[Any]:
    """Return rows in which pictures are digests; those that were sent are kept before."""
    sent: dict[str, bytes] = {}
    digests: dict[tuple[int, str], str] = {}
    unknown: dict[tuple[str, str], str] = {}
    for number, row in enumerate(checked_shape(rows)):
        for name, reader in readers.items():
            value = row.get(name)
            if not isinstance(value, str) or not value.strip():
                continue
            where = place(number, name)
            if is_digest(value):
                if not keep.has(value):
                    raise _not_sent(value, where)
                digest = value
            else:
                data = _decoded(value, where)
                digest = digests[number, name] = digest_of_bytes(data)
                sent[digest] = data
            if not reader.knows(digest):
                unknown.setdefault((name, digest), where)
    _take(unknown, sent, readers, keep)
    if not sent:
        return list(rows)
    for data in sent.values():
        keep.put(data)
    kept = [dict(row) for row in rows]
    for (number, name), digest in digests.items():
        kept[number][name] = digest
    return kept


def _take(
    unknown: Mapping[tuple[str, str], str],
    sent: Mapping[str, bytes],
    readers: Mapping[str, PictureReader],
    keep: Keeper,
) -> None:
    """Decode pictures, each given by its column and digest with its place, and compute their numbers."""
    side = max((readers[name].side for name, _ in unknown), default=_SIDE)
    most = MOST_PICTURES * _SIDE**2 // max(side, _SIDE) ** 2
    if len(unknown) > most:
        raise RequestError(
            "one request has too many pictures whose numbers are not in memory",
            where="rows",
            found=f"{len(unknown):,}",
            allowed=f"{most:,}" if side <= _SIDE else f"{most:,} that a network reads at {side} pixels",
            hint="send them in several requests",
        )
    total = 0
    for (name, digest), where in unknown.items():
        pixels = decoded(sent[digest], where).pixels if digest in sent else _sent_before(digest, keep, where)
        total += pixels.shape[0] * pixels.shape[1]
        if total > MOST_PIXELS:
            raise RequestError(
                "the pictures of one request have too many pixels",
                where=where,
                found=f"{total:,}",
                allowed=f"{MOST_PIXELS:,}",
                hint="send them in several requests",
            )
        readers[name].take(digest, pixels)


def _sent_before(digest: str, keep: Keeper, where: str) -> NDArray[np.uint8]:
    try:
        return decoded(keep.get(digest), where).pixels
    except (NotFound, RequestError):  # it says nothing of stored bytes of another kind
        raise _not_sent(digest, where) from None


def _not_sent(digest: str, where: str) -> RequestError:
    return RequestError(
        "no picture of that digest was sent before", where=where, found=digest, allowed=ALLOWED
    )


def _decoded(value: str, where: str) -> bytes:
    text = value.partition(",")[2] if value.startswith(_PREFIX) else value
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "not a value of this column", where=where, found=value[:40], allowed=ALLOWED
        ) from error
