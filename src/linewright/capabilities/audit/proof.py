"""Whether a record still is what signed checkpoints said of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from linewright.capabilities.audit.signed_note import MOST_BYTES, Checkpoint, PublicKey, read_key, read_note
from linewright.errors import NotFound, RequestError
from linewright.store.files.disk import explained
from linewright.store.metadata.audit_chain import ROOT, Chain, Head, Link, follow

ENDING = ".checkpoint"
"""Of the files in a folder of checkpoints; others are passed over."""
_MOST_FILES = 1_000_000
IsSigned = Callable[[bytes, bytes, bytes], bool]
"""Takes public key, signature and message."""
Fault = Literal["unreadable", "foreign", "forged", "missing", "truncated", "rewritten"]
"""What is wrong with a checkpoint: it is none; no key that was given signed it; its signature is wrong; another one names it and it is
not there; the record ends before it; the record has another entry there."""


class Finding(NamedTuple):
    """A checkpoint that the record does not bear out."""

    fault: Fault
    where: str
    """The file; of a missing one, the file that names it."""
    entries: int = 0
    """What it names."""
    after: int = 0
    """Entries that an older checkpoint proves: the first bad one comes after these."""


class Proof(NamedTuple):
    """What following a chain along its checkpoints found."""

    chain: Chain
    checkpoints: int
    """Those that were signed by a key that was given."""
    proved: int
    """Entries that the newest checkpoint proves which the record bears out."""
    findings: tuple[Finding, ...]

    @property
    def first_bad(self) -> int | None:
        """Number of the first entry that is wrong, as far as it can be told: after it none is proved."""
        ends = [one.after + 1 for one in self.findings if one.fault in {"truncated", "rewritten"}]
        bad = [] if self.chain.first_bad is None else [self.chain.first_bad]
        return min([*ends, *bad], default=None)


def read_checkpoints(path: Path) -> dict[str, bytes]:
    """Read a file with a checkpoint, or all of a folder, by name."""
    with explained(path, "the checkpoints"):
        files = sorted(path.glob(f"*{ENDING}"))[:_MOST_FILES] if path.is_dir() else [path]
        found = {file.name: _head_of(file) for file in files if file.is_file()}
    if not found:
        allowed = f"a file, or a folder with files named *{ENDING}"
        raise NotFound("there are no checkpoints", where=str(path), allowed=allowed)
    return found


def _head_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def read_public_key(given: str, *, may_be_file: bool = True) -> PublicKey:
    """Read a public key, or a file that holds one."""
    try:
        is_file = may_be_file and ("+" not in given or Path(given).is_file())
        return read_key(_head_of(Path(given)).decode() if is_file else given)
    except (OSError, ValueError) as error:
        says = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"not a public key: {says}",
            where="--public-key",
            found=given[:120],
            allowed="NAME+ID+KEY as `linewright audit key` prints it"
            + (", or a file that holds it" if may_be_file else ""),
        ) from error


def prove(
    links: Iterable[Link],
    head: Head,
    files: Mapping[str, bytes],
    keys: Sequence[PublicKey],
    is_signed: IsSigned,
) -> Proof:
    """Follow a chain, and hold it against checkpoints."""
    findings, signed = list[Finding](), dict[str, Checkpoint]()
    for name, data in files.items():
        checked = _checked(name, data, keys, is_signed)
        if isinstance(checked, Checkpoint):
            signed[name] = checked
        elif checked.fault != "unreadable" or not _is_begun(data, files.values()):
            findings.append(checked)
    at = dict.fromkeys((one.entries for one in signed.values()), "") | {0: ROOT}
    chain, proved = follow(_noted(links, at), head), 0
    for name, one in sorted(signed.items(), key=lambda item: item[1].entries):
        if one.entries > chain.entries:
            if chain.first_bad is None:  # else that is told of the chain
                findings.append(Finding("truncated", name, one.entries, proved))
        elif at[one.entries] != one.digest:
            findings.append(Finding("rewritten", name, one.entries, proved))
        else:
            proved = one.entries
    findings += _missing(signed)
    return Proof(chain, len(signed), proved, tuple(findings))


def _checked(name: str, data: bytes, keys: Sequence[PublicKey], is_signed: IsSigned) -> Checkpoint | Finding:
    try:
        note = read_note(data)
    except ValueError:
        return Finding("unreadable", name)
    entries, origin = note.checkpoint.entries, note.checkpoint.origin
    by = [(key, found) for key in keys if key.name == origin and (found := note.by(key)) is not None]
    if not by:
        return Finding("foreign", name, entries)
    if not all(is_signed(key.raw, found.raw, note.text) for key, found in by):
        return Finding("forged", name, entries)
    return note.checkpoint


def _is_begun(data: bytes, files: Iterable[bytes]) -> bool:
    """Whether a file is what a kill left of one that was written again under another name."""
    return any(data != other and other.startswith(data) for other in files)


def _noted(links: Iterable[Link], at: dict[int, str]) -> Iterator[Link]:
    """Pass entries on, and note the digests at the places that are asked for."""
    for number, one in enumerate(links, 1):
        if number in at:
            at[number] = one.chain
        yield one


def _missing(signed: Mapping[str, Checkpoint]) -> Iterator[Finding]:
    there = {one.entries for one in signed.values()}
    oldest = min(there, default=0)
    for name, one in sorted(signed.items(), key=lambda item: item[1].entries):
        if one.previous and one.entries > oldest and one.previous not in there:
            yield Finding("missing", name, one.previous)
