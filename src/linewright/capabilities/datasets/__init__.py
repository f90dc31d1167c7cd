"""Datasets: versions, rows, profile, contract, quarantine, and their export as Croissant or datasheet."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "datasets": (
            ".operations",
            LOOK,
            "List a line's dataset versions, its rows in quarantine, the Parquet files of its prediction log, or what a source had.",
        ),
        "dataset": (
            ".operations",
            LOOK,
            "Show one dataset version of a line: its columns, the contract with its breaches, its sources, its models.",
        ),
        "export-dataset": (
            ".operations",
            LOOK,
            "Write a dataset version with what it is, as a Croissant record or a datasheet, for catalogues and people.",
        ),
        "rows": (
            ".operations",
            LOOK,
            "Show rows of a dataset version of a line, and the part of a split that each is in.",
        ),
        "profile": (
            ".operations",
            LOOK,
            "Show what the columns of a dataset version hold: types, missing values, ranges, common values.",
        ),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
