"""Relay: the way of RTP packets through a worker, from strict source to the other leg.

No socket, no clock, no loop over packets. What a packet says is rtp.py's; when it leaves,
jitter.py's.
"""

import numpy as np

from sipcore.media.control import Description
from sipcore.media.events import Events
from sipcore.media.jitter import JitterBuffer
from sipcore.media.rtp import (
    Headers,
    count_packets,
    end_source,
    payload_starts,
    read_headers,
    rounds,
)
from sipcore.media.streams import NOBODY, Bools, Counters, Floats, Ints, Streams
from sipcore.media.tap import Heard, Tap
from sipcore.media.wire.base import Addresses, Remote, Wire, canonical

RELATCH_S = 1.0  # a leg silent for so long may speak from another port (architecture.md)


class Relay:
    """Takes what the wire brought, and sends what is to go on: at once, or when it is due.

    `started` collects the first rows of legs whose first packet came; who reads it empties it.
    """

    def __init__(
        self,
        streams: Streams,
        wire: Wire,
        addresses: Addresses,
        counters: Counters,
        buffer: JitterBuffer,
    ) -> None:
        self.started: list[int] = []
        self.tap: Tap | None = None
        self._streams = streams
        self._wire = wire
        self._addresses = addresses
        self._counters = counters
        self._buffer = buffer
        self.events = Events(streams, wire.batch, buffer)
        self._headers = Headers.empty(len(wire.batch))

    def take(self, rows: Ints, now: float) -> None:
        """Deal with the packets of the batch.

        `rows` (n,) are their streams; NOBODY for one that has been dealt with, whose size is 0.
        """
        batch, count = self._wire.batch, len(rows)
        cells = batch.cell[:count]
        headers = self._headers.select(slice(count))
        valid = read_headers(batch.data, cells, batch.size[cells], headers)
        admitted = valid & self._admit(rows, valid, now) if batch.senders else valid
        if admitted.all():
            self._hear(rows, headers, cells, now)
        else:
            self._counters.invalid += int((~valid & (rows != NOBODY)).sum())
            if admitted.any():
                picks = np.flatnonzero(admitted)
                self._hear(rows[picks], headers.select(picks), cells[picks], now)
        batch.give_back(cells[~self._buffer.holds(cells)])

    def play(self, now: float) -> None:
        """Send what the jitter buffer has due."""
        cells, play_at = self._buffer.due(now)
        if len(cells):
            self._play(cells, play_at, now)
            self._wire.batch.give_back(cells)

    def set_mode(self, row: int, *, is_buffered: bool, now: float) -> None:
        """Let what comes from a stream wait in the jitter buffer, or go on at once.

        What waits leaves first, so that nothing overtakes it.
        """
        if self._streams.is_buffered[row] and not is_buffered:
            self._buffer.hurry(row, now)
            self.play(now)
        self._streams.is_buffered[row] = is_buffered

    def move(self, row: int, one: Description, now: float) -> None:
        """Take in that a stream's speaker is (now) elsewhere: latch anew, by this description only.

        Packets still under way from the old port of the same host must not latch it again, so that
        source is shut out for a moment unless it is the one described.
        """
        streams = self._streams
        address = canonical(one.address)
        is_reachable = bool(address) and self._wire.reaches(address) and one.port > 0
        sources = [self._addresses.hold(text) for text in one.sources[:2]] if one.port else []
        for number in streams.sources[row].tolist():
            self._addresses.drop(number)
        streams.sources[row] = (*sources, 0, 0)[:2]
        if streams.is_latched[row]:
            old = streams.latched_address[row], streams.latched_port[row]
            if old != (self._addresses.number(address), one.port):
                streams.left_address[row], streams.left_port[row] = old
                streams.left_until[row] = now + RELATCH_S
        streams.is_latched[row] = False
        end_source(streams, row)
        streams.source_ssrc[row] = -1
        streams.is_described[row] = one.port > 0
        streams.is_sendable[row] = is_reachable
        remote: Remote | None = (address, one.port) if is_reachable else None
        self._wire.aim(2 * row, remote, is_latched=False)
        rtcp = (address, one.rtcp_port) if is_reachable and one.rtcp_port else None
        self._wire.aim(2 * row + 1, rtcp, is_latched=False)

    def close(self, row: int) -> None:
        """Forget a stream and its doors. What waits for its peer never leaves."""
        self._buffer.drop(row)
        self.events.forget(row)
        for number in self._streams.sources[row].tolist():
            self._addresses.drop(number)
        self._wire.close(row)
        self._streams.free(row)

    def remote(self, row: int, told: Description | None) -> Remote:
        """Return where a stream is sent to: the latched source, else what was described."""
        streams = self._streams
        if streams.is_latched[row]:
            address = self._addresses.text(int(streams.latched_address[row]))
            return address, int(streams.latched_port[row])
        return (told.address, told.port) if told is not None else ("", 0)

    def unlatch(self, row: int) -> None:
        """Let a silent leg speak from another port; until it does, send where it last was."""
        streams = self._streams
        address = self._addresses.text(int(streams.latched_address[row]))
        streams.is_latched[row] = False
        self._wire.aim(2 * row, (address, int(streams.latched_port[row])), is_latched=False)

    def _admit(self, rows: Ints, valid: Bools, now: float) -> Bools:
        """Say which packets (n,) come from where their stream is latched to; latch what may be.

        Strict source: a stream is latched to the first valid packet from an address that signalling
        named for it. The port is learnt (NAT). Everything else is foreign, counted, and goes
        nowhere. Packets of connected doors (port 0) were judged by the kernel.
        """
        streams, batch, count = self._streams, self._wire.batch, len(rows)
        ports = batch.port[:count]
        named = ports != 0
        addresses = batch.address[:count]
        allowed = (streams.sources[rows] == addresses[:, None]).any(axis=1)
        left = (streams.left_address[rows] == addresses) & (streams.left_port[rows] == ports)
        left &= streams.left_until[rows] > now
        may = valid & named & allowed & ~streams.is_latched[rows] & ~left
        if may.any():
            picks = np.flatnonzero(may)
            chosen, first = np.unique(rows[picks], return_index=True)
            for row, at in zip(chosen.tolist(), picks[first].tolist(), strict=True):
                self._latch(row, at)
        genuine: Bools = streams.is_latched[rows] & (streams.latched_address[rows] == addresses)
        genuine &= streams.latched_port[rows] == ports
        genuine |= ~named
        np.add.at(streams.foreign, rows[~genuine], 1)
        return genuine

    def _latch(self, row: int, at: int) -> None:
        streams, batch = self._streams, self._wire.batch
        streams.is_latched[row] = True
        streams.latched_address[row] = batch.address[at]
        streams.latched_port[row] = batch.port[at]
        streams.left_until[row] = -np.inf
        self._wire.aim(2 * row, batch.senders[at], is_latched=True)

    def _hear(self, rows: Ints, headers: Headers, cells: Ints, now: float) -> None:
        """Count genuine packets, note the signs of life of their legs, send on or keep each."""
        streams = self._streams
        for turn in rounds(streams, rows):
            if turn is None:
                self._take_in(rows, headers, cells, now)
            else:
                self._take_in(rows[turn], headers.select(turn), cells[turn], now)
        self._counters.packets_received += len(rows)
        streams.packet_at[rows] = now
        leads = streams.lead[rows]
        streams.heard_at[leads] = now
        if not streams.has_started[leads].all():
            for lead in np.unique(leads[~streams.has_started[leads]]).tolist():
                streams.has_started[lead] = True
                self.started.append(lead)

    def _take_in(self, rows: Ints, headers: Headers, cells: Ints, now: float) -> None:
        """Count, then keep or pass on, at most one packet of each stream."""
        again = count_packets(self._streams, rows, headers, now)
        if self.events.watched:
            picks = np.flatnonzero(self.events.sift(rows, headers, cells, now))
            rows, headers, cells = rows[picks], headers.select(picks), cells[picks]
            again = None if again is None else again[picks]
        waits = self._streams.is_buffered[rows]
        if not waits.all():
            picks = np.flatnonzero(~waits)
            self._pass(rows[picks], headers.select(picks), cells[picks], now)
            picks = np.flatnonzero(waits)
            if not len(picks):
                return
            rows, headers, cells = rows[picks], headers.select(picks), cells[picks]
            again = None if again is None else again[picks]
        if again is not None and again.any():
            picks = np.flatnonzero(~again)
            rows, headers, cells = rows[picks], headers.select(picks), cells[picks]
        if len(rows):
            self._buffer.take(rows, headers, cells, now)

    def _pass(self, rows: Ints, headers: Headers, cells: Ints, now: float) -> None:
        """Send packets on as they are: pass mode."""
        self._send(rows, cells, headers.ssrc, headers.timestamp, headers.octets, now)
        if self.tap is not None:
            self._show(rows, cells, headers.octets, headers.timestamp, np.full(len(rows), now))

    def _play(self, cells: Ints, play_at: Floats, now: float) -> None:
        """Send packets that the jitter buffer let go, with its header on them."""
        buffer, streams = self._buffer, self._streams
        rows, timestamps, octets = buffer.row[cells], buffer.timestamp[cells], buffer.octets[cells]
        self._send(rows, cells, streams.own_ssrc[streams.peer[rows]], timestamps, octets, now)
        if self.tap is not None:
            self._show(rows, cells, octets, timestamps, play_at)

    def _send(
        self, rows: Ints, cells: Ints, ssrc: Ints, timestamps: Ints, octets: Ints, now: float
    ) -> None:
        """Send packets of `rows` to their peers, those of one stream in the order given."""
        streams = self._streams
        peers = streams.peer[rows]
        sendable = streams.is_sendable[peers]
        if not sendable.all():
            peers, cells, ssrc, timestamps, octets = (
                one[sendable] for one in (peers, cells, ssrc, timestamps, octets)
            )
            if not len(peers):
                return
        unsent = self._wire.send(peers * 2, cells)
        self._counters.unsent += unsent
        self._counters.packets_sent += len(cells) - unsent
        changed = streams.sent_ssrc[peers] != ssrc
        if changed.any():
            fresh = peers[changed]
            streams.past_packets[fresh] = streams.sent_packets[fresh]
            streams.past_octets[fresh] = streams.sent_octets[fresh]
            streams.sent_ssrc[peers] = ssrc
        streams.sent_timestamp[peers] = timestamps
        streams.sent_at[peers] = now
        np.add.at(streams.sent_packets, peers, 1)
        np.add.at(streams.sent_octets, peers, octets)

    def _show(
        self, rows: Ints, cells: Ints, octets: Ints, timestamps: Ints, play_at: Floats
    ) -> None:
        """Show the tap what of these packets it listens to."""
        assert self.tap is not None
        picks = np.flatnonzero(self.tap.listened(rows))
        if not len(picks):
            return
        cells, octets = cells[picks], octets[picks]
        data = self._wire.batch.data
        at = payload_starts(data, cells)
        packets = data[:, : int((at + octets).max())][cells]
        types = packets[:, 1].astype(np.int64) & 127
        heard = Heard(rows[picks], packets, at, octets, types, timestamps[picks], play_at[picks])
        self.tap.hear(heard)
