"""Checks of ``Host`` and of the page that a browser's request comes from: DNS rebinding and cross-site requests."""

from collections.abc import Collection, Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from linewright.errors import Denied

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::1%example.org", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return "%" not in host and ip_address(host).is_loopback  # what follows a % may be anything
    except ValueError:
        return host.lower() == "localhost"


def our_host(given: Sequence[str], hosts: Collection[str] = ()) -> SplitResult:
    """Return the host and port of a request's `Host` headers; a name that is not ours may be a rebound one."""
    parts = _netloc(given[0]) if len(given) == 1 else None
    name = (parts.hostname or "").rstrip(".") if parts else ""
    if parts is None or not (is_loopback(name) or name in hosts or f"*.{name.partition('.')[2]}" in hosts):
        found = ", ".join(given)[:200]
        hint = "use 127.0.0.1, or start the server with --server-name"
        raise Denied("this host name is not ours", where="Host", found=found, hint=hint)
    return parts


def require_own_page(host: SplitResult, *, scheme: str, origins: Sequence[str], sites: Sequence[str]) -> None:
    """Refuse a request that a page of another site sends."""
    if set(sites) <= {"same-origin", "none"} and all(_is_same(origin, host, scheme) for origin in origins):
        return
    raise Denied(
        "a request must not come from another site's page",
        where="Origin",
        found=", ".join(origins or sites)[:200],
        allowed="none, or our own",
    )


def _is_same(origin: str, host: SplitResult, scheme: str) -> bool:
    start, _, place = origin.partition("://")
    parts = _netloc(place)
    # A proxy on this machine may have ended TLS for us: then the page is https and we see http.
    if parts is None or start not in {scheme, "https"}:
        return False
    port = _DEFAULT_PORTS.get(start)
    return (parts.hostname, parts.port or port) == (host.hostname, host.port or port)


def _netloc(text: str) -> SplitResult | None:
    """Return a host with an optional port, or `None` where `text` is anything else."""
    try:
        parts = urlsplit(f"//{text}")
        is_plain = parts.netloc == text and "@" not in text and parts.port != 0
    except ValueError:
        return None
    return parts if is_plain and parts.hostname else None
