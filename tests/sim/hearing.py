"""What a phone hears in a simulation: our ringback tone, or what somebody says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sipcore.media.g711 import A_LAW, decode
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world
from tests.store.files import DEMO


@asynccontextmanager
async def listening(folder: Path, provisioning: str = DEMO) -> AsyncIterator[World]:
    """Open a world whose media engine runs as a worker does while sound plays. All that a test
    begins in it must be over soon after the test, or on its way to be."""
    async with world(folder, provisioning=provisioning) as here:
        here.tick_each(0.005)
        yield here
        here.tick_each(1.0)
        await check_all_is_over(here)


def is_tone(packet: bytes) -> bool:
    return not packet.endswith(b"\x55" * 100) or packet[12:] == b"\xd5" * 160


def tones(heard: list[bytes]) -> list[bytes]:
    return [packet for packet in heard if is_tone(packet)]


def words(heard: list[bytes]) -> list[bytes]:
    return [packet for packet in heard if not is_tone(packet)]


def check_ringback(heard: list[bytes]) -> None:
    """Check that what was heard for a second or more is the tone, in one piece."""
    octets = np.frombuffer(b"".join(packet[12:] for packet in heard[:50]), np.uint8)
    sound = decode(octets.reshape(1, -1), np.array([A_LAW])).reshape(-1)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * 8000 / len(sound) == pytest.approx(450, abs=2)
    check_one_piece(heard)


def check_one_piece(heard: list[bytes]) -> None:
    assert len({packet[8:12] for packet in heard}) == 1
    for one, following in pairwise(heard):
        assert int.from_bytes(following[2:4]) == (int.from_bytes(one[2:4]) + 1) & 0xFFFF
        step = int.from_bytes(following[4:8]) - int.from_bytes(one[4:8])
        assert 160 <= step & 0xFFFFFFFF < 1 << 31
