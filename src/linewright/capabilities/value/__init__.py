"""Value: what the decisions of a line were worth, goals, and what other amounts would change."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "value": (
            ".operations",
            LOOK,
            "Show what a line's decisions were worth, by day and in all, beside a baseline and what they cost.",
        ),
        "what-if": (
            ".operations",
            LOOK,
            "Show what other amounts of `value` would change: threshold, confusion and money on the test rows of the champion.",
        ),
        "goals": (".operations", LOOK, "Show how far the goals of the factory are reached, line by line."),
    },
    results={
        "linewright.line.record.costs": ".render",
        ".what_if": ".render",
        ".operations": ".render",
    },
    pages=".pages",
    background=(".update:Accounting",),
)
