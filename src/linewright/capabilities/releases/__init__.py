"""Releases: promotion, rollout step by step, rollback and halt."""

from linewright.operations.capability import RELEASE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "promote": (".operations", RELEASE, "Make a model the champion of its line."),
        "step": (
            ".operations",
            RELEASE,
            "Let the candidate that is tried take its next step now, instead of when the present one has lasted long enough.",
        ),
        "rollback": (
            ".operations",
            RELEASE,
            "Let the previous champion of a line serve again, or take back the candidate that is tried.",
        ),
        "halt": (".halt", RELEASE, "Stop a line's endpoint from answering, or free it."),
    },
    results={
        ".halt": ".render",
        ".operations": ".render",
    },
    pages=".pages",
)
