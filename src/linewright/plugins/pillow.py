"""Decode pictures with Pillow, within limits; extra ``vision``."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from linewright.errors import RequestError

FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
"""Formats that are read, with their media types; others stay closed, since each decoder is a way in."""
MOST_BYTES = 20_000_000
MOST_PIXELS = 25_000_000
LEAST_SIDE = 8
_MOST_SCANS = 100
"""Of a JPEG, as libtiff has it: each changes the whole picture, and takes a few bytes. Honest ones have about ten."""
_SCAN = b"\xff\xda"
"""Begins a scan; elsewhere in a JPEG it hardly occurs."""
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""As Pillow calls them."""


class Decoded(NamedTuple):
    """A picture, upright and in colours."""

    pixels: NDArray[np.uint8]
    """RGB, shape (height, width, 3)."""
    media_type: str


def decode(data: bytes, where: str) -> Decoded:
    """Decode a picture.

    Transparent pictures lie on black. What could be read in several ways is refused: several frames, inks in place of light, and pixels
    of more than 8 bits, whose range is not known.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> Image.new("L", (9, 12), 7).save(file, "PNG")
    >>> decoded = decode(file.getvalue(), "a")
    >>> decoded.pixels.shape, decoded.pixels.max(), decoded.media_type
    ((12, 9, 3), np.uint8(7), 'image/png')
    """
    if len(data) > MOST_BYTES:
        raise RequestError(
            "the picture is too large",
            where=where,
            found=f"{len(data):,} bytes",
            allowed=f"{MOST_BYTES:,} bytes",
        )
    if data.startswith(b"\xff\xd8") and (scans := data.count(_SCAN)) > _MOST_SCANS:
        raise RequestError(
            "the picture has too many scans",
            where=where,
            found=f"{scans:,}",
            allowed=f"{_MOST_SCANS}",
            hint="save it again",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is too large is refused below, and metadata do not matter
            with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as opened:
                _check_size(opened, where)
                _check_form(opened, where)
                opened.load()
                return Decoded(_pixels(opened), FORMATS[str(opened.format)])
    except RequestError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _not_a_picture(where, data) from error
    except Exception as error:
        raise RequestError(
            "the picture is broken", where=where, found=type(error).__name__, hint="send a whole file"
        ) from error


def _check_size(opened: Image.Image, where: str) -> None:
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise RequestError(
            "the picture has too many pixels",
            where=where,
            found=f"{width} x {height}",
            allowed=f"{MOST_PIXELS:,} pixels",
            hint="scale it down",
        )
    if min(width, height) < LEAST_SIDE:
        raise RequestError(
            "the picture is too small",
            where=where,
            found=f"{width} x {height}",
            allowed=f"sides of at least {LEAST_SIDE} pixels",
        )


def _check_form(opened: Image.Image, where: str) -> None:
    if _has_second_frame(opened):
        raise RequestError(
            "the picture has several frames",
            where=where,
            found="2 or more",
            allowed="1",
            hint="send one of them",
        )
    if opened.mode not in _MODES:
        raise RequestError(
            "the pixels are of a form that is not read",
            where=where,
            found=f"mode {opened.mode}",
            allowed=", ".join(_MODES),
            hint="make all pictures 8 bits of grey or RGB in one and the same way, also those of requests",
        )


def _has_second_frame(opened: Image.Image) -> bool:
    # To count the frames would follow a chain of thousands to its end.
    try:
        opened.seek(1)
    except EOFError:
        return False
    return True


def _not_a_picture(where: str, data: bytes) -> RequestError:
    return RequestError(
        "not a picture",
        where=where,
        found=f"{len(data):,} bytes that begin with {data[:8].hex()}",
        allowed=", ".join(FORMATS),
        hint="convert it to PNG",
    )


def _pixels(opened: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(opened)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        ground = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(ground, upright)
    return np.asarray(upright.convert("RGB"))


def scaled(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture as a square of `side` pixels, by bilinear interpolation over what each pixel covers.

    Examples
    --------
    >>> scaled(np.full((9, 12, 3), 7, dtype=np.uint8), 32).shape
    (32, 32, 3)
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def small(pixels: NDArray[np.uint8], side: int) -> tuple[int, int, bytes]:
    """Return a picture re-encoded as a PNG that fits into a square: width, height and bytes.

    Examples
    --------
    >>> small(np.full((9, 12, 3), 7, dtype=np.uint8), 4)[:2]
    (4, 3)
    """
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((side, side))
    picture.save(file, "PNG")
    return *picture.size, file.getvalue()
