"""Operations about a restore: it is proposed, and done."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.capabilities.care.restore import Permit, Restored, restore_backup
from linewright.capabilities.proposals.operations import ProposalLine, line_of
from linewright.capabilities.proposals.restore import propose_restoring, use_approval_of
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.people.facts import BackupRestored

Digest = Annotated[
    str,
    Meta(
        pattern=r"^(sha256:)?[0-9a-f]{64}$",
        description="a digest: sha256: and 64 hexadecimal digits in lower case",
    ),
]
"""SHA-256 of a file, with or without ``sha256:``."""


class ApprovalUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The approval of a restore, which cannot be used again."""

    proposal: str
    backup: str
    because: str
    approved: tuple[str, ...]
    """Members who approved."""


@operation(permission="manage", effect="propose")
def propose_restore(factory: Factory, backup: Digest, /, *, because: str = "") -> ProposalLine:
    """Propose that a backup of this factory is restored.

    `approve.restore` of `factory.yaml` says who may approve it. The factory may go on meanwhile. The approval changes nothing here:
    `restore` uses it once, for the file with this digest.

    Parameters
    ----------
    backup
        Digest of the file, as `backup` and `sha256sum` print it.
    because
        Why, for those who are to approve it.
    """
    if not because.strip():
        raise RequestError(
            "whoever is to approve a restore wants to know why", where="--because", hint='add --because "why"'
        )
    found = propose_restoring(factory, _full(backup), because=because)
    return line_of(factory, found, ProposalLine)


@operation(permission="manage", effect="act")
def use_approval(factory: Factory, proposal: str, /, *, backup: Digest, head: Digest) -> ApprovalUsed:
    """Use the approval of a restore; `restore` does it by itself.

    It can be used once, and only for the backup that was approved.

    Parameters
    ----------
    proposal
        Its id, as `proposals` lists it.
    backup
        Digest of the file that is restored.
    head
        Digest of the last event of the record in the backup; the record here must contain it.
    """
    found = use_approval_of(factory, proposal, backup=_full(backup), head=_full(head))
    return ApprovalUsed(
        proposal=found.proposed.id,
        backup=_full(backup),
        because=found.proposed.because,
        approved=tuple(one.member for one in found.standing.approved),
    )


@operation(permission="manage", effect="destroy", local=True, anywhere=True)
def restore(
    factory: Factory,
    file: Path,
    /,
    *,
    approval: str | None = None,
    of: str | None = None,
    without_approval: str | None = None,
) -> Restored:
    """Make a factory from a backup, in an empty or a new folder.

    The folder is that of ``--factory``. Every file is hashed on its way; until the last one is in its place, the folder is no
    factory. If `approve.restore` of the `factory.yaml` in the backup names somebody, it needs an approved proposal of the factory
    that made it, or a reason to do without.

    Parameters
    ----------
    file
        What `backup` made.
    approval
        Id of the approved proposal, which `propose-restore` made.
    of
        The factory that approved: its folder, or https://HOST:PORT.
    without_approval
        Why it is restored without approval, for example since no such factory is left; the restored record keeps it.
    """
    return restore_backup(factory, file, _permit(factory, approval, of, without_approval))


def _permit(factory: Factory, approval: str | None, of: str | None, reason: str | None) -> Permit | None:
    if (approval is None) != (of is None) or (approval is not None and reason is not None):
        raise RequestError(
            "a restore has an approval or a reason to do without",
            where="restore",
            allowed="--approval ID --of FACTORY, or --without-approval REASON",
        )
    if reason is not None:
        return _without_approval(factory, reason)
    return None if approval is None or of is None else _by_approval(factory, approval, of)


def _without_approval(factory: Factory, reason: str) -> Permit:
    if not reason.strip():
        raise RequestError("the record wants to know why", where="--without-approval", allowed="a reason")
    return lambda backup, _: BackupRestored(
        at=factory.now(), by=factory.actor, because=reason, line="", backup=backup
    )


def _by_approval(factory: Factory, approval: str, of: str) -> Permit:
    ask = factory.elsewhere
    if ask is None:
        raise RequestError("only the command asks another factory", where="of", hint="linewright restore")

    def permit(backup: str, head: str) -> BackupRestored:
        used: ApprovalUsed = ask(of, "use-approval", {"proposal": approval, "backup": backup, "head": head})
        return BackupRestored(
            at=factory.now(),
            by=factory.actor,
            because=used.because,
            line="",
            backup=backup,
            proposal=used.proposal,
            approved=used.approved,
        )

    return permit


def _full(digest: str) -> str:
    return f"sha256:{digest.removeprefix('sha256:')}"
