"""How much of a source can be read: what is small on disk may be large in memory, or without end."""

from linewright.engine.machine import memory
from linewright.errors import RequestError

FREE = 1 << 28
"""Bytes that any file may unpack to, whatever its size: they can be read without harm."""


def most_held() -> int:
    """Return how many bytes of rows may be held in memory: half of what this process could have."""
    return memory() // 2


def too_large(where: str, most: int) -> RequestError:
    """Return what to say of rows that memory cannot hold."""
    return RequestError(
        f"its rows take more than {most / 2**30:.1f} GiB, which is half of the memory here",
        where=where,
        hint="read fewer rows or columns, or use a machine with more memory",
    )


def too_many_rows(where: str, most: int, *, key: str = "") -> RequestError:
    """Return what to say of rows that never seem to end; `key` names what allows more (default: `limits.rows` of the source)."""
    return RequestError(
        f"there are more than {most:,} rows",
        where=where,
        hint=f"read fewer, or allow more by {key or _key(where, 'rows')}",
    )


def too_many_columns(where: str, name: str, most: int) -> RequestError:
    """Return what to say of a file with too many columns, or of JSON objects with too many names."""
    return RequestError(
        f"there are more than {most:,} columns",
        where=where,
        found=name,
        hint=f"look whether rows and columns are exchanged, or allow more by {_key(where, 'columns')}",
    )


def swollen(where: str, name: str, ratio: float) -> RequestError:
    """Return what to say of a file that is much larger inside than outside."""
    return RequestError(
        f"the file unpacks to more than {ratio:g} times its size",
        where=where,
        found=name,
        hint=f"look what is in it; if it is honest, allow more by {_key(where, 'ratio')}",
    )


def _key(where: str, word: str) -> str:
    """Return what allows more; a file that is handed in is read as the line's source is."""
    return f"{where}.limits.{word}" if where.startswith("sources.") else f"limits.{word} of the line's source"
