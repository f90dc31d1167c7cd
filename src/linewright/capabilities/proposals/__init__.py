"""Proposals: changes that wait for approval, the votes, and what applies an approved change."""

from linewright.operations.capability import RELEASE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "propose": (
            ".operations.propose",
            RELEASE,
            "Propose another line file, and say what a run of it would change; nothing else changes until it is approved.",
        ),
        "proposals": (
            ".operations.proposals",
            RELEASE,
            "List the changes that wait for somebody's approval.",
        ),
        "proposal": (
            ".operations.proposals",
            RELEASE,
            "Show one proposed change: what is replaced by what, in figures, and how it stands.",
        ),
        "approve": (
            ".operations.proposals",
            RELEASE,
            "Approve a proposed change; the last approval that it needs applies it.",
        ),
        "decline": (".operations.proposals", RELEASE, "Decline a proposed change, which ends the proposal."),
    },
    results={
        ".operations.proposals": ".render",
        ".operations.propose": ".render",
    },
    pages=(".pages.proposals", ".pages.proposal"),
)
