"""How many connections a stream transport keeps, whose, and how long they may say nothing."""

from typing import NamedTuple


class Bounds(NamedTuple):
    """Those of one listening address. Times in seconds."""

    connections: int = 20_000
    strangers: int = 5_000  # of these, connections that nobody has vouched for yet
    of_one_source: int = 1_000
    strangers_of_one_source: int = 200  # an office whose phones all come at once, and wait for 401
    handshake_s: float = 8.0
    upgrade_s: float = 10.0  # the handshake of a WebSocket
    message_s: float = 15.0  # a message that was begun takes no longer
    stranger_s: float = 60.0  # without a whole message, while nobody vouches for it
    idle_s: float = 3 * 3600.0  # more than the longest registration
    ping_s: float = 25.0  # of silence; browsers answer by themselves, and proxies keep the way open
    dead_s: float = 80.0  # without an answer to three of these
    look_s: float = 5.0  # between two looks at all of them
