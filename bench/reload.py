"""An import of 50,000 extensions into a running node: how long the Book takes to make, off the
loop, how much of the loop its taking over costs, and how long pings waited meanwhile."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import Wishes, say
from bench.node import Node
from bench.provision import PHONES, provisioning
from bench.report import Report
from bench.stats import percentile

ACCOUNTS = 391  # of 128 extensions
CARRIER = ("127.0.0.21", 25060)
PING_S = 0.005
PATIENCE_S = 1.0
PING = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number};rport\r\n"
    "From: <sip:ping@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {number}\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


class _Pings(threading.Thread):
    """Asks the node 200 times a second, one after the other; keeps how long each took."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.is_over = threading.Event()
        self.delays_ms: list[float] = []
        self.lost = 0

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(PATIENCE_S)
            number = 0
            while not self.is_over.wait(PING_S):
                number += 1
                text = PING.format(port=sock.getsockname()[1], number=number)
                began = time.monotonic()
                sock.sendto(text.encode(), self._address)
                try:
                    sock.recv(4096)
                except TimeoutError:
                    self.lost += 1
                    continue
                self.delays_ms.append((time.monotonic() - began) * 1000)


def run(folder: Path, cores: tuple[int, int], wishes: Wishes) -> Report:
    """Measure on two cores: the pings' and the node's."""
    report = Report("reload")
    text = provisioning(ACCOUNTS, CARRIER)
    with Node(folder / "node", text, cores[1]) as node:
        quiet = _pinged(node, lambda: time.sleep(3))
        say(f"reload: {ACCOUNTS * PHONES} extensions into the running node")
        began = time.monotonic()
        during = _pinged(node, node.import_again)
        took_s = time.monotonic() - began
        metrics = node.metrics()
        build_s = metrics['sipcore_reload_seconds{part="build"}']
        loop_ms = metrics['sipcore_reload_seconds{part="loop"}'] * 1000
        report.faults += node.complaints()[:3]
    longest = max(during.delays_ms, default=PATIENCE_S * 1000)
    report.figures |= {
        "build_s": build_s,
        "loop_ms": loop_ms,
        "longest_ping_ms": longest,
        "lost_pings": float(during.lost),
    }
    report.rows += [
        ("extensions", f"{ACCOUNTS * PHONES}"),
        ("the whole import", f"{took_s:.1f} s"),
        ("the Book made, off the loop", f"{build_s:.2f} s"),
        ("taken over by the loop", f"{loop_ms:.1f} ms"),
        ("pings before: 50 %, 99 %, longest", _words(quiet)),
        ("pings meanwhile: 50 %, 99 %, longest", _words(during)),
    ]
    return report


def _pinged(node: Node, work: Callable[[], object]) -> _Pings:
    pings = _Pings(node.address)
    pings.start()
    try:
        work()
    except subprocess.SubprocessError as fault:
        raise OSError(str(fault)) from None
    finally:
        pings.is_over.set()
        pings.join()
    return pings


def _words(pings: _Pings) -> str:
    delays = pings.delays_ms or [PATIENCE_S * 1000]
    found = [percentile(delays, 0.5), percentile(delays, 0.99), max(delays)]
    return ", ".join(f"{one:.1f} ms" for one in found) + f"; {pings.lost} lost of {len(delays)}"
