"""How long one who guesses passwords must wait. Told the time; knows keys and counts alone."""

from collections import OrderedDict

from msgspec import Struct

FORGET_S = 600.0  # after the last failure
MOST = 20_000


class _Failures(Struct):
    """`until`: nothing that is tried before it is looked at."""

    count: int = 0
    last_at: float = 0.0
    until: float = 0.0


class Patience:
    """Failures by key. The first `free` cost nothing, then each doubles the wait, up to `most_s`.

    What has not failed for ten minutes is forgotten, and so is the oldest of too many.
    """

    def __init__(self, free: int, most_s: float, most: int = MOST) -> None:
        self._free = free
        self._most_s = most_s
        self._most = most
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def must_wait(self, key: str, now: float) -> bool:
        """Tell whether it is too early to try again."""
        found = self._failures.get(key)
        return found is not None and now < found.until

    def count(self, key: str, now: float) -> int:
        """Return how often a key has failed of late."""
        found = self._failures.get(key)
        return 0 if found is None or now - found.last_at > FORGET_S else found.count

    def fail(self, key: str, now: float) -> None:
        """Take note of a failure."""
        count = self.count(key, now) + 1
        wait_s = 0.0
        if count > self._free:
            wait_s = min(2.0 ** min(count - self._free - 1, 30), self._most_s)
        self._failures[key] = _Failures(count, now, now + wait_s)
        self._failures.move_to_end(key)
        while len(self._failures) > self._most or now - self._oldest_at() > FORGET_S:
            self._failures.popitem(last=False)

    def _oldest_at(self) -> float:
        return next(iter(self._failures.values())).last_at

    def forgive(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)
