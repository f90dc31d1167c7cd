"""Which lines have which tags, as a file of the state says: who checks a token reads no line file."""

from collections.abc import Collection, Mapping
from pathlib import Path
from time import monotonic

import msgspec

from linewright.errors import LinewrightError
from linewright.store.files.names import file_of
from linewright.store.files.rights import read_owned, write_owned
from linewright.store.files.stamps import Stamp, stamp_at

TAGS_FILE = "tags.json"
"""In the state folder. It follows from the line files, so that it is in no backup."""
GRACE_S = 5.0
"""Seconds for which a line keeps its tags after its file was written, until they are read again."""
LOOK_S = 0.5
"""How often it is looked whether the files changed."""
_MOST_BYTES = 16 << 20
MOST_TAG = 63
"""Characters of a tag in a grant."""


class TaggedFile(msgspec.Struct, frozen=True):
    """What a line file said."""

    stamp: Stamp
    """Of the file that was read."""
    tags: tuple[str, ...]


class LineTags(msgspec.Struct, frozen=True):
    """What all line files said."""

    lines: dict[str, TaggedFile] = {}


class Tagged:
    """Which lines have which tags at one time. Each question is worked out once.

    Examples
    --------
    >>> tagged = Tagged({"claims": ("eu", "retail"), "parts": ("eu",)})
    >>> sorted(tagged.lines((), ("eu",))), sorted(tagged.lines(("ads",), ("retail",))), sorted(tagged.lines((), ("us",)))
    (['claims', 'parts'], ['ads', 'claims'], [])
    """

    def __init__(self, tags: Mapping[str, Collection[str]] | None = None) -> None:
        self.tags = {line: frozenset(those) for line, those in (tags or {}).items()}
        """Tags by line."""
        self._lines: dict[tuple[tuple[str, ...], tuple[str, ...]], frozenset[str]] = {}

    def lines(self, named: tuple[str, ...], tags: tuple[str, ...]) -> frozenset[str]:
        """Return the lines that are named, and those that have one of the tags."""
        found = self._lines.get((named, tags))
        if found is None:
            tagged = (line for line, those in self.tags.items() if not those.isdisjoint(tags))
            found = self._lines[named, tags] = frozenset(named).union(tagged)
        return found


UNTAGGED = Tagged()
"""No line has a tag, so that tags give no right."""


class FollowedTags:
    """Follows which lines have which tags.

    A line whose file is another than the one that was read has its tags for `GRACE_S` more seconds: then nothing vouches for them.
    """

    def __init__(self, state: Path) -> None:
        self._state, self._lines = state, state.parent / "lines"
        self._stamp: Stamp | None = None
        self._kept, self._now = LineTags(), UNTAGGED
        self._right_at: dict[str, float] = {}
        """By line, when its file was last the one that was read, on the monotonic clock."""
        self._look_at = 0.0

    def look(self) -> Tagged:
        """Return which lines have which tags; the same object as long as nothing changes."""
        now = monotonic()
        if now < self._look_at:
            return self._now
        self._look_at = now + LOOK_S
        stamp = stamp_at(self._state / TAGS_FILE)
        if stamp != self._stamp:
            self._stamp, self._kept = stamp, read_tags(self._state)
        tagged = {line: file for line, file in self._kept.lines.items() if file.tags}
        for line, file in tagged.items():
            if stamp_at(file_of(self._lines, line)) == file.stamp:
                self._right_at[line] = now
        found = Tagged(
            {
                line: file.tags
                for line, file in tagged.items()
                if now - self._right_at.get(line, -GRACE_S) < GRACE_S
            }
        )
        if found.tags != self._now.tags:
            self._now = found
        return self._now


def read_tags(state: Path) -> LineTags:
    """Return what line files said; nothing where that cannot be known, so that tags give no right."""
    try:
        held = read_owned(
            state / TAGS_FILE, _MOST_BYTES, what="others may change who may ask", hint="delete it"
        )
        return msgspec.json.decode(held, type=LineTags)
    except (OSError, LinewrightError, msgspec.MsgspecError):
        return LineTags()


def write_tags(state: Path, tags: LineTags) -> None:
    """Write what line files said."""
    write_owned(state / TAGS_FILE, msgspec.json.encode(tags))
