"""Time, identity and chance: the one module that asks the machine for them.

Everything else takes them from `engine.context.Context`, which is filled from here.
"""

import hashlib
import os
import pwd
import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS_A_MILLI = 1_000_000
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit of a UUID whose two upper bits say of which layout it is."""


def now_utc() -> str:
    """Return the time: UTC, RFC 3339 with microseconds, always 27 characters, so that text order is time order.

    Examples
    --------
    >>> len(now_utc()), now_utc()[-1]
    (27, 'Z')
    """
    return text_of(datetime.now(UTC))  # noqa: TID251 -- this is where it comes from


def text_of(instant: datetime) -> str:
    """Return an instant of UTC as text, in the form of `now_utc`.

    Examples
    --------
    >>> text_of(datetime(2026, 11, 25, 9, 30))
    '2026-11-25T09:30:00.000000Z'
    """
    return f"{instant.isoformat(timespec='microseconds')[:26]}Z"


def said(instant: str) -> str:
    """Return an instant as people are told of it: to the second, since windows may be that short.

    Examples
    --------
    >>> said("2026-11-25T13:14:00.250000Z")
    '2026-11-25 13:14:00Z'
    """
    return f"{instant[:10]} {instant[11:19]}Z"


def later(instant: str, micros: int) -> str:
    """Return the instant so many microseconds after another.

    Examples
    --------
    >>> later("2026-11-25T13:14:00.250000Z", 86_400_000_000)
    '2026-11-26T13:14:00.250000Z'
    """
    moved = datetime.fromisoformat(instant) + timedelta(microseconds=micros)
    return text_of(moved)


def micros_of(instant: str) -> int:
    """Return an instant, ISO 8601, in microseconds since 1970; one without an offset is UTC.

    Examples
    --------
    >>> micros_of("1970-01-01T00:00:01.000002Z"), micros_of("1970-01-01T00:00:01")
    (1000002, 1000000)
    """
    moment = datetime.fromisoformat(instant)
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant_of(micros: int) -> str:
    """Return the instant so many microseconds after the start of 1970, in the form of `now_utc`.

    Examples
    --------
    >>> instant_of(1_000_002)
    '1970-01-01T00:00:01.000002Z'
    """
    return text_of(_EPOCH + timedelta(microseconds=micros))


def user() -> str:
    """Return whom the record names where nobody signed in: the user of this machine, and that nobody has verified it.

    Examples
    --------
    >>> user().startswith("local:"), user().endswith(" (unverified)")
    (True, True)
    """
    try:
        name = pwd.getpwuid(os.getuid()).pw_name  # not by LOGNAME or USER, which a person can set
    except KeyError:
        name = str(os.getuid())
    return f"local:{name} (unverified)"


def uuid7() -> str:
    """Return a new UUIDv7: 48 bits of Unix milliseconds, 12 of the millisecond's fraction, 62 random bits.

    Ids made by one machine sort by the time they were made, to a quarter of a microsecond. The layout is that of
    RFC 9562, section 5.7, with the fraction of section 6.2, method 3.

    Examples
    --------
    >>> first, second = uuid7(), uuid7()
    >>> first[14], first[19] in "89ab", first != second
    ('7', True, True)
    """
    return uuids7(1)[0]


def uuids7(n: int) -> list[str]:
    """Return `n` new UUIDs as `uuid7` makes them, all of one moment.

    Examples
    --------
    >>> len(set(uuids7(1000)))
    1000
    """
    millis, nanos = divmod(time.time_ns(), _NANOS_A_MILLI)
    text = f"{millis << 16 | 7 << 12 | nanos * 4096 // _NANOS_A_MILLI:016x}"
    moment, chance = f"{text[:8]}-{text[8:12]}-{text[12:]}-", os.urandom(8 * n).hex()
    return [
        f"{moment}{_VARIANT[chance[i]]}{chance[i + 1 : i + 4]}-{chance[i + 4 : i + 16]}"
        for i in range(0, 16 * n, 16)
    ]


def seed_of(digest: str) -> int:
    """Return a seed in [0, 2**31) derived from a digest; equal digests give equal seeds, on any machine.

    Examples
    --------
    >>> seed_of("sha256:00") == seed_of("sha256:00"), seed_of("sha256:00") == seed_of("sha256:01")
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(digest.encode()).digest()[:4]) >> 1
