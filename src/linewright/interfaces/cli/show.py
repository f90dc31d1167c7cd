"""What a person sees: results, errors and progress as plain text."""

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

import msgspec

from linewright.errors import LinewrightError
from linewright.interfaces.cli.dispatch import result_text
from linewright.interfaces.cli.text import cell, pairs, table
from linewright.operations.declare import to_json

if TYPE_CHECKING:  # `--help` does without the store that this module brings along
    from linewright.engine.context import Progress

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SHORT = 100
_MOST_LISTED = 20
_TOLD_S = 10.0
_PARTS = ("where", "found", "allowed", "hint")


def terminal_width(stream: TextIO) -> int:
    """Return the columns of a terminal, or 0 where lines may be of any length."""
    return shutil.get_terminal_size().columns if stream.isatty() else 0


def has_colour(stream: TextIO) -> bool:
    """Return whether colour is wanted there: a terminal, and no ``NO_COLOR``."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def render(result: Any, *, width: int = 0) -> str:
    """Return a result as text for people."""
    if result is None:
        return ""
    if (told := result_text(result)) is not None:
        return printable(told)
    if isinstance(result, msgspec.Struct):
        return printable(_struct(result, width))
    return json_text(to_json(result))


def json_text(compact: bytes) -> str:
    """Return JSON with line breaks and indentation."""
    return msgspec.json.format(compact, indent=2).decode()


def render_error(error: LinewrightError, *, colour: bool = False) -> str:
    """Return an error as text: in one line where it is short, else each part on a line of its own."""
    head = "\033[1;31merror:\033[0m" if colour else "error:"
    listed = error.details.get("errors")
    if isinstance(listed, (list, tuple)) and listed:
        items = cast("Sequence[Any]", listed)
        lines = [f"  - {printable(_listed(each))}" for each in items[:_MOST_LISTED]]
        if len(items) > _MOST_LISTED:
            lines.append(f"  and {len(items) - _MOST_LISTED} more (--json lists all)")
        if error.hint:
            lines.append(f"  next: {printable(error.hint)}")
        what = f"{error.where}: {error.what}" if error.where else error.what
        return "\n".join([f"{head} {printable(what)}", *lines])
    whole = printable(str(error))
    if len(whole) <= _SHORT and "\n" not in whole:
        return f"{head} {whole}"
    parts = [(name, getattr(error, name)) for name in _PARTS]
    rows = [
        ("next" if name == "hint" else name, repr(value) if name == "found" else value)
        for name, value in parts
        if value not in (None, "")
    ]
    body = "\n".join(f"  {line}" for line in printable(pairs(rows)).splitlines())
    return f"{head} {printable(error.what)}\n{body}".rstrip()


def printable(text: str) -> str:
    r"""Return `text` without control characters, which could steer the terminal of the reader.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n")
    'a�[2Jb\n'
    """
    return _CONTROL.sub("\ufffd", text)


class ProgressLine:
    """Shows progress: one line that is drawn again on a terminal, else a plain line for each new step, and one every ten seconds.

    What is to stay gets a line of its own on both. Where it cannot be written, nothing more is.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._redraws = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._step = ""
        self._is_drawn = False
        self._told = 0.0

    def __call__(self, progress: "Progress") -> None:
        """Show one step forward."""
        if self._quiet:
            return
        count = f"{progress.done}/{progress.of}" if progress.of else ""
        parts = (progress.step, count, _left(progress), progress.says)
        text = printable("  ".join(part for part in parts if part))
        if progress.stays:
            self.clear()
            self._write(f"{text}\n")
        elif self._redraws:
            fitting = text.replace("\n", " ")[: max(1, shutil.get_terminal_size().columns - 1)]
            self._write(f"\r\033[K{fitting}")
            self._is_drawn = True
        elif progress.step != self._step or time.monotonic() > self._told + _TOLD_S:
            self._write(f"{text}\n")
            self._told = time.monotonic()
        self._step = progress.step

    def clear(self) -> None:
        """Remove the line, so that what is printed next stands alone."""
        if self._is_drawn:
            self._write("\r\033[K")
            self._is_drawn = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # Nobody reads any more (a pipe into `head`, a terminal that is gone); what is at work is not to fail by it.
            self._quiet = True


def _left(progress: "Progress") -> str:
    if progress.seconds_left is None:
        return ""
    told = f"about {_duration(progress.seconds_left)} left"
    return f"{told} of this stage, {progress.stages_left} may follow" if progress.stages_left else told


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _struct(value: msgspec.Struct, width: int) -> str:
    plain: list[tuple[str, Any]] = []
    blocks: list[str] = []
    for name in value.__struct_fields__:
        each, title = getattr(value, name), name.replace("_", " ")
        if _is_table(each):
            blocks.append(f"{title}:\n{_indented(_structs(each, max(0, width - 2)))}")
        elif isinstance(each, msgspec.Struct):
            blocks.append(f"{title}:\n{_indented(render(each, width=max(0, width - 2)))}")
        else:
            plain.append((title, each))
    return "\n\n".join(block for block in (pairs(plain), *blocks) if block)


def _structs(values: Sequence[msgspec.Struct], width: int) -> str:
    names = values[0].__struct_fields__
    rows = [[_short(getattr(value, name, None)) for name in names] for value in values]
    return table([name.replace("_", " ") for name in names], rows, width=width)


def _short(value: Any) -> Any:
    """Return what one cell of a table can hold of a nested value."""
    if _is_table(value):
        return len(value)
    if not isinstance(value, msgspec.Struct):
        return value
    if type(value).__name__ in _COMPACT:
        return _COMPACT[type(value).__name__](value)
    return {name: cell(_short(getattr(value, name))) for name in value.__struct_fields__}


def _metric(metric: Any) -> str:
    return f"{metric.name} {cell(metric.value)} [{cell(metric.low)}, {cell(metric.high)}]"


_COMPACT: Mapping[str, Callable[[Any], str]] = {"Metric": _metric}
"""How some facts read inside a cell, by the name of their type, since importing them would bring their rooms along."""


def _is_table(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(isinstance(each, msgspec.Struct) for each in cast("Sequence[Any]", value))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _listed(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    parts = cast("Mapping[str, Any]", item)
    given = {name: parts[name] for name in _PARTS if parts.get(name) is not None}
    return str(LinewrightError(str(parts.get("what") or parts.get("message") or ""), **given))
