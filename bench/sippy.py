"""Sippy B2BUA (PyPI `sippy`), the other SIP B2BUA in Python: its process, as fast as it goes.

Its own `b2bua_simple` with the log off: no digest, admission, media ports, journal or CDR.
"""

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from bench import proc
from bench.node import NodeFault, free_port

PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
PROGRAM = "sippy.b2bua_simple"
READY_S = 10.0
STOP_S = 2.0
OPTIONS = (
    "OPTIONS sip:bench SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKbench\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:bench>;tag=1\r\nTo: <sip:bench>\r\nCall-ID: bench-{port}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def is_there() -> bool:
    """Tell whether `make peers` has been done."""
    return PYTHON.exists()


class Sippy:
    """Answers inside the block; has ended after it. `pids` holds its one process."""

    def __init__(self, folder: Path, carrier: tuple[str, int], core: int) -> None:
        self.address = ("127.0.0.1", free_port())
        self.pids: dict[str, int] = {}
        self._folder, self._carrier, self._core = folder, carrier, core
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> "Sippy":
        self._folder.mkdir(parents=True)
        self._log = (self._folder / "sippy.log").open("wb")
        host, port = self._carrier
        self._process = subprocess.Popen(
            [PYTHON, "-m", PROGRAM, "-f", "-l", self.address[0], "-p", str(self.address[1]),
             "-n", f"{host}:{port}"],
            cwd=self._folder, env={**os.environ, "SIPLOG_BEND": "none"},
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        try:
            os.sched_setaffinity(self._process.pid, {self._core})
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        self.pids = {"sippy": self._process.pid}
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            proc.end(self._process, STOP_S)
        if self._log is not None:
            self._log.close()

    def wait_idle(self, within_s: float) -> bool:
        """Wait until it uses less than a tenth of its core: it tells nothing of its calls."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            before = proc.cpu_s(self.pids["sippy"])
            time.sleep(0.5)
            if proc.cpu_s(self.pids["sippy"]) - before < 0.05:
                return True
        return False

    def complaints(self) -> list[str]:
        """Return the errors that it has met. Python's exceptions go to its output, log or not."""
        text = (self._folder / "sippy.log").read_text("utf-8", "replace")
        return [line for line in text.splitlines() if "Error" in line or "can't" in line]

    def _wait_ready(self) -> None:
        """Ask until it answers; what it answers does not matter (501)."""
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind(("127.0.0.1", 0))
            asking.settimeout(0.2)
            question = OPTIONS.format(port=asking.getsockname()[1]).encode()
            while time.monotonic() < deadline and self._process.poll() is None:
                asking.sendto(question, self.address)
                try:
                    asking.recv(4096)
                    return
                except (TimeoutError, ConnectionRefusedError):
                    continue
        log = (self._folder / "sippy.log").read_text("utf-8", "replace")
        raise NodeFault("Sippy B2BUA does not answer: " + log.strip()[-400:])
