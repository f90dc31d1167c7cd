"""Runs as events of OpenLineage [1]_: what a run reads, the dataset version and the model that it makes, and which column comes of which.

A run starts when it is accepted, and completes, fails or is aborted when it has ended. An event has names of columns and no value.
What the record holds no longer is left out.

References
----------
.. [1] OpenLineage 2-0-2, https://openlineage.io/spec/2-0-2/OpenLineage.json; names of datasets as in https://openlineage.io/docs/spec/naming.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from linewright import __version__
from linewright.data.facts import Dataset, Ingested
from linewright.data.read.sql.address import url_of
from linewright.data.spec import (
    DeltaSource,
    FileSource,
    PushSource,
    RestSource,
    SourceSpec,
    SqlSource,
)
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Finished, Plan
from linewright.line.personal import personal_columns, without_personal
from linewright.line.spec import LineSpec
from linewright.line.views.column_origins import How, origins, views_in
from linewright.model.facts import Package, Registered
from linewright.people.messages import OPENLINEAGE_PRODUCER, OPENLINEAGE_SCHEMA, Message
from linewright.store.metadata.audit_chain import Link
from linewright.store.values import decoder
from linewright.text.database_url import PORTS, DatabaseUrl
from linewright.text.remote_url import is_remote, shown_url

KINDS = ("accepted", "finished")
"""Kinds of events of the record that become one."""
_ENDS: Mapping[str, str] = {"done": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}
_FACETS: Mapping[str, str] = {
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "documentation": "1-1-0/DocumentationJobFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "ownership": "1-0-1/OwnershipJobFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "tags": "1-0-0/TagsDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}
"""Version and name of each facet."""
_HOW: Mapping[How, str] = {
    "same": "IDENTITY",
    "expression": "TRANSFORMATION",
    "window": "AGGREGATION",
    "rows": "AGGREGATION",
}
"""How a column is made of one of a source, in the words of OpenLineage. Which rows count is a part of aggregating them."""
Json = dict[str, Any]


class _DatasetName(NamedTuple):
    namespace: str
    name: str

    def field(self, column: str, how: str) -> Json:
        """Return a column of it as an input of another column."""
        transformation = {"type": "DIRECT", "subtype": how, "description": "", "masking": False}
        return {**self._asdict(), "field": column, "transformations": [transformation]}


def lineage_message(factory: Factory, link: Link) -> Message:
    """Return the message that an event of the record becomes."""
    if link.kind == KINDS[0]:
        accepted = decoder(Accepted).decode(link.body)
        kind, ended = "START", None
    else:
        ended = decoder(Finished).decode(link.body)
        found = (one for one in factory.metadata.events(Accepted, line=link.line) if one.run == ended.run)
        kind, accepted = _ENDS[ended.outcome], next(found, None)
    run = ended.run if ended is not None else accepted.run if accepted is not None else ""
    event = _RunEvent(factory, link, accepted, ended).to_json(kind, run)
    return Message(
        seq=link.seq,
        id=link.chain,
        topic=None,
        kind=link.kind,
        line=link.line,
        subject=link.line,
        at=link.at,
        says=f"{link.line}, run {run}: {kind}",
        event=event,
    )


class _RunEvent:
    def __init__(
        self, factory: Factory, link: Link, accepted: Accepted | None, ended: Finished | None
    ) -> None:
        self._factory, self._link, self._ended = factory, link, ended
        self._here = f"linewright://{factory.root.name}"
        self._plan: Plan | None = None
        self._spec: LineSpec | None = None
        with suppress(LinewrightError, ValueError):  # dropped by retention, or of an older form
            if accepted is not None:
                self._plan = factory.metadata.get(accepted.plan, Plan)
                declared = factory.metadata.get(accepted.declared, Declared)
                self._spec = LineSpec.model_validate(declared.spec)

    def to_json(self, kind: str, run: str) -> Json:
        """Return the event."""
        facets: Json = {
            "processing_engine": _facet("processing_engine", name="Linewright", version=__version__)
        }
        if self._ended is not None and kind == "FAIL":
            because = without_personal(self._ended, personal_columns(self._factory, self._link.line)).because
            facets["errorMessage"] = _facet("errorMessage", message=because, programmingLanguage="Python")
        return {
            "eventType": kind,
            "eventTime": self._link.at,
            "run": {"runId": run, "facets": facets},
            "job": {"namespace": self._here, "name": self._link.line, "facets": self._job()},
            "inputs": [*self._sources(), *self._views()],
            "outputs": list(self._outputs()),
            "producer": OPENLINEAGE_PRODUCER,
            "schemaURL": OPENLINEAGE_SCHEMA,
        }

    def _job(self) -> Json:
        facets = {
            "jobType": _facet("jobType", processingType="BATCH", integration="LINEWRIGHT", jobType="TRAINING")
        }
        if self._spec is not None and self._spec.about:
            facets["documentation"] = _facet("documentation", description=self._spec.about)
        if self._spec is not None and self._spec.owner:
            facets["ownership"] = _facet("ownership", owners=[{"name": self._spec.owner}])
        return facets

    def _sources(self) -> Iterator[Json]:
        """Give what the sources read."""
        for name, spec in (self._spec.sources if self._spec else {}).items():
            read = self._plan.sources.get(name) if self._plan else None
            version = {"version": _facet("version", datasetVersion=read)} if read else {}
            for one in self._names(name, spec):
                facets = {**_data_source(one.namespace, spec.describe()), **version}
                yield {**one._asdict(), "facets": facets}

    def _views(self) -> Iterator[Json]:
        """Give the feature views that rows are joined with."""
        for name in self._spec.features if self._spec else ():
            facets = _data_source(self._here, f"the feature view {name}")
            yield {**_DatasetName(self._here, f"features.{name}")._asdict(), "facets": facets}

    def _names(self, name: str, spec: SourceSpec) -> list[_DatasetName]:
        match spec:
            case SqlSource():
                found = list(_tables(spec, self._factory.root))
            case PushSource():
                found = [_DatasetName(self._here, f"sent.{spec.push}")]
            case FileSource() if is_remote(spec.file):
                found = [_remote(spec.file)]
            case RestSource():
                found = [_remote(spec.rest)]
            case DeltaSource():
                here = _DatasetName("file", str(self._factory.root / spec.delta))
                found = [_remote(spec.delta) if is_remote(spec.delta) else here]
            case _:
                found = [_DatasetName("file", str(self._factory.root / file)) for file in spec.local_files]
        return found or [_DatasetName(self._here, f"{self._link.line}.{name}")]

    def _outputs(self) -> Iterator[Json]:
        ended, metadata = self._ended, self._factory.metadata
        if ended is None or ended.ingested is None:
            return
        with suppress(LinewrightError):
            ingested = metadata.get(ended.ingested, Ingested)
            dataset = metadata.get(ingested.dataset, Dataset)
            yield self._of_dataset(ingested, dataset)
            registered = next(
                (one for one in metadata.events(Registered, line=ended.line) if one.run == ended.run), None
            )
            if registered is not None:
                yield self._of_model(registered, metadata.get(registered.package, Package))

    def _of_dataset(self, ingested: Ingested, dataset: Dataset) -> Json:
        fields = [{"name": one.name, "type": one.type} for one in dataset.columns]
        personal = sorted(self._spec.contract.personal) if self._spec else []
        tags = [{"key": "personal", "value": "true", "source": "USER", "field": name} for name in personal]
        facets = {
            "schema": _facet("schema", fields=fields),
            "version": _facet("version", datasetVersion=ingested.dataset),
            **_data_source(self._here, f"dataset versions of {self._link.line}"),
            **self._lineage(dict(self._made_of(ingested, dataset))),
            **({"tags": _facet("tags", tags=tags)} if tags else {}),
        }
        counted = _facet("outputStatistics", rowCount=dataset.rows, fileCount=len(dataset.chunks))
        return {**self._dataset._asdict(), "facets": facets, "outputFacets": {"outputStatistics": counted}}

    def _of_model(self, registered: Registered, package: Package) -> Json:
        features = [self._dataset.field(name, "TRANSFORMATION") for name in package.encoder.columns]
        facets = {
            "schema": _facet("schema", fields=[{"name": package.label, "type": package.task}]),
            "version": _facet("version", datasetVersion=str(registered.model)),
            **_data_source(self._here, f"models of {self._link.line}"),
            **self._lineage({package.label: features}),
        }
        return {"namespace": self._here, "name": f"{self._link.line}.model", "facets": facets}

    @property
    def _dataset(self) -> _DatasetName:
        return _DatasetName(self._here, f"{self._link.line}.dataset")

    @staticmethod
    def _lineage(columns: Mapping[str, Sequence[Json]]) -> Json:
        fields = {name: {"inputFields": list(of)} for name, of in columns.items() if of}
        return {"columnLineage": _facet("columnLineage", fields=fields)} if fields else {}

    def _made_of(self, ingested: Ingested, dataset: Dataset) -> Iterator[tuple[str, list[Json]]]:
        """Give the columns of sources that each column of the table is made of, where that is known; of a feature view, its column."""
        spec = self._spec
        if spec is None:
            return
        views = [one.facts for one in views_in(self._factory.metadata, ingested)]
        of_view = {column.name: view.view for view in views for column in view.columns}
        for name, made in origins(spec, ingested, dataset, views).items():
            if name in of_view:
                view = _DatasetName(self._here, f"features.{of_view[name]}")
                yield name, [view.field(name, "IDENTITY")]
                continue
            for one in made[:1]:
                found = self._names(one.source, spec.sources[one.source])
                if len(found) == 1:  # of several tables nobody knows which has the column
                    yield name, [found[0].field(each.column, _HOW[each.how]) for each in made]


def _remote(url: str) -> _DatasetName:
    """Return bucket and path, or host and path, without parameters: these may be secrets."""
    parts = urlsplit(shown_url(url))
    return _DatasetName(f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/")


def _tables(spec: SqlSource, root: Path) -> Iterator[_DatasetName]:
    """Give the tables that a query reads, or its database if the query cannot be read; nothing if the URL is not here."""
    try:
        url = url_of(spec, root, "sources")
    except LinewrightError:
        return
    if url.scheme not in PORTS:
        yield _DatasetName("file", str(root / url.database))
        return
    scheme = "postgres" if url.scheme == "postgresql" else url.scheme
    host = url.host if not url.host.startswith("/") else "localhost"
    namespace = f"{scheme}://{host}:{url.port or PORTS[url.scheme]}"
    for table in _read_by(spec.sql, url):
        yield _DatasetName(namespace, table)


def _read_by(sql: str, url: DatabaseUrl) -> list[str]:
    duckdb = import_module("duckdb")  # it takes a while to import
    (text,) = duckdb.connect().execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    tables, ctes = set[tuple[str, str]](), set[str]()
    _note_tables(json.loads(text), tables, ctes)  # none in the SQL of another database
    default = "public" if url.scheme == "postgresql" else ""
    found = sorted((schema or default, name) for schema, name in tables if schema or name not in ctes)
    return [".".join(filter(None, (url.database, *one))) for one in found] or [url.database]


def _note_tables(node: Any, tables: set[tuple[str, str]], ctes: set[str]) -> None:
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            _note_tables(each, tables, ctes)
    elif isinstance(node, dict):
        parts = cast("Json", node)
        if parts.get("type") == "BASE_TABLE":
            tables.add((parts["schema_name"], parts["table_name"]))
        ctes |= {each["key"] for each in (parts.get("cte_map") or {}).get("map", ())}
        for each in parts.values():
            _note_tables(each, tables, ctes)


def _data_source(namespace: str, says: str) -> Json:
    return {
        "dataSource": _facet(
            "dataSource", name=says, uri=namespace if "://" in namespace else f"{namespace}://"
        )
    }


def _facet(name: str, /, **fields: Any) -> Json:
    version, _, kind = _FACETS[name].partition("/")
    url = f"https://openlineage.io/spec/facets/{version}/{kind}.json#/$defs/{kind}"
    return {"_producer": OPENLINEAGE_PRODUCER, "_schemaURL": url, **fields}
