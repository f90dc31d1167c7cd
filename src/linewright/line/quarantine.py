"""The rows that a contract kept out."""

from typing import Any

import msgspec

from linewright.data.facts import Ingested, Quarantine
from linewright.line.factory import Factory
from linewright.line.facts import Finished


def quarantined_rows(factory: Factory, line: str) -> list[dict[str, Any]]:
    """Return the rows that the newest reading of a line kept out, in the order of the table.

    Each row is ``{"source", "line", "row", "column", "rule", "found", "values"}``; ``line`` counts lines of the source
    file from 1 and is null for a table made by SQL.
    """
    digest = _newest(factory, line)
    if digest is None:
        return []
    blob = factory.artifacts.get(factory.metadata.get(digest, Quarantine).blob)
    return [msgspec.json.decode(row) for row in blob.splitlines()]


def _newest(factory: Factory, line: str) -> str | None:
    for run in factory.metadata.events(Finished, line=line, newest_first=True, limit=1):
        if run.ingested is not None:
            return factory.metadata.get(run.ingested, Ingested).quarantine
        return run.error["details"].get("quarantine") if run.error else None
    return None
