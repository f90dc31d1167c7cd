"""The tags of line files, kept where servers find them without reading a line file."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from linewright.errors import LinewrightError, RequestError
from linewright.line.file.read import read_line
from linewright.line.file.sites import lines_of, site_of
from linewright.serve.access.line_tags import MOST_TAG, LineTags, TaggedFile, read_tags, write_tags
from linewright.store.clock import now_utc
from linewright.store.files.disk import explained
from linewright.store.files.names import ENDING, file_of
from linewright.store.files.stamps import Stamp, is_young, stamp_of

_WORD = b"tags"


def keep_tags(root: Path, state: Path) -> None:
    """Keep what the line files say now; files that are as they were are not read.

    A file that is wrong has no tags, if it was not written a moment ago.
    """
    with explained(state, "the tags of lines"):
        before, now_s = read_tags(state), datetime.fromisoformat(now_utc()).timestamp()
        lines: dict[str, TaggedFile] = {}
        for name, stamp in _stamps(root / "lines").items():
            path, is_new = root / "lines" / f"{name}{ENDING}", is_young(stamp, now_s)
            for line in lines_of(path, stamp):
                kept = before.lines.get(line)
                if kept is None or kept.stamp != stamp or is_new:
                    kept = _read(path, line, stamp, kept if is_new else None)
                lines[line] = kept
        if lines != before.lines:
            write_tags(state, LineTags(lines))


def wrong_tags(root: Path, state: Path) -> list[str]:
    """Return the lines of which other tags are kept than their files say; a file that was written since is passed over, as servers do."""
    found = list[str]()
    stamps = _stamps(root / "lines")
    for line, kept in sorted(read_tags(state).lines.items()):
        path = file_of(root / "lines", line)
        if stamps.get(path.name.removesuffix(ENDING)) == kept.stamp:
            said = _read(path, line, kept.stamp, None)
            found += [line] if said.tags != kept.tags else []
    return found


def require_tags(tags: tuple[str, ...]) -> None:
    """Refuse empty and overlong tags; a tag that no line has yet is allowed."""
    for tag in tags:
        if not 0 < len(tag.strip()) <= MOST_TAG:
            allowed = f"1 to {MOST_TAG} characters"
            raise RequestError("this cannot be a tag", where="tags", found=tag[:80], allowed=allowed)


def _stamps(folder: Path) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ENDING):
                with suppress(OSError):  # gone meanwhile, or a link that leads nowhere
                    found[entry.name.removesuffix(ENDING)] = stamp_of(entry.stat())
    return found


def _read(path: Path, line: str, stamp: Stamp, before: TaggedFile | None) -> TaggedFile:
    """Return what a line file says; if it is wrong, what it said before: somebody may be writing it, and its stamp tells servers so."""
    with suppress(LinewrightError, OSError):
        held, site = path.read_bytes(), site_of(path, line)
        # Parsing takes long, and most files have no tags.
        is_without = held and _WORD not in held and not site
        return TaggedFile(stamp, () if is_without else read_line(path, site).tags)
    return before or TaggedFile(stamp, ())
