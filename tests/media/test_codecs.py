"""Codecs that a peer may be offered: fewer formats, in another order, and nothing else changed."""

import pytest

from sipcore.errors import MediaError
from sipcore.media.codecs import tone_codec, with_codecs
from sipcore.media.offer import Described, read
from sipcore.message.sdp import parse_sdp

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 96 8 0 18 101\r\n"
    b"a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
    b"a=rtpmap:8 PCMA/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\n"
    b"m=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
)


def lines(names: tuple[str, ...]) -> list[str]:
    return with_codecs(OFFER, names).decode().split("\r\n")


def test_codecs_are_left_in_the_order_of_the_setting() -> None:
    left = lines(("g729", "pcma"))
    assert "m=audio 4000 RTP/AVP 18 8 101" in left
    assert "a=fmtp:18 annexb=no" in left
    assert not any("96" in line for line in left)
    assert "a=fmtp:101 0-16" in left


def test_other_m_lines_pass() -> None:
    assert "m=video 4002 RTP/AVP 97" in lines(("PCMU",))
    assert parse_sdp(with_codecs(OFFER, ("PCMU",))).media[0].formats == ("0", "101")


def test_what_has_all_is_left_as_it_is() -> None:
    assert with_codecs(OFFER, ("opus", "PCMA", "PCMU", "G729")) == OFFER


def test_nothing_in_common_is_told() -> None:
    with pytest.raises(MediaError, match="no codec"):
        with_codecs(OFFER, ("G722",))


def side(formats: str, direction: str = "sendrecv", more: str = "") -> Described:
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio 4000 RTP/AVP {formats}\r\n{more}a={direction}\r\n"
    )
    return read(parse_sdp(text.encode()), "192.0.2.1").streams[0]


@pytest.mark.parametrize(
    ("hears", "speaks", "codec"),
    [
        ("0 8 18", "8", (8, "PCMA")),
        ("8 0", "0 8", (0, "PCMU")),  # the answer's order
        ("18 8", "18 8", (8, "PCMA")),
        ("18 8", "18", None),
        ("8", "0", None),
    ],
)
def test_a_tone_is_in_the_g711_that_both_have(
    hears: str, speaks: str, codec: tuple[int, str] | None
) -> None:
    assert tone_codec(side(hears), side(speaks)) == codec


@pytest.mark.parametrize(
    ("hears", "speaks", "is_heard"),
    [
        ("sendrecv", "sendrecv", True),
        ("recvonly", "sendonly", True),
        ("sendonly", "sendrecv", False),
        ("inactive", "inactive", False),
        ("sendrecv", "inactive", False),
        ("sendrecv", "recvonly", False),
    ],
)
def test_a_tone_is_for_who_is_to_hear_the_other(hears: str, speaks: str, is_heard: bool) -> None:
    assert (tone_codec(side("8", hears), side("8", speaks)) is not None) == is_heard


def test_a_number_that_means_something_else_there_is_no_codec_for_a_tone() -> None:
    theirs = side("96", more="a=rtpmap:96 opus/48000/2\r\n")
    assert tone_codec(theirs, side("96", more="a=rtpmap:96 PCMA/8000\r\n")) is None
    mine = side("96", more="a=rtpmap:96 PCMA/8000\r\n")
    assert tone_codec(mine, mine) == (96, "PCMA")
