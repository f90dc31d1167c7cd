"""The protocol's extension ``binary_tensor_data``: tensors as bytes behind the JSON of a request or an answer.

The header ``Inference-Header-Content-Length`` says where the JSON ends. The bytes of the tensors follow in their order, each as long
as its parameter ``binary_data_size`` says: little-endian, without gaps; a text is its length in 4 bytes and then its UTF-8. Nothing
may be left over. What the extension cannot say is a missing value: send such a column as JSON with ``null`` (a text may be empty).
"""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from linewright.errors import RequestError
from linewright.serve.answers import InferAnswer
from linewright.serve.http.request import Response
from linewright.serve.rows.body.scalars import kind_of

HEADER = "inference-header-content-length"
MEDIA_TYPE = "application/octet-stream"
SIZE = "binary_data_size"
"""Parameter of a tensor whose data are bytes."""

_LENGTH = struct.Struct("<I")
_DTYPES: Mapping[str, str] = {
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BOOL": "|u1",
}


class Blobs:
    """The bytes behind the JSON of a request, taken tensor by tensor."""

    def __init__(self, data: memoryview | None) -> None:
        self._data, self._at = data, 0

    def take(self, size: object, where: str) -> memoryview:
        """Return the next bytes."""
        place = f"{where}.parameters.{SIZE}"
        if self._data is None:
            raise RequestError(
                "there is nothing behind the JSON",
                where=place,
                hint=f"send the header '{HEADER}: LENGTH OF THE JSON', or `data`",
            )
        left = len(self._data) - self._at
        if type(size) is not int or not 0 <= size <= left:
            found = size if type(size) is int and abs(size) < 2**63 else kind_of(size)
            raise RequestError(
                "not as many bytes as are there", where=place, found=found, allowed=f"0 to {left}"
            )
        self._at += size
        return self._data[self._at - size : self._at]

    def check_end(self) -> None:
        """Refuse bytes that belong to no tensor."""
        left = 0 if self._data is None else len(self._data) - self._at
        if left:
            raise RequestError(
                "bytes that belong to no tensor",
                where="body",
                found=left,
                allowed=f"as many as the tensors' {SIZE} say together",
            )


def split(body: bytes, length: str | None) -> tuple[bytes, Blobs]:
    r"""Return the JSON of a request, and the bytes behind it.

    Examples
    --------
    >>> text, blobs = split(b'{"inputs": []}\x07', "14")
    >>> text, bytes(blobs.take(1, "inputs[Age]"))
    (b'{"inputs": []}', b'\x07')
    >>> split(b"{}", "three")
    Traceback (most recent call last):
        ...
    linewright.errors.RequestError: inference-header-content-length: not a length within the body: found 'three', allowed: 0 to 2
    """
    if length is None:
        return body, Blobs(None)
    is_number = length.isascii() and length.isdigit() and len(length) <= 18
    if not is_number or int(length) > len(body):
        raise RequestError(
            "not a length within the body", where=HEADER, found=length[:100], allowed=f"0 to {len(body)}"
        )
    return body[: int(length)], Blobs(memoryview(body)[int(length) :])


def values(data: memoryview, datatype: str, rows: int, where: str, *, is_file: bool = False) -> list[Any]:
    r"""Return the values of a tensor as JSON values.

    Examples
    --------
    >>> values(memoryview(b"\x07\x00\xff\xff"), "INT16", 2, "inputs[Age]")
    [7, -1]
    >>> values(memoryview(b"\x02\x00\x00\x00no"), "BYTES", 1, "inputs[Make]")
    ['no']
    """
    if datatype == "BYTES":
        return _texts(data, rows, where, is_file=is_file)
    dtype = np.dtype(_DTYPES[datatype])
    if len(data) != rows * dtype.itemsize:
        raise RequestError(
            "not as many bytes as the shape says",
            where=f"{where}.parameters.{SIZE}",
            found=len(data),
            allowed=str(rows * dtype.itemsize),
        )
    found = np.frombuffer(data, dtype=dtype)
    if datatype == "BOOL":
        if (found > 1).any():
            row = int((found > 1).argmax())
            raise RequestError(
                "not a value of BOOL", where=f"{where}.data[{row}]", found=int(found[row]), allowed="0 or 1"
            )
        return found.astype(np.bool_).tolist()
    return found.tolist()


def _texts(data: memoryview, rows: int, where: str, *, is_file: bool) -> list[str]:
    found: list[str] = []
    at = 0
    for row in range(rows):
        start = at + _LENGTH.size
        at = start + (_LENGTH.unpack_from(data, at)[0] if start <= len(data) else 0)
        if at > len(data) or start > len(data):
            raise RequestError(
                "the bytes end within a text", where=f"{where}.data[{row}]", allowed=f"{rows} texts"
            )
        try:
            found.append(str(data[start:at], "utf-8"))
        except UnicodeDecodeError:
            if is_file:  # no picture is a text
                found.append(base64.b64encode(data[start:at]).decode())
                continue
            raise RequestError("not UTF-8", where=f"{where}.data[{row}]", allowed="a text in UTF-8") from None
    if at != len(data):
        raise RequestError(
            "bytes behind the last text",
            where=f"{where}.parameters.{SIZE}",
            found=len(data) - at,
            allowed=f"{rows} texts",
        )
    return found


def to_response(answer: InferAnswer, binary: Sequence[bool]) -> Response:
    """Return an answer, with the data of some of its outputs as bytes."""
    if not any(binary):
        return Response(body=msgspec.json.encode(answer))
    outputs: list[Mapping[str, Any]] = []
    blobs: list[bytes] = []
    for output, is_binary in zip(answer["outputs"], binary, strict=True):
        if is_binary:
            blob = _bytes_of(output["datatype"], output["data"])
            blobs.append(blob)
            kept = {name: part for name, part in output.items() if name != "data"}
            outputs.append({**kept, "parameters": {**output.get("parameters", {}), SIZE: len(blob)}})
        else:
            outputs.append(output)
    text = msgspec.json.encode({**answer, "outputs": outputs})
    return Response(body=b"".join([text, *blobs]), media_type=MEDIA_TYPE, headers={HEADER: str(len(text))})


def _bytes_of(datatype: str, data: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [text.encode() for text in data]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    return np.array(data, dtype=_DTYPES[datatype]).tobytes()
