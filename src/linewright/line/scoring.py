"""Batch scoring: the answers for a file, from the package that serves, by the code that serves it."""

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from linewright.data.files import is_one_of, real
from linewright.data.spec import FileSource
from linewright.data.types import cast
from linewright.engine.context import Context
from linewright.errors import RequestError, Transient
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.factory_file import FACTORY_FILE
from linewright.line.handed import Handed, read_handed
from linewright.line.mistakes import did_you_mean
from linewright.line.registry import find_model
from linewright.model.facts import Package, RequestColumn
from linewright.model.package import load
from linewright.release.facts import Arm
from linewright.release.pointer import limits_of
from linewright.serve.answer import Answered, Loaded
from linewright.serve.facts import Prediction
from linewright.serve.log import PredictionLog
from linewright.serve.scoring import Scorer
from linewright.serve.values import spell
from linewright.store.seams import Version

SHOWN = 3
MOST_NAMED = 5
CHUNK = 10_000
"""Rows that are answered and logged at one time."""


def predict_file(factory: Factory, line: str, file: Path, out: Path | None) -> dict[str, Any]:
    """Answer every row of a file with the champion of a line, in the order of the file.

    Each answer is logged (``via`` batch) before the output appears, so that the truth can be handed in by key or by
    the ``id`` column of the output.

    Parameters
    ----------
    out
        Where to write the answers; `None` is beside the file, ``FILE.LINE.csv``.

    Returns
    -------
    dict
        The fields of `operations.use.Predicted`.

    Raises
    ------
    RequestError
        If a column is missing or unknown, or a value is not of its type; nothing is written.
    Transient
        If a person halted the line; nothing is written.
    Corrupt
        If the package does not answer its own rows as it did when it was made.
    """
    version = find_model(factory, line)
    out = out or file.with_name(f"{file.stem}.{line}.csv")
    _refuse_precious(factory, file, out)
    _refuse_unwritable(out)
    _refuse_halted(factory, version.line)
    loaded = _load(factory, version)
    handed = read_handed(factory, version.line, file)
    frame = _typed(handed, loaded.package)
    answered = _answers(factory, loaded, frame)
    table = _table(frame, loaded.package, answered)
    _write(table, out)
    return {
        "line": version.line,
        "model": f"{version.line}@{version.version}",
        "digest": version.digest,
        "rows": table.height,
        "out": str(out),
        "first": tuple(table.head(SHOWN).rows(named=True)),
        "warned": len(answered.warnings),
        "warnings": tuple(
            f"{handed.place(row)}: {text}"
            for row, texts in islice(answered.warnings.items(), SHOWN)
            for text in texts
        ),
        "note": handed.note,
    }


def _refuse_halted(factory: Factory, line: str) -> None:
    if factory.metadata.pointer(line).halt:
        raise Transient(
            "a person halted this line; it does not answer",
            where=line,
            hint=f"`linewright halt {line} --off` lets it answer again",
        )


def _load(factory: Factory, version: Version) -> Loaded:
    limits = limits_of(factory.metadata, version.line, version.version)
    scorer = Scorer(load(version.digest, factory.artifacts.get), limits)
    scorer.check_golden(factory.artifacts.get)
    generation = factory.metadata.pointer(version.line).generation
    return Loaded(version.line, generation, Arm(model=version.version, package=version.digest), scorer)


def _refuse_precious(factory: Factory, file: Path, out: Path) -> None:
    """Refuse to write answers over the rows that were asked, a source, or the factory's own files."""
    target = real(out)
    sources = [written for name in factory.names() for written in _source_files(factory, name)]
    is_source = any(is_one_of(target, written, factory.root) for written in sources)
    own = [factory.root / "lines", factory.state, factory.root / FACTORY_FILE]
    if is_source or target == real(file) or any(target.is_relative_to(path) for path in own):
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


def _refuse_unwritable(out: Path) -> None:
    """Try the folder before anything is answered, since each answer is logged before the file appears."""
    try:
        _draft(out).touch()
    except OSError as error:
        raise _cannot_write(out, error) from error
    _draft(out).unlink()


def _source_files(factory: Factory, line: str) -> list[str]:
    """Return what a line reads, as it is written; nothing where its own file is broken, no fault of other lines."""
    try:
        sources = factory.line(line).sources.values()
    except RequestError:
        return []
    return [source.file for source in sources if isinstance(source, FileSource)]


def _typed(handed: Handed, package: Package) -> pl.DataFrame:
    frame = handed.frame
    known = {column.name: column for column in package.columns}
    absent = [name for name in package.encoder.columns if name not in frame.columns]
    _refuse_columns(handed, known, [name for name in absent if not known[name].nullable])
    whole = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
    cast_to = {
        name: cast(whole[name], known[name].type, pattern=known[name].format) for name in whole.columns
    }
    _refuse_cells(
        handed, {known[name]: _bad(whole[name], typed, known[name]) for name, typed in cast_to.items()}
    )
    return whole.with_columns(
        whole[name] if known[name].role == "carried" and _is_lossy(whole[name], typed) else typed
        for name, typed in cast_to.items()
    )


def _refuse_columns(handed: Handed, known: Mapping[str, RequestColumn], missing: list[str]) -> None:
    """Refuse a file with columns that the line does not know, or without some that it needs."""
    unknown = [name for name in handed.frame.columns if name not in known]
    lacks = f"lacks {', '.join(map(repr, missing))}"
    if unknown:
        near = did_you_mean(unknown[0], missing or known)
        raise RequestError(
            "the file has columns that the line does not know" + (f", and {lacks}" if missing else ""),
            where=str(handed.file),
            found=", ".join(unknown),
            allowed=", ".join(known),
            hint=near
            or "take them out of the file; what the line's source has too can be named in table.exclude, "
            "and is known after the next run",
        )
    if missing:
        raise RequestError(
            f"the file {lacks}",
            where=str(handed.file),
            found=", ".join(handed.frame.columns),
            allowed=", ".join(known),
            hint="add what it lacks; the model needs a value in each row",
        )


def _is_lossy(values: pl.Series, typed: pl.Series) -> bool:
    return bool((typed.is_null() & values.is_not_null()).any())


def _bad(values: pl.Series, typed: pl.Series, column: RequestColumn) -> pl.Series:
    """Return which cells of a column the model cannot be asked about; what it only carries may be anything."""
    if column.role == "carried":
        return pl.repeat(False, len(values), eager=True)
    bad = typed.is_null() & values.is_not_null()
    return bad | values.is_null() if column.role == "feature" and not column.nullable else bad


def _refuse_cells(handed: Handed, bad: Mapping[RequestColumn, pl.Series]) -> None:
    """Refuse a file with cells that cannot be read, naming the first of them and the first rows."""
    rows = np.flatnonzero(np.logical_or.reduce([cells.to_numpy() for cells in bad.values()])).tolist()
    if not rows:
        return
    column = next(column for column, cells in bad.items() if cells[rows[0]])
    value = handed.frame[column.name][rows[0]]
    more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
    of_all = f"; {len(rows):,} rows have such cells: {handed.places(rows[:MOST_NAMED])}{more}"
    raise RequestError(
        (f"not {column.type}" if value is not None else "a value is missing")
        + (of_all if len(rows) > 1 else ""),
        where=f"{handed.place(rows[0])}, column {column.name!r}",
        found=value,
        allowed=column.type + (" or nothing" if column.nullable else ""),
        hint=f"mend the {'rows' if len(rows) > 1 else 'row'}, or take {'them' if len(rows) > 1 else 'it'} out; "
        "nothing was answered",
        details={"row": rows[0] + 1, "column": column.name, "failed": len(rows)},
    )


def _answers(factory: Factory, loaded: Loaded, frame: pl.DataFrame) -> Answered:
    """Answer and log rows, some at a time."""
    answered = Answered([], [], [], {}, [])
    log = PredictionLog(factory.state / "log" / loaded.line)
    try:
        for part in frame.iter_slices(CHUNK):
            x = loaded.scorer.encode(to_columns(part, loaded.package.encoder.columns))
            rows, said = json_rows(part), loaded.scorer.answers(x)
            records = _records(factory.context, loaded, rows, said)
            log.append(records)
            start = len(answered.ids)
            answered.warnings.update(
                {start + row: texts for row, texts in loaded.scorer.warnings(x, rows).items()}
            )
            answered.ids.extend(record.id for record in records)
            answered.keys.extend(record.key for record in records)
            answered.answers.extend(said)
            answered.arms.extend([loaded.arm] * len(said))
    finally:
        log.close()
    return answered


def _records(
    context: Context, loaded: Loaded, rows: list[dict[str, Any]], answers: list[dict[str, Any]]
) -> list[Prediction]:
    package, at = loaded.package, context.now()
    return [
        Prediction(
            id=context.new_id(),
            line=loaded.line,
            generation=loaded.generation,
            model=loaded.arm.model,
            digest=loaded.arm.package,
            at=at,
            key=spell(row.get(package.key)) if package.key else None,
            row=row,
            answer=answer,
            threshold=package.threshold,
            via="batch",
        )
        for row, answer in zip(rows, answers, strict=True)
    ]


def _table(frame: pl.DataFrame, package: Package, answered: Answered) -> pl.DataFrame:
    name = package.key if package.key in frame.columns else "row"
    keys = frame[package.key] if package.key in frame.columns else pl.Series(range(1, frame.height + 1))
    # A key column that is itself called id keeps its name; the prediction's id then stands beside it.
    columns: dict[str, Any] = {name: keys, "prediction_id" if name == "id" else "id": answered.ids}
    if answered.answers:
        columns |= _flat(answered.answers, set(columns))
    texts = ["; ".join(answered.warnings.get(row, ())) or None for row in range(frame.height)]
    doubts = "warnings" if name != "warnings" else "answer_warnings"
    return pl.DataFrame({**columns, doubts: pl.Series(texts, dtype=pl.String)})


def _flat(answers: list[dict[str, Any]], taken: set[str]) -> dict[str, Any]:
    """Answer fields as columns; a dict (probabilities) and a list (interval) give one column a part."""
    flat: dict[str, Any] = {}
    for field, first in answers[0].items():
        name = field if field not in taken else f"answer_{field}"
        if isinstance(first, dict):
            for part in first:
                flat[f"{name}_{part}"] = [answer[field][part] for answer in answers]
        elif isinstance(first, list | tuple):
            for place, part in enumerate(("low", "high", "level")):
                flat[f"{name}_{part}"] = [answer[field][place] for answer in answers]
        else:
            flat[name] = [answer[field] for answer in answers]
    return flat


def _write(table: pl.DataFrame, out: Path) -> None:
    draft = _draft(out)
    try:
        if out.suffix == ".parquet":
            table.write_parquet(draft)
        else:
            table.write_csv(draft)
        draft.replace(out)
    except OSError as error:
        raise _cannot_write(out, error) from error
    finally:
        draft.unlink(missing_ok=True)


def _draft(out: Path) -> Path:
    return out.with_name(f".{out.name}.{os.getpid()}")


def _cannot_write(out: Path, error: OSError) -> RequestError:
    return RequestError(f"cannot write the answers: {error.strerror}", where=str(out))


def json_rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return rows as JSON values: dates and times as ISO 8601."""
    return [msgspec.to_builtins(row) for row in frame.iter_rows(named=True)]
