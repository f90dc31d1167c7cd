"""Operations on the pictures that rows name."""

from pathlib import Path
from typing import Annotated

import msgspec

from linewright.capabilities.annotation.questions import visible_question
from linewright.capabilities.predictions.picture_rights import note_sent, require_seen
from linewright.capabilities.predictions.pictures import KeptPicture, ShownPicture, keep_picture, show_picture
from linewright.line.factory import Factory
from linewright.operations.declare import operation

Side = Annotated[int, msgspec.Meta(ge=16, le=1024, description="16 to 1,024 pixels")]


@operation(permission="view", effect="read")
def picture_show(
    factory: Factory, line: str, digest: str, /, *, of: str | None = None, side: Side = 320
) -> ShownPicture:
    """Show a picture that a row names, scaled down.

    Who may see rows of the line sees their pictures; who labels them sees those of questions. Who keeps a picture sees it for an hour.

    Parameters
    ----------
    line
        Name of the line.
    digest
        What the row names the picture by: sha256: and 64 hex digits.
    of
        Id of the prediction or annotation question whose row names it; needed unless a dataset version does.
    side
        Largest side in pixels, 16 to 1,024.
    """
    asked = visible_question(factory, line, of) if of else {}
    require_seen(factory, line, digest, of, asked)
    return show_picture(factory, digest, side)


@operation(permission="predict", effect="act", expensive=True, files={"file": "in"})
def picture_keep(factory: Factory, line: str, file: Path, /) -> KeptPicture:
    """Keep a picture, so that a row which is tried can name it.

    `gc` removes it after an hour, unless a prediction or a dataset names it.

    Parameters
    ----------
    line
        Name of the line.
    file
        PNG, JPEG, WebP, TIFF or BMP of at most 20 MB and 25 million pixels.
    """
    kept = keep_picture(factory, file)
    note_sent(factory, line, kept.digest)
    return kept
