"""Secrets are read where they are named, each time that one is used: a new one needs no restart."""

import os
import re
from contextlib import suppress
from pathlib import Path

from linewright.errors import SpecError
from linewright.text.database_url import FILE_URL, read_database_url

_LONGEST = 150
_MOST_BYTES = 64 * 1024
"""Of a file with a secret: more than any has."""


def read_secret(reference: str, root: Path, *, where: str) -> str:
    """Return what ``env:NAME`` or ``file:PATH`` stands for, without space around it; it is never shown."""
    kind, _, name = reference.partition(":")
    try:
        found = os.environ[name] if kind == "env" else _text(root / name)
    except KeyError as error:
        hint = f"set {name} where linewright is started"
        raise SpecError(
            "no variable of the environment has that name", where=where, found=reference, hint=hint
        ) from error
    except (OSError, ValueError) as error:
        says = getattr(error, "strerror", None) or "it is not text"
        hint = f"put it there, readable for its owner alone; paths start from {root}"
        raise SpecError(
            f"the file with the secret cannot be read: {says}", where=where, found=reference, hint=hint
        ) from error
    if not found.strip():
        raise SpecError("the secret is empty", where=where, found=reference)
    return found.strip()


def shown_place(reference: str) -> str:
    """Return host and database of a URL that a reference stands for, without user, password and options; else the reference itself.

    It does not fail: what it says is for people. A file whose path is relative is not looked for.

    Examples
    --------
    >>> os.environ["DOC_DB"] = "postgresql://ann:secret@db.example.com:5433/shop?sslmode=require"
    >>> shown_place("env:DOC_DB"), shown_place("env:NOT_SET"), shown_place("sqlite:///shop.db")
    ('db.example.com:5433/shop', 'env:NOT_SET', 'shop.db')
    """
    kind, _, name = reference.partition(":")
    is_file = re.fullmatch(FILE_URL, reference) is not None
    if is_file or kind == "env" or Path(name).is_absolute():
        with suppress(SpecError, ValueError):
            text = reference if is_file else read_secret(reference, Path(), where="")
            place = read_database_url(text).place
            if place.isprintable() and 0 < len(place) <= _LONGEST:
                return place
    return reference


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode()
