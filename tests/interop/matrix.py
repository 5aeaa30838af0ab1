"""Which client can do what over which transport: the tests are made of this table, and
docs/interop.md is written of what a test run has shown (`make interop`)."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
LOCK = Path(__file__).with_name("clients.lock")
NODE_PACKAGES = Path(__file__).parent / "clients" / "package.json"
REGISTRATION, CALL, CALLED, HOLD = "registration", "call", "being called", "hold and resume"
DTMF_RTP, DTMF_INFO = "DTMF by RFC 4733", "DTMF by INFO"
BLIND, ATTENDED = "blind transfer", "attended transfer"
WAITING, LAMP = "message waiting", "busy lamp"
PRESENCE, MESSAGE, OPTIONS = "presence", "MESSAGE", "OPTIONS"
CALLS = (CALL, CALLED, HOLD, DTMF_RTP, DTMF_INFO, BLIND, ATTENDED)
TRUST = "refuses a foreign certificate"
CASES = (REGISTRATION, *CALLS, WAITING, LAMP, PRESENCE, MESSAGE, OPTIONS, TRUST)
# The case of a test on a stage, for whichever clients its module has.
TESTS = {
    "test_registration": REGISTRATION,
    "test_a_call_with_sound_both_ways": CALL,
    "test_being_called": CALLED,
    "test_hold_and_resume": HOLD,
    "test_digits_by_rtp": DTMF_RTP,
    "test_digits_by_info": DTMF_INFO,
    "test_blind_transfer": BLIND,
    "test_attended_transfer": ATTENDED,
    "test_message_waiting": WAITING,
    "test_a_busy_lamp": LAMP,
    "test_presence": PRESENCE,
    "test_message": MESSAGE,
    "test_options": OPTIONS,
}
ASKED, REGISTERED_WITH = "asked by OPTIONS", "our trunk registers there"
GIVES, TAKES = "takes calls, and holds them", "gives calls, and holds them"
IPV6, EDGE, EDGE_TLS, EDGE_WS = "IPv6", "edge", "edge, TLS", "edge, WS"
PLAIN = ("UDP", "TCP", EDGE)
SECURE = ("TLS", EDGE_TLS)
WEB = ("WS", "WSS", EDGE_WS)
PROVEN = ("TLS", "WSS")  # where the node shows its certificate itself
TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS", IPV6, EDGE, EDGE_TLS, EDGE_WS)

Shown = tuple[str, str, str]  # client, transport, case


def is_void(transport: str, case: str) -> bool:
    """Tell whether a cell has no meaning, for any client."""
    return case == TRUST and transport not in PROVEN


def over(transport: str, case: str) -> str:
    """Name a case over one transport alone."""
    return f"{case} ({transport})"


class Client(Struct, frozen=True):
    """`source`: Debian's package, or what clients.lock or package.json names. `transports`: those
    that it is shown over. `cannot`: why the client itself cannot do a case, use a transport, or do
    a case over that transport.
    `own`: its cases, by transport, where it is no client."""

    source: str
    about: str
    transports: tuple[str, ...]
    cannot: dict[str, str] = {}
    own: dict[str, tuple[str, ...]] = {}

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case for row in self.own.values() for case in row)) or CASES

    def cases(self, transport: str) -> list[str]:
        if transport not in self.transports:
            return []
        tried = self.own.get(transport, CASES)
        return [case for case in tried if not self.excludes(transport, case)]

    def excludes(self, transport: str, case: str) -> bool:
        """Tell whether there is a reason why it cannot do that."""
        if is_void(transport, case):
            return True
        return not self.cannot.keys().isdisjoint((transport, case, over(transport, case)))


NO_WS = dict.fromkeys(WEB, "it knows no WebSocket")
NO_LAMP = {LAMP: "it subscribes to presence alone, not to dialog-info"}
CLIENTS = {
    "aiosip": Client(
        "aiosip",
        "a library of 2017, with a shim for today's Python",
        ("UDP", EDGE),
        {
            CALLED: "it answers each request with 200 itself, without SDP",
            **dict.fromkeys(
                (*CALLS[2:], *CASES[8:-1]),
                "it has REGISTER, INVITE, ACK and BYE; the application would write all else itself",
            ),
            **dict.fromkeys(("TCP", *SECURE, IPV6), "version 0.2.0 has UDP over IPv4 alone"),
            over(EDGE, CALL): "it knows no Record-Route, so that its ACK and BYE do not arrive",
            **NO_WS,
        },
    ),
    "baresip": Client(
        "baresip-core",
        "a phone for the console",
        (*PLAIN, *SECURE, IPV6),
        {
            DTMF_INFO: "version 1.0.0 sends RFC 4733 alone",
            TRUST: "version 1.0.0 reads a file of authorities, and takes any certificate",
            ATTENDED: "version 1.0.0 transfers blindly alone",
            **NO_LAMP,
            **NO_WS,
        },
    ),
    "JsSIP": Client(
        "jssip",
        "a library for browsers, under Node with a shim in the place of WebRTC",
        (*WEB, IPV6),
        {
            DTMF_RTP: "under Node it has no sound",
            **dict.fromkeys(
                (*PLAIN, *SECURE), "it is made for browsers, which know WebSocket alone"
            ),
        },
    ),
    "Kamailio": Client(
        "kamailio",
        "a SIP proxy, here as a carrier that is known by its registrar or by its TLS name",
        ("UDP", "TCP", "TLS"),
        {
            IPV6: "pjsua, the phone behind it, has none",
            **dict.fromkeys((*WEB, EDGE, EDGE_TLS), "no trunk comes that way"),
        },
        own=dict.fromkeys(("UDP", "TCP", "TLS"), (ASKED, REGISTERED_WITH, GIVES, TAKES)),
    ),
    "linphone": Client(
        "linphone-cli",
        "Linphone's phone for the console, linphonec",
        (*PLAIN, *SECURE, IPV6),
        {
            WAITING: "version 5.1.65 knows no message-summary",
            OPTIONS: "it answers OPTIONS and sends none",
            **NO_LAMP,
            **NO_WS,
        },
    ),
    "pjsua": Client(
        "pjsua2-python",
        "a phone on pjproject's pjsua2",
        (*PLAIN, *SECURE),
        {IPV6: "the package on PyPI was built without it", **NO_WS},
    ),
    "SIPp": Client(
        "sip-tester",
        "plays scenarios, here our own; RFC 4733 from files of packets, which takes root",
        (*PLAIN, IPV6),
        {**dict.fromkeys(SECURE, "Debian's build has no TLS"), **NO_WS},
    ),
    "sipsak": Client(
        "sipsak",
        "asks servers questions",
        (*PLAIN, *SECURE),
        {
            **dict.fromkeys((*CALLS, WAITING, LAMP, PRESENCE), "it asks servers, it is no phone"),
            IPV6: "it looks up addresses of IPv4 alone",
            **NO_WS,
        },
    ),
}

HEAD = """# Interoperability

Written by `make interop` of what its tests have shown (tests/interop); do not edit. Each "yes" is
a test with the real program on one machine; "cannot" has its reason below. `make test` runs them
all, and fails where they show anything else; "–" is not tried. The versions are those with which
this was written.

- IPv6: UDP over IPv6; of JsSIP, WebSocket over IPv6
- edge: UDP through Kamailio, a proxy in front with Record-Route and Path
- edge, TLS: TLS to that proxy, and TLS from it to sipcore
- edge, WS: WebSocket to that proxy, and UDP from it to sipcore
- message waiting: SUBSCRIBE to message-summary (RFC 3842); the client tells a mailbox's counts
- busy lamp: SUBSCRIBE to dialog (RFC 4235); the client sees an extension's call begin and end
- presence: SUBSCRIBE to presence (RFC 3856); the client sees an extension go and come
- refuses a foreign certificate: it does not sign in where the node's is by another authority
- MESSAGE: the client sends one and gets one (RFC 3428)
"""
VERSION = "Version: "


def cells() -> Iterator[Shown]:
    """Yield everything that the table promises."""
    for name, client in CLIENTS.items():
        for transport in client.transports:
            yield from ((name, transport, case) for case in client.cases(transport))


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

    def text(self) -> str:
        """Return the page."""
        return "\n".join([HEAD, *self._sections()])

    def _sections(self) -> Iterator[str]:
        for name, client in CLIENTS.items():
            yield f"## {name}\n"
            yield f"{client.about[0].upper()}{client.about[1:]} ({client.source}).\n"
            yield f"{VERSION}{version(client)}\n"
            yield f"| case | {' | '.join(TRANSPORTS)} |\n|---{'|---' * len(TRANSPORTS)}|"
            for case in client.rows:
                row = (self._cell(name, transport, case) for transport in TRANSPORTS)
                yield f"| {case} | {' | '.join(row)} |"
            yield ""
            if client.cannot:
                yield "\n".join(_reasons(client)) + "\n"

    def _cell(self, name: str, transport: str, case: str) -> str:
        if is_void(transport, case):
            return ""
        if (name, transport, case) in self._shown:
            return "yes"
        if (name, transport, case) in set(cells()):
            return "not shown"
        return "cannot" if CLIENTS[name].excludes(transport, case) else "–"


def _reasons(client: Client) -> Iterable[str]:
    """Write why a client cannot, a line each reason."""
    of: dict[str, list[str]] = {}
    for what, why in client.cannot.items():
        of.setdefault(why, []).append(what)
    return (f"- {', '.join(what)}: cannot: {why}" for why, what in of.items())


def without_versions(page: str) -> str:
    """Return the page as it is on every machine."""
    return re.sub(rf"^{VERSION}.*$", VERSION, page, flags=re.MULTILINE)


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
