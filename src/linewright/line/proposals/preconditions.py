"""The preconditions of a proposal as they are now: by name, an identity that changes when the part changes."""

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.record.registry import judged
from linewright.people.facts import BackupRestored, ForgetChange, LineChange, PromotionChange, RestoreChange
from linewright.release.facts import Deployed, Promoted, RolledBack, Withdrawn
from linewright.store.values import digest_of, digest_of_bytes

AnyChange = PromotionChange | LineChange | ForgetChange | RestoreChange
_NONE = "none"
LINE_FILE = "line file"


def preconditions_of(factory: Factory, change: AnyChange) -> dict[str, str]:
    """Return what a change stands on.

    Of a promotion: the champion, with the generation since which it serves, so that one that went and came back is another; the newest
    certificate of the model; its newest trial; and what the line file says. Of a line change: the bytes of the file. Of a removal: which
    column names the person. Of a restore: the last one that this factory
    itself was made by, so that an approval in a backup is used by no copy of the factory.
    """
    match change:
        case PromotionChange():
            found = judged(factory, change.line).get(change.package)
            return {
                "champion": _champion(factory, change.line),
                "certificate": found.digest if found else _NONE,
                "trial": _trial(factory, change),
                LINE_FILE: _said(factory, change.line),
            }
        case LineChange():
            return {LINE_FILE: digest_of_file(factory, change.line)}
        case ForgetChange():
            return {"table.subject": _subject(factory, change.line)}
        case RestoreChange():
            return {"restore": _restored(factory)}


def _restored(factory: Factory) -> str:
    last = factory.metadata.events(BackupRestored, line="", newest_first=True, limit=1)
    return f"{last[0].backup} {last[0].at}" if last else _NONE


def digest_of_file(factory: Factory, line: str) -> str:
    """Return the digest of the bytes of a line file; ``none`` if there is none."""
    try:
        return digest_of_bytes(factory.path_of(line).read_bytes())
    except (LinewrightError, OSError):
        return _NONE


def _champion(factory: Factory, line: str) -> str:
    champion = factory.metadata.pointer(line).champion
    if champion is None:
        return _NONE
    moves = [
        one.generation
        for kind in (Promoted, RolledBack)
        for one in factory.metadata.events(kind, line=line, newest_first=True, limit=1)
    ]
    return f"{line}@{champion}#{max(moves, default=0)}"


def _trial(factory: Factory, change: PromotionChange) -> str:
    moves = [
        one.generation
        for kind in (Deployed, Withdrawn)
        for one in factory.metadata.events(kind, line=change.line)
        if one.package == change.package
    ]
    return f"{change.line}@{change.model}#{max(moves)}" if moves else _NONE


def _said(factory: Factory, line: str) -> str:
    try:
        return digest_of(factory.line(line).model_dump(mode="json", exclude_defaults=True))
    except LinewrightError:
        return _NONE


def _subject(factory: Factory, line: str) -> str:
    try:
        return factory.line(line).table.subject or _NONE
    except LinewrightError:
        return _NONE
