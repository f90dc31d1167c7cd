"""The certificate of a server: its names, and its renewal while the server runs."""

import os
import ssl
import stat
from pathlib import Path
from typing import Any

from linewright.errors import Denied, LinewrightError, RequestError

_HINT = "a certificate in PEM with the certificates above it, and its private key in PEM without a passphrase"


class Certificate:
    """A certificate and its private key, as two files, which may be renewed."""

    def __init__(self, certificate: str, key: str) -> None:
        self._files = certificate, key
        self._seen = self._stamps()
        self.context = self._load()
        self.names = _names(self.context, certificate)
        """Names and addresses that it is for."""

    def follow(self) -> bool:
        """Use changed files for new connections, and return whether they changed.

        Files that cannot be used are left alone until they change again.
        """
        try:
            seen = self._stamps()
            if seen == self._seen:
                return False
            self._seen = seen
            self._load()  # whether they belong together is seen on another context than the one in use
            self.context.load_cert_chain(*self._files, password=_no_passphrase)
        except (OSError, LinewrightError):
            return False
        return True

    def _stamps(self) -> list[Any]:
        try:
            found = [os.stat(file) for file in self._files]  # noqa: PTH116 -- names as they were given
        except OSError as error:
            raise RequestError(
                f"cannot be read: {error.strerror}", where=str(error.filename), hint=_HINT
            ) from error
        return [(one.st_mtime_ns, one.st_ino, one.st_size) for one in found]

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        if stat.S_IMODE(Path(key).stat().st_mode) & 0o007:
            raise Denied(
                "everybody on this machine can read the private key",
                where=key,
                found=f"{stat.S_IMODE(Path(key).stat().st_mode):04o}",
                allowed="0600",
                hint=f"chmod 600 {key}",
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise RequestError(
                f"the certificate and its key cannot be used: {getattr(error, 'reason', None) or error}",
                where=f"{certificate}, {key}",
                hint=_HINT,
            ) from error
        return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _names(context: ssl.SSLContext, file: str) -> tuple[str, ...]:
    """Return the names that a certificate is for, as a client sees it: from a handshake in memory that trusts it alone."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    first = _first_pem(Path(file).read_text(encoding="ascii", errors="replace"))
    client.load_verify_locations(cadata=first)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    )
    done: set[int] = set()
    try:
        for turn in range(20):
            end = turn % 2
            try:
                ends[end].do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
            if len(done) == len(ends):
                break
    except ssl.SSLError as error:
        raise RequestError(
            f"the certificate cannot be used: {getattr(error, 'verify_message', None) or error.reason}",
            where=file,
            hint="renew it",
        ) from error
    found: Any = ends[0].getpeercert() or {}
    return tuple(str(name) for kind, name in found.get("subjectAltName", ()) if kind in {"DNS", "IP Address"})


def _first_pem(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    return text[text.find("-----BEGIN CERTIFICATE-----") : text.find(end) + len(end)] + "\n"
