"""Drafts: a line file that is written from a look at the data, each choice with its reason."""

from linewright.operations.capability import START, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "new": (
            ".operations",
            START,
            "Look at a table and write a line file for it, each choice with its reason.",
        ),
    },
    results={
        ".write": ".render",
    },
    pages=".pages",
)
