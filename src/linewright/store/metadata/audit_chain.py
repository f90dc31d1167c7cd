"""The chain of events: each entry has a digest of itself and of the entry before, so that none can be changed unseen."""

from collections.abc import Iterable
from typing import NamedTuple

from linewright.store.values import digest_of

ROOT = "sha256:" + "0" * 64
"""What the first entry is chained to."""


class Link(NamedTuple):
    """One event as it is stored, with its digest in the chain."""

    seq: int
    kind: str
    line: str
    at: str
    by: str
    because: str
    body: str
    chain: str


class Head(NamedTuple):
    """The end of the chain, kept beside it: so that entries cannot be cut off its end unseen."""

    entries: int
    digest: str


class Chain(NamedTuple):
    """What following a chain found."""

    entries: int
    head: str
    """Digest of the last entry that was found right; of what can be kept elsewhere, the one that proves most."""
    first_bad: int | None = None
    """Number of the first entry that is wrong; `None` where all are right."""
    why: str = ""


def link(before: str, *, kind: str, line: str, at: str, by: str, because: str, body: str) -> str:
    """Return the digest of an entry that follows the one with the digest `before`.

    Examples
    --------
    >>> link(ROOT, kind="promoted", line="a", at="", by="ada", because="", body="{}")[:20]
    'sha256:01e1d3bd60367'
    """
    entry = {"kind": kind, "line": line, "at": at, "by": by, "because": because, "body": body}
    return digest_of({"before": before, **entry})


def follow(links: Iterable[Link], head: Head) -> Chain:
    """Follow a chain from its first entry, and say where it breaks; entries that come meanwhile are followed too."""
    entries, before = 0, ROOT
    for one in links:
        if one.chain != _digest(before, one):
            return Chain(entries, before, one.seq, "it is not what was recorded, or one before it is missing")
        if entries + 1 == head.entries and one.chain != head.digest:
            return Chain(entries, before, one.seq, "it is not the entry that was recorded last")
        entries, before = entries + 1, one.chain
    if entries < head.entries:
        missing = head.entries - entries
        return Chain(
            entries, before, entries + 1, f"the last of {head.entries:,} entries are missing: {missing:,}"
        )
    return Chain(entries, before)


def _digest(before: str, one: Link) -> str:
    return link(
        before, kind=one.kind, line=one.line, at=one.at, by=one.by, because=one.because, body=one.body
    )
