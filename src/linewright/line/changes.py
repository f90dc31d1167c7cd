"""Which lines of a factory were written about since they were looked at last.

It takes a listing of three folders and one query, whatever the number of lines: a thousand that rest cost little more than one.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from linewright.line.factory import Factory
from linewright.serve.files import Stamp, is_young, stamp_of
from linewright.serve.outages import lines_with_outages
from linewright.store.clock import now_utc

Part = Literal["file", "record", "labels", "outage"]
"""What was written: the line's file, its record, the file of its labels and counted predictions, or word of an outage."""
ALL: frozenset[Part] = frozenset({"file", "record", "labels", "outage"})


class Changes:
    """Tells which lines were written about. Not safe to use from several threads.

    Parameters
    ----------
    factory
        Whose lines.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._files: dict[str, Stamp] = {}
        self._labels: dict[str, Stamp] = {}
        self._newest: int | None = None
        self._now = ""
        self.names: list[str] = []
        """Names of the declared lines at the last look, sorted."""

    def look(self) -> Mapping[str, frozenset[Part]]:
        """Return the lines that were written about since the last look, with what was written; at first all, with everything.

        So it is too where the clock was set back, since what waits for a time then waits for another one. A line whose outage lasts
        is told of each time. A file that has just changed is told of for `YOUNG_S` seconds.

        Raises
        ------
        LinewrightError
            If the record cannot be read.
        OSError
            If a folder cannot be read.
        """
        factory, before, now = self._factory, self._now, self._factory.now()
        now_s = datetime.fromisoformat(now_utc()).timestamp()
        files = _stamps(factory.root / "lines", ".yaml")
        self.names = sorted(files)
        labels = _stamps(factory.state / "feedback", ".sqlite")
        outages = lines_with_outages(factory.serving)
        newest, recorded = factory.metadata.lines_since(self._newest)
        is_first = self._newest is None or now < before
        written = _written(self._files, files, now_s), _written(self._labels, labels, now_s)
        self._files, self._labels, self._newest, self._now = files, labels, newest, now
        if is_first:
            return dict.fromkeys(files, ALL)
        found: dict[str, set[Part]] = {}
        parts: tuple[tuple[Part, set[str]], ...] = (
            ("file", written[0]),
            ("record", recorded),
            ("labels", written[1]),
            ("outage", outages),
        )
        for part, lines in parts:
            for line in lines & files.keys():
                found.setdefault(line, set()).add(part)
        return {line: frozenset(those) for line, those in found.items()}


def _stamps(folder: Path, ending: str) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ending):
                with suppress(FileNotFoundError):  # gone meanwhile
                    found[entry.name.removesuffix(ending)] = _stamp(entry)
    return found


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        return stamp_of(entry.stat())
    except OSError:  # a link that leads nowhere: reading it says so
        return stamp_of(entry.stat(follow_symlinks=False))


def _written(before: Mapping[str, Stamp], now: Mapping[str, Stamp], now_s: float) -> set[str]:
    return {line for line, stamp in now.items() if stamp != before.get(line) or is_young(stamp, now_s)}
