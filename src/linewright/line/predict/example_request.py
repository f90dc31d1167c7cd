"""A request that a person can paste: a row that the model knows, for the line as it serves."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.personal import personal_columns
from linewright.line.predict.example_row import MADE_UP, row_to_send, values_of_tests
from linewright.line.record.registry import challenger_of, find_model
from linewright.model.facts import Package
from linewright.model.package.model import read_golden
from linewright.release.promotion import canary_of
from linewright.serve.rows.body.reader import TIMES

_FEWEST = 3
_PARTS: Sequence[Callable[[datetime], int]] = (
    lambda time: time.year,
    lambda time: time.month,
    lambda time: time.day,
    lambda time: time.hour,
    lambda time: time.weekday(),
    lambda time: time.isoweekday(),
)


def curl(factory: Factory, line: str, url: str, *, needs_token: bool = False) -> str | None:
    """Return the command that asks an endpoint for one prediction, or `None` where nothing would answer it.

    Its row has what the champion needs, and what a candidate needs besides that is tried or challenges it: a canary that lacks a
    column is taken back. Of a feature view it has the entity, and none of the columns. The command goes to a log, which anybody may
    read: of a line with personal columns it is the one that says what a row has, to who may see that.
    """
    if factory.is_halted(line):
        return None
    try:
        package = factory.metadata.get(find_model(factory, line).digest, Package)
        rows = read_golden(package, factory.artifacts.get).rows
    except LinewrightError:
        return None
    if not rows:
        return None
    if personal_columns(factory, line):
        return f"linewright request-form {shlex.quote(line)}"
    more = _of_candidates(factory, line)
    row = {
        **_key(package),
        **_time(factory, line, package, rows),
        **more,
        **row_to_send(factory, package, rows),
    }
    body = shlex.quote(msgspec.json.encode({"rows": [row]}).decode())
    asked = shlex.quote(f"{url}/v1/lines/{line}/predict")
    token = '-H "Authorization: Bearer $LINEWRIGHT_TOKEN" ' if needs_token else ""
    return f"curl -s {asked} {token}-H 'Content-Type: application/json' -d {body}"


def _of_candidates(factory: Factory, line: str) -> dict[str, Any]:
    """Return a row of the models that may answer beside the champion or after it."""
    tried, row = canary_of(factory.metadata, line), dict[str, Any]()
    for version in {challenger_of(factory, line), tried and tried.model} - {None}:
        with suppress(LinewrightError):  # what cannot be read cannot serve either
            package = factory.metadata.get(find_model(factory, f"{line}@{version}").digest, Package)
            row |= row_to_send(factory, package, read_golden(package, factory.artifacts.get).rows)
    return row


def _time(factory: Factory, line: str, package: Package, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the present as the time of the row, where the line has one: without it the time of the answer would count.

    Where another column says when the row was (its year, say, or a date beside the time), the row keeps the time that it had: the
    two would contradict each other.
    """
    try:
        name = factory.line(line).table.time
    except LinewrightError:
        return {}
    column = next((one for one in package.columns if one.name == name and one.role == "carried"), None)
    if column is None or column.type not in TIMES:
        return {}
    had = _times_of(factory, package, column.name, len(rows))
    instant = had[0].isoformat() if had and _tell_time(package, rows, had) else factory.now()
    return {column.name: instant[:10] if column.type == "date" else f"{instant[:19]}Z"}


def _times_of(factory: Factory, package: Package, column: str, rows: int) -> list[datetime]:
    """Return the times of the first test rows, which are the rows that came with the package; none where they are not there."""
    times = [
        one if isinstance(one, datetime) else datetime(one.year, one.month, one.day, tzinfo=UTC)
        for one in values_of_tests(factory, package, column, rows)
        if isinstance(one, date)
    ]
    return times if len(times) == rows else []


def _tell_time(package: Package, rows: Sequence[Mapping[str, Any]], times: Sequence[datetime]) -> bool:
    """Return whether a column of some rows is a time too, a part of their times, or a number that grows or falls with them."""
    features = [one for one in package.columns if one.role == "feature"]
    if any(one.type in TIMES for one in features):
        return True
    order = sorted(range(len(times)), key=lambda place: times[place])
    found = ([row.get(one.name) for row in rows] for one in features)
    return any(_goes_with(values, times, order) for values in found)


def _goes_with(found: Sequence[object], times: Sequence[datetime], order: Sequence[int]) -> bool:
    """Return whether the values of a column are a part of some times, or grow or fall with them."""
    values = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) != len(times):
        return False
    parts = [[part(time) for time in times] for part in _PARTS]
    if values in parts:
        return True
    steps = [after - before for before, after in pairwise(values[place] for place in order)]
    goes = all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
    # Few values fall into the order of the times by chance; within one day a number of the day is always the same.
    return goes and (len(set(values)) > _FEWEST or len({*values}) == len({*times}) == 1)


def _key(package: Package) -> dict[str, str | int]:
    """Return a made-up key, where the line has one: the truth can then be handed in by it, as for rows of one's own."""
    column = next((one for one in package.columns if one.name == package.key), None)
    if column is None or column.type not in MADE_UP:
        return {}
    return {column.name: MADE_UP[column.type]}
