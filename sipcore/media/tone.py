"""Tones as G.711 packets of 20 ms, made once; whoever plays one goes round and round in it."""

from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sipcore.media.control import Tone
from sipcore.media.g711 import RATE, encode

PACKET_S = 0.02
OCTETS = int(RATE * PACKET_S)
LEVEL_DBM0 = -10.0
FULL_SCALE_DBM0 = 3.14  # a sine as loud as G.711 goes
RAMP_S = 0.005  # a tone that is cut off clicks


class Shape(Struct, frozen=True):
    """A sine and its cadence: seconds on, seconds off, in turn; together whole packets."""

    hz: float
    cadence_s: tuple[tuple[float, float], ...]


# ITU-T E.180 supplement 2, China.
SHAPES: dict[Tone, Shape] = {
    "ringback": Shape(450, ((1.0, 4.0),)),
    "busy": Shape(450, ((0.35, 0.35),)),
    "congestion": Shape(450, ((0.7, 0.7),)),
}


@cache
def packets(tone: Tone, law: int) -> NDArray[np.uint8]:
    """Return one round of a tone, (packets, 160) octets; `law` as in g711."""
    shape = SHAPES[tone]
    peak = 32767 * 10 ** ((LEVEL_DBM0 - FULL_SCALE_DBM0) / 20)
    parts = []
    for on_s, off_s in shape.cadence_s:
        at_s = np.arange(round(on_s * RATE)) / RATE
        edge_s = np.minimum(at_s, on_s - at_s)
        ramp = np.sin(np.minimum(edge_s / RAMP_S, 1) * np.pi / 2) ** 2
        parts += [peak * ramp * np.sin(2 * np.pi * shape.hz * at_s), np.zeros(round(off_s * RATE))]
    return encode(np.concatenate(parts), law).reshape(-1, OCTETS)
