"""Schedules: predictions and reads of sources at fixed times, and where the answers go."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "schedule": (
            ".operations",
            LOOK,
            "List what `up` does by a schedule: predictions and reads of sources, when they were done last and are due next.",
        ),
    },
    results={
        ".operations": ".render",
    },
)
