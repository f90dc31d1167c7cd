"""Feature views: what they compute, how fresh they are, who uses them, and whether logged rows agree."""

from linewright.operations.capability import CARE, LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "features": (
            ".operations",
            LOOK,
            "List feature views: what each computes and from what, how fresh it is, who uses it, what it costs and what is wrong.",
        ),
        "audit features": (
            ".operations",
            CARE,
            "Compute the features of logged rows again, and name those that differ.",
        ),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
