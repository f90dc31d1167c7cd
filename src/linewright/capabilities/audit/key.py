"""The key that signs checkpoints: a separate file, outside of the state that it vouches for."""

import os
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from linewright.capabilities.audit.signed_note import Checkpoint, PublicKey, key_of, note_of
from linewright.errors import Conflict, Denied, NotFound, RequestError
from linewright.store.files.disk import explain
from linewright.store.files.rights import read_owned

_PLUGIN = "linewright.plugins.ed25519"
_EXTRA = "audit"
_MOST_BYTES = 4096


def ed25519() -> Any:
    """Return the module that signs and verifies."""
    try:
        return import_module(_PLUGIN)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "cryptography":
            raise
        raise RequestError(
            "signed checkpoints need an extra that is not installed",
            where="audit",
            found="cryptography is missing",
            hint=f"pip install 'linewright[{_EXTRA}]'",
        ) from error


class Signer(NamedTuple):
    """A private key at work."""

    public: PublicKey
    key: Any
    """The private key, a `plugins.ed25519.Key`."""

    def note(self, checkpoint: Checkpoint) -> bytes:
        """Return a checkpoint with its signature."""
        return note_of(checkpoint, self.public, self.key.sign(checkpoint.text))


def open_key(path: Path, *, state: Path) -> Signer:
    """Read a private key."""
    _require_outside(path, state)
    try:
        pem = read_owned(
            path.resolve(),
            _MOST_BYTES,
            what="others may read or change the key that signs checkpoints",
            hint=f"chmod 600 {shlex.quote(str(path))}; if somebody may have read it, make another",
        )
    except FileNotFoundError as error:
        hint = f"linewright audit key {shlex.quote(str(path))} makes one"
        raise NotFound("the key that signs checkpoints does not exist", where=str(path), hint=hint) from error
    except OSError as error:
        raise explain(error, path, "the key") from error
    try:
        key = ed25519().Key(pem)
    except ValueError as error:
        # What it holds instead is not told: it may be a secret all the same.
        raise RequestError(
            "not a private key of Ed25519", where=str(path), allowed="PKCS #8 in PEM, not encrypted"
        ) from error
    return Signer(key_of(key.public), key)


def make_key(path: Path, *, state: Path) -> PublicKey:
    """Make a private key in a new file, 0600, and return the public one."""
    _require_outside(path, state)
    pem = ed25519().new_key()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise Conflict("there is a file of that name", where=str(path), hint="name another one") from error
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    return key_of(ed25519().Key(pem).public)


def _require_outside(path: Path, state: Path) -> None:
    if path.resolve().is_relative_to(state.resolve()):
        raise Denied(
            "the key that signs checkpoints is inside the state that it vouches for",
            where=str(path),
            allowed=f"outside of {state}",
            hint="keep it where those who can change the record have no access, e.g. /etc/linewright/audit.pem",
        )
