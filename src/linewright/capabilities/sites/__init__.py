"""Sites: endpoints away from the factory, and what comes back from them."""

from linewright.operations.capability import RUN, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "detach": (
            ".operations",
            RUN,
            "Write a folder from which an endpoint serves a model without the factory.",
        ),
        "sync": (
            ".operations",
            RUN,
            "Take over the predictions and labels of a detached endpoint, each exactly once.",
        ),
    },
    results={
        ".folder": ".render",
        ".handover": ".render",
    },
)
