"""What every relay under test offers the media bench, and the process that it runs in.

How sound is described is the same for all: one SDP a phone.
"""

import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol, Self

from msgspec import Struct

from bench import proc
from bench.node import NodeFault

# Of this process alone, so that two benches at once do not take each other's ports.
RELAY_ADDRESS = "127.32.{}.{}".format(*divmod(os.getpid() % 65536, 256))
FIRST_PORT, LAST_PORT = 10_000, 31_999
READY_S = 10.0
STOP_S = 3.0


class Phone(Struct, frozen=True):
    """A phone that speaks from `port`, listens there, and wants RTCP at `rtcp_port`."""

    address: str
    port: int
    rtcp_port: int

    def sdp(self) -> bytes:
        """Describe it: G.711 of 20 ms, nothing else."""
        lines = (
            "v=0",
            f"o=- 1 1 IN IP4 {self.address}",
            "s=-",
            f"c=IN IP4 {self.address}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP 0",
            "a=rtpmap:0 PCMU/8000",
            f"a=rtcp:{self.rtcp_port}",
            "a=ptime:20",
            "a=sendrecv",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()


class Relay(Protocol):
    """A relay that runs inside the block, and nothing of it after. All raise NodeFault."""

    name: str

    @property
    def pid(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def open(self, phones: Sequence[Phone]) -> list[int]:
        """Open calls, phones 2c and 2c + 1 with each other; return the port that each sends to."""
        ...

    def close(self) -> None:
        """End all calls, by its own protocol."""
        ...

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used so far."""
        ...


class Process:
    """A program on one core from its first instruction on. Ended by its pid."""

    def __init__(self, argv: Sequence[str], core: int, log: Path) -> None:
        """Start it; what it says goes to `log`. Its standard input stays open until `stop`."""
        self._log = log
        mine = os.sched_getaffinity(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with log.open("ab") as said:
            os.sched_setaffinity(0, {core})  # inherited, by all its threads
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            try:
                self._process = _started(argv, said)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                os.sched_setaffinity(0, mine)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: bytes) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    def check(self) -> None:
        """Raise NodeFault, with the last that it said, when it has ended."""
        if (status := self._process.poll()) is not None:
            raise NodeFault(f"{self._process.args!r} ended with {status}: {self.last_words()}")

    def last_words(self) -> str:
        return self._log.read_text("utf-8", "replace").strip()[-400:]

    def cpu_s(self) -> float:
        self.check()
        return proc.cpu_s(self.pid)

    def stop(self) -> None:
        """Ask it to end, then make it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_S)
        if self._process.stdin is not None:
            self._process.stdin.close()


def _started(argv: Sequence[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=said, bufsize=0)
    except OSError as fault:
        raise NodeFault(f"{argv[0]} cannot be started: {fault}") from None
