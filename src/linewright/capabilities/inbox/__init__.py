"""Inbox: what waits for a member, comments, and saved pages."""

from linewright.operations.capability import LOOK, PEOPLE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "comments": (".operations", LOOK, "List what people said about a line."),
        "inbox": (
            ".operations",
            LOOK,
            "List what waits for you: proposals to decide about, comments that name you, open alerts, failed runs, questions to label.",
        ),
        "inbox-read": (
            ".operations",
            LOOK,
            "Mark the comments that name you as read: they leave your inbox, and stay where they were said.",
        ),
        "views": (
            ".operations",
            LOOK,
            "List the pages that you have saved; nobody else can read them.",
        ),
        "save-view": (
            ".operations",
            LOOK,
            "Save a page of the console with its filters under a name, for yourself.",
        ),
        "delete-view": (".operations", LOOK, "Delete one of your saved views."),
        "comment": (
            ".operations",
            PEOPLE,
            "Say something about a line, or about a model, an alert, a dataset or a run of it.",
        ),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
