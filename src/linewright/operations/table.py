"""The capabilities, and all that a person or a program may ask for. A new capability is a folder and a row here."""

from collections.abc import Mapping
from importlib import import_module

from linewright.operations.capability import GROUPS, Capability
from linewright.operations.declare import Entry

HOMES = (
    "linewright.capabilities.audit",
    "linewright.worlds.demo",
    "linewright.capabilities.drafts",
    "linewright.contrib.feast",
    "linewright.capabilities.lines",
    "linewright.capabilities.runs",
    "linewright.capabilities.serving",
    "linewright.capabilities.sites",
    "linewright.capabilities.predictions",
    "linewright.capabilities.annotation",
    "linewright.capabilities.overview",
    "linewright.capabilities.monitoring",
    "linewright.capabilities.value",
    "linewright.capabilities.inbox",
    "linewright.capabilities.sources",
    "linewright.capabilities.feature_views",
    "linewright.capabilities.schedules",
    "linewright.capabilities.datasets",
    "linewright.capabilities.evidence",
    "linewright.capabilities.releases",
    "linewright.capabilities.proposals",
    "linewright.capabilities.care",
    "linewright.capabilities.notifications",
    "linewright.capabilities.members",
)
"""Where they live; named and not imported from, since they stand above. What `up` does in the background begins in this order and ends in
the other: `audit` is the last to end, since it signs what the others record."""
CAPABILITIES: tuple[Capability, ...] = tuple(import_module(home).CAPABILITY for home in HOMES)
OPERATIONS: Mapping[str, Entry] = dict(
    sorted(
        ((name, entry) for each in CAPABILITIES for name, entry in each.entries.items()),
        key=lambda named: GROUPS.index(named[1].group),
    )
)
"""Name of each command → where it lives, by the headings of the help."""
