"""The text of a line file as nodes that know their place.

A strict part of YAML 1.2 (core schema): one document, one mapping, no aliases, anchors or tags, no key twice. So
``Yes`` is a text and ``2024-05-01`` too, and what a file says does not depend on anything outside the reader's eyes.
"""

import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from linewright.errors import NotFound, SpecError
from linewright.line.file.mistakes import EnoughError, Mistake, Mistakes
from linewright.text.suggest import near_file

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
_SHORT = 1 << 16
"""Characters up to which what was read of a text is kept for a while."""
QUOTE = "put a text that holds such characters into quotes"

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,250}")
_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """A single value, with its spelling."""

    line: int
    column: int
    text: str
    is_plain: bool
    """Whether it stood without quotes, so that its spelling says its type."""

    @property
    def value(self) -> str | int | float | bool | None:
        """The value by YAML 1.2's core schema."""
        return _resolve(self.text) if self.is_plain else self.text

    @property
    def shown(self) -> str | int | float | bool:
        """The value as an error shows it: JSON, never empty-handed."""
        value = self.value
        if value is None:
            return "nothing"
        return self.text if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list."""

    line: int
    column: int
    items: list["Node"] = field(default_factory=list["Node"])
    shown: str = "a list"


@dataclass(frozen=True, kw_only=True)
class Entries:
    """A mapping: each key with its own place, and its value."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, "Node"]] = field(default_factory=dict[str, tuple[Scalar, "Node"]])
    shown: str = "a mapping"


Node = Scalar | Items | Entries


def _resolve(text: str) -> str | int | float | bool | None:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _NUMBER.fullmatch(text):
        return float(text.replace(".", "", 1) if text.lower().lstrip("+-") in {".inf", ".nan"} else text)
    return text


def read_nodes(text: str, mistakes: Mistakes) -> Entries | None:
    """Return the mapping that the text holds, or `None` where it holds none; what is wrong is noted.

    Nobody changes what is returned: of a short text that is read again soon, it is what was read before.
    """
    read = _read_before if len(text) <= _SHORT else _read
    root, noted = read(text)
    mistakes.found += noted.found
    mistakes.is_enough |= noted.is_enough
    return root


def _read(text: str) -> tuple[Entries | None, Mistakes]:
    mistakes = Mistakes("")
    try:
        roots = _Builder(mistakes).build(YAML(typ="safe", pure=True).parse(text))
    except YAMLError as error:
        with suppress(EnoughError):
            mistakes.add(_syntax_mistake(error, text))
        return None, mistakes
    except EnoughError:
        return None, mistakes
    if roots and isinstance(roots[0], Entries):
        return roots[0], mistakes
    if not mistakes.found:
        mistakes.add(
            Mistake(
                path="",
                line=1,
                column=1,
                what="the file does not hold a line",
                found=roots[0].shown if roots else "nothing",
                allowed="a mapping with at least 'line', 'sources' and 'label'",
            )
        )
    return None, mistakes


_read_before = lru_cache(maxsize=8)(_read)
"""The last texts: the sites of a file are read one by one, and a run reads its file some times."""


_IN_WORDS = (
    (
        "expected ',' or",
        "a bracket or a quote is not closed, or a comma is missing",
        "close it before this place",
    ),
    ("found unexpected end of stream", "a quote is not closed", ""),
    ("mapping values are not allowed here", "a colon stands where no key can be", QUOTE),
    (
        "expected <block end>",
        "this does not belong to what stands above it",
        "what belongs together starts in one column; after a closing bracket nothing follows",
    ),
    ("could not find expected ':'", "a key is not followed by a colon", ""),
    (
        "found unknown escape character",
        "a backslash in double quotes means nothing here",
        "use single quotes",
    ),
    ("unacceptable character", "a control character stands in the file", "remove it"),
)
"""What the reader of YAML says, as it begins; what that means for a person; what to do."""


def _in_words(problem: str) -> tuple[str, str]:
    if found := re.match(r"found character (?P<quoted>.+) that cannot start any token", problem):
        if "\\t" in found["quoted"]:
            return "a tab stands where blanks must", "indent with blanks, not with tabs"
        return f"a text cannot begin with {found['quoted']}", QUOTE
    for beginning, words, hint in _IN_WORDS:
        if problem.startswith(beginning):
            return words, hint
    return problem, ""


def _syntax_mistake(error: YAMLError, text: str) -> Mistake:
    # A mark past the last line (an unclosed bracket) is shown at the end of the text.
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    lines = text.splitlines() or [""]
    row, column = (min(mark.line, len(lines) - 1), mark.column) if mark else (0, 0)
    if isinstance(error, ReaderError):
        before = text[: error.position]
        row, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    problem = error.problem if isinstance(error, MarkedYAMLError) else str(error).splitlines()[0]
    words, hint = _in_words(problem or "")
    return Mistake(
        path="",
        line=row + 1,
        column=column + 1,
        what=f"not readable as YAML: {words}",
        hint=hint,
    )


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Items | Entries
    key: Scalar | None = None


class _Builder:
    """Builds nodes from parse events, without recursion, so that deep nesting costs a message and not the stack."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes
        self._open: list[_Open] = []
        self._roots: list[Node] = []

    def build(self, events: Iterator[Event]) -> list[Node]:
        documents = 0
        for event in events:
            documents += isinstance(event, DocumentStartEvent)
            if documents > 1:
                self._refuse(event, "a second document", hint="one line a file; remove the '---'")
                break
            if isinstance(event, AliasEvent):
                self._refuse(event, f"an alias (*{event.anchor})", hint="write the value out")
            elif anchor := getattr(event, "anchor", None):
                self._refuse(event, f"an anchor (&{anchor})", hint="write the value out where it is needed")
            if tag := getattr(event, "tag", None):
                self._refuse(event, f"a tag ({tag})", hint="write the plain value")
            if isinstance(event, SequenceEndEvent | MappingEndEvent):
                self._open.pop()
            elif (node := _node(event)) is not None:
                self._place(node)
                if isinstance(node, Items | Entries):
                    self._open.append(_Open(node))
            if len(self._open) > MAX_DEPTH:
                self._refuse(event, f"nesting more than {MAX_DEPTH} deep")
                return []
        return self._roots

    def _refuse(self, event: Event, what: str, *, hint: str = "") -> None:
        mark = event.start_mark
        self._mistakes.add(
            Mistake(
                path="",
                line=mark.line + 1,
                column=mark.column + 1,
                what=f"{what} is not allowed in a line file",
                hint=hint,
            )
        )

    def _place(self, node: Node) -> None:
        if not self._open:
            self._roots.append(node)
            return
        parent = self._open[-1]
        if isinstance(parent.node, Items):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
        else:
            if isinstance(node, Scalar) and not node.text and node.line > parent.key.line:
                # What is not there stands, for the parser, where the next thing does: perhaps past the end of the file.
                node = replace(node, line=parent.key.line, column=parent.key.column)
            parent.node.entries.setdefault(parent.key.text, (parent.key, node))
            parent.key = None

    def _key(self, node: Node) -> Scalar:
        entries = self._open[-1].node
        text, what = "", ""
        if not isinstance(node, Scalar):
            what = "a key must be a single word"
        elif isinstance(entries, Entries) and node.text in entries.entries:
            first = entries.entries[node.text][0].line
            what = f"the key {node.text!r} stands twice (first on line {first})"
        if isinstance(node, Scalar):
            text = node.text
        if what:
            self._mistakes.add(
                Mistake(path="", line=node.line, column=node.column, what=what, found=node.shown)
            )
        return Scalar(line=node.line, column=node.column, text=text, is_plain=False)


def _node(event: Event) -> Node | None:
    mark = event.start_mark
    match event:
        case ScalarEvent():
            text, plain = _paired(str(event.value)), event.style is None
            return Scalar(line=mark.line + 1, column=mark.column + 1, text=text, is_plain=plain)
        case AliasEvent():
            return Scalar(line=mark.line + 1, column=mark.column + 1, text="", is_plain=True)
        case SequenceStartEvent():
            return Items(line=mark.line + 1, column=mark.column + 1)
        case MappingStartEvent():
            return Entries(line=mark.line + 1, column=mark.column + 1)
        case _:
            return None


def _paired(text: str) -> str:
    r"""Join the halves that JSON writes large characters in (``\ud83d\ude00``); a half alone becomes U+FFFD."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def find(root: Entries, path: tuple[str | int, ...]) -> Scalar | Items | Entries | None:
    """Return the deepest node on the way along `path`: of a mapping the key, of a list the item; `None` if none is."""
    at: Node | None = None
    node: Node = root
    for part in path:
        if isinstance(part, str) and isinstance(node, Entries) and part in node.entries:
            at, node = node.entries[part]
        elif isinstance(part, int) and isinstance(node, Items) and part < len(node.items):
            at = node = node.items[part]
        else:
            break
    return at


def locate(root: Entries, written: str) -> Scalar | Items | Entries | None:
    """Return the deepest node on the way along a path as errors write it, e.g. ``gates[1].metric``; `None` if none is.

    The names of columns and sources stand there as they are, so that a name with dots or brackets is found too.
    """
    path: list[str | int] = []
    node: Node | None = root
    while node is not None and (step := _first_step(node, written)) is not None:
        path.append(step)
        written = written[len(step) :] if isinstance(step, str) else written.partition("]")[2]
        written = written.removeprefix(".")
        node = _below(node, step)
    return find(root, tuple(path))


def _first_step(node: Node, written: str) -> str | int | None:
    if isinstance(node, Entries):
        fitting = [key for key in node.entries if key and (written + ".").startswith((f"{key}.", f"{key}["))]
        return max(fitting, key=len, default=None)
    index = re.match(r"\[([0-9]+)\]", written) if isinstance(node, Items) else None
    return int(index[1]) if index else None


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(step, str):
        return node.entries[step][1] if isinstance(node, Entries) else None
    return node.items[step] if isinstance(node, Items) and step < len(node.items) else None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_text(path: Path) -> str:
    """Return the text of a file that people write."""
    try:
        # Opened so that a pipe which nobody writes to does not wait for a writer.
        with open(path, "rb", opener=_open_at_once) as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_BYTES + 1) if is_file else b""
    except FileNotFoundError:
        others = sorted(other.name for other in path.parent.glob("*.yaml"))
        raise NotFound(
            "there is no such file",
            where=str(path),
            allowed=", ".join(others),
            hint=near_file(path),
        ) from None
    except OSError as error:
        raise SpecError(f"cannot read it: {error.strerror}", where=str(path)) from error
    if not is_file:
        raise SpecError("cannot read it: it is not a file", where=str(path))
    if len(data) > MAX_BYTES:
        raise SpecError("the file is too long for a line file", where=str(path), allowed="at most 1 MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise SpecError(
            "the file is not UTF-8", where=f"{path}:{row}:{column}", hint="save it as UTF-8"
        ) from error
