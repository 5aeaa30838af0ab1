"""telephone-event (RFC 4733) lent to a side whose other side has none, in the SDP that it is told.

Its keys are then events to us, and INFO to the other side (events.py, call/digits.py). Only the
first m-line of a call is looked at: it is the audio.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, structs

from sipcore.media.offer import Described, with_formats
from sipcore.message.sdp import Codec, Media, Sdp, below_of

USUAL = 101  # the payload type that nearly everybody gives telephone-event
DYNAMIC = range(96, 128)  # RFC 3551 6
OURS = Codec("telephone-event", 8000)


class Speaker(Protocol):
    """Who speaks for a side, as far as its keys go."""

    @property
    def takes_info(self) -> bool:
        """Whether it is to be told of keys by INFO where it has no telephone-event."""
        ...


class Uneven(Struct, frozen=True, gc=False):
    """The one side that sends telephone-event, to another that has none; `payload_type`: in which
    it sends them.
    """

    payload_type: int
    clock_rate: int


def has_events(streams: Sequence[Described]) -> bool:
    """Tell whether a side takes telephone-event."""
    return bool(streams) and streams[0].event_type >= 0


def bare(stream: Described) -> Described:
    """Return a stream as it is without telephone-event."""
    codecs = {one: codec for one, codec in stream.codecs.items() if codec.name.lower() != OURS.name}
    return structs.replace(stream, codecs=codecs, event_type=-1)


def is_audio(streams: Sequence[Described]) -> bool:
    """Tell whether the first m-line is audio that is relayed."""
    return bool(streams) and streams[0].is_relayed and streams[0].kind == "audio"


def lend(sdp: Sdp, payload_type: int, codec: Codec) -> Sdp | None:
    """Add telephone-event to the first m-line; None where its number means something else there."""
    media = sdp.media[0]
    form = str(payload_type)
    if form in media.formats or codec.clock_rate != _clock_rate(media):
        return None
    stale = (f"a=rtpmap:{form} ", f"a=fmtp:{form} ")
    lines = (
        f"m={media.kind} {media.port} {media.protocol} {' '.join((*media.formats, form))}",
        *(line for line in media.lines[1:] if not line.startswith(stale)),
        f"a=rtpmap:{form} {codec.name}/{codec.clock_rate}",
        f"a=fmtp:{form} 0-16",
    )
    added = structs.replace(
        media, lines=lines, formats=(*media.formats, form), below=below_of(lines[1:])
    )
    return Sdp(sdp.session, (added, *sdp.media[1:]), sdp.below)


def without(sdp: Sdp) -> Sdp:
    """Take telephone-event off the first m-line: who is told it has none."""
    media = sdp.media[0]
    kept = [form for form in media.formats if not _is_event(media, form)]
    if not kept or len(kept) == len(media.formats):
        return sdp
    return Sdp(sdp.session, (with_formats(media, kept), *sdp.media[1:]), sdp.below)


def free_type(sdp: Sdp) -> int:
    """Choose a payload type that the first m-line does not use."""
    used = sdp.media[0].formats
    return next((one for one in (USUAL, *DYNAMIC) if str(one) not in used), -1)


def _is_event(media: Media, form: str) -> bool:
    codec = media.codecs.get(int(form)) if form.isdecimal() else None
    return codec is not None and codec.name.lower() == "telephone-event"


def _clock_rate(media: Media) -> int:
    """Return the clock of the m-line's first codec: events use the same (RFC 4733 2.1)."""
    form = media.formats[0]
    codec = media.codecs.get(int(form)) if form.isdecimal() else None
    return 8000 if codec is None else codec.clock_rate
