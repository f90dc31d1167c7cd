"""Where a factory may be reached: so far from this machine alone."""

from ipaddress import ip_address

from linewright.errors import Denied


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_loopback(host: str) -> None:
    """Refuse to listen where other machines could connect.

    Raises
    ------
    Denied
        If `host` is not a loopback address or ``localhost``.
    """
    if not is_loopback(host):
        raise Denied(
            "listening beyond this machine needs TLS and tokens, which do not exist yet",
            where="--host",
            found=host,
            allowed="127.0.0.1, ::1 or localhost",
            hint="put a reverse proxy with TLS on this machine in front of 127.0.0.1",
        )
