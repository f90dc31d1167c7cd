"""Releases: promotion, rollout step by step, rollback and halt."""

from linewright.operations.capability import RELEASE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "promote": (".operations.promote", RELEASE, "Make a model the champion of its line."),
        "step": (
            ".operations.promote",
            RELEASE,
            "Let the candidate that is tried take its next step now, instead of when the present one has lasted long enough.",
        ),
        "rollback": (
            ".operations.promote",
            RELEASE,
            "Let the previous champion of a line serve again, or take back the candidate that is tried.",
        ),
        "halt": (".operations.halt", RELEASE, "Stop a line's endpoint from answering, or free it."),
    },
    results={
        ".operations.halt": ".render.halt",
        ".operations.promote": ".render.promote",
    },
    pages=(".pages.release", ".pages.version"),
)
