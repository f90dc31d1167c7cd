"""A dataset version for others: its rows with a Croissant record [1]_, or a datasheet [2]_ with what the factory knows of it.

References
----------
.. [1] Croissant 1.0, http://mlcommons.org/croissant/1.0.
.. [2] T. Gebru et al., Datasheets for Datasets, Communications of the ACM 64 (2021), 86-92.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
import pyarrow.parquet

from linewright import __version__
from linewright.data.dataset.version import read_chunk
from linewright.data.facts import Column, Dataset, Split
from linewright.errors import Conflict
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns, personal_columns
from linewright.line.record.dataset_rows import parts_of
from linewright.line.record.readings import Reading, labelled_rows, reading, readings
from linewright.line.spec import LineSpec
from linewright.model.facts import Package, Registered, Trained
from linewright.store.disk import explained
from linewright.store.rights import as_asked
from linewright.text.numbers import count

Form = Literal["croissant", "datasheet"]
ROWS, RECORD, SHEET = "rows.parquet", "croissant.json", "datasheet.md"
PART = "split"
"""Column with the part of each row; it is left out if the dataset has one of that name."""
_PARTS = np.array(["train", "test", None], dtype=object)
"""By code of a part."""
_TYPES: Mapping[str, str] = {
    "integer": "sc:Integer",
    "number": "sc:Float",
    "boolean": "sc:Boolean",
    "date": "sc:Date",
    "datetime": "sc:DateTime",
}
"""What Croissant calls a type; the others are text."""
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format"),
            *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
            *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}  # fmt: skip
"""The context that Croissant 1.0 recommends, with the vocabulary of responsible AI."""


class ExportedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version that was written for others."""

    line: str
    dataset: str
    folder: str
    files: tuple[str, ...]
    rows: int
    left_out: tuple[str, ...]
    """Personal columns, which you may not see."""


@dataclass(frozen=True, kw_only=True)
class _Version:
    """What is known of a dataset version."""

    spec: LineSpec
    digest: str
    dataset: Dataset
    columns: tuple[Column, ...]
    """Those that are written."""
    left_out: tuple[str, ...]
    personal: tuple[str, ...]
    number: int
    read: Reading | None
    split: Split | None
    """The newest split of it by which a model was trained."""


def write_export(factory: Factory, line: str, digest: str, folder: Path, form: Form) -> ExportedDataset:
    """Write a dataset version into a new or empty folder.

    Raises
    ------
    Conflict
        If the folder holds anything.
    """
    version = _version(factory, line, digest)
    with explained(folder, "the folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict("the folder is not empty", where=str(folder), hint="name a new one")
        if form == "datasheet":
            (folder / SHEET).write_text("\n".join(_sheet(version)) + "\n")
            files = (SHEET,)
        else:
            _write_rows(factory, version, folder / ROWS)
            record = msgspec.json.format(msgspec.json.encode(_record(version, folder / ROWS)), indent=1)
            (folder / RECORD).write_bytes(record + b"\n")
            files = (ROWS, RECORD)
        for name in files:
            as_asked(folder / name)
    return ExportedDataset(
        line=line,
        dataset=digest,
        folder=str(folder),
        files=files,
        rows=version.dataset.rows,
        left_out=version.left_out,
    )


def _version(factory: Factory, line: str, digest: str) -> _Version:
    dataset, hidden = factory.metadata.get(digest, Dataset), hidden_columns(factory, line)
    found, declared = readings(factory, line), personal_columns(factory, line)
    read = reading(factory, line, found[digest]) if digest in found else labelled_rows(factory, line, digest)
    return _Version(
        spec=factory.line(line),
        digest=digest,
        dataset=dataset,
        columns=tuple(one for one in dataset.columns if one.name not in hidden),
        left_out=tuple(one.name for one in dataset.columns if one.name in hidden),
        personal=tuple(one.name for one in dataset.columns if one.name in declared),
        number=list(found).index(digest) + 1 if digest in found else 1,
        read=read,
        split=_split_of(factory, line, digest),
    )


def _split_of(factory: Factory, line: str, digest: str) -> Split | None:
    for one in factory.metadata.events(Registered, line=line, newest_first=True):
        trained = factory.metadata.get(factory.metadata.get(one.package, Package).trained, Trained)
        if trained.dataset == digest:
            return factory.metadata.get(trained.split, Split)
    return None


def _write_rows(factory: Factory, version: _Version, file: Path) -> None:
    names = [one.name for one in version.columns]
    parts = None
    if version.split is not None and PART not in names:
        parts = _PARTS[parts_of(factory, version.digest, version.split)]
    writer, start = None, 0
    for chunk in version.dataset.chunks:
        frame = read_chunk(chunk, version.dataset.columns, factory.artifacts, factory.metadata).select(names)
        if parts is not None:
            part = pl.Series(PART, parts[start : start + chunk.rows].tolist(), dtype=pl.String)
            frame = frame.with_columns(part)
        table, start = frame.to_arrow(), start + chunk.rows
        writer = writer or pyarrow.parquet.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


# Croissant


def _record(version: _Version, rows: Path) -> dict[str, Any]:
    spec, read = version.spec, version.read
    with rows.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    about = spec.about or f"The table of the line {spec.line}."
    record: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": spec.line,
        "description": about,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": f"{version.number}.0.0",
        "identifier": version.digest,
        **({"datePublished": read.at[:10]} if read else {}),
        **({"creator": {"@type": "sc:Organization", "name": spec.owner}} if spec.owner else {}),
        **({"keywords": list(spec.tags)} if spec.tags else {}),
        **({"rai:personalSensitiveInformation": list(version.personal)} if version.personal else {}),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": ROWS,
                "name": ROWS,
                "contentUrl": ROWS,
                "contentSize": f"{rows.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": digest,
            }
        ],
        "recordSet": list(_record_sets(version)),
    }
    return record


def _record_sets(version: _Version) -> Iterator[dict[str, Any]]:
    names = [one.name for one in version.columns]
    has_parts = version.split is not None and PART not in names
    fields = [
        _field(one.name, _TYPES.get(one.type, "sc:Text"), _says(version, one)) for one in version.columns
    ]
    if has_parts:
        part = _field(PART, "sc:Text", "Which part of the split the row is in; neither if it is missing.")
        fields.append({**part, "references": {"field": {"@id": "parts/name"}}})
        yield {
            "@type": "cr:RecordSet",
            "@id": "parts",
            "name": "parts",
            "dataType": "cr:Split",
            "key": {"@id": "parts/name"},
            "field": [
                {"@type": "cr:Field", "@id": "parts/name", "name": "name", "dataType": "sc:Text"},
                {"@type": "cr:Field", "@id": "parts/url", "name": "url", "dataType": "sc:URL"},
            ],
            "data": [
                {"parts/name": "train", "parts/url": "cr:TrainingSplit"},
                {"parts/name": "test", "parts/url": "cr:TestSplit"},
            ],
        }
    key = version.spec.table.key
    yield {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        **({"key": {"@id": f"rows/{key}"}} if key in names else {}),
        "field": fields,
    }


def _field(name: str, kind: str, says: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": ROWS}, "extract": {"column": name}}
    return {
        "@type": "cr:Field",
        "@id": f"rows/{name}",
        "name": name,
        "description": says,
        "dataType": kind,
        "source": source,
    }


def _says(version: _Version, column: Column) -> str:
    spec = version.spec
    roles = {
        "the label": {spec.label.column},
        "the key of a row": {spec.table.key},
        "when the row happened": {spec.table.time},
        "rows of one value belong together": {*spec.table.groups},
        "personal": set(version.personal),
    }
    found = [role for role, names in roles.items() if column.name in names]
    return "; ".join([column.type, *found])


# Datasheet


def _sheet(version: _Version) -> Iterator[str]:
    spec = version.spec
    yield f"# Datasheet of {spec.line}"
    yield ""
    yield f"Dataset version `{version.digest}`, written by Linewright {__version__}. Questions are those of Gebru et al., Datasheets for"
    yield "Datasets. What stands in brackets is for people to fill in."
    for title, questions in _questions(version).items():
        yield ""
        yield f"## {title}"
        for question, answer in questions:
            yield ""
            yield f"**{question}**"
            yield ""
            yield answer or f"[to fill in by {spec.owner or 'the owner of the data'}]"


_Questions = Sequence[tuple[str, str]]


def _questions(version: _Version) -> dict[str, _Questions]:
    spec, read = version.spec, version.read
    return {
        "Motivation": [
            ("For what purpose was the dataset created?", spec.about),
            ("Who created the dataset?", spec.owner or ""),
            ("Who funded the creation of the dataset?", ""),
        ],
        "Composition": _composition(version),
        "Collection process": [
            ("How was the data associated with each instance acquired?", ""),
            ("Over what timeframe was the data collected?", ""),
            ("Where was it read from, and when?", _sources(read)),
            ("Were the individuals in question notified, and did they consent?", ""),
            ("Were any ethical review processes conducted?", ""),
        ],
        "Preprocessing, cleaning, labelling": [
            ("Was any preprocessing or cleaning of the data done?", _cleaning(version)),
            ("Who labelled the rows?", _labelled(read)),
            ("Was the raw data saved in addition to the preprocessed data?", ""),
        ],
        "Uses": [
            ("Has the dataset been used for any tasks already?", _uses(version)),
            ("Are there tasks for which the dataset should not be used?", ""),
        ],
        "Distribution": [
            ("Will the dataset be distributed to third parties?", ""),
            ("Under which licence?", ""),
        ],
        "Maintenance": [
            ("Who is supporting and maintaining the dataset?", spec.owner or ""),
            ("Will the dataset be updated?", "Each run that reads other rows makes a new version; old ones stay as they are."),
            ("How long is it kept?", _kept(spec)),
        ],
    }  # fmt: skip


def _composition(version: _Version) -> _Questions:
    dataset, spec = version.dataset, version.spec
    types = ", ".join(f"`{one.name}` ({one.type})" for one in dataset.columns)
    split = version.split
    parts = (
        f"Yes, by {split.by}: {count(split.train, 'row')} to train and {count(split.test, 'row')} to test; "
        f"{count(split.embargo + split.unlabelled, 'row')} in neither part."
        if split
        else ""
    )
    personal = ", ".join(f"`{name}`" for name in version.personal)
    return [
        ("What do the instances represent?", ""),
        ("How many instances are there in total?", f"{count(dataset.rows, 'row')}."),
        ("What data does each instance consist of?", f"{count(len(dataset.columns), 'column')}: {types}."),
        ("Is there a label or target?", f"The column `{spec.label.column}`."),
        ("Does the dataset contain all possible instances, or is it a sample?", ""),
        ("Are relationships between individual instances made explicit?", _related(spec)),
        ("Are there recommended data splits?", parts),
        ("Are there any errors, sources of noise, or redundancies?", _errors(version.read)),
        (
            "Does the dataset identify individuals, or contain data that might be considered sensitive?",
            f"These columns are declared personal: {personal}." if personal else "",
        ),
    ]


def _related(spec: LineSpec) -> str:
    names = ", ".join(f"`{name}`" for name in spec.table.groups)
    return f"Rows with the same value of {names} belong together." if names else ""


def _errors(read: Reading | None) -> str:
    if read is None:
        return ""
    broken = [
        f"- {one.column or 'the table'}: {one.rule}: {one.failed:,} of {count(one.rows, 'row')}"
        for one in read.breaches
    ]
    head = f"{count(read.quarantined, 'row')} of {read.rows_read:,} broke the contract and were kept out."
    return "\n".join([head, *(["", "Rules that did not hold:", "", *broken] if broken else [])])


def _sources(read: Reading | None) -> str:
    lines = [f"- `{one.name}`: {one.place or 'no longer declared'}" for one in read.sources] if read else []
    return "\n".join([f"Read on {read.at[:10]}:", "", *lines]) if read and lines else ""


def _cleaning(version: _Version) -> str:
    made = "The table is made by the SQL of the line file. " if version.spec.table.sql else ""
    rules = len(version.spec.contract.columns)
    return f"{made}Values have the types of a contract with rules for {count(rules, 'column')}; nothing else is changed."


def _labelled(read: Reading | None) -> str:
    if read is None or read.annotated is None:
        return ""
    return f"People of the factory labelled {count(read.annotated.labelled, 'row')}: {', '.join(read.annotated.by)}."


def _uses(version: _Version) -> str:
    models = version.read.models if version.read else ()
    return f"To train {', '.join(models)}." if models else ""


def _kept(spec: LineSpec) -> str:
    versions = spec.keep.datasets if spec.keep else None
    return (
        f"The newest {count(versions, 'version')} of the dataset, and those of models that serve."
        if versions
        else ""
    )
