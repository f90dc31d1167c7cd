"""When the disk of a factory is full, at the rate at which its prediction logs grow."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from pathlib import Path

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.serve.facts import Sealed, Segment
from linewright.serve.log.segments import ENDING
from linewright.store.clock import now_utc, text_of

LOOKED_BACK_S = 6 * 3600.0
"""Seconds over which growth is measured: as long as small segments wait until they are sealed."""
SHORTEST_S = 600.0
"""Seconds over which it is measured at least: a burst is no trend."""
WARNED_H = 24.0
"""Hours before the disk is full from which on people are told: each day somebody looks."""
MAKE_ROOM = "free space, or say in factory.yaml what may be logged a day (limits: log_bytes_per_day)"
"""What to do next."""
_FEW, _MANY = 20, 2_000
"""Sealed segments by which it is told how small they become, and how many are read at first."""
_STAMP_LENGTH = 25
"""Characters of the time at which a segment was begun, with which its name begins: UTC, ISO 8601, ``2026-11-28T112233.123456Z``."""


class DiskForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is free on the disk of a factory, and for how long."""

    free_bytes: int
    growth_bytes_per_hour: float
    """What prediction logs grew by in the last hours, without what their sealing gave back; 0 where they did not."""
    full_in_h: float | None
    """Hours until nothing is free at this rate; `None` where logs do not grow."""

    @property
    def is_near(self) -> bool:
        """Whether people should be told."""
        return self.full_in_h is not None and self.full_in_h < WARNED_H


def disk_in_words(found: DiskForecast, folder: Path) -> str:
    """Say it of the disk that holds a folder."""
    rate = f"{found.growth_bytes_per_hour / 1e6:,.0f} MB an hour"
    return f"at this rate ({rate} of prediction logs) the disk of {folder} is full in {found.full_in_h or 0:.1f} hours"


def forecast(factory: Factory) -> DiskForecast:
    """Look at the disk and at the logs of all lines."""
    free = shutil.disk_usage(factory.state if factory.state.is_dir() else factory.root).free
    # The clock that stamps files, which in a world that simulates is another one than the factory's.
    now = datetime.fromisoformat(now_utc())
    since = now - timedelta(seconds=LOOKED_BACK_S)
    parts = list(_segments(factory.state / "log", since))
    parts += _by_sealing(factory, _lately(factory, since), since)
    grown = max(sum(size for _, size in parts), 0.0)
    begun = min((begun for begun, _ in parts), default=since)
    hours = max((now - begun).total_seconds(), SHORTEST_S) / 3600
    rate = grown / hours
    return DiskForecast(
        free_bytes=free,
        growth_bytes_per_hour=round(rate),
        full_in_h=free / rate if round(rate) else None,
    )


def _segments(logs: Path, since: datetime) -> Iterator[tuple[datetime, float]]:
    """Give from when on each segment was written since an instant, and how many bytes, as if it grew evenly."""
    earliest = since.timestamp()
    for file in _files(logs):
        with suppress(FileNotFoundError, ValueError):  # sealed meanwhile; or not named by us
            about = file.stat()
            if about.st_mtime > earliest:
                until = datetime.fromtimestamp(about.st_mtime, tz=UTC)
                begun = _begun(file.name)
                first = max(begun, since)
                lasted = max((until - begun).total_seconds(), 1e-6)
                share = min(max((until - first).total_seconds(), 0.0) / lasted, 1.0)
                yield first, about.st_size * share


def _files(logs: Path) -> Iterator[os.DirEntry[str]]:
    # A tenth of what a pattern takes, of a thousand lines.
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(logs) as lines:
        for line in lines:
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(line.path) as files:
                yield from (each for each in files if each.name.endswith(ENDING))


def _begun(name: str) -> datetime:
    return datetime.fromisoformat(name[:_STAMP_LENGTH])


def _lately(factory: Factory, since: datetime) -> list[Sealed]:
    """Return the segments of all lines that were sealed since an instant, newest first."""
    limit, instant = _MANY, text_of(since)
    while True:
        found = factory.metadata.events(Sealed, newest_first=True, limit=limit)
        if len(found) < limit or found[-1].at < instant:
            return [one for one in found if one.at >= instant]
        limit *= 4


def _by_sealing(
    factory: Factory, lately: Sequence[Sealed], since: datetime
) -> Iterator[tuple[datetime, float]]:
    """Give the same of segments that were sealed since: what is left of them, less what they had already been before."""
    looked_at: dict[str, list[Sealed]] = {}
    # The largest say most about the sum, and to look at each of a thousand lines would take half a second.
    for one in nlargest(_FEW, lately, key=lambda one: one.bytes):
        looked_at.setdefault(one.line, []).append(one)
    left = {line: _left(factory, some) for line, some in looked_at.items()}
    of_all = sum(left.values()) / max(sum(one.bytes for some in looked_at.values() for one in some), 1)
    ratios = {line: left[line] / max(sum(one.bytes for one in some), 1) for line, some in looked_at.items()}
    for one in lately:
        with suppress(ValueError):
            begun, ratio = _begun(one.name), ratios.get(one.line, of_all)
            yield max(begun, since), ratio * one.bytes - (one.bytes if begun < since else 0)


def _left(factory: Factory, sealed: Sequence[Sealed]) -> int:
    """Return the bytes that segments have now that they are sealed."""
    left = 0
    for one in sealed:
        with suppress(LinewrightError, OSError):
            left += factory.artifacts.path(factory.metadata.get(one.segment, Segment).blob).stat().st_size
    return left
