"""A session, the media of one call: sides "a" and "b", each m-line with a stream at either side.

It costs two round trips to a worker: opening the ports, and the figures at the end. Where the
streams are is placement's.
"""

from types import TracebackType
from typing import Self

from msgspec import Struct

from sipcore.errors import MediaError
from sipcore.media import control, quality
from sipcore.media.agreement import Standing, other_than
from sipcore.media.control import Recorded, Side
from sipcore.media.lent import Speaker
from sipcore.media.offer import Author, Said, is_held, read
from sipcore.media.placement import Placement
from sipcore.media.quality import StreamState
from sipcore.message.sdp import parse_sdp


class LegStatistics(Struct, frozen=True):
    """One side's figures for the CDR: what came from it. `mos` is None before a packet came."""

    codec: str
    packets: int
    lost: int
    jitter_ms: float
    mos: float | None


class MediaSession(Placement):
    """The media of one call. Made by MediaPool.session, used in a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if (worker := self._leave()) is not None:
            worker.close_call(self._call)
        if kind is not None:
            self._pool.forget_recording(self._call)  # nobody will ask

    async def offer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take the offer of `side`; return what to offer to the other side.

        `source` is the address that the signalling came from. Opens the ports on first use. A first
        offer counts at once (early media needs it), a later one when it is answered. Raises
        BadMessage; MediaError when nothing in it can be relayed, no port is free, no worker is
        there: then the session is good for nothing but being left.
        """
        parsed = parse_sdp(sdp)
        said = read(parsed, source)
        wanted = [index for index, one in enumerate(said.streams) if one.is_relayed]
        if not wanted and any(media.port for media in parsed.media):
            raise MediaError("nothing in this SDP can be relayed")
        if not self._streams:
            self._agreement.said[side] = said
        await self._ensure(wanted)
        return self._agreement.offer(side, sdp, parsed, said)

    def answer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take the answer of `side`, final or provisional; return the answer for the other side.

        The latest answer counts: of another fork, of the next carrier. A worker that is away hears
        of it when it, or another one, is there. Raises BadMessage, and MediaError before any offer.
        """
        if not self._streams:
            raise MediaError("an answer before any offer")
        self.face(side, source)
        told = self._agreement.answer(side, sdp, source)
        self.tell()
        return told

    def face(self, side: Side, peer: str) -> None:
        """Let a side be told our address of the family that its signalling comes by."""
        if self._pool.address6:
            self._agreement.face(side, peer)

    def learn(self, side: Side, sdp: bytes, source: str) -> None:
        """Take the answer of `side`, which the other side cannot be told now: see is_due.

        Raises as `answer` does.
        """
        if not self._streams:
            raise MediaError("an answer before any offer")
        self.face(side, source)
        self._agreement.learn(side, sdp, source)
        if self.guest is not None and self.guest[0] == side:
            self.guest = None
        self.tell()

    def answer_here(self, side: Side, sdp: bytes, source: str, fork: str = "") -> bytes:
        """Answer an offer of `side` by what the other side said last, which is not asked.

        `fork` names who of several that ring is answered: see choose. Raises BadMessage;
        MediaError where that cannot be done.
        """
        answered = self._agreement.answer_here(side, sdp, source, fork)
        self.tell()
        return answered

    def check_offer(self, side: Side, sdp: bytes, source: str) -> None:
        """Raise what answer_here would, and change nothing."""
        self._agreement.check_offer(side, sdp, source)

    def answer_ahead(self, side: Side, sdp: bytes, source: str) -> tuple[bytes, bytes]:
        """Answer an offer of `side` by G.711 of ours, while the other side has said nothing.

        Returns what of the offer may go on to the other side, and the answer. Raises BadMessage;
        MediaError where it has no G.711.
        """
        return self._agreement.answer_ahead(side, sdp, source)

    def choose(self, side: Side, fork: str) -> None:
        """Let the fork that answers stand for `side`, with what it was told while it rang."""
        self._agreement.choose(side, fork)

    def as_answer(self, sdp: bytes) -> bytes:
        """Return the offer of who picks a call up as an answer to the caller. Raises BadMessage."""
        return self._agreement.as_answer(sdp)

    def is_due(self, side: Side) -> bool:
        """Tell whether `side` must be told anew what the other one takes and sends."""
        return self._agreement.is_due(side)

    def retell(self, side: Side) -> bytes:
        """Return an offer of ours for `side`: what the other side said last. `learn` its answer."""
        return self._agreement.retell(side)

    def repeat(self, side: Side) -> bytes:
        """Return what `side` was told last, byte for byte, as an offer that refreshes."""
        return self._agreement.repeat(side)

    def is_same(self, side: Side, sdp: bytes) -> bool:
        """Tell whether `side` says again, byte for byte, what it said last."""
        return self._agreement.is_same(side, sdp)

    def withdraw(self) -> None:
        """Forget the pending offer: it was refused, what was agreed before goes on."""
        self._agreement.withdraw()

    def put_off(self) -> None:
        """Forget an offer of ours that was refused for now: see is_due."""
        self._agreement.put_off()

    async def propose(self, side: Side) -> bytes:
        """Return an offer of our own for `side`: the INVITE that asked for it carried none.

        Its answer, by way of `answer`, is the offer for the other side. Raises MediaError.
        """
        await self._ensure([0])
        return self._agreement.propose(side, self._port_of(side, 0))

    def renew(self, side: Side, author: Author | None = None) -> tuple[bytes, Author]:
        """Return what `side` said last as an offer for somebody new in the other one's place.

        `author` has written to him before, else a new one is made. Nothing changes before
        `stand_in`. Raises MediaError where `side` has said nothing.
        """
        return self._agreement.renew(side, author)

    def stand_in(self, side: Side, author: Author, offer: bytes) -> Standing:
        """Let somebody new speak for `side`; his answer to the offer of `renew` comes next.

        Returns who stood there, for `put_back`.
        """
        return self._agreement.stand_in(side, author, offer)

    def put_back(self, side: Side, standing: Standing) -> None:
        """Forget a newcomer whose answer was of no use."""
        self._agreement.put_back(side, standing)

    def author(self, side: Side) -> Author:
        """Return who writes to a side: its o= line goes on wherever the leg goes (RFC 3264 8)."""
        return self._agreement.author(side)

    def let_in(self, side: Side, sdp: bytes, source: str) -> None:
        """Let somebody be heard in the place of `side`, who may come back: see let_out.

        His SDP answers an offer of `renew`. What is agreed stays. Raises BadMessage; MediaError
        where the other side would not hear him.
        """
        guest, hears = read(parse_sdp(sdp), source), self._agreement.said.get(other_than(side))
        if hears is None or not hears.streams[0].wants_media:
            raise MediaError("nobody hears")
        self.guest = side, guest
        self.tell()

    def await_answer(self, side: Side) -> None:
        """Let nobody be heard in the place of `side` till it is learned what it answers."""
        self.guest = side, Said((), "")
        self.tell()

    def let_out(self) -> None:
        """Let both sides be heard again. The worker hears of it with what it is told next."""
        self.guest = None

    @property
    def speakers(self) -> dict[Side, Speaker]:
        """Who speaks for each side; asked only where one has telephone-event and one has not."""
        return self._agreement.speakers

    def takes_events(self, side: Side) -> bool:
        """Tell whether keys may be told to `side` as events (RFC 4733)."""
        return (side, 0) in self._streams and self._agreement.event_codec(side) is not None

    def press(self, side: Side, event: int, duration_ms: int) -> None:
        """Let `side`, which takes events, hear one. Raises MediaError while no worker is there."""
        found = self._agreement.event_codec(side)
        if found is None or self._worker is None:
            raise MediaError("no event can be sent there")
        stream, (event_type, codec) = self._streams[side, 0], found
        rate = codec.clock_rate
        self._worker.send(control.Press(self._call, stream, event_type, rate, event, duration_ms))

    def record(self, name: str, started_at: float) -> None:
        """Record what both sides say from now to the end, as `name` in the recordings folder.

        `started_at` is now in UTC seconds: should the call go on at another worker, so does its
        recording. Never raises: `recorded` tells how it went.
        """
        self._recording = (name, started_at)
        self._pool.expect_recording(self._call)
        self._say_record()

    async def recorded(self) -> Recorded | None:
        """Return what became of the recording, once the call is finished; None without one."""
        if self._recording is None:
            return None
        return await self._pool.recorded(self._call, self._recording[0], self._is_carried)

    def rows(self) -> tuple[tuple[Side, int, int], ...]:
        """Return side, m-line and RTP port of every stream, in the order they were opened."""
        return tuple((*key, self._ports[number]) for key, number in self._streams.items())

    def foretell(self, side: Side) -> bytes:
        """Return an answer of ours for `side`, which the other one's will follow, and play by it.

        Raises MediaError where no sound of ours is among what `side` has offered.
        """
        told = self._agreement.foretell(side)
        self.tell()
        return told

    def has_spoken(self, side: Side) -> bool:
        """Say whether a side has described its media."""
        return side in self._agreement.said

    def is_held(self, side: Side) -> bool:
        """Say whether `side` holds the other one."""
        said = self._agreement.said.get(side)
        return said is not None and is_held(said.streams)

    async def finish(self) -> dict[str, LegStatistics]:
        """Close now; return the figures of "a" and "b". Nothing, if no worker has them."""
        if (worker := self._leave()) is None:
            return {}
        if not worker.is_up:
            worker.close_call(self._call)
            return {}
        worker.calls.discard(self._call)
        try:
            reply = await worker.ask(lambda number: control.Close(number, self._call))
        except MediaError:
            worker.close_call(self._call)
            return {}
        if not isinstance(reply, control.Closed):
            return {}
        self._is_carried = bool(reply.streams)
        # The first m-line that carried something speaks for its leg: it is the audio.
        figures: dict[str, LegStatistics] = {}
        for state in sorted(reply.streams, key=lambda one: (not one.packets, one.media)):
            if state.side not in figures:
                figures[state.side] = _statistics(state, self.codec_of(state))
        return figures

    def codec_of(self, state: StreamState) -> str:
        """Return the name of the codec that a stream carries, or was agreed; "" if none was."""
        names = self._codecs(state.side, state.media)
        if not names:
            return ""
        codec = names.get(state.payload_type) or next(iter(names.values()))
        return codec.name.upper()


def _statistics(state: StreamState, codec: str) -> LegStatistics:
    expected = state.packets + state.lost
    return LegStatistics(
        codec,
        state.packets,
        state.lost,
        state.jitter_ms,
        quality.mos(codec, state.lost / expected) if state.packets else None,
    )
