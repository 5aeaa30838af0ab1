"""The only place that draws random numbers. Tests hand in a seeded source."""

import os
from collections.abc import Callable

USUAL_CHARS = 16  # of tags and branches
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # RFC 9562 4.1


class Ids:
    """Tokens that nobody can guess and that never repeat.

    `entropy(n)` returns n random bytes; the operating system's by default, drawn 4 KiB at a time
    because a call needs a dozen tokens and a system call each would be the dearest part of them.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._pool = ""
        self._used = 0
        self._tokens: list[str] = []  # of the usual length

    def token(self, chars: int = USUAL_CHARS) -> str:
        """Return `chars` random hexadecimal digits (4 bits each)."""
        if chars == USUAL_CHARS:
            if not self._tokens:
                self._tokens = self._entropy(4096).hex(" ", USUAL_CHARS // 2).split(" ")
            return self._tokens.pop()
        end = self._used + chars
        if end > len(self._pool):
            self._pool = self._entropy(4096).hex()
            self._used, end = 0, chars
        token = self._pool[self._used : end]
        self._used = end
        return token

    def fraction(self) -> float:
        """Return a number in [0, 1): for jitter and weighted choices."""
        return int(self.token()[:13], 16) / float(1 << 52)

    def record(self, wall_s: float) -> str:
        """Return an id that sorts by time: UUID version 7 (RFC 9562 5.7), as 32 hex digits."""
        drawn, more = self.token(), self.token()
        variant = _VARIANTS[more[0]]
        return f"{int(wall_s * 1000) & 0xFFFFFFFFFFFF:012x}7{more[1:4]}{variant}{drawn[1:]}"
