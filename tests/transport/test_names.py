"""The cache of the DNS: how long answers hold, and what happens while nobody answers."""

import asyncio
from collections import Counter

import pytest

from sipcore.transport.names import (
    LEAST_S,
    MOST_ASKED,
    MOST_EMPTY_S,
    MOST_NAMES,
    RETRY_S,
    STALE_RETRY_S,
    STALE_S,
    STALE_WAIT_S,
    Answer,
    Names,
    Unanswered,
)
from sipcore.transport.order import Question
from tests.sim.loop import simulate

HERE = Question("A", "a.example")


class Server:
    """A name server in memory: slow, dead, or with a different answer, as a test wants it."""

    def __init__(self, records: tuple[str, ...] = ("192.0.2.1",), ttl_s: float = 60) -> None:
        self.records, self.ttl_s = records, ttl_s
        self.delay_s = 0.0
        self.is_dead = False
        self.asked: Counter[str] = Counter()

    async def __call__(self, question: Question) -> Answer:
        self.asked[question.name] += 1
        await asyncio.sleep(2.5 if self.is_dead else self.delay_s)
        if self.is_dead:
            raise Unanswered("dead")
        return Answer(self.records, self.ttl_s)


def _names(server: Server) -> Names:
    return Names(asyncio.get_running_loop(), server)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_answer_holds_as_long_as_it_says_within_bounds() -> None:
    async def main() -> None:
        for ttl_s, held_s in ((60.0, 60.0), (0.0, LEAST_S), (10**7, 86_400.0)):
            server = Server(ttl_s=ttl_s)
            names = _names(server)
            assert names.known(HERE) is None
            for _ in range(2):
                assert await names.find(HERE) == ("192.0.2.1",)
            await asyncio.sleep(held_s - 0.1)
            assert names.known(HERE) == ("192.0.2.1",)
            assert server.asked["a.example"] == 1
            await asyncio.sleep(0.2)
            assert names.known(HERE) is None
            server.records = ("192.0.2.2",)
            assert await names.find(HERE) == ("192.0.2.2",)

    simulate(main())


def test_that_there_is_nothing_is_remembered_too() -> None:  # RFC 2308
    async def main() -> None:
        server = Server((), 10**6)
        names = _names(server)
        for _ in range(2):
            assert await names.find(HERE) == ()
        assert server.asked["a.example"] == 1
        await asyncio.sleep(MOST_EMPTY_S + 1)
        await names.find(HERE)
        assert server.asked["a.example"] == 2
        assert names.counts["empty"] == 2

    simulate(main())


def test_who_asks_the_same_at_the_same_time_shares_one_look_up() -> None:
    async def main() -> None:
        server = Server()
        server.delay_s = 1.0
        names = _names(server)
        first = asyncio.ensure_future(names.find(HERE))
        others = [asyncio.ensure_future(names.find(HERE)) for _ in range(9)]
        await asyncio.sleep(0.5)
        first.cancel()  # who gives up takes nothing from the others
        assert await asyncio.gather(*others) == [("192.0.2.1",)] * 9
        assert server.asked["a.example"] == 1

    simulate(main())


def test_a_dead_server_costs_the_first_who_asks_a_while_and_others_nothing() -> None:
    async def main() -> None:
        server = Server()
        server.is_dead = True
        names = _names(server)
        begun = now()
        assert await names.find(HERE) == ()
        assert now() - begun == 2.5
        assert await names.find(HERE) == ()
        assert (now() - begun, server.asked["a.example"]) == (2.5, 1)
        await asyncio.sleep(RETRY_S)
        await names.find(HERE)
        await asyncio.sleep(RETRY_S)
        await names.find(HERE)
        assert server.asked["a.example"] == 2, "the second pause is longer"
        names.forget()
        server.is_dead = False
        assert await names.find(HERE) == ("192.0.2.1",), "there are other name servers now"

    simulate(main())


def test_an_old_answer_serves_while_the_server_is_away() -> None:  # RFC 8767
    async def main() -> None:
        server = Server()
        names = _names(server)
        await names.find(HERE)
        await asyncio.sleep(61)
        server.is_dead = True
        begun = now()
        assert await names.find(HERE) == ("192.0.2.1",)
        assert now() - begun == pytest.approx(STALE_WAIT_S)
        await asyncio.sleep(5)
        begun = now()
        assert await names.find(HERE) == ("192.0.2.1",)
        assert names.known(HERE) == ("192.0.2.1",)
        assert now() == begun, "it is known by now that nobody answers"
        await asyncio.sleep(STALE_RETRY_S)
        server.is_dead, server.records = False, ("192.0.2.2",)
        assert await names.find(HERE) == ("192.0.2.2",)
        server.is_dead = True
        await asyncio.sleep(60 + STALE_S)
        assert await names.find(HERE) == (), "too old to be believed"

    simulate(main())


def test_the_cache_and_the_questions_under_way_have_an_end() -> None:
    async def main() -> None:
        server = Server()
        names = _names(server)
        for number in range(MOST_NAMES + 1):
            await names.find(Question("A", f"h{number}"))
        assert names.known(Question("A", "h0")) is None
        assert names.known(Question("A", "h1")) is not None
        server.delay_s = 1.0
        many = [
            asyncio.ensure_future(names.find(Question("A", f"n{number}")))
            for number in range(MOST_ASKED + 1)
        ]
        found = await asyncio.gather(*many)
        assert found.count(("192.0.2.1",)) == MOST_ASKED
        names.close()

    simulate(main())
