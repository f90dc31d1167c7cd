"""What the feature views of a line read, and the digest of it."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

from linewright.data.read.reader import fingerprint, read_live
from linewright.data.spec import PushSource, SourceSpec, SqlSource
from linewright.errors import LinewrightError
from linewright.features.spec import ViewSpec
from linewright.line.factory import Factory
from linewright.line.file.view_file import FOLDER, placed_in_view, read_view, read_views
from linewright.line.spec import LineSpec
from linewright.store.values import digest_of

if TYPE_CHECKING:
    from linewright.data.history.versions import HistoryStore
    from linewright.data.read.source import Source

_ELSEWHERE = {"about", "owner", "source", "push", "ttl", "columns", "where", "every", "max_age", "otherwise"}
"""Fields of a view that do not matter for what it computes, or that are said in another form."""
VIEW = "view:"
"""How `Work.sources` names a feature view, ``view:customer_30d``."""
SENT = "sent:"
"""How it names the rows that were sent to a feature view besides those of its source, ``sent:customer_30d``."""


@contextmanager
def placed(view: ViewSpec, root: Path) -> Generator[None]:
    """Have errors about the source of a view name their place in its file."""
    try:
        yield
    except LinewrightError as error:
        error.where = error.where.replace(f"sources.{view.view}", "source", 1)
        raise placed_in_view(error, root, view.view) from error


def _history_store(factory: Factory) -> "HistoryStore":
    from linewright.data.history.versions import HistoryStore  # noqa: PLC0415 -- polars takes a while to import

    return HistoryStore(factory.artifacts, factory.metadata)


def view_fingerprint(view: ViewSpec, factory: Factory, *, seen: str | None = None) -> str:
    """Return a digest of what a view computes and of what its source holds."""
    with placed(view, factory.root):
        source = seen or _fingerprint(view, factory)
    said = view.model_dump(mode="json", exclude=_ELSEWHERE)
    columns = {one.name: one.text for one in view.aggregates}
    where = None if view.condition is None else view.condition.text
    return digest_of({"view": said, "columns": columns, "where": where, "source": source})


def _fingerprint(view: ViewSpec, factory: Factory) -> str:
    if not view.source.has_history:
        return fingerprint(view.source, factory.root, "source")
    # It reads rows, and polars takes a while to import.
    from linewright.data.history.read import versions_fingerprint  # noqa: PLC0415

    source = cast("SqlSource", view.source)
    return versions_fingerprint(view.view, source, factory.root, _history_store(factory), factory.now())


def read_live_view(view: ViewSpec, factory: Factory) -> "tuple[Source, str]":
    """Return the rows of the source of a view that others may write to, and the digest of the view with just these rows.

    Of a source with a history the newer rows are kept, and these are all versions of its rows.
    """
    root, name = factory.root, view.view
    with placed(view, root):
        if view.source.has_history:
            from linewright.data.history.read import read_versions_of_source  # noqa: PLC0415

            of, store = cast("SqlSource", view.source), _history_store(factory)
            source, seen = read_versions_of_source(name, of, root, store, factory.now())
        else:
            source, seen = read_live(name, view.source, root)
    return source, view_fingerprint(view, factory, seen=seen)


def sent_fingerprint(view: ViewSpec, sent: PushSource, root: Path) -> str:
    """Return the digest of the rows that were sent to a view besides those of its source; there may be none."""
    from linewright.data.read.push_reader import fingerprint_of_sent  # noqa: PLC0415 -- polars takes a while to import

    with placed(view, root):
        return fingerprint_of_sent(sent, root, "push")


def read_sent_to(view: ViewSpec, sent: PushSource, root: Path) -> "tuple[Source, str]":
    """Return these rows, with their digest."""
    from linewright.data.read.push_reader import read_sent  # noqa: PLC0415

    with placed(view, root):
        return read_sent("push", sent, root)


def read_view_until(view: ViewSpec, factory: Factory) -> "tuple[Source, str]":
    """Return all versions of the rows of a source with a history, once the newer ones are kept, and a moment, UTC: what is read later is known after it."""
    from linewright.data.history.read import read_versions_until  # noqa: PLC0415

    with placed(view, factory.root):
        source = cast("SqlSource", view.source)
        return read_versions_until(view.view, source, factory.root, _history_store(factory), factory.now())


def open_view(view: ViewSpec, factory: Factory) -> "Source":
    """Return the rows of the source of a view as they are now; of one with a history all versions, and nothing is kept."""
    root, name = factory.root, view.view
    with placed(view, root):
        if view.source.has_history:
            from linewright.data.history.read import preview_versions  # noqa: PLC0415

            of = cast("SqlSource", view.source)
            return preview_versions(name, of, root, _history_store(factory), factory.now())
        from linewright.data.read.source import open_source  # noqa: PLC0415

        return open_source(name, view.source, root)


def files_read(factory: Factory, spec: LineSpec) -> Iterator[str]:
    """Give the files that a line reads as they are written: of its sources, of those that it predicts for, of its feature views as far as they are right, and these themselves."""
    others = [one.source for one in spec.predict.values() if one.source is not None]
    yield from chain.from_iterable(one.local_files for one in (*spec.sources.values(), *others))
    for name in spec.features:
        yield f"{FOLDER}/{name}.yaml"
        with suppress(LinewrightError):
            for one in read_view(factory.root, name).sources:
                yield from one.local_files


def all_sources(factory: Factory, spec: LineSpec) -> Mapping[str, SourceSpec]:
    """Return what a line and its feature views read, by name as in `Work.sources`."""
    return _named(spec, read_views(factory.root, spec.features))


def readable_sources(factory: Factory, spec: LineSpec) -> Mapping[str, SourceSpec]:
    """Return them as `all_sources` does, without those of views whose file is gone or wrong."""
    views = list[ViewSpec]()
    for name in spec.features:
        with suppress(LinewrightError):
            views.append(read_view(factory.root, name))
    return _named(spec, views)


def _named(spec: LineSpec, views: Iterable[ViewSpec]) -> Mapping[str, SourceSpec]:
    of_views = {
        word + view.view: source
        for view in views
        for word, source in zip((VIEW, SENT), view.sources, strict=False)
    }
    return {**spec.sources, **of_views}
