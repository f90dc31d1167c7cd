"""What an endpoint has against a canary: a small file that it leaves for those who decide.

An endpoint takes a canary that makes trouble out of service by itself, at once; the file outlives it, and whoever looks
after the line records that the canary is withdrawn.
"""

from pathlib import Path

import msgspec

from linewright.serve.files import write_whole
from linewright.store.files.names import line_path
from linewright.store.values import decoder

_ENDING = ".trouble"


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why an endpoint lets the champion answer in place of a canary."""

    package: str
    """Digest of the canary."""
    because: str


def note_trouble(serving: Path, line: str, trouble: Trouble) -> None:
    """Leave word of a canary that was taken out of service; a later one replaces it."""
    write_whole(line_path(serving, line, _ENDING), msgspec.json.encode(trouble))


def trouble_with(serving: Path, line: str, package: str) -> str | None:
    """Return why an endpoint took a canary out of service; `None` where none did."""
    try:
        found = decoder(Trouble).decode(line_path(serving, line, _ENDING).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return found.because if found.package == package else None
