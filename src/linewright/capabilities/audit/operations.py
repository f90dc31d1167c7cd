"""Operations about the record: is it as it was, who vouches for it, what is in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.capabilities.audit.export import Entry, Sought, entries, newest_entries, without_digests
from linewright.capabilities.audit.key import make_key, open_key
from linewright.capabilities.audit.proof import read_checkpoints, read_public_key
from linewright.capabilities.audit.signed_note import PublicKey
from linewright.capabilities.audit.verify_chain import Followed, verify_chain
from linewright.engine.context import Progress
from linewright.errors import Conflict, RequestError
from linewright.line.factory import Factory
from linewright.line.personal import VIEW_PERSONAL, hidden_anywhere
from linewright.operations.declare import operation
from linewright.operations.parameter import instant_of
from linewright.store.files.disk import explained
from linewright.text.numbers import count

Head = Annotated[
    str,
    Meta(
        pattern=r"^(sha256:)?[0-9a-f]{64}$",
        description="a head: sha256: and 64 hexadecimal digits in lower case",
    ),
]
"""A digest of the last event."""
Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_PAGE_BYTES = 4 << 20
"""After which a page ends."""


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was made."""

    file: str
    """The private key."""
    public_key: str
    """What checkpoints are verified with: keep it out of reach of the factory's machine."""


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the entries of the record, oldest first."""

    entries: tuple[Entry, ...]
    next: int | None
    """What `after` is for the next page; `None` where this was the last."""


@operation(permission="view", effect="read", expensive=True, anywhere=True, files={"checkpoints": "in"})
def audit_verify(
    factory: Factory,
    /,
    *,
    against: Head | None = None,
    checkpoints: Path | None = None,
    public_key: tuple[str, ...] = (),
    database: Path | None = None,
) -> Followed:
    """Check that no entry of the record was changed or removed.

    Each entry carries a digest of itself and of the one before, so that a changed, removed or inserted one is seen. Signed checkpoints
    show also a record that was cut off, rebuilt, or put back.

    Parameters
    ----------
    against
        A head of the record that was kept elsewhere, as `up` and this command print it. The record must contain it: then nothing
        before it was changed since, by nobody.
    checkpoints
        A signed checkpoint, or a folder of them; for a factory elsewhere one file, the newest that you keep.
    public_key
        Who may have signed them, as `audit key` prints it, or a file with it (default: the key that factory.yaml names).
    database
        A copy of metadata.sqlite that is checked in place of the factory's; no factory is needed then.
    """
    if database is None:
        factory.require_factory()
    if checkpoints is None:
        if public_key:
            raise RequestError("a key alone proves nothing", where="--public-key", hint="give --checkpoints")
        return verify_chain(factory, against, database=database)
    # No client learns whether a file of this machine exists, or what it holds.
    is_sent = checkpoints.is_relative_to(factory.client_files)
    keys = [read_public_key(one, may_be_file=not is_sent) for one in public_key] or [_own_key(factory)]
    return verify_chain(factory, against, signed=read_checkpoints(checkpoints), keys=keys, database=database)


def _own_key(factory: Factory) -> PublicKey:
    factory.require_factory()
    spec = factory.file().audit
    if spec is None:
        raise RequestError(
            "nobody says who signed the checkpoints", where="--public-key", hint="give the public key"
        )
    return open_key(factory.root / Path(spec.key).expanduser(), state=factory.state).public


@operation(permission="manage", effect="act", local=True, anywhere=True)
def audit_key(factory: Factory, file: Path, /) -> KeyMade:
    """Make the key that signs checkpoints of the record.

    `audit.key` of factory.yaml names it. The public key is printed: keep it elsewhere.

    Parameters
    ----------
    file
        The file to make, outside of the state folder.
    """
    with explained(file, "the key"):
        public = make_key(file, state=factory.state)
    return KeyMade(file=str(file), public_key=public.text)


@operation(permission="manage", effect="read", local=True, streams=True)
def audit_export(factory: Factory, /, *, after: Number = 0, out: Path | None = None) -> Iterator[Entry]:
    """Write the entries of the record as JSON lines, for other programs.

    If a line has personal columns, it requires the right to see them: masked entries could not be verified.

    Parameters
    ----------
    after
        Number of the last entry that is left out, to continue an export.
    out
        The file to make (default: they are printed).
    """
    if hidden_anywhere(factory):
        factory.identity.require(VIEW_PERSONAL)
    if out is None:
        yield from entries(factory, after=after)
        return
    written, last = 0, after
    with explained(out, "the file"):
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise Conflict("there is a file of that name", where=str(out), hint="name another one") from error
        with os.fdopen(descriptor, "wb") as file:
            for one in entries(factory, after=after):
                file.write(msgspec.json.encode(one) + b"\n")
                written, last = written + 1, one.number
    says = f"{count(written, 'entry', 'entries')} written to {out}; go on with --after {last}"
    factory.report(Progress(step="audit", says=says, stays=True))


@operation(permission="manage", effect="read")
def audit_entries(
    factory: Factory, /, *, after: Number = 0, limit: Annotated[int, Meta(ge=1, le=1000)] = 100
) -> Entries:
    """Show a page of the entries of the record.

    Who may not see personal columns gets them masked, without digests.

    Parameters
    ----------
    after
        Number of the last entry that is left out: `next` of the page before.
    limit
        Most entries of a page; a page ends after 4 MiB too.
    """
    page, size = list[Entry](), 0
    for one in without_digests(factory, entries(factory, after=after)):
        if len(page) == limit or size > _PAGE_BYTES:
            return Entries(entries=tuple(page), next=page[-1].number)
        page.append(one)
        size += len(bytes(one.event))
    return Entries(entries=tuple(page), next=None)


class FoundEntries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the entries of the record that were looked for, newest first."""

    found: tuple[Entry, ...]
    next: int | None
    """What `before` is for the next page; `None` where this was the last."""


@operation(permission="manage", effect="read")
def audit_find(
    factory: Factory,
    /,
    *,
    actor: str | None = None,
    line: str | None = None,
    kind: str | None = None,
    since: str | None = None,
    until: str | None = None,
    before: Number | None = None,
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100,
) -> FoundEntries:
    """Find entries of the record: by who, line, kind and time, the newest first.

    Parameters
    ----------
    actor
        Only entries of this member, token or program, as the record names it.
    line
        Only entries about this line.
    kind
        Only entries of this kind, such as ``promoted``.
    since
        Only entries from this day or instant on, ISO 8601, UTC.
    until
        Only entries before this day or instant.
    before
        Only entries with a lower number: `next` of the page before.
    limit
        Most entries of a page.
    """
    sought = Sought(
        actor=actor or "",
        line=line or "",
        kind=kind or "",
        since=instant_of(since, "since"),
        until=instant_of(until, "until"),
    )
    listed = newest_entries(factory, sought, before=before, limit=limit + 1)
    shown, size = list[Entry](), 0
    for one in without_digests(factory, listed[:limit]):
        shown.append(one)
        size += len(bytes(one.event))
        if size > _PAGE_BYTES:
            break
    goes_on = len(listed) > len(shown)
    return FoundEntries(found=tuple(shown), next=shown[-1].number if goes_on else None)
