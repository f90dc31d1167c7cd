"""The files that make up a version of a Delta table, by its log; no file of rows is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

_UNDERSTOOD = frozenset(
    {
        "timestampNtz",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "catalogManaged",
        "typeWidening",
        "domainMetadata",
    }
)
"""Features of the format that change nothing of how the files of rows are read."""


@dataclass(frozen=True, kw_only=True)
class ActiveFile:
    """A file of rows that belongs to a version."""

    path: str
    """Below the folder of the table."""
    fixed: dict[str, Any]
    """Values that all of its rows have, by column: those of its partition."""


@dataclass(frozen=True, kw_only=True)
class DeltaVersion:
    """A version of a table."""

    schema: pa.Schema
    files: tuple[ActiveFile, ...]
    """In the order in which they were written."""


class NotReadError(Exception):
    """A table that cannot be read, or not without what is not understood here; it says why."""


def version_of(folder: Path, version: int | None) -> DeltaVersion:
    """Return a version of the table in a folder, which needs to hold the log alone; by default the newest."""
    try:
        table = DeltaTable(str(folder), version=version)
        features = set(table.protocol().reader_features or ())
        mapped = table.metadata().configuration.get("delta.columnMapping.mode", "none")
        added = pa.table(table.get_add_actions()).to_pylist()
        schema = pa.schema(table.schema().to_arrow())
    except (DeltaError, pa.ArrowException, OSError, ValueError) as error:
        raise NotReadError(str(error).strip().partition("\n")[0]) from error
    if others := sorted(features - _UNDERSTOOD) + (["columnMapping"] if mapped != "none" else []):
        raise NotReadError(f"it uses {', '.join(dict.fromkeys(others))}, which is not understood here")
    added.sort(key=_place)
    return DeltaVersion(
        schema=schema,
        files=tuple(
            ActiveFile(path=_below(unquote(one["path"])), fixed=one.get("partition") or {}) for one in added
        ),
    )


def _place(added: dict[str, Any]) -> tuple[int, str]:
    return added["modification_time"], added["path"]


def _below(path: str) -> str:
    """Return a path, once it is sure that it leads nowhere else: a log may say anything."""
    if path.startswith("/") or ":/" in path or ".." in path.split("/") or "\0" in path:
        raise NotReadError("a file of it lies elsewhere, as in a shallow clone")
    return path
