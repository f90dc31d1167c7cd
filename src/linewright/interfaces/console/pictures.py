"""Pictures on pages: scaled down and re-encoded by an operation, and part of the page itself."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from linewright.errors import LinewrightError
from linewright.interfaces.console.page import Ask

_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_SIDE = 320


def pictures_of(ask: Ask, line: str, row: Mapping[str, Any], of: str = "") -> Mapping[str, str]:
    """Return the address of each picture that a row names, by column; those that are gone, or that the viewer may not see, are left out.

    Parameters
    ----------
    of
        Id of the prediction or the annotation question whose row it is; empty for another one.
    """
    found: dict[str, str] = {}
    for name, cell in row.items():
        if isinstance(cell, str) and _DIGEST.fullmatch(cell):
            with suppress(LinewrightError):
                shown = ask("picture show", line=line, digest=cell, of=of or None, side=_SIDE)
                found[name] = f"data:image/png;base64,{shown.png}"
    return found
