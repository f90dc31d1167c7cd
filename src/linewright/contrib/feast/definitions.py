"""What the Python files of a Feast repository define, read from their syntax alone: nothing in them is run."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from linewright.errors import RequestError, SpecError

MOST_FILES, MOST_BYTES = 1_000, 1 << 20
"""Python files that are read, and bytes of each, at most."""
VIEWS: Final = frozenset(
    {"FeatureView", "BatchFeatureView", "StreamFeatureView", "OnDemandFeatureView", "LabelView"}
)
"""Kinds of feature views."""
_DECORATORS: Final = {
    "on_demand_feature_view": "OnDemandFeatureView",
    "stream_feature_view": "StreamFeatureView",
    "batch_feature_view": "BatchFeatureView",
}
_PARTS: Final = frozenset({"Field", "Feature", "Aggregation", "timedelta", "Duration"})
_OTHERS: Final = frozenset({"Entity", "FeatureService", "Project", "RequestFeatureView"})
_POSITIONAL: Final[Mapping[str, tuple[str, ...]]] = {
    "timedelta": ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks"),
    "Aggregation": ("column", "function", "time_window"),
}
_DEEPEST = 100
"""Values within values, at most."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """An object that a file defines."""

    kind: str
    """Its class, such as ``FeatureView``."""
    said: Mapping[str, Any]
    """What it is made with, by word: constants, lists and mappings of these, definitions, `Choice` and `Unread`."""
    where: str
    """``FILE:LINE``."""

    @property
    def name(self) -> str:
        """The name that it gives itself; empty without one that is written out."""
        name = self.said.get("name")
        return name if isinstance(name, str) else ""

    @property
    def is_source(self) -> bool:
        """Whether it holds rows."""
        return self.kind.endswith("Source")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Some features of a view, as a feature service names them."""

    view: Definition
    features: tuple[str, ...]


@dataclass(frozen=True)
class Unread:
    """A value that only running the file would tell."""

    text: str
    """As it is written."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What is defined in a folder."""

    definitions: tuple[Definition, ...]
    """In the order of the files and their lines; a source that stands within a view is none of them."""
    unread: tuple[str, ...]
    """Places, ``FILE:LINE``, of objects that are made in functions, loops and classes."""


def read_repository(folder: Path) -> Repository:
    """Read the definitions in the Python files of a folder and of those below it, but for hidden ones and packages that are installed."""
    modules = [_Module(path, folder) for path in _files(folder)]
    for one in modules:
        one.others = modules
    definitions = [each for one in modules for each in one.definitions()]
    return Repository(
        definitions=tuple({one.where: one for one in definitions}.values()),
        unread=tuple(where for one in modules for where in one.unread()),
    )


def _files(folder: Path) -> list[Path]:
    found = list[Path]()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in {"site-packages", "node_modules", "venv"} for part in parts):
            continue
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            found.append(path)
    if len(found) > MOST_FILES or any(path.stat().st_size > MOST_BYTES for path in found):
        raise RequestError(
            "this cannot be a folder of definitions: it has too many Python files, or too large ones",
            where=str(folder),
            found=f"{len(found):,} files",
            allowed=f"at most {MOST_FILES:,}, of {MOST_BYTES:,} bytes each",
            hint="name the folder of feature_store.yaml",
        )
    return found


@dataclass(eq=False)
class _Module:
    path: Path
    folder: Path
    others: "Sequence[_Module]" = ()
    _values: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.name = self.path.relative_to(self.folder).as_posix()
        try:
            self.tree = ast.parse(self.path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            raise SpecError(
                f"this is not Python: {error}", where=f"{self.name}:{line}", hint="correct the file"
            ) from error
        self.statements = list(_statements(self.tree.body))
        self.assigned: dict[str, ast.expr] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.stars: list[str] = []
        """Modules of which all names are imported."""
        self.functions: dict[str, ast.FunctionDef] = {}
        for one in self.statements:
            self._note(one)

    def _note(self, one: ast.stmt) -> None:
        if isinstance(one, ast.Assign):
            self.assigned |= {target.id: one.value for target in one.targets if isinstance(target, ast.Name)}
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value is not None:
            self.assigned[one.target.id] = one.value
        elif isinstance(one, ast.ImportFrom):
            self.imported |= {name.asname or name.name: (one.module or "", name.name) for name in one.names}
            self.stars += [one.module or "" for name in one.names if name.name == "*"]
        elif isinstance(one, ast.FunctionDef):
            self.functions[one.name] = one

    def definitions(self) -> Iterator[Definition]:
        """Give what the file defines."""
        for one in self.statements:
            if isinstance(one, ast.FunctionDef):
                if (found := self._decorated(one)) is not None:
                    yield found
            elif isinstance(one, ast.Assign | ast.AnnAssign | ast.Expr) and one.value is not None:
                yield from _within(self.value_of(one.value))

    def unread(self) -> Iterator[str]:
        """Give the places of objects that are made in functions, loops and classes."""
        read = {id(node) for one in self.statements for node in _own_nodes(one)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and id(node) not in read and _kind(node) in VIEWS | {"Entity"}:
                yield f"{self.name}:{node.lineno}"

    def named(self, name: str) -> Any:
        """Return the value of a name."""
        if name == "__file__":
            return str(self.path)
        if name not in self._values:
            self._values[name] = Unread(name)  # of one that is made of itself
            self._values[name] = self._looked_up(name)
        return self._values[name]

    def _looked_up(self, name: str) -> Any:
        if name in self.assigned:
            return self.value_of(self.assigned[name])
        if name in self.functions:
            return self._decorated(self.functions[name]) or Unread(name)
        wanted = [self.imported[name]] if name in self.imported else [(one, name) for one in self.stars]
        for module, original in wanted:
            last = module.rpartition(".")[2]
            for other in self.others:
                path = PurePosixPath(other.name)
                has_it = original in other.assigned or original in other.functions
                if has_it and last in {path.stem, path.parent.name}:
                    return other.named(original)
        return Unread(self.imported.get(name, ("", name))[1])

    def _decorated(self, function: ast.FunctionDef) -> Definition | None:
        for one in function.decorator_list:
            if isinstance(one, ast.Call) and (kind := _DECORATORS.get(_last_name(one.func))):
                said = {"name": function.name, "udf": Unread(function.name), **self._words(one, kind, 0)}
                return Definition(kind=kind, said=said, where=f"{self.name}:{function.lineno}")
        return None

    def _words(self, call: ast.Call, kind: str, depth: int) -> dict[str, Any]:
        names = _POSITIONAL.get(kind, ("name",))
        positional = {name: self.value_of(one, depth) for name, one in zip(names, call.args, strict=False)}
        return positional | {one.arg: self.value_of(one.value, depth) for one in call.keywords if one.arg}

    def value_of(self, node: ast.expr, depth: int = 0) -> Any:
        """Return the value of an expression, as far as constants, names and definitions tell it."""
        read = _READERS.get(type(node))
        found = None if read is None or depth > _DEEPEST else read(self, node, depth + 1)
        return Unread(_written(node)) if found is None and not _is_none(node) else found

    def call(self, node: ast.Call, depth: int) -> Any:
        """Return what a call makes: a definition, or a path."""
        name = _last_name(node.func)
        if name in VIEWS | _PARTS | _OTHERS or name.endswith("Source"):
            return Definition(
                kind=name, said=self._words(node, name, depth), where=f"{self.name}:{node.lineno}"
            )
        if name in {"with_name", "with_join_key_map"} and isinstance(node.func, ast.Attribute):
            found = self.value_of(node.func.value, depth)
            return found if isinstance(found, Definition | Choice) and name == "with_name" else None
        return self._path(name, node, depth)

    def _path(self, name: str, node: ast.Call, depth: int) -> str | None:
        parts = [self.value_of(one, depth) for one in node.args]
        if not parts and isinstance(node.func, ast.Attribute):
            parts = [self.value_of(node.func.value, depth)]
        if not parts or not all(isinstance(one, str) for one in parts):
            return None
        if name in {"join", "Path", "PurePath", "joinpath"}:
            return str(Path(*parts))
        if name in {"str", "abspath", "resolve", "absolute", "as_posix", "fspath", "realpath"}:
            return str(parts[0])
        return str(Path(parts[0]).parent) if name == "dirname" else None

    def attribute(self, node: ast.Attribute, depth: int) -> Any:
        """Return the folder of a path, or what a definition is made with."""
        value = self.value_of(node.value, depth)
        if isinstance(value, str) and node.attr == "parent":
            return str(Path(value).parent)
        if isinstance(value, Definition):
            return value.said.get(node.attr)
        return None

    def choice(self, node: ast.Subscript, depth: int) -> Choice | None:
        """Return the features that are taken of a view."""
        view, names = self.value_of(node.value, depth), self.value_of(node.slice, depth)
        if isinstance(view, Definition) and isinstance(names, list):
            return Choice(view=view, features=tuple(one for one in names if isinstance(one, str)))
        return None

    def joined(self, node: ast.BinOp, depth: int) -> Any:
        """Return two texts behind each other, a path below another, or a product."""
        left, right = self.value_of(node.left, depth), self.value_of(node.right, depth)
        if isinstance(left, str) and isinstance(right, str):
            if isinstance(node.op, ast.Add):
                return left + right
            return str(Path(left) / right) if isinstance(node.op, ast.Div) else None
        if isinstance(left, int | float) and isinstance(right, int | float):
            return left * right if isinstance(node.op, ast.Mult) else None
        return None

    def text(self, node: ast.JoinedStr, depth: int) -> str | None:
        """Return a text with values in it."""
        parts = [
            self.value_of(one.value if isinstance(one, ast.FormattedValue) else one, depth)
            for one in node.values
        ]
        return "".join(map(str, parts)) if all(isinstance(one, str | int) for one in parts) else None

    def items(self, node: ast.List | ast.Tuple, depth: int) -> list[Any]:
        """Return the values of a list, those of a list within it that is unpacked too."""
        found = list[Any]()
        for one in node.elts:
            inner = self.value_of(one.value, depth) if isinstance(one, ast.Starred) else None
            found += inner if isinstance(inner, list) else [self.value_of(one, depth)]
        return found

    def mapping(self, node: ast.Dict, depth: int) -> dict[str, Any]:
        """Return the values by their words."""
        pairs = zip(node.keys, node.values, strict=True)
        values = ((self.value_of(key, depth), value) for key, value in pairs if key is not None)
        return {key: self.value_of(value, depth) for key, value in values if isinstance(key, str)}


_READERS: Final[Mapping[type[ast.expr], Callable[[_Module, Any, int], Any]]] = {
    ast.Constant: lambda _, node, __: node.value,
    ast.Name: lambda module, node, _: module.named(node.id),
    ast.List: lambda module, node, depth: module.items(node, depth),
    ast.Tuple: lambda module, node, depth: module.items(node, depth),
    ast.Dict: lambda module, node, depth: module.mapping(node, depth),
    ast.Call: lambda module, node, depth: module.call(node, depth),
    ast.Attribute: lambda module, node, depth: module.attribute(node, depth),
    ast.Subscript: lambda module, node, depth: module.choice(node, depth),
    ast.BinOp: lambda module, node, depth: module.joined(node, depth),
    ast.JoinedStr: lambda module, node, depth: module.text(node, depth),
}


def _written(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:200]
    except RecursionError:
        return "a very long expression"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _kind(node: ast.Call) -> str:
    return _last_name(node.func)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a file, those under conditions too."""
    for one in body:
        if isinstance(one, ast.If | ast.Try | ast.With):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(one, name, []))
        else:
            yield one


def _own_nodes(one: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(one, ast.Assign | ast.AnnAssign | ast.Expr):
        yield from ast.walk(one)
    elif isinstance(one, ast.FunctionDef):
        for decorator in one.decorator_list:
            yield from ast.walk(decorator)


def _within(value: Any) -> Iterator[Definition]:
    if isinstance(value, Definition) and value.kind not in _PARTS:
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _within(one)
