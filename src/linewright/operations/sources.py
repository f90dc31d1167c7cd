"""The operation about sources: what is read, by which lines, and how the last read went."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.data.spec import SOURCES, SourceSpec, table_sources
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, Plan
from linewright.line.personal import because_of, hidden_columns
from linewright.line.retention.dropped import dropped_at
from linewright.line.runs.progress import steps_of
from linewright.line.spec import LineSpec
from linewright.operations.declaration.declare import operation

MOST_COMPARED = 200
"""Lines up to which is looked which others read the same: their files are parsed for it."""
_FEW = 5
"""Accepted runs of a line among which the last that ended mostly is."""


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a line, and how its last read went."""

    line: str
    name: str
    kind: str
    """Word of the line file that names the kind, such as ``file`` or ``sql``."""
    reads: str
    """What is read, without secrets."""
    also: tuple[str, ...] | None
    """Other lines that read the same; `None` if there are too many lines to compare (`MOST_COMPARED`)."""
    read_at: str | None = None
    """When the last run ended that has read it; `None`, as the next five, if none has."""
    run: str | None = None
    fingerprint: str | None = None
    """Digest of what it held and how it was read."""
    seconds: float | None = None
    """Seconds in which that run read all sources of the line and checked the contract; `None` if that was not noted."""
    rows: int | None = None
    """Rows that were read; `None` if the table is made of several sources."""
    newest: str | None = None
    """Time of the newest row, by `table.time`; `None` without such a column, or if you may not see it."""
    trouble: str = ""
    """Why the last run failed before it had read its sources; empty if it did not."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of lines."""

    sources: tuple[SourceStatus, ...]
    troubles: tuple[str, ...]
    """What is wrong with line files: their sources are not known."""
    next: str | None = None
    """What `after` is for the next lines; `None` after the last."""


@operation(permission="view", effect="read", expensive=True, checks_lines=True)
def sources(
    factory: Factory,
    line: str | None = None,
    /,
    *,
    after: str = "",
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000,
) -> Sources:
    """List the sources of lines: what is read, when it was read last and how that went.

    Parameters
    ----------
    line
        Name of one line (default: all that you may see).
    after
        Name of a line: those after it, by name.
    limit
        Most lines.
    """
    if line is not None:
        factory.identity.require("view", (line,))
        factory.path_of(line)
    visible = sorted(one for one in factory.names() if factory.may("view", one))
    later = [line] if line is not None else [one for one in visible if one > after]
    wanted = later[:limit]
    compared = visible if len(visible) <= MOST_COMPARED else wanted
    specs, troubles = dict[str, LineSpec](), list[str]()
    for name in compared:
        try:
            specs[name] = factory.line(name)
        except LinewrightError as error:
            if name in wanted:
                troubles.append(str(error))
    same = _readers(specs) if compared is visible else None
    return Sources(
        sources=tuple(
            one for name in wanted if name in specs for one in _of_line(factory, specs[name], same)
        ),
        troubles=tuple(troubles),
        next=wanted[-1] if len(later) > len(wanted) else None,
    )


def _readers(specs: Mapping[str, LineSpec]) -> Mapping[str, list[str]]:
    """Return the lines that read the same, by what they read."""
    found = defaultdict[str, list[str]](list)
    for name, spec in specs.items():
        for source in dict.fromkeys(map(_identity, spec.sources.values())):
            found[source].append(name)
    return found


def _identity(source: SourceSpec) -> str:
    return f"{_kind(source)} {source.model_dump_json(exclude={'limits'})}"


def _kind(source: SourceSpec) -> str:
    word = next((word for word, kind in SOURCES.items() if type(source) is kind), None)
    return word or next(iter(type(source).model_fields))


def _of_line(
    factory: Factory, spec: LineSpec, same: Mapping[str, list[str]] | None
) -> Iterator[SourceStatus]:
    runs = factory.metadata.events(Finished, line=spec.line, newest_first=True, limit=1)
    if runs and runs[0].ingested is None:
        runs = factory.metadata.events(Finished, line=spec.line, newest_first=True)
    last = next((one for one in runs if one.ingested is not None), None)
    failed = runs and runs[0].outcome == "failed" and runs[0].ingested is None
    accepted = None if last is None else _accepted(factory, last)
    fingerprints = factory.metadata.get(accepted.plan, Plan).sources if accepted else {}
    read = {} if last is None else _read(factory, spec, last, accepted)
    for name, source in spec.sources.items():
        yield SourceStatus(
            line=spec.line,
            name=name,
            kind=_kind(source),
            reads=source.describe(),
            also=None if same is None else tuple(one for one in same[_identity(source)] if one != spec.line),
            fingerprint=fingerprints.get(name),
            trouble=because_of(factory, runs[0]) if failed else "",
            **(read if name in fingerprints else {}),
        )


def _accepted(factory: Factory, run: Finished) -> Accepted | None:
    newest = factory.metadata.events(Accepted, line=run.line, newest_first=True, limit=_FEW)
    found = next((one for one in newest if one.run == run.run), None)
    return found or factory.metadata.newest_with(Accepted, "run", run.run)


def _read(factory: Factory, spec: LineSpec, run: Finished, accepted: Accepted | None) -> dict[str, Any]:
    """Return what a run read, as fields of a `SourceStatus`."""
    steps = steps_of(factory, accepted).steps if accepted else ()
    ingested = factory.metadata.get(str(run.ingested), Ingested)
    is_one = len(table_sources(spec)) == 1
    return {
        "read_at": run.at,
        "run": run.run,
        "seconds": next((one.seconds for one in steps if one.step == "ingest"), None),
        "rows": ingested.rows_read if is_one else None,
        "newest": _newest(factory, spec, ingested.dataset),
    }


def _newest(factory: Factory, spec: LineSpec, digest: str) -> str | None:
    time = spec.table.time
    if time is None or time in hidden_columns(factory, spec.line) or dropped_at(factory, digest):
        return None
    dataset = factory.metadata.get(digest, Dataset)
    if time not in {one.name for one in dataset.columns}:
        return None
    newest = read_dataset(dataset, factory.artifacts, factory.metadata, columns=[time])[time].max()
    return None if newest is None else str(newest)
