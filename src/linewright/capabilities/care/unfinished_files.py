"""What processes that were killed have left of rows: files that were being written, fetched or computed."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from linewright.capabilities.care.referenced_artifacts import clock_of_files
from linewright.data.read.remote.downloads import remove_ended
from linewright.line.factory import Factory

_QUIET_S = 60.0
"""Seconds after which what nobody has written to is taken for left; a process that does write to it fails, and tries again."""
_DRAFT = re.compile(
    r"\.new-[0-9a-f]{16}|\..+(-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\.[0-9]+|\.[0-9a-f]{16})"
)
"""Names of files that are to take the place of others; see `artifacts`, `serve.files`, `features.views.records` and `files.rights`."""


def remove_unfinished(factory: Factory, line: str) -> None:
    """Remove what killed processes have left in the state, and what trainings of a line that no run needs any more."""
    factory.fits_of(line).drop()
    before = clock_of_files(factory) - _QUIET_S
    remove_ended(factory.scratch, before=before)
    for path in _left(factory):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before:
                path.unlink()


def _left(factory: Factory) -> Iterator[Path]:
    yield from factory.scratch.glob("*")
    yield from (path for path in sorted(factory.state.rglob(".*")) if _DRAFT.fullmatch(path.name))
