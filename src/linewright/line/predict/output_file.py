"""The file of answers: CSV or Parquet, there as a whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from linewright.errors import RequestError
from linewright.store.files.rights import as_asked

_TRIES = 10
_INTERVAL = "interval"
_NO_WARNINGS: Mapping[int, list[str]] = {}


class AnswersFile:
    """Writes tables one below the other into a draft beside the file, which takes its name when all are there.

    Whoever ends this process by force leaves the draft; the next one that writes the same file removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._file: BinaryIO | None = None
        self._parquet: pyarrow.parquet.ParquetWriter | None = None
        self._is_first = True

    def __enter__(self) -> Self:
        try:
            _sweep(self._path)
            self._file = _held(self._draft)
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        return self

    def write(self, table: pl.DataFrame) -> None:
        """Add rows; each time the same columns in the same types."""
        try:
            if self._path.suffix == ".parquet":
                self._write_parquet(table.to_arrow(compat_level=pl.CompatLevel.oldest()))
            else:
                self._open.write(table.write_csv(include_header=self._is_first).encode())
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._is_first = False

    @property
    def _open(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101 -- it is written to after it was entered
        return self._file

    def _write_parquet(self, table: pa.Table) -> None:
        writer = self._parquet
        if writer is None:
            writer = self._parquet = pyarrow.parquet.ParquetWriter(
                self._open, table.schema, compression="zstd", write_page_checksum=True
            )
        writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._parquet is not None:
                    self._parquet.close()
                self._open.flush()
                os.fsync(self._open.fileno())
                self._draft.replace(self._path)
        except OSError as failure:
            raise _cannot_write(self._path, failure) from failure
        finally:
            self._draft.unlink(missing_ok=True)
            # What cannot be written any more belongs to a draft that is gone; else it was all flushed.
            with suppress(OSError), self._open:
                if self._parquet is not None:
                    self._parquet.close()


def _held(draft: Path) -> BinaryIO:
    """Open a draft and hold it, so that nobody takes it for one that was left."""
    for _ in range(_TRIES):
        file = draft.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if draft.exists():
            as_asked(draft)
            return file
        file.close()  # another process took it for one that was left, before it was held
    raise OSError(errno.EBUSY, "another process removes the draft again and again")


def _sweep(path: Path) -> None:
    """Remove the drafts of those that were killed: nobody holds them any more."""
    for draft in path.parent.glob(f".{escape(path.name)}.*"):
        # One that is gone meanwhile, is held, or is somebody else's is none of ours.
        with suppress(OSError), draft.open("rb") as file:
            if draft.suffix[1:].isdecimal():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()


def _cannot_write(path: Path, error: OSError) -> RequestError:
    return RequestError(f"cannot write the answers: {error.strerror or error}", where=str(path))


def to_table(
    frame: pl.DataFrame,
    *,
    key: str | None,
    entities: Sequence[str] = (),
    numbers: Sequence[int] = (),
    ids: Sequence[str] = (),
    answers: Sequence[Mapping[str, Any]] = (),
    warnings: Mapping[int, list[str]] = _NO_WARNINGS,
) -> pl.DataFrame:
    """Return answers as rows of the file."""
    keys = frame[key] if key in frame.columns else pl.Series(numbers, dtype=pl.Int64)
    name = key if key is not None and key in frame.columns else "row"
    columns: dict[str, Any] = {name: keys}
    columns |= {one: frame[one] for one in entities if one in frame.columns}
    # A column of the rows that is itself called id keeps its name; the prediction's id then stands beside it.
    columns["prediction_id" if "id" in columns else "id"] = pl.Series(ids, dtype=pl.String)
    if answers:
        columns |= _flat(answers, set(columns))
    texts = ["; ".join(warnings.get(row, ())) or None for row in range(frame.height)]
    doubts = "warnings" if "warnings" not in columns else "answer_warnings"
    return pl.DataFrame({**columns, doubts: pl.Series(texts, dtype=pl.String)})


def _flat(answers: Sequence[Mapping[str, Any]], taken: set[str]) -> dict[str, list[Any]]:
    """Answer fields as columns; a dict (probabilities) and an interval give one column a part, any other list is its JSON text."""
    flat: dict[str, list[Any]] = {}
    for field in answers[0]:
        name = field if field not in taken else f"answer_{field}"
        flat |= _parts(name, [answer[field] for answer in answers])
    return {name if name not in taken else f"answer_{name}": values for name, values in flat.items()}


def _parts(name: str, values: list[Any]) -> dict[str, list[Any]]:
    first = values[0]
    if isinstance(first, dict):
        inner = cast("dict[str, Any]", first)
        named = {f"{name}_{part}": [value[part] for value in values] for part in inner}
    elif isinstance(first, list | tuple) and name != _INTERVAL:
        return {name: [msgspec.json.encode(value).decode() for value in values]}
    elif isinstance(first, list | tuple):
        named = {
            f"{name}_{part}": [value[place] for value in values]
            for place, part in enumerate(("low", "high", "level"))
        }
    else:
        return {name: values}
    return {inner: of for part, column in named.items() for inner, of in _parts(part, column).items()}
