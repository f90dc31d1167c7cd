"""Feast: feature views of a Feast repository as view files."""

from linewright.operations.capability import START, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "import-features": (
            ".operations",
            START,
            "Write the feature views of a Feast repository as files, and say what of it is not carried over.",
        ),
    },
    results={
        ".carry_over": ".render",
    },
)
