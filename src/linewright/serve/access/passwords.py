"""Passwords: what may be one, what is kept of it, and whether one is right."""

import unicodedata
from functools import cache
from importlib import import_module
from typing import Any

from linewright.errors import RequestError

SHORTEST, LONGEST = 12, 1_000
"""Characters of a password."""
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""What one check costs: OWASP's parameters of Argon2id. That little, since the machine of a factory trains too."""
_NOBODYS = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""What no password gives; to check it takes as long as to check any other."""


def to_hash(password: str) -> str:
    """Return what is kept of a new password, with a new salt."""
    require_password(password)
    return _hasher().hash(_plain(password))


def require_password(password: str) -> None:
    """Refuse what cannot be a password; the error does not hold it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RequestError(
            "this cannot be a password",
            where="password",
            found=f"{len(password):,} characters",
            allowed=f"{SHORTEST} to {LONGEST:,} characters",
        )


def is_right(password: str, kept: str) -> bool:
    """Return whether this is the password of which `kept` is kept; it takes as long where nothing is.

    Examples
    --------
    >>> is_right("correct horse", to_hash("correct horse")), is_right("correct horse", "")
    (True, False)
    """
    errors = import_module("argon2.exceptions")
    kept = kept if len(password) <= LONGEST else ""  # to check one that is too long must not cost more
    try:
        _hasher().verify(kept or _NOBODYS, _plain(password[:LONGEST]))
    except (errors.VerificationError, errors.InvalidHashError):
        return False
    return bool(kept)


@cache
def _hasher() -> Any:
    # Imported when the first password comes: neither commands nor endpoints need it.
    return import_module("argon2").PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _plain(password: str) -> bytes:
    """Return the bytes of a password, however a keyboard composes its letters."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
