"""Predictions: answers to files, single rows and pictures, and labels for them."""

from linewright.operations.capability import USE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "predict": (".operations", USE, "Answer every row of a file with the model that serves."),
        "predict-job": (
            ".operations",
            USE,
            "Make predictions that a line file names under `predict` now, and write them to their destination.",
        ),
        "request-form": (
            ".operations",
            USE,
            "Say what a row that asks a line may hold: types, values, ranges and an example.",
        ),
        "try": (
            ".operations",
            USE,
            "Answer one row without logging it, say why, and find what would change the answer.",
        ),
        "picture show": (".operations", USE, "Show a picture that a row names, scaled down."),
        "picture keep": (
            ".operations",
            USE,
            "Keep a picture, so that a row which is tried can name it.",
        ),
        "feedback": (".operations", USE, "Send labels for predictions, by id or key, from a file."),
    },
    results={
        ".pictures": ".render",
        ".try_row": ".render",
        ".operations": ".render",
    },
    pages=".pages",
)
