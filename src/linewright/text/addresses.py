"""Addresses of the internet that are not what they look like."""

from ipaddress import IPv4Address, IPv6Address, ip_address

_CLOUD = frozenset(
    map(
        ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
"""Where machines of clouds get their secrets, as from 169.254.169.254: those of Amazon, Google, Alibaba, Azure and Oracle."""


def read_address(text: str) -> IPv4Address | IPv6Address:
    """Return an address, without its zone; of one of IPv6 that stands for one of IPv4, that.

    Examples
    --------
    >>> read_address("::ffff:127.0.0.1"), read_address("2002:7f00:1::"), read_address("fe80::1%eth0")
    (IPv4Address('127.0.0.1'), IPv4Address('127.0.0.1'), IPv6Address('fe80::1'))
    """
    found = ip_address(text.partition("%")[0])
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or found.sixtofour or found
    return found


def gives_secrets(address: str) -> bool:
    """Return whether machines of clouds may get their secrets at an address: it is link-local, or one that a cloud chose.

    Examples
    --------
    >>> gives_secrets("169.254.169.254"), gives_secrets("fd00:ec2::254"), gives_secrets("192.0.2.1")
    (True, True, False)
    """
    found = read_address(address)
    return found.is_link_local or found in _CLOUD
