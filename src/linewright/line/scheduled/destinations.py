"""Destinations of answers: a file, an object of a bucket, or a table; all of one run or none."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl

from linewright.data.read.sql.column_types import Kind
from linewright.data.write.bucket import put_file
from linewright.data.write.table import kind_of, open_table
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.predict.batch import refuse_precious
from linewright.line.scheduled.staging import Stage, StagedRun
from linewright.line.scheduled.task_state import described
from linewright.line.spec import FileDestination, PredictSpec, TableDestination
from linewright.store.files.disk import sync_folder
from linewright.text.remote_url import is_remote


def refuse_destination(factory: Factory, line: str, job: PredictSpec, began: str) -> None:
    """Refuse a file that cannot hold answers, before any is made.

    Raises
    ------
    RequestError
        If the factory needs what is there, or no file can be there.
    """
    to = job.to
    if isinstance(to, FileDestination) and not is_remote(to.file):
        path = factory.root / described(to, line, began)
        try:
            _make_folder(path.parent, factory.root.stat().st_mode & 0o777)
        except OSError as error:
            raise _cannot_write(path, error) from error
        for each in (path, Path(_quarantine_of(str(path)))):
            refuse_precious(factory, factory.root, each)


def _make_folder(folder: Path, rights: int) -> None:
    """Make a folder with those above it, all with some rights: those of the worker are for state."""
    if not folder.exists():
        _make_folder(folder.parent, rights)
        folder.mkdir(exist_ok=True)
        folder.chmod(rights)


def write_answers(
    factory: Factory, line: str, stage: Stage, job: PredictSpec, where: str, *, is_again: bool
) -> str:
    """Write the answers that are ready, and return their destination.

    Parameters
    ----------
    where
        Place of the destination in the line file, for messages.
    is_again
        Whether they may have been written before; they are there once then too.

    Raises
    ------
    SpecError, RequestError
        If they cannot be written there.
    Transient
        If a server is not there, is slow or breaks off.
    """
    run, to = stage.run(), job.to
    name = described(to, line, run.began)
    if isinstance(to, TableDestination):
        _to_table(factory, stage, run, to, where, is_again=is_again)
    elif is_remote(to.file):
        _to_bucket(factory, stage, name, to.at, where)
    else:
        _to_file(stage, factory.root / name)
    return name


def _to_table(
    factory: Factory, stage: Stage, run: StagedRun, to: TableDestination, where: str, *, is_again: bool
) -> None:
    if run.rows:
        first = next(stage.parts())
        columns: dict[str, Kind] = {name: kind_of(dtype) for name, dtype in first.schema.items()}
        writer, write = open_table(to.table, to.at, factory.root, where=where, columns=columns, run=run.run)
        writer.add_rows(write, stage.parts(), is_again=is_again)
    broken = stage.ready_broken
    if broken is not None:
        shutil.copyfile(broken, stage.folder / broken.name)


def _to_bucket(factory: Factory, stage: Stage, url: str, at: str | None, where: str) -> None:
    if stage.ready_broken is not None:
        put_file(stage.ready_broken, _quarantine_of(url), at, factory.root, where)
    file = stage.ready_answers
    if url.endswith(".csv"):
        file = stage.ready / "answers.csv"
        with file.open("wb") as csv:
            _write_csv(stage, csv)
    put_file(file, url, at, factory.root, where)


def _to_file(stage: Stage, path: Path) -> None:
    quarantine = Path(_quarantine_of(str(path)))
    try:
        broken = stage.ready_broken
        if broken is not None:
            _replace(quarantine, lambda file: _copy(broken, file))
        _replace(
            path,
            lambda file: (
                _write_csv(stage, file) if path.suffix == ".csv" else _copy(stage.ready_answers, file)
            ),
        )
        if broken is None:
            quarantine.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a draft of a file, which takes its name when it is whole; what a kill leaves is written over by the next one."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        # The rights of the worker are for state; who reads the folder may read what is written there.
        rights = (path if path.exists() else path.parent).stat().st_mode & 0o666
        with draft.open("wb") as file:
            draft.chmod(rights)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def _copy(of: Path, to: BinaryIO) -> None:
    with of.open("rb") as file:
        shutil.copyfileobj(file, to, 1 << 20)


def _write_csv(stage: Stage, file: BinaryIO) -> None:
    is_first = True
    for part in stage.parts():
        part.write_csv(file, include_header=is_first)
        is_first = False
    if is_first:
        pl.read_parquet(stage.ready_answers).write_csv(file)


def _quarantine_of(name: str) -> str:
    return f"{name.rpartition('.')[0]}.quarantine.csv"


def _cannot_write(path: Path, error: OSError) -> RequestError:
    return RequestError(f"cannot write the answers: {error.strerror or error}", where=str(path))
