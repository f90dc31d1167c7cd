"""Runs: training, gates and release of lines, their steps, logs and cancellation."""

from linewright.operations.capability import LOOK, RUN, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "run": (".operations", RUN, "Train, judge and release lines; finish what was interrupted."),
        "retrain": (".operations", RUN, "Train a line again with the rows and labels that are known by now."),
        "cancel": (".operations", RUN, "End a run that is at work or waits, without a result."),
        "run-steps": (
            ".operations",
            LOOK,
            "Show how far a run has come: each step with its time, what was tried, and what the gates found.",
        ),
        "run-log": (
            ".operations",
            LOOK,
            "Show the log of a run, also while it goes on: the last 200 lines, and what was tried so far.",
        ),
    },
    results={
        "linewright.line.facts": ".render",
        "linewright.line.runs.run_log": ".render",
        "linewright.line.runs.progress": ".render",
        ".operations": ".render",
    },
    pages=".pages",
)
