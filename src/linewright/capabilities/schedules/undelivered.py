"""Answers that are made and not delivered yet: in a folder of the state, whole or not there.

While they are made they lie in ``draft``, which takes the name ``ready`` when all are there. From then on nothing is computed again: what a
kill interrupts is logged, written and recorded from there, each thing once.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import polars as pl
import pyarrow.parquet

from linewright.capabilities.schedules.new_rows import SeenRows
from linewright.capabilities.schedules.task_state import FOLDER
from linewright.engine.lock import ProcessLock
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.spec import LineSpec
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
_PREDICT = "predict."
_AT_ONCE = 10_000
"""Answers that are given at one time."""
_RECORDS = msgspec.json.Decoder(Predictions)


class UndeliveredRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of answers that are ready."""

    run: str
    began: str
    model: int
    digest: str
    rows: int
    quarantined: int
    only_new: bool
    is_news: bool = True
    """Whether there are answers, or not the same rows in quarantine as the last time."""
    reasons: tuple[str, ...] = ()
    """Places and reasons of the first rows that break the contract."""

    @property
    def has_no_answers(self) -> bool:
        """Whether there are none since no row is new; without rows in the source, a table without rows is the answer."""
        return self.only_new and not self.rows


class UndeliveredLog:
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


class Undelivered:
    """The folder of predictions of one name, while this process holds it.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "draft").mkdir()
    >>> undelivered = Undelivered(folder)
    >>> undelivered.is_ready
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

    def finish(self, run: UndeliveredRun, seen: SeenRows | None) -> None:
        """Have the draft be ready."""
        with explained(self.folder, "the folder of answers"):
            if seen is not None:
                seen.save(self.draft / _SEEN)
            (self.draft / _FACTS).write_bytes(msgspec.json.encode(run))
            for file in self.draft.iterdir():
                sync_file(file)
            sync_folder(self.draft)
            self.draft.replace(self.ready)
            sync_folder(self.folder)

    def run(self) -> UndeliveredRun:
        """Return what is known of the answers that are ready."""
        return msgspec.json.decode((self.ready / _FACTS).read_bytes(), type=UndeliveredRun)

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
    def quarantine(self) -> Path:
        """The file of rows that broke the contract, if the destination is a table."""
        return self.folder / _BROKEN

    @property
    def ready_answers(self) -> Path:
        """The file of answers that are ready."""
        return self.ready / _ANSWERS

    @property
    def ready_broken(self) -> Path | None:
        """The file of rows that broke the contract; `None` if none did."""
        path = self.ready / _BROKEN
        return path if path.exists() else None

    def seen(self, run: str) -> SeenRows | None:
        """Return the rows that the source had at a run; `None` if they are not there."""
        with suppress(OSError, ValueError):  # gone, or damaged
            return SeenRows.load(self.folder / f"{run}.npy")
        return None

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
def held_undelivered(factory: Factory, line: str, job: str) -> Generator[Undelivered]:
    """Hold the folder of predictions of one name."""
    folder = line_path(factory.state / FOLDER, line) / f"{_PREDICT}{job}"
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
        yield Undelivered(folder)


@contextmanager
def held_all_undelivered(factory: Factory, spec: LineSpec) -> Generator[None]:
    """Hold the folders of all predictions of a line."""
    known = line_path(factory.state / FOLDER, spec.line).glob(f"{_PREDICT}*/")
    with ExitStack() as held:
        for job in sorted({*spec.predict, *(folder.name.removeprefix(_PREDICT) for folder in known)}):
            held.enter_context(held_undelivered(factory, spec.line, job))
        yield


def seen_rows_in(state: Path) -> Iterator[Path]:
    """Give the files that say which rows sources had the last time: 9 bytes a row, without them all rows are new."""
    yield from sorted((state / FOLDER).glob(f"*/{_PREDICT}*/*.npy"))


def began_undelivered(factory: Factory, line: str, job: str) -> str | None:
    """Return when answers began that are ready, and perhaps written though not recorded; `None` if there are none."""
    undelivered = Undelivered(line_path(factory.state / FOLDER, line) / f"{_PREDICT}{job}")
    return undelivered.run().began if undelivered.is_ready else None


def forget_undelivered(factory: Factory, line: str) -> None:
    """Remove all answers of a line that are made and not written: of which rows they are is not looked up. They are made again."""
    for folder in line_path(factory.state / FOLDER, line).glob(f"{_PREDICT}*/"):
        for name in ("draft", "ready", "old"):
            shutil.rmtree(folder / name, ignore_errors=True)
        Undelivered(folder).quarantine.unlink(missing_ok=True)
