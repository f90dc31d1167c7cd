"""Line files: check, plan, schema, and the text of a file."""

from linewright.operations.capability import RUN, START, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "init": (".operations", START, "Make an empty factory in a folder."),
        "check": (
            ".operations",
            START,
            "Check the line files, and whether the data keep their contracts.",
        ),
        "check-text": (
            ".operations",
            START,
            "Check the text of a line file before anybody saves it, and show how it differs; nothing is kept and no data are read.",
        ),
        "line-file": (".operations", START, "Print the file of a line."),
        "schema": (
            ".operations",
            START,
            "Print the JSON Schema of the line file or of one of its sections.",
        ),
        "plan": (".operations", RUN, "Say what a run would change, and why."),
        "plan-text": (
            ".operations",
            RUN,
            "Say what a run would change if the file of a line had another text; nothing but the plan is kept.",
        ),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
