"""What the feature views of a line read, and the digest of it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from linewright.data.read.reader import fingerprint, read_live
from linewright.data.spec import SourceSpec
from linewright.errors import LinewrightError
from linewright.features.spec import ViewSpec
from linewright.line.factory import Factory
from linewright.line.file.view_file import FOLDER, placed_in_view, read_view, read_views
from linewright.line.spec import LineSpec
from linewright.store.values import digest_of

if TYPE_CHECKING:
    from linewright.data.read.source import Source

_ELSEWHERE = {"about", "owner", "source", "ttl", "columns", "where", "every", "max_age", "otherwise"}
"""Fields of a view that do not matter for what it computes, or that are said in another form."""
VIEW = "view:"
"""How `Work.sources` names a feature view, ``view:customer_30d``."""


def view_fingerprint(view: ViewSpec, root: Path, *, seen: str | None = None) -> str:
    """Return a digest of what a view computes and of what its source holds.

    Parameters
    ----------
    seen
        Fingerprint of the source, if it was read already.

    Raises
    ------
    SpecError, RequestError
        If the source cannot be read.
    """
    try:
        source = seen or fingerprint(view.source, root, "source")
    except LinewrightError as error:
        raise placed_in_view(error, root, view.view) from error
    said = view.model_dump(mode="json", exclude=_ELSEWHERE)
    columns = {one.name: one.text for one in view.aggregates}
    where = None if view.condition is None else view.condition.text
    return digest_of({"view": said, "columns": columns, "where": where, "source": source})


def read_live_view(view: ViewSpec, root: Path) -> "tuple[Source, str]":
    """Return the rows of the source of a view that others may write to, and the digest of the view with just these rows.

    Raises
    ------
    SpecError, RequestError, Transient
        If the source cannot be read.
    """
    try:
        source, seen = read_live(view.view, view.source, root)
    except LinewrightError as error:
        raise placed_in_view(error, root, view.view) from error
    return source, view_fingerprint(view, root, seen=seen)


def files_read(factory: Factory, spec: LineSpec) -> Iterator[str]:
    """Give the files that a line reads as they are written: of its sources, of its feature views as far as they are right, and these themselves."""
    yield from chain.from_iterable(one.local_files for one in spec.sources.values())
    for name in spec.features:
        yield f"{FOLDER}/{name}.yaml"
        with suppress(LinewrightError):
            yield from read_view(factory.root, name).source.local_files


def all_sources(factory: Factory, spec: LineSpec) -> Mapping[str, SourceSpec]:
    """Return the sources of a line and of its feature views, by name as in `Work.sources`.

    Raises
    ------
    NotFound, SpecError
        If a view is not there, or its file is wrong.
    """
    views = read_views(factory.root, spec.features)
    return {**spec.sources, **{VIEW + view.view: view.source for view in views}}
