"""How long somebody waits who gave wrong passwords: longer each time, and nobody for what others did elsewhere."""

import math
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock
from time import monotonic
from typing import NamedTuple

from linewright.errors import TooMany

FREE = 5
"""Failures before the first wait."""
LONGEST_S = 900.0
FORGET_S = 3_600.0
"""After how long without a failure nothing is held against a name or an address any more."""
_MOST = 10_000
"""Counts that are kept; the oldest gives way."""
_Key = tuple[str, ...]


class _Failures(NamedTuple):
    times: int
    at: float


class BackOff:
    """Counts failures by address, and by name from all addresses; threads may use it.

    An address waits for all that failed there. What failed under a name elsewhere makes an address wait only after it failed under
    that name itself: so many addresses together guess no faster, and a member with the password gets in from another address.

    Examples
    --------
    >>> back_off = BackOff(lambda: 0.0)
    >>> for _ in range(5):
    ...     back_off.begin("ada", "192.0.2.1")
    >>> back_off.wait_s("ada", "192.0.2.1"), back_off.wait_s("ada", "192.0.2.2")
    (1.0, 0.0)
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._failures = OrderedDict[_Key, _Failures]()

    def wait_s(self, name: str, address: str) -> float:
        """Return how many seconds a name has to wait at an address."""
        now, (place, by_name, pair) = self._clock(), _keys(name, address)
        here, tried = self._of(place, now), self._of(pair, now)
        until = [here.at + _delay_s(here.times)]
        if tried.times:
            until.append(tried.at + _delay_s(self._of(by_name, now).times))
        return max(0.0, *(one - now for one in until))

    def require(self, name: str, address: str) -> None:
        """Refuse somebody who has to wait."""
        if (left := self.wait_s(name, address)) > 0:
            raise too_many(left)

    def begin(self, name: str, address: str) -> None:
        """Count an attempt as a failure until `succeeded` is called: of many at a time none passes unseen."""
        with self._lock:
            self.require(name, address)
            now = self._clock()
            for key in _keys(name, address):
                self._failures[key] = _Failures(self._of(key, now).times + 1, now)
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget what failed under a name. Of the address only this attempt: else one good password would pay for many guesses."""
        with self._lock:
            place, *others = _keys(name, address)
            for key in others:
                self._failures.pop(key, None)
            if (found := self._failures.pop(place, None)) is not None and found.times > 1:
                self._failures[place] = found._replace(times=found.times - 1)

    def __len__(self) -> int:
        return len(self._failures)

    def _of(self, key: _Key, now: float) -> _Failures:
        found = self._failures.get(key)
        return found if found is not None and now - found.at < FORGET_S else _Failures(0, now)


def too_many(wait_s: float) -> TooMany:
    """Return the error of somebody who has to wait."""
    retry_s = max(1, math.ceil(wait_s))
    return TooMany(
        "too many sign-ins failed, or are being checked",
        where="sign-in",
        hint=f"try again in {retry_s} s",
        details={"retry_s": retry_s},
    )


def _delay_s(count: int) -> float:
    return 0.0 if count < FREE else min(LONGEST_S, 2.0 ** min(count - FREE, 30))


def _keys(name: str, address: str) -> tuple[_Key, _Key, _Key]:
    place = network_of(address)
    return ("address", place), ("name", name), ("pair", name, place)


def network_of(address: str) -> str:
    """Return what one client has of addresses: of IPv6 a whole network.

    Examples
    --------
    >>> network_of("192.0.2.1"), network_of("2001:db8::1")
    ('192.0.2.1', '2001:db8::/64')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
