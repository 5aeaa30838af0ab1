"""Workers that die, or are only out of reach: a call goes on at its ports, at one worker."""

import asyncio
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sipcore.errors import MediaError
from sipcore.media.control import FirstPacket, Lost, Open, Record, Recorded
from sipcore.media.pool import MediaPool
from sipcore.media.session import MediaSession
from tests.media.house import A, B, C, House, port_of, sdp
from tests.media.net import RELAY, seeded
from tests.media.tape import read
from tests.sim.loop import simulate

NAME = "2026/11/18/one.wav"


def in_house(
    test: Callable[[House], Coroutine[Any, Any, None]],
    how_many: int = 2,
    recordings: Path | None = None,
) -> None:
    """Run a test in virtual time with a pool that is up."""

    async def main() -> None:
        house = House(how_many, recordings=recordings)
        await house.pool.start()
        await test(house)
        await house.pool.stop()

    simulate(main())


async def answered(house: House, media: MediaSession) -> tuple[int, int]:
    """Let a call be answered; return the ports that A and B send to."""
    to_b = await media.offer("a", sdp(A), A)
    to_a = media.answer("b", sdp(B, 5000), B)
    return port_of(to_a), port_of(to_b)


def check_sound(house: House, for_a: int, for_b: int, worker: int) -> None:
    """Both sides are heard at one worker."""
    assert house.speak((A, 4000), for_a, worker) == 10
    assert house.speak((B, 5000), for_b, worker) == 10


def carried(house: House) -> list[int]:
    return [len(engine.streams) for engine in house.workers.engines]


def test_the_calls_of_a_dead_worker_go_on_at_the_other_one_at_the_same_ports() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            check_sound(house, *ports, worker=0)
            free = len(house.pool.ports)
            house.workers.kill(0)
            await asyncio.sleep(0.01)
            house.events.clear()
            check_sound(house, *ports, worker=1)
            assert house.events == [FirstPacket("one", "a"), FirstPacket("one", "b")]
            assert (len(house.pool.ports), house.pool.moved_calls) == (free, 1)
            house.workers.revive(0)
            await asyncio.sleep(1)
            assert carried(house) == [0, 2]
            figures = await media.finish()
            assert figures["a"].packets == 10, "since it was opened anew"
        assert carried(house) == [0, 0]
        assert len(house.pool.ports) == 50

    in_house(test)


def test_with_one_worker_a_call_waits_for_its_next_process() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            house.workers.kill()
            await asyncio.sleep(0.7)
            house.workers.revive()
            await asyncio.sleep(0.15)
            check_sound(house, *ports, worker=0)
            assert Lost("one") not in house.events

    in_house(test, how_many=1)


def test_a_call_without_a_worker_for_5_s_is_lost_and_leaves_nothing() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            await answered(house, media)
            house.workers.kill()
            await asyncio.sleep(4.9)
            assert house.events == []
            await asyncio.sleep(0.2)
            assert house.events == [Lost("one")]
            assert await media.finish() == {}
        house.workers.revive()
        await asyncio.sleep(1)
        assert (carried(house), len(house.pool.ports)) == ([0], 50)

    in_house(test, how_many=1)


def test_ports_that_are_held_for_a_moment_are_tried_again() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            house.workers.wires[1].busy = {ports[0]}
            house.workers.kill(0)
            await asyncio.sleep(0.3)
            assert carried(house) == [0, 0]
            house.workers.wires[1].busy = set()
            await asyncio.sleep(0.05)
            check_sound(house, *ports, worker=1)

    in_house(test)


def test_a_ringing_call_goes_on_too() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            to_b = await media.offer("a", sdp(A), A)
            house.workers.kill(0)
            await asyncio.sleep(0.01)
            to_a = media.answer("b", sdp(B, 5000), B)
            check_sound(house, port_of(to_a), port_of(to_b), worker=1)

    in_house(test)


def test_a_connection_that_is_lost_and_made_again_moves_nothing() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            check_sound(house, *ports, worker=0)
            house.workers.links[0].on_lost()
            await asyncio.sleep(0.01)
            check_sound(house, *ports, worker=0)
            opens = [verb for verb in house.workers.verbs if isinstance(verb, Open)]
            assert (len(opens), house.pool.moved_calls) == (1, 0)

    in_house(test)


def test_what_is_agreed_while_the_connection_is_lost_is_told_when_it_is_back() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            _, for_b = await answered(house, media)
            await media.offer("a", sdp(A), A)
            house.workers.links[0].on_lost()
            media.answer("b", sdp(C, 6000), C)
            await asyncio.sleep(0.01)
            assert house.speak((B, 5000), for_b) == 0
            assert house.speak((C, 6000), for_b) == 10

    in_house(test)


def test_what_is_agreed_while_a_call_moves_counts() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            _, for_b = await answered(house, media)
            await media.offer("a", sdp(A), A)
            house.workers.kill()
            await asyncio.sleep(0.1)
            media.answer("b", sdp(C, 6000), C)
            house.workers.revive()
            await asyncio.sleep(0.2)
            assert house.speak((C, 6000), for_b) == 10

    in_house(test, how_many=1)


def test_a_new_stream_waits_for_the_move() -> None:
    video = "m=video 4002 RTP/AVP 34\r\n"

    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            await answered(house, media)
            house.workers.kill(0)
            house.workers.wires[1].busy = set(range(10000, 10100))
            await asyncio.sleep(0.05)
            asked = asyncio.create_task(media.offer("a", sdp(A, more=video), A))
            await asyncio.sleep(0.05)
            assert not asked.done()
            house.workers.wires[1].busy = set()
            to_b = await asked
            assert len({port_of(to_b, 0), port_of(to_b, 1)}) == 2
            assert carried(house) == [0, 4]

    in_house(test)


def test_a_stream_that_could_not_be_opened_costs_the_call_nothing() -> None:
    video = "m=video 4002 RTP/AVP 34\r\n"

    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            house.workers.wires[0].fault = 24
            with pytest.raises(MediaError):
                await media.offer("a", sdp(A, more=video), A)
            media.withdraw()
            house.workers.wires[0].fault = 0
            check_sound(house, *ports, worker=0)
            await media.offer("a", sdp(A, more=video), A)
            assert carried(house) == [4, 0]

    in_house(test)


def test_a_worker_that_was_taken_for_dead_and_lives_goes_on_with_its_calls() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            house.workers.dead.add(0)  # its socket's file was removed, say
            house.workers.links[0].on_lost()
            await asyncio.sleep(1)
            assert carried(house) == [2, 0], "the ports are not free for another one"
            house.workers.revive(0)
            await asyncio.sleep(0.2)
            assert carried(house) == [2, 0]
            check_sound(house, *ports, worker=0)
        assert carried(house) == [0, 0]

    in_house(test)


def test_a_call_that_ends_while_it_moves_is_closed_everywhere() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            await answered(house, media)
            house.workers.dead.add(0)
            house.workers.links[0].on_lost()
            await asyncio.sleep(0.1)
            assert await media.finish() == {}
        house.workers.revive(0)
        await asyncio.sleep(0.2)
        assert (carried(house), len(house.pool.ports)) == ([0, 0], 50)
        assert house.events == []

    in_house(test)


def test_two_deaths_in_a_row() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            ports = await answered(house, media)
            house.workers.kill(0)
            await asyncio.sleep(0.01)
            house.workers.kill(1)
            house.workers.revive(0)
            await asyncio.sleep(0.2)
            check_sound(house, *ports, worker=0)
            assert house.pool.moved_calls == 2

    in_house(test)


def test_many_calls_are_spread_over_the_workers_that_are_left() -> None:
    async def test(house: House) -> None:
        sessions = [house.pool.session(str(n), house.events.append) for n in range(9)]
        for media in sessions:
            await answered(house, media)
        assert carried(house) == [6, 6, 6]
        house.workers.kill(1)
        await asyncio.sleep(0.1)
        assert sorted(carried(house)) == [0, 8, 10]
        assert house.events == []
        for media in sessions:
            await media.finish()
        assert (carried(house), len(house.pool.ports)) == ([0, 0, 0], 50)

    in_house(test, how_many=3)


def test_the_ports_of_a_call_of_nobody_are_free_when_its_worker_dies_too() -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            await answered(house, media)
            connects = house.workers.connects
            after = MediaPool(RELAY, (10000, 10099), 60, house.clock, seeded(), connects)
            await after.start()  # the next signalling process
            assert len(after.ports) == 48
            house.workers.kill(0)
            await asyncio.sleep(0.1)
            house.workers.revive(0)
            assert await after.end_orphan("one") == []
            assert len(after.ports) == 50
            await after.stop()

    in_house(test, how_many=1)


def test_what_a_worker_told_of_a_recording_before_the_call_moved_is_not_its_end(
    tmp_path: Path,
) -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            for_a, _ = await answered(house, media)
            media.record(NAME, house.clock.wall_s())
            house.speak((A, 4000), for_a)
            house.pool.heard(Recorded("one", NAME, "of the first part", is_degraded=False))
            house.workers.kill(0)
            await asyncio.sleep(0.01)
            house.clock.now += 1
            house.speak((A, 4000), for_a, 1)
            await media.finish()
        recorded = await media.recorded()
        assert recorded is not None
        digest = sha256((tmp_path / NAME).read_bytes()).hexdigest()
        assert (recorded.sha256, recorded.is_degraded) == (digest, True)

    in_house(test, recordings=tmp_path)


def test_a_recording_goes_on_in_the_same_file(tmp_path: Path) -> None:
    async def test(house: House) -> None:
        with house.pool.session("one", house.events.append) as media:
            for_a, _ = await answered(house, media)
            media.record(NAME, house.clock.wall_s())
            house.speak((A, 4000), for_a)
            house.workers.kill(0)
            await asyncio.sleep(0.01)
            house.clock.now += 1
            house.speak((A, 4000), for_a, 1)
            await media.finish()
        recorded = await media.recorded()
        assert recorded is not None
        assert (recorded.name, recorded.is_degraded) == (NAME, True)
        assert len(read(tmp_path / NAME)) == pytest.approx(1.8 * 8000, abs=800)
        records = [verb for verb in house.workers.verbs if isinstance(verb, Record)]
        assert len(records) == 2
        assert records[0] == records[1]
        assert list((tmp_path / "open").iterdir()) == []

    in_house(test, recordings=tmp_path)
