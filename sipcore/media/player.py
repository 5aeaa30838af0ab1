"""Player: tones in the place of streams that say nothing (control.Play).

A tone is one more source of its stream. Its packets go through the jitter buffer, by which sequence
numbers, timestamps and SSRC go on from it to whatever comes next. No socket, no clock, no loop over
packets: all tones move on together, every 20 ms.
"""

import numpy as np

from sipcore.ids import Ids
from sipcore.media.control import Play
from sipcore.media.g711 import A_LAW, MU_LAW, RATE
from sipcore.media.jitter import JitterBuffer
from sipcore.media.rtp import HEADER_BYTES, MODULUS, Headers
from sipcore.media.streams import Counters, Ints, Streams
from sipcore.media.tone import OCTETS, PACKET_S, SHAPES, packets
from sipcore.media.wire.base import Batch

SLOTS = round(1 / PACKET_S)  # a second
_AT_ONCE = 1e-3  # of a slot: what is so close to its beginning is there
_NOT_BEGUN = -1
_OWN_SSRC = 1 << 32  # beyond all that packets can have: no source is ever taken for a tone
_LAWS = (MU_LAW, A_LAW)
_PLACES = {(tone, law): at for at, (tone, law) in enumerate((t, w) for t in SHAPES for w in _LAWS)}
_ROUNDS = [packets(*key) for key in _PLACES]
_SOUND = np.concatenate(_ROUNDS)
_LENGTHS = np.array([len(one) for one in _ROUNDS])
_STARTS = np.cumsum(_LENGTHS) - _LENGTHS


class Player:
    """Plays what rows are told to, from `tone_at` on. `next_at` is when `play` is to be called."""

    def __init__(
        self,
        streams: Streams,
        batch: Batch,
        buffer: JitterBuffer,
        ids: Ids,
        counters: Counters,
    ) -> None:
        self.next_at = np.inf
        self._streams = streams
        self._batch = batch
        self._buffer = buffer
        self._ids = ids
        self._counters = counters

    def begin(self, row: int, verb: Play, now: float) -> None:
        """Let a stream's peer hear a tone. One that plays, or waits to, is not put off by it."""
        streams = self._streams
        if not verb.pause_ms and streams.has_source[row]:
            self.end(row)
            return
        if not streams.is_described[row]:  # nobody has said yet who speaks there
            streams.is_buffered[row] = True
            streams.clock_rates[row, verb.payload_type & 127] = RATE
        streams.tone[row] = _PLACES[verb.tone, A_LAW if verb.codec == "PCMA" else MU_LAW]
        streams.tone_type[row] = verb.payload_type & 127
        streams.tone_pause_s[row] = verb.pause_ms / 1000
        streams.tone_at[row] = min(streams.tone_at[row], now + verb.wait_ms / 1000)
        if streams.tone_begun[row] == _NOT_BEGUN:
            streams.tone_offset[row] = int(self._ids.token(8), 16)
        self.next_at = min(self.next_at, _slot_after(streams.tone_at[row]) / SLOTS)

    def end(self, row: int) -> None:
        """Play nothing any more in a stream's place."""
        self._streams.tone_at[row] = np.inf
        self._streams.tone_begun[row] = _NOT_BEGUN

    def play(self, now: float) -> int:
        """Let the packets of this moment wait in the jitter buffer; return how many.

        What was slept through is left out, as if it had been lost.
        """
        streams = self._streams
        slot = int(now * SLOTS + _AT_ONCE)
        rows = np.flatnonzero(streams.tone_at <= slot / SLOTS + _AT_ONCE / SLOTS)
        rows = self._unspoken(rows, now)
        spare = self._batch.free_count - len(self._batch)  # what comes goes before what is made
        rows = rows[: max(spare, 0)]
        if len(rows):
            self._insert(rows, slot)
        earliest = streams.tone_at.min()
        self.next_at = max(slot + 1, _slot_after(earliest)) / SLOTS if earliest < np.inf else np.inf
        return len(rows)

    def _unspoken(self, rows: Ints, now: float) -> Ints:
        """Return those of `rows` whose speakers are silent, and whose peers can be sent to."""
        streams = self._streams
        pause_s = streams.tone_pause_s[rows]
        speaks = np.where(
            pause_s > 0, now - streams.packet_at[rows] < pause_s, streams.has_source[rows]
        )
        streams.tone_at[rows[speaks & (pause_s == 0)]] = np.inf
        speaks |= streams.muted_until[rows] > now  # a key is played (events.py)
        streams.tone_begun[rows[speaks]] = _NOT_BEGUN
        rows = rows[~speaks]
        return rows[streams.is_buffered[rows] & streams.is_sendable[streams.peer[rows]]]

    def _insert(self, rows: Ints, slot: int) -> None:
        """Put the packets of one slot into the jitter buffer."""
        streams, data, count = self._streams, self._batch.data, len(rows)
        is_first = streams.tone_begun[rows] == _NOT_BEGUN
        streams.tone_begun[rows[is_first]] = slot
        self._counters.tones += int(is_first.sum())
        begun, offset = streams.tone_begun[rows], streams.tone_offset[rows]
        position = slot - begun
        tone, kind, marker = streams.tone[rows], streams.tone_type[rows], is_first * 128
        cells = self._batch.take(count).copy()
        data[cells, 0], data[cells, 1] = 0x80, marker | kind
        sound = _SOUND[_STARTS[tone] + position % _LENGTHS[tone]]
        data[cells, HEADER_BYTES : HEADER_BYTES + OCTETS] = sound
        self._batch.size[cells] = HEADER_BYTES + OCTETS
        headers = Headers(
            marker,
            np.full(count, OCTETS),
            kind,
            (offset + position) % MODULUS,
            _OWN_SSRC + begun,
            (offset + position * OCTETS) & 0xFFFFFFFF,
        )
        self._buffer.take(rows, headers, cells, slot / SLOTS)
        streams.scheduled_at[rows] += PACKET_S  # what comes next is played after it, not in it
        self._batch.give_back(cells[~self._buffer.holds(cells)])


def _slot_after(at: float) -> int:
    """Return the first slot that begins at a time or after it."""
    return int(np.ceil(at * SLOTS - _AT_ONCE))
