"""A path from A to B with a worker on it: packets and their times in, packets and theirs out."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from tests.media.net import Bench, rtp

A, B = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
IN, OUT = 10000, 10002  # the port that A speaks to; the one that B hears from
TICK_S = 0.005
LEAST_S, MOST_S = 0.020, 0.120

Arrival = tuple[float, bytes]


class Left(Struct, frozen=True):
    """A packet as B got it. `number` is the sequence that A had given it."""

    at: float
    number: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_type: int
    marker: bool


def opened(**kwargs: Any) -> Bench:
    bench = Bench()
    bench.open("one", A, B, (IN, OUT), mode="buffer", **kwargs)
    return bench


def play(bench: Bench, arrivals: Iterable[Arrival], rest_s: float = 1.0) -> list[Left]:
    """Bring packets of A, in the order of their times; return what B got of them."""
    bench.wire.log.clear()
    for at, packet in sorted(arrivals, key=lambda one: one[0]):
        bench.bring(at, A, IN, packet)
    bench.wait(rest_s)
    return [read(at, packet) for at, port, packet in bench.wire.log if port == OUT]


def read(at: float, packet: bytes) -> Left:
    _, kind, sequence, timestamp, ssrc, number = struct.unpack_from(">BBHIII", packet)
    return Left(at, number, sequence, timestamp, ssrc, kind & 127, kind >= 128)


def talk(
    numbers: Sequence[int],
    start: float = 100.0,
    *,
    ptime_s: float = 0.02,
    rate: int = 8000,
    ssrc: int = 0x1234,
    skew: float = 0.0,
) -> list[Arrival]:
    """Packets that come as they are made, each number at its time; `skew` is the clock's fault."""
    return [
        (
            start + (number - numbers[0]) * ptime_s * (1 + skew),
            rtp(number, int(number * ptime_s * rate), ssrc),
        )
        for number in numbers
    ]


def delayed(arrivals: Sequence[Arrival], delays_s: Iterable[float]) -> list[Arrival]:
    return [(at + late, packet) for (at, packet), late in zip(arrivals, delays_s, strict=True)]


def numbers(left: Iterable[Left]) -> list[int]:
    return [one.number for one in left]
