"""One argument of an operation: which types it may have, and how text and JSON become such a value."""

import csv
import keyword
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from inspect import Parameter as Declared
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from linewright.errors import RequestError
from linewright.store.clock import text_of
from linewright.store.files.names import LINE

Duration = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]+(\.[0-9]+)?(s|m|h|d|w)$",
        description="a number and a unit: s, m, h, d or w, e.g. 1d",
    ),
]
"""A number and a unit: s, m, h, d or w."""
LineName = Annotated[
    str,
    msgspec.Meta(
        # JSON Schema's `$` is the end; Python's may have a line break behind it.
        pattern=rf"^{LINE}\Z",
        extra_json_schema={"pattern": f"^{LINE}$"},
        description="a name of a-z, 0-9 and -",
    ),
]
"""The name of a line; `line` of each operation is one, though it is declared as a text."""
MaybeLineName = LineName | None
"""The same, which may be left out."""
LineText = Annotated[
    str,
    msgspec.Meta(
        max_length=2**18,
        description="the text of a line file, at most 262,144 characters",
        extra={"from_file": True},
    ),
]
"""The text of a line file; a command is given the file that has it."""
MANY = -1
"""`Parameter.count` of a parameter that takes any number of values."""
REQUIRED: Any = Declared.empty
"""`Parameter.default` of a parameter that has none."""
_SCALARS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}
_LONGEST_FOUND = 80
_MOST_TEXT = 2**22
"""Bytes of a file whose text is an argument; the limit of the argument itself is lower."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument of an operation."""

    name: str
    """As callers write it: without the trailing underscore of a Python keyword."""
    type: Any
    default: Any
    help: str
    positional: bool
    spreads: bool
    """Whether it is declared as ``*name``."""
    short: str
    """One-letter option, or empty."""
    element: Any
    """Type of one value: a scalar type or a `Literal`."""
    count: int
    """How many values it takes: 1, a fixed number, or `MANY`."""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    @property
    def choices(self) -> tuple[str, ...]:
        """All values that it may have; empty where they are not listed."""
        return get_args(self.element) if get_origin(self.element) is Literal else ()

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        one = " or ".join(repr(choice) for choice in self.choices) or _in_words(self.type, self.element)
        if self.count == 1:
            return one
        return f"a list of {one}" if self.count == MANY else f"{self.count} times {one}"

    @property
    def from_file(self) -> bool:
        """Whether a command is given a file in place of the text, which is what programs send."""
        return any((meta.extra or {}).get("from_file") for meta in _metas(self.type))

    def from_text(self, texts: Sequence[str]) -> Any:
        """Return what was written on a command line or in a query; what is no such value stays text."""
        if self.from_file:
            return _text_in(self.name, texts)
        if self.count == MANY and not self.positional:
            texts = self._parted(texts)
        values = tuple(_from_text(text, self.element) for text in texts)
        if self.count != 1:
            return values
        if len(values) != 1:
            raise RequestError(f"{self.name!r} is given {len(values)} times", allowed="one value")
        return next(iter(values))

    def _parted(self, texts: Sequence[str]) -> list[str]:
        try:
            parts = [field for row in csv.reader(texts, skipinitialspace=True) for field in row]
        except csv.Error as error:
            raise RequestError(
                f"{self.name!r} is no list: {error}",
                found=brief(list(texts)),
                allowed="values, split by commas",
            ) from error
        if not parts:  # an empty variable of a shell must not mean what no option means
            raise RequestError(f"{self.name!r} is empty", allowed="values, split by commas")
        return parts

    def check(self, value: Any, *, where: str) -> Any:
        """Return `value` as this parameter's type, or raise `RequestError`."""
        try:
            found = msgspec.convert(value, self.type, dec_hook=_to_path)
        except msgspec.ValidationError as error:
            near = nearest(value, self.choices) if isinstance(value, str) else None
            raise RequestError(
                f"wrong value of {self.name!r}",
                where=where,
                found=brief(value),
                allowed=self.allowed,
                hint=f"did you mean {near!r}?" if near else "",
            ) from error
        for path in (found,) if isinstance(found, Path) else ():
            _refuse_unfollowable(path, self.name, where=where)
        return found


def _text_in(name: str, texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise RequestError(f"{name!r} is given {len(texts)} times", allowed="one file")
    try:
        with Path(texts[0]).expanduser().open("rb") as file:
            return file.read(_MOST_TEXT).decode()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"the file cannot be read: {reason}", where=texts[0], allowed="a text in UTF-8"
        ) from error


def _refuse_unfollowable(path: Path, name: str, *, where: str) -> None:
    """Raise `RequestError` where a path leads nowhere at all: links in a circle, a name that is too long, no such home.

    A path to nothing that could be there passes: whether it must be there is for others to say.
    """
    try:
        path.expanduser().stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"the path of {name!r} cannot be followed: {reason}", where=where, found=brief(str(path))
        ) from error


def function_name(name: str) -> str:
    """Return the Python name of an operation or a parameter.

    Examples
    --------
    >>> function_name("audit verify"), function_name("import")
    ('audit_verify', 'import_')
    """
    plain = name.replace("-", "_").replace(" ", "_")
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that was probably meant, or `None`.

    Examples
    --------
    >>> nearest("promot", ["predict", "promote"])
    'promote'
    """
    return next(iter(get_close_matches(word, list(words), n=1)), None)


def shape_of(annotation: Any, *, where: str) -> tuple[Any, int]:
    """Return the type of one value of a parameter, and how many it takes; `TypeError` for types it cannot have."""
    core = _core(annotation)
    if get_origin(core) is tuple:
        kinds = get_args(core)
        count = MANY if kinds[-1] is Ellipsis else len(kinds)
        element = _core(kinds[0])
        alike = count == MANY or len(set(kinds)) == 1
    else:
        element, count, alike = core, 1, True
    is_choice = get_origin(element) is Literal and all(
        isinstance(choice, str) for choice in get_args(element)
    )
    if not alike or not (is_choice or element in _SCALARS):
        raise TypeError(f"{where}: a parameter cannot be of type {annotation}")
    return element, count


def _core(annotation: Any) -> Any:
    """Return a type without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _core(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _core(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


def _in_words(annotation: Any, element: Any) -> str:
    """Say what a value may be: as its `Meta` describes it, else by its type and limits."""
    described = [meta.description for meta in _metas(annotation) if meta.description]
    return described[0] if described else _SCALARS[element] + _bounds(annotation)


def _metas(annotation: Any) -> list[msgspec.Meta]:
    if get_origin(annotation) in (Union, UnionType):
        return [meta for kind in get_args(annotation) for meta in _metas(kind)]
    return [meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]


def help_in(annotation: Any) -> str:
    """Return the description that a type brings along, for parameters that several operations have; else an empty text."""
    return next((one.extra["help"] for one in _metas(annotation) if one.extra and "help" in one.extra), "")


def _bounds(annotation: Any) -> str:
    """Say the limits of an `Annotated` number in words."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    limits = [
        f"{words[key]} {getattr(m, key)}"
        for m in _metas(annotation)
        for key in words
        if getattr(m, key) is not None
    ]
    return ", " + " and ".join(limits) if limits else ""


def _from_text(text: str, element: Any) -> Any:
    if element not in (int, float, bool):
        return text
    try:
        value = msgspec.convert(text, element, strict=False)
    except msgspec.ValidationError:
        return text
    return text if isinstance(value, float) and not math.isfinite(value) else value


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{value!r} is not a {kind.__name__}")


def brief(value: Any) -> Any:
    """Return a value that fits in a message."""
    shown = value if isinstance(value, str) else repr(value)
    return value if len(shown) <= _LONGEST_FOUND else shown[:_LONGEST_FOUND] + "…"


def instant_of(given: str | None, where: str) -> str:
    """Return an instant as the record has it; of a day its beginning, of nothing nothing."""
    if not given:
        return ""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise RequestError(
            "not a day or an instant", where=where, found=given[:40], allowed="ISO 8601, such as 2026-01-31"
        ) from None
    return text_of(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))
