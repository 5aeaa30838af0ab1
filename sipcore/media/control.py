"""The verbs and events of a worker's control socket: MessagePack after a 4-byte length.

Both ends import it; the signalling end must stay small, so nothing here knows numpy. Structs are
array-like (fields in order, no names): both ends are always of one version.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from sipcore.errors import MediaError
from sipcore.media.quality import StreamState as StreamState  # part of what is said here
from sipcore.media.quality import Totals as Totals

Side = Literal["a", "b"]
Mode = Literal["buffer", "pass"]
Tone = Literal["ringback", "busy", "congestion"]

MAX_FRAME = 16 << 20
GAP_S = 0.02  # between writes under load, as the SIP socket is polled


class Stream(Struct, frozen=True, array_like=True):
    """One m-line of one leg. RTP at `port`, RTCP at `port + 1`; its peer has the other side."""

    side: Side
    media: int
    port: int


class Description(Struct, frozen=True, array_like=True):
    """What a side said of one of its streams.

    `stream` counts the call's streams in the order they were opened. `port` 0: the stream is not in
    use. `address` "": nothing is sent there (hold). `sources` are the only addresses that the
    stream may be latched to. `clock_rate` is in Hz; `other_rates` names the payload types that
    differ, 0 where timestamps say nothing of arrival (telephone-event, RFC 4733 2.2). `mode`: what
    comes from it goes through the jitter buffer, or on at once (fax). `event_type`: the payload
    type whose events go no further and are told (`Pressed`), with a clock of `event_rate`.
    """

    stream: int
    address: str
    port: int
    rtcp_port: int
    sources: tuple[str, ...]
    is_sound_expected: bool
    clock_rate: int
    other_rates: tuple[tuple[int, int], ...] = ()
    mode: Mode = "buffer"
    event_type: int = -1
    event_rate: int = 8000

    def place(self) -> tuple[object, ...]:
        """Return where its speaker is: a change of it is a move, nothing else is."""
        return self.address, self.port, self.rtcp_port, self.sources


class Open(Struct, frozen=True, array_like=True, tag="open"):
    """Open streams, and describe those that are known. Adds to a call that is there already."""

    id: int
    call: str
    streams: tuple[Stream, ...]
    descriptions: tuple[Description, ...] = ()


class Play(Struct, frozen=True, array_like=True):
    """A tone that is heard in the place of a stream, by its peer, while nobody speaks there.

    It begins after `wait_ms`, in packets of `payload_type`, which is `codec` there, and ends for
    good with the first packet that comes from where the stream was last described to be; with
    `pause_ms` it is back whenever no packet has come for so long.
    """

    stream: int
    tone: Tone
    payload_type: int
    codec: Literal["PCMU", "PCMA"]
    wait_ms: int = 0
    pause_ms: int = 0


class Update(Struct, frozen=True, array_like=True, tag="update"):
    """Describe streams anew, and say what is played: `play`, or nothing any more. No reply."""

    call: str
    descriptions: tuple[Description, ...]
    play: Play | None = None


class Close(Struct, frozen=True, array_like=True, tag="close"):
    """End a call's streams. A call that is not there has no figures."""

    id: int
    call: str


class Record(Struct, frozen=True, array_like=True, tag="record"):
    """Record a call's audio as `name`, a file in the recordings folder, from now to its end.

    `codecs` has (side, payload type, codec name) of what each side may send. Again: takes in new
    codecs. `started_at`, UTC seconds, is when the recording began: another worker goes on with the
    file of one that died, at its place. No reply; `Recorded` follows the call's Close.
    """

    call: str
    name: str
    codecs: tuple[tuple[Side, int, str], ...] = ()
    started_at: float = 0.0


class Press(Struct, frozen=True, array_like=True, tag="press"):
    """Send whom `stream` leads to an event (RFC 4733), in place of the other side's sound.

    `event` is its code, `duration_ms` its length. No reply. Ignored where too many wait already, or
    where the other side sends events itself.
    """

    call: str
    stream: int
    payload_type: int
    clock_rate: int
    event: int
    duration_ms: int


class List(Struct, frozen=True, array_like=True, tag="list"):
    """Ask for every stream."""

    id: int


class Prove(Struct, frozen=True, array_like=True, tag="prove"):
    """Ask which calls were heard within the last `within_s` seconds, and when."""

    id: int
    within_s: float


class Metrics(Struct, frozen=True, array_like=True, tag="metrics"):
    """Ask for the worker's totals."""

    id: int


class Opened(Struct, frozen=True, array_like=True, tag="opened"):
    """`taken`: ports that another program holds; `fault`: why else nothing was opened."""

    id: int
    taken: tuple[int, ...] = ()
    fault: str = ""


class Closed(Struct, frozen=True, array_like=True, tag="closed"):
    id: int
    streams: tuple[StreamState, ...]


class Listed(Struct, frozen=True, array_like=True, tag="listed"):
    id: int
    calls: dict[str, tuple[StreamState, ...]]


class Proven(Struct, frozen=True, array_like=True, tag="proven"):
    """Seconds since the latest packet of each call that was heard."""

    id: int
    ages_s: dict[str, float]


class Measured(Struct, frozen=True, array_like=True, tag="measured"):
    id: int
    totals: Totals


class FirstPacket(Struct, frozen=True, array_like=True, tag="first"):
    """The first genuine RTP packet of a leg came."""

    call: str
    side: Side


class Silent(Struct, frozen=True, array_like=True, tag="silent"):
    """A leg not on hold has sent neither RTP nor RTCP for `silent_s` seconds."""

    call: str
    side: Side
    silent_s: float


class Pressed(Struct, frozen=True, array_like=True, tag="pressed"):
    """A side whose events are told has sent one, of so many milliseconds (RFC 4733)."""

    call: str
    side: Side
    event: int
    duration_ms: int


class Recorded(Struct, frozen=True, array_like=True, tag="recorded"):
    """A recording is finished and on disk; `is_degraded`: something of it is missing."""

    call: str
    name: str
    sha256: str
    is_degraded: bool


class Lost(Struct, frozen=True):
    """The worker that carried the call is gone, and its sound with it. Made by the pool's end."""

    call: str


MediaEvent = FirstPacket | Silent | Pressed | Recorded | Lost
OnEvent = Callable[[MediaEvent], None]

Verb = Open | Update | Record | Press | Close | List | Prove | Metrics
Reply = Opened | Closed | Listed | Proven | Measured
Event = FirstPacket | Silent | Pressed | Recorded

Message = TypeVar("Message")

_encoder = msgspec.msgpack.Encoder()
_verbs = msgspec.msgpack.Decoder(Verb)
_answers = msgspec.msgpack.Decoder(Reply | Event)


def write_frame(buffer: bytearray, message: Verb | Reply | Event) -> None:
    """Append one message to `buffer`."""
    frame = _encoder.encode(message)
    buffer += len(frame).to_bytes(4, "big") + frame


def read_verbs(buffer: bytearray) -> Iterator[Verb]:
    """Take the whole verbs off the front of `buffer`. Raises MediaError for what is none."""
    return _frames(buffer, _verbs)


def read_answers(buffer: bytearray) -> Iterator[Reply | Event]:
    """Take the whole replies and events off the front of `buffer`. Raises MediaError."""
    return _frames(buffer, _answers)


def _frames(buffer: bytearray, decoder: msgspec.msgpack.Decoder[Message]) -> Iterator[Message]:
    start = 0
    try:
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if end - start > MAX_FRAME:
                raise MediaError("control: frame too long")
            if end > len(buffer):
                break
            frame = bytes(buffer[start + 4 : end])
            start = end
            yield decoder.decode(frame)
    except msgspec.MsgspecError as fault:
        raise MediaError(f"control: {fault}") from None
    finally:
        del buffer[:start]


class Link(Protocol):
    """The signalling end of one worker's control connection."""

    def send(self, verb: Verb) -> None:
        """Pass a verb on, in order, without waiting."""
        ...

    def close(self) -> None:
        """End the connection; `on_lost` is not called for it."""
        ...


OnAnswer = Callable[[Reply | Event], None]
OnLost = Callable[[], None]
Connect = Callable[[OnAnswer, OnLost], Awaitable[Link]]


def unix_link(path: str) -> Connect:
    """Return how to connect to the worker that listens at `path`. Connecting raises OSError."""

    async def connect(on_answer: OnAnswer, on_lost: OnLost) -> Link:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: _UnixLink(on_answer, on_lost), path)
        return link

    return connect


class _UnixLink(asyncio.Protocol):
    """Frames over a Unix socket. All verbs of one loop iteration leave in one write.

    Under load writes are GAP_S apart: each wakes the worker, the dearest part of a verb.
    """

    def __init__(self, on_answer: OnAnswer, on_lost: OnLost) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._out = bytearray()
        self._in = bytearray()
        self._flushed_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own kind of it

    def send(self, verb: Verb) -> None:
        if not self._out:
            wait_s = self._flushed_at + GAP_S - self._loop.time()
            if wait_s > 0:
                self._loop.call_later(wait_s, self._flush)
            else:
                self._loop.call_soon(self._flush)
        write_frame(self._out, verb)

    def close(self) -> None:
        self._flush()
        if (transport := self._transport) is not None:
            self._transport = None
            transport.close()

    def data_received(self, data: bytes) -> None:
        self._in += data
        try:
            for answer in read_answers(self._in):
                self._on_answer(answer)
        except MediaError:
            if self._transport is not None:
                self._transport.abort()  # connection_lost follows, and with it on_lost

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_lost()

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(bytes(self._out))
            self._flushed_at = self._loop.time()
        self._out.clear()
