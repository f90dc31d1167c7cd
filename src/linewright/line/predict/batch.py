"""Batch scoring: the answers for a file, from the package that serves, by the code that serves it."""

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.data.kept_files import broken_files, keep_files
from linewright.data.read.file.paths import is_one_of, real
from linewright.engine.context import Context, Progress
from linewright.errors import RequestError, Transient
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.file.view_file import FOLDER
from linewright.line.predict.broken_rows import Places
from linewright.line.predict.input_file import Handed, HandedPictures, open_handed
from linewright.line.predict.output_file import AnswersFile, to_table
from linewright.line.predict.request_rows import MOST_NAMED, Asked, AskedPart, look_through
from linewright.line.predict.rows_by_series import (
    HandedSeries,
    series_known,
    to_columns_of_answers,
    with_known,
    with_sums,
)
from linewright.line.predict.sql_columns import with_made
from linewright.line.predict.view_columns import with_views
from linewright.line.record.registry import find_model
from linewright.line.views.sources import files_read
from linewright.model.explanation_text import cannot_be_explained
from linewright.model.facts import Package, RequestColumn
from linewright.model.package.model import load
from linewright.model.pictures import check_picture
from linewright.release.facts import Arm
from linewright.release.promotion import limits_of
from linewright.serve.facts import Predictions
from linewright.serve.http.predict import Loaded
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.body.scalars import spell_all
from linewright.serve.rows.lookup.known_series import with_ages
from linewright.serve.rows.scorer import Scorer
from linewright.store.protocols import Artifacts, Version

SHOWN = 3
CHUNK = 10_000
"""Rows that are answered and written at one time."""
_LOGGED_TOGETHER, _LOGGED_BYTES = 1_000, 8 * 2**20
"""Rows of one frame of the log, at most, and their bytes: who looks for one of them reads all."""


def predict_file(
    factory: Factory,
    line: str,
    file: Path,
    out: Path | None,
    *,
    explain: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Answer the rows of a file with the champion of a line, in the order of the file.

    The file is read twice, some rows at a time: to see which can be asked about, and to answer them. Each answer is
    logged (``via`` batch) before the output appears, so that the truth can be handed in by key or by the ``id`` column of
    the output. The output appears when it is whole. Rows that break the contract are written beside it, to
    ``OUT.quarantine.csv`` (the name of `out` without its ending), each with its place and the reason; where there are none,
    such a file of an earlier call is removed. Memory grows with the number of these rows only.
    """
    version, generation = find_champion(factory, line)
    out = out or file.with_name(f"{file.stem}.{line}.csv")
    beside = out.with_name(f"{out.stem}.quarantine.csv")
    refuse_precious(factory, file, out)
    if not strict:
        refuse_precious(factory, file, beside)
    done = Done()
    with _told_of_interruption(factory, done, out), ExitStack() as files:
        answers = files.enter_context(AnswersFile(out))
        refuse_halted(factory, version.line)
        loaded = load_model(factory, version, generation)
        log = files.enter_context(closing(PredictionLog(factory.state / "log" / loaded.line)))
        handed = open_handed(factory, version.line, file, like=source_of(loaded.package))
        to = Outputs(
            log=log, answers=answers.write, quarantine=lambda: files.enter_context(AnswersFile(beside))
        )
        homes = [file if file.is_dir() else file.parent]
        asked = answer_rows(
            factory, loaded, handed, to, homes=homes, done=done, explain=explain, strict=strict
        )
    if not asked.broken and not strict:
        beside.unlink(missing_ok=True)
    return {
        "line": version.line,
        "model": f"{version.line}@{version.version}",
        "digest": version.digest,
        "rows": done.rows,
        "out": str(out),
        "first": done.first,
        "warned": done.warned,
        "warnings": _doubts(asked, done),
        "quarantined": asked.broken,
        "quarantine": str(beside) if asked.broken else "",
        "reasons": tuple(f"{file}: {reason}" for reason in done.reasons),
        "is_cut": asked.is_cut,
        "note": asked.handed.note,
    }


class Log(Protocol):
    """What takes the records of answers."""

    def append_request(self, records: Predictions) -> object:
        """Write the records of many rows, all or none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Takes answers."""

    log: Log
    answers: Callable[[pl.DataFrame], None]
    """Takes answers, some rows at a time, after they are logged."""
    quarantine: Callable[[], AnswersFile]
    """Opens what takes rows that break the contract; called once, if there are some."""


def answer_rows(
    factory: Factory,
    loaded: Loaded,
    handed: Handed,
    to: Outputs,
    *,
    homes: Sequence[Path],
    done: "Done",
    explain: bool = False,
    strict: bool = False,
    may_be_none: bool = False,
) -> Asked:
    """Answer rows with a model, in their order; see `predict_file`."""
    known = _with_known(factory, handed, loaded)
    rows = _with_columns(factory, handed, loaded) if known is None else known
    pictures = [one for one in loaded.package.columns if one.type == "file" and one.role == "feature"]
    if pictures:
        rows = _with_pictures(rows, pictures, homes, factory.artifacts)
    asked = look_through(rows, loaded.package, strict=strict, may_be_none=may_be_none)
    # Entered last, so that it is there before the answers are.
    quarantine = to.quarantine() if asked.broken else None
    for part in asked.parts():
        if part.broken is not None and quarantine is not None:
            done.add_broken(part.broken)
            quarantine.write(part.broken)
        frame = part.frame
        if pictures:
            frame = keep_files(frame, pictures, homes, factory.artifacts)
        for start in range(0, frame.height, CHUNK):
            some = AskedPart(frame[start : start + CHUNK], part.rows[start : start + CHUNK], None)
            to.answers(
                _answer(
                    factory.context,
                    loaded,
                    to.log,
                    some,
                    known,
                    places=asked.places,
                    done=done,
                    explain=explain,
                )
            )
            if asked.rows > CHUNK:
                factory.report(Progress(step="predict", says="answered", done=done.rows, of=asked.rows))
    if not asked.rows:
        frame = next(asked.parts()).frame
        to.answers(to_table(frame, key=loaded.package.key, entities=_entities(loaded.package)))
    return asked


@dataclass
class Done:
    """How far it has come: all that is kept of the answers."""

    rows: int = 0
    first: tuple[dict[str, Any], ...] = ()
    """The first rows that were written."""
    warned: int = 0
    doubts: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """Of the first rows that have some."""
    reasons: list[str] = field(default_factory=list[str])
    """Place and reason of the first rows that break the contract."""

    def add(self, table: pl.DataFrame, warnings: dict[int, list[str]], rows: NDArray[np.int64]) -> None:
        """Count what was answered."""
        self.first = self.first or tuple(table.head(SHOWN).rows(named=True))
        for row, texts in list(warnings.items())[: SHOWN - len(self.doubts)]:
            self.doubts[int(rows[row])] = texts
        self.warned += len(warnings)
        self.rows += table.height

    def add_broken(self, table: pl.DataFrame) -> None:
        """Remember the first rows that break the contract; `table` is as `broken_rows.to_table` made it."""
        for line, row, reason, *_ in table.head(MOST_NAMED - len(self.reasons)).iter_rows():
            self.reasons.append(f"{f'row {row}' if line is None else f'line {line}'}: {reason}")


def _doubts(asked: Asked, done: Done) -> tuple[str, ...]:
    places = asked.handed.places(list(done.doubts)) if done.doubts else []
    return tuple(
        f"{asked.handed.file}: {place}: {text}"
        for place, texts in zip(places, done.doubts.values(), strict=True)
        for text in texts
    )


@contextmanager
def _told_of_interruption(factory: Factory, done: Done, out: Path) -> Generator[None]:
    """Say what is left of it where a person or the system ends it; a polite kill is taken as Ctrl-C is."""
    with _terminated_as_interrupted():
        try:
            yield
        except KeyboardInterrupt:
            says = f"interrupted: {done.rows:,} rows were answered and logged, and {out} was not written"
            factory.report(Progress(step="predict", says=says, stays=True))
            raise


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_halted(factory: Factory, line: str) -> None:
    """Refuse to answer for a line that a person halted."""
    if factory.is_halted(line):
        raise Transient(
            "a person halted this line; it does not answer",
            where=line,
            hint=f"`linewright halt {line} --off` lets it answer again",
        )


def _entities(package: Package) -> list[str]:
    """Return the columns by which the model's feature views find whom a row is about, each once."""
    return list(dict.fromkeys(name for view in package.views for name in view.entity))


def source_of(package: Package) -> str:
    """Return the source that rows of a file are of; empty where it is the line's only one."""
    return package.row_sql.source if package.row_sql else ""


def find_champion(factory: Factory, line: str) -> tuple[Version, int]:
    """Return the model that serves, and the generation in which it does: both of one moment."""
    pointer = factory.metadata.pointer(line)
    name = line if pointer.champion is None else f"{line}@{pointer.champion}"
    return find_model(factory, name), pointer.generation


def load_model(factory: Factory, version: Version, generation: int) -> Loaded:
    """Return a model, ready to answer."""
    limits = limits_of(factory.metadata, version.line, version.version)
    scorer = Scorer(load(version.digest, factory.artifacts.get), limits)
    scorer.check_golden(factory.artifacts.get)
    return Loaded(version.line, generation, Arm(model=version.version, package=version.digest), scorer)


def _with_known(factory: Factory, handed: Handed, loaded: Loaded) -> HandedSeries | None:
    """Return the rows of a file with what is known of their series; `None` if the model reads no series."""
    if loaded.package.encoder.window is None:
        return None
    return with_known(handed, loaded.package, series_known(factory, loaded.line), now=factory.now())


def _with_columns(factory: Factory, handed: Handed, loaded: Loaded) -> Handed:
    """Return the rows of a file with what follows from them alone, then with what feature views know."""
    return with_views(factory, loaded.line, with_made(handed, loaded.scorer), loaded.package)


def _with_pictures(
    handed: Handed, pictures: Sequence[RequestColumn], homes: Sequence[Path], artifacts: Artifacts
) -> Handed:
    def find_broken(frame: pl.DataFrame) -> dict[int, RequestError]:
        there = [one for one in pictures if one.name in frame.columns]
        return broken_files(frame, there, homes, artifacts, check_picture)

    return HandedPictures(handed.file, handed.source, handed.note, inner=handed, find_broken=find_broken)


def refuse_precious(factory: Factory, file: Path, out: Path) -> None:
    """Refuse to write answers over the rows that were asked, a source, or the factory's own files."""
    target = real(out)
    sources = [written for name in factory.names() for written in _source_files(factory, name)]
    is_source = any(is_one_of(target, written, factory.root) for written in sources)
    own = [factory.root / "lines", factory.root / FOLDER, factory.state, factory.root / FACTORY_FILE]
    passing = [real(factory.client_files), real(factory.scratch)]
    is_own = any(map(target.is_relative_to, own)) and not any(map(target.is_relative_to, passing))
    if is_source or target == real(file) or is_own:
        raise RequestError(
            "answers would overwrite what the factory needs",
            where=str(out),
            hint="name another file with --out",
        )
    if target.suffix not in (".csv", ".parquet"):
        raise RequestError(
            "answers are CSV or Parquet", where=str(out), found=target.suffix, allowed=".csv or .parquet"
        )
    if not target.parent.is_dir():
        raise RequestError("there is no such folder", where=str(target.parent))
    if target.is_dir():
        raise RequestError("this is a folder", where=str(out), hint="name a file with --out")


def _source_files(factory: Factory, line: str) -> list[str]:
    """Return what a line reads, as it is written; nothing where its own file is broken, no fault of other lines."""
    try:
        return list(files_read(factory, factory.line(line)))
    except RequestError:
        return []


def _answer(
    context: Context,
    loaded: Loaded,
    log: Log,
    part: AskedPart,
    known: HandedSeries | None,
    *,
    places: Places,
    done: Done,
    explain: bool,
) -> pl.DataFrame:
    """Answer and log rows; return them as rows of the file of answers."""
    package, scorer, frame = loaded.package, loaded.scorer, part.frame
    x = scorer.encode(to_columns(frame, package.encoder.columns))
    rows, answers = json_rows(frame, package.encoder.lists), scorer.answers(x)
    if explain and package.encoder.items:
        raise cannot_be_explained("lists-items", model=f"{loaded.line}@{loaded.arm.model}", line=loaded.line)
    numbers: list[int] = part.rows.tolist()
    if known is not None:
        answers = with_sums(known, scorer, numbers, answers)
    # A request has a limit of rows to explain; a file is explained part by part.
    parts = range(0, len(x), scorer.model.most_explained) if explain else ()
    name = f"{loaded.line}@{loaded.arm.model}"
    explained = [
        one
        for start in parts
        for one in scorer.explain(x[start : start + scorer.model.most_explained], name=name)
    ]
    ids: list[str] = []
    for records in _records(context, loaded, rows, answers):
        log.append_request(records)
        ids += ids_from(records.first, records.many)
    warnings = scorer.warnings(x, rows)
    if known is not None:
        newest = {n: known.newest[row] for n, row in enumerate(numbers) if row in known.newest}
        warnings = with_ages(warnings, newest)
        answers = to_columns_of_answers(known, numbers, answers)
    table = to_table(
        frame,
        key=package.key,
        entities=_entities(package),
        numbers=[places.number(row) for row in numbers],
        ids=ids,
        answers=[one | why for one, why in zip(answers, explained, strict=True)] if explained else answers,
        warnings=warnings,
    )
    done.add(table, warnings, part.rows)
    return table


def _records(
    context: Context, loaded: Loaded, rows: list[dict[str, Any]], answers: list[dict[str, Any]]
) -> Iterator[Predictions]:
    """Return what the log is to have of rows, some together: each part as a request of these rows would be logged."""
    package, at = loaded.package, context.now()
    texts = [msgspec.json.encode(row) for row in rows]
    for start, end in pairwise(_edges(list(map(len, texts)))):
        part = rows[start:end]
        yield Predictions(
            many=len(part),
            first=first_of_many(context.new_id()),
            line=loaded.line,
            generation=loaded.generation,
            model=loaded.arm.model,
            digest=loaded.arm.package,
            at=at,
            keys=spell_all([row.get(package.key) for row in part]) if package.key else None,
            request=msgspec.Raw(b'{"rows":[' + b",".join(texts[start:end]) + b"]}"),
            answers=answers[start:end],
            threshold=package.threshold,
            via="batch",
        )


def _edges(sizes: Sequence[int]) -> list[int]:
    """Return where parts of rows of these sizes begin and end: of 1,000 rows, fewer where they are long.

    Examples
    --------
    >>> _edges([2**20] * 20), _edges([100] * 2_500)
    ([0, 8, 16, 20], [0, 1000, 2000, 2500])
    """
    edges, held = [0], 0
    for row, size in enumerate(sizes):
        if row - edges[-1] == _LOGGED_TOGETHER or (held + size > _LOGGED_BYTES and row > edges[-1]):
            edges.append(row)
            held = 0
        held += size
    return [*edges, len(sizes)]


def json_rows(frame: pl.DataFrame, lists: Sequence[str] = ()) -> list[dict[str, object]]:
    """Return rows as JSON values: dates and times as ISO 8601, and columns of `lists` as such."""
    rows = [msgspec.to_builtins(row) for row in frame.iter_rows(named=True)]
    for name in lists:
        for row in rows:
            row[name] = None if row[name] is None else msgspec.json.decode(row[name])
    return rows
