"""Sources: what lines read, how the last reads went, and rows that a cursor misses."""

from linewright.operations.capability import LOOK, RUN, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "reconcile": (
            ".operations",
            RUN,
            "Find rows of a source that its cursor does not show: missed, changed and deleted ones.",
        ),
        "sources": (
            ".operations",
            LOOK,
            "List the sources of lines and of their feature views: what is read, when it was read last and how that went.",
        ),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
