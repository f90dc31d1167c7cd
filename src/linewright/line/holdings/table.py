"""The table of holdings: one row for each store of a factory. What cares for a factory walks it."""

from functools import cache
from importlib import import_module

from linewright.line.holding import Holding

HOLDINGS = (
    "linewright.line.holdings.small_files:Form",
    "linewright.line.holdings.access:Access",
    "linewright.line.holdings.access:Tags",
    "linewright.line.holdings.small_files:PreferenceFiles",
    "linewright.line.holdings.forgotten:ForgottenLists",
    "linewright.capabilities.schedules.holding:Schedules",
    "linewright.line.holdings.views:ViewRecords",
    "linewright.line.holdings.chained:AnnotationFiles",
    "linewright.line.holdings.record:RecordHolding",
    "linewright.line.holdings.record:HeadOfRecord",
    "linewright.line.holdings.record:EngineNotes",
    "linewright.line.holdings.serving:ServingFiles",
    "linewright.line.holdings.log:Labels",
    "linewright.line.holdings.chained:SentRows",
    "linewright.line.holdings.small_files:Replies",
    "linewright.line.holdings.small_files:Deliveries",
    "linewright.line.holdings.log:PredictionLogs",
    "linewright.line.holdings.log:ShadowLogs",
    "linewright.line.holdings.results:Results",
    "linewright.line.holdings.artifacts:Artifacts",
    "linewright.line.holdings.small_files:WorkingFiles",
)
"""As MODULE:CLASS. What refers to something comes before it: a backup copies them in this order."""


@cache
def holdings() -> tuple[Holding, ...]:
    """Return all of them, in their order."""
    found: list[Holding] = []
    for row in HOLDINGS:
        module, _, name = row.partition(":")
        found.append(getattr(import_module(module), name)())
    return tuple(found)
