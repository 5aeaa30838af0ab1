"""A node of real processes on loopback, as `sipcore serve` starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

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
