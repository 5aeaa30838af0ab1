"""Messages out of a stream (RFC 3261 18.3): Content-Length cuts, CRLF CRLF is a keep-alive."""

import re

from sipcore.errors import BadMessage
from sipcore.message.parse import MOST_BODY_BYTES, MOST_HEAD_BYTES

PING = b"\r\n\r\n"
PONG = b"\r\n"
_LENGTH = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:(?:[ \t]|\r\n[ \t])*+([0-9]{1,9})[ \t]*+(?=\r\n(?![ \t]))",
    re.IGNORECASE,
)


class Framer:
    """Bytes of one connection in, whole messages out. Holds at most one unfinished message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._size = 0  # of the message whose head is whole; 0 before that

    @property
    def is_within(self) -> bool:
        """True while an unfinished message waits for the rest of it."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; return the whole messages, PING for each double CRLF between them.

        Raises BadMessage when the stream cannot be cut any more: the connection must be closed.
        """
        self._buffer += data
        found: list[bytes] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if self._size:
            return self._take() if len(buffer) >= self._size else None
        if buffer[:2] == b"\r\n":
            if buffer[:4] == PING:
                del buffer[:4]
                return PING
            if len(buffer) < 4 and PING.startswith(buffer):
                return None
            del buffer[:2]  # a stray CRLF before a start line (RFC 3261 7.5), or a pong
            return self._next()
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MOST_HEAD_BYTES:
                raise BadMessage("head too large", 513)
            return None
        if end > MOST_HEAD_BYTES:
            raise BadMessage("head too large", 513)
        found = _LENGTH.findall(buffer, 0, end + 4)
        if len(found) != 1:
            raise BadMessage("no Content-Length on a stream, or several")
        if int(found[0]) > MOST_BODY_BYTES:
            raise BadMessage("body too large", 513)
        self._size = end + 4 + int(found[0])
        return self._next()

    def _take(self) -> bytes:
        message = bytes(self._buffer[: self._size])
        del self._buffer[: self._size]
        self._searched = self._size = 0
        return message
