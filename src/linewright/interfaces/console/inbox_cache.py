"""The inboxes of those who look, each read once for all their pages, and what came into them a moment ago."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic, thread_time
from typing import Any, NamedTuple

from linewright.serve.access.rights import Identity

LEAST_S = 2.0
"""How long an inbox is taken for new, at least, however many pages somebody has open."""
PAGE_S = 10.0
"""How old it may be on a page that is just made: what follows the page brings it up to date."""
NEWS_S = 30.0
"""How long something counts as just come; who has no page open for that long has it in their count alone."""
SHARE = 0.1
"""Of one processor, what reading the inbox of one person may take."""
MOST = 1_000
"""Inboxes that are kept; the one that was read longest ago gives way."""


class Seen(NamedTuple):
    """What is shown of an inbox on every page."""

    waiting: int
    """How many things wait."""
    news: tuple[Any, ...]
    """Those that came a moment ago, newest first."""


_NOTHING = Seen(0, ())


@dataclass
class _Inbox:
    lock: Lock = field(default_factory=Lock)
    seen: Seen | None = None
    came: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """When each thing that waits was there for the first time; long ago for those of the first reading."""
    read_at: float = float("-inf")
    until: float = float("-inf")
    is_stale: bool = False
    """Whether it is to be read before it is shown."""


class InboxCache:
    """What inboxes show, by identity: an identity is what its rights are, so that nobody sees by another's."""

    def __init__(self, read: Callable[[Identity], Any], *, clock: Callable[[], float] = monotonic) -> None:
        self._read, self._clock, self._lock = read, clock, Lock()
        self._kept = OrderedDict[Identity, _Inbox]()

    def of(self, identity: Identity, *, on_page: bool = False) -> Seen:
        """Return what is shown of somebody's inbox, read again unless it is recent."""
        with self._lock:
            kept = self._kept.setdefault(identity, _Inbox())
            self._kept.move_to_end(identity)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        now = self._clock()
        is_known = kept.seen is not None and not kept.is_stale
        if is_known and (now < kept.until or (on_page and now < kept.read_at + PAGE_S)):
            return kept.seen or _NOTHING
        if not kept.lock.acquire(blocking=not is_known):
            return kept.seen or _NOTHING  # another page of theirs reads it now
        try:
            if kept.is_stale or self._clock() >= kept.until:
                self._read_now(identity, kept)
            return kept.seen or _NOTHING
        finally:
            kept.lock.release()

    def forget(self, identity: Identity) -> None:
        """Have somebody's inbox read before it is shown again: they have just done something."""
        with self._lock:
            kept = self._kept.get(identity)
        if kept is not None:
            kept.until, kept.is_stale = float("-inf"), True

    def _read_now(self, identity: Identity, kept: _Inbox) -> None:
        kept.is_stale, began = False, thread_time()  # what is forgotten from here on is read again
        items, now = self._read(identity).items, self._clock()
        took = thread_time() - began
        is_followed = kept.read_at > now - NEWS_S
        first = now if is_followed else float("-inf")
        kept.came = {(one.kind, one.id): kept.came.get((one.kind, one.id), first) for one in items}
        news = tuple(one for one in items if kept.came[one.kind, one.id] > now - NEWS_S)
        kept.seen, kept.read_at = Seen(len(items), news), now
        kept.until = now + max(LEAST_S, took / SHARE)
