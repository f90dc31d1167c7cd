"""Ed25519 signatures for checkpoints of the record [1]_; extra ``audit``.

References
----------
.. [1] S. Josefsson and I. Liusvaara, Edwards-Curve Digital Signature Algorithm (EdDSA), RFC 8032 (2017).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


def new_key() -> bytes:
    """Return a new private key: PKCS #8 in PEM, not encrypted."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Key:
    """A private key."""

    def __init__(self, pem: bytes) -> None:
        try:
            found = load_pem_private_key(pem, password=None)
        except TypeError as error:  # it is encrypted
            raise ValueError("it wants a password") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")  # noqa: TRY004 -- of the bytes, not of their type
        self._key = found

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes."""
        return self._key.sign(message)


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the holder of a public key signed a message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
