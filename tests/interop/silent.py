"""A peer that hears everything and says nothing."""

import socket
import threading
import time
from contextlib import suppress

from tests.interop.ports import HOST

LOOK_S = 0.1


class Silent:
    """Takes the datagrams of a port. `heard`: when (seconds since 1970) and what."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(LOOK_S)
        self._socket.bind((HOST, port))
        self._is_over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> "Silent":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._is_over:
            with suppress(TimeoutError):
                self.heard.append((time.time(), self._socket.recv(65536)))
