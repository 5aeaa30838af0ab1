"""A real worker process on loopback: packets cross, figures come back, it ends when it should."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from sipcore.clock import SystemClock
from sipcore.ids import Ids
from sipcore.media.control import FirstPacket, MediaEvent, unix_link
from sipcore.media.placement import Ringback
from sipcore.media.pool import MediaPool
from tests.media.net import rtp

PROGRAM = """
import sys
from sipcore.media.worker import Settings, run
run(Settings(sys.argv[1], sys.argv[2], 60), int(sys.argv[3]))
"""


class Process:
    """A worker and the lifeline that it hangs on."""

    def __init__(self, path: Path, address: str = "127.0.0.1") -> None:
        self.path = path
        inner, self.lifeline = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), address, str(inner)], pass_fds=(inner,)
        )
        os.close(inner)

    def cut(self) -> None:
        """Let go of the lifeline, as a dead supervisor does."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    async def ended(self, within_s: float) -> int:
        return await asyncio.to_thread(self.process.wait, within_s)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path / "worker.sock")
    yield process
    process.cut()
    await process.ended(5)


def pool_of(worker: Process, ports: tuple[int, int] = (21000, 21099)) -> MediaPool:
    return MediaPool("127.0.0.1", ports, 60, SystemClock(), Ids(), [unix_link(str(worker.path))])


class Phone:
    """A UDP socket of loopback host `address` that says what it has in SDP."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def sdp(self) -> bytes:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\nt=0 0\r\n"
            f"m=audio {self.port} RTP/AVP 0\r\n"
        ).encode()

    async def exchange(self, far: "Phone", shown: bytes, packet: bytes) -> bytes:
        """Send to the port that `shown` tells us of; return what `far` hears."""
        loop = asyncio.get_running_loop()
        port = int(shown.split(b"m=audio ")[1].split()[0])
        await loop.sock_sendto(self.socket, packet, ("127.0.0.1", port))
        return await asyncio.wait_for(loop.sock_recv(far.socket, 2048), 5)


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    pair = Phone("127.0.0.1"), Phone("127.0.0.2")
    yield pair
    for phone in pair:
        phone.socket.close()


def same(heard: bytes, sent: bytes) -> bool:
    """Whether a packet came through the jitter buffer, which gives it an SSRC of its own."""
    return heard[:8] == sent[:8] and heard[8:12] != sent[8:12] and heard[12:] == sent[12:]


async def test_a_call_through_a_real_worker(worker: Process, phones: tuple[Phone, Phone]) -> None:
    a, b = phones
    events: list[MediaEvent] = []
    pool = pool_of(worker)
    await pool.start()
    with pool.session("call-1", events.append) as media:
        to_b = await media.offer("a", a.sdp(), a.address)
        to_a = media.answer("b", b.sdp(), b.address)
        assert len(await pool.survey()) == 2  # by now the worker knows both sides
        for sequence in range(20):
            packet = rtp(sequence)
            assert same(await a.exchange(b, to_a, packet), packet)
            packet = rtp(sequence, ssrc=77, payload_type=8)
            assert same(await b.exchange(a, to_b, packet), packet)
        assert set(events) == {FirstPacket("call-1", "a"), FirstPacket("call-1", "b")}
        states = await pool.survey()
        assert [(one.side, one.codec, one.state.is_latched) for one in states] == [
            ("a", "PCMU", True),
            ("b", "PCMU", True),
        ]
        assert all(0 <= one.last_packet_age_s < 5 for one in states)
        ages_s = await pool.heard_within(60.0)
        assert list(ages_s) == ["call-1"]
        assert ages_s["call-1"] == pytest.approx(
            min(one.last_packet_age_s for one in states), abs=1.0
        )
        assert await pool.heard_within(0.0) == {}
        figures = await media.finish()
    assert figures["a"].packets == figures["b"].packets == 20
    assert (figures["a"].lost, figures["a"].codec) == (0, "PCMU")
    assert (await pool.metrics())[0].packets_sent == 40
    assert await pool.survey() == []
    await pool.stop()


async def test_a_real_worker_plays_ringback_on_time(
    worker: Process, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    pool = pool_of(worker)
    await pool.start()
    loop = asyncio.get_running_loop()
    with pool.session("call-1", lambda event: None) as media:
        to_b = await media.offer("a", a.sdp(), a.address)
        media.ringback = Ringback("a")
        media.answer("b", b.sdp(), b.address)
        heard = [await asyncio.wait_for(loop.sock_recv(a.socket, 2048), 5) for _ in range(25)]
        for one, following in pairwise(heard):
            assert int.from_bytes(following[2:4]) == (int.from_bytes(one[2:4]) + 1) & 0xFFFF
            assert following[8:12] == one[8:12]
        while (packet := await b.exchange(a, to_b, rtp(7, ssrc=77)))[12:] != rtp(7, ssrc=77)[12:]:
            heard.append(packet)  # a tone that was under way
        assert packet[8:12] == heard[0][8:12]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(a.socket, 2048), 0.3)
        assert (await pool.metrics())[0].tones == 1
    await pool.stop()


async def test_sound_goes_on_while_signalling_is_gone_and_the_call_can_be_listed_after(
    worker: Process, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    pool = pool_of(worker)
    await pool.start()
    media = pool.session("call-1", lambda event: None)
    await media.offer("a", a.sdp(), a.address)
    to_a = media.answer("b", b.sdp(), b.address)
    assert len(await pool.survey()) == 2
    assert same(await a.exchange(b, to_a, rtp(1)), rtp(1))
    await pool.stop()  # signalling died: nothing was closed

    assert same(await a.exchange(b, to_a, rtp(2)), rtp(2))
    again = pool_of(worker)
    free = len(again.ports)
    await again.start()
    assert len(again.ports) == free - 2
    assert {one.call for one in await again.survey()} == {"call-1"}
    await again.end_orphan("call-1")
    assert await again.survey() == []
    assert len(again.ports) == free
    await again.stop()


async def test_a_worker_ends_within_a_second_of_its_supervisor(worker: Process) -> None:
    pool = pool_of(worker)
    await pool.start()
    worker.cut()
    assert await worker.ended(1) == 0
    await pool.stop()


async def test_sigterm_ends_a_worker_and_sigint_does_not(worker: Process) -> None:
    pool = pool_of(worker)
    await pool.start()
    worker.process.send_signal(2)
    assert len(await pool.metrics()) == 1
    worker.process.send_signal(15)
    assert await worker.ended(1) == 0
    assert not worker.path.exists()
    await pool.stop()


async def test_a_port_of_another_program_is_put_aside(
    worker: Process, phones: tuple[Phone, Phone]
) -> None:
    pool = pool_of(worker, (21200, 21207))  # four pairs
    await pool.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 21203))
        with pool.session("call-1", lambda event: None) as media:
            shown = await media.offer("a", phones[0].sdp(), phones[0].address)
            assert b"m=audio 21202 " not in shown
    await pool.stop()


async def test_junk_on_the_control_socket_ends_that_connection_only(worker: Process) -> None:
    pool = pool_of(worker)
    await pool.start()
    for junk in (b"\0\0\0\x04junk", b"\xff\xff\xff\xff", b"\0\0\0\x01\x90"):
        reader, writer = await asyncio.open_unix_connection(str(worker.path))
        writer.write(junk)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert len(await pool.metrics()) == 1
    await pool.stop()
