"""Proposals: changes that wait for approval, the votes, and what applies an approved change."""

from linewright.operations.capability import RELEASE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "propose": (
            ".operations",
            RELEASE,
            "Propose another line file, and say what a run of it would change; nothing else changes until it is approved.",
        ),
        "proposals": (
            ".operations",
            RELEASE,
            "List the changes that wait for somebody's approval.",
        ),
        "proposal": (
            ".operations",
            RELEASE,
            "Show one proposed change: what is replaced by what, in figures, and how it stands.",
        ),
        "approve": (
            ".operations",
            RELEASE,
            "Approve a proposed change; the last approval that it needs applies it.",
        ),
        "decline": (".operations", RELEASE, "Decline a proposed change, which ends the proposal."),
    },
    results={
        ".operations": ".render",
    },
    pages=".pages",
)
