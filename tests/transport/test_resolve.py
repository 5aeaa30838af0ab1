"""From a URI to its places: at once, by the cache, around what failed; and the rate guard."""

import asyncio
from collections.abc import Mapping

from sipcore.message.uri import Uri
from sipcore.transport.avoid import FIRST_S, LONGEST_S, MOST, Avoided
from sipcore.transport.buckets import TokenBucket
from sipcore.transport.names import Answer
from sipcore.transport.order import Place, Question, Records, Srv
from sipcore.transport.resolve import KEPT_S, RESOLVE_S, Resolver
from tests.sim.loop import SimLoop, simulate

ONE, TWO = Place("udp", "192.0.2.1", 5061), Place("udp", "192.0.2.2", 5062)
ZONE: Mapping[tuple[str, str], Records] = {
    ("SRV", "_sip._udp.pair.example"): (
        Srv(1, 0, 5061, "one.example"),
        Srv(2, 0, 5062, "two.example"),
    ),
    ("A", "one.example"): ("192.0.2.1",),
    ("A", "two.example"): ("192.0.2.2",),
}


class Zone:
    """Answers from ZONE, after a while."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        await asyncio.sleep(self.delay_s)
        return Answer(ZONE.get((question.kind, question.name), ()), 60.0)


def _resolver(zone: Zone) -> Resolver:
    resolver = Resolver(asyncio.get_running_loop(), zone)
    resolver.listens("udp", "10.0.0.1")
    return resolver


def test_an_address_leads_to_itself_at_once() -> None:
    async def main() -> None:
        zone = Zone()
        resolver = _resolver(zone)
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
            assert await resolver.places(Uri.parse(text)) == [place]
        for text in (
            "tel:+86",
            "urn:service:sos",
            "sip:192.0.2.1;transport=ws",
            "sips:a@b.invalid;transport=ws",
        ):
            assert resolver.at_once(Uri.parse(text)) is None
            assert await resolver.places(Uri.parse(text)) == []
        assert zone.asked == []

    simulate(main())


def test_a_name_is_known_at_once_when_all_its_answers_are() -> None:
    async def main() -> None:
        zone = Zone()
        resolver = _resolver(zone)
        uri = Uri.parse("sip:Pair.example")
        assert resolver.at_once(uri) is None
        assert await resolver.places(uri) == [ONE, TWO]
        asked = len(zone.asked)
        assert resolver.at_once(uri) == resolver.at_once(uri) == ONE
        assert await resolver.places(uri) == [ONE, TWO]
        assert len(zone.asked) == asked
        await asyncio.sleep(61)
        assert resolver.at_once(uri) is None
        assert resolver.at_once(Uri.parse("sip:nowhere.example")) is None
        assert await resolver.places(Uri.parse("sip:nowhere.example")) == []
        assert resolver.at_once(Uri.parse("sip:nowhere.example")) is None

    simulate(main())


def test_a_place_that_failed_is_tried_last_for_a_while() -> None:
    async def main() -> None:
        resolver = _resolver(Zone())
        uri = Uri.parse("sip:pair.example")
        assert await resolver.places(uri) == [ONE, TWO]
        assert resolver.at_once(uri) == ONE
        resolver.failed(ONE)
        assert resolver.at_once(uri) == TWO
        assert await resolver.places(uri) == [TWO, ONE]
        resolver.failed(TWO)
        assert await resolver.places(uri) == [ONE, TWO], "nothing else is left"
        await asyncio.sleep(FIRST_S + KEPT_S)
        assert await resolver.places(uri) == [ONE, TWO]
        assert resolver.at_once(uri) == ONE

    simulate(main())


def test_a_uri_is_given_up_when_its_names_take_too_long() -> None:
    async def main() -> None:
        resolver = _resolver(Zone(delay_s=3.0))
        begun = asyncio.get_running_loop().time()
        assert await resolver.places(Uri.parse("sip:pair.example")) == []
        assert asyncio.get_running_loop().time() - begun == RESOLVE_S
        await asyncio.sleep(10)
        assert len(await resolver.places(Uri.parse("sip:pair.example:5061"))) == 0
        resolver.close()

    simulate(main())


def test_each_failure_doubles_the_pause_and_an_answer_ends_it() -> None:
    avoided, now = Avoided(), 1000.0
    pauses = []
    for _ in range(6):
        avoided.failed(ONE, now)
        avoided.failed(ONE, now + 1)  # a request that was on its way, too
        pause_s = next(s for s in range(1, 700) if not avoided.is_avoided(ONE, now + s))
        pauses.append(pause_s)
        now += pause_s + 1
    assert pauses == [30, 60, 120, 240, 480, 600]
    avoided.failed(TWO, now, least_s=90.0)
    assert [avoided.is_avoided(TWO, now + 89), avoided.is_avoided(TWO, now + 91)] == [True, False]
    avoided.failed(TWO, now + 100, least_s=10**6)
    assert not avoided.is_avoided(TWO, now + 101 + LONGEST_S)
    assert (len(avoided), avoided.count(now + 101)) == (2, 1)
    avoided.answered(ONE)
    assert len(avoided) == 1
    avoided.failed(TWO, now + 3000)
    assert not avoided.is_avoided(TWO, now + 3000 + FIRST_S), "what is long ago is forgotten"


def test_what_is_avoided_is_bounded() -> None:
    avoided = Avoided()
    for port in range(MOST + 1):
        avoided.failed(Place("udp", "192.0.2.1", port), 1000.0)
    assert len(avoided) == MOST
    assert not avoided.is_avoided(Place("udp", "192.0.2.1", 0), 1000.0)


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
