"""Changes of the text of a line file that leave the rest of it as it is written."""

import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from linewright.data.facts import MASK, Edit
from linewright.errors import RequestError, SpecError
from linewright.store.files.names import file_of

_WIDTH = 1_000_000
"""No line is broken."""
_FLUSH_LIST = re.compile(r"^(?P<indent> *)[^\s#-][^#\n]*:[ ]*(#[^\n]*)?\n(?P=indent)- ", re.MULTILINE)
"""A list whose items stand below their key and not to the right of it."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?(s|m|h|d|w)")
_COMMENT = re.compile(r"(?:^|[ \t]+)#[^\r\n]*")
_ALLOWED = re.compile(
    r"""(?P<key>(?P<quote>["']?)\ballowed(?P=quote)[ \t]*:)[ \t]*
    (\[(?:"(?:\\.|[^"\\])*"|'[^']*'|(?<=\w)'|[^\]"'])*\]  # a list in brackets
    |\[[\s\S]*  # one whose end is not clear
    |(?:[ \t]*\r?\n[ \t]*-[^\r\n]*)+  # one below the key
    |[^\r\n]*)""",
    re.VERBOSE,
)
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def edited(
    text: str, edits: Iterable[Edit], values: Mapping[tuple[str, ...], float | str] = MappingProxyType({})
) -> str:
    r"""Return the text of a line file with some changes made; comments, order and spelling of all else stay.

    Examples
    --------
    >>> text = "line: a  # a name\nlabel: {column: y}\n"
    >>> print(edited(text, [Edit(path=("table", "exclude"), value="id", is_item=True), Edit(path=("label", "delay"), value="1d")]), end="")
    line: a  # a name
    label: {column: y, delay: 1d}
    table:
      exclude: [id]
    """
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    if not _FLUSH_LIST.search(text):
        yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        root = yaml.load(text)
    except YAMLError as error:
        raise SpecError("not readable as YAML", where="the line file", hint="fix that first") from error
    if not isinstance(root, CommentedMap):
        raise SpecError("the file does not hold a line", allowed="a mapping")
    for each in edits:
        _edit(root, each.path, _to_yaml(each.value), is_item=each.is_item)
    for path, value in values.items():
        _edit(root, path, _to_yaml(value), is_item=False)
    out = io.StringIO()
    yaml.dump(root, out)
    return out.getvalue()


def _edit(root: CommentedMap, path: Sequence[str], value: Any, *, is_item: bool) -> None:
    at: Any = root
    for key in path[:-1]:
        if at.get(key) is None:
            at[key] = CommentedMap()
        at = at[key]
        if not isinstance(at, CommentedMap):
            raise RequestError("nothing can be changed here", where=".".join(path), found=str(at)[:80])
    if not is_item:
        at[path[-1]] = value
        return
    there = at.get(path[-1])
    if there is None:
        items = CommentedSeq([value])
        items.fa.set_flow_style()
        at[path[-1]] = items
    elif not isinstance(there, list):
        raise RequestError("nothing can be added here", where=".".join(path), found=str(there)[:80])
    elif value not in there:
        cast("list[Any]", there).append(value)


def _to_yaml(value: Any) -> Any:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if is_plain or _DURATION.fullmatch(value) else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        made = CommentedMap({key: _to_yaml(one) for key, one in cast("dict[str, Any]", value).items()})
        made.fa.set_flow_style()
        return made
    if isinstance(value, Sequence):
        items = CommentedSeq(_to_yaml(one) for one in cast("Sequence[Any]", value))
        items.fa.set_flow_style()
        return items
    return value


def without_values(text: str, columns: Collection[str] | None) -> str:
    r"""Return the text of a line file without the values of some columns: what is allowed, and comments on its line, where `linewright new` writes some.

    A `#` after a space in quotes counts as a comment too, so that none is overlooked.

    Examples
    --------
    >>> print(without_values("contract:\n  pay: {min: 0}  # 7 to 9\n  n:  # of pay\n    min: 1  # 2 to 3", {"pay"}))
    contract:
      pay: {min: 0}
      n:
        min: 1  # 2 to 3
    """
    if columns is not None and not columns:
        return text
    spelled = {
        one
        for name in columns or ()
        for one in (
            name,
            name.replace("'", "''"),
            json.dumps(name)[1:-1],
            json.dumps(name, ensure_ascii=False)[1:-1],
        )
    }
    name = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, spelled))})(?!\w)" if spelled else "")
    lines, inside = list[str](), -1  # how far the line is indented that lines below belong to; -1 for none
    hidden, at = set[int](), 0
    for line in io.StringIO(text, newline=""):
        code = _COMMENT.sub("", line)
        if code.strip():
            indent = len(line) - len(line.lstrip())
            if indent <= inside:
                inside = -1
            if inside < 0 and name.search(code):
                inside = indent
        if is_hidden := inside >= 0 or name.search(line) is not None:
            hidden.update(at + found.start() for found in _ALLOWED.finditer(code))
        lines.append(code if is_hidden else line)
        at += len(lines[-1])
    return _ALLOWED.sub(
        lambda found: f'{found["key"]} ["{MASK}"]' if found.start() in hidden else found[0], "".join(lines)
    )


def difference(before: str, after: str, name: str) -> str:
    """Return the unified diff from one text of a line file to another; empty where they are equal."""
    file = file_of(Path("lines"), name).as_posix()
    parts = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(
        each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n"
        for each in unified_diff(*parts, fromfile=f"a/{file}", tofile=f"b/{file}")
    )
