"""Evidence: what a claim rests on, lineage, the model card, replay of an answer and rebuild of a model."""

from linewright.operations.capability import LOOK, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "worst-slice": (
            ".operations",
            LOOK,
            "Find the slice of rows in which what an alert found is worst, with an interval.",
        ),
        "card": (".operations", LOOK, "Show the model card of a model, as Markdown or as a page."),
        "show": (
            ".operations",
            LOOK,
            "Show what an id stands for: a prediction, a run, a result, an alert or a column.",
        ),
        "replay": (
            ".operations",
            LOOK,
            "Compute a logged answer again with the model that gave it, and compare.",
        ),
        "rebuild": (
            ".operations",
            LOOK,
            "Compute a model again from its manifest, in a fresh process, and compare.",
        ),
        "why": (".operations", LOOK, "Follow a claim to its evidence."),
    },
    results={
        ".replay": ".render",
        ".rebuild.compare": ".render",
        ".operations": ".render",
    },
    pages=".pages",
)
