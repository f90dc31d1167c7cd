"""Audit: the chained record of everything that happened, its signed checkpoints, and their publication."""

from linewright.operations.capability import CARE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "audit verify": (".operations", CARE, "Check that no entry of the record was changed or removed."),
        "audit key": (".operations", CARE, "Make the key that signs checkpoints of the record."),
        "audit export": (
            ".operations",
            CARE,
            "Write the entries of the record as JSON lines, for other programs.",
        ),
        "audit entries": (".operations", CARE, "Show a page of the entries of the record."),
        "audit find": (
            ".operations",
            CARE,
            "Find entries of the record: by who, line, kind and time, the newest first.",
        ),
    },
    results={
        ".verify_chain": ".render",
        ".export": ".render",
        "linewright.features.facts": ".render",
        ".operations": ".render",
    },
    pages=".pages",
    background=(".auditing:Auditing",),
)
