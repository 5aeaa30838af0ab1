"""SDP in, SDP out: what one side said, told to the other side as if this relay had said it.

Knows which m-lines are relayed and how one is rewritten (RFC 3264, 4566). Whether an offer may be
made now is dialog/negotiation's; which ports are open is pool's.
"""

import ipaddress
from collections.abc import Sequence
from copy import copy
from functools import lru_cache

from msgspec import Struct, structs

from sipcore.errors import BadMessage
from sipcore.media.control import Description, Mode
from sipcore.message.memory import remembered_lines
from sipcore.message.sdp import NOTHING_BELOW, Codec, Media, Sdp, below_of

RELAYED_KINDS = ("audio", "video")
MOST_RELAYED = 8  # m-lines of a description
RELAYED_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")

# RFC 3551 6: payload types that need no a=rtpmap.
STATIC_CODECS = {
    0: Codec("PCMU", 8000),
    3: Codec("GSM", 8000),
    4: Codec("G723", 8000),
    8: Codec("PCMA", 8000),
    9: Codec("G722", 8000),
    13: Codec("CN", 8000),
    15: Codec("G728", 8000),
    18: Codec("G729", 8000),
    26: Codec("JPEG", 90000),
    31: Codec("H261", 90000),
    32: Codec("MPV", 90000),
    34: Codec("H263", 90000),
}

DATA_CODECS = ("T38", "CLEARMODE", "X-CLEARCHANNEL")
_NO_CODEC = Codec("", 8000)

# What may pass from one side to the other. A list of what is let through, not of what is held
# back: an attribute nobody here knows may carry an address (a=candidate, a=alt, a=x-nat, ...).
_PASSED = (
    "b=",
    "a=rtpmap:",
    "a=fmtp:",
    "a=ptime:",
    "a=maxptime:",
    "a=minptime:",
    "a=framerate:",
    "a=framesize:",
    "a=imageattr:",
    "a=silenceSupp:",
    "a=quality:",
    "a=content:",
    "a=lang:",
)
_HELD = {"sendrecv": "sendonly", "recvonly": "inactive"}

_OWN_CODECS = (
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\n"
    "a=ptime:20\r\n"
    "a=sendrecv\r\n"
)


class Described(Struct, frozen=True, gc=False):
    """One m-line as its speaker wants it.

    `address` is numeric, or empty when nothing may be sent there (hold by 0.0.0.0 or ::, RFC 3264
    8.4). `direction` is the speaker's own view, with such a hold already folded in; it was said
    outright where `is_direction_said`. `codecs` are in the order of preference.
    """

    is_relayed: bool
    address: str
    port: int
    rtcp_port: int
    direction: str
    is_direction_said: bool
    codecs: dict[int, Codec]
    kind: str = "audio"
    event_type: int = -1  # the payload type in which it takes telephone-event (RFC 4733)

    @property
    def wants_media(self) -> bool:
        """Whether the speaker wants to receive."""
        return self.direction in ("sendrecv", "recvonly")


class Said(Struct, frozen=True, gc=False):
    """A side's whole description by m-lines, and the address its signalling came from."""

    streams: tuple[Described, ...]
    source: str


def read(sdp: Sdp, source: str) -> Said:
    """Read every m-line of a description.

    `source` is the address that the signalling came from: it stands in for a host name in c=, which
    the media plane does not resolve. Of more m-lines than anybody needs the rest is refused: each
    that is relayed takes four ports.
    """
    streams = [_read_media(sdp, media, source) for media in sdp.media]
    if len(streams) > MOST_RELAYED:
        rest = [structs.replace(one, is_relayed=False) for one in streams[MOST_RELAYED:]]
        streams[MOST_RELAYED:] = rest
    return Said(tuple(streams), source)


def is_held(described: Sequence[Described]) -> bool:
    """Say whether the speaker holds the other side: no m-line wants media (RFC 3264 8.4)."""
    relayed = [one for one in described if one.is_relayed]
    return bool(relayed) and not any(one.wants_media for one in relayed)


def unheld(described: Sequence[Described]) -> list[Described]:
    """Return what the speaker can, for somebody new: who held him, or was held, is not there."""
    return [
        structs.replace(one, direction="sendrecv", is_direction_said=False) for one in described
    ]


def is_sound_expected(mine: Described, other: Described) -> bool:
    """Say whether a silent `mine` is a fault: neither side holds, so its speaker ought to send."""
    return (
        mine.is_relayed and other.is_relayed and mine.direction == "sendrecv" and other.wants_media
    )


def describe(number: int, media: int, said: Said, other: Said | None) -> Description:
    """Write one m-line of `said` for the worker that knows its stream as `number`."""
    mine = said.streams[media] if media < len(said.streams) else None
    if mine is None or not mine.is_relayed:
        return Description(number, "", 0, 0, (), False, 0)
    facing = other.streams[media] if other is not None and media < len(other.streams) else None
    # Numbers are those of the other side's description; an answer has the same in nearly all calls.
    codecs = mine.codecs
    if facing is not None and facing.codecs != codecs:
        codecs = codecs | facing.codecs
    clock_rate, rates, mode = _wire(mine.kind, tuple(codecs.items()))
    address, source = mine.address, said.source
    return Description(
        number,
        address,
        mine.port,
        mine.rtcp_port,
        (source,) if address in ("", source) else (address, source),
        facing is not None and is_sound_expected(mine, facing),
        clock_rate,
        rates,
        mode,
    )


@lru_cache(256)
def _wire(
    kind: str, codecs: tuple[tuple[int, Codec], ...]
) -> tuple[int, tuple[tuple[int, int], ...], Mode]:
    """Return the clock rate of an m-line, the payload types that have another, and what waits.

    Only speech waits in the jitter buffer; fax and data (RFC 4040) must not be stretched.
    """
    first = codecs[0][1] if codecs else _NO_CODEC
    rates = [
        (payload_type, 0 if codec.name.lower() == "telephone-event" else codec.clock_rate)
        for payload_type, codec in codecs
        if codec is not first
    ]
    others = tuple([pair for pair in rates if pair[1] != first.clock_rate])
    is_speech = kind == "audio" and first.name.upper() not in DATA_CODECS
    return first.clock_rate, others, "buffer" if is_speech else "pass"


def facing_direction(theirs: Described, mine: Described) -> Described:
    """Return `theirs` as an answer to an offer of `mine`: its direction fits (RFC 3264 6.1)."""
    sends = theirs.direction in ("sendrecv", "sendonly") and mine.wants_media
    hears = theirs.wants_media and mine.direction in ("sendrecv", "sendonly")
    direction = {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}
    fitting = direction.get((sends, hears), "inactive")
    if fitting == theirs.direction:
        return theirs
    return structs.replace(theirs, direction=fitting, is_direction_said=True)


def with_formats(media: Media, kept: Sequence[str]) -> Media:
    """Leave of an m-line these of its formats."""
    dropped = tuple(
        f"a={name}:{form} "
        for form in media.formats
        if form not in kept
        for name in ("rtpmap", "fmtp")
    )
    lines = tuple(line for line in media.lines[1:] if not line.startswith(dropped))
    head = f"m={media.kind} {media.port} {media.protocol} {' '.join(kept)}"
    return structs.replace(media, lines=(head, *lines), formats=tuple(kept), below=below_of(lines))


class Author:
    """Writes what this relay says to one side: one o= line for all of it (RFC 3264 8).

    `address` is shown, or `address6`, where there is one, to a side that is of that family.
    """

    def __init__(self, session_id: str, address: str, address6: str = "") -> None:
        self._session_id = session_id
        self._homes = {":" in one: one for one in (address6, address)} if address6 else {}
        self._address = address
        self._version = 0
        self._text = b""
        self._size = 0  # of the part of it that the other side says

    def twin(self) -> "Author":
        """Return one that goes on from here by itself, to one of several who were told the same."""
        return copy(self)

    @property
    def is_dual(self) -> bool:
        """True with an address of ours of each family."""
        return bool(self._homes)

    def choose(self, peer: str) -> None:
        """Show our address of a peer's family from now on."""
        mine = self._homes.get(":" in peer, self._address)
        if mine != self._address:
            self._address = mine
            self._size = 0

    def face(self, peer: str) -> None:
        """Do that with what was written already: it was sent as `facing` has it."""
        self._text = self.facing(self._text, peer)
        self._address = self._homes.get(":" in peer, self._address)

    def facing(self, sdp: bytes, peer: str) -> bytes:
        """Return an SDP of ours with our address of a peer's family."""
        is_v6 = ":" in peer
        if not self._homes:
            return sdp
        return show(sdp, self._homes[not is_v6], self._homes[is_v6])

    def write(
        self,
        sdp: Sdp,
        described: Sequence[Described],
        ports: Sequence[int],
        ours: Sequence[Sequence[str]] = (),
    ) -> bytes:
        """Tell what the other side said in `sdp`, with our own ports.

        `ports` has one RTP port for each m-line, 0 for one that is refused; RTCP is the next port.
        `ours`: lines of our own for each m-line, where there are any.
        """
        text = _above(sdp.below.lines)
        for index, media in enumerate(sdp.media):
            text += _write_media(media, described[index], ports[index])
            if ports[index] and index < len(ours):
                text += "".join([f"{line}\r\n" for line in ours[index]])
        return self._finish(text)

    def propose(self, port: int) -> bytes:
        """Offer what every phone and carrier can: G.711 and telephone-event (RFC 4733)."""
        return self._finish(f"t=0 0\r\nm=audio {port} RTP/AVP 8 0 101\r\n{_OWN_CODECS}")

    def _finish(self, text: str) -> bytes:
        """Write the SDP: with the same o= line as the last one if nothing in it has changed."""
        said = text.encode("utf-8", "surrogateescape")
        if self._size == len(said) and self._text.endswith(said):
            return self._text
        self._version += 1
        self._size = len(said)
        home = f"IN {'IP6' if ':' in self._address else 'IP4'} {self._address}"
        above = f"v=0\r\no=- {self._session_id} {self._version} {home}\r\ns=-\r\nc={home}\r\n"
        self._text = above.encode() + said
        return self._text


def show(sdp: bytes, instead: str, address: str) -> bytes:
    """Put one address of ours in the place of another: in the o= and the c= line."""
    return sdp.replace(_home(instead), _home(address), 2)


def _home(address: str) -> bytes:
    """Write an address as the o= and the c= line end."""
    return f"IN IP{6 if ':' in address else 4} {address}\r\n".encode()


def _read_media(sdp: Sdp, media: Media, source: str) -> Described:
    is_relayed = (
        media.port > 0 and media.kind in RELAYED_KINDS and media.protocol in RELAYED_PROTOCOLS
    )
    below, session = media.below, sdp.below
    said = below.direction or session.direction
    direction = said or "sendrecv"
    stated = below.connection or session.connection
    if is_relayed and stated is None:
        raise BadMessage("SDP without a c= line for an m-line")  # RFC 4566 5.7
    address = _usable(stated or "", source)
    is_null = not address and direction in _HELD
    codecs = codecs_of(media) if is_relayed else {}
    return Described(
        is_relayed,
        address,
        media.port,
        # Only the port of a=rtcp is believed: RTCP goes to the address that RTP goes to, so that a
        # description cannot aim it at a third party.
        below.rtcp[0] if below.rtcp else (media.port + 1) % 65536,
        _HELD[direction] if is_null else direction,
        is_null or said is not None,
        codecs,
        media.kind,
        below.event_type if below.event_type in codecs else -1,
    )


def codecs_of(media: Media) -> dict[int, Codec]:
    return _codecs_of((" ".join(media.formats), *media.below.lines))


@remembered_lines
def _codecs_of(lines: tuple[str, ...]) -> dict[int, Codec]:
    """Return what formats stand for, by the lines below their m-line."""
    formats, *below = lines
    mapped = below_of(tuple(below)).codecs
    types = [int(form) for form in formats.split(" ") if len(form) <= 3 and form.isdecimal()]
    return {
        number: codec
        for number in types
        if (codec := mapped.get(number) or STATIC_CODECS.get(number)) is not None
    }


@lru_cache(4096)
def _usable(stated: str, source: str) -> str:
    """Return where media may be sent: "" for a hold or a group, `source` for a host name."""
    try:
        address = ipaddress.ip_address(stated)
    except ValueError:
        return source
    return "" if address.is_unspecified or address.is_multicast else str(address)


def refused(media: Media) -> Media:
    """Refuse an m-line: port 0, its formats kept because the grammar wants one (RFC 3264 6)."""
    line = f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}"
    return Media((line,), media.kind, 0, 1, media.protocol, media.formats, NOTHING_BELOW)


def _write_media(media: Media, view: Described, port: int) -> str:
    if not port:
        return f"{refused(media).lines[0]}\r\n"
    forms = " ".join(media.formats)
    said = f"a={view.direction}\r\n" if view.is_direction_said else ""
    passed = _passed(media.below.lines)
    return f"m={media.kind} {port} {media.protocol} {forms}\r\n{passed}{said}"


@remembered_lines
def _above(lines: tuple[str, ...]) -> str:
    """Return what of a session's lines goes on above the m-lines: its bandwidth."""
    return "".join([f"{line}\r\n" for line in lines if line[0] == "b"]) + "t=0 0\r\n"


@remembered_lines
def _passed(lines: tuple[str, ...]) -> str:
    return "".join([f"{line}\r\n" for line in lines if line.startswith(_PASSED)])
