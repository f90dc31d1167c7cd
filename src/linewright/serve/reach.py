"""How a server can be reached: from this machine in the clear, from others by TLS or through a declared proxy."""

import os
import ssl
import stat
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec

from linewright.errors import Denied, LinewrightError, RequestError
from linewright.serve.origin import is_loopback

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


class Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """How clients reach a server.

    Examples
    --------
    >>> Reach(proxies=("10.0.0.0/8",)).admits("10.1.2.3"), Reach(proxies=("10.0.0.1",)).admits("10.1.2.3")
    (True, False)
    >>> Reach().needs_token("127.0.0.1"), Reach(proxies=("127.0.0.1",)).needs_token("127.0.0.1")
    (False, True)
    """

    tls_cert: str = ""
    """File with the certificate and those above it, PEM; empty without TLS."""
    tls_key: str = ""
    """File with its private key, PEM."""
    names: tuple[str, ...] = ()
    """Names in ``Host`` that are ours, beside the loopback ones and those of the certificate."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies: what they say of whom they forward is believed."""
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may ask by a token."""

    @classmethod
    def of(cls, text: str) -> "Reach":
        """Read what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """Return it as JSON, for the command line of a process."""
        return msgspec.json.encode(self).decode()

    @property
    def scheme(self) -> str:
        """``https`` where clients speak TLS to this server itself, else ``http``."""
        return "https" if self.tls_cert else "http"

    @cached_property
    def certificate(self) -> Certificate | None:
        """The certificate; `None` without TLS."""
        return Certificate(self.tls_cert, self.tls_key) if self.tls_cert else None

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Names in ``Host`` that are ours beside the loopback ones, in lower case; ``*.`` stands for one label."""
        named = () if self.certificate is None else self.certificate.names
        return frozenset(name.lower().rstrip(".") for name in (*self.names, *named))

    @cached_property
    def _networks(self) -> tuple[Any, ...]:
        return tuple(ip_network(proxy) for proxy in self.proxies)

    def require_safe(self, host: str) -> None:
        """Refuse an address on which others could read secrets on the way."""
        for proxy in self.proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                raise RequestError(
                    "no address of a proxy",
                    where="--behind-proxy",
                    found=proxy,
                    allowed="addresses and networks, such as 127.0.0.1 or 10.0.0.0/8; a network's other bits are zero",
                ) from error
        if bool(self.tls_cert) != bool(self.tls_key):
            raise RequestError(
                "a certificate and its key belong together",
                where="--tls-key" if self.tls_cert else "--tls-cert",
                allowed="both --tls-cert and --tls-key",
            )
        _ = self.hosts
        if not (is_loopback(host) or self.tls_cert or self.proxies):
            raise Denied(
                "other machines could read what is sent, and every token in it",
                where="--host",
                found=host,
                allowed="127.0.0.1, ::1 or localhost without TLS and without a declared proxy",
                hint="add --tls-cert FILE --tls-key FILE, or --behind-proxy ADDRESS of the proxy that ends TLS",
            )

    def needs_token(self, host: str) -> bool:
        """Whether each request must carry a token or a session: others than this machine's users can send some."""
        return not is_loopback(host) or bool(self.proxies)

    def admits(self, peer: str) -> bool:
        """Whether an address may connect: behind a proxy that ends TLS, the proxy alone, and this machine."""
        if not self.proxies or self.tls_cert:
            return True
        address = _address(peer)
        return (address is not None and address.is_loopback) or self.forwards(peer)

    def forwards(self, peer: str) -> bool:
        """Whether an address is a declared proxy's, which asks for many clients."""
        address = _address(peer) if self.proxies else None
        return address is not None and any(address in network for network in self._networks)

    def url(self, host: str, port: int) -> str:
        """Return the address of a server as people write it.

        Examples
        --------
        >>> Reach(names=("factory.example.org",)).url("0.0.0.0", 8000), Reach().url("::1", 8000)
        ('http://factory.example.org:8000', 'http://[::1]:8000')
        """
        certified = () if self.certificate is None else self.certificate.names
        is_any = host in {"0.0.0.0", "::"}  # noqa: S104 -- compared
        # A certificate that does not name the address is not trusted there. Only names of this machine lead to its loopback.
        named = [one for one in (*self.names, *certified) if is_loopback(one) or not is_loopback(host)]
        has_name = not is_any and (not self.tls_cert or host in certified)
        shown = host if has_name else next((name for name in named if "*" not in name), host)
        return f"{self.scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"

    def page_url(self, host: str, port: int) -> str:
        """Return the address of a server's pages as a browser elsewhere opens them: behind a proxy, that of the proxy.

        Examples
        --------
        >>> Reach(names=("factory.example.org",), proxies=("127.0.0.1",)).page_url("127.0.0.1", 8080)
        'https://factory.example.org'
        """
        return f"https://{self.names[0]}" if self.proxies and self.names else self.url(host, port)

    def server_options(self) -> dict[str, Any]:
        """Return what uvicorn's Config takes for it."""
        options: dict[str, Any] = {"proxy_headers": bool(self.proxies)}
        if self.proxies:
            options["forwarded_allow_ips"] = list(self.proxies)
        if (certificate := self.certificate) is not None:

            def context(_config: Any, _default: Any) -> ssl.SSLContext:
                return certificate.context

            options["ssl_context_factory"] = context
        return options

    def follow(self) -> None:
        """Take a certificate that was renewed; to be called now and then."""
        if self.certificate is not None:
            self.certificate.follow()


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
