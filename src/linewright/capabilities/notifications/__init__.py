"""Notifications: destinations of events by webhook, e-mail or OpenLineage, deliveries, and what waits."""

from linewright.operations.capability import CARE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "notify status": (
            ".operations",
            CARE,
            "Show who is told of what happens, what waits to be told, and what goes wrong.",
        ),
        "notify test": (".operations", CARE, "Send a test to those who are told of what happens."),
        "notify send": (
            ".operations",
            CARE,
            "Tell now what waits to be told, without `up` and before the next try.",
        ),
    },
    results={
        ".operations": ".render",
    },
    background=(".send_events:Notifying",),
)
