"""A request that a person can paste: a row that the model knows, for the line as it serves."""

import shlex
from collections.abc import Mapping

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.registry import find_model
from linewright.model.facts import Package
from linewright.model.package import read_golden
from linewright.serve.rows import TIMES

_KEYS: Mapping[str, str | int] = {"category": "example-1", "text": "example-1", "integer": 0, "number": 0}


def curl(factory: Factory, line: str, url: str) -> str | None:
    """Return the command that asks an endpoint for one prediction, or `None` where nothing would answer it.

    Parameters
    ----------
    line
        Name of the line.
    url
        Where the endpoint answers, e.g. ``http://127.0.0.1:8000``.
    """
    if factory.metadata.pointer(line).halt:
        return None
    try:
        package = factory.metadata.get(find_model(factory, line).digest, Package)
        rows = read_golden(package, factory.artifacts.get).rows
    except LinewrightError:
        return None
    if not rows:
        return None
    row = {**_key(package), **_time(factory, line, package), **rows[0]}
    body = shlex.quote(msgspec.json.encode({"rows": [row]}).decode())
    return f"curl -s {url}/v1/lines/{line}/predict -H 'Content-Type: application/json' -d {body}"


def _time(factory: Factory, line: str, package: Package) -> dict[str, str]:
    """Return the present as the time of the row, where the line has one: without it the time of the answer would count."""
    try:
        name = factory.line(line).table.time
    except LinewrightError:
        return {}
    column = next((one for one in package.columns if one.name == name and one.role == "carried"), None)
    if column is None or column.type not in TIMES:
        return {}
    now = factory.now()
    return {column.name: now[:10] if column.type == "date" else f"{now[:19]}Z"}


def _key(package: Package) -> dict[str, str | int]:
    """Return a made-up key, where the line has one: the truth can then be handed in by it, as for rows of one's own."""
    column = next((one for one in package.columns if one.name == package.key), None)
    if column is None or column.type not in _KEYS:
        return {}
    return {column.name: _KEYS[column.type]}
