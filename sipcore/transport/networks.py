"""Which address of ours a peer sees: the kernel's routes decide; and to whom an advertised name is
told instead.
"""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache

from sipcore.transport.base import Transport

WILDCARDS = ("0.0.0.0", "::")
PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10", "::1/128"),
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PRIVATE: tuple[Network, ...] = tuple(map(ipaddress.ip_network, PRIVATE))


class Insiders:
    """Who is told our real address where another one is advertised.

    `networks` names them. Without any, peers with private addresses are told the real one if what
    is advertised is public, a name included: they are on our side of the NAT.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(map(ipaddress.ip_network, networks))

    def has(self, remote: str, advertised: str) -> bool:
        """Tell whether a peer at `remote` is on our side of what is advertised."""
        try:
            address = ipaddress.ip_address(remote)
        except ValueError:
            return False
        if self._networks:
            return any(address in network for network in self._networks)
        return _is_private(remote) and not _is_private(host_of(advertised))


def host_of(advertised: str) -> str:
    """Return the host of NAME, NAME:PORT, ADDRESS or [ADDRESS]:PORT."""
    if advertised.startswith("["):
        return advertised[1:].partition("]")[0]
    host, _, _ = advertised.partition(":")
    return host if advertised.count(":") < 2 else advertised


def source_address(remote: str) -> str | None:
    """Return the address that the kernel would send from: a connected socket knows."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def nearest(transports: Sequence[Transport], source: str) -> Transport:
    """Choose the listening address for what the kernel would send from `source`: that address
    itself, else all addresses, else the one that shares most leading bits with it."""
    for one in transports:
        if one.address == source:
            return one
    for one in transports:
        if one.address in WILDCARDS:
            return one
    return max(transports, key=lambda one: _shared_bits(one.address, source))


@lru_cache(4096)
def _shared_bits(one: str, other: str) -> int:
    mine, theirs = ipaddress.ip_address(one), ipaddress.ip_address(other)
    return mine.max_prefixlen - (int(mine) ^ int(theirs)).bit_length()


@lru_cache(4096)
def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)
