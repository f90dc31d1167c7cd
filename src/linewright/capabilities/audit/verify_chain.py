"""Whether the chain of events is whole, contains a head that was kept elsewhere, and is borne out by signed checkpoints."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from linewright.capabilities.audit.key import ed25519
from linewright.capabilities.audit.proof import Finding, prove
from linewright.capabilities.audit.signed_note import PublicKey
from linewright.line.factory import Factory
from linewright.line.holdings.record import SoughtHead, broken_chain
from linewright.line.problem import AGAIN, OLDER, Problem, worst
from linewright.store.metadata.audit_chain import ROOT
from linewright.store.metadata.chain_file import open_chain
from linewright.text.numbers import count


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain of events was followed."""

    entries: int
    """Entries that are right, from the first one on."""
    head: str
    """Digest of the last of them. Whoever keeps it elsewhere can show later that nothing before it was changed."""
    first_bad: int | None
    """Number of the first entry that is wrong."""
    problems: tuple[Problem, ...]
    contains: int | None = None
    """Number of events after which the head that was asked for was the last; `None` where it never was, or none was asked for."""
    checkpoints: int | None = None
    """Signed checkpoints whose signature is right; `None` where none were given."""
    proved: int | None = None
    """Entries that the newest of them proves which the record bears out."""

    @property
    def exit_code(self) -> int:
        """0, or that of stored bytes that have changed."""
        return worst(self.problems)


def verify_chain(
    factory: Factory,
    against: str | None = None,
    *,
    signed: Mapping[str, bytes] | None = None,
    keys: Sequence[PublicKey] = (),
    database: Path | None = None,
) -> Followed:
    """Follow the chain of events."""
    sought = SoughtHead(ROOT if against is None else f"sha256:{against.removeprefix('sha256:')}")
    # Without checkpoints the extra is not needed.
    is_signed = ed25519().is_signed if signed else _nobody_signed
    with (
        nullcontext((factory.metadata.head(), factory.metadata.links()))
        if database is None
        else open_chain(database) as (head, links)
    ):
        proof = prove(sought.among(links), head, signed or {}, keys, is_signed)
    found = proof.chain
    problems = [broken] if (broken := broken_chain(found)) else []
    problems += map(_unproved, proof.findings)
    contains = sought.found(found)
    if contains is None:
        problems.append(
            Problem(
                what="the record does not contain the head that was kept: its end was cut off, or it was made anew",
                where=sought.digest,
                next="compare with a backup of that time (linewright restore FILE --factory NEW-FOLDER), and find out who wrote the file",
            )
        )
    return Followed(
        entries=found.entries,
        head=found.head,
        first_bad=proof.first_bad,
        problems=tuple(problems),
        contains=None if against is None else contains,
        checkpoints=None if signed is None else proof.checkpoints,
        proved=None if signed is None else proof.proved,
    )


def _nobody_signed(_public: bytes, _signature: bytes, _message: bytes) -> bool:
    return False


def _unproved(found: Finding) -> Problem:
    """Say what is wrong with a checkpoint, or with the record that does not bear it out."""
    match found.fault:
        case "unreadable":
            what, after = "not a signed checkpoint", "find out who wrote it"
        case "foreign":
            what = "none of the public keys that are given signed this checkpoint"
            after = "give the key of that time too (--public-key), or find out whose checkpoint it is"
        case "forged":
            what, after = "the signature is wrong: the checkpoint was changed", "find out who wrote it"
        case "missing":
            what = f"it names a checkpoint of {count(found.entries, 'entry', 'entries')} that is missing"
            after = "find out who removed it; the others prove what they name all the same"
        case "truncated":
            what = (
                f"the record was cut off or is an older copy: it had {count(found.entries, 'entry', 'entries')} when this was "
                f"signed, and has fewer; the checkpoints prove {found.after:,}"
            )
            after = OLDER
        case "rewritten":
            what = (
                f"the record was rebuilt: its entry {found.entries:,} is not the one that was signed, "
                f"so that one from {found.after + 1:,} to it was changed"
            )
            after = AGAIN
    return Problem(what=what, where=found.where, next=after)
