"""Whose rows are left out of feature views: of those that any line with the view has forgotten, since a view is computed once for all of them."""

from collections.abc import Collection, Iterator
from contextlib import suppress

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.retention.forgotten import Forgetting, forgotten_of, last_declared
from linewright.line.spec import LineSpec
from linewright.store.values import digest_of


def forgotten_of_others(factory: Factory, line: str, views: Collection[str]) -> str | None:
    """Return a digest of whom other lines have forgotten that have one of some views; `None` where nobody is."""
    named = {one.input for view in views for _, one in lists_of(factory, view)}
    others = sorted(one for one in named - {forgotten_of(factory, line).input} if one)
    return digest_of(others) if others else None


def forgotten_digest(factory: Factory, view: str) -> str:
    """Return a digest of all who are left out of a view."""
    return digest_of(sorted((column, known.input or "") for column, known in lists_of(factory, view)))


def views_of(factory: Factory, line: str) -> frozenset[str]:
    """Return the names of the feature views that a line has, or had when it last ran."""
    return frozenset(view for spec in _specs(factory, line) for view in spec.features)


def lists_of(factory: Factory, view: str) -> Iterator[tuple[str, Forgetting]]:
    """Give the lists of the lines that have a view, each with the column that names the person."""
    for line in sorted({*factory.names(), *factory.metadata.lines()}):
        known = forgotten_of(factory, line)
        if known.subjects:
            columns = {spec.table.subject for spec in _specs(factory, line) if view in spec.features}
            for column in sorted(one for one in columns if one is not None):
                yield column, known


def _specs(factory: Factory, line: str) -> Iterator[LineSpec]:
    """Give what the file of a line says, if it is right, and what it said when the line last ran."""
    with suppress(LinewrightError):  # a wrong or removed file brings nobody back
        yield factory.line(line)
    if (spec := last_declared(factory, line)) is not None:
        yield spec
