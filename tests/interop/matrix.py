"""Which client can do what over which transport: the tests are made of this table, and
docs/interop.md is written of it by a test run in which all of it was shown (`make interop`)."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
LOCK = Path(__file__).with_name("clients.lock")
NODE_PACKAGES = Path(__file__).parent / "clients" / "package.json"
REGISTRATION, CALL, CALLED, HOLD = "registration", "call", "being called", "hold and resume"
DTMF_RTP, DTMF_INFO = "DTMF by RFC 4733", "DTMF by INFO"
BLIND, ATTENDED = "blind transfer", "attended transfer"
CASES = (REGISTRATION, CALL, CALLED, HOLD, DTMF_RTP, DTMF_INFO, BLIND, ATTENDED)
TRANSPORTS = ("UDP", "TCP", "WS")
PLAIN = ("UDP", "TCP")

Shown = tuple[str, str, str]  # client, transport, case


class Client(Struct, frozen=True):
    """`source`: Debian's package, or what clients.lock or
    package.json names. `cannot`: why the client itself
    cannot do a case or use a transport, or fails in it."""

    source: str
    about: str
    transports: tuple[str, ...]
    cannot: dict[str, str] = {}

    def cases(self) -> list[str]:
        return [case for case in CASES if case not in self.cannot]


NO_PHONE = "not supported by the client: it asks servers, it is no phone"
ITSELF = "not supported by the client"
CLIENTS = {
    "aiosip": Client(
        "aiosip",
        "a library of 2017, with a shim for today's Python",
        ("UDP",),
        {
            CALLED: "fails in the client: it answers each request with 200 itself, without SDP",
            **dict.fromkeys((HOLD, DTMF_RTP, DTMF_INFO, BLIND, ATTENDED), ITSELF),
        },
    ),
    "baresip": Client(
        "baresip-core",
        "a phone for the console",
        PLAIN,
        {
            DTMF_INFO: "not supported by the client: version 1.0.0 sends RFC 4733 alone",
            ATTENDED: "not supported by the client: version 1.0.0 transfers blindly alone",
        },
    ),
    "JsSIP": Client(
        "jssip",
        "a library for browsers, under Node with a shim in the place of WebRTC",
        ("WS",),
        {
            DTMF_RTP: "not supported by the client under Node: it has no sound",
            ATTENDED: "not shown: the shim has one call at a time",
        },
    ),
    "linphone": Client("linphone-cli", "Linphone's phone for the console, linphonec", PLAIN),
    "pjsua": Client("pjsua2-python", "a phone on pjproject's pjsua2", PLAIN),
    "sipsak": Client("sipsak", "asks servers questions", PLAIN, dict.fromkeys(CASES[1:], NO_PHONE)),
}

HEAD = """# Interoperability

Written by `make interop` from the tests that passed (tests/interop); do not edit. Each "yes" is a
test with the real program on one machine, and `make test` runs them all. The versions are those
with which the page was written.
"""


def cells() -> Iterator[Shown]:
    """Yield everything that the table promises."""
    for name, client in CLIENTS.items():
        for transport in client.transports:
            for case in client.cases():
                yield name, transport, case


def ways(case: str, *clients: str) -> list[tuple[str, str]]:
    """Return the clients and transports that a test of a case is made for."""
    return [
        (name, transport) for name, transport, one in cells() if one == case and name in clients
    ]


class Matrix:
    """What a run has shown."""

    def __init__(self) -> None:
        self._shown: set[Shown] = set()

    def shows(self, client: str, transport: str, case: str) -> None:
        """Note that something works. It must be promised, so that the page has it."""
        assert (client, transport, case) in set(cells()), (client, transport, case)
        self._shown.add((client, transport, case))

    def missing(self) -> list[Shown]:
        """Return what is promised and was not shown."""
        return sorted(set(cells()) - self._shown)


def text() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for name, client in CLIENTS.items():
        yield f"## {name}\n"
        yield f"{client.about[0].upper()}{client.about[1:]}: {client.source} {version(client)}\n"
        yield f"| case | {' | '.join(TRANSPORTS)} |\n|---{'|---' * len(TRANSPORTS)}|"
        yield from (_row(client, case) for case in CASES)
        yield ""
        if client.cannot:
            yield "\n".join(f"- {what}: {why}" for what, why in client.cannot.items()) + "\n"


def _row(client: Client, case: str) -> str:
    return f"| {case} | {' | '.join(_cell(client, case, one) for one in TRANSPORTS)} |"


def _cell(client: Client, case: str, transport: str) -> str:
    return "yes" if transport in client.transports and case not in client.cannot else "no"


def version(client: Client) -> str:
    """Return the version that is here: what clients.lock says, or Debian without its revision."""
    locked = re.search(rf"^{client.source}==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    if locked is not None:
        return locked[1]
    pinned = json.loads(NODE_PACKAGES.read_text("utf-8"))["dependencies"].get(client.source)
    if pinned is not None:
        return str(pinned)
    asked = ["dpkg-query", "-W", "-f", "${Version}", client.source]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return re.sub(r"^\d+:|[-+~].*", "", said) or "0"
