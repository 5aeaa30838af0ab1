"""The figures of streams and calls, and how a call sounded by the E-model (ITU-T G.107).

The score comes of codec, loss and delay. All other parameters are the recommendation's defaults
(its table 2), for which R is 93.2.
"""

from math import log2
from typing import Literal

from msgspec import Struct

DEFAULT_R = 93.2

# Equipment impairment Ie and robustness to loss Bpl, ITU-T G.113 appendix I. G.711 without
# concealment: what the far phone does about a gap is not known here. A codec that is not listed
# is judged as G.711 is.
IMPAIRMENTS = {
    "PCMU": (0.0, 4.3),
    "PCMA": (0.0, 4.3),
    "G729": (11.0, 19.0),
    "G723": (15.0, 16.1),
}
DELAY_MS = 100.0


class StreamState(Struct, frozen=True, gc=False, array_like=True):
    """One stream's figures. Times in seconds; `payload_type` and ages are -1 before a packet.

    `delay_ms` is what the jitter buffer adds to the packets that come fastest; `late` counts those
    that came after their successors had been played.
    """

    side: Literal["a", "b"]
    media: int
    port: int
    remote_address: str
    remote_port: int
    is_latched: bool
    is_sound_expected: bool
    payload_type: int
    packets: int
    octets: int
    lost: int
    duplicates: int
    reordered: int
    jitter_ms: float
    sent_packets: int
    foreign: int
    last_packet_age_s: float
    remote_lost: int
    remote_jitter_ms: float
    round_trip_s: float
    mode: Literal["buffer", "pass"] = "buffer"
    delay_ms: float = 0.0
    late: int = 0


class Totals(Struct, frozen=True, gc=False, array_like=True):
    """A worker since its start; `calls`, `streams`, `recordings`, `jitter_ms` and delays now.

    `late` packets came after their successors had been played; `overflowed` ones found their
    stream's part of the jitter buffer full. `ticks_late_s` is by how much all `ticks` were late
    together, `greatest_late_ms` the worst of them. `recordings_stopped`: those that the disk
    refused; `recorded_octets`: what it took. `tones` began in the place of silent streams.
    """

    calls: int
    streams: int
    packets_received: int
    octets_received: int
    packets_sent: int
    lost: int
    foreign: int
    invalid: int
    unsent: int
    rtcp_received: int
    rtcp_sent: int
    batches: int
    greatest_batch: int
    greatest_late_ms: float
    jitter_ms: float
    recordings: int = 0
    recordings_finished: int = 0
    recordings_degraded: int = 0
    recordings_stopped: int = 0
    recorded_octets: int = 0
    late: int = 0
    overflowed: int = 0
    delay_ms: float = 0.0
    greatest_delay_ms: float = 0.0
    ticks: int = 0
    ticks_late_s: float = 0.0
    tones: int = 0


def rating(codec: str, loss: float, delay_ms: float = DELAY_MS) -> float:
    """Return R, 0 to 100. `loss` is a fraction, random in time; `delay_ms` is one way."""
    impairment, robustness = IMPAIRMENTS.get(codec.upper(), IMPAIRMENTS["PCMU"])
    percent = min(max(loss, 0.0), 1.0) * 100
    # G.107 7.5 with BurstR = 1.
    impairment += (95 - impairment) * percent / (percent + robustness)
    return min(max(DEFAULT_R - impairment - _delay_impairment(delay_ms), 0.0), 100.0)


def mos(codec: str, loss: float, delay_ms: float = DELAY_MS) -> float:
    """Return the mean opinion score, 1 to 4.5 (G.107 annex B)."""
    r = rating(codec, loss, delay_ms)
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def _delay_impairment(delay_ms: float) -> float:
    """Idd of G.107 7.4: what delay alone takes, echo being cancelled."""
    if delay_ms <= 100:
        return 0.0
    x: float = log2(delay_ms / 100)
    return float(25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))
