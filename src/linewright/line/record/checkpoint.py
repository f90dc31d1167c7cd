"""Checkpoints: digests of prediction logs, labels and the files of `chained_files`, entered into the chain of the record.

What is behind a checkpoint cannot be changed unseen by whoever cannot rewrite the chain too; and where a head of the chain is
kept on another machine, by nobody. They are made by the worker, so that no request waits for one.
"""

import hashlib
import shlex
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec

from linewright.engine.lock import ProcessLock
from linewright.errors import Corrupt, LinewrightError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import Dropped, Forgotten
from linewright.line.record.chained_files import ALL_LINES, chained_file, end_of_changes, known_ends, names_of
from linewright.line.retention.forgotten import forgetting_lines, forgotten_of
from linewright.serve.facts import ChangesEnd, Checkpointed, Prefix
from linewright.serve.files import write_whole
from linewright.serve.log.segments import ENDING, Frame, frame_of, read_segment
from linewright.store.changes import START, Chained
from linewright.store.files.disk import explained, sync_file
from linewright.store.metadata.audit_chain import Head
from linewright.store.values import decoder
from linewright.text.numbers import count

CHECKPOINT_S = 600.0
"""How often the worker makes them: what somebody changes before the next one is not proved by it."""
_LOOKED_BACK = 200
"""Checkpoints of a line that are looked through for segments that have not grown: over a day of them. An older one is entered again."""
HEAD_FILE = "head.json"
"""In the state folder: the head of the record, see `keep_head`."""


def never() -> bool:
    """Go on to the end."""
    return False


def checkpoint(factory: Factory, line: str) -> Checkpointed | None:
    """Enter the present digests of a line's open log segments, of its labels and of its annotation; return the event, `None` where nothing is new.

    Those of rows that were sent to sources get another event. It reads each segment that has grown since the last one, once from
    its beginning, and of all else what is new. It may be called at any time, by any process.

    Where another process makes one, or removes something, `None` too: it would enter what is no more.
    """
    lock = ProcessLock(factory.log_lock)
    if forgotten_of(factory, line).undone or not lock.acquire():
        return None
    try:
        if factory.metadata.events(Dropped, line=line, newest_first=True, limit=1):
            # Else the checkpoint would hold what is kept no longer. Who ends a run loads it only then.
            import_module("linewright.capabilities.care.retention").finish(factory, line)
        made = _checkpoint(factory, line)
        _checkpoint_sent(factory)
        return made
    finally:
        lock.release()


def _checkpoint_sent(factory: Factory) -> None:
    """Enter the ends of the rows that were sent to sources; not while rows of a person are being removed."""
    if any(forgotten_of(factory, line).undone for line in forgetting_lines(factory)):
        return
    before = factory.metadata.events(Checkpointed, line=ALL_LINES, newest_first=True, limit=1)
    trouble = list[Corrupt]()
    ends = _ends(factory, ALL_LINES, trouble)
    if ends != (before[0].ends if before else {}):
        factory.metadata.record(
            Checkpointed(
                at=factory.now(),
                by=factory.actor,
                because=f"{count(sum(end.changes for end in ends.values()), 'row')} sent to sources so far",
                line=ALL_LINES,
                ends=ends,
                has_head=_has_head(factory),
            )
        )
    if trouble:
        raise trouble[0]


def _ends(factory: Factory, line: str, trouble: list[Corrupt]) -> dict[str, ChangesEnd]:
    """Return the ends of the chains of files; of one that is gone or damaged, its last known end."""
    known = known_ends(factory, line)
    ends = {name: those[0] for name, those in known.items()}
    for name in names_of(factory, line):
        try:
            file, since = chained_file(factory, name), ends.get(name)
            if file is not None:
                ends[name] = end_of_changes(
                    file.end(START if since is None else Chained(since.changes, since.digest))
                )
        except Corrupt as error:
            trouble.append(error)
    return ends


def _has_head(factory: Factory) -> bool:
    return (factory.state / HEAD_FILE).exists()


def _checkpoint(factory: Factory, line: str) -> Checkpointed | None:
    recent = factory.metadata.events(Checkpointed, line=line, newest_first=True, limit=_LOOKED_BACK)
    known: dict[str, Prefix] = {}
    forgotten = factory.metadata.events(Forgotten, line=line)
    for one in sorted([*reversed(recent), *forgotten], key=lambda one: one.at):
        known |= one.segments
    grown, trouble = dict[str, Prefix](), list[Corrupt]()
    for path in sorted(factory.log_of(line).glob("*" + ENDING)):
        try:
            if (prefix := _prefix(path, known.get(path.name))) is not None:
                grown[path.name] = prefix
        except Corrupt as error:
            trouble.append(error)
    changes, labels = factory.labels_of(line).chained() or (0, "")
    ends = _ends(factory, line, trouble)
    event = None
    if grown or (changes, labels, ends) != (
        (recent[0].changes, recent[0].labels, recent[0].ends) if recent else (0, "", {})
    ):
        event = Checkpointed(
            at=factory.now(),
            by=factory.actor,
            because=f"{count(len(grown), 'log segment')} grew; {count(changes, 'change')} of labels so far",
            line=line,
            segments=grown,
            changes=changes,
            labels=labels,
            ends=ends,
            has_head=_has_head(factory),
        )
        factory.metadata.record(event)
    if trouble:
        raise trouble[0]
    return event


def checkpoint_all(
    factory: Factory, *, is_stopped: Callable[[], bool] = never
) -> tuple[Head, list[LinewrightError]]:
    """Make a checkpoint of every line, and keep the head of the record beside it."""
    trouble: list[LinewrightError] = []
    for line in sorted({*factory.metadata.lines(), *factory.logged()}):
        if is_stopped():
            break
        try:
            checkpoint(factory, line)
        except LinewrightError as error:
            trouble.append(error)
            if isinstance(
                error, Transient
            ):  # a full disk or a held database: the next line would wait for it too
                break
    try:
        keep_head(factory)
    except LinewrightError as error:
        trouble.append(error)
    return factory.metadata.head(), trouble


def head_in_words(head: Head) -> str:
    """Say the head of the record, for people who keep it elsewhere.

    Examples
    --------
    >>> head_in_words(Head(57, "sha256:ab"))
    'head of the record after 57 events: sha256:ab'
    """
    return f"head of the record after {count(head.entries, 'event')}: {head.digest}"


def keep_head(factory: Factory) -> None:
    """Keep the head of the record in a file beside it, so that an older copy of the record is known as one."""
    head, path, before = factory.metadata.head(), factory.state / HEAD_FILE, kept_head(factory)
    if before is not None and factory.metadata.head_after(before.entries) != before.digest:
        raise Corrupt(
            "the record is an older copy, or was made anew: it does not contain the head that was kept beside it",
            where=str(path),
            found=before.digest,
            hint=f"put the newest record back; where this one is meant to be, remove the file: rm {shlex.quote(str(path))}",
        )
    with explained(path, "the file"):
        write_whole(path, msgspec.json.encode(head._asdict()) + b"\n")


def kept_head(factory: Factory) -> Head | None:
    """Return the head that was kept last; `None` where none was."""
    path = factory.state / HEAD_FILE
    try:
        kept = decoder(_Kept).decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = f"find out who wrote it, and remove it: rm {shlex.quote(str(path))}"
        raise Corrupt("the kept head of the record cannot be read", where=str(path), hint=hint) from error
    return Head(kept.entries, kept.digest)


class _Kept(msgspec.Struct):
    entries: int
    digest: str


class Digested:
    """Takes the frames of a segment in their order, and has their digest: of their bytes as they are stored, gaps left out."""

    def __init__(self) -> None:
        self._hashed, self._bytes = hashlib.sha256(), 0

    def take(self, frame: Frame) -> None:
        """Take the next frame."""
        self._hashed.update(frame_of(frame.payload))
        self._bytes = frame.end

    @property
    def prefix(self) -> Prefix:
        """What was taken so far."""
        return Prefix(bytes=self._bytes, digest="sha256:" + self._hashed.hexdigest())


def _prefix(path: Path, last: Prefix | None) -> Prefix | None:
    """Return how far a segment has whole records now; `None` where no further than at its last checkpoint, or it is no file any more."""
    log, start = path.parent, 0 if last is None else last.bytes
    if next(read_segment(log, path.name, start), None) is None:
        return None
    with suppress(FileNotFoundError):  # sealed meanwhile, which enters its digest
        # What the record says of the log may not be ahead of the disk, or power loss would look like a forgery.
        sync_file(path)
    digested, is_as_before = Digested(), last is None
    for frame in read_segment(log, path.name):
        digested.take(frame)
        if last is not None and frame.end == last.bytes:
            is_as_before = digested.prefix == last
    prefix = digested.prefix
    if prefix.bytes and not is_as_before:
        raise Corrupt(
            "the prediction log is not what it was at its last checkpoint",
            where=str(path),
            hint="linewright verify; find out who wrote the file, and restore it from a backup",
        )
    return prefix if prefix.bytes > start else None
