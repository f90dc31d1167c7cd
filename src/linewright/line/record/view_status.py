"""The feature views of a factory: what each computes, when it was read and written last, and which lines and models use it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from linewright.data.facts import Ingested
from linewright.data.spec import kind_of
from linewright.errors import LinewrightError, NotFound
from linewright.features.facts import FeaturesAudited, ViewFacts, ViewRead
from linewright.features.spec import ViewSpec
from linewright.features.views.aggregates import Aggregate
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.personal import because_of, hidden_anywhere
from linewright.line.record.data.readings import last_read
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.record.registry import served_versions
from linewright.line.views.column_origins import source_columns, views_in
from linewright.model.facts import Package
from linewright.store.clock import instant_of, micros_of
from linewright.text.durations import duration_micros

_WORD = b"features"
_LATE = 2
"""Records are late after so many times `every`: the worker writes them between other work."""


class ViewColumnStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a view."""

    name: str
    says: str
    """What it computes, as ``sum(amount) over 30d``."""
    type: str | None
    """As the last run found it; `None` if none has read the view with this column."""
    reads: tuple[str, ...]
    """Columns of the source that it is computed from."""


class ViewReading(msgspec.Struct, frozen=True, kw_only=True):
    """The last time that a run read the source of a view."""

    line: str
    run: str
    at: str
    rows: int
    entities: int
    newest: str | None
    """When the newest row that counts happened, UTC; `None` if none does, it was not noted, or you may not see it."""
    newest_known: str | None
    """When the row that was known last could be known, UTC."""


class RecordsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a view that endpoints read."""

    made: str
    """What was known then is in them, UTC."""
    bytes: int
    entities: int
    newest: str | None
    """As in `ViewReading`, of the events that they hold."""
    newest_known: str | None
    has_settings: bool
    """Whether they have the `push`, `max_age` and `otherwise` that the file of the view has now."""
    cpu_s: float | None
    """Seconds of processor time that reading the source and writing them took; `None` if it was not noted."""


class AuditStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the last audit of logged features found."""

    at: str
    rows: int
    differ: int
    behind: int


class ViewUse(msgspec.Struct, frozen=True, kw_only=True):
    """A line that names a view."""

    line: str
    models: tuple[str, ...]
    """Its models that serve or are tried and read a column of the view, as LINE@VERSION."""
    audited: AuditStatus | None
    """`None` if no audit has found a logged row yet."""


class ViewProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a view."""

    kind: Literal["unread", "absent", "late", "settings", "changed", "differs"]
    """
    - ``unread``: the last run of a line failed before it had read its sources;
    - ``absent``: a model serves without records here;
    - ``late``: the records are older than `max_age`, or than twice `every`;
    - ``settings``: the records have another `push`, `max_age` or `otherwise` than its file has now;
    - ``changed``: a model that serves has learned from another form of the view than its file has now;
    - ``differs``: the last audit found logged rows that differ.
    """
    line: str = ""
    """Of which line, if of one."""
    about: str = ""
    """Model, error, number of rows or instant that it is about."""


class ViewStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A feature view."""

    view: str
    about: str
    owner: str | None
    entity: tuple[str, ...]
    kind: str
    """Word that names the kind of its source, such as ``file`` or ``sql``."""
    reads: str
    """What its source reads, without secrets."""
    where: str | None
    """Condition that rows have to satisfy."""
    every: str
    max_age: str | None
    otherwise: str
    columns: tuple[ViewColumnStatus, ...]
    used_by: tuple[ViewUse, ...]
    """Lines that you may see, by name."""
    read: ViewReading | None
    """`None` if no run has read it."""
    records: RecordsStatus | None
    """`None` if there are none here."""
    problems: tuple[ViewProblem, ...]


def lines_by_view(factory: Factory) -> tuple[Mapping[str, list[str]], list[str]]:
    """Return the lines that name each view, of those that who asks may see, and what is wrong with files of lines that name any."""
    found, wrong = dict[str, list[str]](), list[str]()
    for name in sorted(one for one in factory.names() if factory.may("view", one)):
        if not _may_name_views(factory.path_of(name)):
            continue
        try:
            named = factory.line(name).features
        except LinewrightError as error:
            wrong.append(str(error))
            continue
        for view in named:
            found.setdefault(view, []).append(name)
    return found, wrong


def _may_name_views(path: Path) -> bool:
    """Return whether a line file may name a view; most do not: parsing them would take long."""
    try:
        return _WORD in path.read_bytes()
    except OSError:
        return True  # parsing it says what is wrong


def view_status(factory: Factory, view: ViewSpec, lines: Sequence[str]) -> ViewStatus:
    """Return how a view stands."""
    read, failed = _read(factory, view, lines)
    served = {line: list(served_with(factory, view.view, line)) for line in lines}
    learned = [facts for models in served.values() for _, facts in models]
    # Of several forms of a view it is that of the file, if a model has learned it by now.
    facts = next((one for one in learned if is_form_of(view, one)), learned[0] if learned else None)
    records = None if facts is None else _records(factory, facts, view)
    uses = [_use(factory, line, served[line]) for line in lines]
    is_hidden = view.time in hidden_anywhere(factory)
    types = {} if read is None else {one.name: one.type for one in read[1].facts.columns}
    return ViewStatus(
        view=view.view,
        about=view.about,
        owner=view.owner,
        entity=view.entities,
        kind=kind_of(view.source),
        reads="; ".join(one.describe() for one in view.sources),
        where=view.where,
        every=view.every,
        max_age=view.max_age,
        otherwise=view.otherwise,
        columns=tuple(_column(one, types) for one in view.aggregates),
        used_by=tuple(uses),
        read=None if read is None else _reading(*read, is_hidden=is_hidden),
        records=msgspec.structs.replace(records, newest=None, newest_known=None)
        if records is not None and is_hidden
        else records,
        problems=(*failed, *_problems(factory, view, uses, served, records)),
    )


def is_form_of(view: ViewSpec, facts: ViewFacts) -> bool:
    """Return whether a model has learned the columns that the file of a view has now, but for the types of the source."""
    kinds = {one.name: one.type for one in facts.inputs}
    return set(view.inputs) == set(kinds) and view.facts(kinds) == facts  # pyright: ignore[reportArgumentType]


def _column(aggregate: Aggregate, types: Mapping[str, str]) -> ViewColumnStatus:
    return ViewColumnStatus(
        name=aggregate.name,
        says=aggregate.text,
        type=types.get(aggregate.name),
        reads=source_columns(aggregate),
    )


def served_with(factory: Factory, view: str, line: str) -> Iterator[tuple[str, ViewFacts]]:
    """Give the models of a line that serve and read a view, each with the view as it learned it."""
    for version in served_versions(factory, line):
        views = factory.metadata.get(version.digest, Package).views
        yield from ((f"{line}@{version.version}", facts) for facts in views if facts.view == view)


def _use(factory: Factory, line: str, models: Sequence[tuple[str, ViewFacts]]) -> ViewUse:
    found = newest_of(factory, line, FeaturesAudited)
    audited = found and AuditStatus(at=found.at, rows=found.rows, differ=found.differ, behind=found.behind)
    return ViewUse(line=line, models=tuple(dict.fromkeys(name for name, _ in models)), audited=audited)


def _read(
    factory: Factory, view: ViewSpec, lines: Sequence[str]
) -> tuple[tuple[Finished, ViewRead] | None, list[ViewProblem]]:
    """Return the newest run of some lines that read a view, and those that failed before."""
    found, failed = list[tuple[Finished, ViewRead]](), list[ViewProblem]()
    for line in lines:
        last, before = last_read(factory, line)
        if before is not None:
            failed.append(ViewProblem(kind="unread", line=line, about=because_of(factory, before)))
        if last is not None:
            found += [(last, one) for one in views_read(factory, last) if one.facts.view == view.view]
    return max(found, key=lambda one: one[0].at, default=None), failed


def views_read(factory: Factory, run: Finished) -> tuple[ViewRead, ...]:
    """Return the feature views as a run has read them; none if retention dropped what it read."""
    with suppress(NotFound):
        return views_in(factory.metadata, factory.metadata.get(str(run.ingested), Ingested))
    return ()


def _reading(run: Finished, read: ViewRead, *, is_hidden: bool) -> ViewReading:
    return ViewReading(
        line=run.line,
        run=run.run,
        at=run.at,
        rows=read.rows,
        entities=read.entities,
        newest=None if is_hidden else read.newest,
        newest_known=None if is_hidden else read.newest_known,
    )


def _records(factory: Factory, facts: ViewFacts, view: ViewSpec) -> RecordsStatus | None:
    from linewright.features.views.records import Records, records_path  # noqa: PLC0415 -- `plan` imports this module and reads no records

    path = records_path(factory.state, facts)
    with suppress(FileNotFoundError, LinewrightError):
        records = Records(path)
        header = records.header
        return RecordsStatus(
            made=instant_of(header.known),
            bytes=path.stat().st_size,
            entities=header.entities,
            newest=header.newest,
            newest_known=header.newest_known,
            has_settings=header.has_settings(view.settings),
            cpu_s=header.cpu_s,
        )
    return None


def changed_models(
    view: ViewSpec, served: Mapping[str, Sequence[tuple[str, ViewFacts]]]
) -> Iterator[ViewProblem]:
    """Give the models that serve and have learned from another form of a view than its file has now."""
    for line, models in served.items():
        for model, facts in models:
            if not is_form_of(view, facts):
                yield ViewProblem(kind="changed", line=line, about=model)


def _problems(
    factory: Factory,
    view: ViewSpec,
    uses: Sequence[ViewUse],
    served: Mapping[str, Sequence[tuple[str, ViewFacts]]],
    records: RecordsStatus | None,
) -> Iterator[ViewProblem]:
    if records is None and any(served.values()):
        yield ViewProblem(kind="absent")
    if records is not None:
        oldest = duration_micros(view.every) * _LATE
        if view.max_age is not None:
            oldest = min(oldest, duration_micros(view.max_age))
        if micros_of(records.made) + oldest < micros_of(factory.now()):
            yield ViewProblem(kind="late", about=records.made)
        if not records.has_settings:
            yield ViewProblem(kind="settings")
    yield from changed_models(view, served)
    for use in uses:
        if use.audited is not None and use.audited.differ:
            yield ViewProblem(kind="differs", line=use.line, about=f"{use.audited.differ}")
