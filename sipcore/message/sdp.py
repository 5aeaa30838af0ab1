"""What an SDP body says (RFC 4566): its lines, kept whole, and typed views of some of them.

Knows nothing of offers, answers and relays (media/offer.py, dialog/negotiation.py). Text that is
not SDP raises BadMessage; an attribute that is SDP but makes no sense reads as absent.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.memory import LONGEST_LINES, remembered, remembered_lines

MAX_BYTES = 65536
MAX_LINE = 4096
MAX_MEDIA = 32

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

_TEXT = re.compile(r"v=0\n(?:[a-z]=[^\n\r\0]*\n)+")
_ORIGIN = re.compile(r"o=(\S+) +(\S+) +(\d+) +IN +IP([46]) +(\S+) *", re.ASCII)
_CONNECTION = re.compile(r"c=IN +IP([46]) +([^\s/]+)(?:/\S*)? *", re.ASCII)
_MEDIA = re.compile(r"m=(\S+) +(\d{1,5})(?:/(\d{1,5}))? +(\S+)((?: +\S+)+) *", re.ASCII)
_LINE = re.compile(r"[a-ln-z]=[^\n\r\0]*+")  # of no m-line
_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3}) +([^\s/]+)/(\d{1,7})(?:/(\d{1,3}))?\s*", re.ASCII)
_RTCP = re.compile(r"a=rtcp:(\d{1,5})(?: +IN +IP[46] +(\S+))?\s*", re.ASCII)


class Origin(Struct, frozen=True, gc=False):
    """The o= line (RFC 4566 5.2)."""

    username: str
    session_id: str
    version: int
    address: str

    def line(self) -> str:
        family = "IP6" if ":" in self.address else "IP4"
        return f"o={self.username} {self.session_id} {self.version} IN {family} {self.address}"


class Codec(Struct, frozen=True, gc=False):
    """One a=rtpmap: the encoding's name as written, its clock rate in Hz, its channels."""

    name: str
    clock_rate: int
    channels: int = 1


class Below(Struct, frozen=True, gc=False):
    """What the lines below an o= or m= line say: nearly always what they said in the last call.

    `lines` are then those of that call: who keeps them keeps nothing new.
    """

    lines: tuple[str, ...]
    connection: str | None
    direction: str | None
    codecs: dict[int, Codec]
    rtcp: tuple[int, str | None] | None
    event_type: int = -1  # the first payload type that is telephone-event (RFC 4733)


NOTHING_BELOW = Below((), None, None, {}, None)


class Media(Struct, frozen=True, gc=False):
    """One m= line and the lines below it; `lines[0]` is the m= line itself."""

    lines: tuple[str, ...]
    kind: str
    port: int
    port_count: int
    protocol: str
    formats: tuple[str, ...]
    below: "Below"

    @property
    def connection(self) -> str | None:
        """The address of this m-line's own c=, or None."""
        return self.below.connection

    @property
    def direction(self) -> str | None:
        """sendrecv, sendonly, recvonly or inactive as this m-line says it, or None."""
        return self.below.direction

    @property
    def codecs(self) -> dict[int, Codec]:
        """Payload type to codec, of every a=rtpmap that can be understood. Not to be changed."""
        return self.below.codecs

    @property
    def fmtp(self) -> dict[str, str]:
        """Format to its parameters, as written."""
        pairs = (value.partition(" ") for value in attributes(self.lines, "fmtp"))
        return {form: text.strip() for form, _, text in pairs}

    @property
    def ptime_ms(self) -> float | None:
        """The a=ptime of this m-line in milliseconds, or None."""
        for value in attributes(self.lines, "ptime"):
            text = value.strip()
            if re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII):
                return float(text)
        return None

    @property
    def rtcp(self) -> tuple[int, str | None] | None:
        """Port and (where named) address of a=rtcp (RFC 3605), or None."""
        return self.below.rtcp

    @property
    def is_rtcp_muxed(self) -> bool:
        """Whether a=rtcp-mux stands here (RFC 5761)."""
        return "a=rtcp-mux" in self.lines

    @property
    def crypto(self) -> list[str]:
        """The values of every a=crypto (RFC 4568)."""
        return attributes(self.lines, "crypto")


class Sdp(Struct, frozen=True, gc=False):
    """A whole description: the lines before the first m= line, then the m-lines in their order."""

    session: tuple[str, ...]
    media: tuple[Media, ...]
    below: Below

    @property
    def origin(self) -> Origin:
        return _origin(self.session)

    @property
    def connection(self) -> str | None:
        """The address of the session's c=, or None."""
        return self.below.connection

    @property
    def direction(self) -> str | None:
        """The direction said for the whole session, or None."""
        return self.below.direction

    def to_bytes(self) -> bytes:
        """Write the lines as they were read, each ended by CRLF."""
        lines = list(self.session)
        for one in self.media:
            lines += one.lines
        return join_lines(lines)


def parse_sdp(data: bytes) -> Sdp:
    """Read a body. Lines may end with CRLF or LF; blank lines at the end are forgiven.

    Raises BadMessage: too long, a line that is not `letter=text`, no v=0 or o= line first, a c= or
    m= line that cannot be read, more than 32 m-lines.
    """
    if len(data) > MAX_BYTES:
        raise BadMessage("SDP longer than 65536 bytes", 413)
    text = data.decode("utf-8", "surrogateescape")
    if len(text) <= MAX_LINE and (usual := _parse_usual(text)) is not None:
        return usual
    return _parse_any(text)


def _parse_usual(text: str) -> Sdp | None:
    """Read a single m-line, written as nearly all are, without a regular expression.

    None for any other description: the long way reads it, or finds what is wrong.
    """
    above, found, under = text.partition("\r\nm=")
    version, _, above = above.partition("\r\n")
    origin, more, above = above.partition("\r\n")
    line, _, under = under.partition("\r\n")
    kind, _, after = line.partition(" ")
    port, _, after = after.partition(" ")
    if version != "v=0" or not found or bool(more) != bool(above):
        return None
    if not (kind.isalpha() and kind.isascii() and port.isdecimal() and port.isascii()):
        return None
    if not _is_usual_origin(origin):
        return None
    under = under.rstrip("\r\n")  # forgiven at the end, nowhere else
    session, below, spoken = _below_in(above), _below_in(under), _spoken_in(after)
    if session is None or below is None or spoken is None or len(port) > 5 or int(port) > 65535:
        return None
    lines = (f"m={line}", *below.lines)
    media = Media(lines, kind, int(port), 1, spoken.protocol, spoken.formats, below)
    return Sdp(("v=0", origin, *session.lines), (media,), session)


def _is_usual_origin(line: str) -> bool:
    words = line.split(" ")
    if len(words) != 6 or "" in words or not line.isprintable():
        return False
    name, _, version, net, family, _ = words
    if not (version.isdecimal() and version.isascii()) or len(version) > 20:
        return False
    return name[:2] == "o=" != name and net == "IN" and (family == "IP4" or family == "IP6")


class _Spoken(Struct, frozen=True, gc=False):
    """How an m-line ends: nearly always as in the last call."""

    protocol: str
    formats: tuple[str, ...]


@remembered
def _spoken_in(text: str) -> _Spoken | None:
    words = text.split(" ")
    if len(words) < 2 or "" in words or not text.isprintable():
        return None
    return _Spoken(words[0], tuple(words[1:]))


def _parse_any(text: str) -> Sdp:
    text = text.replace("\r\n", "\n").rstrip("\r\n")
    if _TEXT.fullmatch(text + "\n") is None:
        raise BadMessage("SDP is not v=0 followed by lines of letter=text")
    lines = text.split("\n")
    if len(text) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        raise BadMessage("SDP line longer than 4096 characters")
    starts = [index for index, line in enumerate(lines) if line[0] == "m"]
    if len(starts) > MAX_MEDIA:
        raise BadMessage("SDP with more than 32 m-lines")
    starts.append(len(lines))
    session = tuple(lines[: starts[0]])
    _origin(session)
    medias = [_media(tuple(lines[start:end])) for start, end in pairwise(starts)]
    below = below_of(session[2:])
    return Sdp((*session[:2], *below.lines), tuple(medias), below)


def join_lines(lines: Iterable[str]) -> bytes:
    """Write lines as a body: CRLF after each (RFC 4566 5)."""
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


def attributes(lines: tuple[str, ...], name: str) -> list[str]:
    """Return the values of every `a=name:value` among `lines`."""
    start = f"a={name}:"
    return [line[len(start) :] for line in lines if line.startswith(start)]


def _media(lines: tuple[str, ...]) -> Media:
    found = _MEDIA.fullmatch(lines[0])
    if found is None:
        raise BadMessage("SDP m-line cannot be read")
    kind, port, count, protocol, formats = found.groups()
    if int(port) > 65535:
        raise BadMessage("SDP m-line with a port above 65535")
    below = below_of(lines[1:])
    lines = (lines[0], *below.lines)
    return Media(lines, kind, int(port), int(count or 1), protocol, tuple(formats.split()), below)


@remembered_lines
def below_of(lines: tuple[str, ...]) -> Below:
    """Read the lines below an o= or m= line. Raises BadMessage for a c= that cannot be read."""
    codecs = _codecs(lines)
    events = [one for one, codec in codecs.items() if codec.name.lower() == "telephone-event"]
    first = events[0] if events else -1
    return Below(lines, _connection(lines), _direction(lines), codecs, _rtcp(lines), first)


def _read_below(text: str) -> Below | None:
    lines = tuple(text.split("\r\n")) if text else ()
    return below_of(lines) if all(map(_LINE.fullmatch, lines)) else None


_below_in = remembered(_read_below, LONGEST_LINES)


def _origin(lines: tuple[str, ...]) -> Origin:
    found = _ORIGIN.fullmatch(lines[1]) if len(lines) > 1 else None
    if found is None or len(found[3]) > 20:
        raise BadMessage("SDP o= line missing or unreadable")
    return Origin(found[1], found[2], int(found[3]), found[5])


def _connection(lines: tuple[str, ...]) -> str | None:
    for line in lines:
        if line[0] == "c":
            found = _CONNECTION.fullmatch(line)
            if found is None:
                raise BadMessage("SDP c= line cannot be read")
            return found[2]
    return None


def _direction(lines: tuple[str, ...]) -> str | None:
    for line in lines:
        if line[2:] in DIRECTIONS and line[0] == "a":
            return line[2:]
    return None


def _codecs(lines: tuple[str, ...]) -> dict[int, Codec]:
    return dict(
        pair
        for line in lines
        if line.startswith("a=rtpmap:") and (pair := _rtpmap(line)) is not None
    )


def _rtpmap(line: str) -> tuple[int, Codec] | None:
    found = _RTPMAP.fullmatch(line)
    if found is None or int(found[1]) > 127:
        return None
    return int(found[1]), Codec(found[2], int(found[3]), int(found[4] or 1))


def _rtcp(lines: tuple[str, ...]) -> tuple[int, str | None] | None:
    for line in lines:
        if line.startswith("a=rtcp:") and (found := _RTCP.fullmatch(line)):
            port = int(found[1])
            return (port, found[2]) if port < 65536 else None
    return None
