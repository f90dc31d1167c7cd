"""Overview: how the factory and each line stand, and what happened."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "status": (".operations.status", LOOK, "Show what serves, since when, and what waits."),
        "runs": (".operations.history", LOOK, "List runs, newest first."),
        "history": (
            ".operations.history",
            LOOK,
            "List what was decided about a line, who did it and why, newest first.",
        ),
        "predictions": (
            ".operations.history",
            LOOK,
            "List the answers that a line gave last, with what turned out to be true.",
        ),
        "models": (".operations.history", LOOK, "List the models of a line."),
    },
    results={
        ".operations.history": ".render.history",
        ".operations.status": ".render.status",
    },
    pages=".pages",
)
