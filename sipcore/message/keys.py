"""Keys pressed on a telephone, as the body of an INFO: application/dtmf-relay and application/dtmf.

Knows the grammar of both, which no RFC has: they are as old as INFO (RFC 2976). Which leg is told
by INFO and which by RFC 4733 events is call/digits.py's.
"""

import re
from typing import Final

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.message import Request

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"

USUAL_MS = 160  # of a body that says nothing of it
LEAST_MS, MOST_MS = 40, 5000  # RFC 4733 2.5.2.3 has 40 ms as the shortest tone

KEYS = "0123456789*#ABCD"  # RFC 4733 3.2: by event code
FLASH = 16  # the hook, for a moment

_SIGNAL = re.compile(r"signal *= *(\S+)", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"duration *= *(\d{1,9})", re.ASCII | re.IGNORECASE)


class Key(Struct, frozen=True, gc=False):
    """A key, by its event code (RFC 4733 3.2), and how long it was down."""

    event: int
    duration_ms: int = USUAL_MS

    def to_body(self) -> bytes:
        """Write it as application/dtmf-relay."""
        signal = str(self.event) if self.event == FLASH else KEYS[self.event]
        return f"Signal={signal}\r\nDuration={self.duration_ms}\r\n".encode()


def tells_key(request: Request) -> bool:
    """Tell whether an INFO says that a key was pressed."""
    return request.content_type in (RELAY, PLAIN)


def key_in(request: Request) -> Key:
    """Read the key that an INFO tells of. Raises BadMessage for a body that tells of none.

    Either body may be written either way: `Signal=` and `Duration=` lines, or the key alone.
    """
    text = request.body.decode("utf-8", "replace").strip()
    signal, duration_ms = text, USUAL_MS
    if "=" in text:
        found = _SIGNAL.search(text)
        signal = "" if found is None else found[1]
        length = _DURATION.search(text)
        duration_ms = USUAL_MS if length is None else int(length[1])
    return Key(_event_of(signal), min(max(duration_ms, LEAST_MS), MOST_MS))


def _event_of(signal: str) -> int:
    if len(signal) == 1 and signal.upper() in KEYS:
        return KEYS.index(signal.upper())
    if signal.lower() in ("!", "hf", "flash"):
        return FLASH
    if signal.isdecimal() and signal.isascii() and len(signal) == 2 and int(signal) <= FLASH:
        return int(signal)  # 10 is *, 11 is #
    raise BadMessage("INFO tells of no key")
