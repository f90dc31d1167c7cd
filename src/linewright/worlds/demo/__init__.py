"""Demo: the whole life of a line in a simulated world."""

from linewright.operations.capability import START, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "demo": (
            ".operations",
            START,
            "Show the whole life of a line on this machine: training, serving, an attack, the alarm, the retraining.",
        ),
    },
    results={
        ".operations": ".render",
    },
)
