"""Answers between their making and their writing: in a folder of the state, whole or not there.

While they are made they lie in ``draft``, which takes the name ``ready`` when all are there. From then on nothing is computed again: what a
kill interrupts is logged, written and recorded from there, each thing once.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
import polars as pl
import pyarrow.parquet

from linewright.engine.lock import ProcessLock
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.scheduled.task_state import FOLDER
from linewright.serve.facts import Predictions
from linewright.serve.log.records import payload_of
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.files.names import line_path

_ANSWERS, _BROKEN, _LOG, _SEEN, _FACTS = (
    "answers.parquet",
    "quarantine.csv",
    "log.jsonl",
    "seen.npy",
    "run.json",
)
_AT_ONCE = 10_000
"""Answers that are given at one time."""
_RECORDS = msgspec.json.Decoder(Predictions)


class StagedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of answers that are ready."""

    run: str
    began: str
    model: int
    digest: str
    rows: int
    quarantined: int
    only_new: bool
    reasons: tuple[str, ...] = ()
    """Places and reasons of the first rows that break the contract."""


class StagedLog:
    """Takes the records of answers, for the log."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / _LOG).open("wb")

    def append_request(self, records: Predictions) -> None:
        """Write the records of many rows."""
        self._file.write(payload_of(records) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Stage:
    """The folder of predictions of one name, while this process holds it.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "draft").mkdir()
    >>> stage = Stage(folder)
    >>> stage.is_ready
    False
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.draft, self.ready = folder / "draft", folder / "ready"

    @property
    def is_ready(self) -> bool:
        """Whether there are answers that are not written yet, or not all that follows from it."""
        return self.ready.exists()

    @property
    def answers(self) -> Path:
        """The file of answers that are made."""
        return self.draft / _ANSWERS

    @property
    def broken(self) -> Path:
        """The file of rows that break the contract."""
        return self.draft / _BROKEN

    def begin(self) -> None:
        """Make an empty draft."""
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(parents=True)

    def finish(self, run: StagedRun, seen: np.ndarray | None) -> None:
        """Have the draft be ready.

        Parameters
        ----------
        seen
            Digests of all rows of the source; `None` if nobody asks which are new.
        """
        with explained(self.folder, "the folder of answers"):
            if seen is not None:
                np.save(self.draft / _SEEN, seen)
            (self.draft / _FACTS).write_bytes(msgspec.json.encode(run))
            for file in self.draft.iterdir():
                sync_file(file)
            sync_folder(self.draft)
            self.draft.replace(self.ready)
            sync_folder(self.folder)

    def run(self) -> StagedRun:
        """Return what is known of the answers that are ready."""
        return msgspec.json.decode((self.ready / _FACTS).read_bytes(), type=StagedRun)

    def records(self) -> Iterator[Predictions]:
        """Give what the log is to have of the answers that are ready."""
        with (self.ready / _LOG).open("rb") as file:
            yield from map(_RECORDS.decode, file)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Give the answers that are ready, some at a time."""
        with pyarrow.parquet.ParquetFile(self.ready / _ANSWERS) as file:
            for batch in file.iter_batches(_AT_ONCE):
                found = pl.from_arrow(batch)
                assert isinstance(found, pl.DataFrame)  # noqa: S101 -- a batch has columns
                yield found

    @property
    def ready_answers(self) -> Path:
        """The file of answers that are ready."""
        return self.ready / _ANSWERS

    @property
    def ready_broken(self) -> Path | None:
        """The file of rows that broke the contract; `None` if none did."""
        path = self.ready / _BROKEN
        return path if path.exists() else None

    def seen(self, run: str) -> np.ndarray | None:
        """Return the digests of the rows that the source had at a run; `None` if they are not there."""
        path = self.folder / f"{run}.npy"
        return np.load(path) if path.exists() else None

    def keep_seen(self, run: str) -> None:
        """Keep the digests of the answers that are ready, as those of a run."""
        path = self.ready / _SEEN
        if path.exists():
            path.replace(self.folder / f"{run}.npy")
            sync_folder(self.folder)

    def clear(self, run: str) -> None:
        """Remove the answers that were ready, and the digests of runs before this one."""
        old = self.folder / "old"
        shutil.rmtree(old, ignore_errors=True)
        if self.ready.exists():
            self.ready.replace(old)
        shutil.rmtree(old, ignore_errors=True)
        for path in self.folder.glob("*.npy"):
            if path.stem != run:
                path.unlink(missing_ok=True)


@contextmanager
def staged(factory: Factory, line: str, job: str) -> Generator[Stage]:
    """Hold the folder of predictions of one name.

    Raises
    ------
    Transient
        If another process makes them.
    """
    folder = line_path(factory.state / FOLDER, line) / f"predict.{job}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = ProcessLock(folder / "lock")
    if not lock.acquire():
        raise Transient(
            "these predictions are being made",
            where=f"{line}: predict.{job}",
            found=f"process {lock.holder()}",
            hint="wait until they are written",
        )
    with lock:
        yield Stage(folder)


def forget_staged(factory: Factory, line: str) -> None:
    """Remove all answers of a line that are made and not written: of which rows they are is not looked up. They are made again."""
    for folder in line_path(factory.state / FOLDER, line).glob("predict.*"):
        for name in ("draft", "ready", "old"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / _BROKEN).unlink(missing_ok=True)
