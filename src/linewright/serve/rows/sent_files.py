"""Pictures that a request brings in base64: each is looked at, kept, and named by its digest from then on."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from linewright.errors import RequestError
from linewright.model.pictures import PictureReader, decoder
from linewright.serve.rows.reader import Place
from linewright.serve.rows.values import is_digest
from linewright.store.values import digest_of_bytes


class Keeper(Protocol):
    """Keeps bytes; `store.protocols.Artifacts` is one."""

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether bytes of that digest are kept."""
        ...


_PREFIX = "data:"
MOST_PIXELS = 100_000_000
"""Of all pictures of a request: they take about a second."""
ALLOWED = "a picture in base64, or the digest of one that was sent before"


def keep_sent(
    rows: Sequence[Any], readers: Mapping[str, PictureReader], keep: Keeper, place: Place
) -> list[Any]:
    """Return rows in which pictures are digests; those that were sent are kept before.

    Parameters
    ----------
    rows
        JSON rows; anything but an object stays, for others to refuse.
    readers
        What reads the pictures of each column: each picture is decoded once, and its numbers are computed then.

    Raises
    ------
    RequestError
        If what is sent is not base64, no picture that is read, or a digest of none that was sent; it names the row and the column.
        Then nothing is kept.
    """
    pixels = 0
    found: dict[tuple[int, str], bytes] = {}
    for number, row in enumerate(rows):
        for name in readers if isinstance(row, dict) else ():
            value = row.get(name)
            if not isinstance(value, str) or not value.strip():
                continue
            where = place(number, name)
            if is_digest(value):
                if not keep.has(value):
                    raise RequestError(
                        "no picture of that digest was sent before", where=where, found=value, allowed=ALLOWED
                    )
            else:
                data = _decoded(value, where)
                decoded = decoder().decode(data, where).pixels
                pixels += decoded.shape[0] * decoded.shape[1]
                if pixels > MOST_PIXELS:
                    raise RequestError(
                        "the pictures of one request have too many pixels",
                        where=where,
                        found=f"{pixels:,}",
                        allowed=f"{MOST_PIXELS:,}",
                        hint="send them in several requests",
                    )
                readers[name].take(digest_of_bytes(data), decoded)
                found[number, name] = data
    if not found:
        return list(rows)
    kept = [dict(row) if isinstance(row, dict) else row for row in rows]
    for (number, name), data in found.items():
        kept[number][name] = keep.put(data)
    return kept


def _decoded(value: str, where: str) -> bytes:
    text = value.partition(",")[2] if value.startswith(_PREFIX) else value
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "not a value of this column", where=where, found=value[:40], allowed=ALLOWED
        ) from error
