"""A sipcore node to be measured: its own data folder and ports, real processes, one core."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bench import proc

READY_S = 30.0
STOP_S = 8.0
CALLS_A_WORKER = (
    4000  # of four sockets each: more than 20,000 files a process are often not allowed
)
CONFIG = """[node]
data = "{data}"
[[listen]]
transport = "udp"
port = {sip}
[media]
ports = [10000, {last_port}]
silence_s = {silence_s}
workers = {workers}
[web]
port = {web}
[limits]
calls = {calls}
invites_per_s = 100000
registers_per_s = 100000
drain_s = 2
[guard]
messages_per_s = 1000000
known_messages_per_s = 1000000
invites_per_s = 100000
registers_per_s = 100000
calls = 100000
calls_per_extension = 100000
"""


class NodeFault(Exception):
    """The node did not do what a bench needs of it."""


def free_port() -> int:
    """Return a port that is free for UDP and TCP now."""
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        datagram.bind(("127.0.0.1", port))
    return port


class Node:
    """Imports, starts, is ready inside the block; every process has ended after it.

    A peer to be measured beside it needs what this has: `address`, `pids` and the block.
    """

    def __init__(
        self, folder: Path, provisioning: str, core: int, calls: int = 4000, silence_s: int = 60
    ) -> None:
        self.address = ("127.0.0.1", free_port())
        self._web = f"http://127.0.0.1:{free_port()}"
        self._folder, self._core = folder, core
        self._data, self._config = folder / "data", folder / "sipcore.toml"
        folder.mkdir(parents=True)
        self._provisioning = folder / "provisioning.toml"
        self._provisioning.write_text(provisioning, "utf-8")
        port = int(self._web.rpartition(":")[2])
        self._config.write_text(
            CONFIG.format(
                data=self._data,
                sip=self.address[1],
                web=port,
                calls=calls,
                last_port=10_000 + calls * 5 - 1,  # four a call, and some that rest
                silence_s=silence_s,
                workers=-(-calls // CALLS_A_WORKER),
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.pids: dict[str, int] = {}

    def __enter__(self) -> "Node":
        self._verb("import", str(self._provisioning))
        self._log = (self._folder / "node.log").open("wb")
        self._process = subprocess.Popen(
            self._argv("serve"), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        try:
            os.sched_setaffinity(self._process.pid, {self._core})  # its children inherit it
            self._wait_ready()
            self.pids = proc.family(self._process.pid)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End by pid what was started; children end themselves when their supervisor is gone."""
        if self._process is not None:
            proc.end(self._process, STOP_S)
        if self._log is not None:
            self._log.close()

    def metrics(self) -> dict[str, float]:
        """Return every sample of /metrics: {'sipcore_messages_total{…}': 12.0, …}."""
        page = self._get("/metrics")
        return parse_metrics(page)

    def wait_idle(self, within_s: float) -> bool:
        """Wait until no call is left, and new work is refused no more."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            metrics = self.metrics()
            admits_all = total(metrics, "sipcore_admitted_share") == 1.0
            if admits_all and not total(metrics, "sipcore_calls_active"):
                return True
            time.sleep(0.2)
        return False

    def records(self) -> Iterator[dict[str, object]]:
        """Yield the CDRs, as `sipcore export cdr` writes them."""
        for line in self._verb("export", "cdr", "--format", "jsonl").splitlines():
            yield json.loads(line)

    def import_again(self) -> None:
        """Import the same file into the running node."""
        self._verb("import", str(self._provisioning))

    def complaints(self) -> list[str]:
        """Return what the node has logged beyond its start."""
        text = (self._folder / "node.log").read_text("utf-8", "replace")
        return [line for line in text.splitlines() if "ERROR" in line or "Traceback" in line]

    def _argv(self, verb: str, *more: str) -> list[str]:
        place = ("--config", str(self._config), "--data", str(self._data))
        return [sys.executable, "-m", "sipcore.cli", verb, *more, *place]

    def _verb(self, verb: str, *more: str) -> str:
        done = subprocess.run(
            self._argv(verb, *more), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise NodeFault(f"sipcore {verb}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._get("/ready")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        log = (self._folder / "node.log").read_text("utf-8", "replace")
        raise NodeFault("the node is not ready: " + log.strip()[-400:])

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._web + path, timeout=5) as answer:
            text: str = answer.read().decode()
        return text


def parse_metrics(page: str) -> dict[str, float]:
    """Read the Prometheus text format: one value for each name with its labels."""
    rows = (line.rpartition(" ") for line in page.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, _, value in rows if name}


def total(metrics: dict[str, float], name: str, *labels: str) -> float:
    """Add up a metric over all series that carry the given labels: 'direction="in"'."""
    return sum(
        value
        for key, value in metrics.items()
        if key.partition("{")[0] == name and all(label in key for label in labels)
    )
