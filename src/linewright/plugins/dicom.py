"""Decode DICOM pictures with pydicom, within limits; extra ``dicom``.

What a file says of persons is not read: only the tags that pixels hang on are, and the id of the patient to make a hash of it.
"""

import hashlib
import io
import logging
import struct
import warnings
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

from linewright.errors import RequestError

MEDIA_TYPE = "application/dicom"
MOST_BYTES = 20_000_000
MOST_PIXELS = 25_000_000
LEAST_SIDE = 8
_RLE = "1.2.840.10008.1.2.5"
SYNTAXES = {
    "1.2.840.10008.1.2": "implicit little endian",
    "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.2": "explicit big endian",
    _RLE: "RLE",
}
"""Transfer syntaxes that are read. Deflated files may be bombs, and the others need native decoders, each a way in."""
_MOST_RLE = 4_000_000
"""Bytes of a file whose pixels are run lengths: these are read one by one."""
_MOST_READS = 200_000
"""Of a file, before its pixels are decoded: a few for each tag."""
_FORMS = ("MONOCHROME1", "MONOCHROME2", "RGB")
_SYNTAX, _META = (0x0002, 0x0010), 0x0002
_START = 132
"""Of the meta information, behind 128 bytes of anything and the mark."""
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
"""Types whose length has four bytes, after two that are empty."""
_TAGS = [
    "SpecificCharacterSet",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "PixelData",
]
# It would tell values of tags that it cannot read.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


class Decoded(NamedTuple):
    """A picture, in colours."""

    pixels: NDArray[np.uint8]
    """RGB, shape (height, width, 3)."""
    media_type: str


class _Counted(io.BytesIO):
    """A file that is read a limited number of times."""

    left = _MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OverflowError
        return super().read(size)


def decode(data: bytes, where: str) -> Decoded:
    """Decode one picture.

    Numbers of more than 8 bits become what their window shows, after slope and intercept; what has no window is refused, since it is not known
    how bright it is. ``MONOCHROME1`` is turned, so that more is always brighter.
    """
    if len(data) > MOST_BYTES:
        raise _refused("the picture is too large", where, f"{len(data):,} bytes", f"{MOST_BYTES:,} bytes")
    syntax, data = _with_plain_meta(data, where)
    if syntax == _RLE and len(data) > _MOST_RLE:
        raise _refused(
            "the picture is too large for run lengths", where, f"{len(data):,} bytes", f"{_MOST_RLE:,} bytes"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is refused below, and a warning may tell values
            read = pydicom.dcmread(_Counted(data), specific_tags=list(_TAGS))
            _check(read, where)
            plugin = "pydicom" if syntax == _RLE else ""
            pixels = np.asarray(pixel_array(read, decoding_plugin=plugin))
            return Decoded(_shown(read, pixels, where), MEDIA_TYPE)
    except RequestError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with bytes of others
        raise RequestError(
            "the picture is broken", where=where, found=type(error).__name__, hint="send a whole file"
        ) from None  # the error may tell values


def patient(data: bytes) -> str | None:
    """Return a hash of the id of the patient, 16 hex digits; `None` if there is none, or it cannot be read.

    Who knows ids, or can try all there may be, can find which has a hash.

    Examples
    --------
    >>> patient(b"no picture") is None
    True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, data = _with_plain_meta(data, "")
            tags = ["SpecificCharacterSet", "PatientID", "IssuerOfPatientID"]
            read = pydicom.dcmread(_Counted(data), stop_before_pixels=True, specific_tags=list(tags))
            found = [str(read.get(tag) or "").strip() for tag in tags[:0:-1]]
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, decoding says so
        return None
    if not found[-1]:
        return None
    return hashlib.sha256("\0".join(("linewright patient", *found)).encode()).hexdigest()[:16]


def _with_plain_meta(data: bytes, where: str) -> tuple[str, bytes]:
    """Return the transfer syntax, before anything else of the file is read, and the file with that as its only meta information.

    So pydicom cannot find another one in the same bytes, such as the last of several, and inflate what follows.
    """
    found, end = _meta(data)
    syntax = found.rstrip(b"\0 ").decode("ascii", errors="replace")
    if syntax not in SYNTAXES:
        raise _refused(
            "the pixels are compressed in a way that is not read",
            where,
            f"transfer syntax {syntax[:64] or 'not said'}",
            ", ".join(SYNTAXES.values()),
            hint="decompress it, for example with gdcmconv --raw",
        )
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    plain = struct.pack("<HH2sH", *_SYNTAX, b"UI", len(value)) + value
    return syntax, b"".join((data[:_START], plain, data[end:]))


def _meta(data: bytes) -> tuple[bytes, int]:
    """Return the first transfer syntax, empty if there is none, and where the meta information ends."""
    found, at = b"", _START
    while at + 8 <= len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if group != _META:
            break
        kind = data[at + 4 : at + 6]
        start, form = (at + 12, "<I") if kind in _LONG else (at + 8, "<H")
        if start > len(data):
            break
        (length,) = struct.unpack_from(form, data, start - struct.calcsize(form))
        if (group, element) == _SYNTAX and not found:
            found = data[start : start + min(length, 64)]
        at = start + length
    return found, at


def _check(read: Any, where: str) -> None:
    if "PixelData" not in read:
        raise _refused("the file has no picture", where, "no pixel data", "one picture")
    if int(read.get("NumberOfFrames") or 1) != 1:
        raise _refused("the picture has several frames", where, "2 or more", "1", hint="send one of them")
    height, width = int(read.Rows), int(read.Columns)
    if height * width > MOST_PIXELS:
        raise _refused(
            "the picture has too many pixels", where, f"{width} x {height}", f"{MOST_PIXELS:,} pixels"
        )
    if min(height, width) < LEAST_SIDE:
        raise _refused(
            "the picture is too small", where, f"{width} x {height}", f"sides of at least {LEAST_SIDE} pixels"
        )
    form, bits, samples = (
        str(read.PhotometricInterpretation),
        int(read.BitsAllocated),
        int(read.SamplesPerPixel),
    )
    is_colour = form == "RGB"
    if (
        form not in _FORMS
        or samples != (3 if is_colour else 1)
        or bits not in ((8,) if is_colour else (8, 16))
    ):
        raise _refused(
            "the pixels are of a form that is not read",
            where,
            f"{samples} x {bits} bits, {form[:32]}",
            "MONOCHROME1 or MONOCHROME2 of 8 or 16 bits, RGB of 8",
        )
    if "ModalityLUTSequence" in read or ("VOILUTSequence" in read and "WindowCenter" not in read):
        raise _refused(
            "the brightness of the picture is in a table of values",
            where,
            "a look-up table",
            "slope and intercept, and a window",
        )


def _shown(read: Any, pixels: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if str(read.PhotometricInterpretation) == "RGB":
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    slope, intercept = (
        float(default if (said := read.get(name)) is None else said)
        for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    # What each number becomes is computed once: a large picture would take its memory several times.
    values = np.arange(256**pixels.dtype.itemsize, dtype=f"u{pixels.dtype.itemsize}").view(pixels.dtype)
    if "WindowCenter" in read and "WindowWidth" in read:
        share = _windowed(values * slope + intercept, read, where)
    elif int(read.BitsStored) <= 8 and not int(read.get("PixelRepresentation") or 0):
        share = values / (2 ** int(read.BitsStored) - 1)
    else:
        raise _refused(
            "the picture has no window, so it is not known how bright it is",
            where,
            f"{int(read.BitsStored)} bits",
            "a window (0028,1050) and (0028,1051), or 8 bits",
            hint="put the same window into all pictures, also those of requests",
        )
    if np.isnan(share).any():
        raise _refused(
            "the brightness of the picture is not a number", where, "its slope or intercept", "a number"
        )
    shades = (share.clip(0, 1) * 255).round().astype(np.uint8)
    if str(read.PhotometricInterpretation) == "MONOCHROME1":
        shades = 255 - shades
    grey = shades[pixels.view(f"u{pixels.dtype.itemsize}")]
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def _windowed(values: NDArray[Any], read: Any, where: str) -> NDArray[Any]:
    """Return where values lie in the first window, 0 to 1, by the formulas of the standard (PS3.3, C.11.2.1.2)."""
    centre, width = (_first(read.get(name)) for name in ("WindowCenter", "WindowWidth"))
    function = str(read.get("VOILUTFunction") or "LINEAR")
    least = 1.0 if function == "LINEAR" else 0.0
    if not (np.isfinite(centre) and np.isfinite(width)) or width < least or width <= 0:
        raise _refused("the window of the picture is none", where, "its width", "above 0")
    if function == "SIGMOID":
        return 1 / (1 + np.exp((-4 * (values - centre) / width).clip(-80, 80)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width == 1:
        return (values > centre - 0.5).astype(np.float32)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _first(value: Any) -> float:
    # A tag of several values is not a plain list.
    found: Any = value[0] if hasattr(value, "append") else value
    return float(found)


def _refused(what: str, where: str, found: str, allowed: str, *, hint: str = "") -> RequestError:
    return RequestError(what, where=where, found=found, allowed=allowed, hint=hint)
