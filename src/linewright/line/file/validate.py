"""Fit the nodes of a line file to the rooms' specs, noting every mistake with its place.

The specs are pydantic models and say what is allowed. pydantic's own errors know no place, list every member of a
union, and stop at a type's name; so this walks the models' fields itself and builds each spec from fitted parts.
"""

import math
import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from linewright.data.spec import DATABASE
from linewright.errors import SpecError
from linewright.line.file.mistakes import Mistake, Mistakes, did_you_mean, either
from linewright.line.file.yaml_nodes import Entries, Items, Node, Scalar
from linewright.line.spec import LINE_NAME
from linewright.people.spec import ADDRESS, GOAL_LINES, GOAL_NAME, ISSUER, LINEAGE, ORIGIN, SCOPE, SERVER, URL
from linewright.spec import SECRET, OneOf, OneWord, OrNames, Spec, descriptions, first_required
from linewright.store.pushed_rows import SOURCE
from linewright.text.database_url import HOST
from linewright.text.suggest import nearest

S = TypeVar("S", bound=Spec)

FORMS: Final = {
    LINE_NAME: "1 to 63 small letters, digits and hyphens; of a site's line a dot and the same again",
    r"^\d+(\.\d+)?(us|ms|s|m|h|d|w)$": "a number and a unit (us, ms, s, m, h, d or w), such as 45d",
    r"^([1-9]\d{0,5}[smhdw]|month|quarter|year|1)$": "a whole number of s, m, h, d or w, such as 1d; month, quarter or year; or 1 for whole numbers",
    r"^\d{1,5}(\.\d{1,5})?(s|m|h|d|w|y)$": "an age of a number and a unit (s, m, h, d, w or y), such as 90d",
    r"^[A-Z]{3}$": "three capital letters, such as EUR",
    r"^[^:]+\.py:[A-Za-z_]\w*$": "FILE.py:FUNCTION, the file in the factory's folder",
    r"^\d+ per \d+(\.\d+)?(h|d|w)$": "how many per how long (h, d or w), such as 1 per 90d",
    r"^\d+(\.\d+)? ?[KMGT]i?B$": "a size with its unit (KB to TB, KiB to TiB), such as 8GiB",
    SECRET: "env:NAME or file:PATH, which say where it is",
    DATABASE: "env:NAME or file:PATH, which hold the URL; or duckdb:///PATH or sqlite:///PATH",
    URL: "https://HOST/PATH without a name or password, or env:NAME or file:PATH where that is",
    LINEAGE: "https://HOST/PATH without a name or password, or file:PATH",
    f"^{SOURCE}$": "1 to 63 small letters, digits, _ and hyphens",
    SERVER: "HOST:PORT, such as smtp.example.com:587",
    HOST: "the name or address of a host, such as db.example.com, or the folder of a socket",
    ADDRESS: "an e-mail address",
    ISSUER: "https://HOST[/PATH], without a name, a query or a fragment",
    SCOPE: "a word of visible ASCII characters",
    GOAL_NAME: "1 to 100 characters, without blanks around them",
    ORIGIN: "https://HOST, https://HOST:PORT or http://localhost:PORT, in small letters",
    GOAL_LINES: "the name of a line, or tag:WORD for all lines with that tag",
}
"""Patterns of the grammar in words."""

_KINDS: Final = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2024-05-01",
    datetime: "a time such as 2024-05-01T12:00:00Z",
}


class _Unfit:
    """Stands for a value that did not fit; the mistake is noted already."""


UNFIT: Final = _Unfit()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the walk is."""

    path: str
    mistakes: Mistakes

    @property
    def name(self) -> str:
        return repr(self.path) if self.path else self.mistakes.whole

    @property
    def word(self) -> str:
        """The last word of the path."""
        return self.path.rpartition(".")[2]

    def under(self, word: str | int) -> "_Place":
        path = f"{self.path}[{word}]" if isinstance(word, int) else f"{self.path}.{word}".lstrip(".")
        return _Place(path=path, mistakes=self.mistakes)

    def wrong(self, node: Node, what: str, *, found: Any = None, allowed: str = "", hint: str = "") -> _Unfit:
        self.mistakes.add(
            Mistake(
                path=self.path,
                line=node.line,
                column=node.column,
                what=what,
                found=found,
                allowed=allowed,
                hint=hint,
            )
        )
        return UNFIT


def fit_spec(spec: type[S], node: Entries, mistakes: Mistakes) -> S | None:
    """Return the spec that the nodes declare, or `None` where they hold a mistake; all are noted."""
    fitted = _fit_model(spec, node, _Place(path="", mistakes=mistakes))
    return fitted if isinstance(fitted, spec) else None


def _fit(kind: Any, node: Node, at: _Place) -> Any:
    base, constraints = _parts(kind)
    origin, args = get_origin(base), get_args(base)
    if origin in {Union, types.UnionType}:
        return _fit_union(args, node, at)
    if (table := next((part for part in constraints if isinstance(part, OneOf)), None)) is not None:
        return _fit_one_of_table(table, node, at)
    if origin is tuple:
        return _fit_items(args[0], node, at)
    if origin is dict:
        return _fit_entries(args[1], node, at, constraints)
    if base is object:
        return to_plain(node)
    if _is_spec(base):
        if isinstance(node, Entries):
            return _fit_model(base, node, at)
        return base() if _is_left_empty(node) and _needs_nothing(base) else _not_a_mapping(base, node, at)
    if isinstance(node, Items) and (one := next((p for p in constraints if isinstance(p, OrNames)), None)):
        return _fit_names(one, node, at)
    return _fit_leaf([kind], node, at)


def _fit_names(kind: OrNames, node: Items, at: _Place) -> Any:
    names = _fit_items(str, node, at)
    if names is UNFIT:
        return UNFIT
    try:
        return kind.to_text(kind.checked(names))
    except ValueError as error:
        return at.wrong(node, f"{at.name} cannot have this value", found=", ".join(names), allowed=str(error))


def _parts(kind: Any) -> tuple[Any, list[Any]]:
    """Part ``Annotated[type, ...]`` into the type and its constraints."""
    if get_origin(kind) is not Annotated:
        return kind, []
    base, *metadata = get_args(kind)
    return base, [
        part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])
    ]


def _is_spec(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Spec)


def _is_left_empty(node: Node) -> bool:
    """Return whether nothing stands behind a word, or comments alone."""
    return isinstance(node, Scalar) and node.is_plain and not node.text


def _needs_nothing(spec: type[Spec]) -> bool:
    return not any(field.is_required() for field in spec.model_fields.values())


def _fit_model(spec: type[Spec], node: Entries, at: _Place) -> Any:
    fields = spec.model_fields
    values: dict[str, Any] = {}
    meant: set[str | None] = set()
    for word, (key, value) in node.entries.items():
        if word in fields:
            values[word] = _fit(fields[word].rebuild_annotation(), value, at.under(word))
        else:
            values[word] = _unknown_word(spec, key, value, at)
            meant.add(nearest(word, fields))
    values = {**spec.implied(values), **values}
    for word, field in fields.items():
        # A misspelt word is told once: not also as the absence of what it meant.
        if field.is_required() and word not in values and word not in meant:
            says = descriptions(spec).get(word, "").strip().rstrip(".")
            values[word] = at.wrong(node, f"{word!r} is missing in {at.name}", hint=f"add {word!r}: {says}")
    if any(value is UNFIT for value in values.values()):
        return UNFIT
    try:
        return spec.model_validate(values)
    except ValidationError as error:
        says = "; ".join(part["msg"].removeprefix("Value error, ") for part in error.errors())
        return at.wrong(node, f"{at.name}: {says}")


def _unknown_word(spec: type[Spec], key: Scalar, value: Node, at: _Place) -> _Unfit:
    word, fields = key.text, spec.model_fields
    homes = [repr(name) for name, field in fields.items() if word in _words_of(field.annotation)]
    hint = f"{word!r} belongs in {either(homes)}" if homes else did_you_mean(word, fields)
    if isinstance(value, Scalar) and looks_like_secret_name(word):
        hint = "a line file holds no secrets; where one is needed it is named as env:NAME or file:PATH"
    return at.under(word).wrong(
        key, f"unknown word in {at.name}", found=word, allowed=", ".join(fields), hint=hint
    )


def _words_of(kind: Any) -> set[str]:
    if isinstance(kind, OneOf):
        return {word for spec in kind.specs(()) for word in spec.model_fields}
    if _is_spec(kind):
        return set(kind.model_fields)
    return {word for part in get_args(kind) for word in _words_of(part)}


def _fit_union(args: Sequence[Any], node: Node, at: _Place) -> Any:
    kinds = [kind for kind in args if kind is not types.NoneType]
    if len(kinds) < len(args) and isinstance(node, Scalar) and node.value is None:
        return None
    if len(kinds) == 1:
        return _fit(kinds[0], node, at)
    table = next((one for kind in kinds for one in _parts(kind)[1] if isinstance(one, OneOf)), None)
    if table is not None and isinstance(node, Entries):
        return _fit_one_of_table(table, node, at)
    specs = [kind for kind in kinds if _is_spec(kind)] + list(table.specs(()) if table else ())
    leaves = [kind for kind in kinds if not _is_spec(_parts(kind)[0]) and get_origin(kind) is not tuple]
    if isinstance(node, Entries) and specs:
        return _fit_one_of(specs, node, at)
    if isinstance(node, Items) and (items := [kind for kind in kinds if get_origin(kind) is tuple]):
        return _fit_items(get_args(items[0])[0], node, at)
    if isinstance(node, Scalar) and leaves:
        return _fit_leaf(leaves, node, at, also=[_of_spec(spec) for spec in specs])
    return at.wrong(
        node,
        f"{at.name} does not take {node.shown if not isinstance(node, Scalar) else 'a single value'}",
        found=node.shown if isinstance(node, Scalar) else None,
        allowed=", or ".join([*(_of_kind(kind) for kind in leaves), *(_of_spec(spec) for spec in specs)]),
    )


def _fit_one_of_table(table: OneOf, node: Node, at: _Place) -> Any:
    try:
        return _fit_union(table.specs(node.entries if isinstance(node, Entries) else ()), node, at)
    except SpecError as error:  # of a package
        return at.wrong(node, str(error))


def _fit_one_of(specs: Sequence[type[Spec]], node: Entries, at: _Place) -> Any:
    """Choose the spec by the word that only it requires, so that one mistake is told once and in its terms."""
    if len(specs) == 1:
        return _fit_model(specs[0], node, at)
    words = {first_required(spec): spec for spec in specs}
    own_first = sorted(words, key=lambda word: sum(word in spec.model_fields for spec in specs))
    for word in own_first:
        if word in node.entries:
            return _fit_model(words[word], node, at)
    for word in node.entries:
        if close := nearest(word, words):
            return _fit_model(words[close], node, at)
    return at.wrong(
        node,
        f"{at.name} does not say what it is",
        found=", ".join(node.entries) or "nothing",
        allowed=f"one with {either([repr(word) for word in words])}",
    )


def _of_spec(spec: type[Spec]) -> str:
    words = [word for word, field in spec.model_fields.items() if field.is_required()]
    return f"a mapping with {either([repr(word) for word in words or list(spec.model_fields)])}"


def _fit_items(kind: Any, node: Node, at: _Place) -> Any:
    if not isinstance(node, Items):
        hint = ""
        if isinstance(node, Scalar):
            is_empty = node.is_plain and node.value is None
            hint = f"write {at.word}: [] for none" if is_empty else f"write [{node.text}]"
        return at.wrong(node, f"{at.name} must be a list", found=node.shown, allowed="a list", hint=hint)
    values = [_fit(kind, item, at.under(index)) for index, item in enumerate(node.items)]
    return UNFIT if any(value is UNFIT for value in values) else tuple(values)


def _fit_entries(kind: Any, node: Node, at: _Place, constraints: Sequence[Any]) -> Any:
    if not isinstance(node, Entries):
        return at.wrong(node, f"{at.name} must be a mapping", found=node.shown, allowed="names and values")
    least = max((part.min_length for part in constraints if isinstance(part, MinLen)), default=0)
    if len(node.entries) < least:
        return at.wrong(node, f"{at.name} is empty", allowed=f"at least {least}")
    values = {word: _fit(kind, value, at.under(word)) for word, (_, value) in node.entries.items()}
    return UNFIT if any(value is UNFIT for value in values.values()) else values


def _not_a_mapping(spec: type[Spec], node: Node, at: _Place) -> _Unfit:
    return at.wrong(node, f"{at.name} must be a mapping", found=node.shown, allowed=_of_spec(spec))


def _fit_leaf(kinds: Sequence[Any], node: Node, at: _Place, *, also: Sequence[str] = ()) -> Any:
    allowed = ", or ".join([*(_of_kind(kind) for kind in kinds), *also])
    if not isinstance(node, Scalar):
        return at.wrong(node, f"{at.name} must be a single value", found=node.shown, allowed=allowed)
    bases = {_parts(kind)[0] for kind in kinds if not _words(kind)}
    if str in bases and node.is_plain and node.value is None:
        hint = f'write "{node.text}" in quotes if that is the text' if node.text else ""
        return at.wrong(node, f"{at.name} has no value", found=node.shown, allowed=allowed, hint=hint)
    for kind in kinds:
        value = _read(kind, node)
        if value is not UNFIT:
            return value
    if any(part.pattern in {DATABASE, SECRET, URL} for kind in kinds for part in _patterned(kind)):
        # It may be the secret itself.
        return at.wrong(node, f"{at.name} cannot have this value, which is not shown here", allowed=allowed)
    hint = _leaf_hint(bases, [word for kind in kinds for word in _words(kind)], node)
    return at.wrong(node, f"{at.name} cannot have this value", found=node.shown, allowed=allowed, hint=hint)


def _patterned(kind: Any) -> list[Any]:
    return [part for part in _parts(kind)[1] if getattr(part, "pattern", None)]


def _words(kind: Any) -> tuple[Any, ...]:
    """Return the words that a value must be one of; none where it may be another."""
    base, constraints = _parts(kind)
    if get_origin(base) is Literal:
        return get_args(base)
    return next((tuple(part.words()) for part in constraints if isinstance(part, OneWord)), ())


def _leaf_hint(bases: set[Any], words: Sequence[Any], node: Scalar) -> str:
    words = list(map(str, words))
    if words and (bool not in bases or did_you_mean(node.text, words)):
        return did_you_mean(node.text, words)
    if not node.is_plain and bases & {int, float, bool}:
        return f"write {node.text} without quotes"
    if bool in bases and node.text.lower() in {"yes", "no", "on", "off"}:
        return "write true" if node.text.lower() in {"yes", "on"} else "write false"
    return ""


def _read(kind: Any, node: Scalar) -> Any:
    base, constraints = _parts(kind)
    if words := _words(kind):
        return next((word for word in words if str(word) == node.text), UNFIT)
    value = _value_of(base, node)
    if value is UNFIT or not constraints:
        return value
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return UNFIT


def _value_of(kind: Any, node: Scalar) -> Any:
    # A text is taken as spelled: `positive: 1` means "1", whatever the core schema makes of it.
    if kind is str:
        return node.text
    value = node.value
    if kind in {date, datetime}:
        return _moment(kind, node.text) if isinstance(value, str) else UNFIT
    if kind is bool:
        return value if isinstance(value, bool) else UNFIT
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNFIT
    return value if kind is float or isinstance(value, int) else UNFIT


def _moment(kind: type[date] | type[datetime], text: str) -> Any:
    is_date = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None
    if is_date is (kind is datetime):
        return UNFIT
    try:
        return kind.fromisoformat(text)
    except ValueError:
        return UNFIT


def _of_kind(kind: Any) -> str:
    """Say in words what a value may be."""
    base, constraints = _parts(kind)
    if words := _words(kind):
        return either(list(map(str, words)))
    patterns = [part.pattern for part in _patterned(kind)]
    if patterns:
        return FORMS.get(patterns[0], f"text of the form {patterns[0]}")
    if base is str and any(isinstance(part, MinLen) for part in constraints):
        return "one character"
    bounds = [words for part in constraints if (words := _bound(part))]
    return " ".join([_KINDS.get(base, str(base)), " and ".join(bounds)]).strip()


def _bound(part: Any) -> str:
    match part:
        case Gt():
            return f"above {part.gt}"
        case Ge():
            return f"of at least {part.ge}"
        case Lt():
            return f"below {part.lt}"
        case Le():
            return f"of at most {part.le}"
        case _:
            return ""


def looks_like_secret_name(word: str) -> bool:
    """Return whether a word names something that must not stand in a line file."""
    return re.search(r"passw|secret|token|api_?key|access_?key|credential", word, re.IGNORECASE) is not None


def to_plain(node: Node) -> Any:
    """Return the nodes as plain values."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [to_plain(item) for item in node.items]
        case Entries():
            return {word: to_plain(value) for word, (_, value) in node.entries.items()}
