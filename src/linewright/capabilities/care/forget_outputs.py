"""Taking a person out of the answers that scheduled predictions wrote: files, objects of buckets, and tables.

A place that is not reached is owed: it stays on the list of those who are forgotten, with hashes of what to look for, until it was.
"""

import csv
from ast import literal_eval
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet

from linewright.capabilities.schedules.destinations import quarantine_of, replace_file
from linewright.capabilities.schedules.predictions import AT, MODEL
from linewright.capabilities.schedules.undelivered import began_undelivered, held_all_undelivered
from linewright.data.read.batches import fields_of
from linewright.data.read.sql.column_types import Kind
from linewright.data.write.bucket import get_file, put_file
from linewright.data.write.table import AT_ONCE, RUN, Columns, open_table
from linewright.engine.lock import ProcessLock
from linewright.errors import LinewrightError, RequestError
from linewright.line.check.destinations import described
from linewright.line.erasure import OutputWithout
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, PredictionsMade
from linewright.line.file.view_file import read_views
from linewright.line.problem import Problem, problem_of
from linewright.line.retention.forgotten import (
    Forgetting,
    Output,
    Subject,
    forgotten_of,
    keep,
    lines_with_removals,
    spec_of,
)
from linewright.line.spec import LineSpec, PredictSpec, TableDestination
from linewright.serve.rows.body.scalars import spell
from linewright.store.files.disk import explained
from linewright.text.remote_url import is_remote


def outputs_of(factory: Factory, spec: LineSpec) -> list[Output]:
    """Return the places that answers of a line were written to, also those that its file does not name any more."""
    metadata, line = factory.metadata, spec.line
    declared = {one.declared for one in metadata.events(Accepted, line=line)}
    specs = [spec, *(LineSpec.model_validate(metadata.get(one, Declared).spec) for one in sorted(declared))]
    jobs = [(one, name, job) for one in specs for name, job in one.predict.items()]
    made = [(one.job, one.began, one.to) for one in metadata.events(PredictionsMade, line=line)]
    waiting = [
        (name, began, "") for name in spec.predict if (began := began_undelivered(factory, line, name))
    ]
    found = dict[tuple[str, str | None], Output]()
    for name, began, to in (*made, *waiting):
        is_known = False
        for one, job_name, job in jobs:
            place = _place(job, line, began, to) if job_name == name else None
            if place is not None:
                is_known = True
                _add(found, _output(factory, one, name, job, place), is_written=bool(to))
        if to and not is_known:
            _add(found, _output(factory, spec, name, None, to), is_written=True)
    return list(found.values())


def _place(job: PredictSpec, line: str, began: str, to: str) -> str | None:
    """Return where predictions of some time are written, if the record does not say that they went elsewhere."""
    if isinstance(job.to, TableDestination):  # what its host is called may have changed
        return job.to.table if not to or to.startswith(f"table {job.to.table} of ") else None
    file = described(job.to, line, began)
    return file if to in {"", file} else None


def _add(found: dict[tuple[str, str | None], Output], output: Output, *, is_written: bool) -> None:
    before = found.setdefault((output.place, output.at), output)
    if is_written and not before.is_written:
        found[output.place, output.at] = msgspec.structs.replace(before, is_written=True)


def _output(factory: Factory, spec: LineSpec, name: str, job: PredictSpec | None, place: str) -> Output:
    entities = set[str]()
    with suppress(LinewrightError):  # a wrong file of a view: its columns are called as they always were
        entities = {one for view in read_views(factory.root, spec.features) for one in view.entities}
    key = spec.table.key
    is_local = job is None and not is_remote(place) and not place.startswith("table ")
    return Output(
        job=name,
        place=place,
        at=job.to.at if job is not None else None,
        is_table=job is not None and isinstance(job.to, TableDestination),
        is_known=job is not None or is_local,
        id="prediction_id" if "id" in {key, *entities} else "id",
        key=key,
        subject=spec.table.subject,
    )


def remove_from_outputs(
    factory: Factory,
    spec: LineSpec,
    known: Forgetting,
    subject: Subject,
    named: Collection[str],
    *,
    dry_run: bool,
) -> tuple[Subject, tuple[OutputWithout, ...]]:
    """Remove a person from all places that answers were written to; return the subject with what is owed, and what became of each."""
    found = {
        one: _without(
            factory, spec.line, one, _Theirs(spec.line, known, subject.hash, named, one), dry_run=dry_run
        )
        for one in outputs_of(factory, spec)
    }
    owed = tuple(one for one, done in found.items() if done.problem is not None)
    shown = tuple(done for done in found.values() if done.rows or done.problem or done.is_gone)
    return _owing(subject, owed, named), shown


def settle_owed(factory: Factory) -> tuple[Problem, ...]:
    """Try again what is owed of removals in all lines; return what keeps others from being done."""
    problems = list[Problem]()
    for line in lines_with_removals(factory):
        try:
            known = forgotten_of(factory, line)
            for subject in (one for one in known.subjects if one.done and one.owed):
                with held_all_undelivered(factory, spec_of(factory, line)):
                    problems += _settle(factory, line, known, subject)
        except LinewrightError as error:
            problems.append(problem_of(error, where=error.where or f"line {line}"))
    return tuple(problems)


def _settle(factory: Factory, line: str, known: Forgetting, subject: Subject) -> list[Problem]:
    left, problems = list[Output](), list[Problem]()
    for one in subject.owed:
        theirs = _Theirs(line, known, subject.hash, frozenset(subject.named), one)
        done = _without(factory, line, one, theirs, dry_run=False)
        if done.problem is not None:
            left.append(one)
            problems.append(done.problem)
    with ProcessLock(factory.state / "gc.lock"):
        now = forgotten_of(factory, line)
        for one in now.subjects:
            if one.hash == subject.hash and one.owed == subject.owed and one.named == subject.named:
                keep(factory, line, now.put(_owing(one, tuple(left), one.named)))
    return problems


def _owing(subject: Subject, owed: tuple[Output, ...], named: Collection[str]) -> Subject:
    return msgspec.structs.replace(subject, owed=owed, named=tuple(sorted(named)) if owed else ())


@dataclass(frozen=True)
class _Theirs:
    """Says which rows of a place are about a person, by hashes."""

    line: str
    known: Forgetting
    subject: str
    named: Collection[str]
    output: Output
    _hashes: dict[str, str] = field(default_factory=dict[str, str])

    def answers(self, columns: Columns) -> list[bool]:
        """Say it of answers; other rows are nobody's."""
        models = columns[MODEL]
        ours = [isinstance(model, str) and model.startswith(f"{self.line}@") for model in models]
        keys = [columns[name] for name in (self.output.id, *_spellings(self.output.key)) if name in columns]
        subjects = [columns[name] for name in _spellings(self.output.subject) if name in columns]
        return [
            is_ours
            and (
                any(self._hash(values[row]) in self.named for values in keys)
                or any(self._hash(values[row]) == self.subject for values in subjects)
            )
            for row, is_ours in enumerate(ours)
        ]

    def broken(self, columns: Columns) -> list[bool]:
        """Say it of rows that broke the contract."""
        rows = len(next(iter(columns.values()), ()))
        those = [False] * rows
        for name, hashes in ((self.output.key, self.named), (self.output.subject, {self.subject})):
            for row, value in enumerate(columns.get(name or "", ())):
                those[row] |= self._hash(value) in hashes
        # Of a row that no table could hold, the reason has its text.
        reasons = columns.get("quarantine_reason", columns.get("reason", ()))
        for row, reason in enumerate(reasons):
            _, quote, text = str(reason).partition(" fields in place of ")
            if quote:
                with suppress(ValueError, SyntaxError):
                    fields = fields_of(str(literal_eval(text.partition(": ")[2])))
                    those[row] |= any(self._hash(one) in {*self.named, self.subject} for one in fields)
        return those

    def _hash(self, value: object) -> str | None:
        text = spell(value)
        if text is None:
            return None
        if text not in self._hashes:
            if len(self._hashes) > AT_ONCE:
                self._hashes.clear()
            self._hashes[text] = self.known.hash_of(text)
        return self._hashes[text]


def _spellings(name: str | None) -> tuple[str, ...]:
    """Return what a column is called in answers, see `scheduled.predictions`."""
    if name is None:
        return ()
    return (f"key_{name}",) if name in {AT, MODEL, RUN} else (name,)


def _without(factory: Factory, line: str, output: Output, theirs: _Theirs, *, dry_run: bool) -> OutputWithout:
    where, root = f"{line}: predict.{output.job}.to", factory.root
    try:
        if not output.is_known:
            raise RequestError(
                "how it is reached is not known any more",
                where=where,
                found=output.place,
                hint="name it again under `predict` of the line file and forget again, or remove the rows yourself",
            )
        if output.is_table:
            rows = _from_table(root, output, theirs, where, dry_run=dry_run)
            return OutputWithout(
                place=output.shown, rows=rows or 0, is_gone=rows is None and output.is_written
            )
        if is_remote(output.place):
            rows, broken = (
                _from_object(factory, place, output.at, are_theirs, where, dry_run=dry_run)
                for place, are_theirs in _files(output.place, theirs)
            )
        else:
            rows, broken = (
                _from_file(root / place, are_theirs, dry_run=dry_run)
                for place, are_theirs in _files(output.place, theirs)
            )
    except LinewrightError as error:
        return OutputWithout(place=output.shown, problem=problem_of(error))
    is_gone = rows is None and output.is_written
    return OutputWithout(place=output.shown, rows=(rows or 0) + (broken or 0), is_gone=is_gone)


def _files(place: str, theirs: _Theirs) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return (place, theirs.answers), (quarantine_of(place), theirs.broken)


def _from_table(root: Path, output: Output, theirs: _Theirs, where: str, *, dry_run: bool) -> int | None:
    others = (*_spellings(output.key), *_spellings(output.subject))
    columns: dict[str, Kind] = dict.fromkeys((output.id, MODEL, *others), "text")
    writer, write = open_table(output.place, output.at or "", root, where=where, columns=columns)
    return writer.remove_rows(write, theirs.answers, dry_run=dry_run)


def _from_object(
    factory: Factory, url: str, at: str | None, are_theirs: Any, where: str, *, dry_run: bool
) -> int | None:
    with explained(factory.scratch):
        factory.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=factory.scratch) as folder:
            copy = Path(folder) / url.rpartition("/")[2]
            if not get_file(copy, url, at, factory.root, where):
                return None
            rows = _from_file(copy, are_theirs, dry_run=dry_run)
            if rows and not dry_run:
                put_file(copy, url, at, factory.root, where)
            return rows


def _from_file(path: Path, are_theirs: Any, *, dry_run: bool) -> int | None:
    """Write a file again without some rows, if it has such; return how many, `None` if it is not there."""
    rows_of, write = (_parquet_rows, _write_parquet) if path.suffix == ".parquet" else (_csv_rows, _write_csv)
    try:
        rows = sum(sum(goes) for goes in rows_of(path, are_theirs))
        if rows and not dry_run:
            replace_file(path, partial(write, path, are_theirs))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except KeyError as error:
        raise _not_read(path, f"it has no column {error}") from None
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise _not_read(path, str(error)) from error
    return rows


def _not_read(path: Path, why: str) -> RequestError:
    return RequestError(
        f"the file of answers cannot be read or written again: {why}",
        where=str(path),
        hint="remove the rows of the person yourself, or the file",
    )


def _parquet_rows(path: Path, are_theirs: Any) -> Iterator[list[bool]]:
    for _, goes in _parquet_parts(path, are_theirs):
        yield goes


def _parquet_parts(path: Path, are_theirs: Any) -> Iterator[tuple[pa.RecordBatch, list[bool]]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(AT_ONCE):
            yield batch, are_theirs(cast("Mapping[str, Sequence[object]]", batch.to_pydict()))


def _write_parquet(path: Path, are_theirs: Any, to: BinaryIO) -> None:
    schema = pyarrow.parquet.read_schema(path)
    with pyarrow.parquet.ParquetWriter(to, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch, goes in _parquet_parts(path, are_theirs):
            writer.write_batch(batch.filter(pa.array([not one for one in goes], pa.bool_())))


def _csv_rows(path: Path, are_theirs: Any) -> Iterator[list[bool]]:
    for _, goes in _csv_parts(path, are_theirs):
        yield goes


def _csv_parts(path: Path, are_theirs: Any) -> Iterator[tuple[list[str], list[bool]]]:
    """Give rows as they are written, some at a time; the first is the header, which stays."""
    with path.open(encoding="utf-8", newline="") as file:
        written = list[str]()

        def lines() -> Iterator[str]:
            for line in file:
                written.append(line)
                yield line

        def records() -> Iterator[tuple[list[str], str]]:
            for values in csv.reader(lines()):
                yield values, "".join(written)
                written.clear()

        rows = records()
        names, header = next(rows, ([], ""))
        yield [header], [False]
        while some := list(islice(rows, AT_ONCE)):
            columns = {
                name: [values[at] if at < len(values) else None for values, _ in some]
                for at, name in enumerate(names)
            }
            yield [text for _, text in some], are_theirs(columns)


def _write_csv(path: Path, are_theirs: Any, to: BinaryIO) -> None:
    to.writelines(
        "".join(text for text, one in zip(texts, goes, strict=True) if not one).encode()
        for texts, goes in _csv_parts(path, are_theirs)
    )
