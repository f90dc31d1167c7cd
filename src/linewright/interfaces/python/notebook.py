"""What a notebook shows: results as HTML, and how far long work is."""

import html
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import UnionType
from typing import Any, Protocol, Union, cast, get_args, get_origin

import msgspec

from linewright.engine.context import Progress
from linewright.interfaces.cli.dispatch import result_text

_REDRAW_S = 0.2
"""Time between two drawings of a progress: what changes faster cannot be read, and each is a message to the browser."""
_ROWS = 50
"""Rows of a table that are shown."""
_CARD_HEIGHT = 640
"""Of a card in pixels: about what a screen has beside the notebook's own bars."""


class Handle(Protocol):
    """An output that can be replaced, as IPython has it."""

    def update(self, obj: Any, **named: Any) -> None:
        """Replace what is shown."""
        ...


Display = Callable[..., Handle | None]
"""``IPython.display.display``."""


def is_frame(value: object) -> bool:
    """Return whether a value is a table in memory, see `interfaces.python.frames`."""
    return hasattr(value, "__arrow_c_stream__")


def display_of() -> Display | None:
    """Return what shows things in the notebook that this process is the kernel of; `None` in any other process."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return import_module("IPython.display").display if hasattr(shell, "kernel") else None


class NotebookProgress:
    """Shows progress under a cell: one output that is drawn anew, and one of its own for what is to stay.

    Parameters
    ----------
    display
        Shows an output: ``IPython.display.display``.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._handle: Handle | None = None
        self._drawn_at = -_REDRAW_S

    def __call__(self, progress: Progress) -> None:
        """Show one step forward."""
        count = f"{progress.done:,} of {progress.of:,}" if progress.of else ""
        left = "" if progress.seconds_left is None else f"about {progress.seconds_left:.0f} s left"
        plain = "  ".join(part for part in (progress.step, count, left, progress.says) if part)
        bar = f'<progress value="{progress.done}" max="{progress.of}"></progress> ' if progress.of else ""
        bundle = {"text/plain": plain, "text/html": f"<div>{bar}{html.escape(plain)}</div>"}
        if progress.stays:
            self._display(bundle, raw=True)
        elif self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        elif time.monotonic() < self._drawn_at + _REDRAW_S:
            return
        else:
            self._handle.update(bundle, raw=True)
        self._drawn_at = time.monotonic()

    def clear(self) -> None:
        """Let nothing be left of it under the cell but what is to stay."""
        if self._handle is not None:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)
        self._handle, self._drawn_at = None, -_REDRAW_S


def show_results(annotation: Any) -> None:
    """Give the structs of a result, and those within them, ``_repr_html_``, by which notebooks show a value."""
    for kind in _structs(annotation, set()):
        if "_repr_html_" not in vars(kind):
            kind._repr_html_ = to_html  # type: ignore[attr-defined]


def _structs(annotation: Any, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in msgspec.structs.fields(annotation):
            yield from _structs(field.type, seen)
    elif get_origin(annotation) in (tuple, list, dict, Union, UnionType):
        for part in get_args(annotation):
            yield from _structs(part, seen)


def to_html(value: Any) -> str:
    """Return a result as HTML that stands alone: nothing is loaded, and every text is escaped.

    A card is its page; frames of answers and lists of runs are tables; a run is what it says, its leaderboard and its metrics. Others are what they say,
    and where they say nothing themselves, their fields, with each list of structs as a table.
    """
    page = getattr(value, "page", "") or getattr(value, "html", "")
    if page:
        # In a frame of its own: its style is not to change the notebook's.
        return (
            f'<iframe srcdoc="{html.escape(page)}" sandbox style="width:100%;height:{_CARD_HEIGHT}px;border:0">'
            "</iframe>"
        )
    said = result_text(value)
    told = _pairs(value) if said is None else f'<pre style="white-space:pre-wrap">{html.escape(said)}</pre>'
    parts = [] if type(value).__name__ in _ONLY_TABLES else [told]
    named = ("frame",) if hasattr(value, "frame") else _TABLES.get(type(value).__name__)
    fields: Sequence[str] = () if named is None and said is not None else value.__struct_fields__
    for field in named or fields:
        inside: Any = getattr(value, field)
        if hasattr(inside, "_repr_html_") and not isinstance(inside, msgspec.Struct):
            parts.append(cast("str", inside._repr_html_()))
        elif _is_table(inside):
            parts.append(_table(cast("Sequence[Any]", inside), field.replace("_", " ")))
    return "\n".join(part for part in parts if part) or told


_TABLES: Mapping[str, Sequence[str]] = {
    "RunInWords": ("trials", "metrics"),
    "NewLine": ("findings",),
    "Runs": ("runs",),
}
"""Lists that are shown as tables beside what a result says."""
_ONLY_TABLES = frozenset({"Runs"})
"""Results of which a table says as much as they do themselves."""
_COLUMNS: Mapping[str, Sequence[str]] = {
    "Trial": ("name", "family", "loss", "low", "high", "rounds"),
    "Metric": ("name", "value", "low", "high", "n"),
    "RunLine": (
        "run",
        "line",
        "started",
        "ended",
        "state",
        "promoted",
        "wall_s",
        "cpu_s",
        "peak_bytes",
        "cost",
        "currency",
        "because",
    ),
}
"""Fields of structs that have more than a table holds."""


def _pairs(value: Any) -> str:
    plain = [
        (name.replace("_", " "), getattr(value, name))
        for name in value.__struct_fields__
        if not _is_table(getattr(value, name))
    ]
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{_cell(one)}</td></tr>" for name, one in plain)
    return f"<table>{rows}</table>" if rows else ""


def _is_table(value: Any) -> bool:
    values = cast("Sequence[Any]", value) if isinstance(value, tuple | list) else ()
    return bool(values) and isinstance(values[0], msgspec.Struct)


def _table(values: Sequence[Any], title: str) -> str:
    names: Sequence[str] = _COLUMNS.get(type(values[0]).__name__, values[0].__struct_fields__)
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(getattr(one, name))}</td>' for name in names)}</tr>"
        for one in values[:_ROWS]
    )
    more = f"<p>and {len(values) - _ROWS:,} more</p>" if len(values) > _ROWS else ""
    return f"<table><caption>{html.escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list | dict) and not value:
        return ""
    if _is_table(value):
        return f"{len(value):,}"
    return html.escape(str(value))
