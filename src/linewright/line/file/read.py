"""Read a line file: ``lines/NAME.yaml``."""

import io
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from linewright.errors import LinewrightError, SpecError, from_json
from linewright.line.file.checks.between_sections import check_sections
from linewright.line.file.mistakes import EnoughError, Mistakes, did_you_mean, dotted
from linewright.line.file.secret_refs import check_secrets
from linewright.line.file.sites import site_nodes, site_of, sites_in
from linewright.line.file.validate import fit_spec, to_plain
from linewright.line.file.yaml_nodes import Entries, find, locate, read_nodes, read_text
from linewright.line.spec import LineSpec
from linewright.spec import descriptions
from linewright.store.clock import now_utc
from linewright.store.files.stamps import Stamp, is_young, stamp_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REMEMBERED = 4_096
"""Line files that are not parsed again while they stay as they are: more than one factory has."""


def read_line(path: Path, site: str = "") -> LineSpec:
    """Read a line file, in the canonical form that a run keeps: what is planned from the file and carried out from the record is the same.

    It is parsed once, until it changes.
    """
    with suppress(OSError):
        stamp = stamp_of(path.stat())
        if not is_young(stamp, datetime.fromisoformat(now_utc()).timestamp()):
            return _raised(_unchanged(str(path), stamp, site))
    return _raised(_parsed(read_text(path), str(path), site))


def _raised(outcome: LineSpec | SpecError) -> LineSpec:
    if isinstance(outcome, SpecError):
        raise SpecError(**outcome.to_parts())  # another one each time: who catches it may change it
    return outcome


@lru_cache(maxsize=_REMEMBERED)
def _unchanged(name: str, stamp: Stamp, site: str) -> LineSpec | SpecError:
    # The stamp is older than what is read here: a file that changes in between has another one when it is asked for again.
    del stamp
    return _parsed(read_text(Path(name)), name, site)


@lru_cache(maxsize=_REMEMBERED)
def _parsed(text: str, name: str, site: str) -> LineSpec | SpecError:
    # The value is frozen and follows from the text alone.
    try:
        spec = parse_line(text, name=name, site=site)
    except SpecError as error:
        return SpecError(**error.to_parts())  # without the frames that it was raised in
    return LineSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True))


def parse_line(text: str, *, name: str, site: str = "") -> LineSpec:
    r"""Read the text of a line file.

    Examples
    --------
    >>> spec = parse_line("line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\n", name="lines/a.yaml")
    >>> spec.label.column
    'y'
    >>> parse_line("line: a\nsources: {a: {file: a.csv}}\nlabel: {colum: y}\n", name="lines/a.yaml")
    Traceback (most recent call last):
        ...
    linewright.errors.SpecError: lines/a.yaml:3:9: unknown word in 'label': found 'colum', allowed: column, event, start, positive, delay, known, columns. Next: did you mean 'column'?
    """
    mistakes = Mistakes(name, site=site)
    root = read_nodes(text, mistakes)
    spec = None
    with suppress(EnoughError):
        root = root and site_nodes(root, site, mistakes)
        if root is not None:
            check_secrets(root, mistakes)
            spec = fit_spec(LineSpec, root, mistakes)
        if root is not None and spec is not None:
            check_sections(spec, root, mistakes)
    mistakes.raise_if_any()
    assert spec is not None  # noqa: S101 -- without a mistake there is a spec
    return spec


def parse_lines(text: str, *, name: str) -> dict[str, LineSpec]:
    r"""Read the text of a line file, and return the lines that it declares, by name: one for each site, or one.

    Examples
    --------
    >>> text = "line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\nsites: {lyon: {label: {column: z}}, turin: {}}\n"
    >>> {line: spec.label.column for line, spec in parse_lines(text, name="a.yaml").items()}
    {'a.lyon': 'z', 'a.turin': 'y'}
    """
    specs = (parse_line(text, name=name, site=site) for site in sites_in(text) or ("",))
    return {spec.line: spec for spec in specs}


def unsupported(spec: LineSpec, path: Path | None = None) -> list[SpecError]:
    r"""Return what the grammar knows and nothing carries out yet, one error a section.

    Examples
    --------
    >>> line = "line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y, columns: [y, z]}\n"
    >>> [error.where for error in unsupported(parse_line(line, name="a.yaml"))]
    ['label.columns']
    """
    sections: list[tuple[tuple[str | int, ...], str | None, str]] = [
        *([(("label", "columns"), None, "")] if spec.label.columns is not None else []),
        *(
            (("contract", "columns", name, "type"), rule.type, "a type of single values")
            for name, rule in spec.contract.columns.items()
            if rule.type == "list"
        ),
    ]
    root = _nodes_at(path, spec.line) if path and sections else None
    return [
        SpecError(
            f"{dotted(section)!r} is part of the grammar, but nothing carries it out yet",
            where=_where(section, root, path),
            found=found,
            allowed=allowed,
            hint=f"remove {dotted(section)!r} for now" if not allowed else "",
        )
        for section, found, allowed in sections
    ]


def _where(section: tuple[str | int, ...], root: Entries | None, path: Path | None) -> str:
    node = find(root, section) if root else None
    return f"{path}:{node.line}:{node.column}" if node else dotted(section)


def _nodes_at(path: Path, line: str) -> Entries | None:
    mistakes = Mistakes(str(path))
    root = read_nodes(read_text(path), mistakes)
    return root and site_nodes(root, site_of(path, line), mistakes)


def site_text(path: Path, line: str) -> str:
    """Return what a file says about one of its lines, as the text of a file of one line, without comments."""
    mistakes = Mistakes(str(path))
    root = read_nodes(read_text(path), mistakes)
    root = root and site_nodes(root, site_of(path, line), mistakes)
    mistakes.raise_if_any()
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(to_plain(root), out) if root else None
    return out.getvalue()


def placed(error: LinewrightError, path: Path, line: str) -> LinewrightError:
    """Return an error that names a part of a line file (``table.key``) with file, line and column instead.

    Each error in its details is placed too. An error about anything else comes back as it is.
    """
    try:
        root = _nodes_at(path, line)
    except LinewrightError:
        return error
    return _placed(error, root, path) if root else error


def _placed(error: LinewrightError, root: Entries, path: Path) -> LinewrightError:
    node = locate(root, error.where)
    parts = error.to_parts()
    if node is not None:
        parts["where"] = f"{path}:{node.line}:{node.column}"
    if listed := error.details.get("errors"):
        parts["details"] = {
            **error.details,
            "errors": [{**one, **_placed(from_json(one), root, path).to_json()} for one in listed],
        }
    return type(error)(**parts)


def schema(section: str | None = None) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the line file, or of one of its sections, with descriptions.

    Examples
    --------
    >>> schema("train")["title"], sorted(schema("train")["properties"])[:2]
    ('train', ['also', 'budget'])
    """
    if section is None:
        return {"$schema": DIALECT, **LineSpec.model_json_schema()}
    fields = LineSpec.model_fields
    if section not in fields:
        raise SpecError(
            "the line file has no such section",
            found=section,
            allowed=", ".join(fields),
            hint=did_you_mean(section, fields),
        )
    field = fields[section]
    described = TypeAdapter(field.rebuild_annotation()).json_schema()
    return {
        "$schema": DIALECT,
        **described,
        "title": section,
        "description": descriptions(LineSpec).get(section, ""),
    }
