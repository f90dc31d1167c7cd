"""Feast's definitions become files of feature views, and each says what of it was carried over and what was not."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as field_of
from pathlib import Path
from typing import Any, Final

import msgspec

from linewright.contrib.feast.definitions import (
    VIEWS,
    Choice,
    Definition,
    Repository,
    Unread,
    read_repository,
)
from linewright.data.finding_text import in_yaml
from linewright.errors import LinewrightError, RequestError
from linewright.features.facts import NO_TIME
from linewright.features.views.aggregates import duration_text
from linewright.line.factory import Factory
from linewright.line.file.mistakes import Mistakes
from linewright.line.file.view_file import FOLDER, parse_view, view_path
from linewright.line.file.yaml_nodes import Entries, Scalar, read_nodes, read_text
from linewright.text.quoting import quoted

STORE = "feature_store.yaml"
DATABASE = "env:FEAST_DB"
"""Place of the URL of Feast's database."""
_READ: Final = frozenset(
    {
        "String",
        "Bool",
        "Int32",
        "Int64",
        "Float32",
        "Float64",
        "Uuid",
        "TimeUuid",
        "Decimal",
        "STRING",
        "BOOL",
    }
    | {"INT32", "INT64", "FLOAT", "DOUBLE", "ValueType"}
)
"""Types of Feast's that a view reads."""
_FUNCTIONS: Final = {
    "sum": "sum",
    "mean": "mean",
    "avg": "mean",
    "min": "min",
    "max": "max",
    "count": "count",
    "count_distinct": "distinct",
    "nunique": "distinct",
    "last": "last",
}
"""Functions of Feast's aggregations, with ours."""
_STREAMS: Final = frozenset({"KafkaSource", "KinesisSource"})
_URL: Final = re.compile(r"^[a-z0-9+]+://")


class FeastObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a Feast repository, and what became of it."""

    kind: str
    """Its class."""
    name: str
    where: str
    """Its place, ``FILE:LINE``."""
    file: str | None
    """The file that has it now; `None` if none has."""
    says: tuple[str, ...]
    """What to know of it: what is said otherwise here, and what was not carried over."""


class FeastImport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the definitions of a Feast repository."""

    project: str
    """The project that `feature_store.yaml` names; empty without one."""
    written: tuple[str, ...]
    """Files that are new."""
    objects: tuple[FeastObject, ...]
    unread: tuple[str, ...]
    """Places of objects that only running the file would tell: those made in functions and loops."""


class _LeftOutError(Exception):
    """A view cannot be carried over."""


@dataclass(kw_only=True)
class _Draft:
    """The file of a view, and what is said of it."""

    fields: dict[str, Any] = field_of(default_factory=dict[str, Any])
    says: list[str] = field_of(default_factory=list[str])


def import_definitions(factory: Factory, folder: Path) -> FeastImport:
    """Write the feature views of a Feast repository as files of the factory."""
    folder = folder.parent if folder.name == STORE else folder
    repository, store = read_repository(folder), _read_store(folder)
    if not repository.definitions:
        raise RequestError(
            "no Python file here defines anything of Feast's",
            where=str(folder),
            allowed=f"the folder of {STORE}",
            hint="name the folder with the definitions",
        )
    reader = _Reader(factory.root, folder, repository, store)
    objects = tuple(reader.objects())
    written = _write(factory.root, reader.files)
    return FeastImport(
        project=store.get("project", ""), written=written, objects=objects, unread=repository.unread
    )


def _write(root: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Write the files of views that are not there; none if one is there and says something else."""
    for name, text in files.items():
        path = view_path(root, name)
        if path.exists() and read_text(path) != text:
            raise RequestError(
                "there is a feature view of this name, which says something else",
                where=f"{FOLDER}/{name}.yaml",
                hint="rename or remove the file; nothing was written",
            )
    (root / FOLDER).mkdir(exist_ok=True)
    new = [name for name in files if not view_path(root, name).exists()]
    for name in new:
        with view_path(root, name).open("x", encoding="utf-8") as file:
            file.write(files[name])
    return tuple(f"{FOLDER}/{name}.yaml" for name in new)


def _read_store(folder: Path) -> dict[str, str]:
    """Return the project, and the kind and place of the offline store, as far as they are said; no secret is among them."""
    path = folder / STORE
    if not path.is_file():
        return {}
    mistakes = Mistakes(STORE)
    root = read_nodes(read_text(path), mistakes)
    mistakes.raise_if_any()
    found = _texts(root, ("project",))
    _, offline = (root.entries if root else {}).get("offline_store", (None, None))
    return found | _texts(offline, ("type", "host", "port", "database"))


def _texts(node: object, words: Sequence[str]) -> dict[str, str]:
    entries = node.entries if isinstance(node, Entries) else {}
    return {word: one.text for word, (_, one) in entries.items() if word in words and isinstance(one, Scalar)}


class _Reader:
    """Makes files of what a repository defines."""

    def __init__(self, root: Path, folder: Path, repository: Repository, store: Mapping[str, str]) -> None:
        self._root, self._folder, self._store = root, folder, store
        self._all = repository.definitions
        self.files: dict[str, str] = {}
        """Text of each file, by the name of its view."""

    def objects(self) -> Iterator[FeastObject]:
        """Give each object with what became of it, views first: services name their files."""
        views = [one for one in self._all if one.kind in VIEWS]
        names = {one.where: (_name(one), *self._view(one)) for one in views}
        for one in self._all:
            if one.where in names:
                name, file, says = names[one.where]
                yield FeastObject(kind=one.kind, name=one.name or name, where=one.where, file=file, says=says)
            else:
                yield FeastObject(
                    kind=one.kind, name=one.name, where=one.where, file=None, says=self._said(one)
                )

    def _view(self, view: Definition) -> tuple[str | None, tuple[str, ...]]:
        """Return the file of a view, if it has one, and what is to be said of it."""
        draft = _Draft()
        try:
            self._fill(draft, view)
            text, name = _file_text(draft.fields), str(draft.fields["view"])
            parse_view(text, name=f"{FOLDER}/{name}.yaml", view=name)
        except _LeftOutError as error:
            return None, (f"not carried over: {error}",)
        except LinewrightError as error:
            return None, (f"not carried over: {error.what}: {error.found}",)
        self.files[name] = text
        return f"{FOLDER}/{name}.yaml", tuple(draft.says)

    def _fill(self, draft: _Draft, view: Definition) -> None:
        if view.kind == "OnDemandFeatureView":
            raise _LeftOutError(
                "it is Python code on a request; write it in the SQL of the line's table (table.sql)"
            )
        said = draft.fields
        said["view"] = _name(view)
        if said["view"] in self.files:
            raise _LeftOutError(f"another view is features/{said['view']}.yaml already")
        said |= {
            ours: view.said[word]
            for word, ours in (("description", "about"), ("owner", "owner"))
            if _is_text(view.said.get(word))
        }
        if "udf" in view.said or "feature_transformation" in view.said:
            raise _LeftOutError("its columns are made by code: make them in the query of a source")
        keys = self._keys(view)
        said["entity"] = keys[0] if len(keys) == 1 else keys
        source = self._source(draft, view)
        said["source"] = self._place(draft, source, keys)
        self._times(draft, view, source)
        said["columns"] = self._columns(draft, view, source, keys)
        self._ttl(draft, view)

    def _keys(self, view: Definition) -> list[str]:
        said = view.said.get("entities", view.said.get("entity"))
        entities = said if isinstance(said, list) else [said] if said else []
        keys = [key for one in entities for key in self._join_keys(one)]
        if not keys:
            raise _LeftOutError("it has no entity, and rows of a line are looked up by one")
        return keys

    def _join_keys(self, entity: object) -> list[str]:
        named = (one for one in self._all if one.kind == "Entity" and one.name == entity)
        found = next(named, None) if isinstance(entity, str) else entity
        if isinstance(found, Definition) and found.kind == "Entity":
            keys = found.said.get("join_keys", found.said.get("join_key", found.name))
            texts = [one for one in (keys if isinstance(keys, list) else [keys]) if _is_text(one)]
            if texts:
                return texts
        raise _LeftOutError(f"what its entity {_shown(entity)} is cannot be read without running the file")

    def _source(self, draft: _Draft, view: Definition) -> Definition:
        """Return the source of the rows of the past."""
        said = view.said
        found = next(
            (said[word] for word in ("source", "batch_source", "stream_source", "input") if said.get(word)),
            None,
        )
        while isinstance(found, Definition) and (found.kind == "PushSource" or found.kind in _STREAMS):
            is_push = found.kind == "PushSource"
            draft.says.append(
                f"rows of {found.name or 'its push source'} can be sent here too: add push: NAME and key: COLUMN"
                if is_push
                else f"rows of the stream {found.name or found.kind} were not carried over: have a program send them, with push: NAME and key: COLUMN"
            )
            found = found.said.get("batch_source")
        if not isinstance(found, Definition) or not found.is_source:
            raise _LeftOutError(f"what its source {_shown(found)} is cannot be read without running the file")
        return found

    def _place(self, draft: _Draft, source: Definition, keys: Sequence[str]) -> dict[str, str]:
        """Return the source as a file of a view has it."""
        said = source.said
        if source.kind == "FileSource":
            return {"file": self._path(draft, said.get("path", said.get("file_url")))}
        if source.kind != "PostgreSQLSource":
            raise _LeftOutError(
                f"no source here is a {source.kind}: write its rows to Parquet, a bucket or PostgreSQL"
            )
        time, query, table = _time_of(source), said.get("query"), said.get("table")
        if _is_text(query):
            sql = str(query).strip().rstrip(";")
        elif _is_text(table):
            sql = f"select * from {table} order by {', '.join([*keys, *([time] if time else [])])}"  # noqa: S608 -- a query of the file's
        else:
            raise _LeftOutError("its query cannot be read without running the file")
        of = self._store if self._store.get("type", "").startswith("postgres") else {}
        place = f"{of.get('host', 'HOST')}:{of.get('port', '5432')}/{of.get('database', 'DATABASE')}"
        draft.says.append(
            f"set {DATABASE.partition(':')[2]} to postgresql://USER:PASSWORD@{place}, and name the host under `hosts` in factory.yaml"
        )
        return {"sql": sql, "at": DATABASE}

    def _path(self, draft: _Draft, path: object) -> str:
        if not _is_text(path) or "%" in str(path):
            raise _LeftOutError(
                f"the path of its file, {_shown(path)}, cannot be read without running the file"
            )
        if _URL.match(str(path)):
            draft.says.append(
                "name its server under `hosts` in factory.yaml, and add at: env:NAME to the source unless all may read it"
            )
            return str(path)
        absolute = self._folder.resolve() / str(path)
        inside = absolute.is_relative_to(self._root.resolve())
        return (
            Path(os.path.relpath(absolute, self._root.resolve())).as_posix()
            if inside
            else absolute.as_posix()
        )

    def _times(self, draft: _Draft, view: Definition, source: Definition) -> None:
        time = _time_of(source) or view.said.get("timestamp_field")
        known = source.said.get("created_timestamp_column")
        draft.fields["time"] = time if _is_text(time) else known if _is_text(known) else NO_TIME
        if _is_text(known):
            draft.fields["known"] = known
            draft.says.append(
                f"rows count from {known} on: in Feast, {known} only decides between rows of one time. Take `known` out if all were loaded at once"
            )
        elif draft.fields["time"] == NO_TIME:
            draft.says.append(
                "its rows have no time: they hold at all times, and `check` says what that risks"
            )
        else:
            draft.says.append(
                "nothing says when its rows were known: add known: COLUMN if they came later than they happened"
            )

    def _columns(
        self, draft: _Draft, view: Definition, source: Definition, keys: Sequence[str]
    ) -> dict[str, str]:
        aggregations = view.said.get("aggregations")
        if isinstance(aggregations, list) and aggregations:
            return dict(_aggregated(draft, [one for one in aggregations if isinstance(one, Definition)]))
        mapping = source.said.get("field_mapping")
        columns = {ours: theirs for theirs, ours in (mapping if isinstance(mapping, dict) else {}).items()}
        fields = view.said.get("schema", view.said.get("features"))
        if not isinstance(fields, list) or not fields:
            raise _LeftOutError(
                "it does not name its features (schema), which Feast then finds in the source"
            )
        others = {*keys, draft.fields["time"], draft.fields.get("known")}
        found = dict[str, str]()
        for one in fields:
            name, kind = (one.name, _type(one)) if isinstance(one, Definition) else ("", "")
            if name in others:
                continue
            if not name or kind not in _READ:
                draft.says.append(
                    f"{name or _shown(one)} was not carried over: a view reads no {kind or 'feature without a name'}"
                )
                continue
            found[name] = f"last({_column(columns.get(name, name))})"
        if not found:
            raise _LeftOutError("none of its features has a type that a view reads")
        return found

    def _ttl(self, draft: _Draft, view: Definition) -> None:
        ttl = view.said.get("ttl")
        if ttl is None or ttl == 0:
            return
        micros = _micros(ttl)
        if micros is None:
            draft.says.append(
                f"ttl: {_shown(ttl)} was not carried over: it cannot be read without running the file"
            )
        elif micros:
            draft.fields["ttl"] = duration_text(micros)

    def _said(self, one: Definition) -> tuple[str, ...]:
        """Say what became of an object other than a view."""
        if one.kind == "Entity":
            return ("its join key is `entity` of the views",)
        if one.kind == "FeatureService":
            return tuple(self._service(one))
        if one.kind == "RequestSource":
            return ("its columns are sent in requests: columns of the line's table",)
        if one.is_source:
            is_read = one.kind in {"FileSource", "PostgreSQLSource", "PushSource", *_STREAMS}
            return (
                "its views have it as `source`"
                if is_read
                else f"not carried over: no source here is a {one.kind}",
            )
        return (
            ("not carried over: a factory has one project",)
            if one.kind == "Project"
            else ("not carried over",)
        )

    def _service(self, one: Definition) -> Iterator[str]:
        said = one.said.get("features")
        names, gone = list[str](), list[str]()
        for each in said if isinstance(said, list) else []:
            view = each.view if isinstance(each, Choice) else each
            name = _name(view) if isinstance(view, Definition) else ""
            (names if name in self.files else gone).append(name if name in self.files else _shown(view))
            if isinstance(each, Choice) and name in self.files:
                yield f"of {name} it takes {', '.join(each.features)}: name the others in table.exclude"
        if names:
            yield f"write in the line file: features: [{', '.join(dict.fromkeys(names))}]"
        if gone:
            yield f"not carried over: {', '.join(gone)}"


def _aggregated(draft: _Draft, aggregations: Sequence[Definition]) -> Iterator[tuple[str, str]]:
    for one in aggregations:
        column, function = one.said.get("column"), one.said.get("function")
        micros = _micros(one.said.get("time_window"))
        ours = _FUNCTIONS.get(str(function))
        if not _is_text(column) or ours is None or not micros:
            draft.says.append(
                f"{function} of {_shown(column)} was not carried over: a view has no such function"
            )
            continue
        name = one.name or f"{function}_{column}_{micros // 10**6}s"
        yield name, f"{ours}({_column(str(column))}) over {duration_text(micros)}"


def _file_text(fields: Mapping[str, Any]) -> str:
    order = ("view", "about", "owner", "entity", "source", "time", "known", "ttl")
    lines = [f"{word}: {in_yaml(fields[word])}" for word in order if word in fields]
    columns = [f"  {quoted(name)}: {in_yaml(text)}" for name, text in fields["columns"].items()]
    return "\n".join([*lines, "columns:", *columns, ""])


def _name(view: Definition) -> str:
    """Return the name of a view, as a file may have it."""
    return re.sub(r"[^a-z0-9_-]+", "_", view.name.lower()).lstrip("_-")[:63] or "view"


def _column(name: str) -> str:
    is_plain = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in {
        "and",
        "or",
        "in",
        "is",
        "not",
        "null",
        "over",
    }
    return name if is_plain else '"' + name.replace('"', '""') + '"'


def _time_of(source: Definition) -> str | None:
    said = source.said.get("timestamp_field") or source.said.get("event_timestamp_column")
    return str(said) if _is_text(said) else None


def _type(one: Definition) -> str:
    said = one.said.get("dtype")
    text = said.text if isinstance(said, Unread) else ""
    return re.split(r"[(\[]", text.removeprefix("ValueType.").rpartition(".")[2] or text)[0]


def _micros(value: object) -> int | None:
    """Return the length of a timedelta in microseconds; `None` if it is none that is written out."""
    if not isinstance(value, Definition) or value.kind not in {"timedelta", "Duration"}:
        return None
    units = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
    with suppress(KeyError, TypeError):
        return sum(int(units[word] * 10**6 * amount) for word, amount in value.said.items())
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _shown(value: object) -> str:
    if isinstance(value, Unread):
        return value.text
    return value.name or value.kind if isinstance(value, Definition) else repr(value)[:100]
