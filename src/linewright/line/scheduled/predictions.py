"""Predictions that are made again and again: each run answers the rows of a source, logs the answers and writes them, each once."""

import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import polars as pl
from msgspec.structs import replace

from linewright.data.history.read import read_current_rows
from linewright.data.ingest import folders_of
from linewright.data.read.reader import read_live
from linewright.data.read.source import Source, open_source
from linewright.data.spec import FileSource, SourceSpec, SqlSource
from linewright.data.write.table import RUN
from linewright.errors import LinewrightError, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.file.read import placed
from linewright.line.predict.batch import Done, Outputs, answer_rows, load_model, refuse_halted
from linewright.line.predict.input_file import Handed
from linewright.line.predict.output_file import AnswersFile
from linewright.line.record.data.source_histories import history_store
from linewright.line.record.registry import find_model
from linewright.line.scheduled.destinations import refuse_destination, write_answers
from linewright.line.scheduled.new_rows import NewRows, digests_of
from linewright.line.scheduled.staging import Stage, StagedLog, StagedRun, staged
from linewright.line.spec import LineSpec, PredictSpec
from linewright.serve.log.writer import PredictionLog
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

    Parameters
    ----------
    everything
        Whether all rows count though the line file asks for new ones.

    Raises
    ------
    NotFound
        If nothing serves.
    RequestError, SpecError
        If the line has no such predictions, the rows cannot be read or predicted for, or the answers not be written.
    Transient
        If a person halted the line, the same predictions are being made, or a server does not answer.
    """
    spec = factory.line(line)
    asked = _job(spec, job)
    with staged(factory, spec.line, job) as stage, _placed(factory, spec.line):
        is_again = stage.is_ready
        if is_again and stage.run().run in {one.run for one in runs_before(factory, spec.line, job)}:
            stage.clear(stage.run().run)
            is_again = False
        if not is_again:
            _make(factory, spec, job, asked, stage, everything=everything)
        return _write(factory, spec.line, job, asked, stage, is_again=is_again)


def runs_before(factory: Factory, line: str, job: str) -> list[PredictionsMade]:
    """Return how the predictions of a name went so far, newest first."""
    events = factory.metadata.events(PredictionsMade, line=line, newest_first=True)
    return [one for one in events if one.job == job]


def _job(spec: LineSpec, job: str) -> PredictSpec:
    if job not in spec.predict:
        raise RequestError(
            "the line file has no such predictions",
            where=f"{spec.line}: predict",
            found=job,
            allowed=", ".join(spec.predict) or "none",
            hint="add them: predict: {NAME: {rows: SOURCE, to: {file: answers.parquet}, when: [{every: 1d}]}}",
        )
    return spec.predict[job]


@contextmanager
def _placed(factory: Factory, line: str) -> Generator[None]:
    try:
        yield
    except LinewrightError as error:
        raise placed(error, factory.path_of(line), line) from error


# Making


def _make(
    factory: Factory, spec: LineSpec, job: str, asked: PredictSpec, stage: Stage, *, everything: bool
) -> None:
    began, run = factory.now(), factory.context.new_id()
    version = find_model(factory, spec.line)
    refuse_halted(factory, spec.line)
    refuse_destination(factory, spec.line, asked, began)
    loaded = load_model(factory, version)
    name, of = _source_of(spec, job, asked)
    with _named_as_written(name, job, asked):
        source = _open(factory, name, of)
        seen = digests_of(source) if asked.new else None
        before = None if everything or seen is None else _seen_before(factory, spec.line, job, stage)
        if before is not None:
            source = NewRows.of(source, before)
    file = factory.root / of.file if isinstance(of, FileSource) and not of.is_live else Path(name)
    done = Done()
    stage.begin()
    with _ended_as_interrupted(), ExitStack() as files:
        answers = files.enter_context(AnswersFile(stage.answers))
        columns = {AT: datetime.fromisoformat(began), MODEL: f"{spec.line}@{version.version}", RUN: run}
        to = Outputs(
            log=files.enter_context(StagedLog(stage.draft)),
            answers=lambda table: answers.write(_with_columns(table, columns)),
            quarantine=lambda: files.enter_context(AnswersFile(stage.broken)),
        )
        homes = folders_of(spec.model_copy(update={"sources": {name: of}}), factory.root)
        rows = answer_rows(
            factory,
            loaded,
            Handed(file if file.is_file() else Path(name), source),
            to,
            homes=homes,
            done=done,
        )
    stage.finish(
        StagedRun(
            run=run,
            began=began,
            model=version.version,
            digest=version.digest,
            rows=done.rows,
            quarantined=rows.broken,
            only_new=before is not None,
            reasons=tuple(done.reasons),
        ),
        seen,
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


def _seen_before(factory: Factory, line: str, job: str, stage: Stage) -> np.ndarray | None:
    """Return the digests of the rows that the source had the last time; `None` before the first."""
    last = next(iter(runs_before(factory, line, job)), None)
    if last is None or not last.noted:
        return None
    seen = stage.seen(last.run)
    if seen is None:
        raise RequestError(
            "which rows the source had the last time is not known",
            where=f"{line}: predict.{job}.new",
            found=str(stage.folder.relative_to(factory.root)),
            hint=f"a backup does not have it; predict for all rows once: linewright predict-job {line} {job} --all",
        )
    return seen


def _with_columns(table: pl.DataFrame, columns: Mapping[str, str | datetime]) -> pl.DataFrame:
    """Return answers with these columns behind them; a key of the same name stands as ``key_NAME``."""
    table = table.rename({name: f"key_{name}" for name in columns if name in table.columns})
    return table.with_columns(pl.lit(value).alias(name) for name, value in columns.items())


# Writing


def _write(
    factory: Factory, line: str, job: str, asked: PredictSpec, stage: Stage, *, is_again: bool
) -> Predictions:
    run = stage.run()
    _log(factory, line, stage, is_again=is_again)
    to = ""
    if run.rows or not run.only_new:
        to = write_answers(factory, line, stage, asked, f"predict.{job}.to", is_again=is_again)
    stage.keep_seen(run.run)
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
        noted=stage.seen(run.run) is not None,
    )
    factory.metadata.record(made)
    stage.clear(run.run)
    return Predictions(made, run.reasons)


def _log(factory: Factory, line: str, stage: Stage, *, is_again: bool) -> None:
    """Log the answers that are ready, those that the log does not have yet."""
    labels = factory.labels_of(line)
    if is_again:
        labels.catch_up()  # the index says what was logged before a kill
    with closing(PredictionLog(factory.log_of(line))) as log:
        for records in stage.records():
            if is_again and labels.has(records.first):
                continue
            is_again = False  # they are logged in order
            log.append_request(replace(records, at=factory.now()))


def _in_words(run: StagedRun, to: str) -> str:
    rows = count(run.rows, "new row" if run.only_new else "row")
    broken = f"; {count(run.quarantined, 'row')} broke the contract" if run.quarantined else ""
    return f"{rows} predicted{f', to {to}' if to else ''}{broken}"
