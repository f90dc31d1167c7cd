"""What a member has set for themselves: saved views, and up to when they have read the comments that name them.

It decides nothing about the factory, so that it is not in the record. It is one small file a member in the state folder.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec.structs import replace

from linewright.engine.lock import ProcessLock
from linewright.errors import Corrupt, NotFound, RequestError
from linewright.store.files.disk import explained
from linewright.store.files.rights import OWNER_ONLY, read_owned, write_owned

FOLDER = "preferences"
"""In the state folder."""
OWNER = "_owner"
"""Name of the file of the factory's owner; no member can have such a name."""
MOST_VIEWS = 20
MOST_NAME = 60
"""Characters of a view's name."""
MOST_ADDRESS = 1_000
"""Characters of a view's address."""
_MOST_BYTES = 1 << 20


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """A page with its filters, under a name."""

    name: str
    address: str
    """Path and query of a page of the console."""

    @property
    def values(self) -> set[str]:
        """Its name, and what stands in its address: the parts of the path and the values of the query.

        Examples
        --------
        >>> sorted(SavedView(name="mine", address="/lines/a?key=P%201&n=").values)
        ['', 'P 1', 'a', 'lines', 'mine']
        """
        parts = urlsplit(self.address)
        return {self.name, *map(unquote, parts.path.split("/")), *(one for _, one in parse_qsl(parts.query))}


class Preferences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one member has set."""

    version: int = 1
    since: str = ""
    """When they became a member: the file of another one who had the same name before is not theirs. Empty for the owner."""
    views: tuple[SavedView, ...] = ()
    """Sorted by name; no two have the same name or the same address."""
    read: str = ""
    """Instant up to which they have read the comments that name them; empty if never."""

    def with_view(self, view: SavedView) -> "Preferences":
        """Return them with a view; one of the same name or the same address goes, so that saving again changes or renames it.

        Examples
        --------
        >>> once = Preferences().with_view(SavedView(name="mine", address="/?q=eu"))
        >>> [one.name for one in once.with_view(SavedView(name="europe", address="/?q=eu")).views]
        ['europe']
        """
        others = [one for one in self.views if one.name != view.name and one.address != view.address]
        if len(others) >= MOST_VIEWS:
            raise RequestError(
                "there are as many views as one may save",
                found=str(len(others)),
                allowed=f"{MOST_VIEWS} a member",
                hint="delete one first: linewright delete-view NAME",
            )
        return replace(self, views=tuple(sorted([*others, view], key=lambda one: one.name)))

    def without_view(self, name: str) -> "Preferences":
        """Return them without a view."""
        left = tuple(one for one in self.views if one.name != name)
        if len(left) == len(self.views):
            there = ", ".join(one.name for one in self.views) or "(none yet)"
            raise NotFound("no saved view has that name", found=name, allowed=there)
        return replace(self, views=left)


def read_preferences(state: Path, member: str, since: str) -> Preferences:
    """Return what a member has set; nothing if the file is of an earlier member of the same name."""
    path = _path(state, member)
    with explained(path, "the preferences of a member"):
        try:
            hint = f"delete it, or: chmod 600 {path}"
            held = read_owned(path, _MOST_BYTES, what="others may read or change preferences", hint=hint)
        except FileNotFoundError:
            return Preferences(since=since)
    found = decode_preferences(held, path)
    return found if found.since == since else Preferences(since=since)


def decode_preferences(held: bytes, path: Path) -> Preferences:
    """Return what a file of preferences says."""
    try:
        found = msgspec.json.decode(held, type=Preferences)
    except msgspec.MsgspecError as error:
        hint = f"delete it; saved views are lost: rm {path}"
        raise Corrupt(
            "the preferences of a member are damaged", where=str(path), found=str(error), hint=hint
        ) from error
    if found.version != 1:
        raise Corrupt(
            "a newer Linewright wrote the preferences", where=str(path), found=str(found.version), allowed="1"
        )
    return found


def change_preferences(
    state: Path, member: str, since: str, change: Callable[[Preferences], Preferences]
) -> Preferences:
    """Change what a member has set, one change at a time, and return it as it is then."""
    path = _path(state, member)
    change(read_preferences(state, member, since))  # what is refused makes neither folder nor lock
    with explained(path, "the preferences of a member"):
        path.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        lock = ProcessLock(path.parent / "lock")
        lock.wait(lambda _: None)
        try:
            changed = change(read_preferences(state, member, since))
            write_owned(path, msgspec.json.format(msgspec.json.encode(changed)) + b"\n")
        finally:
            lock.release()
    return changed


def remove_preferences(state: Path, member: str) -> None:
    """Remove what a member has set; they are not a member any more."""
    path = _path(state, member)
    with explained(path, "the preferences of a member"):
        path.unlink(missing_ok=True)


def forget_views(state: Path, is_about: Callable[[SavedView], bool]) -> int:
    """Remove the views of all members that are about somebody; return how many there were."""
    removed = 0
    for path in files_in(state):
        found = decode_preferences(path.read_bytes(), path)
        left = tuple(one for one in found.views if not is_about(one))
        if len(left) < len(found.views):
            change_preferences(state, path.stem, found.since, lambda now, left=left: replace(now, views=left))
            removed += len(found.views) - len(left)
    return removed


def files_in(state: Path) -> list[Path]:
    """Return the files of all members, sorted."""
    return sorted((state / FOLDER).glob("*.json"))


def _path(state: Path, member: str) -> Path:
    return state / FOLDER / f"{member}.json"
