"""sipcore's media worker as a relay under test: the real process, driven by its control socket."""

import contextlib
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from bench.node import NodeFault
from bench.relay import FIRST_PORT, READY_S, RELAY_ADDRESS, Phone, Process
from sipcore.media import control, offer
from sipcore.media.control import Close, Closed, Description, Open, Opened, Stream, Verb
from sipcore.media.worker import Settings
from sipcore.message.sdp import parse_sdp

ASK_S = 10.0
SILENCE_S = 60.0
AT_ONCE = 64  # verbs in flight


class Worker:
    """`python -m sipcore.serve media-0`, as the supervisor starts it, with default settings."""

    name = "sipcore"

    def __init__(self, folder: Path, core: int) -> None:
        self._path = folder / "media-0.sock"
        self._log = folder / "media-0.log"
        self._core = core
        self._calls = 0

    def __enter__(self) -> Self:
        argv = (sys.executable, "-m", "sipcore.serve", "media-0")
        self._process = Process(argv, self._core, self._log)
        try:
            settings = Settings(str(self._path), RELAY_ADDRESS, SILENCE_S)
            self._process.tell(msgspec.json.encode(settings))
            self._link = self._reach()
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()
        self._process.stop()
        self._path.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def open(self, phones: Sequence[Phone]) -> list[int]:
        ports = [FIRST_PORT + 2 * number for number in range(len(phones))]
        self._calls = len(phones) // 2
        verbs = [
            _open(call, phones[2 * call : 2 * call + 2], ports[2 * call])
            for call in range(self._calls)
        ]
        for reply in self._ask(verbs):
            if not isinstance(reply, Opened) or reply.taken or reply.fault:
                raise NodeFault(f"sipcore's worker opened no call: {reply}")
        return ports

    def close(self) -> None:
        replies = self._ask([Close(call, str(call)) for call in range(self._calls)])
        if not all(isinstance(one, Closed) and len(one.streams) == 2 for one in replies):
            raise NodeFault("sipcore's worker has lost calls")

    def cpu_s(self) -> float:
        return self._process.cpu_s()

    def _reach(self) -> socket.socket:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self._process.check()
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            link.settimeout(ASK_S)
            with contextlib.suppress(OSError):
                link.connect(str(self._path))
                return link
            link.close()
            time.sleep(0.02)
        raise NodeFault(f"sipcore's worker is not ready: {self._process.last_words()}")

    def _ask(self, verbs: Sequence[Verb]) -> list[control.Reply]:
        """Say verbs that each have a reply; return the replies. Events are passed over."""
        replies: list[control.Reply] = []
        inward = bytearray()
        for first in range(0, len(verbs), AT_ONCE):
            some = verbs[first : first + AT_ONCE]
            outward = bytearray()
            for verb in some:
                control.write_frame(outward, verb)
            self._send(outward)
            while len(replies) < first + len(some):
                inward += self._receive()
                replies += [
                    one
                    for one in control.read_answers(inward)
                    if isinstance(one, Opened | Closed | control.Listed | control.Measured)
                ]
        return replies

    def _send(self, frames: bytes | bytearray) -> None:
        try:
            self._link.sendall(frames)
        except OSError as fault:
            raise NodeFault(f"sipcore's worker: {fault}: {self._process.last_words()}") from None

    def _receive(self) -> bytes:
        try:
            data = self._link.recv(1 << 18)
        except OSError as fault:
            raise NodeFault(f"sipcore's worker: {fault}") from None
        if not data:
            raise NodeFault(f"sipcore's worker is gone: {self._process.last_words()}")
        return data


def _open(call: int, phones: Sequence[Phone], port: int) -> Open:
    """Open both streams of a call, both sides described as signalling would do it."""
    said = [offer.read(parse_sdp(one.sdp()), one.address) for one in phones]
    descriptions: list[Description] = [
        offer.describe(0, 0, said[0], said[1]),
        offer.describe(1, 0, said[1], said[0]),
    ]
    streams = (Stream("a", 0, port), Stream("b", 0, port + 2))
    return Open(call, str(call), streams, tuple(descriptions))
