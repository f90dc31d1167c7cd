"""Pictures that a factory keeps, shown to people; and those that they send to try a row with."""

import base64
from pathlib import Path

import msgspec

from linewright.data.kept_files import MOST_BYTES
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.model.pictures import decoded, decoder


class ShownPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A kept picture, scaled down and re-encoded: nothing of the file that was sent is in it but what can be seen."""

    digest: str
    """Of the file that was sent."""
    width: int
    height: int
    """In pixels, as it is shown."""
    png: str
    """In base64."""


class KeptPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was sent."""

    digest: str
    """What a row names it by."""
    width: int
    height: int
    media_type: str


def show_picture(factory: Factory, digest: str, side: int) -> ShownPicture:
    """Return a kept picture for a page."""
    pixels = decoded(factory.artifacts.get(digest), f"picture {digest}").pixels
    width, height, png = decoder().small(pixels, side)
    return ShownPicture(digest=digest, width=width, height=height, png=base64.b64encode(png).decode())


def keep_picture(factory: Factory, file: Path) -> KeptPicture:
    """Keep a picture, so that a row can name it by its digest."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise RequestError("the file cannot be read", where=str(file), found=error.strerror or "") from error
    found = decoded(data, str(file))
    height, width = found.pixels.shape[:2]
    return KeptPicture(
        digest=factory.artifacts.put(data), width=width, height=height, media_type=found.media_type
    )
