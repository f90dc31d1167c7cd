"""Destinations of answers: a file, an object of a bucket, or a table; all of one run or none."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import polars as pl

from linewright.capabilities.schedules.undelivered import Undelivered
from linewright.data.read.sql.column_types import Kind
from linewright.data.write.bucket import put_file
from linewright.data.write.table import kind_of, open_table
from linewright.errors import RequestError
from linewright.line.check.destinations import described, of_equal_place, shared_place
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.predict.batch import refuse_precious
from linewright.line.spec import FileDestination, LineSpec, PredictSpec, TableDestination
from linewright.store.files.disk import sync_folder
from linewright.text.remote_url import is_remote


def refuse_destination(factory: Factory, line: str, job: PredictSpec, began: str) -> None:
    """Refuse a file that cannot hold answers, before any is made."""
    to = job.to
    if isinstance(to, FileDestination) and not is_remote(to.file):
        path = factory.root / described(to, line, began)
        try:
            _make_folder(path.parent, factory.root.stat().st_mode & 0o777)
        except OSError as error:
            raise _cannot_write(path, error) from error
        for each in (path, Path(quarantine_of(str(path)))):
            refuse_precious(factory, factory.root, each)


def refuse_second(factory: Factory, spec: LineSpec, name: str) -> None:
    """Refuse to predict if other predictions wrote to the same destination first; if none wrote yet, the first by name may."""

    def rank(line: str, job: str, of: PredictSpec) -> tuple[str, str, str]:
        made = factory.metadata.events(PredictionsMade, line=line)
        began = (one.began for one in made if one.job == job and one.to == described(of.to, line, one.began))
        return next(iter(began), "never"), line, job

    mine = rank(spec.line, name, spec.predict[name])
    for line, job, of in of_equal_place(factory, spec, name, spec.predict[name]):
        if rank(line, job, of) < mine:
            raise shared_place(spec, name, f"{line}: predict.{job}")


def _make_folder(folder: Path, rights: int) -> None:
    """Make a folder with those above it, all with some rights: those of the worker are for state."""
    if not folder.exists():
        _make_folder(folder.parent, rights)
        folder.mkdir(exist_ok=True)
        folder.chmod(rights)


def write_answers(
    factory: Factory, line: str, undelivered: Undelivered, job: PredictSpec, where: str, *, is_again: bool
) -> str:
    """Write the answers that are ready, and return their destination; empty if only rows that broke the contract were written."""
    run, to = undelivered.run(), job.to
    name = described(to, line, run.began)
    if isinstance(to, TableDestination):
        if run.rows:
            first = next(undelivered.parts())
            columns: dict[str, Kind] = {name: kind_of(dtype) for name, dtype in first.schema.items()}
            writer, write = open_table(
                to.table, to.at, factory.root, where=where, columns=columns, run=run.run
            )
            writer.add_rows(write, undelivered.parts(), is_again=is_again)
        place, broken = undelivered.quarantine, undelivered.ready_broken
        if broken is None:
            place.unlink(missing_ok=True)
        else:
            replace_file(place, lambda file: _copy(broken, file))
    elif is_remote(to.file):
        _to_bucket(factory, undelivered, name, to.at, where)
    else:
        _to_file(undelivered, factory.root / name)
    return "" if run.has_no_answers else name


def _to_bucket(factory: Factory, undelivered: Undelivered, url: str, at: str | None, where: str) -> None:
    if undelivered.ready_broken is not None:
        put_file(undelivered.ready_broken, quarantine_of(url), at, factory.root, where)
    if undelivered.run().has_no_answers:
        return
    file = undelivered.ready_answers
    if url.endswith(".csv"):
        file = undelivered.ready / "answers.csv"
        with file.open("wb") as csv:
            _write_csv(undelivered, csv)
    put_file(file, url, at, factory.root, where)


def _to_file(undelivered: Undelivered, path: Path) -> None:
    quarantine = Path(quarantine_of(str(path)))
    try:
        broken = undelivered.ready_broken
        if broken is not None:
            replace_file(quarantine, lambda file: _copy(broken, file))
        if not undelivered.run().has_no_answers:
            replace_file(path, lambda file: _write(undelivered, path, file))
        if broken is None:
            quarantine.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write(undelivered: Undelivered, path: Path, file: BinaryIO) -> None:
    if path.suffix == ".csv":
        _write_csv(undelivered, file)
    else:
        _copy(undelivered.ready_answers, file)


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
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


def _write_csv(undelivered: Undelivered, file: BinaryIO) -> None:
    is_first = True
    for part in undelivered.parts():
        part.write_csv(file, include_header=is_first)
        is_first = False
    if is_first:
        pl.read_parquet(undelivered.ready_answers).write_csv(file)


def quarantine_of(name: str) -> str:
    """Return the file of rows that broke the contract, next to one of answers."""
    return f"{name.rpartition('.')[0]}.quarantine.csv"


def _cannot_write(path: Path, error: OSError) -> RequestError:
    return RequestError(f"cannot write the answers: {error.strerror or error}", where=str(path))
