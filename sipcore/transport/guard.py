"""What is let in: a bucket of tokens. (Bans and buckets a source belong here too.)"""


class TokenBucket:
    """At most `rate_per_s` on average, `burst` at once. Told the time."""

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
