"""Which columns of a table the inputs of an imported model read."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from linewright.errors import RequestError
from linewright.features.facts import Boolean, Encoder, Encoding, Number, Raw
from linewright.model.imported.onnx_file import Given

NUMBERS = frozenset({"integer", "number", "boolean"})
TEXTS = frozenset({"category", "text"})


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that the inputs of a model read."""

    columns: tuple[str, ...]
    """In the order of the inputs."""
    widths: tuple[int, ...]
    """How many each input takes."""
    dtypes: tuple[Literal["float", "double", "int64", "bool", "string"], ...]
    """What each column becomes."""
    because: str
    """How they were found."""
    is_guessed: bool = False
    """Whether nothing but the order of the table says so."""

    @property
    def is_matrix(self) -> bool:
        """Whether the model reads one table of float32, as our own do."""
        return len(self.widths) == 1 and set(self.dtypes) == {"float"}


def match(
    given: Given, types: Mapping[str, str], *, usable: Sequence[str], named: Sequence[str], where: str
) -> Match:
    """Find the columns that a model reads."""
    names, because, is_guessed = _names(given, types, usable, named)
    widths = _widths(given, len(names))
    if widths is None:
        raise _other_number(given, names, where)
    absent = [name for name in names if name not in types]
    if absent:
        raise RequestError(
            "the model reads columns that the table does not have",
            where=where,
            found=", ".join(absent),
            allowed=", ".join(types),
            hint="name the table's columns in the order of the model's inputs: `new` with --columns, or `columns` in the line file",
        )
    if len(set(names)) != len(names):
        raise RequestError("a column is named twice", where=where, found=", ".join(names))
    dtypes: list[Any] = [
        one.dtype for one, width in zip(given.inputs, widths, strict=True) for _ in range(width)
    ]
    for name, dtype in zip(names, dtypes, strict=True):
        _check_type(name, types[name], dtype, where)
    return Match(
        columns=tuple(names),
        widths=tuple(widths),
        dtypes=tuple(dtypes),
        because=because,
        is_guessed=is_guessed,
    )


def _names(
    given: Given, types: Mapping[str, str], usable: Sequence[str], named: Sequence[str]
) -> tuple[list[str], str, bool]:
    if named:
        return list(named), "as named", False
    if all(one.width == 1 for one in given.inputs) and (
        len(given.inputs) > 1 or any(one.name in types for one in given.inputs)
    ):
        return [one.name for one in given.inputs], "each input has the name of its column", False
    if given.columns:
        return list(given.columns), "the model's metadata name them", False
    is_text = all(one.dtype == "string" for one in given.inputs)
    wanted = TEXTS if is_text else NUMBERS
    names = [name for name in usable if types[name] in wanted]
    return names, f"the {'text' if is_text else 'numeric'} columns in the order of the table", True


def _widths(given: Given, names: int) -> list[int] | None:
    known = sum(one.width or 0 for one in given.inputs)
    free = [one for one in given.inputs if one.width is None]
    if len(free) > 1 or (not free and known != names) or names <= known - (not free):
        return None
    return [names - known if one.width is None else one.width for one in given.inputs]


def _other_number(given: Given, names: Sequence[str], where: str) -> RequestError:
    reads = ", ".join(
        f"{one.name} ({one.width or 'any number of'} {one.dtype} column{'' if one.width == 1 else 's'})"
        for one in given.inputs
    )
    return RequestError(
        "the model reads another number of columns than there are",
        where=where,
        found=f"{len(names)} columns: {', '.join(names) or 'none'}",
        allowed=reads,
        hint="name those that it reads in the order of its inputs (`new` with --columns, or `columns` in the line file), or leave the others out (--exclude)",
    )


def _check_type(name: str, kind: str, dtype: str, where: str) -> None:
    allowed = TEXTS if dtype == "string" else NUMBERS
    if kind not in allowed:
        raise RequestError(
            "a column is not of the type that the model reads",
            where=f"{where}: column {name!r}",
            found=kind,
            allowed=f"{' or '.join(sorted(allowed))}, for the model reads {dtype}",
            hint="correct its type in contract.columns, or the order of the columns",
        )


def encoder_of(found: Match, types: Mapping[str, str], missing: str) -> Encoder:
    """Return what turns rows of the table into what the model reads."""
    if not found.is_matrix:
        pairs = zip(found.columns, found.dtypes, strict=True)
        raws: tuple[Encoding, ...] = tuple(
            Raw(column=name, dtype=dtype, missing=missing if dtype == "string" else "")
            for name, dtype in pairs
        )
        return Encoder(encodings=raws)
    return Encoder(
        encodings=tuple(
            Boolean(column=name) if types[name] == "boolean" else Number(column=name)
            for name in found.columns
        )
    )
