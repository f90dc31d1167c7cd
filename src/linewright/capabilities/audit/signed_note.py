"""The form of a signed checkpoint: a signed note [1]_ whose text is a checkpoint [2]_, so that tools of transparency logs read it.

    linewright/6f1ed002ab559585
    57
    q0XyTd0VIM1gYHmkVz1t3Y4bq1mQnT9qk3eMMZ2nFvM=
    previous 41

    — linewright/6f1ed002ab559585 …

The lines are the origin, the number of entries, and the digest of the last entry. The digest is that of a chain, and not the root of a
tree: it is proved by following the chain. The line behind it is an extension: the entries at the signed checkpoint before, so that one
that is missing is known.

References
----------
.. [1] C2SP, Signed note, https://c2sp.org/signed-note.
.. [2] C2SP, Transparency log checkpoints, https://c2sp.org/tlog-checkpoint.
"""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

_ED25519 = b"\x01"
"""The kind of a signature."""
_KEY_BYTES, _SIGNATURE_BYTES, _ID_BYTES, _DIGEST_BYTES = 32, 64, 4, 32
MOST_BYTES = 4096
"""Of a checkpoint with its signatures, and of a public key: more than any of ours has."""
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_TEXT = re.compile(rf"([^\s+]+)\n{_NUMBER}\n([A-Za-z0-9+/=]{{44}})\n(?:previous {_NUMBER}\n)?")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)\n")


class PublicKey(NamedTuple):
    """Who signs."""

    name: str
    raw: bytes
    """32 bytes."""

    @property
    def id(self) -> bytes:
        """What names the key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as people keep it, which other tools of signed notes read too.

        Examples
        --------
        >>> PublicKey("example.com/a", bytes(32)).text
        'example.com/a+34b6f23c+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
        """
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"


class Checkpoint(NamedTuple):
    """How many entries a record had, and the digest of the last."""

    origin: str
    """Which record it is about."""
    entries: int
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    previous: int | None = None
    """Entries at the signed checkpoint before; 0 for none, `None` if unknown."""

    @property
    def text(self) -> bytes:
        """What is signed."""
        digest = base64.b64encode(bytes.fromhex(self.digest.removeprefix("sha256:"))).decode()
        before = "" if self.previous is None else f"previous {self.previous}\n"
        return f"{self.origin}\n{self.entries}\n{digest}\n{before}".encode()


class Signature(NamedTuple):
    """One signature line."""

    name: str
    id: bytes
    raw: bytes
    """64 bytes."""


class Note(NamedTuple):
    """A checkpoint with its signatures, which nobody has verified yet."""

    checkpoint: Checkpoint
    text: bytes
    signatures: tuple[Signature, ...]

    def by(self, key: PublicKey) -> Signature | None:
        """Return the signature that says it is of this key."""
        return next((one for one in self.signatures if (one.name, one.id) == (key.name, key.id)), None)


def key_of(public: bytes) -> PublicKey:
    """Return a public key under the name that follows from it, so that no two records have one name.

    Examples
    --------
    >>> key_of(bytes(32)).name
    'linewright/66687aadf862bd77'
    """
    return PublicKey(f"linewright/{hashlib.sha256(public).hexdigest()[:16]}", public)


def read_key(text: str) -> PublicKey:
    """Read a public key."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise ValueError("it is not NAME+ID+KEY")
    name, number, key = parts
    held = _decoded(key)
    found = PublicKey(name, held[1:])
    if held[:1] != _ED25519 or len(found.raw) != _KEY_BYTES:
        raise ValueError("not a key of Ed25519")
    if found.id.hex() != number:
        raise ValueError("its id is not that of the key")
    return found


def note_of(checkpoint: Checkpoint, key: PublicKey, signature: bytes) -> bytes:
    """Return a checkpoint with its signature."""
    line = f"— {key.name} {base64.b64encode(key.id + signature).decode()}\n"
    return checkpoint.text + b"\n" + line.encode()


def read_note(data: bytes) -> Note:
    """Read a checkpoint with its signatures; those of other kinds of keys are passed over."""
    try:
        text, _, rest = data.decode().rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    text += "\n"  # of the blank line, what ends the text
    lines = rest.splitlines(keepends=True)
    found = [_SIGNATURE.fullmatch(line) for line in lines]
    said = _TEXT.fullmatch(text)
    if said is None or not lines or None in found:
        raise ValueError("not a checkpoint with a signature")
    digest = _decoded(said[3])
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("its digest is not of 32 bytes")
    checkpoint = Checkpoint(
        said[1], int(said[2]), f"sha256:{digest.hex()}", None if said[4] is None else int(said[4])
    )
    signatures = [(one[1], _decoded(one[2])) for one in found if one is not None]
    return Note(
        checkpoint,
        text.encode(),
        tuple(
            Signature(name, held[:_ID_BYTES], held[_ID_BYTES:])
            for name, held in signatures
            if len(held) == _ID_BYTES + _SIGNATURE_BYTES
        ),
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
