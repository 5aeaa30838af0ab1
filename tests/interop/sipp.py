"""SIPp as a test uses it: a process that plays one scenario, and what it saw."""

import re
import signal
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from msgspec import Struct

from tests.interop.ports import HOST, Ports, accepts, is_free
from tests.interop.processes import begin, stop
from tests.interop.waiting import stays, until
from tests.packages import require

SCENARIOS = Path(__file__).with_name("sipp")
LIMIT_S = 90
MEDIA_PORTS = 4  # SIPp binds two of them, whether it is to send sound or not; ours are the next
PART_DEFAULTS = {"field": "User-Agent: SIPp", "body": ""}
_PART = re.compile(r"<part [^>]*/>")
_TRACED = re.compile(
    r"^-{40,} (?P<at>\S+ \S+)\n"
    r"\w+ message (?P<way>sent|received) [(\[]\d+(?: bytes\):|\] bytes :)\n\n",
    re.MULTILINE,
)


class Seen(Struct, frozen=True):
    """A message that the peer sent or received. `name`: the method, or the status as a number."""

    at: float
    is_sent: bool
    name: str
    text: str

    def header(self, name: str) -> str:
        """Return a header's value; empty where it is not there."""
        found = re.search(rf"^{name}:[ \t]*(.*?)\r?$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


class Peer:
    """A SIPp process. Its SDP names `rtp_port`, where a test may send and hear sound."""

    def __init__(
        self, folder: Path, argv: list[str], place: tuple[str, int], rtp_port: int
    ) -> None:
        self._host, self.port = place
        self._is_tcp = "t1" in argv
        self.rtp_port = rtp_port
        self._folder = folder
        argv += ["-trace_err", "-error_file", str(folder / "errors.log")]
        self._process = begin(argv, folder / "screen.log", cwd=folder)

    def is_listening(self) -> bool:
        """Tell whether it can be called."""
        assert self._process.poll() is None, f"SIPp does not start:\n{self._read('errors.log')}"
        place = self._host, self.port
        return accepts(*place) if self._is_tcp else not is_free(*place)

    def stays_up(self, for_s: float) -> None:
        """Check that its scenario goes on for some time."""
        stays("SIPp runs", lambda: self._process.poll() is None, for_s)

    def ends_well(self, within_s: float = 20.0) -> None:
        """Wait until it has played its scenario to the end, with nothing unexpected."""
        status = self._process.wait(within_s)
        assert status == 0, f"SIPp ended with {status}:\n{self._read('errors.log')}"

    def seen(self) -> list[Seen]:
        """Return every message so far, in order."""
        return list(parse_trace(self._read("messages.log")))

    def received(self, name: str) -> list[Seen]:
        """Return what it received of one method or status."""
        return [one for one in self.seen() if one.name == name and not one.is_sent]

    def sent(self, name: str) -> list[Seen]:
        """Return what it sent of one method or status."""
        return [one for one in self.seen() if one.name == name and one.is_sent]

    def names_received(self) -> list[str]:
        """Return methods and statuses received, in order."""
        return [one.name for one in self.seen() if not one.is_sent]

    def wait_for(self, name: str, within_s: float = 10.0) -> Seen:
        """Wait until a method or status is received; return its first message."""
        return until(f"{name} is received", lambda: self.received(name), within_s)[0]

    def stop_calling(self, within_s: float = 10.0) -> None:
        """Let it begin no more calls and end those that it has; some may have failed."""
        self._process.send_signal(signal.SIGUSR1)
        self._process.wait(within_s)

    def end(self) -> None:
        """End it, whatever it does, and show what it saw."""
        stop(self._process)
        for name in ("errors.log", "messages.log"):
            print(f"=== {self._folder.name} {name}\n{self._read(name)}")

    def _read(self, name: str) -> str:
        file = self._folder / name
        return file.read_text("utf-8", "replace") if file.exists() else ""


def with_parts(text: str) -> str:
    """Put the files of sipp/parts where a scenario names them. A part is filled with the
    attributes of the element that names it."""

    def filled(found: re.Match[str]) -> str:
        values = PART_DEFAULTS | ElementTree.fromstring(found[0]).attrib
        part = (SCENARIOS / "parts" / f"{values['name']}.xml").read_text("utf-8")
        return with_parts(part.format(**values))

    return _PART.sub(filled, text)


def parse_trace(trace: str) -> Iterator[Seen]:
    """Read a SIPp message file."""
    heads = list(_TRACED.finditer(trace))
    ends = [head.start() for head in heads[1:]] + [len(trace)] * bool(heads)
    for head, end in zip(heads, ends, strict=True):
        text = trace[head.end() : end]
        first, _, rest = text.partition(" ")
        name = rest[:3] if first == "SIP/2.0" else first
        at = datetime.fromisoformat(head["at"]).timestamp()
        yield Seen(at, head["way"] == "sent", name, text)


class Sipp:
    """Starts the peers of a test, and ends them."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        node: tuple[str, int],
        *,
        host: str = HOST,
        limit_s: int = LIMIT_S,
        is_traced: bool = True,
    ) -> None:
        """`host`: their own address. `limit_s`: how long each may last. `is_traced`: whether it
        keeps what it has seen."""
        require("sipp")
        self._limit_s = limit_s
        self._is_traced = is_traced
        self._folder = folder
        self._ports = ports
        self._node = node
        self._host = host
        self._peers: list[Peer] = []

    def port(self) -> int:
        """Return a port for a phone."""
        return self._ports.take()

    def start(
        self,
        scenario: str,
        *options: str,
        port: int | None = None,
        towards: int | None = None,
        keys: Mapping[str, str | int] | None = None,
        has_sound: bool = False,
    ) -> Peer:
        """Start a scenario of the folder sipp/. `towards`: another port than the node's.
        `has_sound`: SIPp plays and echoes sound itself, so that its SDP names its own port."""
        port = port or self.port()
        node, node_port = self._node
        host = self._host
        media = self._ports.take(MEDIA_PORTS + 2)
        rtp_port = media if has_sound else media + MEDIA_PORTS
        values = {"rtp_port": rtp_port, "contact_port": port, **(keys or {})}
        argv = ["sipp", f"{node}:{towards or node_port}", "-sf", "scenario.xml"]
        argv += ["-i", host, "-p", str(port), "-mi", host, "-mp", str(media)]
        argv += ["-ci", HOST, "-cp", str(self._ports.take()), "-m", "1", "-nostdin", *options]
        argv += ["-timeout", f"{self._limit_s}s", "-timeout_error", "-skip_rlimit"]
        for name, value in values.items():
            argv += ["-key", name, str(value)]
        folder = self._folder / f"{len(self._peers)}-{scenario}"
        folder.mkdir()
        if self._is_traced:
            argv += ["-trace_msg", "-message_file", str(folder / "messages.log")]
        text = with_parts((SCENARIOS / f"{scenario}.xml").read_text("utf-8"))
        for name in ("status", "reason", "until"):  # SIPp takes no key there
            text = text.replace(f"[{name}]", str(values.get(name, "")))
        (folder / "scenario.xml").write_text(text, "utf-8")
        peer = Peer(folder, argv, (host, port), rtp_port)
        self._peers.append(peer)
        return peer

    def listen(
        self,
        scenario: str,
        *options: str,
        port: int | None = None,
        keys: Mapping[str, str | int] | None = None,
        has_sound: bool = False,
    ) -> Peer:
        """Start a scenario that is called, and wait until it can be."""
        peer = self.start(scenario, *options, port=port, keys=keys, has_sound=has_sound)
        until(f"SIPp listens on {peer.port}", peer.is_listening)
        return peer

    def end(self) -> None:
        """End all."""
        for peer in self._peers:
            peer.end()
