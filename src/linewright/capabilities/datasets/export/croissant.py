"""The rows of a dataset version as a Parquet file, and the Croissant record [1]_ that describes it.

References
----------
.. [1] Croissant 1.0, http://mlcommons.org/croissant/1.0.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet

from linewright.capabilities.datasets.dataset_rows import parts_of
from linewright.capabilities.datasets.export.version import VersionToExport
from linewright.data.dataset.version import read_chunk
from linewright.data.facts import Column
from linewright.line.factory import Factory

ROWS = "rows.parquet"
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


def write_rows(factory: Factory, version: VersionToExport, file: Path) -> None:
    """Write the rows as Parquet, with the part of the split that each is in if a model was trained on them."""
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


def croissant_record(version: VersionToExport, rows: Path) -> dict[str, Any]:
    """Return the record that describes a file of rows which `write_rows` wrote."""
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


def _record_sets(version: VersionToExport) -> Iterator[dict[str, Any]]:
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


def _says(version: VersionToExport, column: Column) -> str:
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
