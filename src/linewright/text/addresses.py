"""Addresses of the internet that are not what they look like."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_CLOUD = frozenset(
    map(
        ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
"""Where machines of clouds get their secrets, as from 169.254.169.254: those of Amazon, Google, Alibaba, Azure and Oracle."""


_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Networks behind which a router translates to IPv4; in the second, its owner chooses the place of the IPv4 address (RFC 6052)."""
_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12))
"""Bytes where it may stand, if not in the last four."""


def read_address(text: str) -> IPv4Address | IPv6Address:
    """Return an address, without its zone; of one of IPv6 that stands for one of IPv4, that.

    Examples
    --------
    >>> read_address("::ffff:127.0.0.1"), read_address("2002:7f00:1::"), read_address("fe80::1%eth0")
    (IPv4Address('127.0.0.1'), IPv4Address('127.0.0.1'), IPv6Address('fe80::1'))
    >>> read_address("64:ff9b::7f00:1")
    IPv4Address('127.0.0.1')
    """
    found = ip_address(text.partition("%")[0])
    if isinstance(found, IPv6Address):
        embedded = found.ipv4_mapped or found.sixtofour
        return embedded or (IPv4Address(found.packed[12:]) if any(found in one for one in _NAT64) else found)
    return found


def gives_secrets(address: str) -> bool:
    """Return whether machines of clouds may get their secrets at an address: it is link-local, or one that a cloud chose.

    Examples
    --------
    >>> gives_secrets("169.254.169.254"), gives_secrets("fd00:ec2::254"), gives_secrets("192.0.2.1")
    (True, True, False)
    """
    found = [read_address(address)]
    if (given := ip_address(address.partition("%")[0])) in _NAT64[1]:
        found += [IPv4Address(bytes(given.packed[byte] for byte in place)) for place in _PLACES]
    return any(one.is_link_local or one in _CLOUD for one in found)
