"""What the two sides of a call have said of its media, and what each was told of the other.

Knows SDPs, not which message carries them (dialog/negotiation.py, call), and no worker.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from sipcore.errors import MediaError
from sipcore.media import lent, precondition
from sipcore.media.codecs import TONE_CODECS, with_codecs
from sipcore.media.control import Side
from sipcore.media.fitting import Common, align, answering, in_common, takes_all, with_all
from sipcore.media.lent import Speaker, Uneven
from sipcore.media.offer import (
    Author,
    Described,
    Said,
    facing_direction,
    read,
    unheld,
)
from sipcore.message.sdp import Codec, Sdp, parse_sdp

SIDES: tuple[Side, Side] = ("a", "b")


class Told(Struct, frozen=True, gc=False):
    """What a side was told: the other side's m-lines, as an SDP of ours."""

    streams: tuple[Described, ...]
    sdp: bytes
    lent: int = -1  # the payload type of a telephone-event that the other side does not have


Standing = tuple[Author, Told | None]  # who writes for a side, and what it was told


class _Open(Struct, frozen=True):
    """An offer that waits: who made it (None: we did), what it says, what it takes the place of."""

    by: Side | None
    said: Said | None
    sdp: bytes
    to: Side
    before: Told | None


class Agreement:
    """One per call. `author` makes what writes for a side; `port` is ours for an m-line, or 0."""

    def __init__(self, author: Callable[[], Author], port: Callable[[Side, int], int]) -> None:
        self.said: dict[Side, Said] = {}
        self.foretold: Said | None = None  # what a side was told before the other had spoken
        self.speakers: dict[Side, Speaker] = {}
        self._make_author = author
        self._port = port
        self._authors: dict[Side, Author] = {}
        self._heard: dict[Side, bytes] = {}  # the SDP that `said` was read from
        self._told: dict[Side, Told] = {}
        # What a fork that rings was told since the offer to all: its o= line goes on by itself.
        self._forks: dict[str, tuple[Author, Told]] = {}
        self._open: _Open | None = None
        self._offered: Sdp | None = None  # the offer that answers answer
        self._conditions: dict[Side, tuple[tuple[str, ...], ...]] = {}  # RFC 3312: told by m-line

    def offer(self, side: Side, sdp: bytes, parsed: Sdp, said: Said) -> bytes:
        """Take an offer; return it for the other side. It counts when that one answers."""
        to = other_than(side)
        if (author := self.author(side)).is_dual:
            author.choose(next((one.address for one in said.streams if one.address), said.source))
        before = self._told.get(to)
        self._open = _Open(side, said, sdp, to, before)
        self._offered = parsed
        self._note_conditions(side, sdp, parsed)
        if side not in self._heard:  # early media needs the first one at once
            self.said[side], self._heard[side] = said, sdp
        streams = said.streams
        if before is not None and len(before.streams) > len(streams):  # RFC 3264 8: never fewer
            parsed = self._offered = with_all(parsed, parse_sdp(before.sdp))
            streams = read(parsed, said.source).streams
        return self._tell(to, parsed, streams, is_offer=True)

    def propose(self, side: Side, port: int) -> bytes:
        """Return an offer of our own for `side`, which nobody has said anything to."""
        sdp = self.author(side).propose(port)
        self._told[side] = Told(read(parse_sdp(sdp), "").streams, sdp)
        self._open = self._offered = None
        return sdp

    def answer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take an answer; return it for the other side. Raises BadMessage."""
        parsed = self._learn(side, sdp, source)
        return self._tell(other_than(side), parsed, self.said[side].streams)

    def as_answer(self, sdp: bytes) -> bytes:
        """Return an offer of who picks a call up as an answer to the one that waits.

        Raises BadMessage where it is none.
        """
        if self._offered is None:
            return sdp
        parsed = answering(parse_sdp(sdp), self._offered)
        align(parsed, self._offered)
        return parsed.to_bytes()

    def learn(self, side: Side, sdp: bytes, source: str) -> None:
        """Take an answer that the other side cannot be told now: it is due. Raises BadMessage."""
        self._learn(side, sdp, source)

    def foretell(self, side: Side) -> bytes:
        """Answer the offer of `side` before the other side has said anything, by G.711 of ours.

        Raises MediaError where it offers none.
        """
        if side not in self._heard:
            raise MediaError("nothing was offered")
        parsed = parse_sdp(with_codecs(self._heard[side], TONE_CODECS))
        pairs = zip(read(parsed, "").streams, self.said[side].streams, strict=True)
        streams = tuple(
            facing_direction(structs.replace(one, direction="sendrecv"), mine)
            for one, mine in pairs
        )
        self.foretold = Said(streams, "")
        return self._tell(side, parsed, streams)

    def face(self, side: Side, peer: str) -> None:
        """Take note of the family of a side's address: what it was told was written for it."""
        author, told = self.author(side), self._told.get(side)
        if told is not None:
            self._told[side] = Told(told.streams, author.facing(told.sdp, peer), told.lent)
        author.face(peer)

    def withdraw(self) -> None:
        """Forget the offer that waits: it was refused, what was agreed before goes on."""
        open_, self._open = self._open, None
        if open_ is None:
            return
        if open_.before is not None:
            self._told[open_.to] = open_.before
            self._offered = None
        if open_.by is None and open_.before is not None:  # it will not have it: no second time
            now = self.said[other_than(open_.to)].streams
            self._told[open_.to] = Told(now, open_.before.sdp, open_.before.lent)

    def put_off(self) -> None:
        """Forget an offer of ours that was refused for now: what it said is due again."""
        open_, self._open = self._open, None
        if open_ is not None and open_.before is not None:
            self._told[open_.to], self._offered = open_.before, None

    def answer_here(self, side: Side, sdp: bytes, source: str, fork: str = "") -> bytes:
        """Answer the offer of `side` by what the other side said last, which is not asked.

        `fork` names who of several that ring is told so: it counts if that one answers. Raises
        BadMessage; MediaError where the two have nothing in common, or the other side has said
        nothing yet.
        """
        parsed = parse_sdp(sdp)
        said = read(parsed, source)
        facing, common = self._in_common(side, parsed, said)
        self.said[side], self._heard[side] = said, sdp
        self._note_conditions(side, sdp, parsed)
        answer = Sdp(facing.session, common.media, facing.below)
        answer, event_type = self._fit(side, answer, common.wanted, is_offer=False)
        author = self.author(side)
        if fork:
            author = self._forks[fork][0] if fork in self._forks else author.twin()
        answered = self._write(side, answer, common.fitting, author)
        now = Told(common.wanted, answered, event_type)
        if fork:
            self._forks[fork] = author, now
        else:
            self._told[side] = now
        return answered

    def check_offer(self, side: Side, sdp: bytes, source: str) -> None:
        """Raise what answer_here would, and change nothing."""
        parsed = parse_sdp(sdp)
        self._in_common(side, parsed, read(parsed, source))

    def _in_common(self, side: Side, parsed: Sdp, said: Said) -> tuple[Sdp, Common]:
        """Return what the other side said last, and what of it an offer of `side` can have."""
        other = other_than(side)
        if other not in self.said:
            raise MediaError("nothing is known of the other side")
        facing, views = parse_sdp(self._heard[other]), self.said[other].streams
        offer = parsed, said.streams
        return facing, in_common((facing, views), offer, lambda at: self._port(side, at) > 0)

    def answer_ahead(self, side: Side, sdp: bytes, source: str) -> tuple[bytes, bytes]:
        """Answer the offer of `side` while the other one has said nothing; see foretell.

        Returns what of it may be offered to the other side, and the answer.
        """
        known = with_codecs(sdp, TONE_CODECS)
        self.said[side], self._heard[side] = read(parse_sdp(known), source), known
        return known, self.foretell(side)

    def choose(self, side: Side, fork: str) -> None:
        """Let a fork stand for `side`: what it alone was told counts, what others were does not."""
        if self._forks:
            if (found := self._forks.get(fork)) is not None:
                self._authors[side], self._told[side] = found
            self._forks.clear()

    def is_due(self, side: Side) -> bool:
        """Tell whether `side` may send what the other cannot take, or has not heard of a hold."""
        told, mine = self._told.get(side), self.said.get(side)
        now = self.said.get(other_than(side))
        if told is None or mine is None or now is None:
            return False
        if told.lent >= 0 and not lent.has_events(now.streams) and not self._tells(side):
            return True
        for index, one in enumerate(now.streams):
            if index >= len(told.streams) or index >= len(mine.streams):
                return False  # an m-line more is for its speaker to offer
            was, own = told.streams[index], mine.streams[index]
            if not own.is_relayed:
                continue
            if was.is_relayed != one.is_relayed or was.direction != one.direction:
                return True
            if not takes_all(one, was, own):
                return True
        return False

    def retell(self, side: Side) -> bytes:
        """Return an offer of ours for `side`: what the other side said last."""
        other = other_than(side)
        before = self._told[side]
        parsed = parse_sdp(self._heard[other])
        earlier = parse_sdp(before.sdp)
        if len(parsed.media) < len(earlier.media):
            parsed = align(parsed, earlier)
        views = read(parsed, self.said[other].source).streams
        told = self._tell(side, parsed, views, is_offer=True)
        return self._begin(side, before, told)

    def repeat(self, side: Side) -> bytes:
        """Return what `side` was told last, byte for byte: an offer that refreshes (RFC 4028)."""
        before = self._told[side]
        return self._begin(side, before, before.sdp)

    def is_same(self, side: Side, sdp: bytes) -> bool:
        """Tell whether `side` says again what it said last."""
        return self._heard.get(side) == sdp

    def author(self, side: Side) -> Author:
        """Return what writes for a side."""
        if (author := self._authors.get(side)) is None:
            author = self._authors[side] = self._make_author()
        return author

    def renew(self, side: Side, author: Author | None) -> tuple[bytes, Author]:
        """Return what `side` said last, its hold taken away, for somebody new on the other side."""
        if side not in self._heard:
            raise MediaError("nothing was said that could be offered")
        author = author or self._make_author()
        streams = unheld(self.said[side].streams)
        ports = self._ports(other_than(side), streams)
        parsed = parse_sdp(self._heard[side])
        if not lent.has_events(streams):
            parsed, _ = self._fit(other_than(side), parsed, streams, is_offer=True)
        return author.write(parsed, streams, ports), author

    def stand_in(self, side: Side, author: Author, offer: bytes) -> Standing:
        """Let somebody new, to whom `author` wrote `offer`, be in the place of a side."""
        standing = self.author(side), self._told.get(side)
        self._authors[side] = author
        parsed = parse_sdp(offer)  # the other side may have said something else since
        streams, event_type = read(parsed, "").streams, -1
        stays = self.said[other_than(side)].streams
        if not lent.has_events(stays) and lent.has_events(streams):
            event_type = streams[0].event_type
            streams = (lent.bare(streams[0]), *streams[1:])
        self._told[side] = Told(streams, offer, event_type)
        self._open, self._offered = None, parsed
        return standing

    def put_back(self, side: Side, standing: Standing) -> None:
        """Undo that."""
        self._authors[side], told = standing
        if told is not None:
            self._told[side] = told
        self._offered = None

    def _begin(self, side: Side, before: Told, sdp: bytes) -> bytes:
        self._open = _Open(None, None, b"", side, before)
        self._offered = parse_sdp(sdp)
        return sdp

    def _learn(self, side: Side, sdp: bytes, source: str) -> Sdp:
        parsed = parse_sdp(sdp)
        if self._offered is not None:
            parsed = align(parsed, self._offered)
        said = read(parsed, source)
        if (open_ := self._open) is not None and open_.by != side:
            if open_.by is not None and open_.said is not None:
                self.said[open_.by], self._heard[open_.by] = open_.said, open_.sdp
            self._open = None
        self.said[side], self._heard[side] = said, sdp
        return parsed

    def _tell(
        self, side: Side, sdp: Sdp, streams: Sequence[Described], *, is_offer: bool = False
    ) -> bytes:
        event_type = -1
        mine = self.said.get(side)
        is_offer |= mine is None
        if mine is not None and not is_offer and len(mine.streams) < len(streams):
            sdp = Sdp(sdp.session, sdp.media[: len(mine.streams)], sdp.below)  # RFC 3264 6
            streams = streams[: len(mine.streams)]
        has = lent.has_events(streams)
        if not has or not (is_offer or (mine is not None and lent.has_events(mine.streams))):
            sdp, event_type = self._fit(side, sdp, streams, is_offer=is_offer)
            if is_offer and event_type >= 0:
                self._offered = sdp
        told = self._write(side, sdp, streams)
        self._told[side] = Told(tuple(streams), told, event_type)
        return told

    def _fit(
        self, side: Side, sdp: Sdp, streams: Sequence[Described], *, is_offer: bool
    ) -> tuple[Sdp, int]:
        """Lend `side` a telephone-event that the other one, of `streams`, has not; or keep from it
        one that it has not offered. Returns what was lent, -1 for nothing.
        """
        mine = self.said.get(side)
        own = mine.streams[0] if mine is not None and lent.has_events(mine.streams) else None
        if lent.has_events(streams):
            return (sdp if is_offer or own is not None else lent.without(sdp)), -1
        if not lent.is_audio(streams) or not (is_offer or own is not None):
            return sdp, -1
        if not self._tells(side):
            return sdp, -1
        event_type = lent.free_type(sdp) if own is None else own.event_type
        codec = lent.OURS if own is None else own.codecs[event_type]
        added = lent.lend(sdp, event_type, codec) if event_type >= 0 else None
        return (sdp, -1) if added is None else (added, event_type)

    def _tells(self, side: Side) -> bool:
        """Tell whether keys of `side` may go on as INFO."""
        speaker = self.speakers.get(other_than(side))
        return speaker is not None and speaker.takes_info

    def event_codec(self, side: Side) -> tuple[int, Codec] | None:
        """Return in which payload type `side` takes events that it has agreed to, and its codec."""
        mine, told = self.said.get(side), self._told.get(side)
        if mine is None or told is None or not lent.has_events(mine.streams):
            return None
        if told.lent < 0 and not lent.has_events(told.streams):
            return None
        event_type = mine.streams[0].event_type
        return event_type, mine.streams[0].codecs[event_type]

    def uneven(self) -> tuple[Side, Uneven] | None:
        """Return the side whose events are to be INFO for the other one; None for neither."""
        said = self.said
        if len(said) < 2 or all(lent.has_events(one.streams) for one in said.values()):
            return None
        for side in SIDES:
            found = self.event_codec(side)
            if found is None or self.event_codec(other_than(side)) is not None:
                continue
            if not self._tells(side):
                return None
            told = self._told[side]
            sent_in = told.lent if told.lent >= 0 else told.streams[0].event_type
            return side, Uneven(sent_in, found[1].clock_rate)
        return None

    def _write(
        self, side: Side, sdp: Sdp, streams: Sequence[Described], author: Author | None = None
    ) -> bytes:
        ports, author = self._ports(side, streams), author or self.author(side)
        return author.write(sdp, streams, ports, self._conditions.get(side, ()))

    def _note_conditions(self, side: Side, sdp: bytes, parsed: Sdp) -> None:
        if precondition.MARK in sdp:
            self._conditions[side] = precondition.answers(parsed)
        elif self._conditions:
            self._conditions.pop(side, None)

    def _ports(self, side: Side, streams: Sequence[Described]) -> list[int]:
        return [
            self._port(side, media) if one.is_relayed else 0 for media, one in enumerate(streams)
        ]


def other_than(side: Side) -> Side:
    """Return the other side."""
    return "b" if side == "a" else "a"
