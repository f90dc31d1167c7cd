"""The control plane: every operation that is not bound to a terminal, over HTTP."""
