"""When a token was used last: the time of a file that holds nothing, so that no request waits for a database."""

import os
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

FOLDER = "tokens"
"""In the state folder."""
EVERY_S = 60.0


class LastUse:
    """Notes the use of tokens, of each once a minute."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._noted: dict[str, float] = {}

    def note(self, token: str) -> None:
        """Note that the token of this public part is used now; where that cannot be noted, it is used all the same."""
        now = monotonic()
        if now < self._noted.get(token, 0.0):
            return
        self._noted[token] = now + EVERY_S
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._folder / token, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.utime(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return


def last_use(state: Path, token: str) -> str | None:
    """Return when a token was used last, to the minute; `None` if never."""
    try:
        at = (state / FOLDER / token).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:00Z")
