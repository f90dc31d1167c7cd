"""Secrets are read where they are named, each time that one is used: a new one needs no restart."""

import os
from pathlib import Path

from linewright.errors import SpecError

_MOST_BYTES = 64 * 1024
"""Of a file with a secret: more than any has."""


def read_secret(reference: str, root: Path, *, where: str) -> str:
    """Return what ``env:NAME`` or ``file:PATH`` stands for, without space around it; it is never shown.

    Parameters
    ----------
    root
        What relative paths start from.
    where
        The word that names it, for messages.

    Raises
    ------
    SpecError
        If there is no such variable or file, it cannot be read, or it is empty.
    """
    kind, _, name = reference.partition(":")
    try:
        found = os.environ[name] if kind == "env" else _text(root / name)
    except KeyError as error:
        hint = f"set {name} where `linewright up` is started"
        raise SpecError(
            "no variable of the environment has that name", where=where, found=reference, hint=hint
        ) from error
    except (OSError, ValueError) as error:
        says = getattr(error, "strerror", None) or "it is no text"
        hint = f"put it there, readable for its owner alone; paths start from {root}"
        raise SpecError(
            f"the file with the secret cannot be read: {says}", where=where, found=reference, hint=hint
        ) from error
    if not found.strip():
        raise SpecError("the secret is empty", where=where, found=reference)
    return found.strip()


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode()
