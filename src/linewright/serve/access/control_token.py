"""The token of a factory's owner, in a file that only the owner can read."""

import os
import re
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from linewright.errors import Denied

TOKEN_FILE = "control.token"  # noqa: S105 -- the name of the file
"""In the state folder; it holds the token of the control plane and nothing else."""
TOKEN_PATH = f".linewright/{TOKEN_FILE}"
"""As people find it, from the factory's folder."""
_RANDOM_BYTES = 32
"""256 bits: nobody guesses them, however often they ask."""
_FORM = re.compile(r"lw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
_MOST_BYTES = 200
"""Of the file, how much is read: more than a token has."""


def control_token(state: Path) -> str:
    """Return the token of a factory's control plane; where there is none yet it is made, and kept."""
    path = state / TOKEN_FILE
    with suppress(FileNotFoundError):
        return read_token(path)
    draft = state / f".{TOKEN_FILE}.{secrets.token_hex(8)}"
    token = f"lw_{secrets.token_hex(4)}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            file.write(token + "\n")
            file.flush()
            os.fsync(descriptor)
        # As a whole or not at all, and never over another one: of two that begin at once both have the token of the first.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return read_token(path)


def read_token(path: Path) -> str:
    """Return the token that a file holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _useless(path, "the token of the control plane cannot be read", error.strerror) from error
    try:
        found = os.fstat(descriptor)
        is_file = stat.S_ISREG(found.st_mode)
        held = os.read(descriptor, _MOST_BYTES) if is_file else b""
    finally:
        os.close(descriptor)
    if is_file and found.st_uid != os.geteuid():
        owner = f"user {found.st_uid}"
        raise _useless(path, "the token of the control plane belongs to another user", owner)
    if is_file and stat.S_IMODE(found.st_mode) & 0o077:
        raise Denied(
            "others may read or change the token of the control plane",
            where=str(path),
            found=f"{stat.S_IMODE(found.st_mode):04o}",
            allowed="0600",
            hint=f"chmod 600 {shlex.quote(str(path))}; if somebody may have read it, remove it: the next start makes another",
        )
    token = held.decode("ascii", "replace").strip()
    if not _FORM.fullmatch(token):
        # What it holds instead is not told: it may be a secret all the same.
        raise _useless(path, "there is no token of the control plane in its file", None)
    return token


def _useless(path: Path, what: str, found: str | None) -> Denied:
    hint = f"remove it: rm {shlex.quote(str(path))}; the next start makes another"
    return Denied(what, where=str(path), found=found, allowed="a file of this user, 0600", hint=hint)
