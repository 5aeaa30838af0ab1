"""Tap: what the engine shows whoever listens in (the recorder), and what it expects back."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sipcore.media.control import Record, Recorded, Side
from sipcore.media.streams import Bools, Floats, Ints


class Heard:
    """Packets as they leave for the other side, a column each, (n,) but for `packets`.

    `rows` are the streams they came from; `packets` (n, bytes) uint8 the whole packets, `at` where
    the payload begins, `octets` its length; `play_at` the moment its first sample is played at the
    other side, in seconds of the worker's clock: on an exact grid in buffer mode, the arrival in
    pass mode. Views: copy what is kept.
    """

    __slots__ = ("at", "octets", "packets", "payload_type", "play_at", "rows", "timestamp")

    def __init__(
        self,
        rows: Ints,
        packets: NDArray[np.uint8],
        at: Ints,
        octets: Ints,
        payload_type: Ints,
        timestamp: Ints,
        play_at: Floats,
    ) -> None:
        self.rows = rows
        self.packets = packets
        self.at = at
        self.octets = octets
        self.payload_type = payload_type
        self.timestamp = timestamp
        self.play_at = play_at


class Tap(Protocol):
    """Listens to streams. Nothing here waits or raises: sound goes on whatever happens."""

    def begin(self, verb: Record, rows: dict[Side, int], now: float) -> None:
        """Listen to a call's audio streams, given by side, or take in what `verb` says anew."""
        ...

    def listened(self, rows: Ints) -> Bools:
        """Say which of `rows` (n,) anybody listens to; `hear` wants no others."""
        ...

    def hear(self, heard: Heard) -> None:
        """Take packets of streams that are listened to."""
        ...

    def end(self, call: str, now: float) -> None:
        """Finish a call; `poll` tells when it is done. Nothing for a call that nobody records."""
        ...

    def tick(self, now: float) -> None:
        """Called several times a second."""
        ...

    def counts(self) -> dict[str, int]:
        """Return those fields of quality.Totals that are about recordings."""
        ...

    def poll(self) -> Recorded | None:
        """Return the next recording that is finished, or None."""
        ...

    def close(self, now: float) -> None:
        """Finish everything, and wait for it."""
        ...
