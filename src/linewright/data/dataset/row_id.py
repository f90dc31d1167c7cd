"""Which row is which: a stable text for each row, and its hash."""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import polars as pl

from linewright.data.spec import DataSpec

_BETWEEN, _MISSING = "\x1f", "\x00"
_CELLS_AT_ONCE, _FEWEST_AT_ONCE = 1 << 21, 256


def identity_text(frame: pl.DataFrame, data: DataSpec, *, by_group: bool = False) -> pl.Series:
    """Return what names each row: its key, else its content.

    Content is every column but the label and when it was known: rows that differ in their label alone are one row
    whose truth is in doubt, and a label that arrives or is mended must not move its row.
    """
    label = {data.label.column, data.label.known, *(data.label.columns or ())}
    names = (
        [data.table.key] if data.table.key else sorted(name for name in frame.columns if name not in label)
    )
    group = data.table.group if by_group else None
    own = None if group and frame[group].null_count() == 0 else content_text(frame, names)
    if group is None:
        return own if own is not None else pl.Series([], dtype=pl.String)
    text = _stable_text(frame[group])
    return text if own is None else text.zip_with(text.is_not_null(), own)


def hash_rows(text: pl.Series, *, salt: str) -> np.ndarray:
    """Return the first 8 bytes of the BLAKE2b hash of salt and text, big-endian, for each row.

    Examples
    --------
    >>> [format(one, "016x") for one in hash_rows(pl.Series(["a"]), salt="")]
    ['333fcb4ee1aa7c11']
    """
    # A hash that has taken in the salt is copied for each row: hashing the salt once makes no difference but time.
    salted = blake2b(salt.encode())
    digests: list[bytes] = []
    for one in text.to_list():
        hashed = salted.copy()
        hashed.update(one.encode())
        digests.append(hashed.digest()[:8])
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def hash_in_parts(
    frame: pl.DataFrame, text_of: Callable[[pl.DataFrame], pl.Series], *, salt: str
) -> np.ndarray:
    """Return `hash_rows` of what names each row; the texts of all rows, which are longer than the rows, are never held.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["a", "b"]})
    >>> bool((hash_in_parts(frame, lambda part: part["a"], salt="s") == hash_rows(frame["a"], salt="s")).all())
    True
    """
    hashed = np.empty(frame.height, dtype=np.uint64)
    size = max(_CELLS_AT_ONCE // max(frame.width, 1), _FEWEST_AT_ONCE)
    for start in range(0, frame.height, size):
        part = slice(start, start + size)
        hashed[part] = hash_rows(text_of(frame[part]), salt=salt)
    return hashed


def content_text(frame: pl.DataFrame, names: list[str]) -> pl.Series:
    """Return what each row says in some columns, the same for the same values in any version of a library."""
    texts = pl.DataFrame([_stable_text(frame[name]).alias(f"c{i}") for i, name in enumerate(names)])
    return texts.select(pl.concat_str(pl.all().fill_null(_MISSING), separator=_BETWEEN)).to_series()


def _stable_text(values: pl.Series) -> pl.Series:
    """Text that no version of a library can change: numbers by their bits, times as whole numbers."""
    if values.dtype == pl.Float64 and not values.null_count():
        # The same without what missing values cost: of thousands of columns that was most of it.
        return pl.Series(values.to_numpy().astype("<f8", copy=False).view("<i8")).cast(pl.String)
    if values.dtype == pl.Float64:
        bits = pl.Series(values.fill_null(0.0).to_numpy().astype("<f8").view("<i8"))
        return bits.cast(pl.String).zip_with(values.is_not_null(), pl.Series([None], dtype=pl.String))
    return values if values.dtype == pl.String else values.cast(pl.Int64).cast(pl.String)
