"""From a URI to where its messages go. Addresses at once; names by the system's resolver, cached.

NAPTR and SRV (RFC 3263) will stand here.
"""

import asyncio
import ipaddress
import socket
from functools import lru_cache

from msgspec import Struct

from sipcore.message.uri import Uri

CACHE_S = 60.0
MOST_NAMES = 10_000


class Place(Struct, frozen=True):
    """Transport, address and port. `domain`: what a certificate must prove there (RFC 5922)."""

    transport: str
    address: str
    port: int
    domain: str = ""


class Resolver:
    """Names to addresses; one per node."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cache: dict[str, tuple[float, str | None]] = {}

    def at_once(self, uri: Uri) -> Place | None:
        """Return the place of a URI with an address for a host, or with a name seen lately.

        None for WebSockets: their clients are reached down their own connection alone.
        """
        if uri.scheme not in ("sip", "sips") or not uri.host:
            return None
        transport = transport_of(uri)
        if transport in ("ws", "wss"):
            return None
        address = uri.params.get("maddr") or uri.address
        if not _is_address(address):
            cached_at, cached = self._cache.get(address.lower(), (0.0, None))
            if cached is None or self._loop.time() > cached_at + CACHE_S:
                return None
            address = cached
        if transport == "tls":
            return Place("tls", address, uri.port or 5061, uri.address.lower())
        return Place(transport, address, uri.port or 5060)

    async def resolve(self, uri: Uri) -> Place | None:
        """Return the place of a URI, None where its name leads nowhere."""
        place = self.at_once(uri)
        if place is not None or uri.scheme not in ("sip", "sips") or not uri.host:
            return place
        if transport_of(uri) in ("ws", "wss"):
            return None
        name = (uri.params.get("maddr") or uri.host).lower()
        cached_at, _ = self._cache.get(name, (-CACHE_S, None))
        if self._loop.time() > cached_at + CACHE_S:
            if len(self._cache) >= MOST_NAMES:
                self._cache.clear()
            self._cache[name] = (self._loop.time(), await self._look_up(name))
        return self.at_once(uri)

    async def _look_up(self, name: str) -> str | None:
        try:
            found = await self._loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except OSError:
            return None
        return str(found[0][4][0]) if found else None


def transport_of(uri: Uri) -> str:
    """Return the transport that a SIP URI asks for; with sips: TLS lies beneath it (26.2.2)."""
    named = uri.transport
    if uri.scheme == "sips":
        return "wss" if named == "ws" else "tls"
    return named or "udp"


@lru_cache(4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
