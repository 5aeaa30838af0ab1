"""A real phone as a test drives it: what every client can be told, whatever program it is."""

import subprocess
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from tests.interop.ports import Ports
from tests.interop.processes import begin, stop
from tests.interop.town import Account

PHONE_HOST = "127.0.0.1"  # some let the kernel choose the source of their sound, which is this one
RTP_PORTS = 16
MESSAGE_SUMMARY, DIALOG, PRESENCE = "message-summary", "dialog", "presence"  # to subscribe to


class Line(Struct, frozen=True):
    """How a phone is reached and whom it signs in as. `node`: host and port, with brackets."""

    account: Account
    node: str
    transport: str
    sip: int
    control: int
    rtp: int
    host: str = PHONE_HOST
    ca: str = ""  # the file of who issued the node's certificate

    @classmethod
    def of(cls, account: Account, node: str, transport: str, ports: Ports, **more: str) -> "Line":
        """Make a line with ports of its own, on the host of those ports."""
        sip = ports.take(2)  # SIP over TLS takes the next one at times
        return cls(account, node, transport, sip, ports.take(), ports.take(RTP_PORTS), **more)


class Device(Protocol):
    """Whatever registers."""

    def start(self) -> None:
        """Wait until it is ready to be told something and has begun to register."""

    def hang_up(self) -> None: ...

    def watch(self, event: str, number: str) -> None:
        """Subscribe to an extension's message-summary, dialog or presence."""

    def sees(self, *, is_there: bool) -> bool:
        """Tell whether it was told last that the one whose presence it watches is registered."""

    def forget(self) -> None:
        """Forget what the client has been told so far."""

    def end(self) -> None:
        """End the process, and show what it said."""


class Phone(Device, Protocol):
    """Answers every call by itself. Commands return when they are given, not when they are done."""

    def call(self, number: str) -> None: ...
    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def press(self, digit: str, by: str) -> None:
        """Send a digit, by "rtp" (RFC 4733) or by "info"."""

    def transfer(self, number: str) -> None:
        """Send the other side of the one call to a number, unasked."""

    def transfer_to_consulted(self) -> None:
        """Connect the other side of the first call with that of the second one."""

    def write(self, number: str, text: str) -> None:
        """Send a MESSAGE."""

    def ask(self, number: str) -> None:
        """Send OPTIONS, and wait until the client has been answered well."""

    def is_told(self, words: str) -> bool:
        """Tell whether a NOTIFY or a MESSAGE since the last forget() had these words."""


def uri(number: str, line: Line) -> str:
    """Return what a phone dials for a number of its own customer."""
    return f"sip:{number}@{line.account.domain}"


def started(argv: list[str], folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a program that is told by lines; what it says goes to the folder's screen.log."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment}
    return begin(argv, folder / "screen.log", is_told=True, cwd=folder, env=env)


def ended(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Kill a program and show what it said."""
    stop(process)
    print(f"=== {folder.name}\n{(folder / 'screen.log').read_text('utf-8', 'replace')}")


class Screen:
    """What a program has said since the last forget()."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "screen.log"
        self._from = 0

    def text(self) -> str:
        return self._file.read_bytes()[self._from :].decode("utf-8", "replace")

    def forget(self) -> None:
        self._from = self._file.stat().st_size


def tell(process: subprocess.Popen[bytes], line: str) -> None:
    """Write a line to its standard input."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
