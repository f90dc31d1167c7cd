"""Monitoring: what monitors saw, alerts, and the worst slice."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "alerts": (
            ".operations",
            LOOK,
            "List what monitors found and people should know, and the trainings that it led to.",
        ),
        "alert": (
            ".operations",
            LOOK,
            "Show one alert: what was and what came, side by side, and what the factory does about it.",
        ),
        "monitors": (
            ".operations",
            LOOK,
            "Show what monitors saw of a line, window by window: drift by column, traffic, quality.",
        ),
    },
    results={
        "linewright.line.loop.worst_slice": ".render",
        ".operations": ".render",
    },
    pages=".pages",
)
