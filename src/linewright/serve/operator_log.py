"""What the operator of an endpoint should know, on its stderr."""

import sys
from contextlib import suppress

import msgspec

from linewright.store.clock import now_utc


def tell_stderr(event: dict[str, object]) -> None:
    """Write one event as a line of JSON to stderr."""
    # Nobody may be reading any more; the endpoint goes on all the same.
    with suppress(OSError, ValueError):
        sys.stderr.write(msgspec.json.encode({"at": now_utc(), **event}).decode() + "\n")
        sys.stderr.flush()
