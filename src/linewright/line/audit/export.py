"""The entries of the record for other programs, such as those that collect what happens on all machines of a firm."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from linewright.line.factory import Factory
from linewright.store.audit_chain import ROOT, Link


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the record. Events hold no rows of data and no secrets."""

    number: int
    hash: str
    """Digest of the entry and of the one before."""
    previous: str
    """Digest of the entry before; zeros before the first, empty if that entry is gone."""
    at: str
    kind: str
    actor: str
    line: str
    """Empty if it is about the whole factory."""
    event: msgspec.Raw
    """Its fields, as they were recorded."""


def entries(factory: Factory, *, after: int) -> Iterator[Entry]:
    """Iterate over the entries after one, oldest first; memory does not grow. Nothing is verified: `audit verify` does so.

    Parameters
    ----------
    after
        Number of the last entry that is left out; 0 for none.
    """
    before = Link(0, "", "", "", "", "", "", ROOT)
    links = factory.metadata.links(after=max(0, after - 1))
    if after > 0 and (before := next(links, None)) is None:
        return
    if before.seq > after:  # there is none of that number
        yield _entry(before, "")
    for one, other in pairwise(_with_first(before, links)):
        yield _entry(other, one.chain)


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
