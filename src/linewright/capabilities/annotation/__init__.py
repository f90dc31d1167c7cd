"""Annotation: questions about predictions and rows for annotators, their answers, and what the labels changed."""

from linewright.operations.capability import LABEL, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "annotate queue": (
            ".operations",
            LABEL,
            "Queue predictions without a label, for annotators to label.",
        ),
        "annotate queue-rows": (
            ".operations",
            LABEL,
            "Queue rows of a dataset version without a label, for annotators to label.",
        ),
        "annotate close": (
            ".operations",
            LABEL,
            "Close the questions of a line that wait for labels; what was labelled stays.",
        ),
        "annotate next": (
            ".operations",
            LABEL,
            "Show your next question; for ten minutes nobody else gets it.",
        ),
        "annotate answer": (".operations", LABEL, "Label a question, or skip it."),
        "annotate adjudicate": (
            ".operations",
            LABEL,
            "Decide a question on which annotators disagree, or that contradicts other feedback.",
        ),
        "annotate undo": (".operations", LABEL, "Take back your last answer, and get its question again."),
        "annotate status": (
            ".operations",
            LABEL,
            "Show how far annotators are, how far they agree, and what the last hundred labels changed.",
        ),
        "annotate export": (
            ".operations",
            LABEL,
            "Write the questions of a line and what was said of them, in Label Studio's JSON.",
        ),
        "annotate import": (
            ".operations",
            LABEL,
            "Take over annotations from a file in Label Studio's JSON.",
        ),
    },
    results={
        ".label_studio": ".render",
        ".progress": ".render",
        ".questions": ".render",
        ".queue": ".render",
    },
    pages=".pages",
)
