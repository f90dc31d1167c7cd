"""What feature views have of a person, and taking it out of them."""

from contextlib import suppress
from typing import NamedTuple

from linewright.errors import LinewrightError
from linewright.features.views.records import ENDING, FOLDER, Records
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_view
from linewright.line.retention.forgotten_in_views import views_of
from linewright.line.spec import LineSpec
from linewright.line.views.sources import open_view
from linewright.line.views.write_records import write_without


class FoundInViews(NamedTuple):
    """What feature views have of a person."""

    views: tuple[str, ...]
    """Those whose source has the column that names the person, as far as it can be read, or that have records of it."""
    records: int
    """Of the person, in the files of all models; not those of entities that several columns name."""


def find_in_views(factory: Factory, spec: LineSpec, text: str) -> FoundInViews:
    """Return what the feature views of a line have of a person."""
    subject, names, records = str(spec.table.subject), set[str](), 0
    views = views_of(factory, spec.line)
    for view in views:
        with suppress(LinewrightError):
            if subject in open_view(read_view(factory.root, view), factory).columns:
                names.add(view)
    for path in sorted((factory.state / FOLDER).glob(f"*{ENDING}")):
        with suppress(FileNotFoundError, LinewrightError):
            held = Records(path)
            facts = held.header.facts
            if facts.view in views and subject in facts.entity:
                names.add(facts.view)
                records += facts.entity == (subject,) and held.find([text]).digests[0] is not None
    return FoundInViews(tuple(sorted(names)), records)


def forget_in_views(factory: Factory, line: str) -> None:
    """Have the records of the feature views of a line be without all whom it has forgotten."""
    views = views_of(factory, line)
    if views:
        write_without(factory, views)
