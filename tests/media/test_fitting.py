"""What two sides have in common: codecs by their names, whatever numbers each gives them."""

import pytest

from sipcore.errors import MediaError
from sipcore.media.fitting import in_common, only_formats, takes_all
from sipcore.media.offer import read
from sipcore.message.sdp import Sdp, parse_sdp
from tests.media.samples import SOURCE, one_line

EVENTS = "a=rtpmap:{} telephone-event/8000"


def sdp(formats: str, *attributes: str) -> Sdp:
    return parse_sdp(one_line(f"m=audio 4000 RTP/AVP {formats}", *attributes))


def common(said: Sdp, offer: Sdp) -> tuple[str, ...]:
    """Return the formats of the answer to an offer, by what the other side has said."""
    theirs, mine = read(said, SOURCE).streams[0], read(offer, SOURCE).streams[0]
    media = only_formats(said.media[0], offer.media[0], theirs, mine)
    return () if media is None else media.formats


@pytest.mark.parametrize(
    ("said", "offer", "answer"),
    [
        (sdp("8 101", EVENTS.format(101)), sdp("0 8 96", EVENTS.format(96)), ("8", "101")),
        (sdp("8", "a=rtpmap:8 PCMA/8000"), sdp("8"), ("8",)),
        (sdp("97", "a=rtpmap:97 pcma/8000"), sdp("8"), ("97",)),
        (sdp("97", "a=rtpmap:97 PCMA/16000"), sdp("8"), ()),
        (sdp("5"), sdp("5 8"), ("5",)),  # static, and in no list of ours
        (sdp("5"), sdp("8"), ()),
        # RFC 3264 8.3.2: 96 is opus from now on
        (sdp("8 96", EVENTS.format(96)), sdp("8 96", "a=rtpmap:96 opus/48000/2"), ("8",)),
        (sdp("101 13", EVENTS.format(101)), sdp("8 101 13", EVENTS.format(101)), ()),
    ],
)
def test_codecs_are_the_same_by_name_and_clock(
    said: Sdp, offer: Sdp, answer: tuple[str, ...]
) -> None:
    assert common(said, offer) == answer  # RFC 3264 6.1


def test_what_is_left_out_of_an_answer_is_not_agreed() -> None:
    said = sdp("8 96", EVENTS.format(96))
    offer = sdp("8 96", "a=rtpmap:96 opus/48000/2")
    sides = [(one, read(one, SOURCE).streams) for one in (said, offer)]
    told = in_common(sides[0], sides[1], lambda index: True).wanted[0]
    assert (list(told.codecs), told.event_type) == ([8], -1)


def test_an_offer_with_nothing_in_common_is_an_error() -> None:
    sides = [(one, read(one, SOURCE).streams) for one in (sdp("8"), sdp("0"))]
    with pytest.raises(MediaError):
        in_common(sides[0], sides[1], lambda index: True)


@pytest.mark.parametrize(
    ("now", "was", "taken"),
    [
        (sdp("8 96", EVENTS.format(96)), sdp("8 101", EVENTS.format(101)), False),
        (sdp("8 101", EVENTS.format(101)), sdp("8 101", EVENTS.format(101)), True),
        (sdp("8 101", EVENTS.format(101)), sdp("8"), True),
        (sdp("8 101", "a=rtpmap:101 opus/48000/2"), sdp("8 101", EVENTS.format(101)), False),
    ],
)
def test_a_number_that_means_nothing_any_more_must_be_told(now: Sdp, was: Sdp, taken: bool) -> None:
    own = read(sdp("0 8 97", EVENTS.format(97)), SOURCE).streams[0]
    views = [read(one, SOURCE).streams[0] for one in (now, was)]
    assert takes_all(views[0], views[1], own) is taken
