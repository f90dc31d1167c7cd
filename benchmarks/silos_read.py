"""Reads the table ``t`` of the database that SILO names into a dataset version, and prints what it took; `silos.py` starts it.

python benchmarks/silos_read.py whole|cursor
"""

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from linewright.data.history.read import read_current_rows
from linewright.data.history.versions import HistoryStore
from linewright.data.ingest import ingest
from linewright.data.spec import DataSpec, SqlSource
from linewright.line.factory import Factory


def main(way: str) -> None:
    """Print seconds of the processor, MB, rows, and what a ``numeric(10, 2)`` becomes, as JSON."""
    options: dict[str, Any] = {"key": "id", "cursor": "updated_at"} if way == "cursor" else {}
    source = SqlSource(sql="select * from t", at="env:SILO", **options)
    spec = DataSpec.model_validate(
        {"sources": {"t": source}, "table": {"key": "id"}, "label": {"column": "flag"}}
    )
    with tempfile.TemporaryDirectory() as folder, Factory.create(Path(folder)) as factory:
        (Path(folder) / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
        kept = HistoryStore(factory.artifacts, factory.metadata)
        opened = (
            {"t": read_current_rows("t", source, factory.root, kept, factory.now())[0]} if options else None
        )
        done = ingest(factory.context, spec, factory.root, scratch=factory.scratch, opened=opened)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            [used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, done.rows_read, "decimal, then number"]
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
