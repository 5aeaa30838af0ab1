"""The media engine: streams, a wire, and what the verbs say about them.

It is told the time and owns no clock, socket or process: tests drive it over a wire in memory.
"""

import errno
from collections import deque
from collections.abc import Sequence

import numpy as np
from msgspec import structs

from sipcore.ids import Ids
from sipcore.media import control
from sipcore.media.control import Description
from sipcore.media.jitter import JitterBuffer
from sipcore.media.player import Player
from sipcore.media.quality import StreamState, Totals
from sipcore.media.relay import RELATCH_S, Relay
from sipcore.media.rtcp import Reporter
from sipcore.media.streams import NOBODY, Call, Counters, Streams
from sipcore.media.tap import Tap
from sipcore.media.wire.base import Addresses, Wire

TICKS = 200  # a second: packets come and go by them
LINGER_S = 0.1  # without a packet, until ticks end
CARE_S = 0.25  # between looks at what is silent, and at what is to be reported
NTP_EPOCH_S = 2208988800  # 1900 to 1970
_AT_ONCE = 1e-3  # of a tick: what is so close to a deadline is there


class Engine:
    """Streams, a wire, and what the verbs say about them. Events wait for `poll`."""

    def __init__(
        self,
        wire: Wire,
        addresses: Addresses,
        ids: Ids,
        silence_s: float,
        wall_s: float = 0.0,
        tap: Tap | None = None,
        jitter_ms: tuple[int, int] = (20, 120),
    ) -> None:
        """`addresses` is the wire's; `wall_s` the time of day at the clock's 0, for RTCP.

        `tap` listens to the calls that are to be recorded; without one none is. `jitter_ms` are the
        bounds of the jitter buffer's delay.
        """
        self._tap = tap
        self.streams = Streams()
        self._wire = wire
        self._addresses = addresses
        self._ids = ids
        self._silence_s = silence_s
        self._ntp_s = wall_s + NTP_EPOCH_S
        self._calls: dict[str, Call] = {}
        self._legs: dict[int, tuple[str, control.Side]] = {}  # by the leg's first row
        self._counters = Counters()
        least, most = jitter_ms
        bounds_s = least / 1000, most / 1000
        self._buffer = JitterBuffer(self.streams, wire.batch, bounds_s, self._counters)
        self._relay = Relay(self.streams, wire, addresses, self._counters, self._buffer)
        self._relay.tap = tap
        self._player = Player(self.streams, wire.batch, self._buffer, ids, self._counters)
        self._reporter = Reporter(self.streams, wire, self._counters, ids.fraction)
        self._events: deque[control.Event] = deque()
        self._tick_at = np.inf
        self._care_at = 0.0
        self._packet_at = -np.inf
        self._is_behind = False
        self._held_until = -np.inf
        self._greatest_late_ms = 0.0

    def handle(self, verb: control.Verb, now: float) -> control.Reply | None:
        """Do what a verb says; return its reply, if it has one."""
        match verb:
            case control.Open():
                return self._open(verb, now)
            case control.Update():
                if (call := self._calls.get(verb.call)) is not None:
                    self._describe(call, verb.descriptions, now)
                    self._let_play(call, verb.play, now)
                return None
            case control.Record():
                if self._tap is not None and (call := self._calls.get(verb.call)) is not None:
                    self._tap.begin(verb, call.audio(), now)
                return None
            case control.Press():
                self._press(verb, now)
                return None
            case control.Close():
                return control.Closed(verb.id, self._close(verb.call, now))
            case control.List():
                calls = self._calls.values()
                return control.Listed(verb.id, {one.id: self._states(one, now) for one in calls})
            case control.Prove():
                return control.Proven(verb.id, self._heard_within(verb.within_s, now))
            case control.Metrics():
                return control.Measured(verb.id, self._totals())

    def _press(self, verb: control.Press, now: float) -> None:
        call = self._calls.get(verb.call)
        if call is None or not 0 <= verb.stream < len(call.rows):
            return
        row = int(self.streams.peer[call.rows[verb.stream]])
        if row != NOBODY and self._relay.events.press(row, verb, now) and not self.is_playing:
            self._tick_at = _next_tick(now)

    def _heard_within(self, seconds: float, now: float) -> dict[str, float]:
        """Return each call that was heard of late, and how long ago."""
        streams = self.streams
        rows = (streams.is_open & (now - streams.packet_at <= seconds)).nonzero()[0]
        leads, ages_s = streams.lead[rows].tolist(), (now - streams.packet_at[rows]).tolist()
        latest: dict[str, float] = {}
        for lead, age_s in zip(leads, ages_s, strict=True):
            call = self._legs[lead][0]
            latest[call] = min(age_s, latest.get(call, age_s))
        return latest

    def receive(self, now: float) -> int:
        """Take one batch off the wire, send on what may pass; return how many packets came."""
        count = self._wire.receive()
        if not count:
            return 0
        self._packet_at = now
        late_s = now - self._tick_at
        if late_s > 1 / TICKS:  # what waited drains a few packets a door and tick
            self._held_until = max(self._held_until, now + late_s / 4)
        self._buffer.is_held_up = self._is_behind or now < self._held_until
        self._is_behind = count == len(self._wire.batch)  # more waits, and longer than this
        if not self.is_playing:
            self._tick_at = _next_tick(now)
        self._counters.batches += 1
        self._counters.greatest_batch = max(self._counters.greatest_batch, count)
        doors = self._wire.batch.door[:count]
        rows = doors >> 1
        rtcp = (doors & 1).nonzero()[0]
        if len(rtcp):
            for at in rtcp.tolist():
                self._reporter.hear(int(rows[at]), at, now, now + self._ntp_s)
            rows[rtcp] = NOBODY
            self._wire.batch.size[self._wire.batch.cell[rtcp]] = 0  # no RTP, whatever it looks like
        self._relay.take(rows, now)
        for lead in self._relay.started:
            self._events.append(control.FirstPacket(*self._legs[lead]))
        self._relay.started.clear()
        self._tell_events()
        return count

    def _tell_events(self) -> None:
        told = self._relay.events.told
        while told:
            row, code, duration_ms = told.popleft()
            leg = self._legs[int(self.streams.lead[row])]
            self._events.append(control.Pressed(*leg, code, duration_ms))

    @property
    def is_playing(self) -> bool:
        """Whether packets come and go by the tick; if not, the next one is to be taken at once."""
        return self._tick_at < np.inf

    def tick(self, now: float) -> None:
        """Do what is due: packets to be played, and a few times a second all the rest."""
        if now >= self._player.next_at and self._player.play(now):
            self._packet_at = now  # ticks go on
            self._tick_at = min(self._tick_at, _next_tick(now))
        if now >= self._tick_at:
            self._play(now)
        if now >= self._care_at:
            self._care_at = now + CARE_S
            self._care(now)

    def _play(self, now: float) -> None:
        late_s = now - self._tick_at
        self._counters.ticks += 1
        self._counters.ticks_late_s += late_s
        self._greatest_late_ms = max(self._greatest_late_ms, late_s * 1000)
        self._relay.play(now)
        is_over = now - self._packet_at > LINGER_S and self._buffer.is_empty()
        self._tick_at = np.inf if is_over else _next_tick(now)

    def _care(self, now: float) -> None:
        """See to reports, silence, doors to be unlatched."""
        streams = self.streams
        self._relay.events.care(now)
        self._tell_events()
        quiet = now - streams.packet_at > RELATCH_S
        for row in np.flatnonzero(quiet & streams.is_latched).tolist():
            self._relay.unlatch(row)
        since = np.maximum(streams.heard_at, streams.told_at)
        silent = streams.is_sound_expected & (now - since >= self._silence_s)
        for lead in np.flatnonzero(silent).tolist():
            streams.told_at[lead] = now
            silent_s = now - streams.heard_at.item(lead)
            self._events.append(control.Silent(*self._legs[lead], silent_s))
        self._reporter.send_due(now, now + self._ntp_s)
        if self._tap is not None:
            self._tap.tick(now)

    def next_timeout(self) -> float:
        """Return when `tick` wants to be called."""
        return min(self._tick_at, self._care_at, self._player.next_at)

    def poll(self) -> control.Event | None:
        """Return the next event, or None."""
        if self._events:
            return self._events.popleft()
        return self._tap.poll() if self._tap is not None else None

    def close(self, now: float) -> None:
        """End every call, with an RTCP BYE to each leg."""
        for call in list(self._calls):
            self._close(call, now)
        if self._tap is not None:
            self._tap.close(now)

    def _open(self, verb: control.Open, now: float) -> control.Reply:
        """Bind the ports of all the streams, or of none."""
        taken, fault, rows = [], "", []
        for stream in verb.streams:
            row = self.streams.allocate()
            try:
                self._wire.open(row, stream.port)
                rows.append(row)
            except OSError as error:
                self.streams.free(row)
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    taken.append(stream.port)
                else:
                    fault = f"cannot open a media port: {error.strerror}"
        if taken or fault:
            for row in rows:
                self._wire.close(row)
                self.streams.free(row)
            return control.Opened(verb.id, tuple(taken), fault)
        call = self._calls.setdefault(verb.call, Call(verb.call, [], [], {}))
        call.streams += verb.streams
        call.rows += rows
        rows_of = {(s.side, s.media): row for s, row in zip(call.streams, call.rows, strict=True)}
        for lead, side in self.streams.pair(rows_of):
            self._legs[lead] = (call.id, side)
        for row in rows:
            self.streams.own_ssrc[row] = int(self._ids.token(8), 16)
            self.streams.cname[row] = np.frombuffer(self._ids.token(16).encode(), np.uint8)
            self._reporter.begin(row, now)
        self._describe(call, verb.descriptions, now)
        return control.Opened(verb.id)

    def _describe(self, call: Call, descriptions: Sequence[Description], now: float) -> None:
        streams = self.streams
        for one in descriptions:
            if not 0 <= one.stream < len(call.rows):
                continue
            row, was = call.rows[one.stream], call.descriptions.get(one.stream)
            call.descriptions[one.stream] = one
            streams.clock_rates[row] = one.clock_rate
            for payload_type, rate in one.other_rates:
                streams.clock_rates[row, payload_type & 127] = rate
            if was is None or was.place() != one.place():
                self._relay.move(row, one, now)
            self._relay.set_mode(row, is_buffered=one.mode == "buffer", now=now)
            self._relay.events.heed(row, one.event_type, one.event_rate)
            streams.heard_at[streams.lead[row]] = now  # its signalling is a sign of life
        for lead in {int(streams.lead[row]) for row in call.rows}:
            streams.is_sound_expected[lead] = any(
                one.is_sound_expected
                for number, one in call.descriptions.items()
                if streams.lead[call.rows[number]] == lead
            )

    def _let_play(self, call: Call, play: control.Play | None, now: float) -> None:
        known = play is not None and 0 <= play.stream < len(call.rows)
        row = call.rows[play.stream] if play is not None and known else None
        if call.played is not None and call.played != row:
            self._player.end(call.played)
        call.played = row
        if play is not None and row is not None:
            self._player.begin(row, play, now)

    def _close(self, call_id: str, now: float) -> tuple[StreamState, ...]:
        if (call := self._calls.pop(call_id, None)) is None:
            return ()
        if self._tap is not None:
            self._tap.end(call_id, now)
        states, rows = self._states(call, now), np.array(call.rows)
        self._reporter.send(rows, now, now + self._ntp_s, bye=True)
        self._counters.lost += int(self.streams.lost(rows).sum())
        self._counters.octets_received += int(self.streams.octets[rows].sum())
        self._counters.foreign += int(self.streams.foreign[rows].sum())
        self._counters.late += int(self.streams.late[rows].sum())
        for row in call.rows:
            self._legs.pop(row, None)
            self._relay.close(row)
        return states

    def _states(self, call: Call, now: float) -> tuple[StreamState, ...]:
        figures = zip(call.rows, call.streams, strict=True)
        return tuple(
            StreamState(
                stream.side,
                stream.media,
                stream.port,
                *self._relay.remote(row, call.descriptions.get(number)),
                **self.streams.figures(row, now),
                delay_ms=float(self._buffer.delay_s(np.array([row]))[0]) * 1000,
            )
            for number, (row, stream) in enumerate(figures)
        )

    def _totals(self) -> Totals:
        streams = self.streams
        rows = np.flatnonzero(streams.is_open)
        counted = structs.asdict(self._counters)
        counted["lost"] += int(streams.lost(rows).sum())
        counted["octets_received"] += int(streams.octets[rows].sum())
        counted["foreign"] += int(streams.foreign[rows].sum())
        counted["late"] += int(streams.late[rows].sum())
        heard = rows[streams.has_source[rows]]
        delays_ms = self._buffer.delay_s(heard[streams.is_buffered[heard]]) * 1000
        return Totals(
            calls=len(self._calls),
            streams=len(rows),
            greatest_late_ms=self._greatest_late_ms,
            jitter_ms=float(streams.jitter_s(heard).mean()) * 1000 if len(heard) else 0.0,
            delay_ms=float(delays_ms.mean()) if len(delays_ms) else 0.0,
            greatest_delay_ms=float(delays_ms.max(initial=0.0)),
            **counted,
            **(self._tap.counts() if self._tap is not None else {}),
        )


def _next_tick(now: float) -> float:
    """Return the next deadline: they are absolute, so that no lateness adds up."""
    return (int(now * TICKS + _AT_ONCE) + 1) / TICKS
