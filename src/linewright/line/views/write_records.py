"""The files of records that endpoints read feature views from: made by runs, and by the worker while it looks after lines."""

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import process_time

import msgspec
import numpy as np

from linewright.data.read.source import Source
from linewright.engine.lock import ProcessLock
from linewright.errors import Corrupt, LinewrightError, SpecError
from linewright.features.facts import RecordsWritten, ViewFacts
from linewright.features.spec import ViewSpec
from linewright.features.views.records import (
    ENDING,
    FOLDER,
    KEY,
    Records,
    RecordsHeader,
    check_records,
    columns_of,
    damage_path,
    files_of_records,
    known_by,
    records_path,
    write_records,
)
from linewright.features.views.windows import Events, Values
from linewright.line.factory import Factory
from linewright.line.file.view_file import placed_in_view, read_view
from linewright.line.retention.forgotten_in_views import forgotten_digest
from linewright.line.retention.forgotten_rows import forgotten_in_view
from linewright.line.views.read_events import ViewEvents, newest_instant, read_events
from linewright.line.views.sources import read_view_until
from linewright.store.clock import instant_of, micros_of
from linewright.store.pushed_rows import PushedRows
from linewright.store.shared_features import shared_features
from linewright.text.durations import duration_micros
from linewright.text.lists import to_list_text

_OLD_S = 30 * 86_400


def write_view(factory: Factory, facts: ViewFacts) -> RecordsHeader:
    """Write what is known now of the entities of a view, as a model has learned it, for endpoints to read; nothing of those who are forgotten."""
    while True:
        before = forgotten_digest(factory, facts.view)
        header = _write_view(factory, facts)
        # Who was forgotten while it was written may be in it again.
        if forgotten_digest(factory, facts.view) == before:
            return header


def _write_view(factory: Factory, facts: ViewFacts) -> RecordsHeader:
    begun, view = process_time(), read_view(factory.root, facts.view)
    learned = ViewSpec.of(facts, view)
    source, known = _rows_now(factory, view)
    read = read_events(
        learned,
        factory.root,
        source=source,
        with_keys=facts.key is not None,
        forgotten=forgotten_in_view(factory, facts.view),
    )
    _refuse_other_types(factory, facts, read)
    events = known_by(read.events, known)
    header = RecordsHeader(
        facts=facts,
        known=known,
        words=tuple(tuple(events.columns[text].words) for text, _ in columns_of(facts)),
        entities=read.entities.height,
        has_keys=KEY in events.columns,
        **view.settings,
        newest=newest_instant(events.time),
        newest_known=newest_instant(events.known),
        cpu_s=process_time() - begun,
    )
    path, shared = records_path(factory.state, facts), shared_features(factory.state)
    share = None if shared is None else partial(shared.publish, path.name, header.known)
    enter = partial(_entered, factory, path)
    write_records(path, header, events, entity_texts(read), share=share, enter=enter)
    return header


@contextmanager
def _entered(factory: Factory, path: Path, digest: str) -> Generator[None]:
    """Enter the digest of a file into the record, before it takes its place: a kill in between leaves the one before, which is entered with it."""
    with records_lock(factory):
        last, before = factory.metadata.newest_with(RecordsWritten, "file", path.name), ""
        with suppress(FileNotFoundError, LinewrightError):
            before = check_records(path)
        factory.metadata.record(
            RecordsWritten(
                at=factory.now(),
                by=factory.actor,
                because="requests read what is known now",
                line="",
                file=path.name,
                digest=digest,
                before=before if last is None or before in {last.digest, last.before} else "",
            )
        )
        yield


@contextmanager
def records_lock(factory: Factory) -> Generator[None]:
    """Keep each file of records the one that the record names last."""
    lock = ProcessLock(factory.state / "views.lock")
    lock.wait(lambda _: None)
    try:
        yield
    finally:
        lock.release()


def _rows_now(factory: Factory, view: ViewSpec) -> tuple[Source | None, int]:
    """Return a moment such that all that is known of the source of a view by then is read from now on: microseconds since 1970.

    The rows of a source with a history are read and kept, and are known by then.
    """
    rows, moments, sent = None, list[int](), view.newer
    if view.source.has_history:
        rows, moment = read_view_until(view, factory)
        moments.append(micros_of(moment))
    if sent is not None:  # after it, or the newest versions would be known too late
        pushed = PushedRows.of(factory.state, sent.push, now=factory.now)
        if pushed.is_open:
            moments.append(pushed.moment())
    return rows, min(moments, default=micros_of(factory.now()) - 1)


def entity_texts(read: ViewEvents) -> list[str]:
    """Return the text of each entity, as `serve.rows.newer_rows.entity_of` has it."""
    columns = [read.entities[name].to_list() for name in read.facts.entity]
    return columns[0] if len(columns) == 1 else [to_list_text(texts) for texts in zip(*columns, strict=True)]


def write_without(factory: Factory, views: Collection[str]) -> None:
    """Write all files of records of some views again, also those of former models, as somebody was forgotten.

    A file that cannot be written has no records until it can.
    """
    shared = shared_features(factory.state)
    for path in files_of_records(factory.state):
        try:
            header = Records(path).header
        except FileNotFoundError:
            continue
        except Corrupt:
            path.unlink(missing_ok=True)
            continue
        if header.facts.view in views:
            if shared is not None:
                shared.withdraw(path.name)
            try:
                write_view(factory, header.facts)
            except LinewrightError:
                _empty(factory, path, header)


def _empty(factory: Factory, path: Path, header: RecordsHeader) -> None:
    columns = columns_of(header.facts)
    emptied = msgspec.structs.replace(
        header,
        known=0,
        words=((),) * len(columns),
        entities=0,
        has_keys=False,
        newest=None,
        newest_known=None,
    )
    nothing = np.zeros(0, dtype=np.int64)
    events = Events(
        starts=np.zeros(1, dtype=np.int64),
        time=nothing,
        known=nothing,
        until=nothing,
        columns={text: Values(kind=kind, numbers=np.zeros(0)) for text, kind in columns},
    )
    write_records(path, emptied, events, (), enter=partial(_entered, factory, path))


def damaged_of(factory: Factory, views: Iterable[ViewFacts], *, is_alerted: bool) -> list[str]:
    """Return the names of the views whose files are damaged, of those that an endpoint tells of; after an alert, of all."""
    return [
        facts.view
        for facts in views
        if (is_alerted or damage_path(records_path(factory.state, facts)).exists())
        and _is_damaged(records_path(factory.state, facts))
    ]


def _is_damaged(path: Path) -> bool:
    """Return whether a file is not what was written, or has no checksums and an endpoint met damage; forget a word about one that is sound."""
    word = damage_path(path)
    try:
        check_records(path)
        is_damaged = word.exists() and not Records(path).has_checks
    except FileNotFoundError:
        is_damaged = False  # it is written again as any that is missing
    except Corrupt:
        return True
    if not is_damaged:
        word.unlink(missing_ok=True)
    return is_damaged


def write_due(factory: Factory, views: Iterable[ViewFacts]) -> str | None:
    """Write the files of views that are not there, older than `every` or of other settings; return when the next one is due, UTC, or `None`."""
    due, troubles = list[str](), list[LinewrightError]()
    for facts in views:
        try:
            view = read_view(factory.root, facts.view)
            every, header = duration_micros(view.every), _header(factory, facts)
            is_old = header is None or header.known + every <= micros_of(factory.now())
            word = damage_path(records_path(factory.state, facts))
            is_damaged = word.exists() and _is_damaged(records_path(factory.state, facts))
            if header is None or is_old or is_damaged or not header.has_settings(view.settings):
                header = write_view(factory, facts)
                word.unlink(missing_ok=True)
                _remove_old(factory, facts)
            due.append(instant_of(header.known + every))
        except LinewrightError as error:
            troubles.append(error)
    if troubles:
        raise troubles[0]
    return min(due, default=None)


def _remove_old(factory: Factory, facts: ViewFacts) -> None:
    """Remove files of a view that no model has read from for long, and what a kill has left of one that was written.

    Those of models that serve are written again and again.
    """
    oldest = micros_of(factory.now()) / 1e6 - _OLD_S
    for path in (factory.state / FOLDER).glob(f"*{facts.view}-*{ENDING}*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _header(factory: Factory, facts: ViewFacts) -> RecordsHeader | None:
    """Return what the newest records of a view say of themselves, also of those that another machine wrote; `None` if there are none."""
    path, shared, header = records_path(factory.state, facts), shared_features(factory.state), None
    with suppress(FileNotFoundError, LinewrightError):
        header = Records(path).header
    if shared is not None and shared.fetch(path, since=-1 if header is None else header.known):
        header = Records(path).header
    return header


def _refuse_other_types(factory: Factory, facts: ViewFacts, read: ViewEvents) -> None:
    learned = {one.name: one.type for one in facts.inputs}
    for one in read.facts.inputs:
        was = learned[one.name]
        if one.type != was and {one.type, was} != {"number", "integer"}:
            error = SpecError(
                f"{one.name!r} is a {one.type} now, and the model learned from a {was}",
                where="source",
                found=one.type,
                allowed=was,
                hint="correct the source, or run the line again",
            )
            raise placed_in_view(error, factory.root, facts.view)
