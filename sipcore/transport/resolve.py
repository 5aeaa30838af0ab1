"""From a URI to the places where its messages go: addresses at once; names by the cache of the DNS,
drawn anew for each request; places that failed last.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from msgspec.structs import replace

from sipcore.message.uri import Uri
from sipcore.transport.avoid import Avoided
from sipcore.transport.names import LookUp, Names, nobody
from sipcore.transport.order import (
    Fraction,
    Means,
    Place,
    Question,
    Records,
    Target,
    locate,
    place_at,
    target_of,
)

RESOLVE_S = 5.0  # all look-ups for one URI together
KEPT_S = 2.0  # what at_once drew for a name
MOST_KEPT = 10_000
PLAIN = ("udp", "tcp")


class Resolver:
    """One per node. `fraction` draws numbers in [0, 1) for weights."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look_up: LookUp = nobody,
        fraction: Fraction = lambda: 0.0,
    ) -> None:
        self._loop = loop
        self._fraction = fraction
        self._means = Means()
        self._kept: dict[Target, tuple[float, Place]] = {}
        self.names = Names(loop, look_up)
        self.avoided = Avoided()

    def listens(self, transport: str, address: str) -> None:
        """Take note of what the node can send by; the first family is the preferred one."""
        means, family = self._means, "AAAA" if ":" in address else "A"
        self._means = Means(
            (*means.transports, transport)
            if transport not in means.transports
            else means.transports,
            (*means.families, family) if family not in means.families else means.families,
        )
        self._kept.clear()

    def close(self) -> None:
        """Stop asking."""
        self.names.close()

    def at_once(self, uri: Uri) -> Place | None:
        """Return the first place of a URI that needs no look-up."""
        transport = uri.transport or "udp"
        if transport in PLAIN and uri.scheme == "sip" and "maddr" not in uri.params:
            address = plain_address(uri.address)
            if address:  # nearly always
                return Place(transport, address, uri.port or 5060)
        target = target_of(uri)
        if target is None:
            return None
        if address := plain_address(target.host):
            return place_at(replace(target, host=address))
        now = self._loop.time()
        kept = self._kept.get(target)
        if kept is not None and now < kept[0]:
            return kept[1]
        places = self._without_asking(target)
        if not places:
            return None
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[target] = (now + KEPT_S, places[0])
        return places[0]

    async def places(self, uri: Uri) -> list[Place]:
        """Return the places of a URI in the order to try them; none where it leads nowhere."""
        target = target_of(uri)
        if target is None:
            return []
        if address := plain_address(target.host):
            return [place_at(replace(target, host=address))]
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await self._locate(target)
        except TimeoutError:
            return []
        return self.avoided.sort(found, self._loop.time())

    def failed(self, place: Place, least_s: float = 0.0) -> None:
        """Avoid a place that did not answer, or asked for a pause."""
        self.avoided.failed(place, self._loop.time(), least_s)
        self._kept.clear()

    async def _locate(self, target: Target) -> list[Place]:
        asking = locate(target, self._means, self._fraction)
        try:
            questions = next(asking)
            while True:
                questions = asking.send(await self._ask(questions))
        except StopIteration as done:
            places: list[Place] = done.value
            return places

    async def _ask(self, questions: Sequence[Question]) -> list[Records]:
        known = self._known(questions)
        if known is not None:
            return known
        return list(await asyncio.gather(*map(self.names.find, questions)))

    def _known(self, questions: Sequence[Question]) -> list[Records] | None:
        answers = [self.names.known(one) for one in questions]
        known = [one for one in answers if one is not None]
        return known if len(known) == len(answers) else None

    def _without_asking(self, target: Target) -> list[Place]:
        asking = locate(target, self._means, self._fraction)
        try:
            questions = next(asking)
            while (known := self._known(questions)) is not None:
                questions = asking.send(known)
        except StopIteration as done:
            return self.avoided.sort(done.value, self._loop.time())
        return []


@lru_cache(4096)
def plain_address(text: str) -> str:
    """Return an address (without brackets) as the kernel writes it: IPv6 has many spellings, and
    whose address it is must not depend on that. "" for a name."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def is_address(text: str) -> bool:
    """Tell an address (without brackets) from a name."""
    return plain_address(text) != ""
