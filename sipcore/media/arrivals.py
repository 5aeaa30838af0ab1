"""Packets as they come to the jitter buffer, with what their headers mean there: columns."""

from typing import Self

import numpy as np

from sipcore.media.rtp import MODULUS, Headers
from sipcore.media.streams import Bools, Ints, Streams


class Arrivals:
    """Packets, at most one of each stream, a column each (n,).

    `step` is how far the sequence number is ahead of the stream's highest, `ticks` the timestamp
    unwrapped, `gap` how far that is ahead of the highest, `transit` arrival less timestamp in
    seconds, `rate` the clock, 0 where timestamps say nothing of arrival.
    """

    __slots__ = ("cells", "gap", "headers", "rate", "rows", "step", "ticks", "transit")

    def __init__(
        self, streams: Streams, rows: Ints, headers: Headers, cells: Ints, now: float
    ) -> None:
        self.rows = rows
        self.headers = headers
        self.cells = cells
        self.rate = streams.clock_rates[rows, headers.payload_type]
        self.step = signed(headers.sequence - streams.source_sequence[rows], MODULUS)
        before = streams.source_ticks[rows]
        self.gap = signed(headers.timestamp - before, 1 << 32)
        self.ticks = before + self.gap
        self.transit = now - self.ticks / np.maximum(self.rate, 1)

    def select(self, picks: Bools) -> Self:
        """Return some of them."""
        some = object.__new__(type(self))
        for name in self.__slots__:
            if name != "headers":
                setattr(some, name, getattr(self, name)[picks])
        some.headers = self.headers.select(picks)
        return some


def signed(difference: Ints, modulus: int) -> Ints:
    """Return differences of numbers that wrap as the least steps, back or forth."""
    half = modulus >> 1
    return (difference + half & (modulus - 1)) - half
