"""Reading labels that were sent: their form, and whether they fit the task."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from linewright.errors import RequestError
from linewright.model.facts import RequestColumn
from linewright.model.task_facts import has_times, task_facts
from linewright.serve.rows.body.scalars import MAX_TEXT, as_number, kind_of, shown, spell
from linewright.text.lists import (
    MOST_ITEMS,
    read_list,
    read_numbers_text,
    spelled,
    to_list_text,
    to_numbers_text,
)

MAX_LABELS = 10_000


class AllowedLabels(Protocol):
    """What a label of a line may be. A `Package` says it, and a line without a model by what it has read."""

    @property
    def task(self) -> str:
        """Its task."""
        ...

    @property
    def label(self) -> str:
        """Name of the label column."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """What a label may be; empty for numbers, and for lists, which may hold any."""
        ...

    @property
    def key(self) -> str | None:
        """Name of the key column."""
        ...

    @property
    def columns(self) -> tuple[RequestColumn, ...]:
        """The columns of a row."""
        ...


_FIELDS = ("id", "key", "label", "at", "corrects")

Place = Callable[[int, str], str]
"""Names the place of a label, from its number (0 is the first) and its part, e.g. ``label``; the part may be empty."""


def in_labels(number: int, part: str) -> str:
    """Name a place in a list of labels.

    Examples
    --------
    >>> in_labels(3, "label"), in_labels(3, "")
    ('labels[3].label', 'labels[3]')
    """
    return f"labels[{number}].{part}" if part else f"labels[{number}]"


def no_key(where: str) -> RequestError:
    """Return the refusal of a label by key on a line whose rows have none."""
    return RequestError(
        "this line has no key column, so a label by key finds nothing",
        where=where,
        found="key",
        allowed="id",
        hint="name the prediction by the `id` of its answer; or declare `table.key` in the line file and run the line again",
    )


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One label in its one spelling: it has an `id` or a `key`."""

    number: int
    """Place in the batch, from 0."""
    id: str | None
    key: str | None
    label: str | float
    at: str | None
    corrects: str | float | None = None
    """The label that it replaces; `None` where it is the first."""
    is_time: bool = False
    """Whether it is a time: then what had not happened by an earlier time may have happened later."""


def check_labels(labels: object, package: AllowedLabels, place: Place = in_labels) -> list[Label]:
    """Return labels in their one spelling."""
    if not isinstance(labels, list):
        raise RequestError(
            "labels is not a list", where="labels", found=kind_of(labels), allowed="a list of objects"
        )
    if not 0 < len(labels) <= MAX_LABELS:
        raise RequestError(
            "too many labels" if labels else "there are no labels",
            where="labels",
            found=len(labels),
            allowed=f"1 to {MAX_LABELS:,} labels",
        )
    return [_label(number, entry, package, partial(place, number)) for number, entry in enumerate(labels)]


def _label(number: int, entry: object, package: AllowedLabels, place: Callable[[str], str]) -> Label:
    if not isinstance(entry, dict):
        raise RequestError(
            "not an object", where=place(""), found=kind_of(entry), allowed='{"id" or "key": …, "label": …}'
        )
    unknown = [name for name in entry if name not in _FIELDS]
    if unknown:
        raise _unknown_field(str(unknown[0])[:100], package, place(""))
    if (entry.get("id") is None) == (entry.get("key") is None):
        raise RequestError(
            "a label names either an id or a key",
            where=place(""),
            found="both" if entry.get("id") is not None else "neither",
            allowed="one of id, key",
            hint='send {"id": …, "label": …}, with the id of the answer',
        )
    if entry.get("key") is not None and package.key is None:
        raise no_key(place("key"))
    label = _fitting(entry.get("label"), package, place, "label")
    _refuse_other_numbers(label, entry.get("label"), package, place)
    _refuse_fractions(label, entry.get("label"), package, place)
    return Label(
        number=number,
        id=_id(entry.get("id"), place),
        key=_key(entry.get("key"), place),
        label=label,
        at=_instant(entry.get("at"), place),
        corrects=_corrected(entry.get("corrects"), label, package, place),
        is_time=has_times(package.task),
    )


def _corrected(
    value: object, label: str | float, package: AllowedLabels, place: Callable[[str], str]
) -> str | float | None:
    if value is None:
        return None
    corrected = _fitting(value, package, place, "corrects")
    if corrected == label:
        raise RequestError(
            "a label cannot correct itself",
            where=place("corrects"),
            found=shown(value),
            allowed="the label that is kept now, which is another one",
        )
    return corrected


def _unknown_field(name: str, package: AllowedLabels, where: str) -> RequestError:
    hint = 'send {"id" or "key": …, "label": …}'
    if name == package.key:
        hint = f"use 'key', the value of {name!r}"
    elif name == package.label:
        hint = f"use 'label', the value of {name!r}"
    return RequestError("unknown field", where=where, found=name, allowed=", ".join(_FIELDS), hint=hint)


def _id(value: object, place: Callable[[str], str]) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= 100):
        return value
    raise RequestError("not a prediction id", where=place("id"), found=shown(value), allowed="a text")


def _key(value: object, place: Callable[[str], str]) -> str | None:
    if value is None:
        return None
    text = spell(value) if isinstance(value, (str, int, float)) and _is_plain(value) else None
    if text is None or len(text) > MAX_TEXT:
        raise RequestError("not a key", where=place("key"), found=shown(value), allowed="a text or a number")
    return text


def _fitting(value: object, package: AllowedLabels, place: Callable[[str], str], part: str) -> str | float:
    later = "send the label when it is known; until then leave this entry out" if value is None else ""
    if has_times(package.task):
        return _time(value, package, place(part), later)
    if task_facts(package.task).label == "items":
        return _items(value, place(part), later)
    if task_facts(package.task).label == "values":
        return _values(value, place(part), later)
    if not package.classes:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_plain(value):
            return float(value) + 0.0  # so that -0.0 is 0.0
        raise RequestError(
            "not a number",
            where=place(part),
            found=shown(value),
            allowed="a finite number",
            hint=later or as_number(value),
        )
    known = next((text for text in _spellings(value) if text in package.classes), None)
    if known is None:
        raise RequestError(
            "not a class of this line",
            where=place(part),
            found=shown(value),
            allowed=", ".join(package.classes)[:1000],
            hint=later,
        )
    return known


def _values(value: object, where: str, hint: str) -> str:
    """Return a label that is a list of numbers, ``null`` for a value that is not known."""
    text = value if isinstance(value, str) else None
    if isinstance(value, list) and len(cast("list[Any]", value)) <= MOST_ITEMS:
        numbers = cast("list[Any]", value)
        if all(one is None or (isinstance(one, (int, float)) and _is_plain(one)) for one in numbers):
            text = to_numbers_text(None if one is None else float(one) for one in numbers)
    found = None if text is None else read_numbers_text(text)
    if found is None or not set(found) - set("[null,]"):
        raise RequestError(
            "not a list of numbers, at least one of them known",
            where=where,
            found=shown(value),
            allowed="the values that came, the next first, e.g. [1.5, null, 2]",
            hint=hint,
        )
    return found


def _items(value: object, where: str, hint: str) -> str:
    """Return a label that is a list of items: ``["a", "b"]``, ``{"items": ["a", "b"]}`` or one item; none where nothing was taken."""
    if isinstance(value, dict) and list(cast("dict[object, object]", value)) == ["items"]:
        value = cast("dict[str, object]", value)["items"]
    if isinstance(value, str):
        listed = _list_of(value)
        value = [value] if listed is None else listed
    items = cast("list[Any]", value) if isinstance(value, list) else None
    if (
        items is None
        or len(items) > MOST_ITEMS
        or not all(isinstance(one, (str, int, float)) and _is_plain(one) for one in items)
    ):
        raise RequestError(
            "not a list of items",
            where=where,
            found=shown(value),
            allowed='a list of texts, e.g. ["a", "b"]; an empty one where nothing was taken',
            hint=hint,
        )
    return to_list_text(dict.fromkeys(spelled(items)))


def _list_of(text: str) -> list[str] | None:
    """Return the list that a cell of a file holds as JSON; `None` if it holds one item."""
    try:
        return read_list(text) if text.strip().startswith("[") else None
    except ValueError:
        return None


def _time(value: object, package: AllowedLabels, where: str, hint: str) -> str:
    from linewright.model.tasks import task  # noqa: PLC0415 -- `status` reads feedback too, and without numpy

    if spelled := task(package.task).spelled(value):
        return spelled
    raise RequestError(
        "not a time of at least 0",
        where=where,
        found=shown(value),
        allowed='12.5 or "12.5" if it happened, "12.5+" if it had not happened by then, or {"time": 12.5, "event": false}',
        hint=hint,
    )


def _refuse_other_numbers(
    label: str | float, value: object, package: AllowedLabels, place: Callable[[str], str]
) -> None:
    """Refuse a number that the task has no use for; what a label corrects is not asked."""
    if isinstance(label, str):
        return
    from linewright.model.tasks import task  # noqa: PLC0415 -- `status` reads feedback too, and without numpy

    if why := task(package.task).refuses(label):
        raise RequestError(why, where=place("label"), found=shown(value))


def _refuse_fractions(
    label: str | float, value: object, package: AllowedLabels, place: Callable[[str], str]
) -> None:
    """Refuse a number that a label column of whole numbers cannot hold: it would be kept, and no training could learn it.

    What a label corrects is not asked: it may have been kept before the column held whole numbers.
    """
    if isinstance(label, str) or (float(label).is_integer() and -(2.0**63) <= label < 2.0**63):
        return
    kind = next((one.type for one in package.columns if one.name == package.label), None)
    if kind != "integer":
        return
    raise RequestError(
        f"{package.label!r} is a column of whole numbers of at most 64 bits",
        where=place("label"),
        found=shown(value),
        allowed="a whole number from -2^63 to 2^63 - 1",
        hint=f"send a whole number; or declare contract.columns.{package.label}: {{type: number}} and run the line again",
    )


def _spellings(value: object) -> Sequence[str]:
    """Texts that a JSON value may stand for in the training data, the likeliest first."""
    match value:
        case bool():
            return ("true", "True", "TRUE", "1", "1.0") if value else ("false", "False", "FALSE", "0", "0.0")
        case int():
            return (str(value), f"{value}.0") if _is_plain(value) else ()
        case float():
            return (str(value), spell(value) or "") if _is_plain(value) else ()
        case str():
            return (value, value.strip())
        case _:
            return ()


def _is_plain(value: str | float) -> bool:
    """Whether a value is a text, a finite number, or an integer of at most 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or -(2**63) <= value < 2**63


def _instant(value: object, place: Callable[[str], str]) -> str | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestError(
            "not a time", where=place("at"), found=shown(value), allowed="ISO 8601, e.g. 2026-01-31T12:00:00Z"
        ) from None
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
