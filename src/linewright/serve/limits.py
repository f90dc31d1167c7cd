"""How much clients may ask of an endpoint, of a line and of all together, and what one of its processes takes on."""

import math

import msgspec

CONCURRENT = 1_000
"""Requests that may be answered at one time in all where nobody says how many: about a second of work for one process."""
BODY_DEADLINE_S = 30.0
"""From the first wait for a body to its last byte."""
BODY_MEMORY = 256 * 2**20
"""Bytes of request bodies, and of answers that are on their way, that may be in memory at one time."""
BODY_SHARE = 16
"""One client may have one in so many of them: more than the largest body."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked for; `None` is without limit."""

    concurrent_requests: int | None = None
    """Requests whose body has come, that are answered at one time."""
    rows_per_second: float | None = None
    """Rows a second in the long run; a second's worth may come at once."""
    log_bytes_per_day: int | None = None
    """Bytes that the prediction log may grow by in a day of UTC."""


class AllLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of an endpoint."""

    together: Limits = Limits(concurrent_requests=CONCURRENT)
    """Of all lines together."""
    lines: dict[str, Limits] = {}
    """Of those lines that have some of their own."""
    needs_token: bool = False
    """Whether a request must carry a token that covers it; else a token is optional."""

    @classmethod
    def of(cls, text: str) -> "AllLimits":
        """Read what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """Return them as JSON, for the command line of a process."""
        return msgspec.json.encode(self).decode()

    def share(self, processes: int) -> "AllLimits":
        """Return the part that one of several processes takes.

        Examples
        --------
        >>> AllLimits(together=Limits(concurrent_requests=10, rows_per_second=10)).share(4).together
        Limits(concurrent_requests=3, rows_per_second=2.5, log_bytes_per_day=None)
        """
        return AllLimits(
            needs_token=self.needs_token,
            together=_share(self.together, processes),
            lines={line: _share(limits, processes) for line, limits in self.lines.items()},
        )


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What one process of an endpoint takes on."""

    model_memory: int | None = None
    """Bytes that loaded models may take; `None` is `memory.usual_budget`."""
    body_memory: int = BODY_MEMORY
    """Bytes of bodies and answers that may be in memory at one time."""
    body_deadline_s: float = BODY_DEADLINE_S
    """Longest time, in seconds, that a request's body may take to come; more than 60 counts as 60."""
    limits: AllLimits = AllLimits()
    """How much clients may ask."""


def _share(limits: Limits, processes: int) -> Limits:
    requests, rows = limits.concurrent_requests, limits.rows_per_second
    return msgspec.structs.replace(
        limits,
        concurrent_requests=None if requests is None else math.ceil(requests / processes),
        rows_per_second=None if rows is None else rows / processes,
    )
