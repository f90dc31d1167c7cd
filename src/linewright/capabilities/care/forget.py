"""Taking out of a factory what a line has stored about one person, for ever.

Who it is goes on the line's list first (`line.retention.forgotten`), as a hash. From the list follows all else, so that a removal that was
killed is done again from the beginning: what is without the person is made and kept, the event is recorded, labels and index are
without it, and last what is in the place of something comes there, and the bytes of before go.
"""

import os
import sqlite3
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import polars as pl

from linewright.capabilities.care.find_text import TextSearch
from linewright.capabilities.care.forget_features import find_in_views, forget_in_views
from linewright.capabilities.care.forget_free_text import (
    emptied_comments,
    find_comments,
    forget_beside,
    named_in_record,
)
from linewright.capabilities.care.forget_outputs import outputs_of, remove_from_outputs
from linewright.capabilities.care.forget_sent import (
    count_sent,
    emptied,
    own_sources,
    readers_of_sent,
    sent_sources,
    shrink_emptied,
)
from linewright.capabilities.care.referenced_artifacts import clock_of_files, drop_features, unnamed
from linewright.capabilities.care.retention import marks_of, unfinished
from linewright.capabilities.care.unfinished_files import remove_unfinished
from linewright.capabilities.schedules.undelivered import forget_undelivered, held_all_undelivered
from linewright.data.dataset.blobs import blobs_of, instead_of, put_instead
from linewright.data.dataset.split import identities
from linewright.data.dataset.version import put_emptied, read_chunk
from linewright.data.facts import TEST, TRAIN, Chunk, Dataset, Ingested, Quarantine, SourceHistory, Split
from linewright.data.history.read import query_digest
from linewright.data.history.versions import put_versions, read_blob
from linewright.data.read.batches import fields_of
from linewright.data.read.file.paths import files_of
from linewright.data.spec import DltSource, PushSource, SqlSource
from linewright.engine.context import Progress
from linewright.engine.lock import ProcessLock
from linewright.engine.run_notes import remove_notes
from linewright.errors import Corrupt, LinewrightError, NotFound, RequestError, SpecError, Transient
from linewright.line.erasure import ErasureReport, OutputWithout
from linewright.line.factory import FEATURES, Factory
from linewright.line.facts import Accepted, Declared, Finished, Forgotten
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.holdings.references import DIGEST
from linewright.line.predict.sql_columns import rows_with_made
from linewright.line.problem import Problem, problem_of
from linewright.line.record.chained_files import end_of_changes
from linewright.line.record.checkpoint import Digested
from linewright.line.record.data.quarantine import reading_of
from linewright.line.retention.forgotten import (
    Forgetting,
    Subject,
    begin,
    forgotten_of,
    hash_for,
    keep,
    lines_with_removals,
    spec_of,
)
from linewright.line.retention.forgotten_rows import matching
from linewright.line.runs.run_log import forget_logs
from linewright.line.sealed_parquet import write_segment
from linewright.line.spec import LineSpec
from linewright.line.views.sources import readable_sources
from linewright.model.facts import Package, Registered, Trained
from linewright.model.package.model import read_golden
from linewright.people.annotations import Annotations, row_name
from linewright.people.facts import RowsAnnotated
from linewright.people.preferences import forget_views
from linewright.release.promotion import canary_of
from linewright.serve.facts import Prediction, Prefix, Segment
from linewright.serve.files import write_whole
from linewright.serve.log.ids import number_of
from linewright.serve.log.records import without
from linewright.serve.log.segments import ENDING, Frame, frame_of, read_log, read_segment
from linewright.serve.rows.body.scalars import spell
from linewright.store.files.disk import explained, sync_file
from linewright.store.files.names import line_path
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.pushed_rows import ForgottenText
from linewright.store.values import digest_of_bytes
from linewright.text.whole_words import WholeWords

_BATCH = 2_000
"""Predictions that are looked at at once."""
_REMEMBERED = 200_000
"""Hashes that are remembered while the log is gone through; some hundred bytes each."""
_TABLES = frozenset(
    {
        ".csv",
        ".parquet",
        ".jsonl",
        ".ndjson",
        ".tsv",
        ".txt",
        ".tar",
        ".sqlite",
        ".db",
        ".gz",
        ".bz2",
        ".xz",
        ".zst",
        ".zip",
        ".7z",
        ".xlsx",
        ".arrow",
        ".feather",
        ".ipc",
        ".orc",
        ".avro",
    }
)
"""Endings of files of the user's own that are looked through beside the sources and what is declared: tables, answers of `predict`, backups."""


_BACKUP_DRAFT = "draft"
"""Name of a backup that a kill left, see `backup`."""


def forget(factory: Factory, line: str, subject: str, *, dry_run: bool) -> ErasureReport:
    """Remove what a line has stored about a person, and pass their rows over from now on."""
    spec = spec_of(factory, line)
    column = spec.table.subject
    if column is None:
        raise SpecError(
            "the line does not say which column names the person that a row is about",
            where=f"line {line}: table.subject",
            hint="name it in the line file, e.g. table: {subject: customer}; it is no feature then",
        )
    if not subject.strip():
        raise SpecError(
            "no value names nobody", where="SUBJECT", found=subject, allowed="a value of " + column
        )
    text = spell(subject) or subject
    with ExitStack() as held:
        held.enter_context(_locks(factory))
        _require_no_run(factory, line)
        if not dry_run:
            held.enter_context(held_all_undelivered(factory, spec))
        resumed = 0 if dry_run else _resume(factory, line)
        of_views = find_in_views(factory, spec, text)
        comments = find_comments(factory, line, subject=text)
        if dry_run:
            known = forgotten_of(factory, line)
            known = known if known.key else msgspec.structs.replace(known, key="00" * 32)
            one = Subject(hash=known.hash_of(spell(subject) or subject), at=factory.now())
            found = _Found.of(factory, spec, known, one, keeps=False)
            comments |= find_comments(
                factory, line, subject=text, keys=found.keys, about=found.ids | found.named
            )
            found.outputs = remove_from_outputs(
                factory, spec, known, one, found.hashes(known, one), dry_run=True
            )[1]
            labels: int | None = None
        else:
            # A removal that is resumed knows the value no more.
            _forget_replies(factory, {text})
            forget_beside(factory, {text})
            before = forgotten_of(factory, line)
            known, one = begin(factory, line, subject, comments)
            try:
                _require_no_run(factory, line)  # one that begins from now on reads nothing of it
            except Transient:
                keep(factory, line, before)
                raise
            found, labels = _carry_out(factory, spec, known, one, text=text)
            comments = found.comments
    search = TextSearch(text)
    earlier = [
        one for one in factory.metadata.events(Forgotten, line=line) if one.subject == known.hash_of(text)
    ]
    learned = dict.fromkeys(chain(found.learned, *(one.models for one in earlier)))
    return ErasureReport(
        line=line,
        predictions=len(found.ids),
        labels=labels if found.ids or labels else 0,
        rows=sum(map(len, found.rows.values())),
        datasets=tuple(sorted(found.datasets)),
        quarantined=sum(found.quarantined.values()),
        learned=tuple(learned),
        serving=tuple(one for one in learned if one in _serving(factory, line)),
        shared=tuple(sorted(found.shared)),
        sources=tuple(map(str, search.among(_sources(factory, spec)))),
        files=tuple(map(str, search.among(_others(factory, spec) - _sources(factory, spec)))),
        left=() if dry_run else tuple(places_of(factory, search)),
        dry_run=dry_run,
        views=of_views.views,
        records=of_views.records,
        resumed=resumed,
        sent=found.sent,
        comments=len(comments),
        in_record=named_in_record(factory, {text, *found.keys}),
        outputs=found.outputs,
        unread=tuple(_unread(factory, spec)),
        unsearched=tuple(search.unsearched),
        tried=tuple(dict.fromkeys(chain(found.tried, *(one.tried for one in earlier)))),
    )


def subject_hash(factory: Factory, line: str, subject: str) -> str:
    """Return the keyed hash by which the record names a person of a line."""
    with _locks(factory):
        return hash_for(factory, line, subject)


def _require_no_run(factory: Factory, line: str) -> None:
    unended = unfinished(factory, line)
    if unended:
        raise Transient(
            "a run of the line has not ended, and may read what is to go",
            where=line,
            found=f"run {min(unended)}",
            hint="wait until it has ended, or end it: linewright cancel RUN",
        )


class Resumed(NamedTuple):
    """Removals that had been interrupted."""

    ended: int
    problems: tuple[Problem, ...]
    """What kept others from being ended."""


def resume(factory: Factory) -> Resumed:
    """End the interrupted removals of all lines. An error of one line is reported and does not stop the others."""
    ended, problems = 0, list[Problem]()
    for line in lines_with_removals(factory):
        try:
            if forgotten_of(factory, line).undone:
                with _locks(factory), held_all_undelivered(factory, spec_of(factory, line)):
                    ended += _resume(factory, line)
        except LinewrightError as error:
            problems.append(problem_of(error, where=error.where or f"line {line}"))
    return Resumed(ended, tuple(problems))


def _resume(factory: Factory, line: str) -> int:
    undone = forgotten_of(factory, line).undone
    for one in undone:
        _carry_out(factory, spec_of(factory, line), forgotten_of(factory, line), one)
    return len(undone)


@contextmanager
def _locks(factory: Factory) -> Generator[None]:
    """Keep `gc`, retention, other removals, sealing and checkpoints away."""
    with ProcessLock(factory.state / "gc.lock"), ExitStack() as held:
        log = ProcessLock(factory.log_lock)
        log.wait(lambda _: None)
        held.callback(log.release)
        yield


# What there is


@dataclass
class _Found:
    """What a line has stored about a person."""

    ids: set[str] = field(default_factory=set[str])
    """Of predictions."""
    named: set[str] = field(default_factory=set[str])
    """What stands for ids of its rows in questions about dataset versions, see `row_name`."""
    keys: set[str] = field(default_factory=set[str])
    """Of its rows."""
    rows: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """By content of each chunk the numbers of its rows there."""
    chunks: dict[str, str] = field(default_factory=dict[str, str])
    """By content of a chunk the blob that is to be in its place."""
    datasets: set[str] = field(default_factory=set[str])
    quarantined: dict[str, int] = field(default_factory=dict[str, int])
    """Rows by blob."""
    quarantines: dict[str, str] = field(default_factory=dict[str, str])
    """By blob the one that is to be in its place."""
    histories: dict[str, str] = field(default_factory=dict[str, str])
    """By blob of a source history the one that is to be in its place."""
    files: set[str] = field(default_factory=set[str])
    """Digests of the pictures that its rows and predictions name."""
    comments: set[str] = field(default_factory=set[str])
    """Digests of the words of comments about it."""
    sent: int = 0
    """Rows that were sent to sources."""
    learned: list[str] = field(default_factory=list[str])
    tried: list[str] = field(default_factory=list[str])
    shared: set[str] = field(default_factory=set[str])
    outputs: tuple[OutputWithout, ...] = ()

    def hashes(self, known: Forgetting, subject: Subject) -> frozenset[str]:
        """Return hashes of the ids and keys, those that were found before among them."""
        return frozenset({*map(known.hash_of, self.ids | self.keys), *subject.keys, *subject.named})

    @classmethod
    def of(
        cls, factory: Factory, spec: LineSpec, known: Forgetting, subject: Subject, *, keeps: bool = True
    ) -> "_Found":
        """Look for what there is, and keep what is to be in its place where that is wanted."""
        found = cls()
        look = _Look(factory, spec, known, subject, keeps)
        look.datasets(found)
        look.log(found)
        # Keys of rows that only the log has, in datasets from before the line named the subject, and in quarantine.
        look.datasets(found)
        look.quarantines(found)
        look.histories(found)
        look.models(found)
        look.sent(found)
        return found


@dataclass
class _Look:
    factory: Factory
    spec: LineSpec
    known: Forgetting
    subject: Subject
    keeps: bool = True
    """Whether what is to be in the place of something is kept."""

    def is_theirs(self, value: Any) -> bool:
        text = spell(value)
        return text is not None and self.known.hash_of(text) == self.subject.hash

    def is_key(self, text: str | None, found: _Found) -> bool:
        if text is None:
            return False
        return text in found.keys or (
            bool(self.subject.keys) and self.known.hash_of(text) in self.subject.keys
        )

    def datasets(self, found: _Found) -> None:
        """Look through the dataset versions that the line has read, and those of rows that people labelled."""
        for digest in self._readings():
            dataset = self.factory.metadata.get(digest, Dataset)
            for chunk in dataset.chunks:
                self._chunk(chunk, dataset, found)
                if chunk.content in found.rows:
                    found.datasets.add(digest)
        found.shared |= self._shared(found)

    def _chunk(self, chunk: Chunk, dataset: Dataset, found: _Found) -> None:
        artifacts = self.factory.artifacts
        try:
            rows = read_chunk(chunk, dataset.columns, artifacts, self.factory.metadata)
        except NotFound:  # kept no longer
            return
        those = self._theirs(rows, found)
        if those.any():
            found.rows[chunk.content] = tuple(those.arg_true().to_list())
            found.named |= {row_name(one) for one in identities(rows.filter(those), self.spec).tolist()}
            for column in dataset.columns:
                if column.type == "file":
                    found.files.update(rows[column.name].filter(those).drop_nulls().to_list())
            found.chunks[chunk.content] = put_emptied(rows, those, artifacts) if self.keeps else ""

    def _theirs(self, rows: pl.DataFrame, found: _Found) -> pl.Series:
        table = self.spec.table
        those = self._named(rows).to_numpy(writable=True)
        if table.key is not None and table.key in rows.columns:
            if found.keys or self.subject.keys:
                keys = {self.known.hash_of(one) for one in found.keys} | set(self.subject.keys)
                those |= matching(self.known, keys, rows[table.key])
            mine = rows[table.key].filter(pl.Series(those)).to_list()
            found.keys |= {text for text in map(spell, mine) if text is not None}
        return pl.Series(those)

    def _named(self, rows: pl.DataFrame) -> pl.Series:
        """Return which rows name the person in the column that does so in the table."""
        subject = self.spec.table.subject
        those = np.zeros(rows.height, dtype=bool)
        if subject in rows.columns:
            those |= matching(self.known, {self.subject.hash}, rows[subject])
        return pl.Series(those)

    def _readings(self) -> list[str]:
        metadata = self.factory.metadata
        runs = metadata.events(Finished, line=self.spec.line)
        read = [metadata.get(one, Ingested).dataset for run in runs if (one := reading_of(self.factory, run))]
        labelled = [one.dataset for one in metadata.events(RowsAnnotated, line=self.spec.line)]
        return list(dict.fromkeys([*read, *labelled]))

    def _shared(self, found: _Found) -> set[str]:
        if not found.rows:
            return set()
        metadata, names = self.factory.metadata, set[str]()
        for run in metadata.events(Finished):
            if run.line == self.spec.line or run.line in names or run.ingested is None:
                continue
            dataset = metadata.get(metadata.get(run.ingested, Ingested).dataset, Dataset)
            if any(chunk.content in found.rows for chunk in dataset.chunks):
                names.add(run.line)
        return names

    def log(self, found: _Found) -> None:
        """Look through the prediction log: by what was sent, by what the model saw of it, and by key."""
        line = self.spec.line
        records = (
            one.record for one in read_log(self.factory.log_of(line), sealed=self.factory.sealed_of(line))
        )
        while batch := list(islice(records, _BATCH)):
            for record, made in zip(batch, rows_with_made(self.factory, batch), strict=True):
                if self._is_about(record, made, found):
                    found.ids.add(record.id)
                    texts = (value for value in record.row.values() if isinstance(value, str))
                    found.files |= {text for text in texts if DIGEST.fullmatch(text)}
                    found.keys |= {record.key} if record.key is not None else set()

    def _is_about(self, record: Prediction, made: Mapping[str, Any], found: _Found) -> bool:
        column = self.spec.table.subject or ""
        told = [
            record.row.get(column),
            record.subject,
            *([made.get(column)] if made is not record.row else []),
        ]
        for value in told:
            if isinstance(value, str | int | float) and self.is_theirs(value):
                return True
        return self.is_key(record.key, found)

    def quarantines(self, found: _Found) -> None:
        """Look through the rows that the contract kept out."""
        metadata, artifacts = self.factory.metadata, self.factory.artifacts
        for digest in self._quarantines():
            kept = metadata.get(digest, Quarantine).blob
            blob = instead_of(kept, metadata) or kept
            if not artifacts.has(blob):
                continue
            rows = artifacts.get(blob).splitlines(keepends=True)
            left = [row for row in rows if not self._is_row(msgspec.json.decode(row), found)]
            if len(left) < len(rows):
                found.quarantined[kept] = len(rows) - len(left)
                found.quarantines[kept] = artifacts.put(b"".join(left)) if self.keeps else ""

    def histories(self, found: _Found) -> None:
        """Look through all versions of rows that were kept of the sources which the line has ever had."""
        metadata, artifacts = self.factory.metadata, self.factory.artifacts
        own = self._queries()
        queries = own | self._queries_of_views()
        for digest, kind, _ in metadata.results() if queries else ():
            if (
                kind != "source_history"
                or (history := metadata.get(digest, SourceHistory)).query not in queries
            ):
                continue
            for chunk in history.chunks:
                blob = instead_of(chunk.blob, metadata) or chunk.blob
                if chunk.blob in found.histories or not artifacts.has(blob):
                    continue
                rows = read_blob(blob, artifacts)
                # The key of a view's source is not that of the table.
                those = self._theirs(rows, found) if history.query in own else self._named(rows)
                if those.any():
                    found.histories[chunk.blob] = (
                        put_versions(rows.filter(~those), artifacts).blob if self.keeps else ""
                    )

    def sent(self, found: _Found) -> None:
        """Look through the rows that were sent to sources."""
        sources = sent_sources(self.factory, self.spec)
        found.sent = count_sent(self.factory, sources, partial(self.is_sent_row, found))
        if found.sent:
            found.shared |= readers_of_sent(self.factory, self.spec.line, sources)

    def is_sent_row(self, found: _Found, row: Mapping[str, Any], is_own: bool) -> bool:
        """Return whether a row that was sent is about the person; the key of a view's source is not that of the table."""
        table = self.spec.table
        return self.is_theirs(row.get(table.subject or "")) or (
            is_own and table.key is not None and self.is_key(spell(row.get(table.key)), found)
        )

    def _queries(self) -> set[str]:
        """Return the digests of the queries of all sources with a history that the line has or had."""
        metadata = self.factory.metadata
        declared = {one.declared for one in metadata.events(Accepted, line=self.spec.line)}
        specs = [self.spec, *(LineSpec.model_validate(metadata.get(one, Declared).spec) for one in declared)]
        sources = (source for spec in specs for source in own_sources(spec) if source.has_history)
        return {query_digest(cast("SqlSource", source)) for source in sources}

    def _queries_of_views(self) -> set[str]:
        """Return the digests of the queries of the sources with a history that its feature views have."""
        sources = readable_sources(self.factory, self.spec).values()
        return {query_digest(cast("SqlSource", one)) for one in sources if one.has_history}

    def _is_row(self, row: Mapping[str, Any], found: _Found) -> bool:
        values, table = row.get("values") or {}, self.spec.table
        if not row.get("column") and isinstance(
            text := values.get("text"), str
        ):  # a row that no table could hold
            return any(map(self.is_theirs, fields_of(text)))
        return self.is_theirs(values.get(table.subject)) or (
            table.key is not None and self.is_key(spell(values.get(table.key)), found)
        )

    def _quarantines(self) -> list[str]:
        digests: list[str | None] = []
        for run in self.factory.metadata.events(Finished, line=self.spec.line):
            read = reading_of(self.factory, run)
            if read is not None:
                digests.append(self.factory.metadata.get(read, Ingested).quarantine)
            elif run.error:
                digests.append(run.error.get("details", {}).get("quarantine"))
        return list(dict.fromkeys(one for one in digests if one))

    def models(self, found: _Found) -> None:
        """Find the models that have learned from rows that were found."""
        metadata = self.factory.metadata
        for line in sorted({self.spec.line, *found.shared}):
            for one in metadata.events(Registered, line=line):
                package = metadata.get(one.package, Package)
                those, parts = _their_rows(self.factory, metadata.get(package.trained, Trained), found)
                if (parts[those] == TRAIN).any():
                    found.learned.append(f"{line}@{one.model}")
                with suppress(NotFound, Corrupt):  # `verify` tells
                    tried = len(read_golden(package, self.factory.artifacts.get).rows)
                    if np.isin(np.flatnonzero(parts == TEST)[:tried], those).any():
                        found.tried.append(f"{line}@{one.model}")


def _their_rows(factory: Factory, trained: Trained, found: _Found) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the person's rows in the dataset version of a model, and the part of each row of it."""
    metadata, start, those = factory.metadata, 0, list[int]()
    for chunk in metadata.get(trained.dataset, Dataset).chunks:
        those += [start + row for row in found.rows.get(chunk.content, ())]
        start += chunk.rows
    if not those:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    parts = factory.artifacts.get(metadata.get(trained.split, Split).parts)
    return np.array(those), np.frombuffer(parts, dtype=np.uint8)


# Carrying it out


def _carry_out(
    factory: Factory, spec: LineSpec, known: Forgetting, subject: Subject, *, text: str = ""
) -> tuple[_Found, int]:
    """Do all of it; return what was found, and how many changes of labels went."""
    line = spec.line
    _redo(factory, line)
    factory.report(Progress(step="forget", says="looking for what is stored"))
    found = _Found.of(factory, spec, known, subject)
    hashes = tuple(sorted({*subject.keys, *map(known.hash_of, found.keys)}))
    files = tuple(sorted({*subject.files, *found.files}))
    about = find_comments(factory, line, subject=text, keys=found.keys, about=found.ids | found.named)
    found.comments |= {*subject.comments, *about}
    comments = tuple(sorted(found.comments))
    subject = msgspec.structs.replace(subject, keys=hashes, files=files, comments=comments)
    known = keep(factory, line, known.put(subject))
    # While the log still says which predictions are theirs.
    factory.report(Progress(step="forget", says="removing answers that were written"))
    subject, found.outputs = remove_from_outputs(
        factory, spec, known, subject, found.hashes(known, subject), dry_run=False
    )
    known = keep(factory, line, known.put(subject))
    questions = Annotations.of(factory.state, line).questions_about(found.ids | found.named)
    named = {*found.ids, *found.keys, *questions, *([text] if text else [])}
    _forget_replies(factory, named)
    _forget_notes(factory, line, text)
    forget_views(
        factory.state,
        lambda view: any(one in named or known.hash_of(one) == subject.hash for one in view.values),
    )
    forget_beside(factory, named)
    forget_logs(factory, line)
    labels = _once(factory, _Look(factory, spec, known, subject), found, named)
    _forget_copies(factory, line, found.ids)
    forget_undelivered(factory, line)
    remove_unfinished(factory, line)
    _forget_sent_files(factory, text)
    forget_in_views(factory, line)
    _forget_pictures(factory, files)
    factory.labels_of(line).shrink()
    shrink_emptied(factory, line, subject.hash)
    done = msgspec.structs.replace(subject, done=True, keys=(), files=(), comments=())
    keep(factory, line, known.put(done))
    return found, labels


def _once(factory: Factory, look: _Look, found: _Found, named: Collection[str]) -> int:
    """Take out what was found, but for copies and what other files have of it; return how many changes of labels went."""
    line, subject, key = look.spec.line, look.subject, look.known.key
    listed = ForgottenText(line, look.spec.table.subject or "", key, subject.hash)
    sealed = dict(_sealed_without(factory, line, found.ids))
    files = dict(_files_without(factory, line, found.ids))
    instead = {
        **found.chunks,
        **found.quarantines,
        **found.histories,
        **emptied_comments(factory, found.comments),
        **{one.segment.blob: one.blob for one in sealed.values()},
    }
    numbers = [number for one in found.ids if (number := number_of(one)) is not None]
    with (
        factory.labels_of(line).without_predictions(
            numbers, found.keys, marks_of(factory, line), named
        ) as removed,
        emptied(
            factory, look.spec, listed, partial(look.is_sent_row, found), found.ids | found.named
        ) as emptied_files,
    ):
        lost = removed if removed.labels else None
        factory.metadata.record(
            Forgotten(
                at=factory.now(),
                by=factory.actor,
                because="asked for",
                line=line,
                subject=subject.hash,
                instead=instead,
                segments={
                    **{name: one.prefix for name, one in sealed.items()},
                    **{name: one.prefix for name, one in files.items()},
                },
                datasets=tuple(sorted(found.datasets)),
                models=tuple(found.learned),
                tried=tuple(found.tried),
                predictions=len(found.ids),
                labels=removed.labels,
                rows=sum(map(len, found.rows.values())),
                quarantined=sum(found.quarantined.values()),
                labels_before=end_of_changes(lost.before) if lost else None,
                labels_after=end_of_changes(lost.after) if lost else None,
                shortened=emptied_files.shortened,
                sent=emptied_files.sent,
                key=digest_of_bytes(key.encode()),
            )
        )
    _put_in_place(factory, line, instead, files)
    return removed.labels


def _put_in_place(
    factory: Factory, line: str, instead: Mapping[str, str], files: Mapping[str, "_File"]
) -> None:
    """Have what is without the person in the place of what was there, and free that."""
    for one, blob in instead.items():
        before = [instead_of(one, factory.metadata), one, *blobs_of(one, factory.metadata)]
        put_instead(one, blob, factory.metadata)
        for old in before:
            if old is not None and old != blob and factory.artifacts.has(old):
                factory.artifacts.free(old, before=inf)
    for name, file in files.items():
        _overwrite(factory, line, name, file.frames)


@dataclass(frozen=True)
class _Sealed:
    """A sealed segment without some records."""

    segment: Segment
    blob: str
    prefix: Prefix


def _sealed_without(factory: Factory, line: str, ids: Collection[str]) -> Iterator[tuple[str, _Sealed]]:
    """Keep the Parquet files of those sealed segments that have some of the records without them; give each by its name."""
    sealed = factory.sealed_of(line)
    for segment in sealed.segments().values():
        if (factory.log_of(line) / segment.name).exists():  # killed while it was sealed: the file counts
            continue
        if not any(without(frame.payload, ids) is not None for frame in sealed.frames(segment.name)):
            continue
        digested = Digested()
        with explained(factory.scratch):
            factory.scratch.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=factory.scratch) as draft:
                write_segment(_digested(_without(sealed.frames(segment.name), ids), digested), draft)
                blob = factory.artifacts.put_file(draft)
        yield segment.name, _Sealed(segment, blob, digested.prefix)


def _without(frames: Iterator[Frame], ids: Collection[str]) -> Iterator[Frame]:
    for frame in frames:
        payload = without(frame.payload, ids)
        yield frame if payload is None else frame._replace(payload=payload)


def _digested(frames: Iterator[Frame], digested: Digested) -> Iterator[Frame]:
    for frame in frames:
        digested.take(frame)
        yield frame


@dataclass(frozen=True)
class _File:
    """A segment that is a file, and its frames that are to be others."""

    frames: Mapping[int, bytes]
    """As they are stored, by position."""
    prefix: Prefix


def _files_without(factory: Factory, line: str, ids: Collection[str]) -> Iterator[tuple[str, _File]]:
    folder = factory.log_of(line)
    for path in sorted(folder.glob("*" + ENDING)):
        frames, digested = dict[int, bytes](), Digested()
        for frame in read_segment(folder, path.name):
            payload = without(frame.payload, ids)
            if payload is not None:
                frames[frame.offset] = frame_of(payload)
            digested.take(frame if payload is None else frame._replace(payload=payload))
        if frames:
            yield path.name, _File(frames, digested.prefix)


# Frames in files


class _Redo(msgspec.Struct):
    """What is being written into a segment: a kill leaves half of it, and the next time writes all of it again."""

    path: str
    """Of the segment, below the state."""
    frames: dict[str, bytes]
    """By position."""


def _overwrite(factory: Factory, line: str, name: str, frames: Mapping[int, bytes]) -> None:
    """Write frames over those that are as long, in a segment that another process may go on writing at its end."""
    path = factory.log_of(line) / name
    _write_over(factory, line, path, frames)


def _write_over(factory: Factory, line: str, path: Path, frames: Mapping[int, bytes]) -> None:
    redo = _redo_of(factory, line)
    noted = _Redo(
        path=str(path.relative_to(factory.state)), frames={str(at): frame for at, frame in frames.items()}
    )
    with explained(redo, "the journal of a removal"):
        write_whole(redo, msgspec.msgpack.encode(noted))
        sync_file(redo)
    _write(path, frames)
    redo.unlink()


def _write(path: Path, frames: Mapping[int, bytes]) -> None:
    with explained(path), path.open("r+b", buffering=0) as file:
        for at, frame in frames.items():
            done = 0
            while done < len(frame):
                done += os.pwrite(file.fileno(), frame[done:], at + done)
        os.fsync(file.fileno())


def _redo(factory: Factory, line: str) -> None:
    redo = _redo_of(factory, line)
    try:
        noted = msgspec.msgpack.decode(redo.read_bytes(), type=_Redo)
    except FileNotFoundError:
        return
    except msgspec.MsgspecError as error:
        raise Corrupt(
            "the journal of a removal cannot be read", where=str(redo), hint="linewright verify"
        ) from error
    path = factory.state / noted.path
    if path.resolve().is_relative_to(factory.state):
        _write(path, {int(at): frame for at, frame in noted.frames.items()})
    redo.unlink()


def _redo_of(factory: Factory, line: str) -> Path:
    return line_path(factory.state / "forgotten", line, ".redo")


# What else has something of it


def _forget_copies(factory: Factory, line: str, ids: Collection[str]) -> None:
    """Empty what was answered beside the path of the answer, under the same ids."""
    for folder in sorted(factory.copies_of(line).glob("*")):
        for path in sorted(folder.glob("*" + ENDING)):
            frames: dict[int, bytes] = {}
            for frame in read_segment(folder, path.name):
                payload = without(frame.payload, ids)
                if payload is not None:
                    frames[frame.offset] = frame_of(payload)
            if frames:
                _write_over(factory, line, path, frames)


def _forget_sent_files(factory: Factory, text: str) -> None:
    """Remove the files of clients in which the value stands; who sent one sends it again, or it would go within a day."""
    for path in TextSearch(text).among({*factory.client_files.glob("*/*")}):
        path.unlink(missing_ok=True)


def _forget_pictures(factory: Factory, pictures: Collection[str]) -> None:
    """Remove the pictures that nothing else names, and their numbers; one that comes again meanwhile stays."""
    before = clock_of_files(factory)
    those = unnamed(factory, pictures, in_packages=False) if pictures else set[str]()
    for one in sorted(those):
        factory.artifacts.free(one, before=before)
    drop_features(factory, those)


def _forget_replies(factory: Factory, texts: Collection[str]) -> None:
    """Remove answers of the control plane that name a prediction or a key of the person, or whose idempotency key does."""
    # Known by its file alone: it is of the interfaces, above this room.
    path = factory.state / "replies.sqlite"
    if not path.is_file():
        return
    words = WholeWords(texts)
    with closing(sqlite3.connect(path, timeout=10.0, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        rows = database.execute("SELECT seq, key, request, coalesce(body, '') FROM replies").fetchall()
        those = [(seq,) for seq, *values in rows if any(map(words.are_in, values))]
        database.executemany("DELETE FROM replies WHERE seq = ?", those)
        # Also where none goes now: free pages may have what was evicted before.
        database.execute("VACUUM")


def _forget_notes(factory: Factory, line: str, text: str) -> None:
    """Remove what the engine notes of the line's runs that have ended, where the value stands among it: in an error, say."""
    path = factory.state / "engine.sqlite"
    if any(TextSearch(text).among({path})):
        ended = [one.run for one in factory.metadata.events(Finished, line=line)]
        remove_notes(factory.engine_url, ended)


# Where the text stands


def places_of(factory: Factory, search: TextSearch) -> Iterator[str]:
    """Give the files of the state in which a text stands."""
    factory.report(Progress(step="forget", says="searching all files of the state"))
    paths = {path for path in factory.state.rglob("*") if not path.is_symlink()}
    yield from (str(path.relative_to(factory.root)) for path in search.among(paths))


def _sources(factory: Factory, spec: LineSpec) -> set[Path]:
    """Return the files that a line reads."""
    named: set[Path] = set()
    for source in (*readable_sources(factory, spec).values(), *own_sources(spec)):
        for written in source.local_files:
            with suppress(RequestError):
                named |= set(files_of(written, factory.root, ""))
    # What was sent is looked for, and removed, with all that is stored.
    return {path for path in named if path.parent != factory.state / PUSH}


def _others(factory: Factory, spec: LineSpec) -> set[Path]:
    """Return the user's own files: what is declared, and tables in the factory's folder and its `data`, but for scheduled answers."""
    declared = {
        factory.root / FACTORY_FILE,
        *(factory.root / "lines").rglob("*"),
        *(factory.root / FEATURES).rglob("*"),
    }
    found = {
        *factory.root.glob("*"),
        *factory.root.glob(f".*/{_BACKUP_DRAFT}"),
        *(factory.root / "data").rglob("*"),
    }
    written = {factory.root / one.place for one in outputs_of(factory, spec)}
    found -= written | {path.with_name(f"{path.stem}.quarantine.csv") for path in written}
    return declared | {path for path in found if path.suffix in _TABLES or path.name == _BACKUP_DRAFT}


def _unread(factory: Factory, spec: LineSpec) -> Iterator[str]:
    """Name the sources that are elsewhere: a line only reads them."""
    own = {f"predict.{name}": job.source for name, job in spec.predict.items() if job.source is not None}
    for name, source in {**readable_sources(factory, spec), **own}.items():
        if isinstance(source, DltSource) or (not source.local_files and not isinstance(source, PushSource)):
            yield f"{name}: {source.describe()}"


def _serving(factory: Factory, line: str) -> set[str]:
    canary = canary_of(factory.metadata, line)
    versions = (factory.metadata.pointer(line).champion, canary.model if canary else None)
    return {f"{line}@{version}" for version in versions if version is not None}
