"""Which rows a canary answers, and when an endpoint has had enough of a candidate that is tried."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import median
from threading import Lock
from time import monotonic

from linewright.serve.models.state import Canary, Shadow

FAILURES = 3
"""Requests of other clients that a candidate may fail before it is taken out of service; the champion answers those too."""
FAILED_SHARE = 0.01
"""Share of the other clients' requests to it that these have to be."""
ALONE_FAILURES, ALONE_S = 20, 300.0
"""If one client alone sends all requests: how many it has to fail, and seconds since the first one."""
_PLACES = 1024
"""Places that clients are counted in; two in one place are one client, so that nobody grows it."""
_REMEMBERED = 10_000
"""Requests after which older ones count half."""
SAMPLE = 100
"""Requests over which the times of a candidate and of its champion are compared."""
OF_CLIENT = SAMPLE // 4
"""How many of these may be one client's; and how many the others must have sent for a comparison."""
SLOWER = 5.0
SLOWER_BY_S = 0.005
"""A candidate is too slow whose median time for a row is more than so many times the champion's, and so much longer."""


def is_canary(salt: str, unit: str, share: float) -> bool:
    """Return whether the rows of a unit are the canary's: for ever the same, and with a larger share still.

    Examples
    --------
    >>> units = [str(number) for number in range(10_000)]
    >>> sum(is_canary("a", unit, 0.25) for unit in units)
    2493
    >>> all(is_canary("a", unit, 0.5) for unit in units if is_canary("a", unit, 0.25))
    True
    """
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest) < share * 2**64


def _place_of(client: str) -> int:
    """Return the place that a client is counted in."""
    digest = blake2b(client.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % _PLACES


class Evidence:
    """What a candidate failed, by client: no client ends a trial, however many requests it sends.

    The client with the most failures is left out. A candidate has failed enough where those of the others are `FAILURES` or more, and
    `FAILED_SHARE` of their requests. If one client sends all requests of a trial it is the traffic: then `ALONE_FAILURES` count, `ALONE_S`
    after its first request.

    Examples
    --------
    >>> evidence = Evidence()
    >>> [evidence.failed(client) for client in ("ada", "ada", "ada", "ada", "bob", "bob", "bob")]
    [False, False, False, False, False, False, True]
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._begun = clock, clock()
        self._asked, self._failed = Counter[int](), Counter[int]()
        self._total = 0

    @property
    def failures(self) -> int:
        """How many requests failed."""
        return self._failed.total()

    @property
    def is_old(self) -> bool:
        """Whether it began so long ago that a client that is alone is all there is."""
        return self._clock() - self._begun >= ALONE_S

    def succeeded(self, client: str) -> None:
        """Note that a request got its answer."""
        self._count(client)

    def failed(self, client: str) -> bool:
        """Note that a request was failed, and return whether that is enough."""
        self._failed[self._count(client)] += 1
        most, failures = self._failed.most_common(1)[0]
        others = self._failed.total() - failures
        if len(self._asked) == 1:
            return failures >= max(ALONE_FAILURES, FAILED_SHARE * self._asked.total()) and self.is_old
        return others >= max(FAILURES, FAILED_SHARE * (self._asked.total() - self._asked[most]))

    def _count(self, client: str) -> int:
        place = _place_of(client)
        self._asked[place] += 1
        self._total += 1
        if self._total >= _REMEMBERED:
            self._total //= 2
            for counts in (self._asked, self._failed):
                counts.update({one: -(number // 2) for one, number in counts.items()})
        return place


class _Times:
    """The newest times for a row of one model, no more than `OF_CLIENT` of a client."""

    def __init__(self) -> None:
        self.noted = 0
        self._times = deque[tuple[int, float]](maxlen=SAMPLE)

    @property
    def clients(self) -> set[int]:
        """Places of the clients."""
        return {place for place, _ in self._times}

    def note(self, client: str, seconds: float) -> None:
        """Note a time; the oldest one of a client that has its share makes room."""
        place, self.noted = _place_of(client), self.noted + 1
        own = [time for time in self._times if time[0] == place]
        if len(own) >= OF_CLIENT:
            self._times.remove(own[0])
        self._times.append((place, seconds))

    def without(self, client: int | None) -> list[float]:
        """Return the times of all others."""
        return [seconds for place, seconds in self._times if place != client]

    def clear(self) -> None:
        """Forget all times."""
        self.noted = 0
        self._times.clear()


@dataclass
class _Seen:
    evidence: Evidence
    tried: _Times = field(default_factory=_Times)
    champion: _Times = field(default_factory=_Times)

    def compared(self) -> list[tuple[float, float]]:
        """Return the median times of both models, with each client left out in turn: none until all can be said.

        A client that sends all requests for long is the traffic.
        """
        tried, champion = self.tried, self.champion
        clients = tried.clients | champion.clients
        if (
            tried.noted < SAMPLE
            or champion.noted < SAMPLE
            or (len(clients) == 1 and not self.evidence.is_old)
        ):
            return []
        found: list[tuple[float, float]] = []
        for left_out in clients if len(clients) > 1 else {None}:
            times, usual = tried.without(left_out), champion.without(left_out)
            if len(times) < OF_CLIENT or len(usual) < OF_CLIENT:
                return []
            found.append((median(times), median(usual)))
        tried.clear()
        return found


class Guard:
    """Counts what candidates do that are tried beside the champion. Safe to use from several threads."""

    def __init__(
        self,
        drop: Callable[[str, str, str], None] = lambda _line, _package, _why: None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._drop, self._clock, self._lock = drop, clock, Lock()
        self._seen: dict[tuple[str, str], _Seen] = {}

    def failed(self, line: str, tried: Canary | Shadow, because: str, *, client: str) -> None:
        """Note that a candidate could not answer a request of a client."""
        with self._lock:
            evidence = self._of(line, tried).evidence
            is_enough, failures = evidence.failed(client), evidence.failures
        if is_enough:
            self._drop(line, tried.arm.package, f"{because} ({failures:,} requests failed)")

    def took(
        self,
        line: str,
        tried: Canary | Shadow,
        rows: int,
        seconds: float,
        *,
        client: str,
        champion: bool = False,
    ) -> None:
        """Note how much processor time the rows of a client took, by the candidate or by the champion beside it."""
        with self._lock:
            seen = self._of(line, tried)
            if not champion:
                seen.evidence.succeeded(client)
            (seen.champion if champion else seen.tried).note(client, seconds / rows)
            compared = seen.compared()
        if compared and all(slow > SLOWER * usual and slow > usual + SLOWER_BY_S for slow, usual in compared):
            slow, usual = min(compared)
            why = f"it takes {slow * 1e3:.3g} ms a row, the champion {usual * 1e3:.3g} ms"
            self._drop(line, tried.arm.package, why)

    def _of(self, line: str, tried: Canary | Shadow) -> _Seen:
        key = (line, tried.arm.package)
        if key not in self._seen:
            for old in [one for one in self._seen if one[0] == line]:
                del self._seen[old]
            self._seen[key] = _Seen(Evidence(self._clock))
        return self._seen[key]
