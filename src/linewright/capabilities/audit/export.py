"""The entries of the record for other programs, such as those that collect what happens on all machines of a firm."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from linewright.data.facts import MASK
from linewright.line.factory import Factory
from linewright.line.personal import hidden_anywhere
from linewright.store.metadata.audit_chain import ROOT, Link


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the record. Events hold no rows of data and no secrets."""

    number: int
    hash: str
    """Digest of the entry and of the one before; a mask for who may not see personal columns: a masked value could be guessed with it."""
    previous: str
    """Digest of the entry before; zeros before the first, empty if that entry is gone, a mask where `hash` is one."""
    at: str
    kind: str
    actor: str
    line: str
    """Empty if it is about the whole factory."""
    event: msgspec.Raw
    """Its fields, as they were recorded."""


def entries(factory: Factory, *, after: int) -> Iterator[Entry]:
    """Iterate over the entries after one, oldest first; memory does not grow. Nothing is verified: `audit verify` does so."""
    before = Link(0, "", "", "", "", "", "", ROOT)
    links = factory.metadata.links(after=max(0, after - 1))
    if after > 0 and (before := next(links, None)) is None:
        return
    if before.seq > after:  # there is none of that number
        yield _entry(before, "")
    for one, other in pairwise(_with_first(before, links)):
        yield _entry(other, one.chain)


def without_digests(factory: Factory, found: Iterable[Entry]) -> Iterator[Entry]:
    """Mask the digests of entries for who may not see all values: each digest is one of all values before it too."""
    is_masked = bool(hidden_anywhere(factory))
    for one in found:
        yield replace(one, hash=MASK, previous=MASK) if is_masked else one


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which entries are looked for; empty for all."""

    actor: str = ""
    line: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""
    """Instants, or days: from `since` on, and before `until`."""


def newest_entries(factory: Factory, sought: Sought, *, before: int | None, limit: int) -> list[Entry]:
    """Return entries that are looked for, the newest first; nothing is verified."""
    equal = {"by": sought.actor, "line": sought.line, "kind": sought.kind}
    found = factory.metadata.latest_links(
        before=before,
        limit=limit,
        equal={name: value for name, value in equal.items() if value},
        since=sought.since,
        until=sought.until,
    )
    previous = factory.metadata.chains([one.seq - 1 for one in found])
    return [_entry(one, ROOT if one.seq == 1 else previous.get(one.seq - 1, "")) for one in found]


def _with_first(first: Link, rest: Iterator[Link]) -> Iterator[Link]:
    yield first
    yield from rest


def _entry(one: Link, previous: str) -> Entry:
    return Entry(
        number=one.seq,
        hash=one.chain,
        previous=previous,
        at=one.at,
        kind=one.kind,
        actor=one.by,
        line=one.line,
        event=msgspec.Raw(one.body.encode()),
    )
