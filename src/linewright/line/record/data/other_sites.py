"""The other sites of a template: which rows of theirs a site's model may learn from."""

from linewright.data.facts import Ingested
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.spec import LineSpec

PEER = "site:"
"""How a plan's sources name the dataset version of another site, ``site:inspect.turin``."""


def peer_datasets(factory: Factory, spec: LineSpec) -> dict[str, str]:
    """Return the newest dataset version of each other site of a template, by `PEER` and its line; empty if the line learns alone."""
    if spec.train.share == "alone":
        return {}
    found: dict[str, str] = {}
    for line in sorted(factory.lines_of_file(spec.line)):
        runs = factory.metadata.events(Finished, line=line, newest_first=True) if line != spec.line else []
        ingested = next((one.ingested for one in runs if one.ingested), None)
        if ingested is not None:
            found[PEER + line] = factory.metadata.get(ingested, Ingested).dataset
    return found
