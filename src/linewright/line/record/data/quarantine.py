"""The rows that a contract kept out."""

from typing import Any

import msgspec

from linewright.data.breach_text import row_in_words
from linewright.data.dataset.blobs import instead_of
from linewright.data.facts import Ingested, Quarantine
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.model.facts import Registered


def quarantined_rows(factory: Factory, line: str) -> list[dict[str, Any]]:
    """Return the rows that the newest reading of a line kept out, in the order of the table.

    Each row is ``{"source", "line", "row", "column", "kind", "figures", "rule", "found", "values"}``, with the rule in words; ``line``
    counts lines of the source file from 1 and is null for a table made by SQL. Of a source of several files, ``"file"`` names the one.
    """
    digest = _newest(factory, line)
    if digest is None:
        return []
    kept = factory.metadata.get(digest, Quarantine).blob
    blob = factory.artifacts.get(instead_of(kept, factory.metadata) or kept)
    return [row_in_words(msgspec.json.decode(row)) for row in blob.splitlines()]


def reading_of(factory: Factory, run: Finished) -> str | None:
    """Return the digest of what a run read; `None` where it read nothing to its end.

    Runs of the first Linewright did not say it themselves; the model that they registered does.
    """
    if run.ingested is not None:
        return run.ingested
    registered = factory.metadata.events(Registered, line=run.line)
    return next((one.ingested for one in registered if one.run == run.run and one.ingested), None)


def _newest(factory: Factory, line: str) -> str | None:
    for run in factory.metadata.events(Finished, line=line, newest_first=True, limit=1):
        digest = reading_of(factory, run)
        if digest is not None:
            return factory.metadata.get(digest, Ingested).quarantine
        return run.error["details"].get("quarantine") if run.error else None
    return None
