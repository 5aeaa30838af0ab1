"""A node of real processes: `sipcore serve` on a configuration and a data folder of its own."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from sipcore.cdr.export import WRITERS, read_cdrs
from sipcore.cli import main
from sipcore.control import Table, ask
from sipcore.table import to_objects
from tests.interop.ports import HOST, Ports
from tests.interop.processes import begin
from tests.interop.town import Town
from tests.interop.waiting import until

CALLS = 20
MEDIA_PORTS = 120  # 4 a call, and a fifth in quarantine
Row = dict[str, Any]


class Settings(Struct, frozen=True):
    """What a test may want otherwise than the others."""

    silence_s: int = 60
    drain_s: int = 5
    digest: tuple[str, ...] = ("MD5",)
    workers: int = 1
    calls: int = CALLS
    media_ports: int = MEDIA_PORTS
    listens: str = ""  # further [[listen]] tables
    tls_ca: str = ""  # the file of those who vouch for the peers that are connected to
    address6: str = ""  # of media


class Node:
    """One data folder and configuration, and the `sipcore serve` that runs on them."""

    def __init__(self, folder: Path, ports: Ports, settings: Settings) -> None:
        self._folder = folder
        self.data = folder / "data"
        self.sip, self.ws, self.web = ports.take(), ports.take(), ports.take()
        self._config = folder / "sipcore.toml"
        self._config.write_text(self._written(ports.take(settings.media_ports), settings), "utf-8")
        self._log = folder / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._forgotten = 0
        self._sessions: list[int] = []  # every process of ours is in one of these

    def _written(self, first: int, settings: Settings) -> str:
        listens = "".join(
            f'[[listen]]\ntransport = "{transport}"\naddress = "{HOST}"\nport = {port}\n'
            for transport, port in (("udp", self.sip), ("tcp", self.sip), ("ws", self.ws))
        )
        return (
            f"{listens}{settings.listens}[sip]\ndigest = {json.dumps(settings.digest)}\n"
            f"{_key('tls_ca', settings.tls_ca)}"
            f'[media]\naddress = "{HOST}"\n{_key("address6", settings.address6)}'
            f"ports = [{first}, {first + settings.media_ports - 1}]\n"
            f"workers = {settings.workers}\n"
            f"silence_s = {settings.silence_s}\n[web]\naddress = '{HOST}'\nport = {self.web}\n"
            f"[limits]\ncalls = {settings.calls}\ndrain_s = {settings.drain_s}\n"
        )

    def start(self) -> None:
        """Start it and wait until it takes calls."""
        if self._process is not None:
            self._process.wait(5)
        argv = [sys.executable, "-m", "sipcore.cli", "serve", *self._where()]
        self._process = begin(argv, self._log)
        self._sessions.append(self._process.pid)
        until("the node is ready", self._is_ready, 20)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the node ended instead of becoming ready"
        return self.get("/ready") == 200

    def _where(self) -> list[str]:
        return ["--config", str(self._config), "--data", str(self.data)]

    def get(self, path: str) -> int:
        """Return the status of a page; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.web}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code
        except OSError:
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """Return what /metrics says, all of its processes together."""
        with urllib.request.urlopen(f"http://{HOST}:{self.web}/metrics", timeout=5) as answer:
            page = text_string_to_metric_families(answer.read().decode())
            samples = [one for family in page for one in family.samples if one.name == name]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())

    def run(self, *words: str) -> str:
        """Run a verb of sipcore on this node; return what it printed. In this process: to start
        one takes longer than most verbs."""
        said = StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = main([*words, *self._where()])
        assert status == 0, f"{words}: {said.getvalue()}"
        return said.getvalue()

    def import_(self, provisioning: str) -> None:
        """Import a provisioning file; a running node takes it at once."""
        file = self._folder / "provisioning.toml"
        file.write_text(provisioning, "utf-8")
        self.run("import", str(file))

    def show(self, what: str) -> list[Row]:
        """Return the rows of `sipcore show`, asked of the node itself: that is often done."""
        return list(to_objects(ask(self.data, "show", what, Table)))

    def cdrs(self) -> list[Row]:
        """Return the records of calls that have ended, as `sipcore export` writes them."""
        lines = StringIO()
        WRITERS["jsonl"](read_cdrs(self.data / "journal"), lines)
        return [json.loads(line) for line in lines.getvalue().splitlines()][self._forgotten :]

    def forget(self) -> None:
        """Show no records any more that there are by now."""
        self._forgotten += len(self.cdrs())

    def only_cdr(self, within_s: float = 5.0) -> Row:
        """Return the one record that there is; wait for it."""
        return self.wait_for_cdrs(1, within_s)[0]

    def wait_for_cdrs(self, count: int, within_s: float = 5.0) -> list[Row]:
        """Return the records once there are so many. There must not be more."""
        until(f"{count} CDRs", lambda: len(self.cdrs()) >= count, within_s)
        cdrs = self.cdrs()
        assert len(cdrs) == count, cdrs
        return cdrs

    def kill(self, signum: int = signal.SIGKILL, role: str = "serve") -> None:
        """Send a signal to one process: the supervisor, or "signalling", "media-0", "web"."""
        os.kill(self.pids()[role], signum)

    def kill_all(self) -> None:
        """Kill every process at once, as a power cut does: none sees another one die."""
        pids = self.pids().values()
        for end in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, end)
        until("no process is left", lambda: not self.pids())

    def pids(self) -> dict[str, int]:
        """Return {role: pid} of all processes of this node; the supervisor is "serve"."""
        if self._process is not None:
            self._process.poll()  # a zombie is no process any more
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                state = (process / "stat").read_text().rpartition(")")[2].split()
                if int(state[3]) in self._sessions and state[0] not in "ZX":
                    words = (process / "cmdline").read_bytes().decode().split("\0")
                    role = words[3] if words[2] == "sipcore.serve" else "serve"
                    found[role] = int(process.name)
        return found

    def wait(self, within_s: float) -> int:
        """Wait for its end; return the exit status."""
        assert self._process is not None
        return self._process.wait(within_s)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text("utf-8") if self._log.exists() else ""

    def end(self) -> None:
        """End it as an operator does who is in a hurry, and check that nothing went wrong."""
        try:
            if self._process is not None and self._process.poll() is None:
                self._end_well()
            until("no process of the node is left", lambda: not self.pids(), 3)
        finally:
            for pid in self.pids().values():
                os.kill(pid, signal.SIGKILL)
            if self._process is not None:
                self._process.wait()
            print(f"=== the node's log\n{self.log}")
        assert "Traceback" not in self.log
        assert "a task failed" not in self.log

    def _end_well(self) -> None:
        assert self._process is not None
        until("no call is left", lambda: not self.show("calls"), 3)
        assert self.show("media") == []
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(10) == 0


@contextmanager
def running(folder: Path, ports: Ports, town: Town, settings: Settings) -> Iterator[Node]:
    """Run a node in a folder, with the town around it."""
    node = Node(folder, ports, settings)
    try:
        node.import_(town.provisioning())
        node.start()
        yield node
    finally:
        node.end()


def _key(name: str, value: str) -> str:
    """Write a key of the configuration, unless it is to have its default."""
    return f"{name} = {json.dumps(value)}\n" if value else ""
