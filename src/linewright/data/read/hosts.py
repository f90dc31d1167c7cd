"""The hosts that may be read from: `hosts` of ``factory.yaml`` allows them."""

import socket
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from linewright.errors import SpecError, Transient
from linewright.text.addresses import gives_secrets, read_address

_FACTORY = "factory.yaml"
_HERE = "localhost"


def addresses_of(host: str, root: Path, *, port: int, where: str) -> tuple[str, ...]:
    """Return the addresses to connect to, the best first, so that a name cannot come to mean another machine between check and use."""
    allowed = _allowed(root)
    if host not in allowed:
        raise _refused(host, allowed, where)
    if host.startswith("/"):
        return (host,)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(
            f"the host of the source cannot be found: {getattr(error, 'strerror', None) or 'no such name'}",
            where=where,
            found=host,
            hint="look at its name, and whether this machine's name server knows it; then try again",
        ) from error
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        if is_near(address) and host != _HERE and address not in allowed:
            raise _refused(address, allowed, where, name=host)
    return addresses


def is_near(address: str) -> bool:
    """Return whether an address is of this machine or its link: services there often ask for no password."""
    one = read_address(address)
    is_odd = one.is_loopback or one.is_unspecified or one.is_multicast or one.is_reserved
    return is_odd or gives_secrets(address)


def _allowed(root: Path) -> tuple[str, ...]:
    try:
        said = YAML(typ="safe", pure=True).load((root / _FACTORY).read_text(encoding="utf-8"))
        hosts = said.get("hosts") or ()
        return tuple(str(host).lower() if not str(host).startswith("/") else str(host) for host in hosts)
    except (OSError, ValueError, YAMLError, AttributeError, TypeError):
        return ()  # `read_factory_file` says what is wrong with it


def _refused(host: str, allowed: Sequence[str], where: str, *, name: str = "") -> SpecError:
    says = (
        f"{name!r} stands for an address of this machine or its link"
        if name
        else "this host may not be read from"
    )
    return SpecError(
        says,
        where=where,
        found=host,
        allowed=", ".join(allowed) or "no host: factory.yaml names none",
        hint=f"if that is meant, add it to {_FACTORY}: hosts: [{', '.join((*allowed, host))}]",
    )
