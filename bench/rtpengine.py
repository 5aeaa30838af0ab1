"""rtpengine as a relay under test: its process, in user space alone, and its ng protocol.

ng: datagrams of a cookie, a blank and a bencoded dictionary (rtpengine(8), "The NG protocol").
"""

import contextlib
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Self

from bench.node import NodeFault, free_port
from bench.relay import FIRST_PORT, LAST_PORT, READY_S, RELAY_ADDRESS, Phone, Process
from sipcore.message.sdp import parse_sdp

PROGRAM = "rtpengine"
PACKAGE = "rtpengine-daemon"
ASK_S = 1.0
TRIES = 5
NG_ADDRESS = "127.0.0.1"
OPTIONS = (
    "--config-file=none",
    "--table=-1",  # no kernel module: every packet passes through user space
    "--foreground",
    "--log-stderr",
    "--log-level=3",  # errors
    "--endpoint-learning=immediate",  # by the first packet, as sipcore latches
    "--delete-delay=0",
    "--num-threads=1",
    "--media-num-threads=0",
)

Value = bytes | str | int | Sequence["Value"] | Mapping[str, "Value"]
Decoded = bytes | int | list["Decoded"] | dict[str, "Decoded"]


def is_there() -> bool:
    return shutil.which(PROGRAM) is not None


def encode(value: Value) -> bytes:
    """Write bencoding. Keys are sorted, as it wants them."""
    match value:
        case bytes():
            return b"%d:%b" % (len(value), value)
        case str():
            return encode(value.encode())
        case int():
            return b"i%de" % value
        case Mapping():
            pairs = sorted((key.encode(), one) for key, one in value.items())
            return b"d%be" % b"".join(encode(key) + encode(one) for key, one in pairs)
        case _:
            return b"l%be" % b"".join(map(encode, value))


def decode(data: bytes) -> Decoded:
    """Read bencoding, strings as bytes, keys as text. Raises ValueError for what is none."""
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError("bencoding: more than one value")
    return value


def _decode(data: bytes, at: int) -> tuple[Decoded, int]:
    """Return the value that begins at `at`, and where it ends."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        values, at = [], at + 1
        while data[at : at + 1] != b"e":
            value, at = _decode(data, at)
            values.append(value)
        return (values if kind == b"l" else _pairs(values)), at + 1
    colon = data.index(b":", at)
    begin, length = colon + 1, int(data[at:colon])
    if not 0 <= length <= len(data) - begin:
        raise ValueError("bencoding: a string is cut off")
    return data[begin : begin + length], begin + length


def _pairs(values: list[Decoded]) -> dict[str, Decoded]:
    keys = [key.decode() for key in values[::2] if isinstance(key, bytes)]
    if len(keys) * 2 != len(values):
        raise ValueError("bencoding: a key that is no string, or without a value")
    return dict(zip(keys, values[1::2], strict=True))


class Rtpengine:
    """rtpengine as fast as it goes here: one thread, errors logged, nothing recorded."""

    name = "rtpengine"

    def __init__(self, folder: Path, core: int, options: Sequence[str] = OPTIONS) -> None:
        self._log = folder / "rtpengine.log"
        self._core, self._options = core, options
        self._cookies = count(1)
        self._calls = 0

    def __enter__(self) -> Self:
        port = free_port()
        argv = (
            PROGRAM, *self._options, f"--interface={RELAY_ADDRESS}",
            f"--listen-ng={NG_ADDRESS}:{port}", f"--port-min={FIRST_PORT}",
            f"--port-max={LAST_PORT}",
        )  # fmt: skip
        self._process = Process(argv, self._core, self._log)
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._link.connect((NG_ADDRESS, port))
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()
        self._process.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def open(self, phones: Sequence[Phone]) -> list[int]:
        self._calls = len(phones) // 2
        ports = []
        for call in range(self._calls):
            a, b = phones[2 * call : 2 * call + 2]
            names = {"call-id": f"bench-{call}", "from-tag": "a", "ICE": "remove"}
            to_b = self._ask({"command": "offer", "sdp": a.sdp(), **names})
            to_a = self._ask({"command": "answer", "sdp": b.sdp(), "to-tag": "b", **names})
            ports += [_port(to_a), _port(to_b)]  # a sends to where a was told
        return ports

    def close(self) -> None:
        for call in range(self._calls):
            self._ask({"command": "delete", "call-id": f"bench-{call}", "from-tag": "a"})

    def cpu_s(self) -> float:
        return self._process.cpu_s()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        self._link.settimeout(0.05)
        while time.monotonic() < deadline:
            self._process.check()
            with contextlib.suppress(OSError):
                self._exchange({"command": "ping"})
                self._link.settimeout(ASK_S)
                return
            time.sleep(0.02)
        raise NodeFault(f"rtpengine is not ready: {self._process.last_words()}")

    def _ask(self, request: Mapping[str, Value]) -> dict[str, Decoded]:
        for _ in range(TRIES):
            with contextlib.suppress(TimeoutError):
                reply = self._exchange(request)
                break
        else:
            self._process.check()
            raise NodeFault("rtpengine does not answer")
        if reply.get("result") not in (b"ok", b"pong"):
            raise NodeFault(f"rtpengine: {request['command']!r}: {reply}")
        return reply

    def _exchange(self, request: Mapping[str, Value]) -> dict[str, Decoded]:
        """Ask once. Raises OSError, TimeoutError among them."""
        cookie = b"%d" % next(self._cookies)
        self._link.send(b"%b %b" % (cookie, encode(request)))
        while True:  # at most the replies that came too late for their tries
            its, _, content = self._link.recv(65536).partition(b" ")
            if its == cookie and isinstance(reply := decode(content), dict):
                return reply


def _port(reply: Mapping[str, Decoded]) -> int:
    sdp = reply.get("sdp")
    assert isinstance(sdp, bytes)
    return parse_sdp(sdp).media[0].port
