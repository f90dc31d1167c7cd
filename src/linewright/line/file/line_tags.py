"""The tags of line files, kept where servers find them without reading a line file."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from linewright.errors import LinewrightError, RequestError
from linewright.line.file.read import read_line
from linewright.serve.access.line_tags import MOST_TAG, LineTags, TaggedFile, read_tags, write_tags
from linewright.store.clock import now_utc
from linewright.store.disk import explained
from linewright.store.stamps import Stamp, is_young, stamp_of

_ENDING, _WORD = ".yaml", b"tags"


def keep_tags(root: Path, state: Path) -> None:
    """Keep what the line files say now; files that are as they were are not read.

    A file that is wrong has no tags, if it was not written a moment ago.

    Raises
    ------
    LinewrightError
        If line files or state cannot be read or written; then lines whose files have changed have no tags.
    """
    with explained(state, "the tags of lines"):
        before, now_s = read_tags(state), datetime.fromisoformat(now_utc()).timestamp()
        lines: dict[str, TaggedFile] = {}
        for name, stamp in _stamps(root / "lines").items():
            kept, is_new = before.lines.get(name), is_young(stamp, now_s)
            if kept is None or kept.stamp != stamp or is_new:
                kept = _read(root / "lines" / f"{name}{_ENDING}", stamp, kept if is_new else None)
            lines[name] = kept
        if lines != before.lines:
            write_tags(state, LineTags(lines))


def require_tags(tags: tuple[str, ...]) -> None:
    """Refuse empty and overlong tags; a tag that no line has yet is allowed.

    Raises
    ------
    RequestError
        If one is empty or too long.
    """
    for tag in tags:
        if not 0 < len(tag.strip()) <= MOST_TAG:
            allowed = f"1 to {MOST_TAG} characters"
            raise RequestError("this cannot be a tag", where="tags", found=tag[:80], allowed=allowed)


def _stamps(folder: Path) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_ENDING):
                with suppress(OSError):  # gone meanwhile, or a link that leads nowhere
                    found[entry.name.removesuffix(_ENDING)] = stamp_of(entry.stat())
    return found


def _read(path: Path, stamp: Stamp, before: TaggedFile | None) -> TaggedFile:
    """Return what a line file says; if it is wrong, what it said before: somebody may be writing it, and its stamp tells servers so."""
    with suppress(LinewrightError, OSError):
        held = path.read_bytes()
        # Parsing takes long, and most files have no tags.
        is_without = held and _WORD not in held
        return TaggedFile(stamp, () if is_without else read_line(path).tags)
    return before or TaggedFile(stamp, ())
