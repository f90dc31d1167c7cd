"""Taking a person out of rows that were sent to sources, and out of the annotation of a line.

Rows that were sent are the factory's: what one line forgets goes for all lines that read the source.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

from linewright.data.spec import PushSource, SourceSpec
from linewright.errors import Corrupt
from linewright.features.views.records import ENDING, FOLDER, Records
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Forgotten, Shortened
from linewright.line.record.chained_files import (
    ALL_LINES,
    end_of_changes,
    known_ends,
    marks_of_file,
    name_of_annotations,
    name_of_sent,
    names_of,
)
from linewright.line.retention.forgotten_in_views import views_of
from linewright.line.spec import LineSpec
from linewright.line.views.sources import readable_sources
from linewright.people.annotations import Annotations
from linewright.store.changes import Chained
from linewright.store.pushed_rows import ForgottenText, PushedRows

Theirs = Callable[[Mapping[str, Any], bool], bool]
"""Says of a row, and of whether its source is one of the line and not of a feature view, whether it is about the person."""
_ROW: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class Emptied(NamedTuple):
    """What went from files whose changes are chained."""

    sent: int
    """Rows that had been sent."""
    shortened: dict[str, Shortened]


def sent_sources(factory: Factory, spec: LineSpec) -> dict[str, bool]:
    """Return the sources that rows are sent to and that a line or a feature view of it reads, or read once; and whether the line itself does."""
    metadata = factory.metadata
    declared = {one.declared for one in metadata.events(Accepted, line=spec.line)}
    specs = [spec, *(LineSpec.model_validate(metadata.get(one, Declared).spec) for one in declared)]
    own = {one.push for one in specs for one in own_sources(one) if isinstance(one, PushSource)}
    views = {one.push for one in readable_sources(factory, spec).values() if isinstance(one, PushSource)}
    # Records know it of a view whose file is gone.
    views |= set(_pushed_to_views(factory, spec.line))
    return {name: name in own for name in sorted(own | views)}


def _pushed_to_views(factory: Factory, line: str) -> Iterator[str]:
    views = views_of(factory, line)
    for path in sorted((factory.state / FOLDER).glob(f"*{ENDING}")):
        with suppress(FileNotFoundError, Corrupt):
            header = Records(path).header
            if header.push is not None and header.facts.view in views:
                yield header.push


def readers_of_sent(factory: Factory, line: str, sources: Mapping[str, bool]) -> set[str]:
    """Return the other lines that read one of some sources that rows are sent to."""
    others = (name for name in factory.names() if name != line and factory.trouble_with(name) is None)
    return {name for name in others if sources.keys() & sent_sources(factory, factory.line(name)).keys()}


def count_sent(factory: Factory, sources: Mapping[str, bool], is_theirs: Theirs) -> int:
    """Count the rows about a person that were sent."""
    return sum(
        is_theirs(_ROW.decode(row.row), is_own)
        for name, is_own in sources.items()
        for rows in _stores(factory, name)
        for some in rows.rows()
        for row in some
    )


@contextmanager
def emptied(
    factory: Factory, spec: LineSpec, listed: ForgottenText, is_theirs: Theirs, asked: set[str]
) -> Generator[Emptied]:
    """Give what is removed about a person: it has happened once the block is left, and not at all where that raises."""
    sent, shortened, line = 0, dict[str, Shortened](), spec.line
    with ExitStack() as open_files:
        known = known_ends(factory, ALL_LINES)
        for source, is_own in sent_sources(factory, spec).items():
            name, theirs = name_of_sent(source), _of_text(is_theirs, is_own=is_own)
            for rows in _stores(factory, source):
                removal = rows.without(theirs, [listed], marks_of_file(known, name))
                removed = open_files.enter_context(removal)
                sent += removed.rows
                shortened |= _moved(name, removed.before, removed.after)
        name, annotations = name_of_annotations(line), Annotations.of(factory.state, line)
        marks = marks_of_file(known_ends(factory, line), name)
        ends = open_files.enter_context(annotations.without(asked, marks))
        if ends is not None:
            shortened |= _moved(name, *ends)
        yield Emptied(sent, shortened)


def shrink_emptied(factory: Factory, line: str, subject: str) -> None:
    """Rewrite the files from which something of a person went, as events say: in their free pages it may still stand."""
    removals = factory.metadata.events(Forgotten, line=line)
    names = {name for one in removals if one.subject == subject for name in one.shortened}
    for name in names_of(factory, ALL_LINES):
        if name in names:
            for rows in _stores(factory, name.partition("/")[2]):
                rows.shrink()
    if name_of_annotations(line) in names:
        Annotations.of(factory.state, line).shrink()


def own_sources(spec: LineSpec) -> Iterator[SourceSpec]:
    """Give the sources of a line, and those that it only predicts for."""
    yield from spec.sources.values()
    yield from (job.source for job in spec.predict.values() if job.source is not None)


def _stores(factory: Factory, source: str) -> Iterator[PushedRows]:
    """Give what has rows of a source: the database that machines share, and the file, in which rows of before they were shared stay."""
    rows = PushedRows.of(factory.state, source, now=factory.now)
    for one in (rows, PushedRows(rows.file, now=factory.now)) if type(rows) is not PushedRows else (rows,):
        if one.is_open:
            yield one


def _of_text(is_theirs: Theirs, *, is_own: bool) -> Callable[[str], bool]:
    return lambda text: is_theirs(_ROW.decode(text), is_own)


def _moved(name: str, before: Chained, after: Chained) -> dict[str, Shortened]:
    if before == after:
        return {}
    return {name: Shortened(before=end_of_changes(before), after=end_of_changes(after))}
