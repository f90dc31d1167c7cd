"""Predictions that are made again and again: each run answers the rows of a source, logs the answers and writes them, each once."""

import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import numpy as np
import polars as pl

from linewright.capabilities.schedules.destinations import refuse_destination, refuse_second, write_answers
from linewright.capabilities.schedules.new_rows import NewRows, SeenRows
from linewright.capabilities.schedules.undelivered import (
    Undelivered,
    UndeliveredLog,
    UndeliveredRun,
    held_undelivered,
)
from linewright.data.history.read import read_current_rows
from linewright.data.ingest import folders_of
from linewright.data.read.file.paths import files_of
from linewright.data.read.reader import read_live
from linewright.data.read.source import Source, open_source
from linewright.data.spec import FileSource, FilesSource, SourceSpec, SqlSource
from linewright.data.write.table import RUN
from linewright.errors import LinewrightError, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.file.read import placed
from linewright.line.predict.batch import Done, Outputs, answer_rows, find_champion, load_model, refuse_halted
from linewright.line.predict.input_file import Handed
from linewright.line.predict.output_file import AnswersFile
from linewright.line.record.data.source_histories import history_store
from linewright.line.record.monitoring.deleted_rows import tend_deleted
from linewright.line.spec import LineSpec, PredictSpec
from linewright.serve.http.predict import Loaded
from linewright.serve.log.writer import PredictionLog
from linewright.store.files.stamps import stamp_at
from linewright.text.numbers import count

AT, MODEL = "at", "model"
"""Column that says which model predicted for a row."""


class Predictions(NamedTuple):
    """What became of predictions."""

    made: PredictionsMade
    reasons: tuple[str, ...]
    """Places and reasons of the first rows that break the contract."""


def predict_job(factory: Factory, line: str, job: str, *, everything: bool = False) -> Predictions:
    """Make the predictions that a line file calls by a name.

    A run that was interrupted after its answers were made is finished instead: they are logged, written and recorded, each
    once. An interruption before that leaves nothing.
    """
    spec = factory.line(line)
    if job not in spec.predict:
        raise RequestError(
            "the line file has no such predictions",
            where=f"{spec.line}: predict",
            found=job,
            allowed=", ".join(spec.predict) or "none",
            hint="add them: predict: {NAME: {rows: SOURCE, to: {file: answers.parquet}, when: [{every: 1d}]}}",
        )
    asked = spec.predict[job]
    with held_undelivered(factory, spec.line, job) as undelivered, _placed(factory, spec.line):
        refuse_halted(factory, spec.line)  # also what was made before: nobody wants it of this model now
        refuse_second(factory, spec, job)
        is_again = undelivered.is_ready
        if is_again and undelivered.run().run in {one.run for one in runs_before(factory, spec.line, job)}:
            undelivered.clear(undelivered.run().run)
            is_again = False
        if not is_again:
            _make(factory, spec, job, asked, undelivered, everything=everything)
        return _write(factory, spec.line, job, asked, undelivered, is_again=is_again)


def runs_before(factory: Factory, line: str, job: str) -> list[PredictionsMade]:
    """Return how the predictions of a name went so far, newest first."""
    events = factory.metadata.events(PredictionsMade, line=line, newest_first=True)
    return [one for one in events if one.job == job]


@contextmanager
def _placed(factory: Factory, line: str) -> Generator[None]:
    try:
        yield
    except LinewrightError as error:
        raise placed(error, factory.path_of(line), line) from error


# Making


def _make(
    factory: Factory,
    spec: LineSpec,
    job: str,
    asked: PredictSpec,
    undelivered: Undelivered,
    *,
    everything: bool,
) -> None:
    began, run = factory.now(), factory.context.new_id()
    version, generation = find_champion(factory, spec.line)
    refuse_destination(factory, spec.line, asked, began)
    loaded = load_model(factory, version, generation)
    before = None if everything or not asked.new else _seen_before(factory, spec.line, job, undelivered)
    name, of = _source_of(spec, job, asked)
    done = Done()
    undelivered.begin()
    with _named_as_written(name, job, asked), _ended_as_interrupted(), ExitStack() as files:
        files.enter_context(_unchanged(name, of, factory.root))
        source = _without_stamps(_open(factory, name, of), of, loaded)
        tend_deleted(factory, spec)
        if asked.new:
            known = (before or SeenRows.none()).predicted
            source = NewRows.of(source, known, are_files=isinstance(of, FilesSource))
        answers = files.enter_context(AnswersFile(undelivered.answers))
        columns = {AT: datetime.fromisoformat(began), MODEL: f"{spec.line}@{version.version}", RUN: run}
        to = Outputs(
            log=files.enter_context(UndeliveredLog(undelivered.draft)),
            answers=lambda table: answers.write(_with_columns(table, columns)),
            quarantine=lambda: files.enter_context(AnswersFile(undelivered.broken)),
        )
        homes = folders_of(spec.model_copy(update={"sources": {name: of}}), factory.root)
        file = factory.root / of.file if isinstance(of, FileSource) and not of.is_live else Path(name)
        handed = Handed(file if file.is_file() else Path(name), source)
        rows = answer_rows(factory, loaded, handed, to, homes=homes, done=done, may_be_none=asked.new)
        seen = source.seen(list(rows.places.lines)) if isinstance(source, NewRows) else None
    old = before or SeenRows.none()
    undelivered.finish(
        UndeliveredRun(
            run=run,
            began=began,
            model=version.version,
            digest=version.digest,
            rows=done.rows,
            quarantined=rows.broken,
            only_new=before is not None,
            is_news=done.rows > 0 or seen is None or not np.array_equal(seen.broken, old.broken),
            reasons=tuple(done.reasons),
        ),
        seen,
    )


@contextmanager
def _unchanged(name: str, of: SourceSpec, root: Path) -> Generator[None]:
    """Refuse what was read of files that others wrote to meanwhile; new files are read the next time."""
    paths = (
        files_of(of.file, root, f"sources.{name}.file")
        if isinstance(of, FileSource) and not of.is_live
        else ()
    )
    before = [stamp_at(str(path)) for path in paths]
    yield
    changed = [str(path) for path, stamp in zip(paths, before, strict=True) if stamp_at(str(path)) != stamp]
    if changed:
        raise Transient(
            "a file has changed while it was read; nothing is predicted",
            where=f"sources.{name}.file",
            found=changed[0],
            hint="it is tried again; have files written under another name, and renamed when they are whole",
        )


@contextmanager
def _ended_as_interrupted() -> Generator[None]:
    """Take a polite kill as Ctrl-C, so that drafts are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _source_of(spec: LineSpec, job: str, asked: PredictSpec) -> tuple[str, SourceSpec]:
    """Return the source of the rows, and what messages call it."""
    return (asked.rows, spec.sources[asked.rows]) if isinstance(asked.rows, str) else (job, asked.rows)


@contextmanager
def _named_as_written(name: str, job: str, asked: PredictSpec) -> Generator[None]:
    """Have errors about another source than those of the line name its place in the line file."""
    try:
        yield
    except LinewrightError as error:
        if asked.source is not None:
            error.where = error.where.replace(f"sources.{name}", f"predict.{job}.rows", 1)
        raise


def _open(factory: Factory, name: str, of: SourceSpec) -> Source:
    if of.has_history:
        source = cast("SqlSource", of)
        return read_current_rows(name, source, factory.root, history_store(factory), factory.now())[0]
    return read_live(name, of, factory.root)[0] if of.is_live else open_source(name, of, factory.root)


def _without_stamps(source: Source, of: SourceSpec, loaded: Loaded) -> Source:
    """Return a source without the columns by which it is read and which the model does not know: nobody can take them out."""
    known = {column.name for column in loaded.package.columns}
    columns = tuple(name for name in source.columns if name in known or name not in of.stamps)
    return replace(source, columns=columns)


def _seen_before(factory: Factory, line: str, job: str, undelivered: Undelivered) -> SeenRows | None:
    """Return the rows that the source had the last time; `None` before the first."""
    last = next(iter(runs_before(factory, line, job)), None)
    if last is None or not last.noted:
        return None
    seen = undelivered.seen(last.run)
    if seen is None:
        raise RequestError(
            "which rows the source had the last time is not known",
            where=f"{line}: predict.{job}.new",
            found=str(undelivered.folder.relative_to(factory.root)),
            hint=f"predict for all rows once: linewright predict-job {line} {job} --all",
        )
    return seen


def _with_columns(table: pl.DataFrame, columns: Mapping[str, str | datetime]) -> pl.DataFrame:
    """Return answers with these columns behind them; a key of the same name stands as ``key_NAME``."""
    table = table.rename({name: f"key_{name}" for name in columns if name in table.columns})
    return table.with_columns(pl.lit(value).alias(name) for name, value in columns.items())


# Writing


def _write(
    factory: Factory, line: str, job: str, asked: PredictSpec, undelivered: Undelivered, *, is_again: bool
) -> Predictions:
    run = undelivered.run()
    _log(factory, line, undelivered, is_again=is_again)
    to = ""
    if run.is_news or not run.only_new:
        to = write_answers(factory, line, undelivered, asked, f"predict.{job}.to", is_again=is_again)
    undelivered.keep_seen(run.run)
    made = PredictionsMade(
        at=factory.now(),
        by=factory.context.actor,
        because=_in_words(run, to),
        line=line,
        job=job,
        run=run.run,
        began=run.began,
        model=run.model,
        digest=run.digest,
        rows=run.rows,
        quarantined=run.quarantined,
        to=to,
        only_new=run.only_new,
        noted=undelivered.seen(run.run) is not None,
    )
    factory.metadata.record(made)
    undelivered.clear(run.run)
    return Predictions(made, run.reasons)


def _log(factory: Factory, line: str, undelivered: Undelivered, *, is_again: bool) -> None:
    """Log the answers that are ready, those that the log does not have yet."""
    labels = factory.labels_of(line)
    if is_again:
        labels.catch_up()  # the index says what was logged before a kill
    with closing(PredictionLog(factory.log_of(line))) as log:
        for records in undelivered.records():
            if is_again and labels.has(records.first):
                continue
            is_again = False  # they are logged in order
            log.append_request(msgspec.structs.replace(records, at=factory.now()))


def _in_words(run: UndeliveredRun, to: str) -> str:
    rows = count(run.rows, "new row" if run.only_new else "row")
    broken = f"; {count(run.quarantined, 'row')} broke the contract" if run.quarantined else ""
    return f"{rows} predicted{f', to {to}' if to else ''}{broken}"
