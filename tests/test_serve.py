"""`sipcore serve` as an operator meets it: a whole node of real processes on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

Started = subprocess.Popen[str]


def until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait for the world outside. The one place here that sleeps."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free for UDP and TCP now."""
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        datagram.bind(("127.0.0.1", port))
    return port


def role_of(process: Path, lock: str) -> str:
    """Return what a process in /proc is; "" when it has not the lock open, or is ending."""
    try:
        if not any(os.readlink(fd) == lock for fd in (process / "fd").iterdir()):
            return ""
        words = (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    if len(words) < 4:
        return ""
    return words[3] if words[2] == "sipcore.serve" else "serve"


class Node:
    """One data folder and configuration, and the `sipcore serve` runs on them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.config = folder / "sipcore.toml"
        self.sip, self.web = free_port(), free_port()
        self.config.write_text(
            f"[node]\ndata = '{self.data}'\n[web]\nport = {self.web}\n"
            f"[[listen]]\nport = {self.sip}\n[[listen]]\ntransport = 'tcp'\nport = {self.sip}\n"
            "[media]\nports = [41000, 41099]\n[limits]\ncalls = 20\ndrain_s = 2\n"
        )
        self.started: list[Started] = []

    def start(self, *more: str) -> Started:
        argv = [sys.executable, "-m", "sipcore.cli", "serve", "--config", str(self.config), *more]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.web}/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def pids(self) -> dict[str, int]:
        """Return {role: pid} of whoever holds the node's lock; the supervisor is "serve"."""
        lock = str(self.data / "node.lock")
        found = ((role_of(one, lock), int(one.name)) for one in Path("/proc").glob("[0-9]*"))
        return {role: pid for role, pid in found if role}

    def kill(self, role: str) -> None:
        """Kill one process and wait for the next of its role."""
        before = self.pids()[role]
        os.kill(before, signal.SIGKILL)
        until(lambda: self.pids().get(role, before) != before)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    for process in node.started:
        process.kill()
        process.communicate()
    until(lambda: not node.pids(), 3)


def test_a_node_becomes_ready_and_ends_on_sigterm(node: Node) -> None:
    process = node.start()
    until(node.is_ready)
    assert sorted(node.pids()) == ["media-0", "serve", "signalling", "web"]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert not (node.data / "control.sock").exists()


def test_a_node_is_ready_before_it_reads_recordings_that_were_left(node: Node) -> None:
    left = node.data / "recordings" / "open" / "2026-01-02-0123.wav.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"\1\2" * 1_000_000)
    process = node.start()
    until((node.data / "recordings" / "2026" / "01" / "02" / "0123.wav").exists)
    until(node.is_ready)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    assert 0 < log.index(" ready node=") < log.index("0123.wav was left behind")


def test_each_process_is_started_again_and_the_node_is_ready_again(node: Node) -> None:
    node.start()
    until(node.is_ready)
    for role in ("web", "media-0", "signalling"):
        node.kill(role)
        until(node.is_ready)
    page = httpx.get(f"http://127.0.0.1:{node.web}/metrics").text
    for role in ("web", "media-0", "signalling"):
        assert f'sipcore_restarts_total{{process="{role}"}} 1.0' in page


def test_after_the_supervisor_is_killed_a_new_one_takes_over(node: Node) -> None:
    process = node.start()
    until(node.is_ready)
    children = set(node.pids().values()) - {process.pid}
    process.kill()
    again = node.start()
    until(lambda: not children & set(node.pids().values()), 1)
    until(node.is_ready)
    assert again.poll() is None


def test_a_second_node_on_the_port_is_one_clear_line(node: Node, tmp_path: Path) -> None:
    node.start()
    until(node.is_ready)
    other = node.start("--data", str(tmp_path / "other"))
    _, errors = other.communicate(timeout=15)
    assert other.returncode == 2
    port = node.sip
    assert errors == (
        f"sipcore: cannot listen on udp 127.0.0.1 port {port}: another program has that port\n"
    )


def test_a_second_node_on_the_folder_is_one_clear_line(node: Node) -> None:
    first = node.start()
    until(node.is_ready)
    second = node.start()
    _, errors = second.communicate(timeout=15)
    assert second.returncode == 2
    assert errors == f"sipcore: another node (pid {first.pid}) runs on {node.data}\n"


def test_the_demonstration_says_what_to_try_and_then_ready_twice_in_a_row(node: Node) -> None:
    demo = Path(__file__).parent.parent / "deploy" / "demo.py"
    argv = [sys.executable, str(demo), "--config", str(node.config), "--data", str(node.data)]
    for imported in ("12 added, 0 changed, 0 unchanged", "0 added, 0 changed, 12 unchanged"):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        node.started.append(process)
        assert process.stdout is not None
        said = []
        while (line := process.stdout.readline()) not in ("ready\n", ""):
            said.append(line)
        assert line == "ready\n"
        assert imported in said[0]
        text = "".join(said)
        for part in ("front-desk-8001", f"udp 127.0.0.1:{node.sip}", f"{node.web}/metrics", "120"):
            assert part in text
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=15)
        assert process.returncode == 0, log
