"""Which codecs a peer is offered: an SDP with fewer formats, in another order.

And which of them a tone of ours can be: the worker encodes G.711 alone.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import structs

from sipcore.errors import MediaError
from sipcore.media.offer import STATIC_CODECS, Described, with_formats
from sipcore.message.sdp import Media, parse_sdp

TONE_CODECS = ("PCMA", "PCMU")
_BESIDE_SPEECH = ("telephone-event", "cn")  # no codecs: they go along with any


def with_codecs(sdp: bytes, names: Sequence[str]) -> bytes:
    """Leave of every audio m-line the codecs named, in the order of `names`; others pass.

    Raises MediaError where nothing is left of one, BadMessage for what is no SDP.
    """
    wanted = {name.lower(): rank for rank, name in enumerate(names)}
    parsed = parse_sdp(sdp)
    media = tuple(
        _filtered(one, wanted) if one.kind == "audio" and one.port else one for one in parsed.media
    )
    return structs.replace(parsed, media=media).to_bytes()


def tone_codec(hears: Described, speaks: Described) -> tuple[int, Literal["PCMU", "PCMA"]] | None:
    """Return payload type and name of what one side can hear in the other's place.

    None where the two have no G.711 in common, or the one is not to hear the other now.
    """
    is_heard = hears.wants_media and speaks.direction in ("sendrecv", "sendonly")
    if not (is_heard and hears.is_relayed and speaks.is_relayed and hears.kind == "audio"):
        return None
    for number, codec in speaks.codecs.items():
        facing = hears.codecs.get(number)
        if facing is None or facing.name.upper() != codec.name.upper():
            continue
        if codec.name.upper() == "PCMA":
            return number, "PCMA"
        if codec.name.upper() == "PCMU":
            return number, "PCMU"
    return None


def without_events(sdp: bytes) -> bytes:
    """Leave telephone-event out of every audio m-line. Raises BadMessage for what is no SDP."""
    parsed = parse_sdp(sdp)
    media = tuple(
        with_formats(one, [form for form in one.formats if _name(one, form) != "telephone-event"])
        if one.kind == "audio" and one.below.event_type >= 0
        else one
        for one in parsed.media
    )
    return structs.replace(parsed, media=media).to_bytes()


def _filtered(media: Media, wanted: dict[str, int]) -> Media:
    named = {form: _name(media, form) for form in media.formats}
    speech = [form for form in media.formats if named[form] in wanted]
    if not speech:
        raise MediaError("no codec that is relayed for this peer")
    speech.sort(key=lambda form: wanted[named[form]])
    kept = [*speech, *(form for form in media.formats if named[form] in _BESIDE_SPEECH)]
    return with_formats(media, kept)


def _name(media: Media, form: str) -> str:
    if not form.isdecimal() or len(form) > 3:
        return ""
    codec = media.codecs.get(int(form)) or STATIC_CODECS.get(int(form))
    return "" if codec is None else codec.name.lower()
