"""Pictures that rows name."""

from linewright.capabilities.predictions.pictures import KeptPicture, ShownPicture
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def shown_picture_text(shown: ShownPicture) -> str:
    """Say what it is; a terminal shows no pictures."""
    return (
        f"{shown.digest}: {shown.width} x {shown.height} pixels as it is shown (--json has the PNG in base64)"
    )


@renderer.register
def kept_picture_text(kept: KeptPicture) -> str:
    """Say what a row names it by."""
    return f"{kept.digest}: {kept.media_type}, {kept.width} x {kept.height} pixels"
