"""Sessions as call/ uses them, with engines in this process behind the links."""

import asyncio
import errno
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipcore.errors import BadMessage, MediaError
from sipcore.media import control
from sipcore.media.control import FirstPacket, Silent
from sipcore.media.pool import MediaPool
from tests.media.house import A, B, C, House, port_of, sdp
from tests.media.net import RELAY, rtp, seeded


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.pool.start()
    yield house
    await house.pool.stop()


async def test_offer_and_answer_open_a_way_for_sound_both_ways(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        to_b = await media.offer("a", sdp(A), A)
        to_a = media.answer("b", sdp(B, 5000), B)
        assert port_of(to_a) != port_of(to_b)
        assert house.speak((A, 4000), port_of(to_a)) == 10
        assert house.speak((B, 5000), port_of(to_b)) == 10
        assert house.events == [FirstPacket("one", "a"), FirstPacket("one", "b")]


async def test_a_call_costs_two_round_trips(house: House) -> None:
    house.workers.verbs.clear()
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B), B)
        await media.finish()
    kinds = [type(verb) for verb in house.workers.verbs]
    assert kinds == [control.Open, control.Update, control.Close]


async def test_leaving_the_block_closes_and_frees(house: House) -> None:
    free = len(house.pool.ports)
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        assert len(house.pool.ports) == free - 2
    assert (len(house.pool), len(house.pool.ports)) == (0, free)
    assert await house.pool.survey() == []
    assert len(house.workers.wires[0].addresses) == 0


async def test_a_block_left_before_any_offer_asks_nothing(house: House) -> None:
    house.workers.verbs.clear()
    with house.pool.session("one", house.events.append) as media:
        assert await media.finish() == {}
    assert house.workers.verbs == []


async def test_figures_for_the_cdr(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        to_a = media.answer("b", sdp(B, formats="8 101"), B)
        house.speak((A, 4000), port_of(to_a), payload_type=8)
        house.workers.wires[0].deliver((A, 4000), port_of(to_a), rtp(19, payload_type=101))
        house.workers.run()
        house.workers.wires[0].deliver((A, 4000), port_of(to_a), rtp(20, payload_type=8))
        house.workers.run()
        figures = await media.finish()
    assert (figures["a"].codec, figures["a"].packets, figures["a"].lost) == ("PCMA", 12, 9)
    assert figures["a"].mos is not None
    assert figures["a"].mos < 2
    assert (figures["b"].codec, figures["b"].packets, figures["b"].mos) == ("PCMA", 0, None)


async def test_the_answer_of_the_next_carrier_counts(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        to_b = await media.offer("a", sdp(A), A)
        to_a = media.answer("b", sdp(B, 5000), B)  # early media of the first carrier
        assert house.speak((B, 5000), port_of(to_b)) == 10
        again = await media.offer("a", sdp(A), A)
        assert again == to_b
        assert media.answer("b", sdp(C, 6000), C) == to_a
        assert house.speak((B, 5000), port_of(to_b)) == 0
        assert house.speak((C, 6000), port_of(to_b)) == 10
        house.speak((A, 4000), port_of(to_a))


async def test_hold_and_back(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B), B)
        to_b = await media.offer("a", sdp(A, 4000, "a=sendonly"), A)
        assert b"a=sendonly" in to_b
        assert b" 2 IN IP4" in to_b.split(b"\r\n")[1]
        assert not media.is_held("a")  # not before it is answered
        assert b"a=recvonly" in media.answer("b", sdp(B, 4000, "a=recvonly"), B)
        assert (media.is_held("a"), media.is_held("b")) == (True, False)
        house.clock.now += 100
        house.workers.run()
        assert house.events == []
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B), B)
        assert not media.is_held("a")
        house.clock.now += 61
        house.workers.run()
        assert {type(one) for one in house.events} == {Silent}


async def test_a_refused_re_invite_changes_nothing(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        to_b = await media.offer("a", sdp(A), A)
        to_a = media.answer("b", sdp(B, 5000), B)
        await media.offer("a", sdp(A, 4444, "a=sendonly"), A)
        media.withdraw()
        assert not media.is_held("a")
        assert house.speak((B, 5000), port_of(to_b)) == 10
        assert house.speak((A, 4000), port_of(to_a)) == 10
        await media.offer("b", sdp(B, 5002), B)
        media.answer("a", sdp(A), A)
        assert house.speak((B, 5002), port_of(to_b)) == 10


async def test_an_invite_without_sdp_is_given_our_own_offer(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        to_b = await media.propose("b")
        to_a = media.answer("b", sdp(B, 5000, formats="8 101"), B)  # what a is offered in the 200
        assert b"RTP/AVP 8 101" in to_a
        media.answer("a", sdp(A, 4000, formats="8 101"), A)  # in the ACK
        assert house.speak((A, 4000), port_of(to_a)) == 10
        assert house.speak((B, 5000), port_of(to_b)) == 10


async def test_a_re_invite_may_add_video_and_a_phone_may_refuse_it(house: House) -> None:
    video = "m=video 4002 RTP/AVP 34\r\n"
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B, 5000), B)
        to_b = await media.offer("a", sdp(A, more=video), A)
        assert len({port_of(to_b, 0), port_of(to_b, 1)}) == 2
        to_a = media.answer("b", sdp(B, 5000, more="m=video 0 RTP/AVP 34\r\n"), B)
        assert port_of(to_a, 1) == 0
        await media.offer("a", sdp(A, more=video), A)
        to_a = media.answer("b", sdp(B, 5000, more="m=video 5002 RTP/AVP 34\r\n"), B)
        assert house.speak((A, 4002), port_of(to_a, 1), payload_type=34) == 10
        assert house.speak((A, 4000), port_of(to_a, 0)) == 10


async def test_what_is_not_rtp_is_refused_in_its_place(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        to_b = await media.offer("a", sdp(A, more="m=image 4002 udptl t38\r\n"), A)
        assert b"m=image 0 udptl t38" in to_b
        to_a = media.answer("b", sdp(B), B)  # and left out of the answer
        assert b"m=image 0 udptl t38" in to_a
    with house.pool.session("two", house.events.append) as media, pytest.raises(MediaError):
        await media.offer("a", sdp(A).replace(b"RTP/AVP", b"RTP/SAVP"), A)


async def test_broken_text_is_a_bad_message_and_no_offer_a_media_error(house: House) -> None:
    with house.pool.session("one", house.events.append) as media:
        with pytest.raises(BadMessage):
            await media.offer("a", b"rubbish", A)
        with pytest.raises(MediaError):
            media.answer("b", sdp(B), B)
        await media.offer("a", sdp(A), A)
        with pytest.raises(BadMessage):
            media.answer("b", b"rubbish", B)


async def test_a_range_that_is_used_up_refuses_the_call() -> None:
    house = House(ports=(10000, 10003))
    await house.pool.start()
    with house.pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        other = house.pool.session("two", house.events.append)
        with other, pytest.raises(MediaError, match="no media port"):
            await other.offer("a", sdp(A), A)
    house.clock.now += 30
    with house.pool.session("three", house.events.append) as media:
        await media.offer("a", sdp(A), A)
    await house.pool.stop()


async def test_ports_of_other_programs_are_put_aside(house: House) -> None:
    house.workers.wires[0].busy = set(range(10000, 10100)) - {10010, 10011, 10050, 10051}
    shown = set()
    for number in range(40):
        with house.pool.session(str(number), house.events.append) as media:
            try:
                shown.add(port_of(await media.offer("a", sdp(A), A)))
            except MediaError:
                continue
    assert shown <= {10010, 10050}
    assert shown


async def test_a_worker_that_has_no_file_left_refuses_the_call(house: House) -> None:
    house.workers.wires[0].fault = errno.EMFILE
    media = house.pool.session("one", house.events.append)
    with media, pytest.raises(MediaError, match="no more files"):
        await media.offer("a", sdp(A), A)
    assert len(house.pool.ports) == 50
    assert len(house.workers.engines[0].streams) == 0


def test_the_signalling_side_does_without_numpy() -> None:
    program = "import sys, sipcore.media.pool; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_calls_go_to_the_worker_with_the_fewest() -> None:
    house = House(how_many=3)
    await house.pool.start()
    sessions = [house.pool.session(str(number), house.events.append) for number in range(6)]
    for media in sessions:
        await media.offer("a", sdp(A), A)
    assert [len(engine.streams) for engine in house.workers.engines] == [4, 4, 4]
    assert len(await house.pool.survey()) == 12
    assert set(await house.pool.metrics()) == {0, 1, 2}
    await house.pool.stop()


async def test_calls_of_a_dead_signalling_process_hold_their_ports_until_they_are_ended(
    house: House,
) -> None:
    await house.pool.session("one", house.events.append).offer("a", sdp(A), A)
    again = MediaPool(RELAY, (10000, 10099), 60, house.clock, seeded(2), house.workers.connects)
    await again.start()
    assert len(again.ports) == 48
    (a, b) = await again.survey()
    assert (a.call, a.side, a.last_packet_age_s, b.side) == ("one", "a", -1, "b")
    await again.end_orphan("one")
    assert len(again.ports) == 50
    await again.stop()


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose worker records."""
    house = House(recordings=tmp_path)
    await house.pool.start()
    yield house
    await house.pool.stop()


async def test_a_recording_is_told_of_once_the_call_is_closed(studio: House) -> None:
    with studio.pool.session("one", studio.events.append) as media:
        await media.offer("a", sdp(A, formats="8 18 96"), A)
        media.answer("b", sdp(B, formats="8 18 96"), B)
        assert await media.recorded() is None
        media.record("2026/11/18/one.wav", 5.0)
        media.answer("b", sdp(B, formats="8 18 96"), B)
        await media.finish()
    recorded = await media.recorded()
    assert recorded is not None
    assert (recorded.name, recorded.is_degraded) == ("2026/11/18/one.wav", False)
    first, again = [one for one in studio.workers.verbs if isinstance(one, control.Record)]
    assert first == again
    assert (first.call, first.started_at) == ("one", 5.0)
    assert first.codecs == (
        ("a", 8, "PCMA"),
        ("a", 18, "G729"),
        ("b", 8, "PCMA"),
        ("b", 18, "G729"),
    )
    totals = (await studio.pool.metrics())[0]
    assert (totals.recordings, totals.recordings_finished, totals.recordings_degraded) == (0, 1, 0)


async def test_a_recording_of_a_dead_signalling_process_is_finished_by_the_worker(
    studio: House,
) -> None:
    media = studio.pool.session("one", studio.events.append)
    await media.offer("a", sdp(A), A)
    media.answer("b", sdp(B), B)
    media.record("2026/11/18/one.wav", studio.clock.wall_s())
    links = studio.workers.connects
    again = MediaPool(RELAY, (10000, 10099), 60, studio.clock, seeded(2), links)
    await again.start()
    again.expect_recording("one")
    await again.end_orphan("one")
    recorded = await again.recorded("one", "2026/11/18/one.wav")
    assert (len(recorded.sha256), recorded.is_degraded) == (64, False)
    await again.stop()


async def test_a_recording_whose_worker_is_gone_is_salvaged(tmp_path: Path) -> None:
    house = House(recordings=tmp_path)
    asked: list[str] = []

    async def salvage(name: str) -> str:
        asked.append(name)
        return "digest"

    pool = MediaPool(
        RELAY, (10000, 10099), 60, house.clock, seeded(), house.workers.connects, salvage
    )
    await pool.start()
    with pool.session("one", house.events.append) as media:
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B), B)
        media.record("2026/11/18/one.wav", house.clock.wall_s())
        house.workers.kill()
        await media.finish()
    recorded = await media.recorded()
    assert recorded == control.Recorded("one", "2026/11/18/one.wav", "digest", True)
    assert asked == ["2026/11/18/one.wav"]
    await pool.stop()


async def test_what_is_told_of_a_recording_too_late_is_logged(
    studio: House, caplog: pytest.LogCaptureFixture
) -> None:
    with studio.pool.session("one", studio.events.append) as media:
        await media.offer("a", sdp(A), A)
        media.answer("b", sdp(B), B)
        media.record("2026/11/18/one.wav", studio.clock.wall_s())
        studio.pool.forget_recording("one")
        await media.finish()
    await asyncio.sleep(0)
    (said,) = [one.getMessage() for one in caplog.records]
    assert "recording=2026/11/18/one.wav is finished, sha256=" in said
