"""Serving: `up` starts the endpoint, the control plane and the worker."""

from linewright.operations.capability import RUN, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "up": (".operations", RUN, "Serve the factory: endpoint, control plane and worker, until stopped."),
        "serve": (".operations", RUN, "Serve the endpoint alone, without control plane and worker."),
    },
)
