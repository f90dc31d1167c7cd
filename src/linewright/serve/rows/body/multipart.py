r"""One row as a form with files (``multipart/form-data``), as browsers and ``curl -F`` send it: a part a column.

A file is a picture, and goes on in base64 as in JSON. The text of a column of numbers or booleans is read as JSON.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from linewright.errors import RequestError
from linewright.model.facts import RequestColumn

MEDIA_TYPE = "multipart/form-data"
MOST_PARTS = 1_000
_LONGEST_HEAD = 1_024
_LONGEST_TYPE = 256
_JSON_TYPES = frozenset({"integer", "number", "boolean"})
_PARAMETER = re.compile(r"""\s*;\s*(?:([^=;"\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*)))?""")
"""One of a header, its value in quotes or without; each character is looked at once."""
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")


def is_form(content_type: bytes | None) -> bool:
    """Return whether a request says that it is a form with files.

    Examples
    --------
    >>> is_form(b"Multipart/form-data; boundary=x"), is_form(b"application/json"), is_form(None)
    (True, False, False)
    """
    if content_type is None or content_type == b"application/json":  # nearly always
        return False
    return content_type.decode("latin-1").partition(";")[0].strip().lower() == MEDIA_TYPE


def to_json(body: bytes, content_type: str, columns: Sequence[RequestColumn]) -> bytes:
    r"""Return the body of the request that says the same in JSON.

    Examples
    --------
    >>> columns = [RequestColumn(name="age", type="integer", nullable=False, role="feature")]
    >>> body = b'--x\r\nContent-Disposition: form-data; name="age"\r\n\r\n31\r\n--x--\r\n'
    >>> to_json(body, "multipart/form-data; boundary=x", columns)
    b'{"rows":[{"age":31}]}'
    """
    types = {column.name: column.type for column in columns}
    row: dict[str, Any] = {}
    for name, data in _parts(body, content_type):
        if name in row:
            raise RequestError(
                "two parts of a form have one name", where=name[:100], hint="send a request for each row"
            )
        row[name] = _value(data, types.get(name, "text"), name)
    return msgspec.json.encode({"rows": [row]})


def _parts(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    if len(content_type) > _LONGEST_TYPE:
        raise RequestError(
            "the header is too long",
            where="content-type",
            found=f"{len(content_type):,} characters",
            allowed=f"{_LONGEST_TYPE} characters",
        )
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise RequestError(
            "the form does not say what stands between its parts",
            where="content-type",
            found=content_type[:100],
            allowed=f"{MEDIA_TYPE}; boundary=TEXT",
        )
    mark = b"--" + boundary.encode()
    first, *parts = (b"\r\n" + body).split(b"\r\n" + mark, MOST_PARTS + 2)
    if len(parts) - 1 > MOST_PARTS:
        raise RequestError(
            "a form of too many parts",
            where="body",
            found=f"more than {MOST_PARTS:,}",
            allowed=f"{MOST_PARTS:,}",
        )
    if first or not parts or not parts[-1].startswith(b"--"):
        raise RequestError("a form that is broken off", where="body", hint="send it whole")
    return [_part(part, number) for number, part in enumerate(parts[:-1])]


def _part(part: bytes, number: int) -> tuple[str, bytes]:
    head, found, data = part.partition(b"\r\n\r\n")
    if len(head) > _LONGEST_HEAD:
        raise RequestError(
            "the head of a part is too long",
            where=f"body, part {number}",
            found=f"{len(head):,} bytes",
            allowed=f"{_LONGEST_HEAD:,} bytes",
        )
    said = ""
    for line in head.split(b"\r\n"):
        header, _, text = line.decode("utf-8", "replace").partition(":")
        if header.strip().lower() == "content-disposition":
            said = text.strip()
    name = _parameters(said).get("name", "")
    if not found or not name:
        raise RequestError(
            "a part of the form has no name",
            where=f"body, part {number}",
            allowed='Content-Disposition: form-data; name="COLUMN"',
        )
    return name, data


def _parameters(text: str) -> Mapping[str, str]:
    """Return the parameters of a header by their names, unquoted; those behind what cannot be read are left out."""
    found: dict[str, str] = {}
    at = text.find(";")
    while at >= 0 and (match := _PARAMETER.match(text, at)):
        name, quoted, plain = match.groups()
        if name:
            found[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = match.end()
    return found


def _value(data: bytes, kind: str, name: str) -> object:
    if kind == "file":
        return base64.b64encode(data).decode() or None
    try:
        text = data.decode()
        return msgspec.json.decode(text) if kind in _JSON_TYPES and text.strip() else text
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise RequestError(
            "not a value of this column", where=name[:100], found=repr(data[:40]), allowed=kind
        ) from None
