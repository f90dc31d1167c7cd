"""How an operation is declared: a function, its types, its docstring. Commands and routes are derived from them."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from linewright.errors import NotFound, RequestError
from linewright.operations.parameter import (
    LineName,
    MaybeLineName,
    Parameter,
    brief,
    function_name,
    help_in,
    nearest,
    shape_of,
)
from linewright.serve.access.rights import EFFECTS, PERMISSIONS, Effect, Identity, Permission

PREFIX = "/api/v1/"
RESERVED = frozenset({"factory", "json", "quiet", "help", "version"})
"""Names that every command has already."""

SHORT = {"out": "o"}
"""One-letter options, by parameter: the same in each command."""

F = TypeVar("F", bound=Callable[..., Any])
Urgent = Callable[[Path, str], Callable[[Any], Any]]
"""What must not wait: it takes the folder of a factory and the name of the one who asks, empty where that is not known yet. It returns
what carries out the rest, given the factory."""
First = Callable[[Mapping[str, Any]], Urgent | None]
"""Takes arguments as `Operation.check` returned them, and returns what must not wait; `None` where nothing of it is urgent."""


FileUse = Literal["in", "data", "out", "new"]
"""What becomes of the file that an argument names: it is read; it is read, and stays with the factory; it is written; it is
written and must be new."""


class NextProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program of ours that takes the place of the command's process, and does without what a command has loaded."""

    module: str
    """What follows ``python -m``."""
    arguments: tuple[str, ...]
    """What follows the module; ``--json`` comes before it where the command has it."""


class Entry(NamedTuple):
    """Where an operation lives, and what help says of it before it is imported."""

    module: str
    summary: str
    """First line of its docstring; `load` refuses another."""
    group: str
    """Heading that it stands under in help."""


class _Flags(NamedTuple):
    permission: Permission
    effect: Effect
    checks_lines: bool
    expensive: bool
    waits: bool
    streams: bool
    local: bool
    anywhere: bool
    files: Mapping[str, FileUse]
    first: First | None


_DECLARED: dict[Callable[..., Any], _Flags] = {}


def operation(
    *,
    permission: Permission,
    effect: Effect,
    checks_lines: bool = False,
    expensive: bool = False,
    waits: bool = False,
    streams: bool = False,
    local: bool = False,
    anywhere: bool = False,
    files: Mapping[str, FileUse] | None = None,
    first: First | None = None,
) -> Callable[[F], F]:
    """Declare a function as an operation; the function itself stays as it is.

    Its first parameter is the factory. Positional parameters become arguments of the command (``*names``: any
    number), keyword-only ones its options; each is described in the docstring's Parameters section, or by ``help`` in the `extra` of its
    type's `msgspec.Meta`. Types: `str`, `int`, `float`, `bool`,
    `Path`, `Literal` of texts, tuples of these, any of them `| None`, and `Annotated` with `msgspec.Meta`. A
    parameter whose name is a Python keyword gets a trailing underscore, as does such an operation.

    Parameters
    ----------
    permission
        The right that it requires, on each line that an argument `line`, `lines` or `model` names; on the whole factory where
        none is named.
    effect
        What it does to the factory; all but ``read`` are POST instead of GET.
    checks_lines
        Whether the function itself finds the line, by an id, and checks the right with `Factory.may`.
    expensive
        Whether it may read files, carry out SQL or a model, or read much of what is stored: for a client of the control plane it
        runs in a process of its own, with limits.
    waits
        Whether it waits for runs, maybe for long, and does little itself: many clients may do so at a time.
    streams
        Whether its result is an iterator of structs, shown one by one.
    local
        Whether it holds the terminal, so that it is a command only.
    anywhere
        Whether it works in a folder that holds no factory: it gets one that was not opened.
    files
        What becomes of the file that a parameter names, by parameter; clients of the control plane send it, or take it from there.
    first
        Says what must not wait: it is done once the arguments are found right, before the factory is opened and before anything that
        could fail or wait.
    """

    def declare(function: F) -> F:
        if permission not in PERMISSIONS or effect not in EFFECTS:
            raise TypeError(f"{function.__name__}: no such permission or effect: {permission!r}, {effect!r}")
        _DECLARED[function] = _Flags(
            permission,
            effect,
            checks_lines,
            expensive,
            waits,
            streams,
            local,
            anywhere,
            files or {},
            first,
        )
        return function

    return declare


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that a person or a program may ask for."""

    name: str
    summary: str
    description: str
    """What the docstring says between summary and first section."""
    permission: Permission
    effect: Effect
    checks_lines: bool
    expensive: bool
    waits: bool
    streams: bool
    local: bool
    anywhere: bool
    files: Mapping[str, FileUse]
    parameters: tuple[Parameter, ...]
    result: Any
    """Type of the result: a struct, several in a union, a dict, or `NoneType`."""
    function: Callable[..., Any]
    first: First | None = None

    @property
    def writes(self) -> bool:
        """Whether it may change or store anything in the factory."""
        return self.effect != "read"

    @property
    def secret(self) -> bool:
        """Whether its result holds a secret (its class says `is_secret`), so that no answer of it is kept."""
        return bool(getattr(self.result, "is_secret", False))

    def without_files(self) -> "Operation":
        """Return it without the files that it can do without: a client of HTTP names no file of this machine."""
        kept = tuple(
            p for p in self.parameters if p.required or p.name in self.files or p.element is not Path
        )
        return self if len(kept) == len(self.parameters) else replace(self, parameters=kept)

    @property
    def method(self) -> str:
        """HTTP method of its route."""
        return "POST" if self.writes else "GET"

    @property
    def path(self) -> str:
        """Path of its route at the control plane."""
        return PREFIX + self.name.replace(" ", "-")

    @property
    def result_kinds(self) -> tuple[Any, ...]:
        """Types that its result may be of, for what reads it as JSON: msgspec reads no unions of untagged structs."""
        if get_origin(self.result) in (Union, UnionType):
            return get_args(self.result)
        if get_origin(self.result) in (Iterator, Iterable):
            return (list[get_args(self.result)[0]],)
        return (self.result,)

    def authorize(self, identity: Identity, values: Mapping[str, Any]) -> None:
        """Refuse it to somebody who may not ask for it, given values that `check` returned.

        Raises
        ------
        Denied
            If they lack the permission on a line that is named, or on the whole factory if none is.
        """
        if self.checks_lines:
            identity.require_somewhere(self.permission)
        else:
            identity.require(self.permission, lines_named(values))

    def urgent(self, values: Mapping[str, Any]) -> Urgent | None:
        """Return what of it must not wait, given values that `check` returned; `None` where nothing is urgent."""
        return self.first(values) if self.first is not None else None

    def call(self, factory: Any, arguments: Mapping[str, Any], *, text: bool = False) -> Any:
        """Check the arguments and carry the operation out.

        Parameters
        ----------
        factory
            What the operation works on.
        arguments
            Values by parameter name, as JSON has them; with `text`, a list of texts for each.
        text
            Whether the values were written as text, on a command line or in a query.

        Raises
        ------
        RequestError
            If an argument is unknown, missing or of the wrong type.
        """
        return self.carry_out(factory, self.check(arguments, text=text))

    def carry_out(self, factory: Any, values: Mapping[str, Any]) -> Any:
        """Call the function with values that `check` returned; personal values are masked where who asks may not see them."""
        positional = [
            value
            for p in self.parameters
            if p.positional
            for value in (values[p.name] if p.spreads else [values[p.name]])
        ]
        named = {function_name(p.name): values[p.name] for p in self.parameters if not p.positional}
        result = self.function(factory, *positional, **named)
        # An operation may work on something else than a factory, which has no personal values.
        conceal = getattr(factory, "without_personal", None)
        return result if conceal is None else conceal(result)

    def check(self, arguments: Mapping[str, Any], *, text: bool = False) -> dict[str, Any]:
        """Return a value for each parameter, or raise `RequestError`; nothing is run."""
        names = [parameter.name for parameter in self.parameters]
        for name in arguments:
            if name not in names:
                near = nearest(name, names)
                raise RequestError(
                    "unknown argument",
                    where=self.name,
                    found=brief(name),
                    allowed=", ".join(names) or "none",
                    hint=f"did you mean {near!r}?" if near else "",
                )
        return {p.name: self._value(p, arguments, text=text) for p in self.parameters}

    def _value(self, parameter: Parameter, arguments: Mapping[str, Any], *, text: bool) -> Any:
        if parameter.name in arguments:
            given = arguments[parameter.name]
            return parameter.check(parameter.from_text(given) if text else given, where=self.name)
        if parameter.required:
            raise RequestError(
                f"{parameter.name!r} is missing",
                where=self.name,
                allowed=parameter.allowed,
                hint=parameter.help,
            )
        return parameter.default


def lines_named(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that arguments name: `line`, each of `lines`, and that of `model`.

    Examples
    --------
    >>> lines_named({"model": "claims@3", "force": True}), lines_named({"lines": ("a", "b")}), lines_named({"line": None})
    (('claims',), ('a', 'b'), ())
    """
    model = values.get("model")  # of `new` it is a file
    of_model = model.partition("@")[0] if isinstance(model, str) else None
    named = (values.get("line"), *values.get("lines", ()), of_model)
    return tuple(line for line in named if line is not None)


def load(name: str, operations: Mapping[str, Entry]) -> Operation:
    """Import one operation.

    Raises
    ------
    NotFound
        If the table has no such name.
    TypeError
        If its declaration contradicts the table or itself: a mistake in the code, not in the request.
    """
    entry = operations.get(name)
    if entry is None:
        near = nearest(name, operations)
        hint = f"did you mean {near!r}?" if near else ""
        raise NotFound("no operation has that name", found=brief(name), hint=hint)
    function = getattr(import_module(entry.module), function_name(name), None)
    if function is None or function not in _DECLARED:
        raise TypeError(f"{entry.module} declares no operation {function_name(name)!r}")
    loaded = _read(name, function)
    if loaded.summary != entry.summary:
        raise TypeError(f"{name}: the table says {entry.summary!r}, the docstring {loaded.summary!r}")
    return loaded


def to_json(result: Any) -> bytes:
    """Return a result as JSON; an iterator of structs becomes an array, a path its text.

    Examples
    --------
    >>> to_json({"folder": Path("a/b"), "rows": (1, 2)})
    b'{"folder":"a/b","rows":[1,2]}'
    """
    whole = list(result) if isinstance(result, Iterator) else result
    return msgspec.json.encode(whole, enc_hook=_from_path)


@cache
def _read(name: str, function: Callable[..., Any]) -> Operation:
    flags = _DECLARED[function]
    summary, description, described = _docstring(function)
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return", NoneType)
    parameters: list[Parameter] = []
    for each in list(inspect.signature(function).parameters.values())[1:]:
        spreads = each.kind is inspect.Parameter.VAR_POSITIONAL
        kind = tuple[hints[each.name], ...] if spreads else hints[each.name]
        shown = each.name.removesuffix("_")
        if shown == "line":
            kind = LineName if kind is str else MaybeLineName if kind == str | None else kind
        element, count = shape_of(kind, where=f"{name}: {each.name}")
        about = described.pop(each.name, "") or help_in(kind)
        if shown in RESERVED or not about:
            raise TypeError(f"{name}: parameter {each.name!r} is reserved or not described in the docstring")
        parameters.append(
            Parameter(
                name=shown,
                type=kind,
                default=() if spreads else each.default,
                help=about,
                positional=each.kind is not inspect.Parameter.KEYWORD_ONLY,
                spreads=spreads,
                short=SHORT.get(each.name, ""),
                element=element,
                count=count,
            )
        )
    # What may be left out is left out of the route, see `without_files`.
    paths = {
        one.name for one in parameters if one.element is Path and (one.required or one.name in flags.files)
    }
    if paths != set(flags.files) and not flags.local:
        raise TypeError(
            f"{name}: {sorted(paths ^ set(flags.files))}: a path that clients name is a file of theirs"
        )
    if flags.effect == "read" and any(one.from_file for one in parameters):
        raise TypeError(f"{name}: a query would have the server read a file")
    if described.keys() - {"factory"}:
        raise TypeError(f"{name}: the docstring describes {sorted(described)}, which it does not take")
    return Operation(
        name=name,
        summary=summary,
        description=description,
        permission=flags.permission,
        effect=flags.effect,
        checks_lines=flags.checks_lines,
        expensive=flags.expensive,
        waits=flags.waits,
        streams=flags.streams,
        local=flags.local,
        anywhere=flags.anywhere,
        files=flags.files,
        parameters=tuple(parameters),
        result=result,
        function=function,
        first=flags.first,
    )


def _docstring(function: Callable[..., Any]) -> tuple[str, str, dict[str, str]]:
    lines = (inspect.getdoc(function) or "").splitlines()
    heads = [i for i in range(len(lines) - 1) if lines[i + 1] and not lines[i + 1].strip("-") and lines[i]]
    sections = {
        lines[start]: lines[start + 2 : end]
        for start, end in zip(heads, [*heads, len(lines)][1:], strict=True)
    }
    described: dict[str, str] = {}
    names: list[str] = []
    for line in sections.get("Parameters", []):
        if line and not line[0].isspace():
            names = [name.strip(" *") for name in line.partition(" : ")[0].split(",")]
            described |= dict.fromkeys(names, "")
        else:
            described |= {name: f"{described[name]} {line.strip()}".strip() for name in names}
    summary, *rest = lines[: heads[0] if heads else None] or [""]
    return summary, "\n".join(rest).strip(), described


def _from_path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"a result cannot hold a {type(value).__name__}")
