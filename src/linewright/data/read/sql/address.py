"""The address of a database: its URL, and the hosts that `hosts` of ``factory.yaml`` allows."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from linewright.data.spec import SqlSource
from linewright.errors import SpecError, Transient
from linewright.store.secret import read_secret
from linewright.text.database_url import FORMS, SCHEMES, DatabaseUrl, read_database_url

_FACTORY = "factory.yaml"
_HERE = "localhost"


def url_of(spec: SqlSource, root: Path, where: str) -> DatabaseUrl:
    """Return the URL that `at` of a source stands for.

    Raises
    ------
    SpecError
        If there is none, or it is of no kind that is read here. Nothing of it is shown but its scheme.
    """
    text = read_secret(spec.at, root, where=f"{where}.at")
    try:
        url = read_database_url(text)
    except ValueError as error:
        raise SpecError(
            f"what {spec.at} holds is not used: {error}",
            where=f"{where}.at",
            allowed=FORMS,
            hint="in user and password, write all but letters and digits with percent codes, such as %40 for @",
        ) from None  # the text is a secret
    if url.scheme not in SCHEMES:
        raise SpecError(
            "databases of this kind are not read",
            where=f"{where}.at",
            found=f"{url.scheme}://" if len(url.scheme) < 20 else None,
            allowed=FORMS,
            hint="a SQLite file is read with `sqlite: PATH` and `query`" if url.scheme == "sqlite" else "",
        )
    return url


def addresses_of(url: DatabaseUrl, root: Path, *, port: int, where: str) -> tuple[str, ...]:
    """Return the addresses to connect to, the best first, so that a name cannot come to mean another machine between check and use.

    Parameters
    ----------
    port
        The usual port of such servers.

    Raises
    ------
    SpecError
        If ``factory.yaml`` does not name the host; or it does, and the name stands for this machine or a link-local address, and not
        that is named too.
    Transient
        If the name is not known to any name server now.
    """
    allowed = _allowed(root)
    if url.host not in allowed:
        raise _refused(url.host, allowed, where)
    if url.host.startswith("/"):
        return (url.host,)
    try:
        found = socket.getaddrinfo(url.host, url.port or port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(
            f"the host of the database cannot be found: {getattr(error, 'strerror', None) or 'no such name'}",
            where=where,
            found=url.host,
            hint="look at its name, and whether this machine's name server knows it; then try again",
        ) from error
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        if _is_near(address) and url.host != _HERE and address not in allowed:
            raise _refused(address, allowed, where, name=url.host)
    return addresses


def _is_near(address: str) -> bool:
    """Return whether an address is of this machine or its link: services there often ask for no password."""
    one = ip_address(address.partition("%")[0])
    one = getattr(one, "ipv4_mapped", None) or one
    return one.is_loopback or one.is_link_local or one.is_unspecified or one.is_multicast or one.is_reserved


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
