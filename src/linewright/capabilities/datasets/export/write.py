"""Write a dataset version into a folder for others, in one of two forms."""

from pathlib import Path
from typing import Literal

import msgspec

from linewright.capabilities.datasets.export.croissant import ROWS, croissant_record, write_rows
from linewright.capabilities.datasets.export.datasheet import datasheet
from linewright.capabilities.datasets.export.version import version_to_export
from linewright.errors import Conflict
from linewright.line.factory import Factory
from linewright.store.files.disk import explained
from linewright.store.files.rights import as_asked

Form = Literal["croissant", "datasheet"]
RECORD, SHEET = "croissant.json", "datasheet.md"


class ExportedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version that was written for others."""

    line: str
    dataset: str
    folder: str
    files: tuple[str, ...]
    rows: int
    left_out: tuple[str, ...]
    """Personal columns, which you may not see."""


def write_export(factory: Factory, line: str, digest: str, folder: Path, form: Form) -> ExportedDataset:
    """Write a dataset version into a new or empty folder."""
    version = version_to_export(factory, line, digest)
    with explained(folder, "the folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict("the folder is not empty", where=str(folder), hint="name a new one")
        if form == "datasheet":
            (folder / SHEET).write_text("\n".join(datasheet(version)) + "\n")
            files = (SHEET,)
        else:
            write_rows(factory, version, folder / ROWS)
            record = msgspec.json.format(
                msgspec.json.encode(croissant_record(version, folder / ROWS)), indent=1
            )
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
