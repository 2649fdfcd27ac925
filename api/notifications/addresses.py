"""Where the service may send what it was asked to: to the internet, and to networks that its operator names.

Whoever may make a webhook could otherwise have the service send requests into the network that it stands in.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, for a connection to that port."""
NAT64 = IPv6Network("64:ff9b::/96")


class AddressNotAllowed(Exception):
    """Nothing may be sent to this host."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of the host, in the order in which they are to be tried.

    Raises:
        OSError: there are none, or nobody says which.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def require_allowed(host: str, addresses: Iterable[str], networks: Sequence[Network]) -> str:
    """The first of the host's addresses, where all may be sent to.

    All, for a host with an address of either kind is after something.

    Raises:
        AddressNotAllowed: one of them may not; the message names it.
    """
    addresses = list(addresses)
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        inner = _inside(address)
        if not all(_is_public(each) or any(each in network for network in networks) for each in (inner or [address])):
            raise AddressNotAllowed(
                f"{host} has the address {text}, which is not one of the internet; whoever runs the service can allow "
                "it with GANCLINIC_WEBHOOK_NETWORKS"
            )
    if not addresses:
        raise AddressNotAllowed(f"{host} has no address")
    return addresses[0]


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.is_site_local:  # fec0::/10, which `is_global` takes for public
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that what is sent to an IPv6 address may end at."""
    if isinstance(address, IPv4Address):
        return []
    if address in NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    return [each for each in embedded if each is not None]
