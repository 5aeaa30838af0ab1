"""Who is known by address: the accept_from entries of carriers and customers' trunks.

ADDRESS/BITS or ADDRESS:PORT, IPv4 and IPv6 ([ADDRESS]:PORT). The most specific entry wins, and an
entry with a port is the most specific of all.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Generic, TypeVar

from msgspec import Struct

Who = TypeVar("Who")
MOST_FOUND = 8192  # answers that are kept; the same few hosts send everything


class PeerAddress(Struct, frozen=True, order=True):
    """One entry. `bits` is the prefix length; `port` is None where any will do."""

    version: int
    network: int
    bits: int
    port: int | None = None


def parse_peer_address(text: str) -> PeerAddress:
    """Read ADDRESS/BITS or ADDRESS:PORT. Raises ValueError saying what is wrong."""
    if "/" in text:
        network = ip_network(text)
        return PeerAddress(network.version, int(network.network_address), network.prefixlen)
    host, _, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not is_bracketed):
        raise ValueError("neither ADDRESS/BITS nor ADDRESS:PORT")
    address = ip_address(host[1:-1] if is_bracketed else host)
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"port {port!r} is not 1 to 65535")
    return PeerAddress(address.version, int(address), address.max_prefixlen, int(port))


@lru_cache(maxsize=8192)  # ip_address costs 2 us
def _read(address: str) -> tuple[int, int, int]:
    """Return version, value and width of an address; an IPv4 one inside IPv6 counts as IPv4."""
    read: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(read, IPv6Address) and read.ipv4_mapped is not None:
        read = read.ipv4_mapped
    return read.version, int(read), read.max_prefixlen


class Peers(Generic[Who]):
    """Entries by how specific they are. Immutable."""

    def __init__(self, entries: Iterable[tuple[PeerAddress, Who]]) -> None:
        self._found: dict[tuple[str, int], Who | None] = {}
        self._by_port: dict[tuple[int, int, int], Who] = {}
        self._with_port: set[tuple[int, int]] = set()
        networks: dict[tuple[int, int], dict[int, Who]] = {}
        for entry, who in entries:
            if entry.port is not None:
                self._by_port[entry.version, entry.network, entry.port] = who
                self._with_port.add((entry.version, entry.network))
            else:
                networks.setdefault((entry.version, entry.bits), {})[entry.network] = who
        self._networks = sorted(
            ((version, bits, of) for (version, bits), of in networks.items()),
            key=lambda one: -one[1],
        )

    def has(self, address: str) -> bool:
        """Tell whether anybody sends from an address, from whatever port, or from a network
        (ADDRESS/BITS). Raises ValueError."""
        if "/" in address:
            return self._has_within(ip_network(address))
        return _read(address)[:2] in self._with_port or self.find(address, 0) is not None

    def networks(self) -> list[str]:
        """Return every entry as ADDRESS/BITS, without ports."""
        found = [
            f"{_written(version, value)}/{bits}"
            for version, bits, of in self._networks
            for value in of
        ]
        return found + [_written(version, value) for version, value in self._with_port]

    def _has_within(self, network: IPv4Network | IPv6Network) -> bool:
        """Tell whether an entry and a network have an address in common."""
        first, last = int(network.network_address), int(network.broadcast_address)
        if any(
            version == network.version and first <= at <= last for version, at in self._with_port
        ):
            return True
        for version, bits, networks in self._networks:
            size = 1 << network.max_prefixlen - bits
            if version == network.version and any(
                at <= last and at + size > first for at in networks
            ):
                return True
        return False

    def find(self, address: str, port: int) -> Who | None:
        """Return who sends from there, or None. Raises ValueError for what is no IP address."""
        try:
            return self._found[address, port]
        except KeyError:
            pass
        if len(self._found) >= MOST_FOUND:
            self._found.clear()
        who = self._found[address, port] = self._find(address, port)
        return who

    def _find(self, address: str, port: int) -> Who | None:
        version, value, width = _read(address)
        if (who := self._by_port.get((version, value, port))) is not None:
            return who
        for family, bits, networks in self._networks:
            if family == version:
                shift = width - bits
                if (found := networks.get(value >> shift << shift)) is not None:
                    return found
        return None


def _written(version: int, value: int) -> str:
    return str(IPv4Address(value) if version == 4 else IPv6Address(value))
