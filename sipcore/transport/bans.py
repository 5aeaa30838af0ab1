"""Bans: whose messages are dropped unread, until when, and how often before. Told the time.

Nothing is known here of why a source deserves it, or of firewalls: these are told.
"""

from collections.abc import Callable

from msgspec import Struct

FIRST_S = 60.0
GROWTH = 4.0  # each ban of the same source lasts so many times the last
LONGEST_S = 86_400.0
REMEMBERED_S = 86_400.0  # after its end a ban still makes the next one longer
MOST = 10_000


class Ban(Struct, frozen=True):
    """`source` is an IPv4 address or an IPv6 /64; `times` counts its bans, this one included.

    `since` and `until` are seconds on the clock of whoever banned; a lifted ban ends at once.
    """

    source: str
    reason: str
    since: float
    until: float
    times: int

    @property
    def length_s(self) -> float:
        return self.until - self.since


class Bans:
    """At most `most` bans, the ones that end first give way. `banned` hears of each new one,
    `lifted` of each that ends before its time."""

    def __init__(
        self,
        most: int = MOST,
        banned: Callable[[Ban], None] = lambda ban: None,
        lifted: Callable[[Ban], None] = lambda ban: None,
    ) -> None:
        self._most = most
        self._bans: dict[str, Ban] = {}
        self.banned = banned
        self.lifted = lifted
        self.count = 0  # of all that there ever were

    def add(self, source: str, reason: str, now: float) -> Ban:
        """Ban a source, longer each time. One that is banned stays as it is."""
        before = self._bans.get(source)
        if before is not None and before.until > now:
            return before
        times = 1 if before is None else before.times + 1
        length_s = min(FIRST_S * GROWTH ** min(times - 1, 20), LONGEST_S)
        if before is None and len(self._bans) >= self._most:
            self._make_room(now)
        ban = self._bans[source] = Ban(source, reason, now, now + length_s, times)
        self.count += 1
        self.banned(ban)
        return ban

    def until(self, source: str) -> float:
        """Return when a source's ban ends or ended; 0 where there is none."""
        ban = self._bans.get(source)
        return 0.0 if ban is None else ban.until

    def lift(self, source: str, now: float) -> bool:
        """End a ban and forget that it was; False where none is in force."""
        ban = self._bans.pop(source, None)
        if ban is None or ban.until <= now:
            return False
        self.lifted(ban)
        return True

    def active(self, now: float) -> list[Ban]:
        """Return what is in force, the latest first."""
        live = [ban for ban in self._bans.values() if ban.until > now]
        return sorted(live, key=lambda ban: -ban.since)

    def sweep(self, now: float) -> None:
        """Forget what ended long ago."""
        for source in [s for s, ban in self._bans.items() if ban.until + REMEMBERED_S <= now]:
            del self._bans[source]

    def __len__(self) -> int:
        return len(self._bans)

    def _make_room(self, now: float) -> None:
        """Let a tenth go at once: a full table must not be walked for each new ban."""
        first = sorted(self._bans.values(), key=lambda ban: ban.until)
        for ban in first[: max(1, self._most // 10)]:
            del self._bans[ban.source]
            if ban.until > now:
                self.lifted(ban)
