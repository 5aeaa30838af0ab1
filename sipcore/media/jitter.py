"""The jitter buffer of all streams: when each packet leaves, and under which header.

Packets stay in the cells that they came in; here stands, by cell, what is to become of them. No
socket, no clock, no loop over packets.

A packet is played at its timestamp on the source's clock plus its stream's `offset`. The offset is
`floor`, the least transit time seen lately, plus the delay: what nearly all packets of the window
needed beyond the floor, and a margin. It grows at once and shrinks in steps, or where a talk spurt
begins. Packets whose timestamps say nothing (telephone-event) follow their sequence.
"""

import numpy as np

from sipcore.media.arrivals import Arrivals, signed
from sipcore.media.rtp import HEADER_BYTES, MAX_DROPOUT, MAX_MISORDER, MODULUS, Headers
from sipcore.media.streams import WINDOW, Bools, Counters, Floats, Ints, Shorts, Streams
from sipcore.media.wire.base import Batch

EARLY_S = 0.0001  # what is due so soon need not wait for the next tick
MARGIN_S = 0.005  # at least, beyond what the window says,
MARGIN = 0.25  # or as a part of it: the next packet may come later than any before
SPARED = 1  # packets of the window that the delay need not be enough for
REVIEW = 32  # packets of a stream from one look at its window to the next
SHRINK_S = 0.005  # at most, in one look
SLACK_S = 0.001  # offsets closer to what is wanted stay: playout keeps to one grid
RESYNC_S = 0.5  # a transit time further off: the source's clock was set anew, or it had stood
SPACING_S = 0.020  # between packets, until it is known
MOST_SPACING_S = 0.060
LEAST_PTIME_S = 0.005
SPARE_HELD = 16
_UNITS = 16000  # of the window's figures, a second: 2 s either way fit into 16 bits
_DEFAULT_RATE = 8000


class JitterBuffer:
    """What waits: a column a figure, by cell.

    `row` is the stream it came from, `timestamp` the outgoing one, `octets` its payload's length.
    What the buffer knows of a stream stands in the table, `source_*` to `late`: `source_ticks` is
    its highest timestamp unwrapped, `sequence` the highest outgoing number, never wrapped, `shift`
    what is added to its timestamps, `played` the highest number that left, `scheduled_at` when the
    newest packet leaves.
    """

    def __init__(
        self, streams: Streams, batch: Batch, bounds_s: tuple[float, float], counters: Counters
    ) -> None:
        """`bounds_s` are the least and the greatest delay."""
        self.is_held_up = False  # this process came late: how packets came says nothing
        cells = len(batch.data)
        self.row = np.zeros(cells, np.int64)
        self.timestamp = np.zeros(cells, np.int64)
        self.octets = np.zeros(cells, np.int64)
        self._sequence = np.zeros(cells, np.int64)
        self._play_at = np.full(cells, np.inf)  # infinite where nothing waits
        self._top = 0  # in no cell from here on has anything ever waited
        self._streams = streams
        self._batch = batch
        self._halves = batch.data.view(">u2")
        self._words = batch.data.view(">u4")
        self._counters = counters
        self._least_s, self._most_s = bounds_s
        self._most_held = int(self._most_s / LEAST_PTIME_S) + SPARE_HELD

    def holds(self, cells: Ints) -> Bools:
        """Say in which of `cells` (n,) a packet waits."""
        return self._play_at[cells] < np.inf

    def is_empty(self) -> bool:
        """Say whether nothing waits."""
        return not (self._play_at[: self._top] < np.inf).any()

    def delay_s(self, rows: Ints) -> Floats:
        """Return how long packets of `rows` wait that come as fast as any. Shape of `rows`."""
        streams = self._streams
        knows = streams.is_buffered[rows] & (streams.source_rate[rows] > 0)
        return np.where(knows, streams.offset[rows] - streams.floor[rows], 0.0)

    def take(self, rows: Ints, headers: Headers, cells: Ints, now: float) -> None:
        """Take in packets, at most one of each stream: no row stands twice in `rows` (n,)."""
        streams = self._streams
        full = streams.held[rows] >= self._most_held
        if full.any():
            self._counters.overflowed += int(full.sum())
            picks = np.flatnonzero(~full)
            rows, headers, cells = rows[picks], headers.select(picks), cells[picks]
        came = Arrivals(streams, rows, headers, cells, now)
        same = streams.source_ssrc[rows] == headers.ssrc
        timed = same & (came.rate > 0) & (came.rate == streams.source_rate[rows])
        follows = same & (came.step > 0) & (came.step < MAX_DROPOUT)
        beyond = came.transit - streams.floor[rows]
        near = (np.abs(beyond) < RESYNC_S) | ((beyond > 0) & self.is_held_up)
        plain = timed & follows & near
        if plain.all():
            self._follow(came, now)
            return
        event = follows & (came.rate == 0)
        old = same & (came.step <= 0) & (came.step > -MAX_MISORDER) & (timed | (came.rate == 0))
        for kind, act in (
            (plain, self._follow),
            (event, self._follow_untimed),
            (old, self._insert),
            (~(plain | event | old), self._begin),
        ):
            if kind.any():
                act(came.select(kind), now)

    def due(self, now: float) -> tuple[Ints, Floats]:
        """Return the cells of what is to leave now and its playout times, (n,) each.

        Packets of one stream are in order. The cells are the caller's.
        """
        cells = np.flatnonzero(self._play_at[: self._top] <= now + EARLY_S)
        if not len(cells):
            return cells, np.zeros(0)
        streams = self._streams
        rows = self.row[cells]
        order = np.arange(len(cells))
        streams.turn[rows] = order
        first = np.ones(len(cells), np.bool_)
        if not (streams.turn[rows] == order).all():
            order = np.lexsort((self._sequence[cells], rows))
            cells, rows = cells[order], rows[order]
            first[1:] = (rows[1:] != rows[:-1]) | (np.diff(self._sequence[cells]) != 0)
        sequence = self._sequence[cells]
        fresh = first & (sequence > streams.played[rows])
        streams.played[rows] = np.maximum(streams.played[rows], sequence)
        np.subtract.at(streams.held, rows, 1)
        play_at = self._play_at[cells]
        self._play_at[cells] = np.inf
        if not fresh.all():
            np.add.at(streams.late, rows[~fresh], 1)
            self._batch.give_back(cells[~fresh])
            cells, play_at = cells[fresh], play_at[fresh]
        return cells, play_at

    def skip(self, rows: Ints, headers: Headers) -> None:
        """Leave packets out, at most one of each stream: what leaves has no gap where they were."""
        streams = self._streams
        step = signed(headers.sequence - streams.source_sequence[rows], MODULUS)
        ahead = (streams.source_ssrc[rows] == headers.ssrc) & (step > 0) & (step < MAX_DROPOUT)
        streams.source_sequence[rows[ahead]] = headers.sequence[ahead]

    def lay(self, row: int, cells: Ints, step_s: float, now: float) -> float:
        """Let packets of ours leave in a stream, one every `step_s`, after all that waits.

        They lie in `cells` (n,), whole but for number, timestamp and SSRC; all have one timestamp:
        the moment that the first is played, `step_s` before it leaves. Returns until when what
        comes from the stream's source would be played before they are gone.
        """
        streams, count = self._streams, len(cells)
        self._have_clock(row, now)
        rate = int(streams.source_rate[row])
        begin = max(now, float(streams.scheduled_at[row]))
        ticks = round((begin - float(streams.offset[row])) * rate)
        ticks = max(ticks, int(streams.source_ticks[row] + max(streams.source_gap[row], 0)))
        play_at = begin + step_s * np.arange(1, count + 1)
        sequence = streams.sequence[row] + np.arange(1, count + 1)
        timestamp = ticks + int(streams.shift[row]) & 0xFFFFFFFF
        self.row[cells] = row
        self.timestamp[cells] = timestamp
        self.octets[cells] = self._batch.size[cells] - HEADER_BYTES
        self._sequence[cells] = sequence
        self._play_at[cells] = play_at
        self._halves[cells, 1] = sequence
        self._words[cells, 1] = timestamp
        self._words[cells, 2] = streams.own_ssrc[streams.peer[row]]
        self._top = max(self._top, int(cells.max()) + 1)
        streams.sequence[row] += count
        streams.held[row] += count
        streams.scheduled_at[row] = end = float(play_at[-1])
        streams.source_ticks[row] = ticks + round((end - begin) * rate)
        return end + step_s / 2 - float(self._delay(np.array([row]))[0])

    def _have_clock(self, row: int, now: float) -> None:
        """Begin a clock and a numbering of our own in a stream whose source has none yet."""
        streams = self._streams
        own = int(streams.own_ssrc[streams.peer[row]])
        if streams.sequence[row] == 0:
            streams.sequence[row] = MODULUS + (own & 0x7FFF)
            streams.source_ticks[row] = own & 0xFFFFFF
        if streams.source_rate[row] == 0:  # of one who has sent events alone, time goes on
            played_at = float(streams.scheduled_at[row])
            at = played_at if played_at > -np.inf else now + self._least_s
            streams.source_rate[row] = _DEFAULT_RATE
            streams.offset[row] = at - streams.source_ticks[row] / _DEFAULT_RATE
            streams.floor[row] = streams.offset[row] - self._least_s

    def hurry(self, row: int, now: float) -> None:
        """Let all that waits of a stream leave now."""
        self._hurry(np.array([row]), now)

    def drop(self, row: int) -> None:
        """Forget all that waits of a stream: it never leaves."""
        cells = self._waiting(np.array([row]))
        self._play_at[cells] = np.inf
        self._streams.held[row] = 0
        self._batch.give_back(cells)

    def _hurry(self, rows: Ints, now: float) -> None:
        cells = self._waiting(rows)
        self._play_at[cells] = np.minimum(self._play_at[cells], now)

    def _waiting(self, rows: Ints) -> Ints:
        """Return the cells in which packets of `rows` wait."""
        is_meant = np.zeros(self._streams.capacity, np.bool_)
        is_meant[rows] = True
        mine = is_meant[self.row[: self._top]]
        return np.flatnonzero(mine & (self._play_at[: self._top] < np.inf))

    def _follow(self, came: Arrivals, now: float) -> None:
        """Take packets that go on where their streams are, or some way further."""
        streams, rows = self._streams, came.rows
        floor = np.minimum(streams.floor[rows], came.transit)
        most = floor + self._most_s
        if came.headers.marker.any():  # a talk spurt begins
            is_spurt = came.headers.marker > 0
            most = np.where(is_spurt, floor + streams.wanted[rows], most)
        streams.floor[rows] = floor
        streams.offset[rows] = np.minimum(streams.offset[rows], most)
        self._judge(rows, came.transit)
        play_at = now - came.transit + streams.offset[rows]
        play_at = np.maximum(play_at, streams.scheduled_at[rows])
        streams.source_gap[rows] = came.gap
        streams.source_ticks[rows] = came.ticks
        self._append(came, play_at, now)

    def _follow_untimed(self, came: Arrivals, now: float) -> None:
        """Take packets that go on, but whose timestamps say nothing (RFC 4733 2.2).

        Each is played one packet's time after the one before, as far as its arrival allows that:
        it was made no later than it came less the floor, and no earlier than nearly all packets.
        """
        streams, rows = self._streams, came.rows
        streams.event_at[rows] = now
        delay = self._delay(rows)
        _, needed = self._look(rows)
        spread = np.minimum(needed, delay)
        before = streams.scheduled_at[rows]
        play_at = before + came.step * self._spacing(rows)
        play_at = np.clip(play_at, now + delay - spread, now + delay)
        self._append(came, np.maximum(play_at, before), now)

    def _append(self, came: Arrivals, play_at: Floats, now: float) -> None:
        """Keep packets that are the newest of their streams."""
        streams, rows = self._streams, came.rows
        sequence = streams.sequence[rows] + came.step
        streams.sequence[rows] = sequence
        streams.source_sequence[rows] = came.headers.sequence
        streams.scheduled_at[rows] = play_at
        self._keep(came, sequence, play_at, now)

    def _insert(self, came: Arrivals, now: float) -> None:
        """Take packets that come after their successors, where those have not been played."""
        streams, rows = self._streams, came.rows
        # A stamp that is far off says nothing: such a packet follows its sequence.
        timed = (came.rate > 0) & (np.abs(came.transit - streams.floor[rows]) < RESYNC_S)
        newest = streams.scheduled_at[rows]
        guess = newest + came.step * self._spacing(rows)
        play_at = np.where(timed, now - came.transit + streams.offset[rows], guess)
        if timed.any():
            self._judge(rows[timed], came.transit[timed])
        sequence = streams.sequence[rows] + came.step
        repeated = came.step == 0
        late = (sequence <= streams.played[rows]) & ~repeated
        streams.late[rows[late]] += 1
        fits = ~(late | repeated)
        self._keep(came.select(fits), sequence[fits], np.minimum(play_at, newest)[fits], now)

    def _begin(self, came: Arrivals, now: float) -> None:
        """Begin a source, a clock or a numbering anew; what leaves goes on without a jump.

        The delay stays what it was: the way here is likely the same.
        """
        streams, rows, headers = self._streams, came.rows, came.headers
        is_first = streams.sequence[rows] == 0
        follows = (streams.source_ssrc[rows] == headers.ssrc) & (came.step > 0)
        follows &= came.step < MAX_DROPOUT
        delay = self._delay(rows)
        play_at = np.maximum(now + delay, streams.scheduled_at[rows])
        ticks = self._set_clock(came, play_at, is_first, follows)
        streams.source_ssrc[rows] = headers.ssrc
        streams.source_rate[rows] = came.rate
        streams.source_ticks[rows] = ticks
        transit = now - ticks / np.maximum(came.rate, 1)
        streams.floor[rows] = transit
        streams.offset[rows] = transit + delay
        streams.wanted[rows] = delay
        streams.source_gap[rows] = 0
        streams.judged[rows] = 0
        streams.window[rows] = _figures(transit)[:, None]
        # One cycle up, so that what came before the very first packet has a number too.
        streams.sequence[rows] += np.where(is_first, headers.sequence + MODULUS, 0)
        came.step = np.where(is_first, 0, np.where(follows, came.step, 1))
        self._append(came, play_at, now)

    def _set_clock(self, came: Arrivals, play_at: Floats, is_first: Bools, follows: Bools) -> Ints:
        """Choose the shift of timestamps that begin anew; return them, unwrapped where they go on.

        A source that had only stood (hold) goes on with its own; so does one that sent nothing but
        events till now. Any other continues in the time that passes here.
        """
        streams, rows = self._streams, came.rows
        was, before = streams.source_rate[rows], streams.source_ticks[rows]
        stood = (was == came.rate) & (came.ticks >= before) & (came.transit > streams.floor[rows])
        goes_on = follows & ((was == 0) | stood)
        rate = np.where(came.rate > 0, came.rate, np.where(was > 0, was, _DEFAULT_RATE))
        at = np.where(was > 0, before / np.maximum(was, 1) + streams.offset[rows], play_at)
        passed = np.maximum(np.rint((play_at - at) * rate), 1).astype(np.int64)
        ticks = np.where(goes_on, came.ticks, came.headers.timestamp)
        shift = before + streams.shift[rows] + passed - ticks
        streams.shift[rows] = np.where(is_first, 0, np.where(goes_on, streams.shift[rows], shift))
        return ticks

    def _keep(self, came: Arrivals, sequence: Ints, play_at: Floats, now: float) -> None:
        """Let packets wait, with the header they are to leave with already on them."""
        streams, rows, cells = self._streams, came.rows, came.cells
        if not len(rows):
            return
        if self._batch.free_count < len(self._batch):
            play_at = np.minimum(play_at, now)  # no cells to spare: better at once than not
            self._hurry(rows, now)
        timestamp = (came.headers.timestamp + streams.shift[rows]) & 0xFFFFFFFF
        self.row[cells] = rows
        self.timestamp[cells] = timestamp
        self.octets[cells] = came.headers.octets
        self._sequence[cells] = sequence
        self._play_at[cells] = play_at
        self._halves[cells, 1] = sequence  # these wrap by themselves
        self._words[cells, 1] = timestamp
        self._words[cells, 2] = streams.own_ssrc[streams.peer[rows]]
        streams.held[rows] += 1
        self._top = max(self._top, int(cells.max()) + 1)

    def _delay(self, rows: Ints) -> Floats:
        """Return the present delay, the least one where no clock is known."""
        streams = self._streams
        delay = streams.offset[rows] - streams.floor[rows]
        return np.where(streams.source_rate[rows] > 0, delay, 0).clip(self._least_s, self._most_s)

    def _spacing(self, rows: Ints) -> Floats:
        """Return the time from one packet to the next, as far as it is known."""
        streams = self._streams
        spacing = streams.source_gap[rows] / np.maximum(streams.source_rate[rows], 1)
        return np.where(spacing > 0, np.minimum(spacing, MOST_SPACING_S), SPACING_S)

    def _judge(self, rows: Ints, transit: Floats) -> None:
        """Note transit times; look at the windows of those due for it, or that came too late."""
        if self.is_held_up:
            return
        streams = self._streams
        judged = streams.judged[rows]
        streams.window[rows, judged & (WINDOW - 1)] = _figures(transit)
        judged += 1
        streams.judged[rows] = judged
        is_due = judged & (REVIEW - 1) == 0
        offset = streams.offset[rows]
        is_short = transit + MARGIN_S > offset
        is_short &= offset < streams.floor[rows] + self._most_s - SLACK_S  # else it cannot grow
        picks = np.flatnonzero(is_due | is_short)
        if len(picks):
            self._review(rows[picks], is_due[picks])

    def _review(self, rows: Ints, may_shrink: Bools) -> None:
        """Follow the windows of `rows` (n,) with floor, wanted delay and offset."""
        streams = self._streams
        lowest, needed = self._look(rows)
        wanted = needed + np.maximum(needed * MARGIN, MARGIN_S)
        wanted = np.clip(wanted, self._least_s, self._most_s)
        floor = streams.floor[rows] + lowest
        offset = streams.offset[rows]
        surplus = offset - floor - wanted
        shrinks = may_shrink & (surplus > SLACK_S)
        step = np.where(shrinks, np.minimum(surplus, SHRINK_S), 0.0)
        streams.floor[rows] = floor
        streams.wanted[rows] = wanted
        streams.offset[rows] = offset - np.where(surplus < -SLACK_S, surplus, step)

    def _look(self, rows: Ints) -> tuple[Floats, Floats]:
        """Return where the windows of `rows` (n,) begin, in seconds above their floors, and how
        far from there nearly all of each goes.
        """
        streams = self._streams
        # In 16 bits this wraps, as it should.
        beyond = streams.window[rows] - _figures(streams.floor[rows])[:, None]
        lowest = beyond.min(axis=1) / _UNITS
        beyond.partition(WINDOW - 1 - SPARED, axis=1)
        return lowest, beyond[:, WINDOW - 1 - SPARED] / _UNITS - lowest


def _figures(seconds: Floats) -> Shorts:
    """Return times in the window's units, wrapped to its 16 bits."""
    units = (seconds * _UNITS).astype(np.int64)
    return units.astype(np.int16)
