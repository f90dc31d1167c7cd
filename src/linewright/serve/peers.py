"""What the processes of one endpoint know of each other: a scrape reaches one of them, and is told of all.

A folder with a file for each process, locked as long as it lives, and beside it what it last told of itself. Whoever is
asked rings: a number in a file, which each process looks at 20 times a second, off the path of requests. Each then
writes what it has counted. What was told is on the disk before it is told, so that a process which is killed takes nothing
back: counters never go down. Of one that ended the supervisor keeps the counts.
"""

import os
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from linewright.serve.answers import Health
from linewright.serve.files import is_held, write_held, write_whole
from linewright.serve.metrics import Sample, Tally, add_samples, add_tallies
from linewright.store.clock import uuid7
from linewright.store.values import decoder

LISTEN_S = 0.05
"""How often a process looks whether another one asks."""
PATIENCE_S = 1.0
"""How long a process that does not answer is waited for; then what it told last is taken."""
_FOLDER = "endpoints"
_BELL, _ENDED, _TOLD = "bell", "ended", ".told"
_NAMES = 100
"""Ended processes whose names are kept: whoever is reading their files just then must not count them twice."""
_ORDER = "little"


class Told(msgspec.Struct, kw_only=True):
    """What a process tells of itself, or what is kept of several that ended."""

    number: int = 0
    """The ring that it answers."""
    tallies: list[Tally] = []
    samples: list[Sample] = []
    health: Health | None = None
    """What the process would say of its health; `None` where it has ended."""
    names: list[str] = []
    """The processes whose counts are in here."""

    def left_behind(self) -> "Told":
        """Return what stays true when the process has ended: what it counted."""
        stays = [one for one in self.samples if one.kind == "counter" or one.over == "min"]
        return Told(tallies=self.tallies, samples=stays)


class Siblings:
    """One process among those of an endpoint."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, str(uuid7())
        self._bell = os.open(folder / _BELL, os.O_RDWR)
        self._lock: IO[bytes] | None = None

    def enter(self) -> None:
        """Be among them: from here on the others wait for what this one tells."""
        self._lock = write_held(self._folder / self._name)

    def rung(self) -> int:
        """Return the number of the last ring."""
        return int.from_bytes(os.pread(self._bell, 8, 0), _ORDER)

    def tell(self, told: Told) -> None:
        """Let the others read this."""
        write_whole(self._folder / (self._name + _TOLD), msgspec.json.encode(told))

    def ask(self, own: Told) -> list[Told]:
        """Return what all tell at this moment: first what is left of the ended ones, then the others, last `own`.

        It waits until the others have answered, at most `PATIENCE_S` seconds.
        """
        with suppress(OSError):  # a full disk: what is told now may then be taken back by a kill
            self.tell(own)
        number = self.rung() + 1
        os.pwrite(self._bell, number.to_bytes(8, _ORDER), 0)
        deadline = time.monotonic() + PATIENCE_S
        others = {name: self._answer(name, number, deadline) for name in _names(self._folder)}
        # Read last: what was folded into it meanwhile was among the others before, or is named in it.
        ended = _read(self._folder, _ENDED) or Told()
        heard = [told for name, told in others.items() if told is not None and name not in ended.names]
        return [ended, *heard, own]

    def _answer(self, name: str, number: int, deadline: float) -> Told | None:
        if name == self._name:
            return None
        while True:
            is_alive = _is_alive(self._folder, name)
            told = _read(self._folder, name + _TOLD)
            if not is_alive:
                return None if told is None else told.left_behind()
            if (told is not None and told.number >= number) or time.monotonic() > deadline:
                return told
            time.sleep(LISTEN_S / 5)

    def close(self) -> None:
        """Be among them no longer; what was told last stays."""
        if self._lock is not None:
            self._lock.close()
        os.close(self._bell)


@contextmanager
def shared(state: Path) -> Generator[Path]:
    """Give a folder for the processes of an endpoint, and remove it afterwards; those of killed endpoints go now."""
    above = state / _FOLDER
    above.mkdir(parents=True, exist_ok=True)
    for old in _names(above):
        if not _is_alive(above, old):
            shutil.rmtree(above / (old + _TOLD), ignore_errors=True)
            (above / old).unlink(missing_ok=True)
    name = str(uuid7())
    folder = above / (name + _TOLD)
    with write_held(above / name):
        folder.mkdir()
        (folder / _BELL).write_bytes(bytes(8))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            (above / name).unlink(missing_ok=True)


def fold(folder: Path) -> None:
    """Keep the counts of processes that ended in one place, so that neither files nor the time of a scrape grow with them.

    Only the supervisor does so. Where the disk is full the files stay until the next time.
    """
    with suppress(OSError):
        gone = [name for name in _names(folder) if not _is_alive(folder, name)]
        told = [one.left_behind() for name in gone if (one := _read(folder, name + _TOLD)) is not None]
        before = _read(folder, _ENDED) or Told()
        names = [*before.names, *gone][-_NAMES:]
        write_whole(folder / _ENDED, msgspec.json.encode(added([before, *told], names)))
        for name in gone:
            (folder / (name + _TOLD)).unlink(missing_ok=True)
            (folder / name).unlink(missing_ok=True)


def added(told: Sequence[Told], names: Sequence[str] = ()) -> Told:
    """Return the sum of what several told, without their health."""
    return Told(
        tallies=add_tallies(one.tallies for one in told),
        samples=add_samples(one.samples for one in told),
        names=list(names),
    )


def _names(folder: Path) -> list[str]:
    # The names of processes are ids, which have no dot and begin with the time.
    return sorted(
        path.name for path in folder.iterdir() if "." not in path.name and path.name not in {_BELL, _ENDED}
    )


def _is_alive(folder: Path, name: str) -> bool:
    with suppress(OSError), (folder / name).open("rb") as file:
        return is_held(file)
    return False


def _read(folder: Path, name: str) -> Told | None:
    try:
        return decoder(Told).decode((folder / name).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
