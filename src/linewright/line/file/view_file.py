"""Read the file of a feature view: ``features/NAME.yaml``."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from linewright.data.spec import SqlSource
from linewright.errors import LinewrightError, NotFound, SpecError
from linewright.features.spec import ViewSpec
from linewright.line.file.checks.schedules import when_problems
from linewright.line.file.mistakes import EnoughError, Mistake, Mistakes, did_you_mean, dotted
from linewright.line.file.secret_refs import check_secrets
from linewright.line.file.validate import fit_spec
from linewright.line.file.yaml_nodes import Entries, locate, read_nodes, read_text

FOLDER = "features"


def view_path(root: Path, name: str) -> Path:
    """Return the path of the file of a view, whether it exists or not."""
    return root / FOLDER / f"{name}.yaml"


def view_names(root: Path) -> list[str]:
    """Return the names of the views of a factory, sorted."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.yaml"))


def read_view(root: Path, name: str) -> ViewSpec:
    """Read the file of a view."""
    path = view_path(root, name)
    if "/" in name or not path.is_file():
        names = view_names(root)
        raise NotFound(
            "unknown feature view",
            where=str(root / FOLDER),
            found=name,
            allowed=", ".join(names) or "(none yet)",
            hint=did_you_mean(name, names) or f"write {FOLDER}/{name}.yaml",
        )
    outcome = _parsed(read_text(path), f"{FOLDER}/{name}.yaml", name)
    if isinstance(outcome, SpecError):
        raise SpecError(**outcome.to_parts())  # another one each time: who catches it may change it
    return outcome


def read_views(root: Path, names: Sequence[str]) -> tuple[ViewSpec, ...]:
    """Read the files of the views of a line."""
    views = [_of_line(root, name, number) for number, name in enumerate(names)]
    homes: dict[str, str] = {}
    for number, view in enumerate(views):
        for column in view.columns:
            if column in homes:
                raise SpecError(
                    f"two views of the line have a column {column!r}",
                    where=f"features[{number}]",
                    found=f"{homes[column]}, {view.view}",
                    hint=f"rename it in {FOLDER}/{view.view}.yaml",
                )
            homes[column] = view.view
    return tuple(views)


def _of_line(root: Path, name: str, number: int) -> ViewSpec:
    try:
        return read_view(root, name)
    except NotFound as error:
        error.where = f"features[{number}]"
        raise


@lru_cache(maxsize=256)
def _parsed(text: str, name: str, view: str) -> ViewSpec | SpecError:
    # The value is frozen and follows from the text alone.
    try:
        return parse_view(text, name=name, view=view)
    except SpecError as error:
        return SpecError(**error.to_parts())  # without the frames that it was raised in


def parse_view(text: str, *, name: str, view: str) -> ViewSpec:
    """Return what the text of the file of a view says."""
    mistakes = Mistakes(name, whole="the file of the feature view")
    spec = None
    with suppress(EnoughError):
        root = read_nodes(text, mistakes)
        if root is not None:
            check_secrets(root, mistakes)
            spec = fit_spec(ViewSpec, root, mistakes)
        if root is not None and spec is not None:
            _check(spec, view, root, mistakes)
    mistakes.raise_if_any()
    assert spec is not None  # noqa: S101 -- without a mistake there is a spec
    return spec


def _check(spec: ViewSpec, view: str, root: Entries, mistakes: Mistakes) -> None:
    named = SpecError("the view is not named as its file", where="view", found=spec.view, allowed=view)
    of_source = [
        SpecError(one.what, where=f"source.{one.where}", found=one.found, allowed=one.allowed, hint=one.hint)
        for one in spec.source.mistakes()
    ]
    if isinstance(spec.source, SqlSource):
        of_source += [
            SpecError(one.what, where=dotted(one.path), found=one.found, allowed=one.allowed)
            for one in when_problems(spec.source.when, ("source", "when"))
        ]
    for error in [*([] if spec.view == view else [named]), *of_source, *spec.mistakes()]:
        node = locate(root, error.where) or root
        found = error.found if isinstance(error.found, str | int | float | None) else str(error.found)
        mistakes.add(
            Mistake(
                path=error.where,
                line=node.line,
                column=node.column,
                what=error.what,
                found=found,
                allowed=error.allowed,
                hint=error.hint,
            )
        )


def placed_in_view(error: LinewrightError, root: Path, name: str) -> LinewrightError:
    """Return an error that names a part of the file of a view (``columns.x``) with file, line and column instead.

    An error about anything else gets the file before it.
    """
    file = f"{FOLDER}/{name}.yaml"
    placed = type(error)(**error.to_parts())
    nodes = read_nodes(read_text(view_path(root, name)), Mistakes(file))
    node = locate(nodes, error.where) if nodes else None
    placed.where = f"{file}: {error.where}" if node is None else f"{file}:{node.line}:{node.column}"
    return placed
