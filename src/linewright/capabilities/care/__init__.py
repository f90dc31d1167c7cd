"""Care of a factory: doctor, verify, backup, restore, gc, retention and forgetting a person."""

from linewright.operations.capability import CARE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "doctor": (
            ".operations.maintenance",
            CARE,
            "Find what keeps the factory from working, and the command that mends it.",
        ),
        "verify": (
            ".operations.maintenance",
            CARE,
            "Check every stored byte, and that the record keeps its promises.",
        ),
        "backup": (
            ".operations.maintenance",
            CARE,
            "Copy the whole factory into one file, also while it is at work.",
        ),
        "restore": (
            ".operations.restore",
            CARE,
            "Make a factory from a backup, in an empty or a new folder.",
        ),
        "propose-restore": (
            ".operations.restore",
            CARE,
            "Propose that a backup of this factory is restored.",
        ),
        "use-approval": (
            ".operations.restore",
            CARE,
            "Use the approval of a restore; `restore` does it by itself.",
        ),
        "gc": (
            ".operations.maintenance",
            CARE,
            "Free what lines keep no longer and stored bytes that nothing refers to.",
        ),
        "forget": (
            ".operations.maintenance",
            CARE,
            "Remove for ever what a line has stored about one person.",
        ),
    },
    results={
        ".backup": ".render",
        ".doctor": ".render",
        ".gc": ".render",
        ".restore": ".render",
        "linewright.line.holding": ".render",
        "linewright.line.erasure": ".render",
        ".operations.restore": ".render",
    },
    changes={"forget": ".propose_forgetting:apply_forgetting"},
)
