"""Sound for SIPp's calls: RTP of PCMA from a port of ours, 50 packets a second."""

import re
import socket
import struct
import threading
import time
from itertools import pairwise

from tests.interop.ports import HOST
from tests.interop.sipp import Seen

PTIME_S = 0.02
SAMPLES = 160
PCMA = 8


def place_of(sdp: Seen) -> tuple[str, int]:
    """Return where a message's SDP wants the sound to be sent."""
    port = re.search(r"^m=audio (\d+) ", sdp.text, re.MULTILINE)
    address = re.search(r"^c=IN IP4 (\S+)", sdp.text, re.MULTILINE)
    assert port is not None
    assert address is not None
    return address[1], int(port[1])


def sound(number: int) -> bytes:
    """Return what a packet carries: its number, modulo 128, as a level."""
    return bytes([0x80 | number & 0x7F]) * SAMPLES


class Talker:
    """Sends RTP from a port until told to stop; counts what comes back."""

    def __init__(self, port: int, towards: tuple[str, int]) -> None:
        self.sent = 0
        self.heard_at: list[float] = []  # when a packet came, on the monotonic clock
        self.last_at = 0.0  # when the last packet was sent, seconds since 1970
        self.late_s = 0.0  # by how much the worst packet left later than it should
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, port))
        self._socket.connect(towards)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self) -> "Talker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._socket.close()

    @property
    def heard(self) -> int:
        return len(self.heard_at)

    def longest_gap_s(self, since: float) -> float:
        """Return the longest time without a packet between a moment (monotonic) and now."""
        at = [since, *(one for one in self.heard_at if one > since), time.monotonic()]
        return max(later - one for one, later in pairwise(at))

    def stop(self) -> None:
        """Fall silent."""
        self._over.set()
        self._thread.join()

    def _talk(self) -> None:
        next_on = time.monotonic()
        while not self._over.wait(max(0.0, next_on - time.monotonic())):
            self.late_s = max(self.late_s, time.monotonic() - next_on)
            head = struct.pack(">BBHII", 0x80, PCMA, self.sent & 0xFFFF, self.sent * SAMPLES, 7)
            try:
                self._socket.send(head + sound(self.sent))
                self.last_at = time.time()
                while self._socket.recv(2048, socket.MSG_DONTWAIT):
                    self.heard_at.append(time.monotonic())
            except OSError:  # nothing more is there, or nobody is there any more
                pass
            self.sent += 1
            next_on += PTIME_S
