"""Timeline: where in a recording the samples of a packet belong.

RTP timestamps say it to the sample; the moment of playing says when they do not any more (a new
source, a sender that set its clock anew, a shift of the jitter buffer).
"""

import numpy as np

from sipcore.media.streams import Floats, Ints

RATE = 8000
TOLERANCE = 160  # frames; 20 ms, a packet
JITTER = 1600  # frames; 200 ms, what may be one late packet and no shift
AHEAD = 4  # packets that must agree about a shift


class Timeline:
    """A row a track, which is one channel of one recording. Owned by whoever writes them."""

    def __init__(self, capacity: int = 64) -> None:
        self._origin: Floats = np.zeros(capacity)
        self._stamp: Ints = np.zeros(capacity, np.int64)
        self._frame: Ints = np.zeros(capacity, np.int64)
        self._has_anchor = np.zeros(capacity, np.bool_)

    def begin(self, track: int, origin: float) -> None:
        """Begin a track anew. `origin`: the moment of frame 0, seconds of the worker's clock."""
        while track >= len(self._origin):
            for name, column in vars(self).items():
                setattr(self, name, np.concatenate((column, np.zeros_like(column))))
        self._origin[track] = origin
        self._has_anchor[track] = False

    def place(self, tracks: Ints, timestamp: Ints, play_at: Floats) -> Ints:
        """Return the frame at which each packet begins, (n,) as the columns.

        `tracks` are sorted, the packets of each in the order in which they were heard. A frame may
        be negative: played before the recording began.
        """
        if not len(tracks):
            return np.zeros(0, np.int64)
        target = np.rint((play_at - self._origin[tracks]) * RATE).astype(np.int64)
        frames = self._frame[tracks] + _signed(timestamp - self._stamp[tracks])
        off = (np.abs(target - frames) > TOLERANCE) | ~self._has_anchor[tracks]
        for track in np.unique(tracks[off]).tolist():
            low, high = np.searchsorted(tracks, (track, track + 1)).tolist()
            stamps, targets = timestamp[low:high].tolist(), target[low:high].tolist()
            frames[low:high] = self._anchor(track, stamps, targets)
        last = np.flatnonzero(np.append(tracks[1:] != tracks[:-1], True))
        self._stamp[tracks[last]] = timestamp[last]
        self._frame[tracks[last]] = frames[last]
        self._has_anchor[tracks[last]] = True
        return frames

    def _anchor(self, track: int, stamps: list[int], targets: list[int]) -> list[int]:
        """Place one track's packets one by one, with a new anchor where they need one."""
        stamp, frame = int(self._stamp[track]), int(self._frame[track])
        if not self._has_anchor[track]:
            stamp, frame = stamps[0], targets[0]
        frames: list[int] = []
        newest = frame
        for at, its in enumerate(stamps):
            guess = frame + _signed_int(its - stamp)
            off = targets[at] - guess
            if TOLERANCE < abs(off) <= JITTER:  # one late packet, if those that follow are not
                following = zip(stamps[at : at + AHEAD], targets[at : at + AHEAD], strict=True)
                offs = [then - frame - _signed_int(one - stamp) for one, then in following]
                offs = [one for one in offs if abs(one) <= JITTER]  # another clock has no say
                off = max(0, min(offs)) + min(0, max(offs))  # as far as all of them agree
                if len(offs) < AHEAD and guess < newest:
                    off = 0  # reordered, and nobody there to say otherwise
            if abs(off) > TOLERANCE:
                guess += off
                stamp, frame = its, guess
            frames.append(guess)
            newest = max(newest, guess)
        return frames


def _signed(difference: Ints) -> Ints:
    """Return the difference of two 32-bit timestamps, -2^31 to 2^31 - 1: they wrap."""
    signed: Ints = (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    return signed


def _signed_int(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000
