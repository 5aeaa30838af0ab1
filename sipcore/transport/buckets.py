"""Rates: a token bucket, and one of the node's in which strangers have no more than their part.

Told the time; knows numbers alone.
"""

UNPROVEN_PART = 0.5  # of a node's rate, for what may come from made-up addresses
STRANGERS_PART = 0.25  # of these, for addresses that nobody knows
PEERS_PART = 0.75  # of a node's rate, for one carrier or trunk
MOST_PEERS = 10_000
NEWCOMERS_PART = 0.25  # for strangers who prove their address and have not signed in yet


class TokenBucket:
    """At most `rate_per_s` on average, `burst` at once. Told the time."""

    __slots__ = ("_burst", "_filled_at", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._filled_at = 0.0

    def take(self, now: float) -> bool:
        """Take a token; False when none is left."""
        passed_s = now - self._filled_at
        if passed_s > 0:
            self._tokens = min(self._burst, self._tokens + passed_s * self._rate_per_s)
            self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class SharedBucket:
    """A rate of the node's that strangers cannot use up, nor who writes addresses of others.

    Who is known and proves its source is in for all of it; who is known alone for half; strangers
    for a quarter, and once more for another where they prove theirs: anybody can open a connection.
    """

    def __init__(self, rate_per_s: float, burst_s: float) -> None:
        def part(share: float) -> TokenBucket:
            rate = rate_per_s * share
            return TokenBucket(rate, max(1.0, rate * burst_s))

        self._all = part(1.0)
        self._unproven = part(UNPROVEN_PART)
        self._strangers = part(STRANGERS_PART)
        self._newcomers = part(NEWCOMERS_PART)

    def take(self, now: float) -> bool:
        """Take a token for what has its part."""
        return self._all.take(now)

    def takes_proven(self, now: float, *, is_known: bool) -> bool:
        """Tell whether there is a part left for what proves its source. `take` comes after it."""
        return is_known or self._newcomers.take(now)

    def takes_unproven(self, now: float, *, is_known: bool) -> bool:
        """Tell whether there is a part left for what proves nothing. `take` comes after it."""
        return (is_known or self._strangers.take(now)) and self._unproven.take(now)


class PeersBucket:
    """A rate of the node's of which no single carrier or trunk has all: a PBX that dials without
    end leaves the others theirs."""

    def __init__(self, rate_per_s: float, burst_s: float) -> None:
        self._all = TokenBucket(rate_per_s, max(1.0, rate_per_s * burst_s))
        self._part = (rate_per_s * PEERS_PART, max(1.0, rate_per_s * burst_s * PEERS_PART))
        self._peers: dict[tuple[str, str], TokenBucket] = {}

    def take(self, now: float, peer: tuple[str, str] | None = None) -> bool:
        """Take a token, for a peer or for anybody else; False when none is left."""
        if peer is not None:
            bucket = self._peers.get(peer)
            if bucket is None:
                if len(self._peers) >= MOST_PEERS:
                    self._peers.clear()
                bucket = self._peers[peer] = TokenBucket(*self._part)
            if not bucket.take(now):
                return False
        return self._all.take(now)
