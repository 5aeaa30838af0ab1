"""Where a URI leads: addresses at once, names by look-up and from the cache; and the rate guard."""

import asyncio
import socket

from sipcore.message.uri import Uri
from sipcore.transport.guard import TokenBucket
from sipcore.transport.resolve import CACHE_S, MOST_NAMES, Place, Resolver
from tests.sim.loop import SimLoop, simulate


class Names:
    """The system's names, in the shape that a loop answers."""

    def __init__(self, resolver_loop: asyncio.AbstractEventLoop, known: dict[str, str]) -> None:
        self._loop = resolver_loop
        self._known = known
        self.asked: list[str] = []

    def time(self) -> float:
        return self._loop.time()

    async def getaddrinfo(self, name: str, port: object, *, type: int) -> list[object]:
        self.asked.append(name)
        if name not in self._known:
            raise socket.gaierror(name)
        return [(0, 0, 0, "", (self._known[name], 0))] if self._known[name] else []


def _resolver(known: dict[str, str]) -> tuple[Resolver, Names]:
    names = Names(asyncio.get_running_loop(), known)
    return Resolver(names), names  # type: ignore[arg-type]


def test_an_address_leads_to_itself_at_once() -> None:
    async def main() -> None:
        resolver, names = _resolver({})
        for text, place in (
            ("sip:192.0.2.1", Place("udp", "192.0.2.1", 5060)),
            ("sip:a@192.0.2.1:5070;transport=TCP", Place("tcp", "192.0.2.1", 5070)),
            ("sip:[2001:db8::1]", Place("udp", "2001:db8::1", 5060)),
            ("sip:name.example;maddr=192.0.2.9", Place("udp", "192.0.2.9", 5060)),
            ("sips:192.0.2.1", Place("tls", "192.0.2.1", 5061, "192.0.2.1")),
            (
                "sip:A.example;maddr=192.0.2.9;transport=tls",
                Place("tls", "192.0.2.9", 5061, "a.example"),
            ),
        ):
            assert resolver.at_once(Uri.parse(text)) == place
            assert await resolver.resolve(Uri.parse(text)) == place
        for text in (
            "tel:+86",
            "urn:service:sos",
            "sip:192.0.2.1;transport=ws",
            "sips:a@b.invalid;transport=ws",
        ):
            assert resolver.at_once(Uri.parse(text)) is None
            assert await resolver.resolve(Uri.parse(text)) is None
        assert names.asked == []

    simulate(main())


def test_a_name_is_looked_up_once_a_minute() -> None:
    async def main() -> None:
        resolver, names = _resolver({"a.example": "192.0.2.1"})
        uri = Uri.parse("sip:A.example:5080")
        assert resolver.at_once(uri) is None
        for _ in range(2):
            assert await resolver.resolve(uri) == Place("udp", "192.0.2.1", 5080)
        assert resolver.at_once(uri) == Place("udp", "192.0.2.1", 5080)
        await asyncio.sleep(CACHE_S + 1)
        assert resolver.at_once(uri) is None
        await resolver.resolve(uri)
        assert names.asked == ["a.example", "a.example"]

    simulate(main())


def test_a_name_that_leads_nowhere_is_remembered_too() -> None:
    async def main() -> None:
        resolver, names = _resolver({"empty.example": ""})
        for name in ("no.example", "empty.example"):
            for _ in range(2):
                assert await resolver.resolve(Uri.parse(f"sip:{name}")) is None
        assert names.asked == ["no.example", "empty.example"]

    simulate(main())


def test_the_cache_has_an_end() -> None:
    async def main() -> None:
        resolver, names = _resolver({})
        for number in range(MOST_NAMES + 1):
            await resolver.resolve(Uri.parse(f"sip:h{number}"))
        await resolver.resolve(Uri.parse("sip:h0"))
        assert names.asked.count("h0") == 2

    simulate(main())


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3)
    assert [bucket.take(10) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.5), bucket.take(10.5)] == [True, False]
    assert not bucket.take(10.4), "time that goes back fills nothing"
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False]


def test_the_loop_of_simulations_jumps() -> None:
    loop = SimLoop()
    before = loop.time()
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() - before >= 3600
    loop.close()
