"""Personal columns: who has no right to their values sees a mask instead. What is stored stays, since rebuilds and replays need it.

A result is masked at the rim, after an operation has returned it, so that none can forget to. What an operation turns into
sentences it masks itself before, by `without_personal`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, cached_property, lru_cache, partial, reduce
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from linewright.data.breach_text import FORMLESS
from linewright.data.facts import MASK, Breach, Finding, SensorFault
from linewright.data.finding_text import without_personal as evidence_without_personal
from linewright.errors import LinewrightError
from linewright.features.facts import FeatureDifference
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Finished
from linewright.line.file.edit import without_values
from linewright.line.spec import LineSpec
from linewright.model.facts import Contribution, Dependence, Outcome, WeakSlice
from linewright.model.gate_reasons import FairnessFound
from linewright.store.files.stamps import Stamp, lasting_stamp

T = TypeVar("T")
VIEW_PERSONAL = "view-personal"

_WORD = b"personal"
_REPLACEMENTS: Mapping[type, Mapping[str, Any]] = {
    Contribution: {"up": "", "down": ""},
    SensorFault: {"value": None, "usual": None},
    FeatureDifference: {"logged": MASK, "computed": MASK},
}
"""What stands in facts about a hidden column, by field; other fields hold none of its values."""
_ROW_FIELDS = frozenset({"row", "rows", "values", "example"})
"""What holds rows, by column."""
_FIGURES_BY_COLUMN = frozenset({"contributions", "changed_columns", "breaches", "lineage"})
"""Mappings by column, or about columns, that hold no value."""
_NEVER_COLUMNS = frozenset(
    {"id", "line", "model", "at", "kind", "by", "run", "key", "unit", "subject", "group", "version", "digest", "name", "column"}
    | {"type", "answer", "label", "because", "arm", "via", "site", "generation", "step", "state", "says", "evidence", "package"}
)  # fmt: skip
"""Words that name no column outside of a row."""
_SHOWN_FIELDS = frozenset(
    {"column", "name", "kind", "type", "nullable", "role", "format", "optional", "rule", "action", "failed", "rows", "line", "file"}
    | {"source", "row", "check", "severity", "monitor", "bar", "size", "direction", "windows"}
)  # fmt: skip
"""What is shown of the JSON of a fact about a hidden column."""


_FIELDS_BESIDE_KEY, _FIELDS_BESIDE_GROUP = (
    frozenset({"answer", "row", "question"}),
    frozenset({"monitor", "fault"}),
)
"""Words of facts in which `key`, `subject` and `unit`, and in which `group`, is a value."""


class HiddenColumns(msgspec.Struct, frozen=True):
    """Columns of a line whose values are hidden."""

    names: frozenset[str] | None
    """`None` is all: nobody knows which are personal."""
    fields: frozenset[str] = frozenset()
    """Fields of facts that have a value of one, of `key`, `group`, `subject` and `unit`."""

    def __bool__(self) -> bool:
        """Whether any is hidden."""
        return self.names is None or bool(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether a column is hidden."""
        return self.names is None or name in self.names

    def has_value(self, field: object, found: object, every: Collection[Any]) -> bool:
        """Return whether a field of a fact has a hidden value, and not the name of its column."""
        words = _FIELDS_BESIDE_GROUP if field == "group" else _FIELDS_BESIDE_KEY
        if (
            field not in self.fields
            or words.isdisjoint(every)
            or not isinstance(found, str | int)
            or found == ""
        ):
            return False
        return self.names is None or found not in self.names


NONE, ALL = HiddenColumns(frozenset()), HiddenColumns(None, frozenset({"key", "group", "subject", "unit"}))


def hidden_columns(factory: Factory, line: str) -> HiddenColumns:
    """Return the columns of a line whose values who asks may not see."""
    return NONE if factory.may(VIEW_PERSONAL, line) else personal_columns(factory, line)


def personal_columns(factory: Factory, line: str) -> HiddenColumns:
    """Return the columns of a line that are declared personal: all of them where its file says so of any, and is wrong.

    Of a line without a file it is those that the file of its last run declared.
    """
    try:
        return _of_spec(factory.line(line)) if _has_word(factory.path_of(line)) else NONE
    except (LinewrightError, OSError):
        return ALL if line in factory.names() else _declared_last(factory, line)


def _has_word(path: Path) -> bool:
    """Return whether a line file may declare a personal column; most do not: parsing them would take long."""
    stamp = lasting_stamp(path)
    return _WORD in path.read_bytes() if stamp is None else _had_word(str(path), stamp)


@lru_cache(maxsize=4_096)
def _had_word(path: str, stamp: Stamp) -> bool:
    del stamp  # a file that changes has another one
    return _WORD in Path(path).read_bytes()


def _of_spec(spec: LineSpec) -> HiddenColumns:
    names, table = spec.contract.personal, spec.table
    fields = {"key": {table.key}, "subject": {table.subject}, "group": {*table.groups}}
    fields["unit"] = {spec.release.unit or table.key}
    return HiddenColumns(names, frozenset(field for field, of in fields.items() if of & names))


def _declared_last(factory: Factory, line: str) -> HiddenColumns:
    for one in factory.metadata.events(Accepted, line=line, newest_first=True, limit=1):
        return _of_spec(LineSpec.model_validate(factory.metadata.get(one.declared, Declared).spec))
    return NONE


def hidden_anywhere(factory: Factory) -> HiddenColumns:
    """Return the columns of any line whose values who asks may not see."""
    return NONE if factory.may(VIEW_PERSONAL, None) else _ColumnsByLine(factory).together


def masked(factory: Factory, result: T) -> T:
    """Return the result of an operation, or an iterator of results, without the values that who asked may not see."""
    lines = _ColumnsByLine(factory)
    if not lines.are_any:
        return result
    if isinstance(result, Iterator):
        return cast("T", (_without_values(one, lines) for one in cast("Iterator[Any]", result)))
    return _without_values(result, lines)


def _without_values(result: T, lines: "_ColumnsByLine") -> T:
    masking = _Masking(lines)
    found = masking.of(result)
    return _unquoted(found, masking.quoted) if masking.quoted else found


def without_personal(fact: T, columns: HiddenColumns) -> T:
    """Return a fact without the values of some columns, and without sentences that quote them."""
    if not columns:
        return fact
    masking = _Masking(None, columns)
    found = masking.of(fact)
    return _unquoted(found, masking.quoted) if masking.quoted else found


def because_of(factory: Factory, ended: Finished) -> str:
    """Return why a run ended so; an error of a contract quotes values."""
    if ended.error is None:
        return ended.because
    return without_personal(ended, hidden_columns(factory, ended.line)).because


def file_without_personal(factory: Factory, line: str, text: str) -> str:
    """Return the text of a line file, or of one proposed for it, without what may quote values that who asks may not see."""
    for one in factory.lines_of_file(line):
        text = without_values(text, hidden_columns(factory, one).names)
    return text


def row_without_personal(row: Mapping[str, Any], columns: HiddenColumns) -> dict[str, Any]:
    """Return a row without the values of some columns."""
    return {name: MASK if name in columns and cell is not None else cell for name, cell in row.items()}


class _ColumnsByLine:
    """The hidden columns of each line of a factory."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self.of: Callable[[str], HiddenColumns] = cache(partial(hidden_columns, factory))

    @property
    def are_any(self) -> bool:
        """Whether there may be any, as far as the files and the lines without a file tell."""
        files = (self._factory.root / "lines").glob("*.yaml")
        gone = set(self._factory.metadata.lines()).difference(self._factory.names())
        try:
            return any(map(_has_word, files)) or any(self.of(line) for line in gone)
        except OSError:  # one is gone by now, or a link that leads nowhere
            return True

    @cached_property
    def together(self) -> HiddenColumns:
        """Those of all lines: what names no line may be of each."""
        found = [self.of(line) for line in {*self._factory.names(), *self._factory.metadata.lines()}]
        if any(one.names is None for one in found):
            return ALL
        names = frozenset[str]().union(*(one.names or () for one in found))
        return HiddenColumns(names, frozenset[str]().union(*(one.fields for one in found)))


class _NothingToShow(Exception):  # noqa: N818 -- says what to do
    """Nothing of it can be said without a hidden value."""


class _Masking:
    """Masks values of hidden columns in a result. A part without any stays the same object."""

    def __init__(
        self,
        lines: _ColumnsByLine | None,
        columns: HiddenColumns | None = None,
        quoted: set[str] | None = None,
    ) -> None:
        self._lines, self._columns = lines, columns
        self.quoted: set[str] = set() if quoted is None else quoted
        """Values that were masked and that sentences quote."""

    @property
    def columns(self) -> HiddenColumns:
        """The columns that are hidden here."""
        if self._columns is None:
            assert self._lines is not None  # noqa: S101 -- one of both is there
            self._columns = self._lines.together
        return self._columns

    def of(self, value: Any) -> Any:
        """Return a value without what is hidden of it."""
        match value:
            case msgspec.Struct():
                return self._inside(getattr(value, "line", None)).struct(value)
            case Mapping():
                return self._inside(value.get("line") if "at" in value else None).mapping(value)
            case msgspec.Raw():
                held = msgspec.json.decode(value)
                found = self.of(held)
                return value if found is held else msgspec.Raw(msgspec.json.encode(found))
            case list() | tuple():
                return self._items(cast("list[Any] | tuple[Any, ...]", value))
            case _:
                return value

    def _inside(self, line: object) -> "_Masking":
        if self._lines is None or not isinstance(line, str) or not line:
            return self
        return _Masking(self._lines, self._lines.of(line), self.quoted)

    def struct(self, value: msgspec.Struct) -> Any:
        """Return a struct."""
        changed = dict(self._instead(value))
        for name in value.__struct_fields__:
            old = getattr(value, name)
            if self.columns.has_value(name, old, value.__struct_fields__):
                changed[name] = self._value(name, old)
            elif name not in changed and (new := self._part(name, old)) is not old:
                changed[name] = new
        return replace(value, **changed) if changed else value

    def _value(self, field: object, found: object) -> str:
        if field == "group":  # the sentence of an alert about a sensor quotes it
            self.quoted.add(repr(found))
        return MASK

    def _instead(self, value: msgspec.Struct) -> Mapping[str, Any]:
        """Return what stands in fields of a fact that is about a hidden column."""
        match value:
            case WeakSlice() if any(one.column in self.columns for one in value.conditions):
                raise _NothingToShow
            case Dependence() if value.column in self.columns:
                raise _NothingToShow
            case Outcome(found=FairnessFound() as found) if found.column in self.columns:
                return _unnamed_groups(value, found)
            case Finding():
                found = evidence_without_personal(value, self.columns)
                return {} if found is value else {"evidence": found.evidence}
            case Breach():
                is_hidden = value.column in self.columns or (value.kind in FORMLESS and bool(self.columns))
                first = self._first(value.first) if is_hidden and value.first else {}
                return {**first, **self._allowed(value.figures)} if is_hidden else first
            case _:
                is_about = getattr(value, "column", None) in self.columns
                return next(
                    (said for kind, said in _REPLACEMENTS.items() if is_about and isinstance(value, kind)), {}
                )

    def _first(self, first: str) -> Mapping[str, str]:
        self.quoted |= {repr(first)} - {repr(MASK)}
        return {"first": MASK}

    def _allowed(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the figures of a rule without the values that a category may have."""
        match figures:
            case {"allowed": list() | tuple() as allowed}:
                self.quoted.add(", ".join(map(str, cast("list[Any]", allowed))))
                return {"figures": {**figures, "allowed": (MASK,)}}
            case _:
                return {}

    def mapping(self, value: Mapping[Any, Any]) -> Any:
        """Return the JSON of a fact, or a mapping other than a row."""
        about = value.get("column", value.get("name"))
        is_about = isinstance(about, str) and about in self.columns
        if self.columns.names is None:  # any name would be a column's
            is_about = is_about and "column" in value
        kind = value.get("kind")  # a mapping, if this is one by column, and there is such a column
        is_formless = isinstance(kind, str) and kind in FORMLESS and bool(self.columns)

        def shown(name: Any, cell: Any) -> Any:
            if name == "first" and isinstance(cell, str) and (is_formless or is_about):
                return self._first(cell)["first"] if cell else cell
            if name == "text" and value.get("kind") == "line_change":
                return without_values(cell, self.columns.names)
            if is_about and name == "figures" and isinstance(cell, Mapping):
                return self._allowed(cell).get("figures", _blank(cell))
            # The rule of a column:
            if isinstance(cell, Mapping) and cell.get("allowed") and name in self.columns:
                return {**cell, "allowed": [MASK]}
            if is_formless and name == "values":
                return _blank(cell)
            if is_about and name not in _SHOWN_FIELDS and not _is_row(name, cell):
                return _blank(cell)
            if self.columns.has_value(name, cell, value.keys()):
                return self._value(name, cell)
            return MASK if self._is_cell(name, cell) else self._part(name, cell)

        found = {name: shown(name, cell) for name, cell in value.items()}
        return found if any(found[name] is not cell for name, cell in value.items()) else value

    def _is_cell(self, name: object, cell: object) -> bool:
        """Return whether what stands in a mapping other than a row looks like a value of a hidden column all the same."""
        names = self.columns.names or ()
        is_one = name in names and name not in _NEVER_COLUMNS and name not in _FIGURES_BY_COLUMN
        return is_one and cell is not None and not isinstance(cell, Mapping)

    def _part(self, name: object, cell: Any) -> Any:
        if name in _FIGURES_BY_COLUMN and isinstance(cell, Mapping):
            return cell
        if _is_row(name, cell):
            hidden = [one for one in cell if one in self.columns and cell[one] is not None]
            return row_without_personal(cell, self.columns) if hidden else cell
        return self._items(cell, name) if isinstance(cell, list | tuple) else self.of(cell)

    def _items(self, value: Any, name: object = "") -> Any:
        kept, is_same = list[Any](), True
        for one in value:
            try:
                new = self._part(name if name in _ROW_FIELDS else "", one)
            except _NothingToShow:
                is_same = False
                continue
            is_same = is_same and new is one
            kept.append(new)
        if is_same:
            return value
        return kept if isinstance(value, list) else tuple(kept)


def _is_row(name: object, value: Any) -> bool:
    return (
        name in _ROW_FIELDS
        and isinstance(value, Mapping)
        and not {"kind", "figures", "values"} <= value.keys()
    )


def _unnamed_groups(outcome: Outcome, found: FairnessFound) -> Mapping[str, Any]:
    """Return the rates of groups with numbers for their names."""
    names = {one.group: f"{MASK} {number}" for number, one in enumerate(outcome.groups, 1)}
    widest = found.widest and replace(
        found.widest,
        highest=names.get(found.widest.highest, MASK),
        lowest=names.get(found.widest.lowest, MASK),
    )
    small = tuple(replace(one, group=names.get(one.group, MASK)) for one in found.small)
    thin = tuple(replace(one, group=names.get(one.group, MASK)) for one in found.thin)
    return {
        "found": replace(found, widest=widest, small=small, thin=thin),
        "groups": tuple(replace(one, group=names[one.group]) for one in outcome.groups),
    }


def _blank(value: Any) -> Any:
    """Return a mask of the same form, so that pages can show it."""
    if isinstance(value, Mapping):
        return {name: _blank(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [MASK] * len(cast("list[Any]", value))
    return value if value is None or isinstance(value, bool) else MASK


def _unquoted(value: Any, quoted: Collection[str]) -> Any:
    """Return a value in whose sentences no hidden value is quoted."""
    match value:
        case str():
            return reduce(lambda text, one: text.replace(one, MASK), quoted, value)
        case msgspec.Raw():
            return msgspec.Raw(msgspec.json.encode(_unquoted(msgspec.json.decode(value), quoted)))
        case msgspec.Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            return replace(value, **{name: _unquoted(one, quoted) for name, one in fields.items()})
        case Mapping():
            return {name: _unquoted(one, quoted) for name, one in cast("Mapping[Any, Any]", value).items()}
        case list() | tuple():
            found = [_unquoted(one, quoted) for one in cast("list[Any]", value)]
            return found if isinstance(value, list) else tuple(found)
        case _:
            return value
