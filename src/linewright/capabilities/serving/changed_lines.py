"""Which lines of a factory were written about since they were looked at last.

Of lines that rest it takes a listing of their files; what else there is, is listed or asked for where its file or folder has changed.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from linewright.features.views.records import DAMAGED
from linewright.features.views.records import FOLDER as RECORDS
from linewright.line.factory import Factory
from linewright.line.file.sites import lines_of
from linewright.line.file.view_file import FOLDER as VIEWS
from linewright.serve.log.outages import lines_with_outages
from linewright.store.clock import now_utc
from linewright.store.files.names import ENDING
from linewright.store.files.stamps import Lasting, Stamp, is_young, lasting_stamp, stamp_of

Part = Literal["file", "record", "labels", "outage", "views"]
"""What was written: the line's file, its record, the file of its labels and counted predictions, word of an outage, or the file of
a feature view or word of its damaged records, whichever lines read it."""
ALL: frozenset[Part] = frozenset({"file", "record", "labels", "outage", "views"})


class Changes:
    """Tells which lines were written about. Not safe to use from several threads."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        folder = factory.root / "lines"
        self._files = _Files(
            folder, ENDING, lines_of=lambda name, stamp: lines_of(folder / f"{name}{ENDING}", stamp)
        )
        self._views = _Files(factory.root / VIEWS, ENDING)
        self._damaged = _Files(factory.state / RECORDS, DAMAGED)
        feedback = factory.state / "feedback"
        self._labels = _Files(feedback, ".sqlite", Lasting(partial(lasting_stamp, feedback)))
        self._seq = Lasting[int](lambda: factory.metadata.stamp())  # noqa: PLW0108 -- opened by the first look, which tells what is wrong
        self._newest: int | None = None
        self._now = ""
        self.names: list[str] = []
        """Names of the declared lines at the last look, sorted."""

    def look(self) -> Mapping[str, frozenset[Part]]:
        """Return the lines that were written about since the last look, with what was written; at first all, with everything.

        So it is too where the clock was set back, since what waits for a time then waits for another one. A line whose outage lasts
        is told of each time. A file that has just changed is told of for `YOUNG_S` seconds.
        """
        factory, before, now = self._factory, self._now, self._factory.now()
        now_s = datetime.fromisoformat(now_utc()).timestamp()
        newest, recorded = self._seq.get(factory.metadata.newest_seq), set[str]()
        if newest != self._newest:
            newest, recorded = factory.metadata.lines_since(self._newest)
        outages = lines_with_outages(factory.serving)
        is_first = self._newest is None or now < before
        written, labelled = self._files.written(now_s), self._labels.written(now_s)
        viewed = self._views.written(now_s) | self._damaged.written(now_s)
        self._newest, self._now = newest, now
        files = self._files.stamps
        if written or len(files) != len(self.names):
            self.names = sorted(files)
        if is_first:
            return dict.fromkeys(files, ALL)
        found: dict[str, set[Part]] = {}
        parts: tuple[tuple[Part, set[str]], ...] = (
            ("file", written),
            ("record", recorded),
            ("labels", labelled),
            ("outage", outages),
            ("views", {*files} if viewed else set[str]()),
        )
        for part, lines in parts:
            for line in lines & files.keys():
                found.setdefault(line, set()).add(part)
        return {line: frozenset(those) for line, those in found.items()}


class _Files:
    """The files of a folder with one ending, each about one line."""

    def __init__(
        self,
        folder: Path,
        ending: str,
        listed: Lasting[dict[str, Stamp]] | None = None,
        *,
        lines_of: Callable[[str, Stamp], Sequence[str]] = lambda name, _: (name,),
    ) -> None:
        self._folder, self._ending, self._lines_of = folder, ending, lines_of
        self._listed = listed or Lasting(lambda: None)
        self.stamps: dict[str, Stamp] = {}
        """By line, at the last look."""
        self._young: set[str] = set()

    def written(self, now_s: float) -> set[str]:
        """Return the lines whose files were written since the last look, or may still change without another stamp."""
        before, self.stamps = self.stamps, self._listed.get(self._stamps)
        if before is self.stamps and not self._young:
            return set()
        written = {line for line, stamp in self.stamps.items() if stamp != before.get(line)}
        written |= self._young & self.stamps.keys()
        self._young = {line for line in written if is_young(self.stamps[line], now_s)}
        return written

    def _stamps(self) -> dict[str, Stamp]:
        found: dict[str, Stamp] = {}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(self._ending):
                    with suppress(FileNotFoundError):  # gone meanwhile
                        stamp = _stamp(entry)
                        lines = self._lines_of(entry.name.removesuffix(self._ending), stamp)
                        found |= dict.fromkeys(lines, stamp)
        return found


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        return stamp_of(entry.stat())
    except OSError:  # a link that leads nowhere: reading it says so
        return stamp_of(entry.stat(follow_symlinks=False))
